//! Lodestar, a consensus client, drives our node from Shanghai's genesis until it finalises.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { skip } from '../lib/checks.mjs';
import { freePort } from '../lib/ports.mjs';
import { startServer } from '../lib/process.mjs';
import { beacon, engine, rpc } from '../lib/rpc.mjs';
import { devAccounts } from '../lib/target.mjs';
import { walletFor } from '../lib/traffic.mjs';
import { until } from '../lib/wait.mjs';

const SLOT_SECONDS = 1;
const VALIDATORS = 8;

const here = (path) => fileURLToPath(new URL(`../clients/lodestar/${path}`, import.meta.url));

async function startLodestar({ directory, genesisHash, authrpc, jwtSecret }) {
    const rest = await freePort();
    const server = startServer(
        process.execPath,
        [
            ...[
                join(process.env.LOCKSTEP_E2E_LODESTAR, 'node_modules/@chainsafe/lodestar/lib/index.js'),
                'dev',
                '--reset',
            ],
            ...['--dataDir', join(directory, 'lodestar'), '--genesisEth1Hash', genesisHash],
            ...['--genesisValidators', String(VALIDATORS), '--startValidators', `0..${VALIDATORS - 1}`],
            ...['--params.SECONDS_PER_SLOT', String(SLOT_SECONDS), '--params.TERMINAL_TOTAL_DIFFICULTY', '0'],
            ...['ALTAIR', 'BELLATRIX', 'CAPELLA'].flatMap((fork) => [`--params.${fork}_FORK_EPOCH`, '0']),
            ...['--execution.urls', authrpc, '--jwt-secret', jwtSecret, '--rest.port', String(rest)],
            ...['--beaconNodes', `http://127.0.0.1:${rest}`],
            ...['--suggestedFeeRecipient', devAccounts[9].address],
            ...[
                '--listenAddress',
                '127.0.0.1',
                '--port',
                String(await freePort()),
                '--discv5',
                'false',
                '--mdns',
                'false',
            ],
        ],
        {
            log: join(directory, 'lodestar.log'),
            cwd: directory,
            env: { LODESTAR_PRESET: 'minimal', NODE_OPTIONS: `--require=${here('polyfill.cjs')}` },
        },
    );
    return { server, get: beacon(`http://127.0.0.1:${rest}`) };
}

export default async function ({ check, target, contracts: { Ledger }, directory }) {
    if (target.missing.includes('node')) skip('no node for an external consensus client here');
    const jwtSecret = join(directory, 'jwt.hex');
    const secret = randomBytes(32).toString('hex');
    writeFileSync(jwtSecret, secret);
    const node = await target.startNode({ directory, genesis: here('genesis.json'), jwtSecret });
    const call = rpc(node.http);

    await check('the Engine API wants a token', async () => {
        await assert.rejects(
            engine(node.authrpc, randomBytes(32).toString('hex'))('engine_exchangeCapabilities', []),
            /401|403/,
        );
        const capabilities = await engine(node.authrpc, secret)('engine_exchangeCapabilities', []);
        for (const method of ['engine_newPayloadV2', 'engine_forkchoiceUpdatedV2', 'engine_getPayloadV2']) {
            assert.ok(capabilities.includes(method), method);
        }
    });

    const lodestar = await startLodestar({ directory, ...node, jwtSecret });
    try {
        await until('a first block', async () => BigInt(await call('eth_blockNumber')) > 0n, { seconds: 60 });
        const { client, wallet, mined } = walletFor({ chainId: 1337, http: node.http }, devAccounts[0].privateKey);

        await check('payloads that our node builds become blocks, with the transactions in its pool', async () => {
            const receipt = await mined(
                await wallet.deployContract({ abi: Ledger.abi, bytecode: Ledger.bytecode, args: [1000n] }),
            );
            const supply = await client.readContract({
                address: receipt.contractAddress,
                abi: Ledger.abi,
                functionName: 'supply',
            });
            assert.equal(supply, 1000n);
            const block = await client.getBlock({ blockHash: receipt.blockHash });
            assert.equal(block.miner.toLowerCase(), devAccounts[9].address.toLowerCase());
            assert.ok(block.withdrawals);
        });

        await check('the chain finalises, and our node follows', async () => {
            const checkpoint = await until(
                'finality',
                async () => {
                    const { data } = await lodestar.get('/eth/v1/beacon/states/head/finality_checkpoints');
                    return Number(data.finalized.epoch) >= 1 && data.finalized;
                },
                { seconds: 240, every: 1 },
            );
            const { data } = await lodestar.get(`/eth/v2/beacon/blocks/${checkpoint.root}`);
            const payload = data.message.body.execution_payload;
            const finalized = await until('our finalised block', () =>
                call('eth_getBlockByNumber', 'finalized', false),
            );
            assert.ok(BigInt(finalized.number) >= BigInt(payload.block_number));
            const ours = await call('eth_getBlockByHash', payload.block_hash, false);
            assert.deepEqual([ours.stateRoot, BigInt(ours.number)], [payload.state_root, BigInt(payload.block_number)]);
        });

        await check('no slot after the first epoch was missed for want of a payload', async () => {
            const { data: head } = await lodestar.get('/eth/v1/beacon/headers/head');
            const { data: block } = await lodestar.get(`/eth/v2/beacon/blocks/${head.root}`);
            const missed = Number(head.header.message.slot) - Number(block.message.body.execution_payload.block_number);
            assert.ok(missed <= 8, `${missed} slots have no block`);
        });
    } finally {
        // Lodestar does not end on SIGTERM.
        await lodestar.server.stop('SIGKILL');
    }
    await node.server.stop();
}
