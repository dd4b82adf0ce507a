//! The sixth stage: batches in the order of their blocks, by the rules of the time.

use crate::{BatchQueue, BatchStage, Counters, DeriveError, L1Window, L2Provider};
use lockstep_protocol::{Batch, BlockInfo, L2BlockInfo, RollupConfig, SingleBatch};

/// What the stage has to say when it was given all that there was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextBatch {
    /// The batch of the block after the safe head, and whether the span that it came from ends.
    Batch {
        /// The batch.
        batch: SingleBatch,
        /// Whether it is the last of its span, or none of a span.
        is_last_in_span: bool,
    },
    /// There may be more in the stages before.
    More,
    /// Nothing is left before the next L1 block.
    Exhausted,
    /// A batch was invalid: the rest of its channel goes with it (Holocene).
    Flush,
}

impl NextBatch {
    /// A batch that is the last of its span, or none of a span.
    pub(crate) const fn last(batch: SingleBatch) -> Self {
        Self::Batch { batch, is_last_in_span: true }
    }
}

/// What the stage works with.
#[derive(Debug)]
pub(crate) struct BatchContext<'a, L2> {
    pub(crate) config: &'a RollupConfig,
    /// The safe head.
    pub(crate) parent: &'a L2BlockInfo,
    pub(crate) l2: &'a mut L2,
    pub(crate) counters: &'a mut Counters,
}

/// Orders and judges batches.
#[derive(Clone, Debug)]
pub(crate) enum Batches {
    /// Before Holocene: in any order.
    Queue(BatchQueue),
    /// From Holocene on: strictly in order.
    Stage(BatchStage),
}

impl Batches {
    /// The stage after a reset to `origin`, which is before Holocene or not.
    pub(crate) fn new(origin: BlockInfo, holocene: bool) -> Self {
        let window = L1Window::new(origin);
        if holocene {
            Self::Stage(BatchStage::new(window))
        } else {
            Self::Queue(BatchQueue::new(window))
        }
    }

    /// Whether the stage must be given what comes next before it can answer.
    pub(crate) fn needs_input(&mut self, origin: BlockInfo, parent: &L2BlockInfo) -> bool {
        match self {
            Self::Queue(queue) => queue.needs_input(),
            Self::Stage(stage) => stage.needs_input(origin, parent),
        }
    }

    /// The next batch, given what came out of the stages before: a batch, or nothing more from this
    /// L1 block. An error leaves the stage as if it had been given the batch but not yet asked.
    pub(crate) fn next<L2: L2Provider>(
        &mut self,
        input: Option<Batch>,
        origin: BlockInfo,
        context: &mut BatchContext<'_, L2>,
    ) -> Result<NextBatch, DeriveError> {
        match self {
            Self::Queue(queue) => queue.next(input, origin, context),
            Self::Stage(stage) => stage.next(input, origin, context),
        }
    }

    /// Drops what is left of the current span (Holocene).
    pub(crate) fn flush(&mut self) -> usize {
        match self {
            // Before Holocene a channel is not answerable for its blocks.
            Self::Queue(_) => 0,
            Self::Stage(stage) => stage.flush(),
        }
    }

    /// Whether the stage is that of Holocene.
    pub(crate) const fn is_holocene(&self) -> bool {
        matches!(self, Self::Stage(_))
    }

    /// Replaces the queue by the stage of Holocene, drops what the queue held, and says how much
    /// that was. The L1 blocks stay: the first channels of Holocene hold batches of before.
    pub(crate) fn activate_holocene(&mut self) -> usize {
        let Self::Queue(queue) = self else { return 0 };
        let dropped = queue.len();
        *self = Self::Stage(BatchStage::new(queue.window().clone()));
        dropped
    }
}
