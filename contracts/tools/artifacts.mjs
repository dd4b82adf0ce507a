#!/usr/bin/env node
//! Writes what `forge build` left behind as compact artifacts: one file per contract with its interface and code.
//!
//!   artifacts.mjs FORGE_OUT INTO

import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const CONTRACTS = [
    'FeeVault',
    'GasPriceOracle',
    'L1Block',
    'L2ToL1MessagePasser',
    'OutputOracle',
    'Portal',
    'SystemConfig',
    'WETH9',
];

const [out, into] = process.argv.slice(2);
mkdirSync(into, { recursive: true });
for (const file of readdirSync(into)) rmSync(path.join(into, file));
for (const contract of CONTRACTS) {
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
