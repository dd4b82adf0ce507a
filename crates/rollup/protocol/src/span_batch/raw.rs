//! The wire form of span batches.

use super::{Bits, MAX_SPAN_BATCH_ELEMENTS, SpanBatch, SpanBatchBlock, SpanBatchTransactions};
use crate::{BatchError, RollupConfig};
use alloc::vec::Vec;
use alloy_primitives::{Bytes, FixedBytes};

/// A span batch as it is encoded: relative to the genesis of the rollup, and in columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawSpanBatch {
    /// Seconds from genesis to the first block.
    pub rel_timestamp: u64,
    /// The number of the L1 origin of the last block.
    pub l1_origin_num: u64,
    /// The first 20 bytes of the hash of the block before the span.
    pub parent_check: FixedBytes<20>,
    /// The first 20 bytes of the hash of the L1 origin of the last block.
    pub l1_origin_check: FixedBytes<20>,
    /// For each block whether it begins an epoch.
    pub origin_bits: Bits,
    /// For each block how many transactions it has.
    pub block_tx_counts: Vec<u64>,
    /// The transactions of all blocks.
    pub transactions: SpanBatchTransactions,
}

impl RawSpanBatch {
    /// Reads what follows the type. The data of transactions shares the memory of `data`; bytes
    /// behind the batch are ignored.
    ///
    /// # Errors
    /// [`BatchError`] for what is malformed, or above [`MAX_SPAN_BATCH_ELEMENTS`].
    pub fn decode(data: &Bytes) -> Result<Self, BatchError> {
        let mut reader = Reader { data, at: 0 };
        let rel_timestamp = reader.uvarint("rel_timestamp")?;
        let l1_origin_num = reader.uvarint("l1_origin_num")?;
        let parent_check = FixedBytes(reader.array("parent_check")?);
        let l1_origin_check = FixedBytes(reader.array("l1_origin_check")?);
        let block_count = match reader.uvarint("block_count")? {
            0 => return Err(BatchError::NoBlocks),
            count => limited("block_count", count)?,
        };
        let origin_bits = reader.bits(block_count, "origin_bits")?;
        // Each count takes at least a byte.
        let mut block_tx_counts = Vec::with_capacity(block_count.min(reader.left()));
        let mut total = 0;
        for _ in 0..block_count {
            let count = reader.uvarint("block_tx_counts")?;
            total = limited("block_tx_counts", count.saturating_add(total as u64))?;
            block_tx_counts.push(count);
        }
        let transactions = SpanBatchTransactions::decode(&mut reader, total)?;
        Ok(Self {
            rel_timestamp,
            l1_origin_num,
            parent_check,
            l1_origin_check,
            origin_bits,
            block_tx_counts,
            transactions,
        })
    }

    /// Appends the batch without its type.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_uvarint(self.rel_timestamp, out);
        put_uvarint(self.l1_origin_num, out);
        out.extend_from_slice(self.parent_check.as_slice());
        out.extend_from_slice(self.l1_origin_check.as_slice());
        put_uvarint(self.block_tx_counts.len() as u64, out);
        out.extend_from_slice(self.origin_bits.encoded());
        self.block_tx_counts.iter().for_each(|count| put_uvarint(*count, out));
        self.transactions.encode(out);
    }

    /// The blocks of the batch on the rollup with this configuration.
    ///
    /// # Errors
    /// [`BatchError`] if a transaction is malformed or of a type that span batches do not carry.
    pub fn to_span(&self, config: &RollupConfig) -> Result<SpanBatch, BatchError> {
        self.to_span_since(config.genesis.l2_time, config.block_time, config.l2_chain_id)
    }

    /// The blocks of the batch, where its timestamp counts from `time_zero`, in seconds.
    pub(crate) fn to_span_since(
        &self,
        time_zero: u64,
        block_time: u64,
        chain_id: u64,
    ) -> Result<SpanBatch, BatchError> {
        let mut transactions = self.transactions.assemble(chain_id)?.into_iter();
        let first = time_zero.wrapping_add(self.rel_timestamp);
        let mut blocks = Vec::with_capacity(self.block_tx_counts.len());
        for (index, count) in self.block_tx_counts.iter().enumerate() {
            blocks.push(SpanBatchBlock {
                timestamp: first.wrapping_add(block_time.wrapping_mul(index as u64)),
                epoch_num: 0,
                transactions: transactions.by_ref().take(*count as usize).collect(),
            });
        }
        // The number of the last origin is known, and each bit says that the one before is another.
        let mut epoch_num = self.l1_origin_num;
        for (index, block) in blocks.iter_mut().enumerate().rev() {
            block.epoch_num = epoch_num;
            epoch_num = epoch_num.wrapping_sub(self.origin_bits.get(index).into());
        }
        Ok(SpanBatch {
            parent_check: self.parent_check,
            l1_origin_check: self.l1_origin_check,
            starts_epoch: self.origin_bits.get(0),
            blocks,
        })
    }

    /// The wire form of `span`, whose timestamp is to count from `time_zero`, in seconds.
    pub(crate) fn new(
        span: &SpanBatch,
        time_zero: u64,
        block_time: u64,
        chain_id: u64,
    ) -> Result<Self, BatchError> {
        let (Some(first), Some(last)) = (span.blocks.first(), span.blocks.last()) else {
            return Err(BatchError::NoBlocks);
        };
        limited("block_count", span.blocks.len() as u64)?;
        let mut origin_bits = Vec::with_capacity(span.blocks.len());
        origin_bits.push(span.starts_epoch);
        for (index, pair) in span.blocks.windows(2).enumerate() {
            let [before, block] = pair else { continue };
            let sequence = |field, expected, got| BatchError::Sequence {
                index: index + 1,
                field,
                expected,
                got,
            };
            let due = before.timestamp.wrapping_add(block_time);
            if block.timestamp != due {
                return Err(sequence("timestamp", due, block.timestamp));
            }
            let step = block.epoch_num.wrapping_sub(before.epoch_num);
            if step > 1 {
                return Err(sequence("epoch_num", before.epoch_num, block.epoch_num));
            }
            origin_bits.push(step == 1);
        }
        let all = span.blocks.iter().flat_map(|block| &block.transactions);
        limited("block_tx_counts", all.clone().count() as u64)?;
        Ok(Self {
            rel_timestamp: first.timestamp.wrapping_sub(time_zero),
            l1_origin_num: last.epoch_num,
            parent_check: span.parent_check,
            l1_origin_check: span.l1_origin_check,
            origin_bits: origin_bits.into_iter().collect(),
            block_tx_counts: span.blocks.iter().map(|b| b.transactions.len() as u64).collect(),
            transactions: SpanBatchTransactions::new(all, chain_id)?,
        })
    }
}

fn limited(field: &'static str, got: u64) -> Result<usize, BatchError> {
    let limit = MAX_SPAN_BATCH_ELEMENTS;
    if got > limit { Err(BatchError::TooMany { field, got, limit }) } else { Ok(got as usize) }
}

/// Reads the wire form.
pub(super) struct Reader<'a> {
    pub(super) data: &'a Bytes,
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    pub(super) fn left(&self) -> usize {
        self.data.len().saturating_sub(self.at)
    }

    pub(super) fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], BatchError> {
        let taken = self.rest().get(..len).ok_or(BatchError::Truncated(field))?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], BatchError> {
        let array = self.rest().first_chunk().copied().ok_or(BatchError::Truncated(field))?;
        self.at += N;
        Ok(array)
    }

    /// A variable-length integer: seven bits a byte, the lowest first. As in other implementations,
    /// it need not be the shortest encoding, but not above ten bytes.
    pub(super) fn uvarint(&mut self, field: &'static str) -> Result<u64, BatchError> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array(field)?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BatchError::Overflow(field))
    }

    pub(super) fn bits(&mut self, len: usize, field: &'static str) -> Result<Bits, BatchError> {
        Bits::decode(self.take(Bits::encoded_bytes(len), field)?, len, field)
    }
}

pub(super) fn put_uvarint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
