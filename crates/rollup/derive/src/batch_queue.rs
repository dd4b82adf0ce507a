//! Batches before Holocene: in any order (OP specification: derivation § batch queue).

use crate::{
    BatchContext, DeriveError, Dropped, Judge, L1Window, L2Provider, NextBatch, NextInSpan,
    SpanStream, Validity,
};
use alloc::vec::Vec;
use alloy_primitives::{B256, Bytes};
use core::mem::size_of;
use lockstep_protocol::{Batch, BlockInfo, SpanBatchBlock};

/// What the batches that wait for their turn may hold, in bytes of memory.
///
/// The specification knows no such limit. An honest batcher is never near it; one that is not can
/// make any implementation without a limit run out of memory.
const MAX_QUEUED_BYTES: usize = 1 << 30;

#[derive(Clone, Debug)]
struct Queued {
    batch: Batch,
    /// The L1 block in which the batch was read out whole.
    inclusion: BlockInfo,
    bytes: usize,
}

/// What the waiting batches were last judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View {
    parent: B256,
    origin: B256,
    /// The epoch moves alone when empty batches are made.
    epoch: Option<u64>,
}

/// Batches that wait for their turn, and the span whose turn it is.
#[derive(Clone, Debug)]
pub(crate) struct BatchQueue {
    window: L1Window,
    span: SpanStream,
    /// A batch that could not be judged because a provider failed.
    pending: Option<Batch>,
    /// In the order in which they were included.
    batches: Vec<Queued>,
    /// What they hold, and may hold.
    bytes: usize,
    max_bytes: usize,
    /// How many of the first batches are `Future` in this view: they need no second look.
    judged: Option<(View, usize)>,
}

impl BatchQueue {
    pub(crate) const fn new(window: L1Window) -> Self {
        Self {
            window,
            span: SpanStream::EMPTY,
            pending: None,
            batches: Vec::new(),
            bytes: 0,
            max_bytes: MAX_QUEUED_BYTES,
            judged: None,
        }
    }

    pub(crate) const fn window(&self) -> &L1Window {
        &self.window
    }

    /// How many batches wait, the span among them.
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
            + usize::from(self.pending.is_some())
            + usize::from(!self.span.is_empty())
    }

    pub(crate) fn needs_input(&self) -> bool {
        self.pending.is_none() && self.span.is_empty()
    }

    pub(crate) fn next<L2: L2Provider>(
        &mut self,
        input: Option<Batch>,
        origin: BlockInfo,
        context: &mut BatchContext<'_, L2>,
    ) -> Result<NextBatch, DeriveError> {
        if let Some(next) = self.next_in_span(context) {
            return Ok(next);
        }
        self.window.update(origin, context.parent);
        let input = input.or_else(|| self.pending.take());
        let is_read_out = input.is_none();
        let exhausted = if is_read_out { NextBatch::Exhausted } else { NextBatch::More };
        if self.window.is_behind(context.parent) {
            context.counters.record_many(
                Dropped::BeforeOrigin,
                usize::from(!is_read_out),
                origin.number,
            );
            return Ok(exhausted);
        }
        if let Some(batch) = input {
            self.add(batch, context)?;
        }
        self.window.checked_epoch(context.parent)?;
        match self.select(context)? {
            Selected::Batch(batch) => Ok(self.begin(batch, context)),
            Selected::Undecided => Ok(exhausted),
            Selected::Nothing => {
                let empty = self.window.empty_batch(context.config, context.parent, is_read_out);
                Ok(empty.map_or(exhausted, NextBatch::last))
            }
        }
    }

    /// Makes a batch the current one.
    fn begin<L2>(&mut self, batch: Batch, context: &mut BatchContext<'_, L2>) -> NextBatch {
        match batch {
            Batch::Single(batch) => NextBatch::last(batch),
            Batch::Span(span) => {
                self.span = SpanStream::new(span, context.parent);
                self.next_in_span(context).unwrap_or(NextBatch::More)
            }
        }
    }

    /// What the current span has to say, if there is one.
    fn next_in_span<L2>(&mut self, context: &mut BatchContext<'_, L2>) -> Option<NextBatch> {
        match self.span.pop(context.config, &self.window, context.parent) {
            NextInSpan::Batch(batch) => {
                let is_last_in_span = self.span.is_empty();
                Some(NextBatch::Batch { batch, is_last_in_span })
            }
            NextInSpan::Abandoned(reason) => {
                context.counters.record(reason, self.window.origin().number);
                Some(NextBatch::More)
            }
            NextInSpan::Empty => None,
        }
    }

    /// Puts a batch behind those that wait, unless it is invalid already.
    fn add<L2: L2Provider>(
        &mut self,
        batch: Batch,
        context: &mut BatchContext<'_, L2>,
    ) -> Result<(), DeriveError> {
        let inclusion = self.window.origin();
        let validity = match self.judge(&batch, inclusion, context) {
            Ok(validity) => validity,
            Err(error) => {
                self.pending = Some(batch);
                return Err(error);
            }
        };
        if let Validity::Drop(reason) = validity {
            context.counters.record(reason, inclusion.number);
            return Ok(());
        }
        let bytes = memory(&batch);
        if validity == Validity::Future && self.bytes.saturating_add(bytes) > self.max_bytes {
            context.counters.record(Dropped::QueueFull, inclusion.number);
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.batches.push(Queued { batch, inclusion, bytes });
        Ok(())
    }

    fn judge<L2: L2Provider>(
        &self,
        batch: &Batch,
        inclusion: BlockInfo,
        context: &mut BatchContext<'_, L2>,
    ) -> Result<Validity, DeriveError> {
        let judge = Judge {
            config: context.config,
            window: &self.window,
            parent: context.parent,
            inclusion,
        };
        match batch {
            Batch::Single(batch) => Ok(judge.single(batch)),
            Batch::Span(span) => judge.span(span, context.l2),
        }
    }
}

/// What became of the waiting batches.
enum Selected {
    /// This one is next.
    Batch(Batch),
    /// The next one cannot be told before there are more L1 blocks.
    Undecided,
    /// None can be next now.
    Nothing,
}

/// Where a look through the waiting batches ended.
#[derive(Default)]
struct Found {
    /// Those that are invalid, in order.
    dropped: Vec<(usize, Dropped)>,
    accepted: Option<usize>,
    is_undecided: bool,
    /// How many were looked at, all of them `Future` or in `dropped`.
    passed: usize,
}

impl BatchQueue {
    /// Takes the first valid batch out, and drops the invalid ones before it. An error leaves all
    /// batches where they are.
    fn select<L2: L2Provider>(
        &mut self,
        context: &mut BatchContext<'_, L2>,
    ) -> Result<Selected, DeriveError> {
        let view = View {
            parent: context.parent.block.hash,
            origin: self.window.origin().hash,
            epoch: self.window.epoch().map(|epoch| epoch.number),
        };
        let judged = self.judged.filter(|(judged, _)| *judged == view);
        let found = self.look(judged.map_or(0, |(_, count)| count), context)?;
        self.judged = Some((view, found.passed - found.dropped.len()));
        for (_, reason) in &found.dropped {
            context.counters.record(*reason, self.window.origin().number);
        }
        let accepted = self.take(&found);
        Ok(match accepted {
            Some(batch) => Selected::Batch(batch),
            None if found.is_undecided => Selected::Undecided,
            None => Selected::Nothing,
        })
    }

    /// Looks through the batches, from `start` on.
    fn look<L2: L2Provider>(
        &self,
        start: usize,
        context: &mut BatchContext<'_, L2>,
    ) -> Result<Found, DeriveError> {
        let epoch = self.window.epoch().map_or(0, |epoch| epoch.number);
        let mut found = Found { passed: start, ..Found::default() };
        for (index, queued) in self.batches.iter().enumerate().skip(start) {
            match self.judge(&queued.batch, queued.inclusion, context)? {
                // Batches name L1 blocks before the one that they are in, and no L1 block before
                // the epoch will be named again: this batch has no future.
                Validity::Future if queued.inclusion.number <= epoch => {
                    found.dropped.push((index, Dropped::SequencingWindow));
                }
                Validity::Future => {}
                Validity::Drop(reason) => found.dropped.push((index, reason)),
                Validity::Past => found.dropped.push((index, Dropped::Past)),
                Validity::Accept => {
                    found.accepted = Some(index);
                    return Ok(found);
                }
                Validity::Undecided => {
                    found.is_undecided = true;
                    return Ok(found);
                }
            }
            found.passed = index + 1;
        }
        Ok(found)
    }

    /// Removes what was found to be invalid, and the accepted batch, which is returned.
    fn take(&mut self, found: &Found) -> Option<Batch> {
        if found.dropped.is_empty() && found.accepted.is_none() {
            return None;
        }
        let mut accepted = None;
        let mut dropped = found.dropped.iter().map(|(index, _)| *index).peekable();
        let batches = core::mem::take(&mut self.batches);
        for (index, queued) in batches.into_iter().enumerate() {
            if dropped.next_if_eq(&index).is_some() {
                self.bytes = self.bytes.saturating_sub(queued.bytes);
            } else if found.accepted == Some(index) {
                self.bytes = self.bytes.saturating_sub(queued.bytes);
                accepted = Some(queued.batch);
            } else {
                self.batches.push(queued);
            }
        }
        accepted
    }
}

/// About what a batch holds in memory.
fn memory(batch: &Batch) -> usize {
    let transactions = |list: &[Bytes]| -> usize {
        list.iter().map(|transaction| transaction.len() + size_of::<Bytes>()).sum()
    };
    size_of::<Queued>()
        + match batch {
            Batch::Single(batch) => transactions(&batch.transactions),
            Batch::Span(span) => span
                .blocks
                .iter()
                .map(|block| size_of::<SpanBatchBlock>() + transactions(&block.transactions))
                .sum(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counters, ProviderError};
    use alloc::vec;
    use lockstep_chain::{Block, Rollup};
    use lockstep_protocol::{L2BlockInfo, RollupConfig, SingleBatch, SystemConfig};

    /// Nothing here overlaps the safe chain.
    #[derive(Debug)]
    struct NoChain;

    #[derive(Debug, thiserror::Error)]
    #[error("nobody should ask")]
    struct Asked;

    impl ProviderError for Asked {
        fn severity(&self) -> crate::Severity {
            crate::Severity::Critical
        }
    }

    impl L2Provider for NoChain {
        type Error = Asked;

        fn block_info(&mut self, _: u64) -> Result<L2BlockInfo, Asked> {
            Err(Asked)
        }

        fn block(&mut self, _: u64) -> Result<Block<Rollup>, Asked> {
            Err(Asked)
        }

        fn system_config(&mut self, _: u64) -> Result<SystemConfig, Asked> {
            Err(Asked)
        }
    }

    fn l1(number: u64) -> BlockInfo {
        let hash = |number: u64| B256::with_last_byte(number as u8 + 1);
        let parent_hash = number.checked_sub(1).map(hash).unwrap_or_default();
        BlockInfo { hash: hash(number), number, parent_hash, timestamp: 12 * number }
    }

    /// A batch for a block that is far away.
    fn future(timestamp: u64) -> Batch {
        let transactions = vec![vec![2; 1_000].into()];
        Batch::Single(SingleBatch { timestamp, transactions, ..SingleBatch::default() })
    }

    #[test]
    fn batches_for_the_future_are_bounded_and_expire() -> Result<(), DeriveError> {
        let config = RollupConfig { block_time: 2, seq_window_size: 3, ..Default::default() };
        let mut parent = L2BlockInfo { l1_origin: l1(0).id(), ..L2BlockInfo::default() };
        let mut counters = Counters::default();
        let mut queue = BatchQueue::new(L1Window::new(l1(0)));
        queue.max_bytes = 10_000;
        let mut ask = |queue: &mut BatchQueue, input, origin, parent: &L2BlockInfo| {
            let (l2, counters) = (&mut NoChain, &mut counters);
            let mut context = BatchContext { config: &config, parent, l2, counters };
            queue.next(input, origin, &mut context)
        };
        for timestamp in 0..100 {
            let next = ask(&mut queue, Some(future(1_000_000 + timestamp)), l1(1), &parent)?;
            assert_eq!(next, NextBatch::More);
            assert!(queue.bytes <= 10_000);
        }
        let kept = queue.len();
        assert!((5..10).contains(&kept), "{kept}");
        // They stay while they may still have a future, and leave nothing behind.
        assert_eq!(ask(&mut queue, None, l1(2), &parent)?, NextBatch::Exhausted);
        assert_eq!(queue.len(), kept);
        parent.l1_origin = l1(1).id();
        assert_eq!(ask(&mut queue, None, l1(2), &parent)?, NextBatch::Exhausted);
        assert_eq!((queue.len(), queue.bytes), (0, 0));
        assert_eq!(counters.get(Dropped::QueueFull) as usize, 100 - kept);
        assert_eq!(counters.get(Dropped::SequencingWindow) as usize, kept);
        Ok(())
    }
}
