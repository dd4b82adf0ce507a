//! States to read: what is stored, with unpersisted blocks on top.

use crate::{ExecutedBlock, StorageError};
use alloy_primitives::{Address, B256, Bytes, U256, map::HashSet};
use lockstep_chain::Chain;
use lockstep_execution::{AccountInfo, Bytecode, StateReader};
use lockstep_trie::{NodePath, NodeSource};
use std::{fmt::Debug, sync::Arc};

/// One fixed state: accounts, slots, codes, recent block hashes, and the nodes of its trie.
pub trait State:
    StateReader<Error = StorageError> + NodeSource<Error = StorageError> + Debug + Send + Sync
{
    /// The root of the state's trie.
    fn state_root(&self) -> B256;

    /// So many threads are going to read it at the same time, and should not wait for each other.
    fn prepare_for_threads(&self, _threads: usize) {}
}

/// The state after a chain of unpersisted blocks over a stored state.
#[derive(Debug)]
pub struct OverlayState<C: Chain> {
    /// The newest first.
    blocks: Vec<Arc<ExecutedBlock<C>>>,
    base: Arc<dyn State>,
}

impl<C: Chain> OverlayState<C> {
    /// The state after `blocks`, which come newest first; the last one is the child of the block
    /// whose state `base` is.
    pub const fn new(blocks: Vec<Arc<ExecutedBlock<C>>>, base: Arc<dyn State>) -> Self {
        Self { blocks, base }
    }
}

impl<C: Chain> StateReader for OverlayState<C> {
    type Error = StorageError;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StorageError> {
        match self.blocks.iter().find_map(|block| block.account(address)) {
            Some(account) => Ok(account.info.clone()),
            None => self.base.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StorageError> {
        for block in &self.blocks {
            let Some(account) = block.account(address) else { continue };
            if let Some(value) = account.slots.get(slot) {
                return Ok(*value);
            }
            if account.storage_cleared {
                return Ok(U256::ZERO);
            }
        }
        self.base.storage(address, slot)
    }

    /// Does not notice when blocks set every stored slot to zero one by one. An account without
    /// code cannot do that.
    fn has_storage(&self, address: &Address) -> Result<bool, StorageError> {
        let mut seen = HashSet::<U256>::default();
        for block in &self.blocks {
            let Some(account) = block.account(address) else { continue };
            for (slot, value) in &account.slots {
                if seen.insert(*slot) && !value.is_zero() {
                    return Ok(true);
                }
            }
            if account.storage_cleared {
                return Ok(false);
            }
        }
        self.base.has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, StorageError> {
        match self.blocks.iter().find_map(|block| block.code(code_hash)) {
            Some(code) => Ok(code.clone()),
            None => self.base.code(code_hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, StorageError> {
        match self.blocks.iter().find(|block| block.block.number() == number) {
            Some(block) => Ok(block.block.hash()),
            None => self.base.block_hash(number),
        }
    }
}

impl<C: Chain> NodeSource for OverlayState<C> {
    type Error = StorageError;

    fn node(&self, at: &NodePath, hash: B256) -> Result<Option<Bytes>, StorageError> {
        match self.blocks.iter().find_map(|block| block.nodes.get(&hash)) {
            Some(rlp) => Ok(Some(rlp.clone())),
            None => self.base.node(at, hash),
        }
    }

    /// The blocks' nodes come from their own tries.
    fn is_trusted(&self) -> bool {
        self.base.is_trusted()
    }
}

impl<C: Chain> State for OverlayState<C> {
    fn state_root(&self) -> B256 {
        self.blocks.first().map_or_else(|| self.base.state_root(), |block| block.state_root())
    }

    fn prepare_for_threads(&self, threads: usize) {
        self.base.prepare_for_threads(threads);
    }
}
