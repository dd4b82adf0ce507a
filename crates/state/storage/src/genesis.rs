//! The block and state that a chain begins with.

use crate::{StorageError, TrieNodes, TrieNodesBuilder};
use alloy_consensus::{BlockBody, BlockHeader};
use alloy_primitives::{B256, Sealable, Sealed};
use lockstep_chain::{Block, Chain};
use lockstep_execution::{Execute, MemoryState, StateCommitment, genesis_root};

/// The first block of a chain, and the state it begins with. Both kinds of storage are created
/// from it.
#[derive(Clone, Debug)]
pub struct GenesisBlock<C: Chain> {
    block: Sealed<Block<C>>,
    state: MemoryState,
    nodes: TrieNodes,
}

impl<C: Execute> GenesisBlock<C> {
    /// The block with this header and no transactions, and with an empty list of withdrawals where
    /// the header commits to one.
    ///
    /// # Errors
    /// [`StorageError::GenesisState`] if the state's root is not the header's.
    pub fn new(header: C::Header, state: MemoryState) -> Result<Self, StorageError> {
        let withdrawals = header.withdrawals_root().map(|_| Default::default());
        let hash = header.hash_slow();
        let body = BlockBody { withdrawals, ..Default::default() };
        let block = Block::<C>::new(header, body);
        Self::from_block(Sealed::new_unchecked(block, hash), state)
    }

    /// A given block; a chain may begin at any number.
    ///
    /// # Errors
    /// [`StorageError::GenesisState`] if the state's root is not the header's.
    pub fn from_block(block: Sealed<Block<C>>, state: MemoryState) -> Result<Self, StorageError> {
        let (root, nodes) = nodes_of::<C::Commitment>(&state)?;
        let expected = block.header.state_root();
        if root != expected {
            return Err(StorageError::GenesisState { root, expected });
        }
        Ok(Self { block, state, nodes })
    }
}

impl<C: Chain> GenesisBlock<C> {
    /// The block.
    pub const fn block(&self) -> &Sealed<Block<C>> {
        &self.block
    }

    /// The state after it.
    pub const fn state(&self) -> &MemoryState {
        &self.state
    }

    /// Every node of the state's trie.
    pub(crate) const fn nodes(&self) -> &TrieNodes {
        &self.nodes
    }
}

/// Root and nodes of a whole state.
fn nodes_of<S: StateCommitment>(state: &MemoryState) -> Result<(B256, TrieNodes), StorageError> {
    let mut nodes = TrieNodesBuilder::default();
    let root = genesis_root::<S>(state, |path, hash, rlp| nodes.push(path, hash, rlp))
        .map_err(|error| StorageError::Trie(error.to_string()))?;
    Ok((root, nodes.build()))
}
