//! A union of rollups: contracts on one call those on another, and use what comes back.

import assert from 'node:assert/strict';
import { decodeErrorResult, parseAbi, parseEther } from 'viem';
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts';
import { skip } from '../lib/checks.mjs';
import { rpc } from '../lib/rpc.mjs';
import { walletFor } from '../lib/traffic.mjs';
import { until } from '../lib/wait.mjs';

const GATE = '0x42000000000000000000000000000000000000E0';
const PORT = '0x42000000000000000000000000000000000000E1';

export default async function ({ check, target, directory, contracts: { Callee, Caller, IGate } }) {
    if (target.missing.includes('rollups')) skip('no rollups here');
    const dev = await target.startDev({ directory, slotTime: 2, rollups: 'default' });
    const [home, peer] = dev.rollups.map((rollup) => ({
        ...rollup,
        ...walletFor(rollup, dev.accounts[0].privateKey),
        call: rpc(rollup.http),
        derived: rpc(rollup.follower.http),
    }));
    const gate = { address: GATE, abi: IGate.abi };

    /** Sends a call on the home rollup; its receipt. */
    const send = async (contract, functionName, args, value = 0n) => {
        const hash = await home.wallet.writeContract({ ...contract, functionName, args, value, gas: 2_000_000n });
        return home.mined(hash);
    };
    const deploy = async ({ wallet, mined }, { abi, bytecode }, args = []) => {
        const { contractAddress: address } = await mined(await wallet.deployContract({ abi, bytecode, args }));
        return { address, abi };
    };
    const read = ({ client }, contract, functionName, args = []) =>
        client.readContract({ ...contract, functionName, args });

    await check('both rollups advance, with blocks of the same times', async () => {
        assert.deepEqual([home.chainId, peer.chainId], [901, 902]);
        for (const { client } of [home, peer]) {
            const first = await client.getBlockNumber({ cacheTime: 0 });
            await until('another block', async () => (await client.getBlockNumber({ cacheTime: 0 })) > first);
        }
        const [a, b] = await Promise.all([home, peer].map(({ client }) => client.getBlock({ blockNumber: 1n })));
        assert.equal(a.timestamp, b.timestamp);
    });

    const callee = await deploy(peer, Callee);
    assert.equal((await send(gate, 'deployProxy', [BigInt(peer.chainId), callee.address])).status, 'success');
    const proxy = await read(home, gate, 'proxyOf', [BigInt(peer.chainId), callee.address]);
    const caller = await deploy(home, Caller, [proxy]);

    await check('a call goes there, back, and there again, and its result is used', async () => {
        const receipt = await send(caller, 'buy', [7n], 5n);
        assert.equal(receipt.status, 'success');
        assert.equal(await read(home, caller, 'lastQuote'), 141n);
        assert.equal(await read(home, caller, 'asked'), 1n);
        assert.equal(await read(peer, callee, 'sold'), 1n);
        assert.equal(await peer.client.getBalance({ address: callee.address }), 5n);
        const asCaller = await read(peer, gate, 'proxyOf', [BigInt(home.chainId), caller.address]);
        assert.equal(await read(peer, callee, 'customer'), asCaller);
        const raw = await home.call('eth_getBlockByHash', receipt.blockHash, true);
        const [part, user] = raw.transactions.slice(-2);
        assert.deepEqual([part.type, part.from, user.hash], ['0x7e', PORT.toLowerCase(), receipt.transactionHash]);
    });

    await check('what the peer reverts with is caught, and the ether comes back', async () => {
        const before = await home.client.getBalance({ address: caller.address });
        assert.equal((await send(caller, 'tryToBuy', [0n], 9n)).status, 'success');
        const { errorName, args } = decodeErrorResult({
            abi: parseAbi(['error SoldOut(uint256 item)']),
            data: await read(home, caller, 'lastError'),
        });
        assert.deepEqual([errorName, args], ['SoldOut', [0n]]);
        assert.equal(await home.client.getBalance({ address: caller.address }), before + 9n);
        assert.equal(await read(peer, callee, 'sold'), 1n);
    });

    await check('a transaction that reverts at the end leaves nothing on the peer', async () => {
        assert.equal((await send(caller, 'buyAndRegret', [7n], 5n)).status, 'reverted');
        assert.equal(await read(peer, callee, 'sold'), 1n);
        assert.equal(await peer.client.getBalance({ address: callee.address }), 5n);
    });

    await check('both rollups keep the same transcript, and agree on the ether between them', async () => {
        const at = ({ client }, other) => read({ client }, gate, 'transcript', [BigInt(other.chainId)]);
        const [[hash, sent, received], [there, sentThere, receivedThere]] = [await at(home, peer), await at(peer, home)];
        assert.equal(hash, there);
        assert.deepEqual([sent, received], [receivedThere, sentThere]);
        assert.deepEqual([sent, received], [5n, 0n]);
    });

    await check('a transaction is answered before its block is complete', async () => {
        const friend = privateKeyToAddress(generatePrivateKey());
        const request = await home.wallet.prepareTransactionRequest({ to: friend, value: parseEther('1'), gas: 21_000n });
        const raw = await home.wallet.signTransaction(request);
        const receipt = await home.call('eth_sendRawTransactionSync', raw);
        assert.equal(receipt.status, '0x1');
        const pending = await home.client.getBalance({ address: friend, blockTag: 'pending' });
        assert.equal(pending, parseEther('1'));
        await home.mined(receipt.transactionHash);
    });

    await check('a transaction becomes preconfirmed, posted and safe, in this order, and heads tell the same', async () => {
        const levels = ['pending', 'preconfirmed', 'posted', 'safe', 'settled', 'final'];
        const wrong = [];
        /** The levels that a new transaction goes through until it is safe. */
        const climb = async () => {
            const request = await home.wallet.prepareTransactionRequest({ to: home.wallet.account.address, value: 0n, gas: 21_000n });
            const { transactionHash: hash } = await home.call('eth_sendRawTransactionSync', await home.wallet.signTransaction(request));
            const seen = [];
            const isSafe = async () => {
                const heads = await home.call('lockstep_heads');
                const { level, blockNumber, blockHash } = await home.call('lockstep_confirmation', hash);
                if (seen.at(-1) !== level) seen.push(level);
                // The heads were asked for before: what they reach, the transaction has reached.
                const reached = levels.filter((name) => heads[name]?.hash && BigInt(heads[name].number) >= BigInt(blockNumber));
                if (reached.some((name) => levels.indexOf(name) > levels.indexOf(level))) wrong.push(`${reached}: ${level}`);
                if (level !== 'preconfirmed' && !blockHash) wrong.push(`${level} in an open block`);
                return ['safe', 'final'].includes(level);
            };
            await until('a transaction to be safe', isSafe, { seconds: 60, every: 0.05 });
            if (seen.some((level, index) => levels.indexOf(level) < levels.indexOf(seen[index - 1]))) wrong.push(seen.join());
            return seen;
        };
        // A node may see a batch on L1 and derive it at the same moment.
        const isWhole = async () => (await climb()).slice(0, 3).join() === 'preconfirmed,posted,safe';
        await until('a transaction that is seen at each level', isWhole, { seconds: 120 });
        assert.deepEqual(wrong, []);
        const heads = await home.call('lockstep_heads');
        const numbers = ['preconfirmed', 'posted', 'safe'].map((name) => Number(heads[name].number));
        assert.deepEqual(numbers, [...numbers].sort((a, b) => b - a));
        assert.equal(heads.settled, null);
        // A node that only derives has not seen what was posted.
        assert.equal((await home.derived('lockstep_heads')).posted, null);
    });

    await check('nodes that know one rollup alone derive the same from L1', async () => {
        for (const { client, call, derived } of [home, peer]) {
            const number = Number(await client.getBlockNumber({ cacheTime: 0 }));
            await until(
                'the block to become safe',
                async () => (await derived('optimism_syncStatus')).safe_l2.number >= number,
                { seconds: 90 },
            );
            const at = `0x${number.toString(16)}`;
            const [made, found] = await Promise.all([call, derived].map((ask) => ask('eth_getBlockByNumber', at, false)));
            assert.equal(made.hash, found.hash);
        }
        assert.equal(await walletFor({ ...peer, http: peer.follower.http }, dev.accounts[0].privateKey).client.getBalance({ address: callee.address }), 5n);
    });

    await check('it ends on SIGTERM with status 0', async () => {
        assert.equal((await dev.server.stop()).code, 0);
    });
}
