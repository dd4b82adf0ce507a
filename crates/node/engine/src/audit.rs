//! Judge a block that was built here as one that came from elsewhere.

use crate::{
    Engine, EngineError, Payloads,
    engine::Core,
    error::despite_unwinds,
    execute::{Fault, execute, validate},
};
use alloy_primitives::B256;
use lockstep_execution::StateCommitment;

impl<C: Payloads> Engine<C> {
    /// Validates and executes a known block once more, alone, as a node does that receives it. What was built
    /// transaction by transaction, or together with the blocks of other chains, is thereby held against what
    /// everyone else will find.
    ///
    /// Takes as long as the block's execution and no lock, so it can run beside everything else.
    ///
    /// # Errors
    /// [`EngineError::NotReproduced`] if others would refuse the block; [`EngineError::UnknownBlock`]; when it
    /// cannot be judged.
    pub fn audit(&self, block: B256) -> Result<(), EngineError> {
        despite_unwinds(|| self.core.audit(block))
    }
}

impl<C: Payloads> Core<C> {
    fn audit(&self, hash: B256) -> Result<(), EngineError> {
        let known = self.view().snapshot().block_by_hash(&hash)?;
        let block = known.ok_or(EngineError::UnknownBlock(hash))?;
        let parent_hash = block.parent_hash();
        let parent = self.parent(&parent_hash)?.ok_or(EngineError::UnknownBlock(parent_hash))?;
        let mut commitment = C::Commitment::from_root(parent.state.state_root());
        let chain = self.chain();
        let judged = validate(chain, &block.block, &parent.header, parent.total_difficulty)
            .and_then(|()| execute(chain, block, &parent, &mut commitment, None));
        match judged {
            Ok(_) => Ok(()),
            Err(Fault::Node(error)) => Err(error),
            Err(Fault::Invalid(reason)) => Err(EngineError::NotReproduced { hash, reason }),
        }
    }
}
