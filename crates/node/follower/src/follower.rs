//! One step at a time from what L1 says to what the engine holds.

use crate::{
    FollowerError, L1Watch, RollupChain, RollupChainError, StatusReader, consolidate::difference,
    finality::Finality, measure::Measure,
};
use alloy_primitives::B256;
use alloy_rpc_types_engine::ForkchoiceState;
use lockstep_chain::{Ethereum, OpHardfork, Rollup};
use lockstep_derive::{
    BlobProvider, DerivedAttributes, L2Heads, L2Provider, Pipeline, ProviderError, Severity,
    Signal, Step, find_sync_start,
};
use lockstep_engine::{BuildError, Engine, EngineError};
use lockstep_protocol::{L2BlockInfo, RollupConfig};
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

    /// Does the next bit of work: begins where the engine is, reads a little further on L1, or
    /// brings a derived block into the engine. What L1 has taken back makes it begin anew by itself.
    ///
    /// # Errors
    /// [`Severity::Temporary`]: call again after a pause. [`Severity::Critical`]: a person must
    /// look at it. Nothing derived is lost in either case.
    pub fn step(&mut self) -> Result<Progress, FollowerError> {
        let error = match self.advance() {
            Err(error) => error,
            progress => return progress,
        };
        let is_over = match error.severity() {
            Severity::Reset => true,
            Severity::Temporary => self.has_lost_origin(),
            Severity::Critical => false,
        };
        if !is_over {
            return Err(error);
        }
        tracing::warn!(target: "lockstep_follower", %error, "began to derive anew");
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
        if let Some(derived) = self.pending.take() {
            return self.apply_or_keep(derived);
        }
        let Some(pipeline) = &mut self.pipeline else {
            self.begin()?;
            return Ok(Progress::Worked);
        };
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
        if head.hash != snapshot.head().seal() {
            self.engine.rewind(head.hash)?;
            tracing::warn!(
                target: "lockstep_follower",
                from = snapshot.head().number, to = head.number,
                "took blocks back because their L1 origin is gone"
            );
        }
        self.engine.set_checkpoints(safe.hash, B256::ZERO)?;
        self.tip = start.safe;
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

    fn apply_or_keep(
        &mut self,
        derived: Box<DerivedAttributes>,
    ) -> Result<Progress, FollowerError> {
        let outcome = self.apply(&derived);
        if matches!(&outcome, Err(error) if error.severity() != Severity::Reset) {
            self.pending = Some(derived);
        }
        outcome
    }

    /// Makes the block that was derived part of the chain.
    fn apply(&mut self, derived: &DerivedAttributes) -> Result<Progress, FollowerError> {
        if derived.parent != self.tip {
            tracing::debug!(target: "lockstep_follower", "passed over what was derived on another block");
            return Ok(Progress::Worked);
        }
        let timestamp = derived.attributes.payload_attributes.timestamp;
        // OP spec: Holocene derivation § span batches: blocks of a span are valid one by one.
        let is_safe =
            derived.is_last_in_span || self.config.is_active(OpHardfork::Holocene, timestamp);
        let block = match self.agreeing(derived)? {
            Some(block) => block,
            None => match self.build(derived)? {
                Some(block) => block,
                None => return Ok(Progress::Worked),
            },
        };
        let chain = RollupChain::new(self.engine.view(), self.config.clone());
        let tip = chain.info(&block).map_err(|error| chain_error(error.into()))?;
        if is_safe {
            self.engine.set_checkpoints(tip.block.hash, B256::ZERO)?;
            self.finality.derived(derived.derived_from, tip.block.id());
            self.measure.safe(tip.block.number);
        }
        self.tip = tip;
        Ok(Progress::Worked)
    }

    /// The block that the engine has on the tip, if it is the one that was derived.
    fn agreeing(
        &self,
        derived: &DerivedAttributes,
    ) -> Result<Option<Arc<RecoveredBlock<Rollup>>>, FollowerError> {
        let number = self.tip.block.number.saturating_add(1);
        let Some(block) = self.engine.view().snapshot().block(number)? else { return Ok(None) };
        if block.parent_hash() != self.tip.block.hash {
            return Ok(None);
        }
        if let Some(field) = difference(self.engine.chain(), &derived.attributes, &block) {
            tracing::warn!(
                target: "lockstep_follower",
                number, hash = %block.hash(), field,
                "L1 has another block than the chain; replacing it"
            );
            self.measure.replaced();
            return Ok(None);
        }
        self.measure.agreed();
        Ok(Some(block))
    }

    /// Executes what was derived and makes it the head; `None` if it cannot be executed and is left
    /// out (before Holocene).
    fn build(
        &mut self,
        derived: &DerivedAttributes,
    ) -> Result<Option<Arc<RecoveredBlock<Rollup>>>, FollowerError> {
        let parent = self.tip.block.id();
        let block = match self.execute(parent.hash, &derived.attributes)? {
            Ok(block) => block,
            Err(reason) if derived.is_deposits_only() => {
                return Err(FollowerError::Deposits { parent, reason });
            }
            Err(reason) => {
                tracing::warn!(
                    target: "lockstep_follower",
                    number = parent.number + 1, reason,
                    "dropped a batch that cannot be executed"
                );
                self.measure.unexecutable();
                let timestamp = derived.attributes.payload_attributes.timestamp;
                if !self.config.is_active(OpHardfork::Holocene, timestamp) {
                    return Ok(None);
                }
                // OP spec: Holocene derivation § engine queue.
                if let Some(pipeline) = &mut self.pipeline {
                    pipeline.signal(Signal::FlushChannel);
                }
                let deposits = derived.clone().deposits_only();
                self.execute(parent.hash, &deposits.attributes)?
                    .map_err(|reason| FollowerError::Deposits { parent, reason })?
            }
        };
        let choice = ForkchoiceState {
            head_block_hash: block.block.hash(),
            safe_block_hash: B256::ZERO,
            finalized_block_hash: B256::ZERO,
        };
        if !self.engine.fork_choice(choice)?.is_valid() {
            return Err(EngineError::UnknownBlock(block.block.hash()).into());
        }
        self.measure.built();
        Ok(Some(block.block.clone()))
    }

    /// The executed block, or why the attributes are at fault.
    fn execute(
        &self,
        parent: B256,
        attributes: &OpPayloadAttributes,
    ) -> Result<Result<Arc<ExecutedBlock<Rollup>>, String>, FollowerError> {
        match self.engine.build_and_insert(parent, attributes) {
            Ok(block) => Ok(Ok(block)),
            Err(EngineError::Build(error @ BuildError::Forced { .. })) => {
                Ok(Err(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks L1 where it stands, and calls final what was derived from final blocks.
    ///
    /// # Errors
    /// When L1 or the engine does not answer; ask again.
    pub fn watch_l1(&mut self) -> Result<(), FollowerError> {
        let heads = self.l1.heads().map_err(l1_error)?;
        self.status.l1_is_at(heads);
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

fn l1_error<E: ProviderError>(error: E) -> FollowerError {
    let severity = error.severity();
    FollowerError::L1 { reason: Box::new(error), severity }
}

fn chain_error(error: RollupChainError) -> FollowerError {
    let severity = error.severity();
    FollowerError::Chain { reason: error, severity }
}
