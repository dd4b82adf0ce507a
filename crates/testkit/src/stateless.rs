//! A state of which only hashes are known, read through nodes and codes that a witness holds.

use alloy_consensus::EMPTY_ROOT_HASH;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use lockstep_execution::{AccountInfo, Bytecode, StateReader, code_from};
use lockstep_trie::{NodePath, NodeSet, NodeSource, StateTrie, TrieAccount};
use std::{cell::RefCell, collections::HashMap};

/// Something that was read is not in the witness.
#[derive(Debug, thiserror::Error)]
#[error("the witness does not hold {0}")]
pub struct Missing(String);

/// A state that is read from pre-images alone: trie nodes and codes.
#[derive(Debug)]
pub struct Stateless {
    /// What of the state's trie was read so far.
    pub trie: RefCell<StateTrie>,
    /// The witness.
    pub preimages: NodeSet,
    /// The hashes of ancestors by number.
    pub block_hashes: HashMap<u64, B256>,
}

impl Stateless {
    /// The state with this root; no hash of an ancestor is known.
    pub fn new(root: B256, preimages: NodeSet) -> Self {
        let trie = RefCell::new(StateTrie::from_root(root));
        Self { trie, preimages, block_hashes: HashMap::new() }
    }

    fn trie_account(&self, address: &Address) -> Result<Option<TrieAccount>, Missing> {
        let account = self.trie.borrow_mut().account(keccak256(address), &self.preimages);
        account.map_err(|error| Missing(error.to_string()))
    }
}

impl StateReader for Stateless {
    type Error = Missing;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Missing> {
        Ok(self.trie_account(address)?.map(|account| AccountInfo {
            nonce: account.nonce,
            balance: account.balance,
            code_hash: account.code_hash,
            code: None,
            account_id: None,
        }))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Missing> {
        let (hashed, hashed_slot) = (keccak256(address), keccak256(slot.to_be_bytes::<32>()));
        let value = self.trie.borrow_mut().slot(hashed, hashed_slot, &self.preimages);
        value.map_err(|error| Missing(error.to_string()))
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Missing> {
        let account = self.trie_account(address)?;
        Ok(account.is_some_and(|account| account.storage_root != EMPTY_ROOT_HASH))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Missing> {
        if *code_hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        let code = self.preimages.get(code_hash).cloned();
        code.map(code_from).ok_or_else(|| Missing(format!("code {code_hash}")))
    }

    fn block_hash(&self, number: u64) -> Result<B256, Missing> {
        let hash = self.block_hashes.get(&number).copied();
        hash.ok_or_else(|| Missing(format!("the hash of block {number}")))
    }
}

impl NodeSource for Stateless {
    type Error = Missing;

    fn node(&self, at: &NodePath, hash: B256) -> Result<Option<Bytes>, Missing> {
        let Ok(found) = self.preimages.node(at, hash);
        Ok(found)
    }
}
