//! One step at a time from what L1 says to what the engine holds.

use crate::{
    FollowerError, L1Watch, RollupChain, RollupChainError, StatusReader, consolidate::difference,
    finality::Finality, measure::Measure, restarts::Restarts,
};
use alloy_primitives::B256;
use alloy_rpc_types_engine::ForkchoiceState;
use lockstep_chain::{Ethereum, Rollup};
use lockstep_derive::{
    BlobProvider, DerivedAttributes, L2Heads, L2Provider, Pipeline, ProviderError, Severity,
    Signal, Step, find_sync_start,
};
use lockstep_engine::{Engine, EngineError};
use lockstep_protocol::{BlockInfo, L2BlockInfo, RollupConfig};
use lockstep_storage::{ExecutedBlock, RecoveredBlock};
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use std::sync::Arc;

/// What a step has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something; there may be more to do at once.
    Worked,
    /// Nothing: L1 has no further block.
    Idle,
}

/// Follows a rollup: what L1 says becomes the safe chain of the engine.
///
/// It has no clock and no thread: whoever drives it calls [`Follower::step`] until it is idle, and
/// [`Follower::watch_l1`] when L1 may have moved, and waits in between.
#[derive(Debug)]
pub struct Follower<L1: L1Watch, B> {
    engine: Engine<Rollup>,
    config: Arc<RollupConfig>,
    l1_chain: Arc<Ethereum>,
    l1: L1,
    blobs: B,
    /// `None` before the first step, and after what was read from L1 is no longer true.
    pipeline: Option<Pipeline<L1, B, RollupChain>>,
    /// What the pipeline has derived and the engine could not take yet.
    pending: Option<Box<DerivedAttributes>>,
    /// The newest block that was derived. It is safe, but for blocks in the midst of a span batch
    /// before Holocene.
    tip: L2BlockInfo,
    /// The newest block that is safe: the tip, or where the span batch begins that it is in.
    safe: L2BlockInfo,
    restarts: Restarts,
    finality: Finality,
    status: StatusReader,
    measure: Measure,
}

impl<L1, B> Follower<L1, B>
where
    L1: L1Watch + Clone,
    B: BlobProvider + Clone,
{
    /// A follower that drives `engine`. `l1_chain` is what the L1 is, as far as blobs are priced on
    /// it.
    pub fn new(
        engine: Engine<Rollup>,
        config: Arc<RollupConfig>,
        l1_chain: Arc<Ethereum>,
        l1: L1,
        blobs: B,
    ) -> Self {
        Self {
            measure: Measure::new(config.l2_chain_id),
            engine,
            config,
            l1_chain,
            l1,
            blobs,
            pipeline: None,
            pending: None,
            tip: L2BlockInfo::default(),
            safe: L2BlockInfo::default(),
            restarts: Restarts::default(),
            finality: Finality::default(),
            status: StatusReader::default(),
        }
    }

    /// Tells how far it is where this reader reads, instead of where only [`Self::status`] leads.
    #[must_use]
    pub fn with_status(mut self, status: StatusReader) -> Self {
        self.status = status;
        self
    }

    /// Where to read how far the follower is.
    pub fn status(&self) -> StatusReader {
        self.status.clone()
    }

    /// How often in a row the follower has begun anew without getting further than before. Where this
    /// grows, a driver pauses: the reason is one that time may cure, or a fault.
    pub const fn restarts(&self) -> u32 {
        self.restarts.in_a_row()
    }

    /// Does the next bit of work: begins where the engine is, reads a little further on L1, or
    /// brings a derived block into the engine. What L1 has taken back makes it begin anew by itself.
    ///
    /// # Errors
    /// [`Severity::Temporary`]: call again after a pause. [`Severity::Critical`]: a person must
    /// look at it. Nothing derived is lost in either case.
    pub fn step(&mut self) -> Result<Progress, FollowerError> {
        let error = match self.advance() {
            Ok(progress) => {
                if progress == Progress::Idle {
                    self.restarts.caught_up();
                }
                return Ok(progress);
            }
            Err(error) => error,
        };
        self.measure.error(error.severity());
        let is_over = match error.severity() {
            Severity::Reset => true,
            Severity::Temporary => self.has_lost_origin(),
            Severity::Critical => false,
        };
        if !is_over {
            return Err(error);
        }
        self.restarts.begins_anew_at(self.tip.block.number);
        tracing::warn!(
            target: "lockstep_follower",
            %error, in_a_row = self.restarts.in_a_row(),
            "began to derive anew"
        );
        self.measure.reset();
        self.pipeline = None;
        self.pending = None;
        Ok(Progress::Worked)
    }

    /// Whether L1 has another block now where derivation is. What cannot be read of a block that is
    /// gone, such as its blobs, never comes back.
    fn has_lost_origin(&mut self) -> bool {
        let Some(origin) = self.pipeline.as_ref().and_then(Pipeline::origin) else { return false };
        match self.l1.block_by_number(origin.number) {
            Ok(Some(canonical)) => canonical.hash != origin.hash,
            // A node that lags or does not answer says nothing.
            Ok(None) | Err(_) => false,
        }
    }

    fn advance(&mut self) -> Result<Progress, FollowerError> {
        if self.pipeline.is_none() {
            self.begin()?;
            return Ok(Progress::Worked);
        }
        self.check_tip()?;
        if let Some(derived) = self.pending.take() {
            return self.apply_or_keep(derived);
        }
        let Some(pipeline) = &mut self.pipeline else { return Ok(Progress::Worked) };
        let step = pipeline.step(&self.tip);
        self.measure.dropped(pipeline.dropped());
        match step? {
            Step::Attributes(derived) => self.apply_or_keep(derived),
            Step::Advanced(origin) => {
                self.status.derived_up_to(origin);
                self.measure.origin(origin.number);
                Ok(Progress::Worked)
            }
            Step::Progress => Ok(Progress::Worked),
            Step::Idle => {
                self.status.is_idle();
                Ok(Progress::Idle)
            }
        }
    }

    /// Derivation reads the rollup's blocks by their numbers: that is right only as long as they lead
    /// to the tip. Whoever else drives the engine may have taken it back.
    fn check_tip(&self) -> Result<(), FollowerError> {
        let tip = self.tip.block.id();
        let snapshot = self.engine.view().snapshot();
        let canonical = snapshot.hash(tip.number)?;
        self.measure.unsafe_head(snapshot.head().number);
        if canonical == Some(tip.hash) {
            return Ok(());
        }
        Err(FollowerError::TipGone { tip, canonical })
    }

    /// Finds the blocks of the engine's chain that L1 still bears out, and begins to derive there.
    fn begin(&mut self) -> Result<(), FollowerError> {
        let view = self.engine.view();
        let mut chain = RollupChain::new(view.clone(), self.config.clone());
        let snapshot = view.snapshot();
        let genesis = self.config.genesis.l2.number;
        let mut info = |number| chain.block_info(number).map_err(chain_error);
        let heads = L2Heads {
            unsafe_head: info(snapshot.head().number)?,
            safe: info(snapshot.safe().map_or(genesis, |safe| safe.number))?,
            finalized: info(snapshot.finalized().map_or(genesis, |last| last.number))?,
        };
        let start = find_sync_start(&self.config, &mut self.l1, &mut chain, heads)?;
        let (head, safe) = (start.unsafe_head.block, start.safe.block);
        // Who reads how far the rollup is derived must not believe it of what is safe from now on.
        self.status.begins_anew();
        if head != heads.unsafe_head.block && !self.take_back(head)? {
            return Ok(());
        }
        self.engine.set_checkpoints(safe.hash, B256::ZERO)?;
        self.tip = start.safe;
        self.safe = start.safe;
        self.measure.safe(safe.number);
        self.finality.clear();
        self.pipeline = Some(Pipeline::new(
            self.config.clone(),
            self.l1_chain.clone(),
            self.l1.clone(),
            self.blobs.clone(),
            chain,
            start.safe,
        ));
        tracing::info!(
            target: "lockstep_follower",
            safe = safe.number, hash = %safe.hash, l1_origin = start.safe.l1_origin.number,
            "began to derive"
        );
        Ok(())
    }

    /// Takes back blocks whose L1 origin is gone, as many as one step may; whether `to` is the head
    /// now. That it is on the chain still, and below the head, the engine sees to.
    fn take_back(&self, to: BlockInfo) -> Result<bool, FollowerError> {
        let from = self.engine.view().head().number;
        let head = self.engine.rewind_towards(to.hash)?;
        if head.number < from {
            tracing::warn!(
                target: "lockstep_follower",
                from, to = head.number,
                "took blocks back because their L1 origin is gone"
            );
        }
        Ok(head.hash == to.hash)
    }

    fn apply_or_keep(
        &mut self,
        derived: Box<DerivedAttributes>,
    ) -> Result<Progress, FollowerError> {
        match self.apply(&derived) {
            Ok(Applied::Whole) => {}
            Ok(Applied::InPart) => self.pending = Some(derived),
            Err(error) => {
                if error.severity() != Severity::Reset {
                    self.pending = Some(derived);
                }
                return Err(error);
            }
        }
        Ok(Progress::Worked)
    }

    /// Makes the block that was derived part of the chain.
    fn apply(&mut self, derived: &DerivedAttributes) -> Result<Applied, FollowerError> {
        if derived.parent != self.tip {
            tracing::debug!(target: "lockstep_follower", "passed over what was derived on another block");
            return Ok(Applied::Whole);
        }
        let block = match self.standing(derived)? {
            Standing::Agrees(block) => {
                self.measure.agreed();
                block
            }
            other => match self.build(derived, &other)? {
                Built::Block(block) => block,
                Built::LeftOut => return Ok(Applied::Whole),
                Built::NotYet => return Ok(Applied::InPart),
            },
        };
        let chain = RollupChain::new(self.engine.view(), self.config.clone());
        let tip = chain.info(&block).map_err(|error| chain_error(error.into()))?;
        // Where an invalid block is replaced, blocks of a span are valid one by one (OP spec: Holocene
        // derivation § span batches); otherwise it takes the whole span with it.
        if derived.is_last_in_span || derived.replaces_invalid_payload(&self.config) {
            self.engine.set_checkpoints(tip.block.hash, B256::ZERO)?;
            self.finality.derived(derived.derived_from, tip.block.id());
            self.measure.safe(tip.block.number);
            self.safe = tip;
        }
        self.tip = tip;
        self.restarts.reached(tip.block.number);
        Ok(Applied::Whole)
    }

    /// What the engine has on the tip.
    fn standing(&self, derived: &DerivedAttributes) -> Result<Standing, FollowerError> {
        let number = self.tip.block.number.saturating_add(1);
        let block = self.engine.view().snapshot().block(number)?;
        let Some(block) = block.filter(|block| block.parent_hash() == self.tip.block.hash) else {
            return Ok(Standing::Nothing);
        };
        Ok(match difference(self.engine.chain(), &derived.attributes, &block) {
            Some(field) => Standing::Differs { hash: block.hash(), field },
            None => Standing::Agrees(block),
        })
    }

    /// Executes what was derived and makes it the head.
    fn build(
        &mut self,
        derived: &DerivedAttributes,
        standing: &Standing,
    ) -> Result<Built, FollowerError> {
        let Some(block) = self.execute_or_replace(derived)? else { return Ok(Built::LeftOut) };
        // What takes an invalid block's place may be there already, with more on top of it.
        if matches!(standing, Standing::Differs { hash, .. } if *hash == block.block.hash()) {
            self.measure.agreed();
            return Ok(Built::Block(block.block.clone()));
        }
        let choice = ForkchoiceState {
            head_block_hash: block.block.hash(),
            safe_block_hash: B256::ZERO,
            finalized_block_hash: B256::ZERO,
        };
        match self.engine.fork_choice(choice) {
            Ok(status) if status.is_valid() => {}
            Ok(_) => return Err(EngineError::UnknownBlock(block.block.hash()).into()),
            Err(EngineError::TooDeepReorg { depth, .. }) => {
                let head = self.engine.rewind_towards(self.tip.block.hash)?;
                tracing::warn!(
                    target: "lockstep_follower",
                    tip = self.tip.block.number, depth, to = head.number,
                    "took blocks back because L1 has others"
                );
                return Ok(Built::NotYet);
            }
            Err(error) => return Err(error.into()),
        }
        if let Standing::Differs { hash, field } = standing {
            tracing::warn!(
                target: "lockstep_follower",
                number = block.block.number(), %hash, field,
                "replaced a block because L1 has another"
            );
            self.measure.replaced();
        }
        self.measure.built();
        Ok(Built::Block(block.block.clone()))
    }

    /// The block that was derived, or the one of its deposits that takes its place; `None` if it is
    /// left out (before Holocene), and its span with it.
    ///
    /// Source: OP spec, derivation § processing unsafe payload attributes; Holocene § engine queue.
    fn execute_or_replace(
        &mut self,
        derived: &DerivedAttributes,
    ) -> Result<Option<Arc<ExecutedBlock<Rollup>>>, FollowerError> {
        let parent = self.tip.block.id();
        let reason = match self.execute(parent.hash, &derived.attributes)? {
            Ok(block) => return Ok(Some(block)),
            Err(reason) if derived.is_deposits_only() => {
                return Err(FollowerError::Deposits { parent, reason });
            }
            Err(reason) => reason,
        };
        let is_replaced = derived.replaces_invalid_payload(&self.config);
        tracing::warn!(
            target: "lockstep_follower",
            number = parent.number + 1, reason, is_replaced,
            "dropped a batch that cannot be executed"
        );
        self.measure.unexecutable();
        if !is_replaced {
            self.tip = self.safe;
            return Ok(None);
        }
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.signal(Signal::FlushChannel);
        }
        let deposits = derived.clone().deposits_only();
        self.execute(parent.hash, &deposits.attributes)?
            .map(Some)
            .map_err(|reason| FollowerError::Deposits { parent, reason })
    }

    /// The executed block, or why the attributes are at fault.
    fn execute(
        &self,
        parent: B256,
        attributes: &OpPayloadAttributes,
    ) -> Result<Result<Arc<ExecutedBlock<Rollup>>, String>, FollowerError> {
        match self.engine.build_and_insert(parent, attributes) {
            Ok(block) => Ok(Ok(block)),
            Err(error) if error.is_invalid_payload() => Ok(Err(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks L1 where it stands, and calls final what was derived from final blocks.
    ///
    /// # Errors
    /// When L1 or the engine does not answer; ask again.
    pub fn watch_l1(&mut self) -> Result<(), FollowerError> {
        let watched = self.ask_l1();
        if let Err(error) = &watched {
            self.measure.error(error.severity());
        }
        watched
    }

    fn ask_l1(&mut self) -> Result<(), FollowerError> {
        let heads = self.l1.heads().map_err(l1_error)?;
        self.status.l1_is_at(heads);
        self.measure.l1_head(heads.head.number, self.status.read().derived_up_to);
        let Some((l1, l2)) = heads.finalized.and_then(|at| self.finality.candidate(&at)) else {
            return Ok(());
        };
        // What was read may have been taken back, with the pipeline not yet there to see it.
        let canonical = self.l1.block_by_number(l1.number).map_err(l1_error)?;
        if canonical.is_none_or(|canonical| canonical.hash != l1.hash) {
            return Ok(());
        }
        self.engine.set_checkpoints(B256::ZERO, l2.hash)?;
        self.finality.settle(l1.number);
        self.measure.finalized(l2.number);
        Ok(())
    }
}

/// What the engine has where a derived block belongs.
enum Standing {
    Nothing,
    /// The very block.
    Agrees(Arc<RecoveredBlock<Rollup>>),
    /// Another one.
    Differs {
        hash: B256,
        /// The first field in which it does.
        field: &'static str,
    },
}

/// What became of a derived block that the engine does not have.
enum Built {
    /// It, or that of its deposits, is the head.
    Block(Arc<RecoveredBlock<Rollup>>),
    /// It is invalid, and nothing takes its place.
    LeftOut,
    /// More of the chain must be taken back first.
    NotYet,
}

/// Whether a derived block has been dealt with.
enum Applied {
    Whole,
    InPart,
}

fn l1_error<E: ProviderError>(error: E) -> FollowerError {
    let severity = error.severity();
    FollowerError::L1 { reason: Box::new(error), severity }
}

fn chain_error(error: RollupChainError) -> FollowerError {
    let severity = error.severity();
    FollowerError::Chain { reason: error, severity }
}
