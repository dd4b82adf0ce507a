//! Sequence a rollup: a block at each tick, with transactions from its pool.

use crate::engines::rewind;
use alloy_eips::BlockNumHash;
use lockstep_chain::{Ethereum, Rollup};
use lockstep_derive::{
    DeriveError, L1Provider, L2Provider, ProviderError, Severity, sequencer_attributes,
};
use lockstep_engine::{Engine, EngineError};
use lockstep_follower::{RollupChain, RollupChainError};
use lockstep_protocol::{BlockInfo, L2BlockInfo, RollupConfig};
use lockstep_storage::ExecutedBlock;
use metrics::{counter, gauge};
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use std::{error::Error, sync::Arc};

/// Why no block could be sequenced. What the L1 is the reason for passes by itself; so do errors of
/// the engine and of storage that are temporary.
#[derive(Debug, thiserror::Error)]
pub enum SequencerError {
    /// The L1 could not be asked.
    #[error("the L1 does not answer: {0}")]
    L1(Box<dyn Error + Send + Sync>),
    /// The L1 does not show a block that it has shown before: it is behind, or being reorganised.
    #[error("the L1 does not show block {0}")]
    NoOrigin(u64),
    /// The L1 was reorganised between two questions, or below what is safe: then the follower takes
    /// blocks back.
    #[error("L1 block {0} was replaced by another")]
    Changed(u64),
    /// The block would be too far from its L1 origin in time, and the next L1 block is not there yet.
    /// Derivation drops a block that keeps its origin if that block turns out to be older.
    #[error(
        "block {number} would be {drift_s} s after L1 block {origin}, more than {limit_s} s, and the next L1 \
         block is not there"
    )]
    Drift {
        /// The block to be made.
        number: u64,
        /// The L1 origin of its parent.
        origin: u64,
        /// By how much it would be later, in seconds.
        drift_s: u64,
        /// By how much it may be, in seconds.
        limit_s: u64,
    },
    /// What the block must begin with could not be put together.
    #[error(transparent)]
    Attributes(#[from] DeriveError),
    /// The engine did not produce or take back a block.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The chain could not be read.
    #[error(transparent)]
    Chain(#[from] RollupChainError),
}

impl SequencerError {
    /// Whether L1 says nothing, which is no reason to stop at once.
    const fn is_silence(&self) -> bool {
        match self {
            Self::L1(_) | Self::NoOrigin(_) => true,
            Self::Attributes(error) => matches!(error.severity(), Severity::Temporary),
            _ => false,
        }
    }
}

/// Sequences a rollup on its own engine. It has no clock: each call makes one block, whose time
/// is that of its parent and the block time.
#[derive(Clone, Debug)]
pub struct Sequencer<L1> {
    pub(crate) engine: Engine<Rollup>,
    pub(crate) config: Arc<RollupConfig>,
    pub(crate) l1_chain: Arc<Ethereum>,
    pub(crate) l1: L1,
    is_l1_silent: bool,
}

impl<L1: L1Provider> Sequencer<L1> {
    /// A sequencer for the rollup that `engine` drives. `l1_chain` is the definition of its L1.
    pub const fn new(
        engine: Engine<Rollup>,
        config: Arc<RollupConfig>,
        l1_chain: Arc<Ethereum>,
        l1: L1,
    ) -> Self {
        Self { engine, config, l1_chain, l1, is_l1_silent: false }
    }

    /// When the next block is due, in seconds.
    pub fn next_timestamp(&self) -> u64 {
        self.engine.view().head().timestamp.saturating_add(self.config.block_time)
    }

    /// Makes the next block. If the L1 has taken back the origin of the head, first takes back
    /// the blocks that refer to it; those that are safe are the follower's to take back. While the L1
    /// says nothing, blocks keep the origin of their parent for as long as users' transactions may
    /// follow it.
    ///
    /// # Errors
    /// When the L1 or the chain cannot be read, or the engine refuses.
    pub fn next_block(&mut self) -> Result<Arc<ExecutedBlock<Rollup>>, SequencerError> {
        let (parent, attributes) = self.place()?;
        let block = self.engine.build_and_insert(parent.block.hash, &attributes)?;
        self.engine.extend(parent.block.hash, block.block.hash())?;
        Ok(block)
    }

    /// What the next block stands on and begins with, after blocks were taken back as
    /// [`Self::next_block`] does.
    ///
    /// # Errors
    /// As [`Self::next_block`].
    pub fn place(&mut self) -> Result<(L2BlockInfo, OpPayloadAttributes), SequencerError> {
        let mut chain = RollupChain::new(self.engine.view(), self.config.clone());
        match self.on_l1(&mut chain) {
            Err(error) if error.is_silence() => self.without_l1(&mut chain, &error),
            placed => {
                self.is_l1_silent = false;
                placed
            }
        }
    }

    /// As [`Self::place`], without asking L1 for anything new: as while it says nothing.
    pub(crate) fn place_without_l1(
        &mut self,
    ) -> Result<(L2BlockInfo, OpPayloadAttributes), SequencerError> {
        let mut chain = RollupChain::new(self.engine.view(), self.config.clone());
        self.without_l1(&mut chain, &SequencerError::L1("it did not answer before".into()))
    }

    /// Whether the L1 said nothing when it was asked last.
    pub(crate) const fn is_l1_silent(&self) -> bool {
        self.is_l1_silent
    }

    /// The engine that it drives.
    pub const fn engine(&self) -> &Engine<Rollup> {
        &self.engine
    }

    /// The configuration of the rollup.
    pub const fn config(&self) -> &Arc<RollupConfig> {
        &self.config
    }

    /// What the next block stands on and begins with, as L1 is now.
    fn on_l1(
        &mut self,
        chain: &mut RollupChain,
    ) -> Result<(L2BlockInfo, OpPayloadAttributes), SequencerError> {
        let parent = self.follow_l1(chain)?;
        let origin = self.next_origin(&parent)?;
        Ok((parent, self.attributes(chain, &parent, origin)?))
    }

    /// As [`Self::on_l1`], while L1 says nothing, for the reason `silence`: on the head, and with its
    /// origin. Past the drift derivation takes a block only if the next L1 block is younger, which
    /// nobody knows now.
    fn without_l1(
        &mut self,
        chain: &mut RollupChain,
        silence: &SequencerError,
    ) -> Result<(L2BlockInfo, OpPayloadAttributes), SequencerError> {
        counter!("lockstep_gateway_l1_silences_total").increment(1);
        let parent = chain.block_info(self.engine.view().head().number)?;
        self.check_drift(&parent)?;
        if !self.is_l1_silent {
            self.is_l1_silent = true;
            tracing::warn!(
                target: "lockstep_gateway",
                error = %silence, origin = parent.l1_origin.number,
                "the L1 says nothing; blocks keep their L1 origin"
            );
        }
        let attributes = self.attributes(chain, &parent, parent.l1_origin)?;
        Ok((parent, attributes))
    }

    fn attributes(
        &mut self,
        chain: &mut RollupChain,
        parent: &L2BlockInfo,
        origin: BlockNumHash,
    ) -> Result<OpPayloadAttributes, SequencerError> {
        let sources = (&mut self.l1, chain);
        Ok(sequencer_attributes(&self.config, &self.l1_chain, sources, parent, origin)?)
    }

    /// Takes back the blocks whose origin the L1 has replaced; the newest block that is left. That
    /// the L1 does not show a block says nothing.
    fn follow_l1(&mut self, chain: &mut RollupChain) -> Result<L2BlockInfo, SequencerError> {
        let snapshot = self.engine.view().snapshot();
        let (head, head_hash) = (snapshot.head().number, snapshot.head().seal());
        let safe = snapshot.safe().map_or(self.config.genesis.l2.number, |safe| safe.number);
        let mut number = head;
        let mut replaced = None;
        loop {
            let block = chain.block_info(number)?;
            let origin = block.l1_origin;
            // The blocks of one origin are asked about once.
            let is_canonical = replaced != Some(origin) && self.is_canonical(origin, replaced)?;
            if is_canonical {
                if number < head {
                    rewind(&self.engine, head_hash, block.block.hash)?;
                    counter!("lockstep_gateway_rewound_blocks_total").increment(head - number);
                    tracing::warn!(
                        target: "lockstep_gateway",
                        from = head,
                        to = number,
                        "took rollup blocks back because their L1 origin is gone"
                    );
                }
                return Ok(block);
            }
            if number <= safe {
                return Err(SequencerError::Changed(origin.number));
            }
            replaced = Some(origin);
            number -= 1;
        }
    }

    /// Whether L1 has this block. If it does not say so of a block before one that it `replaced`, the
    /// head must not be built on either.
    fn is_canonical(
        &mut self,
        origin: BlockNumHash,
        replaced: Option<BlockNumHash>,
    ) -> Result<bool, SequencerError> {
        match (self.l1_block(origin.number), replaced) {
            (Ok(found), _) => Ok(found.hash == origin.hash),
            (Err(_), Some(replaced)) => Err(SequencerError::Changed(replaced.number)),
            (Err(error), None) => Err(error),
        }
    }

    /// The origin of the next block: the next L1 block once it is not younger than the rollup block,
    /// otherwise that of the parent. Past the drift the next L1 block must be known to be younger.
    fn next_origin(&mut self, parent: &L2BlockInfo) -> Result<BlockNumHash, SequencerError> {
        let timestamp = parent.block.timestamp.saturating_add(self.config.block_time);
        let origin = parent.l1_origin;
        let drift = self.check_drift(parent);
        let next = self.l1.block_by_number(origin.number.saturating_add(1)).map_err(l1_error)?;
        let Some(next) = next else { return drift.map(|()| origin) };
        if next.parent_hash != origin.hash {
            return Err(SequencerError::Changed(origin.number));
        }
        Ok(if next.timestamp <= timestamp { next.id() } else { origin })
    }

    /// Whether the block after `parent` may have users' transactions with the origin of `parent`.
    fn check_drift(&mut self, parent: &L2BlockInfo) -> Result<(), SequencerError> {
        let origin = self.l1.header_by_hash(parent.l1_origin.hash).map_err(l1_error)?;
        let timestamp = parent.block.timestamp.saturating_add(self.config.block_time);
        let drift_s = timestamp.saturating_sub(origin.timestamp);
        gauge!("lockstep_gateway_drift_seconds").set(drift_s as f64);
        let limit_s = self.config.max_sequencer_drift(origin.timestamp);
        if drift_s <= limit_s {
            return Ok(());
        }
        let (number, origin) = (parent.block.number.saturating_add(1), origin.number);
        Err(SequencerError::Drift { number, origin, drift_s, limit_s })
    }

    fn l1_block(&mut self, number: u64) -> Result<BlockInfo, SequencerError> {
        let found = self.l1.block_by_number(number).map_err(l1_error)?;
        found.ok_or(SequencerError::NoOrigin(number))
    }
}

fn l1_error(error: impl ProviderError) -> SequencerError {
    SequencerError::L1(Box::new(error))
}
