//! Waiting for conditions, always with a deadline, never for a fixed time.

export class Expired extends Error {}

/** The value of `promise`, or an error once `seconds` have passed. */
export async function within(seconds, what, promise) {
    let timer;
    const deadline = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Expired(`waited ${seconds} s for ${what}`)), seconds * 1000);
    });
    try {
        return await Promise.race([promise, deadline]);
    } finally {
        clearTimeout(timer);
    }
}

/** Asks `condition` until it returns something truthy, and returns that. Errors count as "not yet". */
export async function until(what, condition, { seconds = 30, every = 0.1 } = {}) {
    const end = Date.now() + seconds * 1000;
    let last;
    for (;;) {
        try {
            const value = await condition();
            if (value) return value;
            last = undefined;
        } catch (error) {
            last = error;
        }
        if (Date.now() >= end) {
            throw new Expired(`waited ${seconds} s for ${what}${last ? ` (last error: ${last.message})` : ''}`);
        }
        await new Promise((resolve) => setTimeout(resolve, every * 1000));
    }
}
