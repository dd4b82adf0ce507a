//! Sequence a rollup: a block at each tick, with transactions from its pool.

use alloy_eips::BlockNumHash;
use lockstep_chain::{Ethereum, Rollup};
use lockstep_derive::{DeriveError, L1Provider, L2Provider, ProviderError, sequencer_attributes};
use lockstep_engine::{Engine, EngineError};
use lockstep_follower::{RollupChain, RollupChainError};
use lockstep_protocol::{BlockInfo, L2BlockInfo, RollupConfig};
use lockstep_storage::ExecutedBlock;
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
    /// The L1 was reorganised between two questions.
    #[error("L1 block {0} changed while it was looked at")]
    Changed(u64),
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

/// Sequences a rollup on its own engine. It has no clock: each call makes one block, whose time
/// is that of its parent and the block time.
#[derive(Clone, Debug)]
pub struct Sequencer<L1> {
    engine: Engine<Rollup>,
    config: Arc<RollupConfig>,
    l1_chain: Arc<Ethereum>,
    l1: L1,
}

impl<L1: L1Provider> Sequencer<L1> {
    /// A sequencer for the rollup that `engine` drives. `l1_chain` is the definition of its L1.
    pub const fn new(
        engine: Engine<Rollup>,
        config: Arc<RollupConfig>,
        l1_chain: Arc<Ethereum>,
        l1: L1,
    ) -> Self {
        Self { engine, config, l1_chain, l1 }
    }

    /// When the next block is due, in seconds.
    pub fn next_timestamp(&self) -> u64 {
        self.engine.view().head().timestamp.saturating_add(self.config.block_time)
    }

    /// Makes the next block. If the L1 has taken back the origin of the head, first takes back
    /// the blocks that refer to it.
    ///
    /// # Errors
    /// When the L1 or the chain cannot be read, or the engine refuses.
    pub fn next_block(&mut self) -> Result<Arc<ExecutedBlock<Rollup>>, SequencerError> {
        let mut chain = RollupChain::new(self.engine.view(), self.config.clone());
        let parent = self.follow_l1(&mut chain)?;
        let origin = self.next_origin(&parent)?;
        let sources = (&mut self.l1, &mut chain);
        let attributes =
            sequencer_attributes(&self.config, &self.l1_chain, sources, &parent, origin)?;
        let block = self.engine.build_and_insert(parent.block.hash, &attributes)?;
        self.engine.extend(parent.block.hash, block.block.hash())?;
        Ok(block)
    }

    /// Takes back the blocks whose origin the L1 has replaced; the newest block that is left. That
    /// the L1 does not show a block says nothing: then this waits.
    fn follow_l1(&mut self, chain: &mut RollupChain) -> Result<L2BlockInfo, SequencerError> {
        let head = self.engine.view().head().number;
        let mut number = head;
        let mut replaced = None;
        loop {
            let block = chain.block_info(number)?;
            let origin = block.l1_origin;
            // The blocks of one origin are asked about once.
            let is_canonical =
                replaced != Some(origin.hash) && self.l1_block(origin.number)?.hash == origin.hash;
            if is_canonical {
                if number < head {
                    self.engine.rewind(block.block.hash)?;
                    tracing::warn!(
                        target: "lockstep_devnet",
                        from = head,
                        to = number,
                        "took rollup blocks back because their L1 origin is gone"
                    );
                }
                return Ok(block);
            }
            if number == self.config.genesis.l2.number {
                return Err(SequencerError::Changed(origin.number));
            }
            replaced = Some(origin.hash);
            number -= 1;
        }
    }

    /// The origin of the next block: the next L1 block once it is not younger than the rollup block,
    /// otherwise that of the parent.
    fn next_origin(&mut self, parent: &L2BlockInfo) -> Result<BlockNumHash, SequencerError> {
        let timestamp = parent.block.timestamp.saturating_add(self.config.block_time);
        let origin = parent.l1_origin;
        let next = self.l1.block_by_number(origin.number.saturating_add(1)).map_err(l1_error)?;
        match next.filter(|next| next.timestamp <= timestamp) {
            Some(next) if next.parent_hash != origin.hash => {
                Err(SequencerError::Changed(origin.number))
            }
            Some(next) => Ok(next.id()),
            None => Ok(origin),
        }
    }

    fn l1_block(&mut self, number: u64) -> Result<BlockInfo, SequencerError> {
        let found = self.l1.block_by_number(number).map_err(l1_error)?;
        found.ok_or(SequencerError::NoOrigin(number))
    }
}

fn l1_error(error: impl ProviderError) -> SequencerError {
    SequencerError::L1(Box::new(error))
}
