#!/usr/bin/env node
//! Writes test/vectors/bls.json: keys, messages and signatures by an implementation that shares nothing with the EVM's
//! precompiles. The keys are those of the first validators of the consensus specifications' interop chains.

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { bls12_381 as bls } from '@noble/curves/bls12-381';

const COUNT = 6;
const DST = 'BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest();
const hex = (bytes) => `0x${Buffer.from(bytes).toString('hex')}`;
/** A coordinate as EIP-2537 encodes it. */
const field = (value) => value.toString(16).padStart(128, '0');
const g2 = ({ x, y }) => `0x${[x.c0, x.c1, y.c0, y.c1].map(field).join('')}`;

/** The interop key of a validator: the hash of its index, read from its least significant byte. */
function secretKey(index) {
    const chunk = Buffer.alloc(32);
    chunk.writeUInt32LE(index);
    const number = BigInt(hex(sha256(chunk).reverse())) % bls.fields.Fr.ORDER;
    return Buffer.from(number.toString(16).padStart(64, '0'), 'hex');
}

const vectors = Array.from({ length: COUNT }, (_, index) => {
    const secret = secretKey(index);
    const message = sha256(Buffer.from(`message ${index}`));
    const key = bls.G1.ProjectivePoint.fromPrivateKey(secret);
    const compressed = key.toRawBytes(true);
    const hashed = bls.G2.hashToCurve(message, { DST });
    const signature = hashed.multiply(BigInt(hex(secret)));
    return {
        secret: hex(secret),
        message: hex(message),
        key: `0x${field(key.toAffine().x)}${field(key.toAffine().y)}`,
        root: hex(sha256(Buffer.concat([compressed, Buffer.alloc(16)]))),
        point: g2(hashed.toAffine()),
        signature: g2(signature.toAffine()),
    };
});
writeFileSync(new URL('../test/vectors/bls.json', import.meta.url), `${JSON.stringify({ vectors }, null, 2)}\n`);
