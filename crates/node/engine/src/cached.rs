//! The state that blocks are executed on, through what was read of it before.

use crate::{Payloads, engine::Core, execute::Parent};
use alloy_primitives::{Address, B256, Bytes, U256};
use lockstep_execution::{AccountInfo, Bytecode, StateReader};
use lockstep_parallel::CachedState;
use lockstep_storage::{State, StorageError};
use lockstep_trie::{NodePath, NodeSource};
use std::sync::Arc;

/// A state with the cache before its accounts, slots and codes. The nodes of its trie have a cache of their own
/// ([`Execution`](crate::engine::Execution)).
#[derive(Debug)]
struct Cached(CachedState<Arc<dyn State>>);

impl<C: Payloads> Core<C> {
    /// The same parent, whose state is read through the cache if that is valid for it.
    pub(crate) fn through_cache(&self, parent: Parent<C>) -> Parent<C> {
        let Some(cache) = &self.cache else { return parent };
        let Parent { header, total_difficulty, state } = parent;
        let state = Arc::new(Cached(cache.over(header.seal(), state)));
        Parent { header, total_difficulty, state }
    }

    /// Makes the cache valid for the state after a block on which others are to follow.
    pub(crate) fn begin_cache(&self, parent: B256) {
        if let Some(cache) = &self.cache {
            cache.begin(parent);
        }
    }
}

impl StateReader for Cached {
    type Error = StorageError;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StorageError> {
        self.0.account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StorageError> {
        self.0.storage(address, slot)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StorageError> {
        self.0.has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, StorageError> {
        self.0.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StorageError> {
        self.0.block_hash(number)
    }
}

impl NodeSource for Cached {
    type Error = StorageError;

    fn node(&self, at: &NodePath, hash: B256) -> Result<Option<Bytes>, StorageError> {
        self.0.reader().node(at, hash)
    }

    fn is_trusted(&self) -> bool {
        self.0.reader().is_trusted()
    }
}

impl State for Cached {
    fn state_root(&self) -> B256 {
        self.0.reader().state_root()
    }

    fn prepare_for_threads(&self, threads: usize) {
        self.0.reader().prepare_for_threads(threads);
    }
}
