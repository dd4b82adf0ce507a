//! From blocks to a compressed channel of the right size.

use crate::{BatchBlock, BatcherError, ChannelPolicy, DataKind, SizeEstimator, encode::Encoder};
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, Bytes};
use lockstep_protocol::{ChannelId, MAX_SPAN_BATCH_ELEMENTS, RollupConfig};
use std::sync::Arc;

/// A channel whose size is at least this many percent of its target is full.
const FULL_PERCENT: usize = 97;

/// A channel is compressed when the guess says that it has this many percent of its target: a little
/// too early costs a little room, a little too late another compression.
const AIM_PERCENT: usize = 98;

/// How often a channel that came out too large is compressed again with fewer blocks.
const MAX_RETRIES: usize = 4;

/// Why a channel was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// It has its target size, or as many blocks or bytes as one may have.
    Full,
    /// It was open for [`ChannelPolicy::max_duration`].
    Duration,
    /// The sequencing window of its oldest epoch ends in [`ChannelPolicy::sub_safety_margin`].
    SequencingWindow,
    /// No more blocks fit into memory.
    Backlog,
    /// The caller asked for it.
    Flush,
}

impl CloseReason {
    /// The name, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Duration => "duration",
            Self::SequencingWindow => "sequencing_window",
            Self::Backlog => "backlog",
            Self::Flush => "flush",
        }
    }
}

/// How much smaller real compression made data than [`SizeEstimator`] guessed. A new channel takes it
/// over from the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    ratio: f64,
}

impl Default for Calibration {
    fn default() -> Self {
        // Real data of rollups compresses better than the estimator thinks; being early costs one
        // more compression, being late one frame too many to compress again.
        Self { ratio: 0.9 }
    }
}

impl Calibration {
    fn correct(self, estimate: usize) -> usize {
        (estimate as f64 * self.ratio) as usize
    }

    fn learn(&mut self, estimate: usize, actual: usize) {
        if estimate > 0 {
            // Bounded, so that an odd channel does not spoil the next.
            self.ratio = (actual as f64 / estimate as f64).clamp(0.05, 3.0);
        }
    }
}

/// A channel to which blocks are added.
///
/// Each block costs a look at its bytes ([`SizeEstimator`]). Real compression happens when the
/// corrected guess reaches the target, and when the channel is closed.
#[derive(Clone, Debug)]
pub struct ChannelBuilder {
    id: ChannelId,
    policy: ChannelPolicy,
    target_bytes: usize,
    encoder: Encoder,
    opened_at: u64,
    blocks: Vec<Arc<BatchBlock>>,
    estimator: SizeEstimator,
    calibration: Calibration,
    /// At most as many bytes as the batches have before compression.
    raw_bound: usize,
    transactions: usize,
    /// The compression of the first `blocks` that was within the target.
    fitting: Option<Compressed>,
    is_full: bool,
    compressions: usize,
}

#[derive(Clone, Debug)]
struct Compressed {
    blocks: usize,
    raw_bytes: usize,
    data: Bytes,
}

/// A channel that gets no more blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedChannel {
    /// What identifies it.
    pub id: ChannelId,
    /// The number of its first block.
    pub first: u64,
    /// Its last block.
    pub last: BlockNumHash,
    /// The hash of the parent of its first block.
    pub parent_hash: B256,
    /// The compressed batches.
    pub data: Bytes,
    /// The bytes of the transactions in it.
    pub input_bytes: usize,
    /// The bytes of the batches before compression.
    pub raw_bytes: usize,
    /// Why it was closed.
    pub reason: CloseReason,
}

impl ClosedChannel {
    /// How many blocks it has.
    pub const fn blocks(&self) -> u64 {
        self.last.number + 1 - self.first
    }
}

impl ChannelBuilder {
    /// Opens a channel when the newest L1 block has number `l1_number` and timestamp `l1_timestamp`.
    ///
    /// `id` must differ from those of all channels of the last channel timeout.
    pub fn new(
        id: ChannelId,
        rollup: Arc<RollupConfig>,
        policy: ChannelPolicy,
        kind: DataKind,
        (l1_number, l1_timestamp): (u64, u64),
        calibration: Calibration,
    ) -> Self {
        Self {
            id,
            policy,
            target_bytes: policy.target_bytes(kind),
            encoder: Encoder::new(rollup, policy.compression, l1_timestamp),
            opened_at: l1_number,
            blocks: Vec::new(),
            estimator: SizeEstimator::default(),
            calibration,
            raw_bound: 0,
            transactions: 0,
            fitting: None,
            is_full: false,
            compressions: 0,
        }
    }

    /// The number of blocks in it.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether it has no block.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Whether it takes no more blocks.
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// How often it was compressed so far.
    pub const fn compressions(&self) -> usize {
        self.compressions
    }

    /// What it learnt about compression.
    pub const fn calibration(&self) -> Calibration {
        self.calibration
    }

    /// Adds the block after the last one. Look at [`Self::len`] afterwards: a block that does not fit
    /// is left out, and so may be blocks before it; the channel is full then.
    ///
    /// # Errors
    /// If the block cannot be encoded, or is alone too large for a channel. The channel keeps the
    /// blocks that it had.
    pub fn add(&mut self, block: Arc<BatchBlock>) -> Result<(), BatcherError> {
        if self.is_full {
            return Ok(());
        }
        self.check_link(&block)?;
        let raw_bound = self.raw_bound + Encoder::raw_bound(&block);
        let transactions = self.transactions + block.transactions.len();
        let elements = transactions.max(self.blocks.len() + 1);
        let is_within_limits = raw_bound <= self.encoder.max_raw_bytes()
            && elements as u64 <= MAX_SPAN_BATCH_ELEMENTS
            && self.blocks.len() < self.policy.max_blocks;
        if !is_within_limits && !self.blocks.is_empty() {
            self.is_full = true;
            return Ok(());
        }
        for tx in &block.transactions {
            self.estimator.add(tx);
        }
        self.blocks.push(block);
        (self.raw_bound, self.transactions) = (raw_bound, transactions);
        let guess = self.calibration.correct(self.estimator.estimate());
        if !is_within_limits || guess * 100 >= self.target_bytes * AIM_PERCENT {
            self.try_size().inspect_err(|_| {
                self.blocks.pop();
            })?;
        }
        Ok(())
    }

    /// Why the channel should be closed now, if it should. `l1_number` is the newest L1 block.
    pub fn close_reason(&self, l1_number: u64) -> Option<CloseReason> {
        let first = self.blocks.first()?;
        let window_end = first.epoch.number.saturating_add(self.encoder.rollup().seq_window_size);
        let open_for = l1_number.saturating_sub(self.opened_at);
        if self.is_full {
            Some(CloseReason::Full)
        } else if l1_number.saturating_add(self.policy.sub_safety_margin) >= window_end {
            Some(CloseReason::SequencingWindow)
        } else if self.policy.max_duration > 0 && open_for >= self.policy.max_duration {
            Some(CloseReason::Duration)
        } else {
            None
        }
    }

    /// Closes the channel; it takes no more blocks. Blocks at its end that are too many for the target are left out
    /// ([`ClosedChannel::last`] says which), but the first is not. `None` if it has no blocks.
    ///
    /// # Errors
    /// If the blocks cannot be encoded.
    pub fn close(&mut self, reason: CloseReason) -> Result<Option<ClosedChannel>, BatcherError> {
        if self.fitting.as_ref().is_none_or(|fitting| fitting.blocks < self.blocks.len()) {
            self.try_size()?;
        }
        self.is_full = true;
        let Some(fitting) = &self.fitting else { return Ok(None) };
        let blocks = self.blocks.get(..fitting.blocks).unwrap_or_default();
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(None) };
        Ok(Some(ClosedChannel {
            id: self.id,
            first: first.number,
            last: last.id(),
            parent_hash: first.parent_hash,
            data: fitting.data.clone(),
            input_bytes: blocks.iter().map(|block| block.bytes()).sum(),
            raw_bytes: fitting.raw_bytes,
            reason,
        }))
    }

    fn check_link(&self, block: &BatchBlock) -> Result<(), BatcherError> {
        let Some(last) = self.blocks.last() else { return Ok(()) };
        if last.number + 1 == block.number && last.hash == block.parent_hash {
            return Ok(());
        }
        let reason = format!("it does not continue block {} ({})", last.number, last.hash);
        Err(BatcherError::Block { number: block.number, reason })
    }

    /// Compresses all blocks. Afterwards `fitting` holds the most blocks that are known to be within
    /// the target, and if those are not all, they are all that remain.
    fn try_size(&mut self) -> Result<(), BatcherError> {
        let total = self.blocks.len();
        let all = self.compress(total)?;
        let bytes = all.data.len();
        self.calibration.learn(self.estimator.estimate(), bytes);
        if bytes <= self.target_bytes || total <= 1 {
            self.is_full |= bytes * 100 >= self.target_bytes * FULL_PERCENT;
            self.fitting = Some(all);
            return Ok(());
        }
        self.shrink(total, bytes)?;
        self.is_full = true;
        Ok(())
    }

    /// Looks for the most blocks within the target, knowing that `above` blocks have `bytes`.
    fn shrink(&mut self, mut above: usize, mut bytes: usize) -> Result<(), BatcherError> {
        for retry in 1.. {
            let fitting = self.fitting.as_ref().map_or(0, |fitting| fitting.blocks);
            if fitting + 1 >= above || (fitting > 0 && retry > MAX_RETRIES) {
                break;
            }
            let guess = if retry > MAX_RETRIES {
                1
            } else {
                (above as u128 * self.target_bytes as u128 / bytes.max(1) as u128) as usize
            };
            let count = guess.clamp(fitting + 1, above - 1);
            let compressed = self.compress(count)?;
            let found = compressed.data.len();
            if found > self.target_bytes && count > 1 {
                (above, bytes) = (count, found);
                continue;
            }
            self.fitting = Some(compressed);
            if found * 100 >= self.target_bytes * FULL_PERCENT {
                break;
            }
        }
        let kept = self.fitting.as_ref().map_or(0, |fitting| fitting.blocks);
        self.blocks.truncate(kept);
        Ok(())
    }

    fn compress(&mut self, count: usize) -> Result<Compressed, BatcherError> {
        let blocks = self.blocks.get(..count).unwrap_or_default();
        let raw = self.encoder.encode(blocks)?;
        self.compressions += 1;
        let data = self.encoder.compress(&raw);
        Ok(Compressed { blocks: count, raw_bytes: raw.len(), data })
    }
}
