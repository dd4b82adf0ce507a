//! The stages, put together.

use crate::{
    AttributesBuilder, BatchContext, Batches, BlobProvider, Counters, DeriveError,
    DerivedAttributes, Dropped, L1Provider, L2Provider, NextBatch, Pull, Reset, Source,
    SourceContext, Traversal,
};
use alloc::{boxed::Box, sync::Arc};
use lockstep_chain::Ethereum;
use lockstep_protocol::{Batch, BlockInfo, L2BlockInfo, RollupConfig, SingleBatch};

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next block is known. Make it, and call [`Pipeline::step`] with it as safe head; or, if
    /// it turns out to be invalid, with the same safe head as before (see [`Signal::FlushChannel`]).
    Attributes(Box<DerivedAttributes>),
    /// Derivation went on to this L1 block; call again.
    Advanced(BlockInfo),
    /// Something was done that shows no result yet; call again.
    Progress,
    /// All L1 blocks that are there were read; call again when there may be another.
    Idle,
}

/// What the driver tells the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Forget everything, and continue this block: after an error of
    /// [`Severity::Reset`](crate::Severity::Reset), or when the safe head was set by other means.
    Reset {
        /// The block to continue ([`find_sync_start`](crate::find_sync_start) finds it).
        safe_head: L2BlockInfo,
    },
    /// Holocene begins: forget frames, channels and batches that are on their way, and put channels
    /// and batches together by its rules. [`Pipeline::step`] does this itself when it goes on to the
    /// first L1 block of Holocene, so that no driver has to send it; one that does changes nothing.
    Activation,
    /// Forget the rest of the channel (if there are channels) and of the span batch that the last block came from, because
    /// the block turned out to be invalid and one with nothing but its deposits took its place
    /// ([`DerivedAttributes::deposits_only`]). Has no effect before Holocene: there, an invalid block
    /// is left out, and the pipeline finds another when it is asked again.
    FlushChannel,
}

/// Derives a rollup's blocks from Ethereum.
///
/// The pipeline owns its providers and calls them only within [`Self::step`]. After an error of
/// [`Severity::Temporary`](crate::Severity::Temporary) nothing is lost: the next step tries again.
#[derive(Debug)]
pub struct Pipeline<L1, B, L2> {
    config: Arc<RollupConfig>,
    l1_chain: Arc<Ethereum>,
    l1: L1,
    blobs: B,
    l2: L2,
    counters: Counters,
    state: State,
}

#[derive(Debug)]
enum State {
    Resetting(Box<Reset>),
    Running(Box<Stages>),
}

/// The stages, outermost first: each is pulled by the one after it.
#[derive(Debug)]
struct Stages {
    traversal: Traversal,
    source: Source,
    batches: Batches,
    /// The batch whose attributes are being made, and whether it is the last of its span.
    batch: Option<(SingleBatch, bool)>,
}

impl<L1: L1Provider, B: BlobProvider, L2: L2Provider> Pipeline<L1, B, L2> {
    /// A pipeline that continues `safe_head`. Nothing is read before the first step. `l1_chain` is
    /// the definition of the L1: it says what blobs cost, which rollup blocks tell of their L1 origin.
    pub fn new(
        config: Arc<RollupConfig>,
        l1_chain: Arc<Ethereum>,
        l1: L1,
        blobs: B,
        l2: L2,
        safe_head: L2BlockInfo,
    ) -> Self {
        let state = State::Resetting(Box::new(Reset::new(safe_head)));
        Self { config, l1_chain, l1, blobs, l2, counters: Counters::default(), state }
    }

    /// Works towards the block after `safe_head`: at most one L1 block, one channel or one batch.
    ///
    /// # Errors
    /// [`DeriveError`]; its severity says who must act.
    pub fn step(&mut self, safe_head: &L2BlockInfo) -> Result<Step, DeriveError> {
        let Self { config, l1_chain, l1, blobs, l2, counters, state } = self;
        let stages = match state {
            State::Running(stages) => stages,
            State::Resetting(reset) => {
                if reset.safe_head() != safe_head {
                    **reset = Reset::new(*safe_head);
                }
                let (origin, system_config) = reset.find(config, l1, l2)?;
                let traversal = Traversal::new(origin, system_config);
                *state = State::Running(Box::new(Stages::new(traversal, config)));
                return Ok(Step::Advanced(origin));
            }
        };
        let mut pull = Puller { config, l1_chain, l1, blobs, l2, counters, stages };
        match pull.attributes(safe_head)? {
            Pull::Item(attributes) => Ok(Step::Attributes(Box::new(attributes))),
            Pull::More => Ok(Step::Progress),
            Pull::Exhausted => pull.advance(),
        }
    }

    /// Tells the pipeline something that did not come from L1.
    pub fn signal(&mut self, signal: Signal) {
        if let Signal::Reset { safe_head } = signal {
            self.state = State::Resetting(Box::new(Reset::new(safe_head)));
            return;
        }
        let State::Running(stages) = &mut self.state else { return };
        match signal {
            Signal::FlushChannel if stages.batches.is_holocene() => {
                stages.batch = None;
                stages.flush_channel(&mut self.counters);
            }
            Signal::Activation => stages.activate(&self.config, &mut self.counters),
            // Before Holocene a channel is not answerable for its blocks.
            Signal::FlushChannel | Signal::Reset { .. } => {}
        }
    }

    /// The L1 block that derivation is at; `None` during a reset.
    pub const fn origin(&self) -> Option<BlockInfo> {
        match &self.state {
            State::Running(stages) => Some(stages.traversal.origin()),
            State::Resetting(_) => None,
        }
    }

    /// What was dropped since the pipeline was made, by reason.
    pub const fn dropped(&self) -> &Counters {
        &self.counters
    }

    /// The configuration of the rollup.
    pub fn config(&self) -> &RollupConfig {
        &self.config
    }

    /// The providers of L1 blocks, blobs and rollup blocks.
    pub const fn providers(&mut self) -> (&mut L1, &mut B, &mut L2) {
        (&mut self.l1, &mut self.blobs, &mut self.l2)
    }
}

impl Stages {
    fn new(traversal: Traversal, config: &RollupConfig) -> Self {
        let origin = traversal.origin();
        let holocene = config.is_holocene_at(origin.timestamp);
        Self {
            traversal,
            source: Source::new(config, holocene),
            batches: Batches::new(origin, holocene),
            batch: None,
        }
    }

    /// Drops the rest of the current channel, with the span that came out of it.
    fn flush_channel(&mut self, counters: &mut Counters) {
        let dropped = self.batches.flush() + self.source.flush();
        let origin = self.traversal.origin().number;
        counters.record_many(Dropped::ChannelFlushed, dropped, origin);
    }

    /// Exchanges the stages whose rules Holocene changes, and drops what they held, if it has begun
    /// since they were made.
    fn activate(&mut self, config: &RollupConfig, counters: &mut Counters) {
        let origin = self.traversal.origin();
        if self.batches.is_holocene() || !config.is_holocene_at(origin.timestamp) {
            return;
        }
        let origin = origin.number;
        let dropped = self.batches.activate_holocene();
        counters.record_many(Dropped::HoloceneActivation, dropped, origin);
        self.source.activate_holocene(counters, origin);
    }
}

/// Pulls data through the stages for the length of one step.
struct Puller<'a, L1, B, L2> {
    config: &'a RollupConfig,
    l1_chain: &'a Ethereum,
    l1: &'a mut L1,
    blobs: &'a mut B,
    l2: &'a mut L2,
    counters: &'a mut Counters,
    stages: &'a mut Stages,
}

impl<L1: L1Provider, B: BlobProvider, L2: L2Provider> Puller<'_, L1, B, L2> {
    fn origin(&self) -> BlockInfo {
        self.stages.traversal.origin()
    }

    /// Goes to the next L1 block.
    fn advance(&mut self) -> Result<Step, DeriveError> {
        let Some(next) = self.stages.traversal.advance(self.l1, self.config, self.counters)? else {
            return Ok(Step::Idle);
        };
        self.stages.activate(self.config, self.counters);
        Ok(Step::Advanced(next))
    }

    fn attributes(&mut self, parent: &L2BlockInfo) -> Result<Pull<DerivedAttributes>, DeriveError> {
        let (batch, is_last_in_span) = match self.stages.batch.take() {
            Some(batch) => batch,
            None => match self.batch(parent)? {
                Pull::Item(batch) => batch,
                Pull::More => return Ok(Pull::More),
                Pull::Exhausted => return Ok(Pull::Exhausted),
            },
        };
        let derived_from = self.origin();
        let mut builder = AttributesBuilder {
            config: self.config,
            l1_chain: self.l1_chain,
            l1: self.l1,
            l2: self.l2,
        };
        match builder.build(&batch, parent) {
            Ok(attributes) => Ok(Pull::Item(DerivedAttributes {
                attributes,
                parent: *parent,
                derived_from,
                is_last_in_span,
            })),
            Err(error) => {
                self.stages.batch = Some((batch, is_last_in_span));
                Err(error)
            }
        }
    }

    fn batch(&mut self, parent: &L2BlockInfo) -> Result<Pull<(SingleBatch, bool)>, DeriveError> {
        let origin = self.origin();
        let input = if self.stages.batches.needs_input(origin, parent) {
            match self.pull_source()? {
                Pull::Item(batch) => Some(batch),
                Pull::More => return Ok(Pull::More),
                Pull::Exhausted => None,
            }
        } else {
            None
        };
        let mut context =
            BatchContext { config: self.config, parent, l2: self.l2, counters: self.counters };
        match self.stages.batches.next(input, origin, &mut context)? {
            NextBatch::Batch { batch, is_last_in_span } => Ok(Pull::Item((batch, is_last_in_span))),
            NextBatch::More => Ok(Pull::More),
            NextBatch::Exhausted => Ok(Pull::Exhausted),
            NextBatch::Flush => {
                self.stages.flush_channel(self.counters);
                Ok(Pull::More)
            }
        }
    }

    /// A batch as it comes out of L1.
    fn pull_source(&mut self) -> Result<Pull<Batch>, DeriveError> {
        let Stages { traversal, source, .. } = &mut *self.stages;
        source.pull(&mut SourceContext {
            config: self.config,
            l1: &mut *self.l1,
            blobs: &mut *self.blobs,
            traversal,
            counters: &mut *self.counters,
        })
    }
}
