//! Stopping and starting again on the same data: nothing that was answered is lost.

import assert from 'node:assert/strict';
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts';
import { skip } from '../lib/checks.mjs';
import { walletFor } from '../lib/traffic.mjs';
import { rpc } from '../lib/rpc.mjs';
import { until } from '../lib/wait.mjs';

export default async function ({ check, target, directory }) {
    if (target.missing.includes('restart')) skip('no restart here');
    const friend = privateKeyToAddress(generatePrivateKey());
    let sent = 0n;

    /** Signs a transfer of 1 wei, `ahead` nonces after the next one. */
    async function transfer({ client, wallet }, ahead = 0) {
        const nonce =
            (await client.getTransactionCount({ address: wallet.account.address, blockTag: 'pending' })) + ahead;
        const request = await wallet.prepareTransactionRequest({ to: friend, value: 1n, gas: 21_000n, nonce });
        const serializedTransaction = await wallet.signTransaction(request);
        sent += 1n;
        return client.sendRawTransaction({ serializedTransaction });
    }

    /** Every block up to `number` by its hash. */
    const hashesUpTo = async (call, number) =>
        Promise.all(
            Array.from(
                { length: number + 1 },
                async (_, at) => (await call('eth_getBlockByNumber', `0x${at.toString(16)}`, false))?.hash,
            ),
        );

    async function start(name) {
        const dev = await target.startDev({ directory, name });
        const { privateKey } = dev.accounts[0];
        return { dev, call: rpc(dev.l1.http), ...walletFor(dev.l1, privateKey) };
    }

    const headOf = async (node) => Number(await node.call('eth_blockNumber'));

    let node = await start('first');
    await node.mined(await transfer(node));
    const last = await node.mined(await transfer(node));
    // The gap before it keeps this one in the pool.
    const pooled = await transfer(node, 1);
    const before = await hashesUpTo(node.call, await headOf(node));

    await check('a second node on the same data is refused', async () => {
        const second = target.startDev({ directory, name: 'second' });
        await assert.rejects(
            second.then(({ server }) => server.stop()),
            /ended/,
        );
    });

    await check('it ends on SIGTERM with status 0', async () => {
        assert.equal((await node.dev.server.stop()).code, 0);
    });
    node = await start('after-sigterm');

    await check('all blocks are there again', async () => {
        assert.deepEqual(await hashesUpTo(node.call, before.length - 1), before);
        assert.equal(
            (await node.client.getTransactionReceipt({ hash: last.transactionHash })).blockHash,
            last.blockHash,
        );
        assert.equal(await node.client.getBalance({ address: friend }), 2n);
    });

    await check('the transaction that waited still waits, and is mined once its gap is filled', async () => {
        assert.equal((await node.client.getTransaction({ hash: pooled })).blockHash, null);
        await node.mined(await transfer(node));
        await node.mined(pooled);
    });

    await check('blocks go on', async () => {
        const head = await headOf(node);
        await until('two more blocks', async () => (await headOf(node)) >= head + 2);
    });

    const mined = await node.mined(await transfer(node));
    const settled = await hashesUpTo(node.call, await headOf(node));
    const unmined = await transfer(node);
    await node.dev.server.stop('SIGKILL');
    node = await start('after-sigkill');

    await check('after a kill, what is left is a chain that was there before, and it goes on', async () => {
        const head = await headOf(node);
        const kept = await hashesUpTo(node.call, Math.min(head, settled.length - 1));
        assert.deepEqual(kept.slice(0, before.length), before);
        await until('two more blocks', async () => (await headOf(node)) >= Math.max(head, settled.length) + 2);
    });

    await check('after a kill, what was answered is mined', async () => {
        for (const hash of [mined.transactionHash, unmined]) {
            assert.equal((await node.mined(hash)).status, 'success');
        }
        assert.equal(await node.client.getBalance({ address: friend }), sent);
    });

    await node.dev.server.stop();
}
