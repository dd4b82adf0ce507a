//! The bytes of static files.
//!
//! A data file is a header and rows, an index file the same header and an entry per row. Every
//! checksum covers the block's number, and a row's also its hash: bytes of another block, or of
//! the same number on another branch, are never taken for those that were asked for.

use crate::db::{Cursor, Malformed};
use alloy_primitives::B256;
use std::cell::RefCell;

/// The bytes of a file's header.
pub(super) const HEADER_BYTES: u64 = 36;

/// The bytes of an index entry: where the row ends in the data file, and a checksum.
pub(super) const ENTRY_BYTES: u64 = 12;

/// The bytes of a row around what was stored: its form, the length before compression, and a
/// checksum.
const FRAME_BYTES: usize = 9;

/// The longest row, in bytes before compression.
pub(crate) const MAX_ROW_BYTES: usize = 1 << 30;

/// A shorter row is not compressed.
const MIN_COMPRESSED_BYTES: usize = 48;

const COMPRESSION_LEVEL: i32 = 3;

/// Bytes that a byte of zstd can stand for: a block of up to 128 KiB has at least four (RFC 8878,
/// section 3.1.1.2).
const MAX_COMPRESSION: usize = 1 << 15;

const MAGIC: [u8; 8] = *b"LOCKSTEP";

/// The version of this format.
const VERSION: u16 = 1;

const RAW: u8 = 0;
const ZSTD: u8 = 1;

/// What a static file holds of each block. Numbers enter into checksums, so they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    Headers = 0,
    Bodies = 1,
    Senders = 2,
    Receipts = 3,
    Changes = 4,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Headers, Self::Bodies, Self::Senders, Self::Receipts, Self::Changes];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Bodies => "bodies",
            Self::Senders => "senders",
            Self::Receipts => "receipts",
            Self::Changes => "changes",
        }
    }
}

/// Which blocks a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) kind: Kind,
    pub(super) segment_blocks: u64,
    /// The number of the first block in the file.
    pub(super) first: u64,
    /// The beginning of the hash of the chain's genesis block.
    pub(super) chain: u32,
}

impl FileHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[self.kind as u8, 0]);
        out.extend_from_slice(&self.segment_blocks.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.chain.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// Holds the first bytes of a file against what they must be.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<(), Malformed> {
        if bytes == self.encode() {
            return Ok(());
        }
        let mut cursor = Cursor(bytes);
        if cursor.array()? != MAGIC {
            return Err("it does not begin as a static file");
        }
        if cursor.u16()? != VERSION {
            return Err("it has another format version");
        }
        Err("its header is that of another file, or damaged")
    }
}

/// An entry of an index file.
pub(super) fn encode_entry(kind: Kind, number: u64, end: u64) -> Vec<u8> {
    let mut out = end.to_le_bytes().to_vec();
    out.extend_from_slice(&entry_checksum(kind, number, end).to_le_bytes());
    out
}

/// Where the row of block `number` ends.
pub(super) fn decode_entry(kind: Kind, number: u64, bytes: &[u8]) -> Result<u64, Malformed> {
    let mut cursor = Cursor(bytes);
    let (end, checksum) = (cursor.u64()?, cursor.u32()?);
    cursor.end()?;
    if checksum == entry_checksum(kind, number, end) {
        Ok(end)
    } else {
        Err("the checksum of its index entry does not match")
    }
}

fn entry_checksum(kind: Kind, number: u64, end: u64) -> u32 {
    let sum = crc32c::crc32c(&[kind as u8]);
    let sum = crc32c::crc32c_append(sum, &number.to_le_bytes());
    crc32c::crc32c_append(sum, &end.to_le_bytes())
}

/// `[form u8][length u32][content, perhaps compressed][checksum u32]`.
pub(crate) fn encode_row(
    kind: Kind,
    number: u64,
    hash: &B256,
    content: &[u8],
) -> Result<Vec<u8>, Malformed> {
    if content.len() > MAX_ROW_BYTES {
        return Err("the row is longer than the limit");
    }
    let compressed = if content.len() < MIN_COMPRESSED_BYTES {
        None
    } else {
        COMPRESSOR.with_borrow_mut(|zstd| zstd.as_mut()?.compress(content).ok())
    };
    let (form, stored) = match &compressed {
        Some(compressed) if compressed.len() < content.len() => (ZSTD, compressed.as_slice()),
        _ => (RAW, content),
    };
    let mut out = Vec::with_capacity(stored.len() + FRAME_BYTES);
    out.push(form);
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(stored);
    let checksum = row_checksum(kind, number, hash, &out);
    out.extend_from_slice(&checksum.to_le_bytes());
    Ok(out)
}

/// The content of a row.
pub(super) fn decode_row(
    kind: Kind,
    number: u64,
    hash: &B256,
    row: &[u8],
) -> Result<Vec<u8>, Malformed> {
    let (framed, checksum) = row.split_last_chunk().ok_or("the row is too short")?;
    if row_checksum(kind, number, hash, framed) != u32::from_le_bytes(*checksum) {
        return Err("the checksum does not match");
    }
    let mut cursor = Cursor(framed);
    let (form, length) = (cursor.u8()?, cursor.u32()? as usize);
    if length > MAX_ROW_BYTES {
        return Err("the row is longer than the limit");
    }
    let content = match form {
        RAW => cursor.0.to_vec(),
        ZSTD => {
            // Room is made before anything is decompressed.
            let room = length.min(cursor.0.len().saturating_mul(MAX_COMPRESSION));
            DECOMPRESSOR
                .with_borrow_mut(|zstd| zstd.as_mut()?.decompress(cursor.0, room).ok())
                .ok_or("the row does not decompress")?
        }
        _ => return Err("the row has an unknown form"),
    };
    if content.len() == length { Ok(content) } else { Err("the row has another length") }
}

/// A row with these bytes before its checksum.
#[cfg(fuzzing)]
pub(super) fn with_checksum(kind: Kind, number: u64, hash: &B256, framed: &[u8]) -> Vec<u8> {
    [framed, &row_checksum(kind, number, hash, framed).to_le_bytes()].concat()
}

fn row_checksum(kind: Kind, number: u64, hash: &B256, framed: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&[kind as u8]);
    let sum = crc32c::crc32c_append(sum, &number.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, hash.as_slice());
    crc32c::crc32c_append(sum, framed)
}

thread_local! {
    /// Contexts are a hundred KiB each and slow to make. `None` if memory did not suffice.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> =
        RefCell::new(zstd::bulk::Compressor::new(COMPRESSION_LEVEL).ok());
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        RefCell::new(zstd::bulk::Decompressor::new().ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What compresses best, to be sure that it finds room.
    #[test]
    fn a_long_row_of_one_byte_comes_back() {
        let (number, hash) = (1, B256::repeat_byte(7));
        for length in [100, 1 << 17, (1 << 17) + 1, 5 << 20] {
            let row = encode_row(Kind::Bodies, number, &hash, &vec![0; length]).unwrap();
            assert!(row.len() * 16 < length || length == 100, "{} bytes", row.len());
            let content = decode_row(Kind::Bodies, number, &hash, &row);
            assert_eq!(content.map(|content| content.len()), Ok(length));
        }
    }

    proptest! {
        #[test]
        fn a_row_comes_back_and_only_for_its_block(
            content in prop::collection::vec(0u8..4, 0..300),
            number: u64,
            at: prop::sample::Index,
            bit in 0..8u32,
        ) {
            let hash = B256::repeat_byte(7);
            let mut row = encode_row(Kind::Bodies, number, &hash, &content).unwrap();
            prop_assert_eq!(decode_row(Kind::Bodies, number, &hash, &row), Ok(content));
            prop_assert!(decode_row(Kind::Receipts, number, &hash, &row).is_err());
            prop_assert!(decode_row(Kind::Bodies, number ^ 1, &hash, &row).is_err());
            prop_assert!(decode_row(Kind::Bodies, number, &B256::ZERO, &row).is_err());
            let at = at.index(row.len());
            row[at] ^= 1 << bit;
            prop_assert!(decode_row(Kind::Bodies, number, &hash, &row).is_err());
        }
    }
}
