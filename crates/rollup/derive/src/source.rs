//! Where batches come from, by what the rollup is.

use crate::{
    BatcherSource, BlobProvider, Counters, DeriveError, L1Provider, Traversal, UnionSource,
};
use alloc::boxed::Box;
use lockstep_protocol::{Batch, RollupConfig};

/// What a stage has for the next one.
pub(crate) enum Pull<T> {
    Item(T),
    /// There may be something, but more work comes first.
    More,
    /// Nothing is left before the next L1 block.
    Exhausted,
}

/// What a source works with.
pub(crate) struct SourceContext<'a, L1, B> {
    pub(crate) config: &'a RollupConfig,
    pub(crate) l1: &'a mut L1,
    pub(crate) blobs: &'a mut B,
    pub(crate) traversal: &'a mut Traversal,
    pub(crate) counters: &'a mut Counters,
}

/// The stages between L1 and batches.
#[derive(Debug)]
pub(crate) enum Source {
    /// A batcher posts the rollup's blocks.
    Batcher(Box<BatcherSource>),
    /// The owners of L1's slots post those of a whole union.
    Union(Box<UnionSource>),
}

impl Source {
    /// The source of the rollup with this configuration, at an L1 block before Holocene or not.
    pub(crate) fn new(config: &RollupConfig, holocene: bool) -> Self {
        match &config.union {
            Some(union) => Self::Union(Box::new(UnionSource::new(union.clone()))),
            None => Self::Batcher(Box::new(BatcherSource::new(holocene))),
        }
    }

    /// The next batch.
    pub(crate) fn pull<L1: L1Provider, B: BlobProvider>(
        &mut self,
        context: &mut SourceContext<'_, L1, B>,
    ) -> Result<Pull<Batch>, DeriveError> {
        match self {
            Self::Batcher(source) => source.pull(context),
            Self::Union(source) => source.pull(context),
        }
    }

    /// Drops what belongs with the batch that came out last, and says how much that was.
    pub(crate) fn flush(&mut self) -> usize {
        match self {
            Self::Batcher(source) => source.flush().into(),
            // A union batch has one batch of a rollup.
            Self::Union(_) => 0,
        }
    }

    /// Goes over to the rules of Holocene, and drops what is on its way.
    pub(crate) fn activate_holocene(&mut self, counters: &mut Counters, origin: u64) {
        match self {
            Self::Batcher(source) => source.activate_holocene(counters, origin),
            // It has no others.
            Self::Union(_) => {}
        }
    }
}
