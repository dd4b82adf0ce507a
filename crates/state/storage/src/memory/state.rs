//! The state after one block of a chain in memory.

use super::{Entry, versions::Versions};
use crate::{State, StorageError};
use alloy_consensus::BlockHeader;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use lockstep_chain::Chain;
use lockstep_execution::{AccountInfo, Bytecode, StateReader};
use lockstep_trie::{NodePath, NodeSource};
use parking_lot::RwLock;
use std::sync::Arc;

/// Reads one version.
#[derive(Debug)]
pub(super) struct MemoryView<C: Chain> {
    blocks: Arc<Vec<Arc<Entry<C>>>>,
    position: usize,
    version: u32,
    versions: Arc<RwLock<Versions>>,
}

impl<C: Chain> MemoryView<C> {
    /// The state after `blocks[position]`.
    pub(super) fn new(
        blocks: Arc<Vec<Arc<Entry<C>>>>,
        position: usize,
        versions: Arc<RwLock<Versions>>,
    ) -> Self {
        let version = blocks.get(position).map_or(0, |entry| entry.version);
        Self { blocks, position, version, versions }
    }
}

impl<C: Chain> StateReader for MemoryView<C> {
    type Error = StorageError;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StorageError> {
        Ok(self.versions.read().account(address, self.version))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StorageError> {
        Ok(self.versions.read().slot(address, slot, self.version))
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StorageError> {
        Ok(self.versions.read().has_storage(address, self.version))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, StorageError> {
        if *code_hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        let versions = self.versions.read();
        let code = versions.code(code_hash).cloned();
        code.ok_or_else(|| StorageError::Missing(format!("code {code_hash}")))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StorageError> {
        let first = self.blocks.first().map_or(0, |entry| entry.block.number());
        let offset = number.checked_sub(first).and_then(|offset| usize::try_from(offset).ok());
        let entry = offset
            .filter(|offset| *offset <= self.position)
            .and_then(|offset| self.blocks.get(offset));
        entry
            .map(|entry| entry.block.hash())
            .ok_or_else(|| StorageError::Missing(format!("block {number}")))
    }
}

impl<C: Chain> NodeSource for MemoryView<C> {
    type Error = StorageError;

    fn node(&self, _at: &NodePath, hash: B256) -> Result<Option<Bytes>, StorageError> {
        Ok(self.versions.read().node(&hash).cloned())
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

impl<C: Chain> State for MemoryView<C> {
    fn state_root(&self) -> B256 {
        let entry = self.blocks.get(self.position);
        entry.map(|entry| entry.block.block.header.state_root()).unwrap_or_default()
    }
}
