//! A second execution client checks our blocks: what a Prague dev chain produced is replayed through the Engine API
//! of EthereumJS, which executes every block itself.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { skip } from '../lib/checks.mjs';
import { isolated } from '../lib/isolation.mjs';
import { payloadOf } from '../lib/payloads.mjs';
import { runCommand } from '../lib/process.mjs';
import { rpc } from '../lib/rpc.mjs';
import { sendEveryType } from '../lib/traffic.mjs';

const ROUNDS = 3;
const COMPARED = ['hash', 'stateRoot', 'transactionsRoot', 'receiptsRoot', 'logsBloom', 'gasUsed', 'requestsHash'];
const replayer = fileURLToPath(new URL('../clients/ethereumjs/replay.mjs', import.meta.url));

export default async function ({ check, target, contracts, directory }) {
    if (target.missing.includes('prague dev chain')) skip('no Prague dev chain here');
    const isolate = await isolated();

    const dev = await target.startDev({ directory, fork: 'prague' });
    const genesis = join(directory, 'genesis.json');
    // Of this chain: another begins at another time.
    const printed = await runCommand(target.binary(), ['dev', '--datadir', join(directory, 'data'), '--print-genesis']);
    writeFileSync(genesis, printed);

    const types = new Set();
    for (let round = 0; round < ROUNDS; round += 1) {
        const { privateKey } = dev.accounts[round];
        const { receipts } = await sendEveryType(dev.l1, privateKey, contracts, { cellProofs: false });
        for (const { type } of receipts) types.add(type);
    }
    const call = rpc(dev.l1.http);
    const head = Number(await call('eth_blockNumber'));
    const numbers = Array.from({ length: head + 1 }, (_, number) => `0x${number.toString(16)}`);
    const blocks = await Promise.all(numbers.map((number) => call('eth_getBlockByNumber', number, true)));
    await dev.server.stop();

    await check('the dev chain made Prague blocks with every type of transaction', () => {
        assert.deepEqual([...types].sort(), ['eip1559', 'eip2930', 'eip4844', 'eip7702', 'legacy']);
        for (const { requestsHash } of blocks) assert.match(requestsHash, /^0x[0-9a-f]{64}$/);
    });

    const input = join(directory, 'payloads.json');
    const output = join(directory, 'replayed.json');
    writeFileSync(input, JSON.stringify(blocks.slice(1).map(payloadOf)));
    const client = join(process.env.LOCKSTEP_E2E_ETHEREUMJS, 'node_modules/@ethereumjs/client/dist/esm/bin/cli.js');
    const replay = [process.execPath, replayer, client, genesis, input, output];
    await runCommand(...isolate(replay), { seconds: 240 });
    const { answers, blocks: theirs } = JSON.parse(readFileSync(output, 'utf8'));

    await check('it has our genesis block', () => {
        assert.equal(theirs[0].hash, blocks[0].hash);
        assert.equal(theirs[0].stateRoot, blocks[0].stateRoot);
    });

    await check('it finds every block valid', () => {
        assert.equal(answers.length, head);
        for (const [index, { payload, forkchoice }] of answers.entries()) {
            assert.deepEqual(
                [payload.status, forkchoice.status],
                ['VALID', 'VALID'],
                `block ${index + 1}: ${payload.validationError}`,
            );
        }
    });

    await check('it serves every block with the hash and the roots that we have', () => {
        for (const [number, ours] of blocks.entries()) {
            for (const field of COMPARED) {
                if (theirs[number][field] !== undefined)
                    assert.equal(theirs[number][field], ours[field], `${field} of block ${number}`);
            }
            assert.deepEqual(
                theirs[number].transactions,
                ours.transactions.map(({ hash }) => hash),
            );
        }
    });

    await check('it refuses a block of ours with one changed field', () => {
        const { forged } = JSON.parse(readFileSync(output, 'utf8'));
        assert.notEqual(forged.status, 'VALID');
    });
}
