//! A plain in-memory state.

use crate::{
    StateChanges, StateReader,
    changes::{AccountChange, ChainedSlot, NO_SLOT, SlotChange},
    state::code_from,
};
use alloy_genesis::Genesis;
use alloy_primitives::{
    Address, B256, KECCAK256_EMPTY, U256,
    map::{AddressMap, B256Map, HashMap, U256Map},
};
use core::convert::Infallible;
use lockstep_trie::TrieAccount;
use revm::{bytecode::Bytecode, state::AccountInfo};

/// An account of a [`MemoryState`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryAccount {
    /// Nonce, balance and code hash.
    pub info: AccountInfo,
    /// The slots that are not zero.
    pub storage: U256Map<U256>,
}

impl MemoryAccount {
    /// The root of the storage, computed from scratch.
    pub fn storage_root(&self) -> B256 {
        let slots = self.storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
        lockstep_trie::storage_root(slots)
    }
}

/// A whole state in memory: for development chains, tests and benchmarks.
///
/// Codes and block hashes that are not known read as empty and zero.
#[derive(Clone, Debug, Default)]
pub struct MemoryState {
    accounts: AddressMap<MemoryAccount>,
    codes: B256Map<Bytecode>,
    block_hashes: HashMap<u64, B256>,
}

impl MemoryState {
    /// The state that a genesis file allocates.
    pub fn from_genesis(genesis: &Genesis) -> Self {
        let mut state = Self::default();
        for (address, account) in &genesis.alloc {
            let code = code_from(account.code.clone().unwrap_or_default());
            let nonce = account.nonce.unwrap_or_default();
            state.set_account(*address, nonce, account.balance, code);
            for (slot, value) in account.storage_slots() {
                state.set_slot(*address, slot.into(), value);
            }
        }
        state
    }

    /// Sets nonce and balance of an account, and its code unless that is empty; keeps its storage.
    pub fn set_account(&mut self, address: Address, nonce: u64, balance: U256, code: Bytecode) {
        let code_hash = if code.is_empty() { KECCAK256_EMPTY } else { code.hash_slow() };
        let account = self.accounts.entry(address).or_default();
        account.info = AccountInfo { nonce, balance, code_hash, code: None, account_id: None };
        if !code.is_empty() {
            self.codes.insert(code_hash, code);
        }
    }

    /// Sets a storage slot; the account begins to exist if it did not.
    pub fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        let account = self.accounts.entry(address).or_default();
        if value.is_zero() {
            account.storage.remove(&slot);
        } else {
            account.storage.insert(slot, value);
        }
    }

    /// Makes the hash of block `number` known.
    pub fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// All accounts, in no particular order.
    pub fn accounts(&self) -> impl Iterator<Item = (&Address, &MemoryAccount)> {
        self.accounts.iter()
    }

    /// One account.
    pub fn get(&self, address: &Address) -> Option<&MemoryAccount> {
        self.accounts.get(address)
    }

    /// The code with this hash, if it is known.
    pub fn code_of(&self, code_hash: &B256) -> Option<&Bytecode> {
        self.codes.get(code_hash)
    }

    /// Makes the changes of a block part of the state.
    pub fn apply(&mut self, changes: &StateChanges) {
        for change in changes.accounts() {
            let Some(info) = change.after() else {
                self.accounts.remove(&change.address());
                continue;
            };
            let account = self.accounts.entry(change.address()).or_default();
            account.info = AccountInfo { code: None, ..info.clone() };
            if change.storage_cleared() {
                account.storage.clear();
            }
            for slot in changes.slots(change) {
                if slot.after.is_zero() {
                    account.storage.remove(&slot.slot);
                } else {
                    account.storage.insert(slot.slot, slot.after);
                }
            }
        }
        self.codes.extend(changes.codes().iter().cloned());
    }

    /// What changes when this state comes into being from nothing.
    pub fn as_changes(&self) -> StateChanges {
        let mut changes = StateChanges::default();
        for (address, account) in &self.accounts {
            let mut first_slot = NO_SLOT;
            for (slot, value) in &account.storage {
                let change = SlotChange { slot: *slot, before: U256::ZERO, after: *value };
                changes.slots.push(ChainedSlot { change, next: first_slot });
                first_slot = (changes.slots.len() - 1) as u32;
            }
            changes.accounts.push(AccountChange {
                address: *address,
                after: Some(account.info.clone()),
                before: None,
                is_written: true,
                existed: false,
                storage_cleared: false,
                first_slot,
            });
        }
        changes.codes = self.codes.iter().map(|(hash, code)| (*hash, code.clone())).collect();
        changes
    }

    /// The root of Ethereum's state trie, computed from scratch.
    pub fn state_root(&self) -> B256 {
        lockstep_trie::state_root(self.accounts.iter().map(|(address, account)| {
            let AccountInfo { nonce, balance, code_hash, .. } = account.info;
            let storage_root = account.storage_root();
            (*address, TrieAccount { nonce, balance, storage_root, code_hash })
        }))
    }
}

impl StateReader for MemoryState {
    type Error = Infallible;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.accounts.get(address).map(|account| account.info.clone()))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Infallible> {
        let account = self.accounts.get(address);
        Ok(account.and_then(|account| account.storage.get(slot)).copied().unwrap_or_default())
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Infallible> {
        Ok(self.accounts.get(address).is_some_and(|account| !account.storage.is_empty()))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Infallible> {
        Ok(self.codes.get(code_hash).cloned().unwrap_or_default())
    }

    fn block_hash(&self, number: u64) -> Result<B256, Infallible> {
        Ok(self.block_hashes.get(&number).copied().unwrap_or_default())
    }
}
