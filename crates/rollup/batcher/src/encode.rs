//! From blocks to compressed batches.

use crate::{BatchBlock, BatcherError};
use alloy_primitives::Bytes;
use lockstep_chain::OpHardfork;
use lockstep_protocol::{
    Batch, Compression, RollupConfig, SingleBatch, SpanBatch, compress_channel, put_batch,
};
use std::sync::Arc;

/// The level of zlib where Brotli is not read yet.
const ZLIB_LEVEL: u8 = 9;

/// At most so many bytes more than its encoding does a transaction have in a span batch: the columns
/// write nonce and gas with up to ten bytes, and lengths where the transaction had them once.
const TX_OVERHEAD_BYTES: usize = 64;

/// At most so many bytes has a block without transactions in a batch. As a batch of its own it has
/// two hashes and three numbers.
const BLOCK_OVERHEAD_BYTES: usize = 128;

/// Bytes of transactions that a channel holds for certain when it is opened at L1 time `l1_time`, all in
/// one block. No transaction is smaller than what it may grow by.
pub(crate) fn block_capacity(rollup: &RollupConfig, l1_time: u64) -> u64 {
    rollup.max_rlp_bytes_per_channel(l1_time).saturating_sub(BLOCK_OVERHEAD_BYTES as u64) / 2
}

/// Encodes blocks by the rules of the time when a channel is opened.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    rollup: Arc<RollupConfig>,
    compression: Compression,
    /// Whether the channel is one span; before Delta each block is a batch.
    is_span: bool,
    max_raw_bytes: usize,
}

impl Encoder {
    pub(crate) fn new(rollup: Arc<RollupConfig>, compression: Compression, l1_time: u64) -> Self {
        let compression = match compression {
            Compression::Brotli { .. } if !rollup.is_active(OpHardfork::Fjord, l1_time) => {
                Compression::Zlib { level: ZLIB_LEVEL }
            }
            compression => compression,
        };
        let max_raw_bytes =
            rollup.max_rlp_bytes_per_channel(l1_time).try_into().unwrap_or(usize::MAX);
        Self { is_span: rollup.is_delta_active(l1_time), rollup, compression, max_raw_bytes }
    }

    pub(crate) fn rollup(&self) -> &RollupConfig {
        &self.rollup
    }

    /// The most bytes before compression.
    pub(crate) const fn max_raw_bytes(&self) -> usize {
        self.max_raw_bytes
    }

    /// At most so many bytes before compression does the block take.
    pub(crate) fn raw_bound(block: &BatchBlock) -> usize {
        BLOCK_OVERHEAD_BYTES + block.bytes() + TX_OVERHEAD_BYTES * block.transactions.len()
    }

    /// The batches of these blocks, before compression.
    pub(crate) fn encode(&self, blocks: &[Arc<BatchBlock>]) -> Result<Vec<u8>, BatcherError> {
        let failed = |reason: String| {
            let number = |block: Option<&Arc<BatchBlock>>| block.map_or(0, |block| block.number);
            let (first, last) = (number(blocks.first()), number(blocks.last()));
            BatcherError::Encoding { first, last, reason }
        };
        let singles: Vec<SingleBatch> = blocks.iter().map(|block| block.to_single()).collect();
        let batches = if self.is_span {
            let starts_epoch = blocks.first().is_some_and(|block| block.starts_epoch);
            let span = SpanBatch::from_blocks(&singles, starts_epoch)
                .map_err(|error| failed(error.to_string()))?;
            vec![Batch::Span(span)]
        } else {
            singles.into_iter().map(Batch::Single).collect()
        };
        let mut raw = Vec::new();
        for batch in batches {
            let batch = batch.encode(&self.rollup).map_err(|error| failed(error.to_string()))?;
            put_batch(&batch, &mut raw);
        }
        if raw.len() <= self.max_raw_bytes {
            return Ok(raw);
        }
        match blocks {
            [block] => Err(BatcherError::BlockTooLarge {
                number: block.number,
                bytes: raw.len(),
                limit: self.max_raw_bytes,
            }),
            _ => Err(failed(format!("{} bytes, the limit is {}", raw.len(), self.max_raw_bytes))),
        }
    }

    /// The data of a channel.
    pub(crate) fn compress(&self, raw: &[u8]) -> Bytes {
        compress_channel(self.compression, raw).into()
    }
}
