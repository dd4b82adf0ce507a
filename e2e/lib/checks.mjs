//! What a scenario found: how many checks passed, which failed, which could not run here.

export class Skipped extends Error {}

/** Leaves a scenario or a check that cannot run here. */
export function skip(reason) {
    throw new Skipped(reason);
}

export class Checks {
    passed = 0;
    failures = [];
    skipped = [];

    /** `missing` names what the target is known to lack; such checks are skipped, and said to be. */
    constructor(missing = []) {
        this.missing = missing;
    }

    /**
     * Runs one check: `what` is a sentence that holds if `body` does not throw.
     * A failure does not end the scenario, so that one run tells all that is wrong.
     */
    async check(what, body, { needs = [] } = {}) {
        const missing = [needs].flat().filter((need) => this.missing.includes(need));
        if (missing.length > 0) {
            this.skipped.push({ what, reason: `no ${missing.join(', ')} here` });
            return undefined;
        }
        try {
            const value = await body();
            this.passed += 1;
            return value;
        } catch (error) {
            if (error instanceof Skipped) this.skipped.push({ what, reason: error.message });
            else this.failures.push({ what, error });
            return undefined;
        }
    }
}
