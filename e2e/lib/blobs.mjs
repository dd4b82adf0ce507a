//! Blobs, and the form in which a blob transaction travels since Osaka: with cell proofs (EIP-7594).

import { bytesToHex, concat, fromRlp, sha256, slice, toRlp } from 'viem';
import { ask } from './kzg.mjs';

const BLOB_BYTES = 131_072;
const CELL_PROOFS_VERSION = '0x01';

/** A blob that holds `text`: 31 of every 32 bytes are free, since a field element is below the modulus. */
export function blobOf(text) {
    const blob = new Uint8Array(BLOB_BYTES);
    new TextEncoder().encode(text).forEach((byte, index) => {
        blob[Math.floor(index / 31) * 32 + 1 + (index % 31)] = byte;
    });
    return bytesToHex(blob);
}

/** Commitment, versioned hash and cell proofs of a blob; `proof` is the one of before Osaka. */
export async function commit(blob) {
    const commitment = await ask('blobToKZGCommitment', blob);
    const [, cellProofs] = await ask('computeCellsAndProofs', blob);
    return {
        blob,
        commitment,
        versionedHash: `0x01${sha256(commitment).slice(4)}`,
        proof: await ask('computeBlobKZGProof', blob, commitment),
        cellProofs,
    };
}

/** Wraps a signed blob transaction without sidecar for the network. */
export function withCellProofs(signed, sidecars) {
    return concat([
        '0x03',
        toRlp([
            fromRlp(slice(signed, 1)),
            CELL_PROOFS_VERSION,
            sidecars.map(({ blob }) => blob),
            sidecars.map(({ commitment }) => commitment),
            sidecars.flatMap(({ cellProofs }) => cellProofs),
        ]),
    ]);
}

/** The same with one proof per blob, as before Osaka (EIP-4844). */
export function withBlobProofs(signed, sidecars) {
    return concat([
        '0x03',
        toRlp([
            fromRlp(slice(signed, 1)),
            sidecars.map(({ blob }) => blob),
            sidecars.map(({ commitment }) => commitment),
            sidecars.map(({ proof }) => proof),
        ]),
    ]);
}

/** Whether `proof` shows that `commitment` is to `blob`. */
export function proves(blob, commitment, proof) {
    return ask('verifyBlobKZGProof', blob, commitment, proof);
}
