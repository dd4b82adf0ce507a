//! Compiles our contracts with solc's JavaScript build.

import { readFileSync, readdirSync } from 'node:fs';
import solc from 'solc';

const folder = new URL('../contracts/', import.meta.url);

/** `{ Ledger: { abi, bytecode }, … }` */
export function compileContracts() {
    const sources = Object.fromEntries(
        readdirSync(folder).map((file) => [file, { content: readFileSync(new URL(file, folder), 'utf8') }]),
    );
    const output = JSON.parse(
        solc.compile(
            JSON.stringify({
                language: 'Solidity',
                sources,
                settings: {
                    evmVersion: 'prague',
                    optimizer: { enabled: true },
                    outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
                },
            }),
        ),
    );
    const errors = (output.errors ?? []).filter(({ severity }) => severity === 'error');
    if (errors.length > 0) throw new Error(errors.map(({ formattedMessage }) => formattedMessage).join('\n'));
    return Object.fromEntries(
        Object.values(output.contracts)
            .flatMap((contracts) => Object.entries(contracts))
            .map(([name, { abi, evm }]) => [name, { abi, bytecode: `0x${evm.bytecode.object}` }]),
    );
}
