//! Batcher data in blobs (OP specification: Ecotone derivation § blob encoding).
//!
//! Four field elements of 32 bytes carry 127 bytes: 31 each, and in the lower six bits of their
//! first bytes the remaining three. The first element begins with version and length.

use alloc::{boxed::Box, vec, vec::Vec};
use alloy_eips::eip4844::{BYTES_PER_BLOB, Blob};
use alloy_primitives::Bytes;

/// The most data that a blob carries.
pub const MAX_BLOB_DATA_BYTES: usize = (4 * 31 + 3) * ROUNDS - 4;

/// The version of the encoding.
const VERSION: u8 = 0;
const ROUNDS: usize = 1024;
const ROUND_BYTES: usize = 4 * 32;
const ROUND_DATA_BYTES: usize = 4 * 31 + 3;
/// In front of the data: version and length.
const HEAD_BYTES: usize = 4;

/// Why data does not go into a blob, or a blob holds none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// The data is too long.
    #[error("{0} bytes do not fit into a blob, which carries {MAX_BLOB_DATA_BYTES}")]
    TooLong(usize),
    /// The version is not known.
    #[error("version {0} of the blob encoding is not known")]
    Version(u8),
    /// The length is more than a blob carries.
    #[error("the blob announces {0} bytes, it can carry {MAX_BLOB_DATA_BYTES}")]
    Length(usize),
    /// The upper bits of a field element are not zero.
    #[error("field element {0} uses its two upper bits")]
    FieldElement(usize),
    /// There is something behind the data.
    #[error("the blob holds something behind its data, at byte {0}")]
    Extraneous(usize),
}

/// Puts data into a blob.
///
/// # Errors
/// [`BlobError::TooLong`] above [`MAX_BLOB_DATA_BYTES`].
pub fn encode_blob(data: &[u8]) -> Result<Box<Blob>, BlobError> {
    if data.len() > MAX_BLOB_DATA_BYTES {
        return Err(BlobError::TooLong(data.len()));
    }
    let [_, length @ ..] = (data.len() as u32).to_be_bytes();
    let mut stream = Vec::with_capacity(HEAD_BYTES + data.len());
    stream.push(VERSION);
    stream.extend_from_slice(&length);
    stream.extend_from_slice(data);
    let mut blob = vec![0; BYTES_PER_BLOB];
    for (plain, round) in stream.chunks(ROUND_DATA_BYTES).zip(blob.chunks_exact_mut(ROUND_BYTES)) {
        let mut padded = [0; ROUND_DATA_BYTES];
        let (filled, _) = padded.split_at_mut(plain.len());
        filled.copy_from_slice(plain);
        encode_round(&padded, round);
    }
    Ok(Box::new(Blob::from_slice(&blob)))
}

/// 127 bytes into four field elements.
fn encode_round(plain: &[u8; ROUND_DATA_BYTES], round: &mut [u8]) {
    let mut at = plain.chunks(32);
    let mut next = || at.next().and_then(<[u8]>::split_first_chunk::<31>);
    let (Some((e0, [x])), Some((e1, [y])), Some((e2, [z])), Some((e3, []))) =
        (next(), next(), next(), next())
    else {
        return;
    };
    let first_bytes = [
        x & 0b0011_1111,
        (y & 0b0000_1111) | (x & 0b1100_0000) >> 2,
        z & 0b0011_1111,
        (z & 0b1100_0000) >> 2 | (y & 0b1111_0000) >> 4,
    ];
    let elements = first_bytes.into_iter().zip([e0, e1, e2, e3]);
    for (out, (first, rest)) in round.chunks_exact_mut(32).zip(elements) {
        if let Some((out_first, out_rest)) = out.split_first_mut() {
            *out_first = first;
            out_rest.copy_from_slice(rest);
        }
    }
}

/// Takes the data out of a blob.
///
/// # Errors
/// [`BlobError`] if the blob is not exactly the encoding of some data.
pub fn decode_blob(blob: &Blob) -> Result<Bytes, BlobError> {
    let [_, version, length @ ..] = blob.first_chunk::<5>().copied().unwrap_or_default();
    if version != VERSION {
        return Err(BlobError::Version(version));
    }
    let [l0, l1, l2] = length;
    let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
    if length > MAX_BLOB_DATA_BYTES {
        return Err(BlobError::Length(length));
    }
    let end = HEAD_BYTES + length;
    let used = end.div_ceil(ROUND_DATA_BYTES);
    let (rounds, behind) = blob.as_slice().split_at(used * ROUND_BYTES);
    let mut out = Vec::with_capacity(used * ROUND_DATA_BYTES);
    for (index, round) in rounds.chunks_exact(ROUND_BYTES).enumerate() {
        decode_round(index, round, &mut out)?;
    }
    if let Some(at) = out.iter().skip(end).position(|byte| *byte != 0) {
        return Err(BlobError::Extraneous(end + at));
    }
    if let Some(at) = behind.iter().position(|byte| *byte != 0) {
        return Err(BlobError::Extraneous(rounds.len() + at));
    }
    out.truncate(end);
    Ok(Bytes::from(out).slice(HEAD_BYTES..))
}

/// Four field elements into 127 bytes.
fn decode_round(index: usize, round: &[u8], out: &mut Vec<u8>) -> Result<(), BlobError> {
    let mut firsts = [0; 4];
    let mut rests: [&[u8]; 4] = [&[]; 4];
    for (at, element) in round.chunks_exact(32).enumerate() {
        if let (Some((first, rest)), Some(first_out), Some(rest_out)) =
            (element.split_first(), firsts.get_mut(at), rests.get_mut(at))
        {
            // Whoever posts a blob proves that the very first element is in range; its upper bits
            // are not looked at.
            if first & 0b1100_0000 != 0 && (index, at) != (0, 0) {
                return Err(BlobError::FieldElement(4 * index + at));
            }
            *first_out = *first;
            *rest_out = rest;
        }
    }
    let [a, b, c, d] = firsts;
    let x = (a & 0b0011_1111) | (b & 0b0011_0000) << 2;
    let y = (b & 0b0000_1111) | (d & 0b0000_1111) << 4;
    let z = (c & 0b0011_1111) | (d & 0b0011_0000) << 2;
    let [e0, e1, e2, e3] = rests;
    for (rest, between) in [(e0, Some(x)), (e1, Some(y)), (e2, Some(z)), (e3, None)] {
        out.extend_from_slice(rest);
        out.extend(between);
    }
    Ok(())
}
