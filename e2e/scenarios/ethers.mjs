//! ethers: contracts, filters, subscriptions, batches and nonces, and every type of transaction.

import assert from 'node:assert/strict';
import {
    Contract,
    ContractFactory,
    JsonRpcProvider,
    NonceManager,
    Transaction,
    Wallet,
    WebSocketProvider,
    ZeroAddress,
    concat,
    isCallException,
    parseEther,
    zeroPadValue,
} from 'ethers';
import { blobOf, commit } from '../lib/blobs.mjs';
import { until, within } from '../lib/wait.mjs';

export default async function ({ check, dev, account: { privateKey }, contracts }) {
    const { Ledger, Delegate } = contracts;
    const network = { staticNetwork: true, polling: true, pollingInterval: 100, cacheTimeout: -1 };
    const provider = new JsonRpcProvider(dev.l1.http, dev.l1.chainId, network);
    const wallet = new Wallet(privateKey, provider);
    const mined = (tx) => within(30, `the receipt of ${tx.hash}`, tx.wait());

    try {
        const deploy = async ({ abi, bytecode }, ...args) => {
            const contract = await new ContractFactory(abi, bytecode, wallet).deploy(...args);
            await within(30, 'the deployment', contract.waitForDeployment());
            return contract;
        };
        const ledger = await deploy(Ledger, 1000n);
        const address = await ledger.getAddress();
        const bob = Wallet.createRandom(provider);

        await check('the network is the chain', async () => {
            assert.equal((await new JsonRpcProvider(dev.l1.http).getNetwork()).chainId, BigInt(dev.l1.chainId));
        });

        await check('a deployed contract answers calls and changes by transactions', async () => {
            assert.equal(await ledger.supply(), 1000n);
            assert.equal(await ledger.move.staticCall(bob.address, 5n, 'not sent'), 995n);
            const receipt = await mined(await ledger.move(bob.address, 5n, 'sent'));
            assert.equal(receipt.status, 1);
            assert.equal(await ledger.balanceOf(bob.address), 5n);
            assert.equal(await ledger.balanceOf(bob.address, { blockTag: receipt.blockNumber - 1 }), 0n);
        });

        await check('a custom error is decoded with its arguments', async () => {
            await assert.rejects(ledger.connect(bob).move.staticCall(wallet.address, 77n, ''), (error) => {
                assert.ok(isCallException(error));
                assert.equal(error.revert.name, 'Insufficient');
                assert.deepEqual([...error.revert.args], [bob.address, 5n, 77n]);
                return true;
            });
            await assert.rejects(ledger.refuse.staticCall(), { reason: 'refused' });
            await assert.rejects(ledger.move.estimateGas(bob.address, 10_000n, ''), (error) => isCallException(error));
        });

        await check('a mined failure is reported by its receipt', async () => {
            const tx = await ledger.move(bob.address, 10_000n, '', { gasLimit: 100_000n });
            await assert.rejects(mined(tx), (error) => isCallException(error) && error.receipt.status === 0);
        });

        await check('events are found by filter, by topics and by block', async () => {
            const receipt = await mined(await ledger.move(bob.address, 1n, 'filtered'));
            const found = await ledger.queryFilter(ledger.filters.Moved(null, bob.address), receipt.blockNumber);
            assert.deepEqual(
                found.map(({ args }) => args.memo),
                ['filtered'],
            );
            const { topicHash } = ledger.interface.getEvent('Moved');
            const either = [zeroPadValue(ZeroAddress, 32), zeroPadValue(wallet.address, 32)];
            const logs = await provider.getLogs({
                address,
                topics: [topicHash, either],
                fromBlock: 0,
                toBlock: 'latest',
            });
            assert.deepEqual(
                logs.map((log) => ledger.interface.parseLog(log).args.memo),
                ['genesis', 'sent', 'filtered'],
            );
            assert.deepEqual(
                await provider.getLogs({ address, topics: [topicHash, zeroPadValue(bob.address, 32)] }),
                [],
            );
        });

        await check('events and blocks are pushed over WebSocket', async () => {
            const socket = new WebSocketProvider(dev.l1.ws, dev.l1.chainId);
            try {
                const memos = [];
                const blocks = [];
                const listening = new Contract(address, Ledger.abi, socket);
                await listening.on('Moved', (from, to, amount, memo) => memos.push(memo));
                await socket.on('block', (number) => blocks.push(number));
                await until('a first block', () => blocks.length > 0);
                const receipt = await mined(await ledger.move(bob.address, 1n, 'pushed'));
                await until('the event', () => memos.includes('pushed'));
                await until('its block', () => blocks.includes(receipt.blockNumber));
                assert.deepEqual(memos, ['pushed']);
                await listening.removeAllListeners();
            } finally {
                await socket.destroy();
            }
        });

        await check('requests sent together are answered each', async () => {
            const numbers = Array.from({ length: 20 }, (_, index) => index % 2);
            const answers = await Promise.all([
                ...numbers.map((number) => provider.getBlock(number)),
                ledger.refuse.staticCall().catch((error) => error),
                provider.getBalance(wallet.address),
            ]);
            assert.deepEqual(
                answers.slice(0, 20).map(({ number }) => number),
                numbers,
            );
            assert.equal(answers[20].reason, 'refused');
            assert.ok(answers[21] > 0n);
        });

        await check('nonces count pending transactions, and neither used nor taken ones are accepted', async () => {
            const before = await provider.getTransactionCount(wallet.address, 'pending');
            const sender = new NonceManager(wallet);
            const sent = [];
            for (let index = 0; index < 5; index += 1) {
                sent.push(await sender.sendTransaction({ to: bob.address, value: 1n, gasLimit: 21_000n }));
            }
            assert.equal(await provider.getTransactionCount(wallet.address, 'pending'), before + 5);
            const receipts = await Promise.all(sent.map(mined));
            assert.ok(receipts.every(({ status }) => status === 1));
            assert.equal(await provider.getTransactionCount(wallet.address), before + 5);
            const used = { to: bob.address, value: 2n, gasLimit: 21_000n, nonce: before };
            await assert.rejects(wallet.sendTransaction(used), { code: 'NONCE_EXPIRED' });
        });

        await check('a transaction with a higher fee replaces one that waits', async () => {
            const nonce = await provider.getTransactionCount(wallet.address, 'pending');
            const { maxFeePerGas } = await provider.getFeeData();
            const fees = (times) => ({
                maxFeePerGas: maxFeePerGas * times,
                maxPriorityFeePerGas: 1_000_000_000n * times,
            });
            const transfer = (place, times) => ({
                to: bob.address,
                value: 1n,
                gasLimit: 21_000n,
                nonce: nonce + place,
                ...fees(times),
            });
            // A gap before it keeps the first from being mined at once.
            const first = await wallet.sendTransaction(transfer(1, 1n));
            await assert.rejects(wallet.sendTransaction({ ...transfer(1, 1n), value: 2n }), {
                code: 'REPLACEMENT_UNDERPRICED',
            });
            const second = await wallet.sendTransaction(transfer(1, 3n));
            await wallet.sendTransaction(transfer(0, 1n));
            assert.equal((await mined(second)).status, 1);
            assert.equal(await provider.getTransactionReceipt(first.hash), null);
        });

        await check('an access list is created, and is accepted in a transaction', async () => {
            const call = await ledger.move.populateTransaction(bob.address, 1n, 'listed');
            const request = { from: wallet.address, to: address, data: call.data };
            const { accessList, gasUsed } = await provider.send('eth_createAccessList', [request, 'latest']);
            assert.deepEqual(
                accessList.map((entry) => entry.address.toLowerCase()),
                [address.toLowerCase()],
            );
            assert.equal(accessList[0].storageKeys.length, 2);
            const receipt = await mined(await wallet.sendTransaction({ ...call, accessList }));
            assert.equal(receipt.gasUsed, BigInt(gasUsed));
        });

        await check('typed transactions 0, 1 and 2 are mined as such', async () => {
            for (const type of [0, 1, 2]) {
                const receipt = await mined(await wallet.sendTransaction({ type, to: bob.address, value: 1n }));
                assert.deepEqual([receipt.type, receipt.status], [type, 1]);
                assert.equal((await provider.getTransaction(receipt.hash)).type, type);
            }
        });

        await check('a blob transaction with cell proofs (type 3) is mined', async () => {
            const { blob, commitment, cellProofs } = await commit(blobOf('a blob from ethers'));
            const fields = await wallet.populateTransaction({
                type: 3,
                to: bob.address,
                gasLimit: 21_000n,
                maxFeePerBlobGas: 1_000_000_000n,
                blobVersionedHashes: [],
            });
            delete fields.from;
            const tx = Transaction.from({
                ...fields,
                blobVersionedHashes: null,
                blobWrapperVersion: 1,
                blobs: [{ data: blob, commitment, proof: concat(cellProofs) }],
            });
            tx.signature = wallet.signingKey.sign(tx.unsignedHash);
            const receipt = await mined(await provider.broadcastTransaction(tx.serialized));
            assert.deepEqual([receipt.type, receipt.status, receipt.blobGasUsed], [3, 1, 131_072n]);
            assert.deepEqual((await provider.getTransaction(tx.hash)).blobVersionedHashes, tx.blobVersionedHashes);
        });

        await check('a sponsored delegation (type 4) is mined', async () => {
            const delegate = await deploy(Delegate);
            const alice = Wallet.createRandom(provider);
            const authorization = await alice.authorize({
                address: await delegate.getAddress(),
                chainId: dev.l1.chainId,
                nonce: 0,
            });
            const tx = await wallet.sendTransaction({
                type: 4,
                to: alice.address,
                value: parseEther('0.1'),
                authorizationList: [authorization],
            });
            assert.equal((await mined(tx)).type, 4);
            assert.equal(
                await provider.getCode(alice.address),
                `0xef0100${(await delegate.getAddress()).slice(2).toLowerCase()}`,
            );
            assert.equal(await provider.getTransactionCount(alice.address), 1);
            const stranger = new Contract(alice.address, Delegate.abi, wallet);
            await assert.rejects(
                stranger.execute.staticCall([]),
                (error) => error.revert.name === 'OnlyTheAccountItself',
            );
        });

        await check('transactions that cannot be valid are refused with a reason', async () => {
            const poor = Wallet.createRandom(provider);
            const transfer = { to: bob.address, value: 1n, gasLimit: 21_000n };
            await assert.rejects(poor.sendTransaction(transfer), { code: 'INSUFFICIENT_FUNDS' });
            await assert.rejects(wallet.sendTransaction({ ...transfer, gasLimit: 20_000n }), /intrinsic gas/i);
            const foreign = await wallet.signTransaction({
                ...transfer,
                type: 2,
                chainId: 1,
                nonce: 0,
                maxFeePerGas: 10n ** 10n,
                maxPriorityFeePerGas: 1n,
            });
            await assert.rejects(provider.broadcastTransaction(foreign), /chain/i);
        });
    } finally {
        provider.destroy();
    }
}
