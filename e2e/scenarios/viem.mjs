//! viem: what a web application does, over HTTP and WebSocket, with every kind of transaction.

import assert from 'node:assert/strict';
import {
    BaseError,
    ContractFunctionRevertedError,
    createPublicClient,
    createWalletClient,
    defineChain,
    encodeFunctionData,
    getAddress,
    http,
    keccak256,
    numberToHex,
    parseEther,
    parseEventLogs,
    parseGwei,
    webSocket,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { blobOf, commit, withBlobProofs, withCellProofs } from '../lib/blobs.mjs';
import { rpc } from '../lib/rpc.mjs';
import { until, within } from '../lib/wait.mjs';

export default async function ({ check, dev, account: { privateKey }, contracts }) {
    const { Ledger, Delegate, Environment } = contracts;
    const chain = defineChain({
        id: dev.l1.chainId,
        name: 'dev',
        nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
        rpcUrls: { default: { http: [dev.l1.http], webSocket: [dev.l1.ws] } },
    });
    const account = privateKeyToAccount(privateKey);
    const options = { chain, pollingInterval: 100 };
    const client = createPublicClient({ ...options, transport: http() });
    const wallet = createWalletClient({ ...options, account, transport: http() });
    const call = rpc(dev.l1.http);
    const bob = privateKeyToAccount(generatePrivateKey());

    const mined = (hash) => client.waitForTransactionReceipt({ hash, timeout: 30_000 });
    async function deploy({ abi, bytecode }, ...args) {
        const receipt = await mined(await wallet.deployContract({ abi, bytecode, args }));
        assert.equal(receipt.status, 'success');
        return { abi, address: getAddress(receipt.contractAddress), receipt };
    }

    const ledger = await deploy(Ledger, 1000n);
    const read = (functionName, args = [], more = {}) =>
        client.readContract({ ...ledger, functionName, args, ...more });
    const move = (to, amount, memo) =>
        wallet.writeContract({ ...ledger, functionName: 'move', args: [to, amount, memo] });

    await check('the chain id, a block and a balance are served', async () => {
        assert.equal(await client.getChainId(), dev.l1.chainId);
        const block = await client.getBlock();
        assert.equal((await client.getBlock({ blockHash: block.hash })).number, block.number);
        assert.ok((await client.getBalance({ address: account.address })) > parseEther('1'));
        assert.equal(await client.getBalance({ address: bob.address }), 0n);
    });

    await check('a deployed contract has code and answers calls', async () => {
        assert.ok((await client.getCode({ address: ledger.address })).length > 100);
        assert.equal(await read('supply'), 1000n);
        assert.equal(await read('balanceOf', [account.address]), 1000n);
        assert.equal(BigInt(await client.getStorageAt({ address: ledger.address, slot: '0x0' })), 1000n);
    });

    await check('a call changes state, leaves a log, and the past stays readable', async () => {
        const receipt = await mined(await move(bob.address, 7n, 'lunch'));
        const [{ args }] = parseEventLogs({ abi: ledger.abi, logs: receipt.logs, eventName: 'Moved' });
        assert.deepEqual(args, { from: account.address, to: bob.address, amount: 7n, memo: 'lunch' });
        assert.equal(await read('balanceOf', [bob.address]), 7n);
        assert.equal(await read('balanceOf', [bob.address], { blockNumber: receipt.blockNumber - 1n }), 0n);
        const events = await client.getContractEvents({
            ...ledger,
            eventName: 'Moved',
            args: { to: bob.address },
            fromBlock: ledger.receipt.blockNumber,
            toBlock: receipt.blockNumber,
        });
        assert.deepEqual(
            events.map(({ transactionHash }) => transactionHash),
            [receipt.transactionHash],
        );
        assert.equal(events[0].blockHash, receipt.blockHash);
    });

    await check('reverts carry their reason, their panic code or their custom error', async () => {
        const revertOf = async (functionName, args) => {
            const error = await client.simulateContract({ ...ledger, account: bob, functionName, args }).then(
                () => assert.fail(`${functionName} did not revert`),
                (error) => error,
            );
            assert.ok(error instanceof BaseError, error);
            return error.walk((cause) => cause instanceof ContractFunctionRevertedError);
        };
        assert.equal((await revertOf('refuse', [])).reason, 'refused');
        assert.deepEqual((await revertOf('overflow', [1n])).data.args, [0x11n]);
        const { errorName, args } = (await revertOf('move', [account.address, 50n, ''])).data;
        assert.deepEqual([errorName, args], ['Insufficient', [bob.address, 7n, 50n]]);
    });

    await check('a failed transaction is mined with status reverted', async () => {
        const data = encodeFunctionData({ ...ledger, functionName: 'refuse' });
        const receipt = await mined(await wallet.sendTransaction({ to: ledger.address, data, gas: 100_000n }));
        assert.equal(receipt.status, 'reverted');
        assert.equal(receipt.logs.length, 0);
    });

    await check('transactions of type 0, 1 and 2 are mined as such', async () => {
        const gasPrice = 2n * (await client.getGasPrice());
        const accessList = [{ address: ledger.address.toLowerCase(), storageKeys: [numberToHex(0, { size: 32 })] }];
        const types = {
            legacy: { gasPrice },
            eip2930: { gasPrice, accessList },
            eip1559: { maxFeePerGas: gasPrice + parseGwei('1'), maxPriorityFeePerGas: parseGwei('1'), accessList },
        };
        for (const [type, fields] of Object.entries(types)) {
            const hash = await wallet.sendTransaction({ type, to: bob.address, value: 1n, ...fields });
            const receipt = await mined(hash);
            const tx = await client.getTransaction({ hash });
            assert.equal(receipt.status, 'success');
            assert.equal(receipt.type, type);
            assert.equal(tx.type, type);
            if (type !== 'legacy') assert.deepEqual(tx.accessList, accessList);
        }
    });

    await check('a blob transaction with cell proofs is mined, and its contract sees the blob', async () => {
        const environment = await deploy(Environment);
        const sidecar = await commit(blobOf('a blob from viem'));
        const data = encodeFunctionData({ abi: environment.abi, functionName: 'recordBlob' });
        const request = await wallet.prepareTransactionRequest({
            type: 'eip4844',
            to: environment.address,
            data,
            blobVersionedHashes: [sidecar.versionedHash],
            maxFeePerBlobGas: 10n * (await client.getBlobBaseFee()),
        });
        const signed = await wallet.signTransaction(request);
        assert.equal(
            await client.sendRawTransaction({ serializedTransaction: withCellProofs(signed, [sidecar]) }),
            keccak256(signed),
        );
        const receipt = await mined(keccak256(signed));
        assert.equal(receipt.status, 'success');
        assert.equal(receipt.blobGasUsed, 131_072n);
        assert.equal(await client.readContract({ ...environment, functionName: 'firstBlob' }), sidecar.versionedHash);
        assert.equal(
            await client.readContract({ ...environment, functionName: 'blobBaseFeeSeen' }),
            receipt.blobGasPrice,
        );
        assert.ok((await client.getBlock({ blockHash: receipt.blockHash })).blobGasUsed >= 131_072n);
    });

    await check(
        'a blob transaction with a wrong proof is refused, one with a proof per blob is converted',
        async () => {
            const sidecar = await commit(blobOf('converted'));
            const request = await wallet.prepareTransactionRequest({
                type: 'eip4844',
                to: bob.address,
                blobVersionedHashes: [sidecar.versionedHash],
                maxFeePerBlobGas: parseGwei('1'),
            });
            const signed = await wallet.signTransaction(request);
            const [first, second, ...others] = sidecar.cellProofs;
            const swapped = { ...sidecar, cellProofs: [second, first, ...others] };
            await assert.rejects(call('eth_sendRawTransaction', withCellProofs(signed, [swapped])));
            await assert.rejects(call('eth_sendRawTransaction', signed));
            const hash = await call('eth_sendRawTransaction', withBlobProofs(signed, [sidecar]));
            assert.equal((await client.waitForTransactionReceipt({ hash })).status, 'success');
        },
        { needs: 'checks of blob proofs' },
    );

    await check(
        'an account delegates to a contract, sends two calls at once, and ends its delegation (EIP-7702)',
        async () => {
            const { address: delegate } = await deploy(Delegate);
            const alice = privateKeyToAccount(generatePrivateKey());
            await mined(await wallet.sendTransaction({ to: alice.address, value: parseEther('1') }));
            const aliceWallet = createWalletClient({ ...options, account: alice, transport: http() });

            const authorization = await aliceWallet.signAuthorization({ contractAddress: delegate, executor: 'self' });
            const send = (to, value) => ({ to, value, data: '0x' });
            const calls = [send(bob.address, 5n), send(account.address, 6n)];
            const hash = await aliceWallet.writeContract({
                abi: Delegate.abi,
                address: alice.address,
                functionName: 'execute',
                args: [calls],
                authorizationList: [authorization],
            });
            const receipt = await mined(hash);
            assert.deepEqual([receipt.status, receipt.type], ['success', 'eip7702']);
            const [{ args }] = parseEventLogs({ abi: Delegate.abi, logs: receipt.logs });
            assert.deepEqual(args, { account: alice.address, calls: 2n });
            assert.equal(
                await client.getCode({ address: alice.address }),
                `0xef0100${delegate.slice(2).toLowerCase()}`,
            );
            assert.equal((await client.getTransaction({ hash })).authorizationList[0].nonce, 1);

            const nobody = '0x0000000000000000000000000000000000000000';
            const end = await aliceWallet.signAuthorization({ contractAddress: nobody, executor: 'self' });
            await mined(await aliceWallet.sendTransaction({ to: alice.address, authorizationList: [end] }));
            assert.equal(await client.getCode({ address: alice.address }), undefined);
        },
    );

    await check('eth_sendRawTransactionSync answers with the receipt', async () => {
        const request = await wallet.prepareTransactionRequest({ to: bob.address, value: 3n });
        const signed = await wallet.signTransaction(request);
        const receipt = await call('eth_sendRawTransactionSync', signed);
        assert.equal(receipt.transactionHash, keccak256(signed));
        assert.equal(receipt.status, '0x1');
        assert.deepEqual(await call('eth_getTransactionReceipt', receipt.transactionHash), receipt);
    });

    await check('gas estimates suffice, and the fee history tells of every block', async () => {
        const gas = await client.estimateContractGas({
            ...ledger,
            account,
            functionName: 'move',
            args: [bob.address, 1n, 'gas'],
        });
        const hash = await wallet.writeContract({
            ...ledger,
            functionName: 'move',
            args: [bob.address, 1n, 'gas'],
            gas,
        });
        const receipt = await mined(hash);
        assert.equal(receipt.status, 'success');
        const last = receipt.blockNumber;
        const history = await client.getFeeHistory({
            blockCount: 4,
            blockNumber: last,
            rewardPercentiles: [10, 50, 90],
        });
        assert.equal(history.oldestBlock, last - 3n);
        assert.equal(history.baseFeePerGas.length, 5);
        assert.equal(history.reward.length, 4);
        for (const [index, ratio] of history.gasUsedRatio.entries()) {
            const block = await client.getBlock({ blockNumber: history.oldestBlock + BigInt(index) });
            assert.equal(history.baseFeePerGas[index], block.baseFeePerGas);
            assert.ok(Math.abs(ratio - Number(block.gasUsed) / Number(block.gasLimit)) < 1e-6);
        }
    });

    await check('calls are simulated in sequence, over blocks and with overridden state (eth_simulateV1)', async () => {
        const on = { to: ledger.address, abi: ledger.abi };
        const moveOf = (to, amount) => ({ ...on, functionName: 'move', args: [to, amount, 'simulated'] });
        const { results } = await client.simulateCalls({
            account: account.address,
            calls: [
                moveOf(bob.address, 10n),
                { ...on, functionName: 'balanceOf', args: [bob.address] },
                moveOf(bob.address, 10_000n),
            ],
        });
        const before = await read('balanceOf', [bob.address]);
        assert.deepEqual(
            results.map(({ status }) => status),
            ['success', 'success', 'failure'],
        );
        assert.equal(results[1].result, before + 10n);
        assert.equal(results[0].logs.length, 1);

        const poor = privateKeyToAccount(generatePrivateKey()).address;
        const blocks = await client.simulateBlocks({
            blocks: [
                {
                    stateOverrides: [{ address: poor, balance: parseEther('2') }],
                    calls: [{ account: poor, to: bob.address, value: parseEther('1') }],
                },
                { blockOverrides: { time: 9_999_999_999n }, calls: [{ account: poor, to: bob.address, value: 1n }] },
            ],
        });
        assert.deepEqual(
            blocks.flatMap(({ calls }) => calls.map(({ status }) => status)),
            ['success', 'success'],
        );
        assert.equal(blocks[1].number, blocks[0].number + 1n);
        assert.equal(blocks[1].timestamp, 9_999_999_999n);
        assert.equal(await client.getBalance({ address: poor }), 0n);
    });

    await check('blocks, logs and pending transactions are pushed over WebSocket', async () => {
        const socket = createPublicClient({ ...options, transport: webSocket(dev.l1.ws, { reconnect: false }) });
        const blocks = [];
        const logs = [];
        const pending = [];
        const onError = (error) => assert.fail(error);
        const ends = [
            socket.watchBlocks({ onBlock: (block) => blocks.push(block), onError }),
            socket.watchContractEvent({
                ...ledger,
                eventName: 'Moved',
                args: { to: bob.address },
                onLogs: (more) => logs.push(...more),
                onError,
            }),
            socket.watchPendingTransactions({ onTransactions: (hashes) => pending.push(...hashes), onError }),
        ];
        try {
            await until('a first block', () => blocks.length > 0);
            const hash = await move(bob.address, 1n, 'pushed');
            const receipt = await mined(hash);
            await until('the log', () => logs.some(({ transactionHash }) => transactionHash === hash));
            await until('the pending transaction', () => pending.includes(hash));
            await until('its block and two more', () =>
                blocks.some(({ number }) => number >= receipt.blockNumber + 2n),
            );
            const numbers = blocks.map(({ number }) => number);
            assert.deepEqual(
                numbers,
                numbers.map((_, index) => numbers[0] + BigInt(index)),
                'no block is missed or sent twice',
            );
            assert.equal(blocks.find(({ number }) => number === receipt.blockNumber).hash, receipt.blockHash);
        } finally {
            ends.forEach((end) => end());
            (await socket.transport.getRpcClient()).close();
        }
    });

    await check('many transactions sent at once are mined in the order of their nonces', async () => {
        const nonce = await client.getTransactionCount({ address: account.address, blockTag: 'pending' });
        const order = [3, 1, 4, 0, 2, 7, 6, 5];
        const hashes = await Promise.all(
            order.map((place) =>
                wallet.sendTransaction({ to: bob.address, value: 1n, gas: 21_000n, nonce: nonce + place }),
            ),
        );
        const receipts = await within(30, 'all receipts', Promise.all(hashes.map(mined)));
        const places = receipts.map(
            ({ blockNumber, transactionIndex }) => Number(blockNumber) * 10_000 + transactionIndex,
        );
        const byNonce = order.map((place, index) => [place, places[index]]).sort(([a], [b]) => a - b);
        assert.deepEqual(
            byNonce.map(([, at]) => at),
            [...places].sort((a, b) => a - b),
        );
    });
}
