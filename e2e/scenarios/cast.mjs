//! Foundry's cast: what a developer types by hand.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getAddress, keccak256, concat, pad } from 'viem';
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts';
import { verifyAccountProof } from '../lib/blocks.mjs';
import { runCommand } from '../lib/process.mjs';
import { foundry } from '../lib/target.mjs';

export default async function ({ check, dev, account: { address, privateKey }, contracts, directory }) {
    const env = { ETH_RPC_URL: dev.l1.http, HOME: directory };
    const cast = async (...args) => (await runCommand(foundry('cast'), args, { env, cwd: directory })).trim();
    const json = async (...args) => JSON.parse(await cast(...args, '--json'));
    const rpc = async (method, ...params) =>
        JSON.parse(
            await cast(
                'rpc',
                method,
                ...params.map((param) => (typeof param === 'string' ? param : JSON.stringify(param))),
            ),
        );
    const send = (...args) => json('send', '--private-key', privateKey, ...args);
    const friend = privateKeyToAddress(generatePrivateKey());

    await check('the chain is described', async () => {
        assert.equal(await cast('chain-id'), String(dev.l1.chainId));
        const block = await json('block', 'latest');
        assert.equal(await cast('block', block.number, '--field', 'hash'), block.hash);
        assert.ok(Number(await cast('block-number')) >= Number(block.number));
        assert.ok(BigInt(await cast('gas-price')) > 0n);
        assert.ok(BigInt(await cast('base-fee')) > 0n);
        assert.ok((await cast('client')).length > 0);
    });

    await check('ether is sent', async () => {
        const before = BigInt(await cast('balance', address));
        const receipt = await send(friend, '--value', '1ether');
        assert.equal(receipt.status, '0x1');
        assert.equal(await cast('balance', friend, '--ether'), '1.000000000000000000');
        const fee = BigInt(receipt.gasUsed) * BigInt(receipt.effectiveGasPrice);
        assert.equal(BigInt(await cast('balance', address)), before - 10n ** 18n - fee);
        assert.equal(await cast('receipt', receipt.transactionHash, 'blockHash'), receipt.blockHash);
        assert.equal((await json('tx', receipt.transactionHash)).blockNumber, receipt.blockNumber);
        assert.equal(await cast('nonce', friend), '0');
    });

    const supply = '00'.repeat(31) + '64';
    const deployment = await send('--create', contracts.Ledger.bytecode + supply);
    const ledger = getAddress(deployment.contractAddress);
    const MOVE = 'move(address,uint256,string)';
    const EVENT = 'Moved(address indexed,address indexed,uint256,string)';
    const moved = await send(ledger, MOVE, friend, '7', 'by hand');

    await check('a contract is deployed, called and read', async () => {
        assert.equal(await cast('call', ledger, 'supply()(uint256)'), '100');
        assert.equal(await cast('call', ledger, 'balanceOf(address)(uint256)', friend), '7');
        assert.equal(
            await cast('call', ledger, 'balanceOf(address)(uint256)', friend, '--block', deployment.blockNumber),
            '0',
        );
        assert.equal(keccak256(await cast('code', ledger)), await cast('codehash', ledger));
    });

    await check('logs are found', async () => {
        const logs = await json(
            'logs',
            '--from-block',
            deployment.blockNumber,
            '--address',
            ledger,
            EVENT,
            address,
            friend,
        );
        assert.deepEqual(
            logs.map(({ transactionHash }) => transactionHash),
            [moved.transactionHash],
        );
        assert.equal(
            (await json('logs', '--from-block', deployment.blockNumber, '--address', ledger, EVENT)).length,
            2,
        );
    });

    const balanceSlot = keccak256(concat([pad(friend), pad('0x1')]));

    await check('storage is read', async () => {
        assert.equal(BigInt(await cast('storage', ledger, '0')), 100n);
        assert.equal(BigInt(await cast('storage', ledger, balanceSlot)), 7n);
        assert.equal(BigInt(await cast('storage', ledger, balanceSlot, '--block', deployment.blockNumber)), 0n);
    });

    await check('a proof of an account and a slot verifies', async () => {
        const block = await json('block', moved.blockNumber);
        const proof = await json('proof', ledger, balanceSlot, '--block', moved.blockNumber);
        const account = await verifyAccountProof(block.stateRoot, proof);
        assert.deepEqual(Object.values(account.slots), [7n]);
    });

    await check('gas is estimated, and an access list is created', async () => {
        const estimate = BigInt(await cast('estimate', ledger, MOVE, friend, '1', 'by hand', '--from', address));
        assert.ok(estimate >= 30_000n && estimate < 100_000n, `${estimate}`);
        const { accessList } = await json('access-list', ledger, MOVE, friend, '1', 'by hand', '--from', address);
        assert.deepEqual(
            accessList.map((entry) => getAddress(entry.address)),
            [ledger],
        );
        assert.ok(accessList[0].storageKeys.includes(balanceSlot));
    });

    await check('a reverting call tells why', async () => {
        await assert.rejects(cast('call', ledger, 'refuse()'), /refused/);
        await assert.rejects(cast('estimate', ledger, MOVE, friend, '500', '', '--from', address), /revert/);
    });

    await check('a transaction is re-executed locally from remote state (cast run)', async () => {
        const trace = await cast('run', moved.transactionHash);
        assert.match(trace, /Transaction successfully executed/);
        assert.match(trace, new RegExp(`Gas used: ${Number(moved.gasUsed)}`));
    });

    await check('trace_transaction tells of the call', async () => {
        const [{ action, result }] = await rpc('trace_transaction', moved.transactionHash);
        assert.deepEqual([action.callType, getAddress(action.from), getAddress(action.to)], ['call', address, ledger]);
        assert.equal(BigInt(result.output), 93n);
    });

    await check(
        'debug_traceTransaction knows the call tracer',
        async () => {
            const frame = await rpc('debug_traceTransaction', moved.transactionHash, {
                tracer: 'callTracer',
                tracerConfig: { withLog: true },
            });
            assert.deepEqual([frame.type, getAddress(frame.to), BigInt(frame.output)], ['CALL', ledger, 93n]);
            assert.equal(frame.gasUsed, moved.gasUsed);
            assert.equal(frame.logs.length, 1);
        },
        { needs: 'exact traces' },
    );

    await check('debug_traceTransaction knows the prestate tracer and its difference', async () => {
        const pre = await rpc('debug_traceTransaction', moved.transactionHash, { tracer: 'prestateTracer' });
        assert.equal(BigInt(pre[ledger.toLowerCase()].storage[balanceSlot] ?? 0), 0n);
        const config = { tracer: 'prestateTracer', tracerConfig: { diffMode: true } };
        const diff = await rpc('debug_traceTransaction', moved.transactionHash, config);
        assert.equal(BigInt(diff.post[ledger.toLowerCase()].storage[balanceSlot]), 7n);
        assert.equal(diff.post[address.toLowerCase()].nonce, diff.pre[address.toLowerCase()].nonce + 1);
    });

    await check(
        'debug_traceTransaction tells every step by default',
        async () => {
            const { structLogs, failed, gas } = await rpc('debug_traceTransaction', moved.transactionHash);
            assert.equal(failed, false);
            assert.equal(gas, Number(moved.gasUsed));
            assert.equal(structLogs.filter(({ op }) => op === 'SSTORE').length, 2);
            assert.equal(structLogs.at(-1).op, 'RETURN');
        },
        { needs: 'exact traces' },
    );

    await check('a blob is sent', async () => {
        const blob = join(directory, 'blob.txt');
        writeFileSync(blob, 'a blob from cast');
        const receipt = await send(friend, '--blob', '--path', blob, '--blob-gas-price', '1gwei');
        assert.deepEqual([receipt.type, receipt.status, Number(receipt.blobGasUsed)], ['0x3', '0x1', 131_072]);
        assert.match((await json('tx', receipt.transactionHash)).blobVersionedHashes[0], /^0x01/);
    });

    await check('an account delegates itself (EIP-7702)', async () => {
        const key = generatePrivateKey();
        const authority = privateKeyToAddress(key);
        const delegate = getAddress((await send('--create', contracts.Delegate.bytecode)).contractAddress);
        const authorization = await cast('wallet', 'sign-auth', delegate, '--private-key', key, '--nonce', '0');
        const receipt = await send(friend, '--auth', authorization);
        assert.deepEqual([receipt.type, receipt.status], ['0x4', '0x1']);
        assert.equal(await cast('code', authority), `0xef0100${delegate.slice(2).toLowerCase()}`);
    });
}
