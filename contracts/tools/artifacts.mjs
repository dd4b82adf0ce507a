#!/usr/bin/env node
//! Writes what `forge build` left behind as compact artifacts: one file per contract with its interface and code.
//!
//!   artifacts.mjs PROFILE FORGE_OUT INTO

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const CONTRACTS = {
    bench: ['BenchPair', 'BenchRouter', 'BenchStaking', 'BenchToken'],
    default: [
        'BridgedToken',
        'FeeVault',
        'GasPriceOracle',
        'Gate',
        'L1Block',
        'L2ToL1MessagePasser',
        'OutputOracle',
        'Portal',
        'SystemConfig',
        'TokenBridge',
        'WETH9',
    ],
    examples: ['Arbitrage', 'Cafe', 'CrossSwap', 'Lender', 'Pool', 'Token'],
    union: ['Inbox', 'Lookahead', 'Registry', 'TokenPortal', 'UnionPortal', 'Vault'],
};

const [profile, out, into] = process.argv.slice(2);
for (const contract of CONTRACTS[profile]) {
    const built = JSON.parse(readFileSync(path.join(out, `${contract}.sol`, `${contract}.json`), 'utf8'));
    for (const { linkReferences, immutableReferences } of [built.bytecode, built.deployedBytecode]) {
        if (Object.keys({ ...linkReferences, ...immutableReferences }).length > 0) {
            throw new Error(`${contract} has links or immutables: its code would not be a constant`);
        }
    }
    const abi = built.abi.map((item) => `    ${JSON.stringify(item)}`).join(',\n');
    const lines = [
        '{',
        `  "contract": "${contract}",`,
        `  "solc": "${JSON.parse(built.rawMetadata).compiler.version}",`,
        `  "abi": [\n${abi}\n  ],`,
        `  "bytecode": "${built.bytecode.object}",`,
        `  "deployedBytecode": "${built.deployedBytecode.object}"`,
        '}',
    ];
    writeFileSync(path.join(into, `${contract}.json`), `${lines.join('\n')}\n`);
}
