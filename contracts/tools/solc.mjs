#!/usr/bin/env node
//! solc as forge expects it, over its JavaScript build.

import { readFileSync } from 'node:fs';
import solc from 'solc';

/** Reads what forge left out: sources outside the project, as those that the examples import. */
function read(path) {
    try {
        return { contents: readFileSync(path, 'utf8') };
    } catch (error) {
        return { error: error.message };
    }
}

if (process.argv.includes('--standard-json')) {
    process.stdout.write(solc.compile(readFileSync(0, 'utf8'), { import: read }));
} else {
    console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
}
