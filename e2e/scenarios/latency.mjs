//! How long users wait: transfers at a fixed rate on two rollups, signed beforehand, one account each, over connections that
//! stay open; prints what it measured as one line of JSON for each update interval. It runs only when it is named.
//!
//! LOCKSTEP_LATENCY_RATE (transactions per second, 1000), LOCKSTEP_LATENCY_SECONDS (10), LOCKSTEP_LATENCY_INTERVALS
//! (milliseconds, "100,0").

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { keccak256, numberToHex, toHex } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { skip } from '../lib/checks.mjs';
import { rpc } from '../lib/rpc.mjs';
import { until } from '../lib/wait.mjs';

const RATE = Number(process.env.LOCKSTEP_LATENCY_RATE ?? 1000);
const SECONDS = Number(process.env.LOCKSTEP_LATENCY_SECONDS ?? 10);
const INTERVALS = (process.env.LOCKSTEP_LATENCY_INTERVALS ?? '100,0').split(',').map(Number);
/** With an update after every transaction, half of all answers come within this time. */
const AT_ONCE_MS = 5;
const FEES = { maxFeePerGas: 100_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n, type: 'eip1559', gas: 21_000n };
const SINK = '0x00000000000000000000000000000000000051f7';

const agent = new Agent({ keepAlive: true, maxSockets: 512 });

/** One request, as bytes that were written before, over a connection that stays open. */
function post(url, body) {
    return new Promise((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'content-length': body.length };
        const sent = request(url, { agent, method: 'POST', headers }, (response) => {
            const chunks = [];
            response.on('data', (chunk) => chunks.push(chunk));
            response.on('end', () => resolve(Buffer.concat(chunks)));
        });
        sent.on('error', reject);
        sent.end(body);
    });
}

const body = (method, params) => Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }));

function percentiles(times) {
    const sorted = [...times].sort((a, b) => a - b);
    const at = (share) => Number(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]?.toFixed(2));
    return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Accounts that send one transaction each second, with what they will send. */
async function prepare(rollup, count, funder) {
    const accounts = Array.from({ length: count }, (_, n) =>
        privateKeyToAccount(keccak256(toHex(`latency ${rollup.chainId} ${n}`))),
    );
    const call = rpc(rollup.http);
    const first = Number(await call('eth_getTransactionCount', funder.address, 'pending'));
    for (const [n, { address }] of accounts.entries()) {
        const transfer = { ...FEES, chainId: rollup.chainId, nonce: first + n, to: address, value: 10n ** 18n };
        await call('eth_sendRawTransaction', await funder.signTransaction(transfer));
        // The pool takes so many of one account that wait.
        if (n % 32 === 31) await call('eth_sendRawTransactionSync', await funder.signTransaction(transfer));
    }
    const last = accounts.at(-1).address;
    await until('the accounts to be funded', async () => BigInt(await call('eth_getBalance', last, 'latest')) > 0n);
    const requests = [];
    for (let nonce = 0; nonce < SECONDS; nonce++) {
        for (const account of accounts) {
            const raw = await account.signTransaction({ ...FEES, chainId: rollup.chainId, nonce, to: SINK, value: 1n });
            const sync = body('eth_sendRawTransactionSync', [raw, numberToHex(10_000)]);
            requests.push({ url: rollup.http, hash: keccak256(raw), sync });
        }
    }
    return requests;
}

/** When each transaction was first seen in the pending block. */
async function watch(url, seen, state) {
    const ask = body('eth_getBlockByNumber', ['pending', false]);
    while (!state.isOver) {
        const { result } = JSON.parse(await post(url, ask));
        const now = performance.now();
        for (const hash of result?.transactions ?? []) if (!seen.has(hash)) seen.set(hash, now);
        await new Promise((resolve) => setTimeout(resolve, 2));
    }
}

async function measure(dev, interval) {
    const funder = privateKeyToAccount(dev.accounts[1].privateKey);
    const each = Math.ceil(RATE / dev.rollups.length);
    const lists = [];
    for (const rollup of dev.rollups) lists.push(await prepare(rollup, each, funder));
    const requests = lists[0].flatMap((_, n) => lists.map((list) => list[n]));
    const [answered, seen, sent, refused] = [[], new Map(), new Map(), []];
    const state = { isOver: false };
    const watching = dev.rollups.map(({ http }) => watch(http, seen, state));
    const running = [];
    const begin = performance.now();
    for (let next = 0; next < requests.length; ) {
        const due = Math.min(requests.length, Math.floor(((performance.now() - begin) * RATE) / 1000));
        for (; next < due; next++) {
            const { url, hash, sync } = requests[next];
            const at = performance.now();
            sent.set(hash, at);
            const answer = post(url, sync).then((text) => {
                answered.push(performance.now() - at);
                const { result, error } = JSON.parse(text);
                if (result?.status !== '0x1') refused.push(error?.message ?? `status ${result?.status}`);
            });
            running.push(answer);
        }
        await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const offered = (requests.length * 1000) / (performance.now() - begin);
    await Promise.all(running);
    state.isOver = true;
    await Promise.all(watching);
    const shown = [...sent].filter(([hash]) => seen.has(hash)).map(([hash, at]) => seen.get(hash) - at);
    const found = { interval_ms: interval, rollups: dev.rollups.length, offered_per_s: Number(offered.toFixed(1)) };
    return { ...found, sync_ms: percentiles(answered), pending_ms: percentiles(shown), refused };
}

export default async function ({ check, target, directory }) {
    if (target.missing.includes('rollups')) skip('no rollups here');
    for (const interval of INTERVALS) {
        const args = ['--update-interval', String(interval)];
        const folder = join(directory, String(interval));
        mkdirSync(folder);
        const dev = await target.startDev({ directory: folder, slotTime: 2, rollups: 2, args });
        const measured = await measure(dev, interval);
        console.log(JSON.stringify({ ...measured, refused: measured.refused.length, why: measured.refused[0] }));
        await check(`every transaction is answered with its receipt (updates every ${interval} ms)`, () => {
            assert.deepEqual(measured.refused, []);
        });
        const [half, most] = interval > 0 ? [interval, 2 * interval] : [AT_ONCE_MS, Infinity];
        await check(`half are answered within ${half} ms, 99 of 100 within ${most} ms`, () => {
            assert.ok(measured.sync_ms.p50 <= half, `p50 ${measured.sync_ms.p50} ms`);
            assert.ok(measured.sync_ms.p99 <= most, `p99 ${measured.sync_ms.p99} ms`);
        });
        assert.equal((await dev.server.stop()).code, 0);
    }
}
