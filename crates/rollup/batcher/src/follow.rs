//! Following the L2 node: what became safe, what is new, what is not canonical any more.

use crate::{
    Batcher, BatcherError, L1Head, L1Submit, L2Blocks, L2Status, ResetReason, batcher::Loaded,
    queue::BlockQueue,
};
use alloy_eips::BlockNumHash;

impl<L1: L1Submit, L2: L2Blocks> Batcher<L1, L2> {
    /// Lets go of what became safe. `Some` if the batcher must begin anew.
    pub(crate) fn follow(
        &mut self,
        head: &L1Head,
        status: &L2Status,
    ) -> Result<Option<ResetReason>, BatcherError> {
        let safe = status.safe_head;
        if self.queue.id(safe.number).is_some_and(|known| known.hash != safe.hash) {
            return Ok(Some(ResetReason::L2Reorg));
        }
        let covered = self.channels.front().map_or(self.cursor_of_open(), |c| c.channel.first);
        if safe.number + 1 < covered {
            return Ok(Some(ResetReason::SafeHeadWentBack));
        }
        if safe.number > self.queue.tip().number {
            // Others post, too, or a predecessor's transactions arrived late.
            self.queue = BlockQueue::after(safe);
        } else {
            self.queue.advance(safe.number);
        }
        if self.cursor_of_open() <= safe.number {
            self.cursor = self.cursor_of_open();
            self.open = None;
        }
        self.cursor = self.cursor.max(safe.number + 1);
        if let Some(reason) = self.doubt_channels(head, status) {
            return Ok(Some(reason));
        }
        self.drop_safe_channels(head, safe.number);
        Ok(None)
    }

    /// Lets the blocks begin after the safe head; those that do already stay.
    pub(crate) fn begin_after(&mut self, safe: BlockNumHash) {
        if self.queue.id(safe.number).is_some_and(|known| known.hash == safe.hash) {
            self.queue.advance(safe.number);
        } else {
            self.queue = BlockQueue::after(safe);
        }
        self.cursor = safe.number + 1;
    }

    /// Loads what waits after the safe head while nothing may be posted. How many blocks were loaded.
    pub(crate) fn count(&mut self, status: &L2Status) -> Result<usize, BatcherError> {
        self.begin_after(status.safe_head);
        match self.load(status)? {
            Loaded::Blocks(blocks) => Ok(blocks),
            Loaded::Reset(_) => {
                self.queue = BlockQueue::after(status.safe_head);
                Ok(0)
            }
        }
    }

    /// Loads blocks up to the unsafe head, as far as there is room.
    pub(crate) fn load(&mut self, status: &L2Status) -> Result<Loaded, BatcherError> {
        let unsafe_head = status.unsafe_head;
        if unsafe_head.number < self.queue.base().number {
            // The node is about to catch up with its own safe head.
            return Ok(Loaded::Blocks(0));
        }
        let known = self.queue.id(unsafe_head.number);
        let is_shorter = unsafe_head.number < self.queue.tip().number;
        if (is_shorter || known.is_some_and(|known| known.hash != unsafe_head.hash))
            && let Some(reason) = self.leave_fork(unsafe_head.number)?
        {
            return Ok(Loaded::Reset(reason));
        }
        let mut loaded = 0;
        while self.queue.tip().number < unsafe_head.number
            && loaded < self.config.max_blocks_per_step
            && !self.is_queue_full()
        {
            let number = self.queue.tip().number + 1;
            let block = self.l2.block(number).map_err(BatcherError::L2)?;
            let Some(block) = block else {
                let unsafe_head = unsafe_head.number;
                return Err(BatcherError::MissingBlock { number, unsafe_head });
            };
            if !self.queue.push(block) {
                return Ok(match self.leave_fork(number - 1)? {
                    Some(reason) => Loaded::Reset(reason),
                    None => Loaded::Blocks(loaded),
                });
            }
            loaded += 1;
        }
        Ok(Loaded::Blocks(loaded))
    }

    /// Drops the blocks that the node does not have (any more), of which none is above `newest`.
    /// `Some` if some of them are posted, at least in part.
    fn leave_fork(&mut self, newest: u64) -> Result<Option<ResetReason>, BatcherError> {
        let base = self.queue.base();
        // What was safe may be replaced as well, and blocks that continue it will never come.
        let found = self.l2.block(base.number).map_err(BatcherError::L2)?;
        let Some(found) = found else {
            return Err(BatcherError::MissingBlock { number: base.number, unsafe_head: newest });
        };
        if found.hash != base.hash {
            return Ok(Some(ResetReason::L2Reorg));
        }
        // All blocks up to some number are still canonical, and none above it.
        let mut low = base.number;
        let mut high = newest.min(self.queue.tip().number);
        while low < high {
            let middle = high - (high - low) / 2;
            let found = self.l2.block(middle).map_err(BatcherError::L2)?.map(|block| block.hash);
            if found.is_some() && found == self.queue.id(middle).map(|known| known.hash) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        tracing::warn!(
            chain = self.rollup.l2_chain_id,
            from = low + 1,
            to = self.queue.tip().number,
            "blocks of the rollup were replaced"
        );
        self.metrics.replaced(self.queue.tip().number.saturating_sub(low));
        self.queue.truncate(low);
        Ok(self.rewind(low + 1))
    }

    /// Takes the blocks from `number` on out of channels again. `Some` if some are posted, at least in
    /// part.
    fn rewind(&mut self, number: u64) -> Option<ResetReason> {
        if self.cursor <= number {
            return None;
        }
        self.cursor = self.cursor_of_open();
        self.open = None;
        while let Some(newest) = self.channels.back() {
            if newest.channel.last.number < number {
                break;
            }
            if newest.is_begun() {
                return Some(ResetReason::L2Reorg);
            }
            self.cursor = newest.channel.first;
            self.channels.pop_back();
        }
        None
    }

    /// The number of the first block that is in no closed channel.
    pub(crate) fn cursor_of_open(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |open| open.len() as u64);
        self.cursor - open
    }

    /// Whether a channel is lost.
    fn doubt_channels(&mut self, head: &L1Head, status: &L2Status) -> Option<ResetReason> {
        let timeout = self.rollup.channel_timeout(head.timestamp);
        let doubt_blocks = self.config.submission.doubt_blocks;
        let l1_number = head.block.number;
        for pending in &mut self.channels {
            if pending.channel.last.number <= status.safe_head.number {
                pending.doubted_since = None;
                continue;
            }
            let Some(span) = pending.span(self.outbox.entries()) else { continue };
            // A transaction that is not included yet cannot be in a block before the next one.
            let end = if span.is_complete { span.last } else { l1_number + 1 };
            if end - span.first.min(end) > timeout {
                return Some(ResetReason::ChannelTimeout);
            }
            let is_derived = span.is_complete && status.current_l1.number > span.last;
            if !is_derived {
                pending.doubted_since = None;
                continue;
            }
            let since = *pending.doubted_since.get_or_insert(l1_number);
            if l1_number >= since.saturating_add(doubt_blocks) {
                return Some(ResetReason::ChannelDropped);
            }
        }
        None
    }

    /// Lets go of channels whose blocks are safe, once no likely reorg of L1 can take them back.
    fn drop_safe_channels(&mut self, head: &L1Head, safe: u64) {
        let deep = self.config.submission.confirmations;
        self.channels.retain(|pending| pending.is_begun() || pending.channel.last.number > safe);
        for pending in self.channels.iter_mut().filter(|c| c.channel.last.number <= safe) {
            pending.abandon();
        }
        while let Some(oldest) = self.channels.front() {
            if oldest.channel.last.number > safe {
                break;
            }
            let is_shallow = !self.outbox.is_crowded()
                && oldest.span(self.outbox.entries()).is_none_or(|span| {
                    !span.is_complete || (head.block.number + 1).saturating_sub(span.last) < deep
                });
            if is_shallow {
                break;
            }
            self.channels.pop_front();
        }
    }
}
