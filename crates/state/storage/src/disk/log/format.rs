//! The bytes of the log.

use super::MAX_RECORD_BYTES;
use crate::{
    ForkChoice,
    db::{Cursor, Malformed},
};
use alloy_primitives::{B256, Bytes, Sealable, Sealed};
use lockstep_chain::{Block, Chain, decode_block};

pub(super) const HEADER_BYTES: usize = 28;

/// The bytes before the content of a record: its length, its kind, and checksums of the content
/// and of these bytes themselves.
pub(super) const FRAME_BYTES: usize = 16;

const MAGIC: [u8; 8] = *b"LOCKSLOG";
const VERSION: u16 = 1;

const FORK_CHOICE: u8 = 0;
const BLOCK: u8 = 1;

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    ForkChoice(ForkChoice),
    Block { number: u64, hash: B256, rlp: Bytes },
}

pub(super) fn encode_header(segment: u64, chain: u32) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&segment.to_le_bytes());
    out.extend_from_slice(&chain.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

pub(super) fn check_header(bytes: &[u8], segment: u64, chain: u32) -> Result<(), Malformed> {
    if bytes == encode_header(segment, chain) {
        return Ok(());
    }
    let mut cursor = Cursor(bytes);
    if cursor.array()? != MAGIC {
        return Err("it does not begin as a log");
    }
    if cursor.u16()? != VERSION {
        return Err("it has another format version");
    }
    Err("its header is that of another log, or damaged")
}

/// `[length u32][kind u8][0 ×3][checksum of the content u32][checksum of the frame u32][content]`;
/// `None` if it is too long. The frame's checksum covers segment and position in it.
pub(super) fn encode_record(record: &Record, segment: u64, index: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let kind = match record {
        Record::ForkChoice(ForkChoice { head, safe, finalized }) => {
            [head, safe, finalized]
                .iter()
                .for_each(|hash| content.extend_from_slice(hash.as_slice()));
            FORK_CHOICE
        }
        Record::Block { number, hash, rlp } => {
            content.extend_from_slice(&number.to_le_bytes());
            content.extend_from_slice(hash.as_slice());
            content.extend_from_slice(rlp);
            BLOCK
        }
    };
    if content.len() > MAX_RECORD_BYTES {
        return None;
    }
    let mut out = Vec::with_capacity(FRAME_BYTES + content.len());
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(&[kind, 0, 0, 0]);
    out.extend_from_slice(&crc32c::crc32c(&content).to_le_bytes());
    let checksum = frame_checksum(&out, segment, index);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&content);
    Some(out)
}

/// What stands before the content of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) length: usize,
    kind: u8,
    checksum: u32,
}

impl Frame {
    pub(super) fn decode(
        bytes: &[u8; FRAME_BYTES],
        segment: u64,
        index: u64,
    ) -> Result<Self, Malformed> {
        let mut cursor = Cursor(bytes);
        let (length, kind) = (cursor.u32()? as usize, cursor.u8()?);
        cursor.take(3)?;
        let (checksum, own) = (cursor.u32()?, cursor.u32()?);
        let covered = bytes.get(..FRAME_BYTES - 4).unwrap_or_default();
        if own != frame_checksum(covered, segment, index) {
            return Err("the checksum of its frame does not match");
        }
        if length > MAX_RECORD_BYTES {
            return Err("it is longer than the limit");
        }
        Ok(Self { length, kind, checksum })
    }

    pub(super) fn content(&self, content: &[u8]) -> Result<Record, Malformed> {
        if crc32c::crc32c(content) != self.checksum {
            return Err("the checksum of its content does not match");
        }
        let mut cursor = Cursor(content);
        match self.kind {
            FORK_CHOICE => {
                let (head, safe, finalized) = (cursor.hash()?, cursor.hash()?, cursor.hash()?);
                cursor.end()?;
                Ok(Record::ForkChoice(ForkChoice { head, safe, finalized }))
            }
            BLOCK => {
                let (number, hash) = (cursor.u64()?, cursor.hash()?);
                Ok(Record::Block { number, hash, rlp: Bytes::copy_from_slice(cursor.0) })
            }
            _ => Err("its kind is unknown"),
        }
    }
}

fn frame_checksum(frame: &[u8], segment: u64, index: u64) -> u32 {
    let sum = crc32c::crc32c(&segment.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, &index.to_le_bytes());
    crc32c::crc32c_append(sum, frame)
}

/// The block of a record.
pub(super) fn decode_logged<C: Chain>(
    hash: B256,
    rlp: &[u8],
) -> Result<Sealed<Block<C>>, Malformed> {
    let block = decode_block::<C>(rlp).map_err(|_| "the block's RLP is malformed")?;
    if block.header.hash_slow() != hash {
        return Err("the block has another hash");
    }
    Ok(Sealed::new_unchecked(block, hash))
}
