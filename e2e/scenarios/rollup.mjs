//! A rollup of the dev chain, seen by viem and by the rollup methods that other stacks' tools call.

import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { concat, keccak256, pad, parseEther } from 'viem';
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts';
import { getL2TransactionHashes } from 'viem/op-stack';
import { skip } from '../lib/checks.mjs';
import { verifyAccountProof } from '../lib/blocks.mjs';
import { bridgeOf, finalize } from '../lib/bridge.mjs';
import { rpc } from '../lib/rpc.mjs';
import { walletFor } from '../lib/traffic.mjs';
import { until } from '../lib/wait.mjs';

const MESSAGE_PASSER = '0x4200000000000000000000000000000000000016';
const EMPTY_ROOT = '0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421'; // of a trie without nodes
const L1_BLOCK = '0x4200000000000000000000000000000000000015';

export default async function ({ check, target: program, dev, account: { privateKey }, contracts: { Ledger }, directory }) {
    if (dev.rollups.length === 0) skip('no rollups here');
    const [rollup] = dev.rollups;
    const { client, wallet, mined } = walletFor(rollup, privateKey);
    const call = rpc(rollup.http);
    const onL1 = rpc(dev.l1.http);
    const friend = privateKeyToAddress(generatePrivateKey());

    await check('the rollup has its own chain id, and its blocks advance', async () => {
        assert.equal(await client.getChainId(), rollup.chainId);
        assert.notEqual(rollup.chainId, dev.l1.chainId);
        const first = await client.getBlockNumber({ cacheTime: 0 });
        await until('another block', async () => (await client.getBlockNumber({ cacheTime: 0 })) > first);
    });

    await check('a contract is deployed, called and changed, and tells by events', async () => {
        const { contractAddress: address } = await mined(
            await wallet.deployContract({ abi: Ledger.abi, bytecode: Ledger.bytecode, args: [1000n] }),
        );
        const ledger = { address, abi: Ledger.abi };
        const hash = await wallet.writeContract({ ...ledger, functionName: 'move', args: [friend, 7n, 'rolled up'] });
        const receipt = await mined(hash);
        assert.equal(receipt.status, 'success');
        assert.equal(await client.readContract({ ...ledger, functionName: 'balanceOf', args: [friend] }), 7n);
        const logs = await client.getContractEvents({
            ...ledger,
            eventName: 'Moved',
            args: { to: friend },
            fromBlock: receipt.blockNumber,
        });
        assert.deepEqual(
            logs.map(({ args }) => args.memo),
            ['rolled up'],
        );
    });

    await check('every block begins with the deposit that tells of L1, and receipts tell the fee for L1', async () => {
        const receipt = await mined(await wallet.sendTransaction({ to: friend, value: 1n }));
        const block = await call('eth_getBlockByHash', receipt.blockHash, true);
        assert.deepEqual([block.transactions[0].type, block.transactions[0].to], ['0x7e', L1_BLOCK]);
        const raw = await call('eth_getTransactionReceipt', receipt.transactionHash);
        assert.ok(BigInt(raw.l1Fee) >= 0n);
        assert.ok(BigInt(raw.l1GasPrice) >= 0n);
    });

    const config = await check('optimism_rollupConfig describes this rollup', async () => {
        const config = await call('optimism_rollupConfig');
        assert.deepEqual([config.l1_chain_id, config.l2_chain_id], [dev.l1.chainId, rollup.chainId]);
        assert.equal(config.genesis.l2.hash, (await call('eth_getBlockByNumber', '0x0', false)).hash);
        const origin = `0x${config.genesis.l1.number.toString(16)}`;
        assert.equal(config.genesis.l1.hash, (await onL1('eth_getBlockByNumber', origin, false)).hash);
        return config;
    });

    await check('optimism_syncStatus orders its heads', async () => {
        const status = await call('optimism_syncStatus');
        const { unsafe_l2: unsafe, safe_l2: safe, finalized_l2: finalized } = status;
        assert.ok(unsafe.number >= safe.number && safe.number >= finalized.number);
        assert.ok(
            status.head_l1.number >= status.safe_l1.number && status.safe_l1.number >= status.finalized_l1.number,
        );
        const block = await call('eth_getBlockByNumber', `0x${unsafe.number.toString(16)}`, false);
        assert.deepEqual(
            [block.hash, Number(block.timestamp), block.parentHash],
            [unsafe.hash, unsafe.timestamp, unsafe.parentHash],
        );
        const origin = await onL1('eth_getBlockByNumber', `0x${unsafe.l1origin.number.toString(16)}`, false);
        assert.equal(origin.hash, unsafe.l1origin.hash);
        if (config) assert.equal(unsafe.timestamp, config.genesis.l2_time + unsafe.number * config.block_time);
    });

    await check('optimism_outputAtBlock gives the output root, and its parts are proven', async () => {
        const { number } = (await call('optimism_syncStatus')).unsafe_l2;
        const at = `0x${number.toString(16)}`;
        const output = await call('optimism_outputAtBlock', at);
        const block = await call('eth_getBlockByNumber', at, false);
        const proof = await call('eth_getProof', MESSAGE_PASSER, [], at);
        const { storageHash = EMPTY_ROOT } = await verifyAccountProof(block.stateRoot, proof);
        assert.equal(output.stateRoot, block.stateRoot);
        assert.equal(output.withdrawalStorageRoot, storageHash);
        assert.equal(output.blockRef.hash, block.hash);
        const parts = [pad('0x0'), block.stateRoot, storageHash, block.hash];
        assert.equal(output.outputRoot, keccak256(concat(parts)));
    });

    const bridge = bridgeOf(dev.l1, rollup, privateKey);
    const derived = rpc(rollup.follower.http);

    await check('what is sequenced is posted, and becomes safe for a node that reads the L1 alone', async () => {
        const { hash, number } = (await call('optimism_syncStatus')).unsafe_l2;
        await until('the block to become safe', async () => {
            const [sequencer, follower] = await Promise.all([call('optimism_syncStatus'), derived('optimism_syncStatus')]);
            return sequencer.safe_l2.number >= number && follower.safe_l2.number >= number;
        }, { seconds: 90 });
        const at = `0x${number.toString(16)}`;
        assert.equal((await derived('eth_getBlockByNumber', at, false)).hash, hash);
    });

    await check('a node of its own derives the same chain from L1, from the first block on', async () => {
        const files = dirname(rollup.rollupConfig);
        const node = await program.startRollupNode({ directory, files, l1: dev.l1, rollup });
        const own = rpc(node.http);
        const { finalized_l2: first, safe_l2: goal } = await derived('optimism_syncStatus');
        await until('it to catch up', async () => (await own('optimism_syncStatus')).safe_l2.number >= goal.number, { seconds: 60 });
        const at = `0x${goal.number.toString(16)}`;
        assert.equal((await own('eth_getBlockByNumber', at, false)).hash, goal.hash);
        const { l1: origin } = (await own('optimism_rollupConfig')).genesis;
        const { blockRef } = await own('optimism_outputAtBlock', '0x0');
        assert.deepEqual(blockRef.l1origin, origin);
        if (first.number === 0) assert.deepEqual(first.l1origin, origin);
        assert.equal((await node.server.stop()).code, 0);
    });

    await check('a deposit on L1 arrives on the rollup', async () => {
        const { account } = bridge;
        const request = await bridge.rollup.reader.buildDepositTransaction({ account, mint: parseEther('1'), to: friend });
        const before = await client.getBalance({ address: friend });
        const receipt = await bridge.l1.mined(await bridge.l1.wallet.depositTransaction(request));
        assert.equal(receipt.status, 'success');
        const [hash] = getL2TransactionHashes(receipt);
        assert.equal((await bridge.rollup.mined(hash)).status, 'success');
        assert.equal(await client.getBalance({ address: friend }), before + parseEther('1'));
    });

    await check('the fee for L1 is estimated from what the rollup knows of L1', async () => {
        assert.ok((await bridge.rollup.reader.getL1BaseFee()) > 0n);
        assert.ok((await bridge.rollup.reader.estimateL1Fee({ account: bridge.account, to: friend, value: 1n })) > 0n);
    });

    await check('a withdrawal is proven against a claimed output, and paid out on L1', async () => {
        const { account, l1, rollup: l2, target: targetChain } = bridge;
        const heir = privateKeyToAddress(generatePrivateKey());
        const request = await l1.reader.buildInitiateWithdrawal({
            ...{ account, to: heir, value: parseEther('0.25') },
            gas: 50_000n, // asked about it, the L1 would take the zero address for the sender
        });
        const receipt = await l2.mined(await l2.wallet.initiateWithdrawal(request));
        await finalize(bridge, receipt);
        assert.equal(await l1.reader.getWithdrawalStatus({ receipt, targetChain }), 'finalized');
        assert.equal(await l1.reader.getBalance({ address: heir }), parseEther('0.25'));
    });
}
