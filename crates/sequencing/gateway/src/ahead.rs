//! The blocks of a batch that L1 does not have yet, made by the rules of derivation.

use crate::{Sequencer, SequencerError};
use alloy_eips::BlockNumHash;
use alloy_primitives::Bytes;
use lockstep_chain::{Block, Rollup};
use lockstep_derive::{Dropped, L1Provider, L2Provider, UnionAhead, open_union_batch};
use lockstep_follower::{RollupChain, RollupChainError};
use lockstep_lookahead::Slot;
use lockstep_protocol::{L2BlockInfo, RollupConfig, SystemConfig};
use lockstep_storage::RecoveredBlock;
use std::sync::Arc;

/// Blocks of one rollup that are made of a batch before L1 has it. Longer ones, of long gaps, are left to derivation.
const MAX_BLOCKS: usize = 1_024;

/// Blocks of a batch that are no heads yet.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// Each on the one before.
    pub(crate) blocks: Vec<BlockNumHash>,
    /// Whether users' transactions are in them.
    pub(crate) is_filled: bool,
}

/// What a batch is for one rollup.
#[derive(Debug)]
pub(crate) enum Ahead {
    /// Its blocks, which the engine has.
    Made(Made),
    /// L1 does not show yet what they stand on, or the rollup is not where the batch begins.
    NotYet,
    /// Derivation will drop the batch, or make other blocks of it.
    Refused(String),
}

impl<L1: L1Provider> Sequencer<L1> {
    /// Makes the rollup's blocks of a batch, which continues the block `parent`, as a follower will make them once L1 has it.
    pub(crate) fn derive_ahead(
        &mut self,
        slot: Slot,
        data: &Bytes,
        parent: BlockNumHash,
    ) -> Result<Ahead, SequencerError> {
        let (config, l1_chain) = (self.config.clone(), self.l1_chain.clone());
        let mut chain = Grown {
            chain: RollupChain::new(self.engine.view(), config.clone()),
            config: config.clone(),
            parent: parent.number,
            blocks: Vec::new(),
        };
        let mut tip = chain.block_info(parent.number)?;
        if tip.block.hash != parent.hash {
            return Ok(Ahead::NotYet);
        }
        let opened = UnionAhead::open(data, slot, (&*config, &*l1_chain), &mut self.l1, &tip)?;
        let mut ahead = match opened {
            Ok(ahead) => ahead,
            // Who sealed it may have seen an L1 block that is not here yet.
            Err(Dropped::UnionOrigin) => return Ok(Ahead::NotYet),
            Err(dropped) => {
                let reason = format!("followers would drop it as {}", dropped.name());
                return Ok(Ahead::Refused(reason));
            }
        };
        if ahead.blocks() > MAX_BLOCKS {
            let reason = format!("it has {} blocks of a rollup", ahead.blocks());
            return Ok(Ahead::Refused(reason));
        }
        let mut made = Made::default();
        while let Some(derived) = ahead.next_block(&mut self.l1, &mut chain, &tip)? {
            let built = self.engine.build_and_insert(tip.block.hash, &derived.attributes);
            let block = match built {
                Ok(executed) => executed.block.clone(),
                Err(error) if error.is_invalid_payload() => {
                    return Ok(Ahead::Refused(format!("a block of it is invalid: {error}")));
                }
                Err(error) => return Err(error.into()),
            };
            tip = chain.chain.info(&block).map_err(RollupChainError::from)?;
            made.blocks.push(tip.block.id());
            made.is_filled |= !derived.is_deposits_only();
            chain.blocks.push(block);
        }
        let (count, all) = (made.blocks.len(), ahead.blocks());
        if count < all {
            return Ok(Ahead::Refused(format!("followers would take {count} of its {all} blocks")));
        }
        Ok(Ahead::Made(made))
    }
}

impl<L1: L1Provider> Sequencer<L1> {
    /// Whether L1 has another block in the place of the last one that the rollup's blocks in a batch refer to.
    pub(crate) fn is_origin_replaced(
        &mut self,
        slot: Slot,
        data: &Bytes,
    ) -> Result<bool, SequencerError> {
        let Some(union) = &self.config.union else { return Ok(false) };
        let Ok(Some(span)) = open_union_batch(data, slot, &self.config, union) else {
            return Ok(false);
        };
        let Some(last) = span.blocks.last() else { return Ok(false) };
        let found = self.l1.block_by_number(last.epoch_num);
        let found = found.map_err(|error| SequencerError::L1(Box::new(error)))?;
        Ok(found.is_some_and(|found| !span.matches_l1_origin(found.hash)))
    }
}

/// The rollup's chain up to a block, and then blocks that are no heads yet.
#[derive(Debug)]
struct Grown {
    chain: RollupChain,
    config: Arc<RollupConfig>,
    /// The number of the block on which the others stand.
    parent: u64,
    blocks: Vec<Arc<RecoveredBlock<Rollup>>>,
}

impl Grown {
    fn made(&self, number: u64) -> Option<&RecoveredBlock<Rollup>> {
        let at = number.checked_sub(self.parent)?.checked_sub(1)?;
        self.blocks.get(usize::try_from(at).ok()?).map(|block| &**block)
    }
}

impl L2Provider for Grown {
    type Error = RollupChainError;

    fn block_info(&mut self, number: u64) -> Result<L2BlockInfo, RollupChainError> {
        match self.made(number) {
            Some(block) => Ok(self.chain.info(block)?),
            None => self.chain.block_info(number),
        }
    }

    fn block(&mut self, number: u64) -> Result<Block<Rollup>, RollupChainError> {
        match self.made(number) {
            Some(block) => Ok(block.block.inner().clone()),
            None => self.chain.block(number),
        }
    }

    fn system_config(&mut self, number: u64) -> Result<SystemConfig, RollupChainError> {
        match self.made(number) {
            Some(block) => Ok(SystemConfig::from_l2_block(block.block.inner(), &self.config)?),
            None => self.chain.system_config(number),
        }
    }
}
