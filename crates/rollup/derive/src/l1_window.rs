//! The L1 blocks that batches are judged by.

use crate::DeriveError;
use alloc::collections::VecDeque;
use lockstep_protocol::{BlockInfo, L2BlockInfo, RollupConfig, SingleBatch};

/// Consecutive L1 blocks, from the epoch of the next rollup block to the one that derivation is at.
///
/// It holds little more than one sequencing window, 80 bytes for each L1 block: when the window has
/// passed, empty batches move the epoch on before derivation goes to the next L1 block. There is one
/// exception: before Holocene a span batch that names an L1 block of the future as its last is not
/// decided before that block is there, and holds up everything so long. Implementations agree on that;
/// only the rollup's own batcher can cause it.
#[derive(Clone, Debug)]
pub(crate) struct L1Window {
    origin: BlockInfo,
    blocks: VecDeque<BlockInfo>,
}

impl L1Window {
    /// The window after a reset to `origin`.
    pub(crate) fn new(origin: BlockInfo) -> Self {
        Self { origin, blocks: [origin].into() }
    }

    /// The L1 block that derivation is at.
    pub(crate) const fn origin(&self) -> BlockInfo {
        self.origin
    }

    /// The epoch that the next rollup block belongs to at least.
    pub(crate) fn epoch(&self) -> Option<BlockInfo> {
        self.blocks.front().copied()
    }

    /// The L1 block after [`Self::epoch`], if derivation is that far.
    pub(crate) fn next_epoch(&self) -> Option<BlockInfo> {
        self.blocks.get(1).copied()
    }

    /// The block at this height, if it is in the window.
    pub(crate) fn get(&self, number: u64) -> Option<BlockInfo> {
        let index = number.checked_sub(self.epoch()?.number)?;
        self.blocks.get(usize::try_from(index).ok()?).copied()
    }

    /// Whether derivation has not reached the L1 origin of `parent` yet: after a reset it begins
    /// earlier, to find channels that were opened before.
    pub(crate) const fn is_behind(&self, parent: &L2BlockInfo) -> bool {
        self.origin.number < parent.l1_origin.number
    }

    /// Takes in where derivation is, and drops what lies before the L1 origin of `parent`.
    pub(crate) fn update(&mut self, origin: BlockInfo, parent: &L2BlockInfo) {
        if self.origin != origin {
            self.origin = origin;
            if self.is_behind(parent) {
                self.blocks.clear();
            } else {
                self.blocks.push_back(origin);
            }
        }
        let Some(epoch) = self.epoch() else { return };
        let passed = parent.l1_origin.number.saturating_sub(epoch.number);
        if let Ok(passed) = usize::try_from(passed)
            && passed < self.blocks.len()
        {
            self.blocks.drain(..passed);
        }
    }

    /// The epoch, checked to be that of `parent` or the one after it: where all batches of an epoch
    /// were made up, the window is ahead of the safe head.
    pub(crate) fn checked_epoch(&self, parent: &L2BlockInfo) -> Result<BlockInfo, DeriveError> {
        let first = self.epoch().unwrap_or(self.origin);
        let is_next = parent.l1_origin.number.checked_add(1) == Some(first.number);
        if is_next || parent.l1_origin == first.id() {
            return Ok(first);
        }
        Err(DeriveError::OriginMismatch { origin: parent.l1_origin, first: first.id() })
    }

    /// The empty batch that continues `parent` when the sequencing window has passed without one.
    /// `is_read_out` says that all batches of the L1 block that derivation is at were seen.
    ///
    /// If the epoch must advance instead, it does, and there is no batch this time.
    pub(crate) fn empty_batch(
        &mut self,
        config: &RollupConfig,
        parent: &L2BlockInfo,
        is_read_out: bool,
    ) -> Option<SingleBatch> {
        let epoch = self.epoch()?;
        let expiry = epoch.number.saturating_add(config.seq_window_size);
        let has_expired =
            expiry < self.origin.number || (expiry == self.origin.number && is_read_out);
        if !has_expired {
            return None;
        }
        let next_epoch = self.next_epoch()?;
        let timestamp = parent.block.timestamp.saturating_add(config.block_time);
        // Each epoch has at least one block, and no block is older than its epoch.
        let is_first = parent.l1_origin.number.checked_add(1) == Some(epoch.number);
        if timestamp >= next_epoch.timestamp && !is_first {
            self.blocks.pop_front();
            return None;
        }
        Some(SingleBatch {
            parent_hash: parent.block.hash,
            epoch_num: epoch.number,
            epoch_hash: epoch.hash,
            timestamp,
            transactions: alloc::vec::Vec::new(),
        })
    }
}
