//! A rollup of the union, and its blocks that no batch has yet.

use super::{MemberBlocks, MemberStatus, ResetReason};
use crate::PosterError;
use alloy_eips::BlockNumHash;
use alloy_primitives::ChainId;
use lockstep_batcher::{SourceError, UnionBlock};
use lockstep_lookahead::Slot;
use lockstep_protocol::{RollupConfig, UnionConfig};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// A rollup whose blocks a [`Poster`](crate::Poster) posts.
#[derive(Debug)]
pub struct PosterMember {
    /// Its configuration.
    pub config: Arc<RollupConfig>,
    /// Its node.
    pub blocks: Box<dyn MemberBlocks>,
}

/// A rollup, and what of its chain is not posted.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) chain: ChainId,
    pub(super) config: Arc<RollupConfig>,
    source: Box<dyn MemberBlocks>,
    /// As it said last.
    status: Option<MemberStatus>,
    /// The last block that is in a batch, or safe.
    cursor: BlockNumHash,
    /// The cursor is what L1 says, so that what follows it can be posted.
    is_placed: bool,
    /// What was safe when it was placed.
    floor: u64,
    /// The blocks after the cursor, as far as they are loaded.
    queue: VecDeque<UnionBlock>,
    bytes: usize,
    /// The head with which the cursor was last found to be in the chain.
    checked: Option<BlockNumHash>,
}

impl Member {
    pub(super) fn new(PosterMember { config, blocks }: PosterMember) -> Self {
        let cursor = config.genesis.l2;
        Self {
            chain: config.l2_chain_id,
            config,
            source: blocks,
            status: None,
            cursor,
            is_placed: false,
            floor: 0,
            queue: VecDeque::new(),
            bytes: 0,
            checked: None,
        }
    }

    pub(super) const fn status(&self) -> Option<&MemberStatus> {
        self.status.as_ref()
    }

    pub(super) const fn is_placed(&self) -> bool {
        self.is_placed
    }

    /// The blocks after the cursor, as far as they are loaded.
    pub(super) const fn queue(&self) -> &VecDeque<UnionBlock> {
        &self.queue
    }

    /// Asks where it stands. If it does not answer, what it said last counts.
    pub(super) fn ask(&mut self) -> Result<(), PosterError> {
        let status = self.source.status().map_err(|error| self.error(error))?;
        self.status = Some(status);
        if !self.is_placed || status.safe_head.number > self.cursor.number {
            self.begin_after(status.safe_head);
        }
        Ok(())
    }

    /// What is safe is what L1 says: blocks after it can be posted.
    pub(super) fn place(&mut self) {
        self.is_placed = true;
        self.floor = self.cursor.number;
    }

    /// What L1 says is not known; what follows the safe head is loaded meanwhile.
    pub(super) fn unplace(&mut self) {
        self.is_placed = false;
        self.checked = None;
        if let Some(status) = self.status {
            self.begin_after(status.safe_head);
        }
    }

    /// Whether what is in batches is not its chain any more.
    pub(super) fn doubt(&mut self) -> Result<Option<ResetReason>, PosterError> {
        let Some(MemberStatus { unsafe_head, safe_head, .. }) = self.status else {
            return Ok(None);
        };
        if safe_head.number < self.floor {
            return Ok(Some(ResetReason::SafeHeadWentBack));
        }
        if self.checked == Some(unsafe_head) {
            return Ok(None);
        }
        let found = self.block(self.cursor.number)?.map(|block| block.block.hash);
        if found != Some(self.cursor.hash) {
            return Ok(Some(ResetReason::L2Reorg));
        }
        self.checked = Some(unsafe_head);
        Ok(None)
    }

    /// Loads blocks up to the head, at most `max_blocks`, and as long as there is room.
    pub(super) fn load(&mut self, max_blocks: usize, max_bytes: usize) -> Result<(), PosterError> {
        let Some(MemberStatus { unsafe_head, .. }) = self.status else { return Ok(()) };
        let is_shorter = unsafe_head.number < self.tip().number;
        let is_other =
            unsafe_head.number == self.tip().number && unsafe_head.hash != self.tip().hash;
        if is_shorter || is_other {
            self.drop_queue();
        }
        for _ in 0..max_blocks {
            let tip = self.tip();
            if tip.number >= unsafe_head.number || self.bytes >= max_bytes {
                break;
            }
            let Some(block) = self.block(tip.number + 1)? else { break };
            if block.block.parent_hash != tip.hash {
                // The chain changed below what is loaded; `doubt` finds out whether below the cursor.
                self.drop_queue();
                self.checked = None;
                break;
            }
            self.bytes += bytes(&block);
            self.queue.push_back(block);
        }
        Ok(())
    }

    /// The last slot whose blocks are all loaded, or are not waited for: at `now`, those of slots that ended
    /// longer than `grace` ago.
    pub(super) fn complete_slot(
        &self,
        union: &UnionConfig,
        now: Duration,
        grace: Duration,
        max_bytes: usize,
    ) -> Option<Slot> {
        if self.bytes >= max_bytes {
            // What is loaded is more than a batch can hold, and its size is the error to tell.
            return Some(Slot::MAX);
        }
        let before = |time: u64| union.slot_at(time).and_then(|slot| slot.checked_sub(1));
        let block_time = self.config.block_time;
        let complete = before(self.timestamp(self.tip().number).saturating_add(block_time));
        let head = self.status.map_or(0, |status| status.unsafe_head.number);
        let is_loaded = self.tip().number >= head;
        let is_late = is_loaded.then(|| before(now.saturating_sub(grace).as_secs())).flatten();
        complete.max(is_late)
    }

    /// The blocks before `end`, in Unix seconds.
    pub(super) fn blocks_before(&self, end: u64) -> Vec<UnionBlock> {
        self.queue.iter().take_while(|block| block.block.timestamp < end).cloned().collect()
    }

    /// The blocks before `end` are in a batch. The last of them, if there are any.
    pub(super) fn take_before(&mut self, end: u64) -> Option<BlockNumHash> {
        let count = self.queue.iter().take_while(|block| block.block.timestamp < end).count();
        let last = self.queue.get(count.checked_sub(1)?)?.block.id();
        self.begin_after(last);
        Some(last)
    }

    /// Bytes of transactions and parts in the blocks from `start` on, in Unix seconds.
    pub(super) fn bytes_since(&self, start: u64) -> usize {
        self.queue.iter().rev().take_while(|it| it.block.timestamp >= start).map(bytes).sum()
    }

    fn timestamp(&self, number: u64) -> u64 {
        let genesis = &self.config.genesis;
        let blocks = number.saturating_sub(genesis.l2.number);
        genesis.l2_time.saturating_add(blocks.saturating_mul(self.config.block_time))
    }

    fn tip(&self) -> BlockNumHash {
        self.queue.back().map_or(self.cursor, |block| block.block.id())
    }

    /// Moves the cursor; the blocks after it stay if they follow it.
    fn begin_after(&mut self, block: BlockNumHash) {
        if self.cursor == block {
            return;
        }
        let follows = self.queue.iter().any(|queued| queued.block.id() == block);
        if follows {
            while let Some(front) = self.queue.pop_front_if(|it| it.block.number <= block.number) {
                self.bytes = self.bytes.saturating_sub(bytes(&front));
            }
        } else {
            self.drop_queue();
        }
        self.cursor = block;
        self.checked = None;
    }

    fn drop_queue(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    fn block(&mut self, number: u64) -> Result<Option<UnionBlock>, PosterError> {
        self.source.block(number).map_err(|error| self.error(error))
    }

    const fn error(&self, source: SourceError) -> PosterError {
        PosterError::Member { chain: self.chain, source }
    }
}

/// Bytes of what users put into a block.
pub(super) fn bytes(block: &UnionBlock) -> usize {
    block.block.bytes() + block.parts.iter().map(|(_, part)| part.len()).sum::<usize>()
}

/// Whether there is nothing in the block but what L1 prescribes.
pub(super) const fn is_empty(block: &UnionBlock) -> bool {
    block.block.transactions.is_empty() && block.parts.is_empty()
}
