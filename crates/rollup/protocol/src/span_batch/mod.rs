//! Span batches: consecutive blocks whose transactions are split into columns, which compress
//! better (OP specification: Delta § span batches).

mod bits;
mod raw;
mod transactions;

pub use bits::Bits;
pub use raw::RawSpanBatch;
pub use transactions::SpanBatchTransactions;

use crate::{BatchError, RollupConfig, SingleBatch};
use alloc::vec::Vec;
use alloy_primitives::{B256, Bytes, FixedBytes};

/// The most blocks, transactions in all and transactions in a block of a span batch; and the most
/// bytes of the data of a transaction in one.
pub const MAX_SPAN_BATCH_ELEMENTS: u64 = 10_000_000;

/// Consecutive rollup blocks without their deposits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanBatch {
    /// The first 20 bytes of the hash of the block before the span.
    pub parent_check: FixedBytes<20>,
    /// The first 20 bytes of the hash of the L1 origin of the last block.
    pub l1_origin_check: FixedBytes<20>,
    /// Whether the first block begins an epoch. Derivation does not need it.
    pub starts_epoch: bool,
    /// The blocks, of which there is at least one in a batch that was decoded.
    pub blocks: Vec<SpanBatchBlock>,
}

/// A block of a span batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanBatchBlock {
    /// The timestamp, in seconds.
    pub timestamp: u64,
    /// The number of the L1 origin.
    pub epoch_num: u64,
    /// The transactions as EIP-2718 encodes them.
    pub transactions: Vec<Bytes>,
}

impl SpanBatch {
    /// A span of the blocks in `batches`, which must follow each other. `starts_epoch` says whether
    /// the first begins an epoch.
    ///
    /// # Errors
    /// [`BatchError::NoBlocks`] without blocks.
    pub fn from_blocks(batches: &[SingleBatch], starts_epoch: bool) -> Result<Self, BatchError> {
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return Err(BatchError::NoBlocks);
        };
        let blocks = batches.iter().map(|batch| SpanBatchBlock {
            timestamp: batch.timestamp,
            epoch_num: batch.epoch_num,
            transactions: batch.transactions.clone(),
        });
        Ok(Self {
            parent_check: check(first.parent_hash),
            l1_origin_check: check(last.epoch_hash),
            starts_epoch,
            blocks: blocks.collect(),
        })
    }

    /// Whether `parent` may be the hash of the block before the span.
    pub fn matches_parent(&self, parent: B256) -> bool {
        self.parent_check == check(parent)
    }

    /// Whether `origin` may be the hash of the L1 origin of the last block.
    pub fn matches_l1_origin(&self, origin: B256) -> bool {
        self.l1_origin_check == check(origin)
    }

    /// The wire form of the batch.
    ///
    /// # Errors
    /// [`BatchError`] if the blocks do not follow each other at the block time of the rollup, or
    /// hold transactions that span batches cannot carry.
    pub fn to_raw(&self, config: &RollupConfig) -> Result<RawSpanBatch, BatchError> {
        RawSpanBatch::new(self, config.genesis.l2_time, config.block_time, config.l2_chain_id)
    }
}

fn check(hash: B256) -> FixedBytes<20> {
    let [check @ .., _, _, _, _, _, _, _, _, _, _, _, _] = hash.0;
    FixedBytes(check)
}
