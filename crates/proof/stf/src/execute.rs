//! Execute one block after the other with nothing but hashes.

use crate::{DataError, OracleState, PayloadError};
use alloc::vec::Vec;
use alloy_consensus::Header;
use alloy_primitives::{B256, Sealed};
use lockstep_chain::{Block, Chain, Rollup};
use lockstep_execution::{
    AttributesError, ExecuteOptions, StateRoots, begin_rollup_block, complete_block, execute_block,
    rollup_storage_commitment,
};
use lockstep_preimage::{Hint, PreimageOracle};
use lockstep_protocol::OutputRoot;
use op_alloy_consensus::OpReceipt;
use op_alloy_rpc_types_engine::OpPayloadAttributes;

/// A block that was made from payload attributes.
#[derive(Clone, Debug)]
pub struct StatelessBlock {
    /// The block and its hash.
    pub block: Sealed<Block<Rollup>>,
    /// One receipt per transaction.
    pub receipts: Vec<OpReceipt>,
}

/// Executes payload attributes on a state that is known by its root alone, and moves on to the state
/// after them.
#[derive(Debug)]
pub struct StatelessExecutor<'a, O> {
    chain: &'a Rollup,
    oracle: &'a O,
    state: OracleState<'a, O>,
}

impl<O> Clone for StatelessExecutor<'_, O> {
    fn clone(&self) -> Self {
        Self { chain: self.chain, oracle: self.oracle, state: self.state.clone() }
    }
}

impl<'a, O: PreimageOracle> StatelessExecutor<'a, O> {
    /// Begins after the block with this header, whose hash must be trusted.
    pub fn new(chain: &'a Rollup, oracle: &'a O, head: Sealed<Header>) -> Self {
        Self { chain, oracle, state: OracleState::new(oracle, head) }
    }

    /// The newest block.
    pub const fn head(&self) -> &Sealed<Header> {
        self.state.head()
    }

    /// The state after the newest block.
    pub const fn state(&self) -> &OracleState<'a, O> {
        &self.state
    }

    /// Makes the block that `attributes` ask for, which becomes the newest.
    ///
    /// # Errors
    /// Why there is no such block. If [`PayloadError::is_invalid_payload`], nothing has changed and
    /// other attributes can be tried; otherwise the executor must not be used again.
    pub fn execute(
        &mut self,
        attributes: &OpPayloadAttributes,
    ) -> Result<StatelessBlock, PayloadError<O::Error>> {
        let chain = self.chain;
        let block = begin_rollup_block(chain, self.head(), attributes)?;
        let senders = chain.recover_senders(&block).map_err(AttributesError::Body)?;
        let hint = Hint::L2BlockWitness(self.head().hash());
        self.oracle.hint(&hint).map_err(DataError::Oracle)?;
        let output =
            execute_block(chain, &block, &senders, &self.state, ExecuteOptions::default())?;
        let state = self.state.apply(&output.changes)?;
        let storage = rollup_storage_commitment(chain, &block.header)
            .map(|account| self.state.storage_root(&account))
            .transpose()?;
        let block = complete_block(chain, block, &output, StateRoots { state, storage });
        let hash = block.header.hash_slow();
        self.state.advance(Sealed::new_unchecked(block.header.clone(), hash));
        Ok(StatelessBlock { block: Sealed::new_unchecked(block, hash), receipts: output.receipts })
    }

    /// The output root of the newest block (OP spec: proposals § L2 output commitment).
    ///
    /// # Errors
    /// When the oracle does not have a node on the way to the message passer.
    pub fn output_root(&self) -> Result<B256, DataError<O::Error>> {
        let head = self.head();
        let output = OutputRoot {
            state_root: head.state_root,
            message_passer_storage_root: self.state.message_passer_root()?,
            block_hash: head.hash(),
        };
        Ok(output.hash())
    }
}

/// Makes the block that `attributes` ask for on top of the block with header `parent`, whose hash must
/// be trusted, from the pre-images of the parent's state.
///
/// # Errors
/// Why there is no such block.
pub fn execute_stateless<O: PreimageOracle>(
    chain: &Rollup,
    parent: Sealed<Header>,
    attributes: &OpPayloadAttributes,
    oracle: &O,
) -> Result<StatelessBlock, PayloadError<O::Error>> {
    StatelessExecutor::new(chain, oracle, parent).execute(attributes)
}
