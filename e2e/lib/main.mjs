//! Runs scenarios and says what came of them. Usage: main.mjs [scenario…]

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Checks, Skipped } from './checks.mjs';
import { compileContracts } from './contracts.mjs';
import { killEverything } from './process.mjs';
import { chooseTarget } from './target.mjs';
import { within } from './wait.mjs';

/** Scenarios on the chain that they share; each has an account of its own, so their order does not matter. */
const SHARED = ['cast', 'forge', 'viem', 'blocks', 'ethers', 'web3py', 'ipc', 'beacon', 'rollup', 'verify'];
/** Scenarios that start nodes of their own. */
const OWN = ['restart', 'union', 'apps', 'tokens', 'foreign', 'ethereumjs', 'lodestar'];
/** Scenarios that measure, and run only when they are named. */
const MEASURE = ['latency'];
const DEADLINE_S = 600;

const everything = [...SHARED, ...OWN];
const names = process.argv.length > 2 ? process.argv.slice(2) : everything;
const known = [...everything, ...MEASURE];
const unknown = names.filter((name) => !known.includes(name));
if (unknown.length > 0) {
    console.error(`no such scenario: ${unknown.join(', ')} (there are ${known.join(', ')})`);
    process.exit(2);
}

const target = chooseTarget(process.env.LOCKSTEP_E2E_TARGET ?? 'lockstep');
const work = mkdtempSync(join(tmpdir(), 'lockstep-e2e-'));
const contracts = compileContracts();
const verdicts = { PASS: 0, FAIL: 0, SKIP: 0 };

function report(verdict, name, detail) {
    verdicts[verdict] += 1;
    console.log(`${verdict} ${name}${detail}`);
}

async function runScenario(name, context) {
    const begin = Date.now();
    const checks = new Checks(target.missing);
    try {
        const { default: run } = await import(`../scenarios/${name}.mjs`);
        const check = checks.check.bind(checks);
        const directory = join(work, name);
        mkdirSync(directory, { recursive: true });
        await within(
            DEADLINE_S,
            'the scenario to end',
            run({ ...context, check, target, contracts, directory, checks }),
        );
    } catch (error) {
        if (error instanceof Skipped && checks.passed === 0) return report('SKIP', name, `: ${error.message}`);
        checks.failures.push({ what: 'runs to its end', error });
    }
    const seconds = ((Date.now() - begin) / 1000).toFixed(1);
    for (const { what, reason } of checks.skipped) console.log(`     skipped: ${what}: ${reason}`);
    for (const { what, error } of checks.failures) {
        console.log(`     failed: ${what}`);
        const text = String(process.env.LOCKSTEP_E2E_STACKS ? error.stack : error.message);
        console.log(text.replace(/^.*$/gm, (line) => `       ${line.length > 400 ? `${line.slice(0, 400)}…` : line}`));
    }
    if (checks.failures.length > 0) {
        const failed = checks.failures.map(({ what }) => what).join('; ');
        report(
            'FAIL',
            name,
            `: ${checks.failures.length} of ${checks.passed + checks.failures.length} checks: ${failed}`,
        );
    } else if (checks.passed === 0) {
        report('SKIP', name, `: ${checks.skipped[0]?.reason ?? 'it checks nothing'}`);
    } else {
        report('PASS', name, ` (${checks.passed} checks, ${seconds} s)`);
    }
}

/** Runs the scenarios that share one chain. */
async function runShared(chosen) {
    if (chosen.length === 0) return;
    const directory = join(work, 'dev');
    mkdirSync(directory);
    let dev;
    try {
        dev = await target.startDev({ directory });
    } catch (error) {
        for (const name of chosen) report('FAIL', name, `: the dev chain did not start: ${error.message}`);
        return;
    }
    await Promise.all(chosen.map((name) => runScenario(name, { dev, account: dev.accounts[SHARED.indexOf(name)] })));
    try {
        const { code, signal } = await dev.server.stop();
        if (code === 0) report('PASS', 'shutdown', ' (on SIGTERM)');
        else report('FAIL', 'shutdown', `: the node ended with ${code ?? signal}`);
    } catch (error) {
        report('FAIL', 'shutdown', `: ${error.message}`);
    }
}

console.log(`end-to-end scenarios against ${target.name}: ${names.join(', ')}`);
await runShared(names.filter((name) => SHARED.includes(name)));
for (const name of names.filter((name) => !SHARED.includes(name))) {
    await runScenario(name, {});
    killEverything();
}

console.log(`\n${verdicts.PASS} passed, ${verdicts.FAIL} failed, ${verdicts.SKIP} skipped`);
if (verdicts.FAIL > 0) console.log(`logs are in ${work}`);
else rmSync(work, { recursive: true, force: true });
process.exit(verdicts.FAIL > 0 ? 1 : 0);
