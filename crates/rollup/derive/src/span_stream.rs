//! The blocks of an accepted span batch, one at a time.

use crate::{Dropped, L1Window};
use alloc::{collections::VecDeque, vec::Vec};
use lockstep_protocol::{L2BlockInfo, RollupConfig, SingleBatch, SpanBatch, SpanBatchBlock};

/// What is left of an accepted span batch. A block's transactions are moved out of it with the block,
/// so that the span is never held twice.
#[derive(Clone, Debug)]
pub(crate) struct SpanStream {
    blocks: VecDeque<SpanBatchBlock>,
}

/// What a span has next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextInSpan {
    /// Nothing.
    Empty,
    /// The batch of the block after the safe head.
    Batch(SingleBatch),
    /// Its blocks do not continue the safe head, or their L1 origins are not to be found.
    Abandoned(Dropped),
}

impl SpanStream {
    /// No span.
    pub(crate) const EMPTY: Self = Self { blocks: VecDeque::new() };

    /// The blocks of `span` that come after `parent`.
    pub(crate) fn new(span: SpanBatch, parent: &L2BlockInfo) -> Self {
        let mut blocks = VecDeque::from(span.blocks);
        let is_new = |block: &SpanBatchBlock| block.timestamp > parent.block.timestamp;
        let first = blocks.iter().position(is_new).unwrap_or(blocks.len());
        blocks.drain(..first);
        Self { blocks }
    }

    /// Whether no block is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Forgets all blocks and says how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        let count = self.blocks.len();
        self.blocks = VecDeque::new();
        count
    }

    /// Takes out the block after `parent`. Its L1 origin is looked up now: the specification has a
    /// span fail as a whole if an origin is missing, and origins only increase, so that the first
    /// block fails then.
    pub(crate) fn pop(
        &mut self,
        config: &RollupConfig,
        window: &L1Window,
        parent: &L2BlockInfo,
    ) -> NextInSpan {
        let Some(block) = self.blocks.front_mut() else { return NextInSpan::Empty };
        if block.timestamp != parent.block.timestamp.saturating_add(config.block_time) {
            self.clear();
            return NextInSpan::Abandoned(Dropped::SpanAbandoned);
        }
        let Some(epoch) = window.get(block.epoch_num) else {
            self.clear();
            return NextInSpan::Abandoned(Dropped::EpochTooOld);
        };
        let batch = SingleBatch {
            parent_hash: parent.block.hash,
            epoch_num: epoch.number,
            epoch_hash: epoch.hash,
            timestamp: block.timestamp,
            transactions: core::mem::take::<Vec<_>>(&mut block.transactions),
        };
        self.blocks.pop_front();
        NextInSpan::Batch(batch)
    }
}
