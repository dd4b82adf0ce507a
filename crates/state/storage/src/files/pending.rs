//! Rows that are to be written together.

use super::{
    Kind,
    format::{HEADER_BYTES, encode_entry, encode_row},
};
use crate::StorageError;
use alloy_primitives::B256;
use std::collections::BTreeMap;

/// The rows of consecutive blocks, by file.
#[derive(Debug)]
pub(crate) struct Pending {
    segment_blocks: u64,
    /// The end of the newest data file of each kind, in bytes, after everything here.
    lengths: [u64; 5],
    parts: BTreeMap<(u8, u64), Part>,
}

/// What is to be written to one segment.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) segment: u64,
    /// The first block here.
    pub(super) first: u64,
    /// Where the data goes in the data file.
    pub(super) offset: u64,
    pub(super) data: Vec<u8>,
    pub(super) index: Vec<u8>,
}

impl Pending {
    /// No rows yet, behind data files of these lengths.
    pub(crate) const fn new(segment_blocks: u64, lengths: [u64; 5]) -> Self {
        Self { segment_blocks, lengths, parts: BTreeMap::new() }
    }

    /// Adds the row of the next block. `starts` says that it is the first block of the chain.
    pub(crate) fn push(
        &mut self,
        kind: Kind,
        number: u64,
        hash: &B256,
        content: &[u8],
        starts: bool,
    ) -> Result<(), StorageError> {
        let row = encode_row(kind, number, hash, content).map_err(|reason| {
            StorageError::Database { operation: "encode a row", reason: reason.into() }
        })?;
        let segment = number / self.segment_blocks;
        let Some(length) = self.lengths.get_mut(kind as usize) else { return Ok(()) };
        if starts || number.is_multiple_of(self.segment_blocks) {
            *length = HEADER_BYTES;
        }
        let part = self.parts.entry((kind as u8, segment)).or_insert_with(|| Part {
            kind,
            segment,
            first: number,
            offset: *length,
            data: Vec::new(),
            index: Vec::new(),
        });
        *length += row.len() as u64;
        part.data.extend_from_slice(&row);
        part.index.extend_from_slice(&encode_entry(kind, number, *length));
        Ok(())
    }

    /// The lengths of the newest data files once everything is written.
    pub(crate) const fn lengths(&self) -> [u64; 5] {
        self.lengths
    }

    /// The bytes to be written.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.values().map(|part| (part.data.len() + part.index.len()) as u64).sum()
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.values()
    }
}
