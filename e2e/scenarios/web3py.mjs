//! web3.py: the scenario itself is web3py.py beside this file; it prints one JSON object per check.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../lib/process.mjs';

export default async function ({ checks, dev, account, contracts, directory }) {
    const input = join(directory, 'input.json');
    writeFileSync(input, JSON.stringify({ l1: dev.l1, account, contracts, missing: checks.missing }));
    const script = fileURLToPath(new URL('web3py.py', import.meta.url));
    const output = await runCommand(process.env.LOCKSTEP_E2E_PYTHON, ['-B', script, input], { seconds: 240 });
    for (const line of output.trim().split('\n')) {
        const { what, failure, skipped } = JSON.parse(line);
        if (failure) checks.failures.push({ what, error: new Error(failure) });
        else if (skipped) checks.skipped.push({ what, reason: skipped });
        else checks.passed += 1;
    }
}
