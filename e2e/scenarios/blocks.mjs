//! Trusting nothing: the hash and the roots of blocks with every type of transaction are recomputed from what RPC
//! tells, and account and storage proofs are verified against the state root.

import assert from 'node:assert/strict';
import { concat, keccak256, pad } from 'viem';
import { privateKeyToAddress } from 'viem/accounts';
import { bloomOf, blockHash, orderedRoot, receiptBytes, transactionBytes, verifyAccountProof } from '../lib/blocks.mjs';
import { rpc } from '../lib/rpc.mjs';
import { sendEveryType } from '../lib/traffic.mjs';

const EMPTY_CODE = keccak256('0x');

export default async function ({ check, dev, account: { privateKey }, contracts }) {
    const call = rpc(dev.l1.http);
    const { receipts, ledger, authority } = await sendEveryType(dev.l1, privateKey, contracts, { cellProofs: true });
    const sender = privateKeyToAddress(privateKey);

    await check('transactions of every type were mined', () => {
        assert.deepEqual([...new Set(receipts.map(({ type }) => type))].sort(), [
            'eip1559',
            'eip2930',
            'eip4844',
            'eip7702',
            'legacy',
        ]);
        assert.equal(receipts.filter(({ status }) => status === 'reverted').length, 1);
    });

    const hashes = [...new Set(receipts.map((receipt) => receipt.blockHash))];
    const blocks = await Promise.all(hashes.map((hash) => call('eth_getBlockByHash', hash, true)));

    await check(
        'the bytes of every transaction give its hash, and together the transactions root',
        async () => {
            for (const block of blocks) {
                const transactions = block.transactions.map(transactionBytes);
                assert.deepEqual(
                    transactions.map((bytes) => keccak256(bytes)),
                    block.transactions.map(({ hash }) => hash),
                );
                assert.equal(await orderedRoot(transactions), block.transactionsRoot);
            }
        },
        { needs: 'verifiable blocks' },
    );

    await check(
        'raw transactions are served as they were hashed',
        async () => {
            for (const { transactions } of blocks) {
                for (const tx of transactions) {
                    assert.equal(await call('eth_getRawTransactionByHash', tx.hash), transactionBytes(tx));
                }
            }
        },
        { needs: 'verifiable blocks' },
    );

    await check('receipts and their blooms give the receipts root, and the logs the bloom of the block', async () => {
        for (const block of blocks) {
            const ofBlock = await call('eth_getBlockReceipts', block.hash);
            assert.equal(await orderedRoot(ofBlock.map(receiptBytes)), block.receiptsRoot);
            for (const receipt of ofBlock) {
                assert.equal(receipt.logsBloom, bloomOf(receipt.logs));
                assert.deepEqual(await call('eth_getTransactionReceipt', receipt.transactionHash), receipt);
            }
            assert.equal(block.logsBloom, bloomOf(ofBlock.flatMap(({ logs }) => logs)));
            const byHash = await call('eth_getLogs', { blockHash: block.hash });
            assert.deepEqual(
                byHash,
                ofBlock.flatMap(({ logs }) => logs),
            );
            assert.equal(BigInt(block.gasUsed), BigInt(ofBlock.at(-1).cumulativeGasUsed));
        }
    });

    await check(
        'the fields of every header give the hash of its block, back to genesis',
        async () => {
            let block = blocks.at(-1);
            for (;;) {
                assert.equal(blockHash(block), block.hash, `block ${Number(block.number)}`);
                if (block.number === '0x0') break;
                const parent = await call('eth_getBlockByHash', block.parentHash, false);
                assert.equal(BigInt(parent.number) + 1n, BigInt(block.number));
                assert.ok(BigInt(block.timestamp) > BigInt(parent.timestamp));
                block = parent;
            }
        },
        { needs: 'verifiable blocks' },
    );

    const last = blocks.at(-1);
    const proofOf = (address, slots = []) => call('eth_getProof', address, slots, { blockHash: last.hash });

    await check('a proof of the sender holds under the state root and tells its balance and nonce', async () => {
        const proof = await proofOf(sender);
        const account = await verifyAccountProof(last.stateRoot, proof);
        assert.deepEqual(
            [account.nonce, account.balance, account.codeHash],
            [BigInt(proof.nonce), BigInt(proof.balance), EMPTY_CODE],
        );
        assert.equal(account.balance, BigInt(await call('eth_getBalance', sender, last.number)));
        assert.equal(account.nonce, BigInt(await call('eth_getTransactionCount', sender, last.number)));
    });

    await check('a proof of a contract holds for its code, its slots and a slot that is empty', async () => {
        const balanceSlot = keccak256(concat([pad(sender), pad('0x1')]));
        const emptySlot = keccak256('0x');
        const slots = [pad('0x0'), balanceSlot, emptySlot];
        const proof = await proofOf(ledger, slots);
        const account = await verifyAccountProof(last.stateRoot, proof);
        assert.equal(account.codeHash, keccak256(await call('eth_getCode', ledger, last.number)));
        assert.equal(account.storageHash, proof.storageHash);
        assert.deepEqual(
            Object.values(account.slots),
            proof.storageProof.map(({ value }) => BigInt(value)),
        );
        assert.deepEqual(Object.values(account.slots), [1000n, 997n, 0n]);
    });

    await check('a proof of a delegated account holds for its delegation', async () => {
        const account = await verifyAccountProof(last.stateRoot, await proofOf(authority));
        assert.equal(account.codeHash, keccak256(await call('eth_getCode', authority, last.number)));
        assert.equal(account.nonce, 1n);
    });

    await check('a proof of absence holds for an address nobody used', async () => {
        const nobody = `0x${keccak256(ledger).slice(-40)}`;
        assert.equal((await verifyAccountProof(last.stateRoot, await proofOf(nobody))).exists, false);
    });

    await check('a proof with one changed node does not hold', async () => {
        const proof = await proofOf(sender);
        const node = proof.accountProof.at(-1);
        const changed = node.slice(0, -2) + (node.endsWith('00') ? '01' : '00');
        const forged = { ...proof, accountProof: [...proof.accountProof.slice(0, -1), changed] };
        await assert.rejects(verifyAccountProof(last.stateRoot, forged));
    });
}
