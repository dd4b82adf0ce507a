//! The node under test: ours, or anvil to try the scenarios themselves.

import { createRequire } from 'node:module';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { HDNodeWallet, Mnemonic } from 'ethers';
import { startServer } from './process.mjs';

const MNEMONIC = 'test test test test test test test test test test test junk';

/** The well-known accounts of every dev chain. */
export const devAccounts = Array.from({ length: 10 }, (_, index) => {
    const { address, privateKey } = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(MNEMONIC), `m/44'/60'/0'/0/${index}`);
    return { address, privateKey };
});

/** The executable of one of Foundry's tools, not the script around it: killing a script leaves its child. */
export function foundry(tool) {
    const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
    const file = process.platform === 'win32' ? `${tool}.exe` : tool;
    return createRequire(import.meta.url).resolve(
        `@foundry-rs/${tool}-${process.platform}-${architecture}/bin/${file}`,
    );
}

function lockstepBinary() {
    const binary = process.env.LOCKSTEP_BIN;
    accessSync(binary, constants.X_OK);
    return binary;
}

const READY = /"event"\s*:\s*"ready"/;

const lockstep = {
    name: 'lockstep',
    missing: [],

    /**
     * Starts `lockstep dev` and returns what it announced, with the server as `server`. With `rollups: 'default'` there are
     * as many as the program starts by itself, which are a union.
     */
    async startDev({ directory, slotTime = 1, fork, rollups = 1, name = 'lockstep', args = [] }) {
        const server = startServer(
            lockstepBinary(),
            [
                ...['dev', '--json', '--datadir', join(directory, 'data'), '--slot-time', String(slotTime)],
                ...['--http-port', '0', '--beacon-port', '0', '--rollup-http-port', '0', '--follower-http-port', '0'],
                ...(rollups === 'default' ? [] : ['--rollups', String(rollups)]),
                ...(fork ? ['--fork', fork] : []),
                ...args,
            ],
            { log: join(directory, `${name}.log`) },
        );
        const ready = JSON.parse(await server.line(READY, 60));
        return { ...ready, server, slotTime };
    },

    /** Starts `lockstep node` for an external consensus client. */
    async startNode({ directory, genesis, jwtSecret }) {
        const server = startServer(
            lockstepBinary(),
            [
                ...[
                    'node',
                    '--json',
                    '--chain',
                    genesis,
                    '--datadir',
                    join(directory, 'data'),
                    '--jwt-secret',
                    jwtSecret,
                ],
                ...['--http-port', '0', '--authrpc-port', '0'],
            ],
            { log: join(directory, 'lockstep.log') },
        );
        return { ...JSON.parse(await server.line(READY, 60)), server };
    },

    /** Starts `lockstep node` for a rollup of a dev chain, whose files are in `files`. */
    async startRollupNode({ directory, files, l1, rollup }) {
        const server = startServer(
            lockstepBinary(),
            [
                ...['node', '--json', '--datadir', join(directory, 'rollup-node'), '--http-port', '0', '--http-api', '*'],
                ...['--chain', join(files, 'genesis.json'), '--rollup-config', rollup.rollupConfig],
                ...['--l1', l1.http, '--l1-beacon', l1.beacon, '--l1-genesis', l1.genesis],
            ],
            { log: join(directory, 'rollup-node.log') },
        );
        return { ...JSON.parse(await server.line(READY, 60)), server };
    },

    binary: lockstepBinary,
};

const anvil = {
    name: 'anvil',
    missing: [
        ...['beacon', 'rollups', 'node', 'restart', 'prague dev chain'],
        ...['code -32601', 'checks of blob proofs', 'verifiable blocks', 'exact traces', 'smaller tracers'],
        ...['trace_replayTransaction', 'trace_call', 'raw debug data'],
    ],

    async startDev({ directory, slotTime = 1, name = 'anvil' }) {
        const ipc = join(directory, 'anvil.ipc');
        const server = startServer(
            foundry('anvil'),
            [
                ...['--host', '127.0.0.1', '--port', '0', '--chain-id', '1337', '--block-time', String(slotTime)],
                ...['--hardfork', 'osaka', '--ipc', ipc, '--slots-in-an-epoch', '4', '--steps-tracing'],
            ],
            { log: join(directory, `${name}.log`) },
        );
        const address = (await server.line(/Listening on /, 30)).split(' ').pop();
        return {
            l1: { chainId: 1337, http: `http://${address}`, ws: `ws://${address}`, ipc },
            rollups: [],
            accounts: devAccounts,
            server,
            slotTime,
        };
    },
};

const targets = { lockstep, anvil };

export function chooseTarget(name) {
    const target = targets[name];
    if (!target) throw new Error(`no such target: ${name} (there are ${Object.keys(targets).join(', ')})`);
    return target;
}
