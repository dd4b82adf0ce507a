//! As much of SSZ as it takes to check what a beacon node claims.

import { createHash } from 'node:crypto';

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
const bytes = (hex) => Buffer.from(hex.slice(2), 'hex');
const hex = (buffer) => `0x${buffer.toString('hex')}`;

function uint64(decimal) {
    const chunk = Buffer.alloc(32);
    chunk.writeBigUInt64LE(BigInt(decimal));
    return chunk;
}

function merkleRoot(chunks, width) {
    let layer = [...chunks, ...Array.from({ length: width - chunks.length }, () => Buffer.alloc(32))];
    while (layer.length > 1) {
        layer = Array.from({ length: layer.length / 2 }, (_, index) => sha256(layer[2 * index], layer[2 * index + 1]));
    }
    return layer[0];
}

/** The root of a beacon block header, which is the root of its block. */
export function headerRoot(header) {
    const chunks = [
        uint64(header.slot),
        uint64(header.proposer_index),
        bytes(header.parent_root),
        bytes(header.state_root),
        bytes(header.body_root),
    ];
    return hex(merkleRoot(chunks, 8));
}

/** The root of a KZG commitment: 48 bytes in two chunks. */
export function commitmentRoot(commitment) {
    return hex(sha256(bytes(commitment), Buffer.alloc(16)));
}

/** The root to which `branch` leads from `leaf` at `place` among the leaves of its depth. */
export function branchRoot(leaf, branch, place) {
    let root = bytes(leaf);
    for (const sibling of branch) {
        root = place % 2 === 1 ? sha256(bytes(sibling), root) : sha256(root, bytes(sibling));
        place = Math.floor(place / 2);
    }
    return hex(root);
}
