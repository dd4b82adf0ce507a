//! A block as RPC tells it, put back into bytes: whoever recomputes its hash and roots need not trust the node.

import { createMPT, verifyMerkleProof } from '@ethereumjs/mpt';
import { Transaction } from 'ethers';
import { bytesToHex, concat, fromRlp, hexToBytes, keccak256, numberToHex, toRlp, trim } from 'viem';

/** A quantity as RLP wants it: no leading zeros, and nothing for zero. */
const quantity = (hex) => (BigInt(hex) === 0n ? '0x' : trim(numberToHex(BigInt(hex))));

/** Fields of a header in RLP's order; those after the nonce came with a fork and are absent before it. */
const HEADER = [
    ...['parentHash', 'sha3Uncles', 'miner', 'stateRoot', 'transactionsRoot', 'receiptsRoot', 'logsBloom'],
    ...['difficulty', 'number', 'gasLimit', 'gasUsed', 'timestamp', 'extraData', 'mixHash', 'nonce'],
    ...['baseFeePerGas', 'withdrawalsRoot', 'blobGasUsed', 'excessBlobGas', 'parentBeaconBlockRoot', 'requestsHash'],
];
const QUANTITIES = new Set([
    ...['difficulty', 'number', 'gasLimit', 'gasUsed', 'timestamp', 'baseFeePerGas', 'blobGasUsed', 'excessBlobGas'],
]);

export function blockHash(block) {
    const fields = HEADER.filter((name) => block[name] !== undefined && block[name] !== null);
    return keccak256(toRlp(fields.map((name) => (QUANTITIES.has(name) ? quantity(block[name]) : block[name]))));
}

/** The bytes of a transaction, from its JSON. */
export function transactionBytes(tx) {
    return Transaction.from({
        type: Number(tx.type),
        chainId: tx.chainId,
        nonce: Number(tx.nonce),
        to: tx.to,
        value: tx.value,
        data: tx.input,
        gasLimit: tx.gas,
        ...(Number(tx.type) < 2
            ? { gasPrice: tx.gasPrice }
            : { maxFeePerGas: tx.maxFeePerGas, maxPriorityFeePerGas: tx.maxPriorityFeePerGas }),
        ...(Number(tx.type) > 0 ? { accessList: tx.accessList } : {}),
        ...(Number(tx.type) === 3
            ? { maxFeePerBlobGas: tx.maxFeePerBlobGas, blobVersionedHashes: tx.blobVersionedHashes }
            : {}),
        ...(Number(tx.type) === 4
            ? {
                  authorizationList: tx.authorizationList.map(({ chainId, address, nonce, yParity, r, s }) => ({
                      chainId,
                      address,
                      nonce,
                      signature: { r: padded(r), s: padded(s), yParity: Number(yParity) },
                  })),
              }
            : {}),
        signature: { r: padded(tx.r), s: padded(tx.s), v: Number(tx.type) === 0 ? tx.v : 27 + Number(tx.yParity) },
    }).serialized;
}

const padded = (hex) => numberToHex(BigInt(hex), { size: 32 });

/** The 2048 bits of a receipt's logs: three for every address and topic. */
export function bloomOf(logs) {
    const bloom = new Uint8Array(256);
    for (const item of logs.flatMap(({ address, topics }) => [address, ...topics])) {
        const hash = hexToBytes(keccak256(item));
        for (const at of [0, 2, 4]) {
            const bit = ((hash[at] << 8) | hash[at + 1]) & 2047;
            bloom[255 - (bit >> 3)] |= 1 << (bit & 7);
        }
    }
    return bytesToHex(bloom);
}

/** The bytes of a receipt as the trie holds them. */
export function receiptBytes(receipt) {
    const body = toRlp([
        quantity(receipt.status),
        quantity(receipt.cumulativeGasUsed),
        bloomOf(receipt.logs),
        receipt.logs.map(({ address, topics, data }) => [address, topics, data]),
    ]);
    return Number(receipt.type) === 0 ? body : concat([numberToHex(Number(receipt.type), { size: 1 }), body]);
}

/** The root of the trie of `items` by their index. */
export async function orderedRoot(items) {
    const trie = await createMPT();
    for (const [index, item] of items.entries()) {
        await trie.put(hexToBytes(toRlp(quantity(numberToHex(index)))), hexToBytes(item));
    }
    return bytesToHex(trie.root());
}

/** What an `eth_getProof` answer proves under `stateRoot`: the account's four fields and its slots. Throws if nothing. */
export async function verifyAccountProof(stateRoot, proof) {
    const prove = (root, key, nodes) =>
        verifyMerkleProof(
            hexToBytes(key),
            nodes.map((node) => hexToBytes(node)),
            {
                root: hexToBytes(root),
                useKeyHashing: true,
            },
        );
    const account = await prove(stateRoot, proof.address, proof.accountProof);
    if (account === null) return { exists: false };
    const [nonce, balance, storageHash, codeHash] = fromRlp(bytesToHex(account));
    const slots = {};
    for (const { key, proof: nodes } of proof.storageProof) {
        const value = nodes.length === 0 ? null : await prove(storageHash, padded(key), nodes);
        slots[key] = value === null ? 0n : BigInt(fromRlp(bytesToHex(value)));
    }
    const number = (hex) => (hex === '0x' ? 0n : BigInt(hex));
    return { exists: true, nonce: number(nonce), balance: number(balance), storageHash, codeHash, slots };
}
