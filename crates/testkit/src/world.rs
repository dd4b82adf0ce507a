//! States as fixtures describe them.

use crate::model::account::{AccountFields, Accounts};
use alloy_primitives::{Address, B256, Log, U256, keccak256};
use lockstep_execution::{AccountInfo, Bytecode, MemoryState, StateReader, code_from};

/// The state that a fixture lists.
pub fn memory_state(accounts: &Accounts) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in accounts {
        let code = code_from(account.code.0.clone());
        state.set_account(*address, account.nonce.0, account.balance.0, code);
        for (slot, value) in &account.storage {
            state.set_slot(*address, slot.0, value.0);
        }
    }
    state
}

/// Keccak-256 of the RLP of a list of logs.
pub fn logs_hash(logs: &[Log]) -> B256 {
    let mut encoded = Vec::new();
    alloy_rlp::encode_list(logs, &mut encoded);
    keccak256(encoded)
}

/// Up to eight differences between two states, one per line; empty if there is none.
pub fn differences(expected: &Accounts, got: &MemoryState) -> String {
    const SHOWN: usize = 8;
    let mut lines = Vec::new();
    for (address, account) in expected {
        match got.get(address) {
            None => lines.push(format!("{address}: missing")),
            Some(found) => {
                account_differences(address, account, &found.info, &mut lines);
                storage_differences(address, account, got, &mut lines);
            }
        }
    }
    let mut unexpected: Vec<_> = got
        .accounts()
        .map(|(address, _)| address)
        .filter(|at| !expected.contains_key(*at))
        .collect();
    unexpected.sort();
    lines.extend(unexpected.into_iter().map(|address| format!("{address}: should not exist")));
    if lines.len() > SHOWN {
        let more = lines.len() - SHOWN;
        lines.truncate(SHOWN);
        lines.push(format!("and {more} more"));
    }
    lines.join("; ")
}

fn account_differences(
    address: &Address,
    expected: &AccountFields,
    got: &AccountInfo,
    lines: &mut Vec<String>,
) {
    if expected.balance.0 != got.balance {
        let expected = expected.balance.0;
        lines.push(format!("{address}.balance: expected {expected}, got {}", got.balance));
    }
    if expected.nonce.0 != got.nonce {
        let expected = expected.nonce.0;
        lines.push(format!("{address}.nonce: expected {expected}, got {}", got.nonce));
    }
    let expected_hash = keccak256(&expected.code.0);
    if expected_hash != got.code_hash {
        lines.push(format!("{address}.code: expected {expected_hash}, got {}", got.code_hash));
    }
}

fn storage_differences(
    address: &Address,
    expected: &AccountFields,
    got: &MemoryState,
    lines: &mut Vec<String>,
) {
    let storage = got.get(address).map(|account| &account.storage);
    let found = |slot: &U256| storage.and_then(|all| all.get(slot)).copied().unwrap_or_default();
    let mut slots: Vec<U256> = expected.storage.keys().map(|slot| slot.0).collect();
    slots.extend(storage.into_iter().flat_map(|all| all.keys()).copied());
    slots.sort();
    slots.dedup();
    for slot in slots {
        let wanted = expected.storage.get(&crate::fields::Quantity(slot));
        let (wanted, got) = (wanted.map_or(U256::ZERO, |value| value.0), found(&slot));
        if wanted != got {
            lines.push(format!("{address}[{slot:#x}]: expected {wanted:#x}, got {got:#x}"));
        }
    }
}

/// A state with a rule for the hashes of ancestors.
#[derive(Debug)]
pub struct WithAncestors<'a, F> {
    state: &'a MemoryState,
    hash_of: F,
}

impl<'a, F: Fn(u64) -> B256> WithAncestors<'a, F> {
    /// `state`, whose ancestor blocks have the hashes that `hash_of` gives.
    pub const fn new(state: &'a MemoryState, hash_of: F) -> Self {
        Self { state, hash_of }
    }
}

impl<F: Fn(u64) -> B256> StateReader for WithAncestors<'_, F> {
    type Error = <MemoryState as StateReader>::Error;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Self::Error> {
        self.state.account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Self::Error> {
        self.state.storage(address, slot)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Self::Error> {
        self.state.has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Self::Error> {
        self.state.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, Self::Error> {
        Ok((self.hash_of)(number))
    }
}
