//! Every value that every account and slot ever had.

use crate::{ExecutedBlock, TrieNodes};
use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{AddressMap, B256Map, HashSet, U256Map},
};
use lockstep_chain::Chain;
use lockstep_execution::{AccountInfo, Bytecode, MemoryState};

/// What something was from each version on, in ascending order of versions.
type History<T> = Vec<(u32, T)>;

/// States one after the other. A new version never changes an old one, so that readers of old
/// versions are unaffected by writers.
#[derive(Debug, Default)]
pub(super) struct Versions {
    accounts: AddressMap<Versioned>,
    codes: B256Map<Bytecode>,
    /// By hash, hence right for any version that asks.
    nodes: B256Map<Bytes>,
    /// What each version changed. The first version changed everything, which is not listed.
    touched: Vec<Vec<Key>>,
}

/// An account and its slots.
#[derive(Debug, Default)]
struct Versioned {
    info: History<Option<AccountInfo>>,
    slots: U256Map<History<U256>>,
}

/// What a version can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Account(Address),
    Slot(Address, U256),
}

impl Versions {
    /// Writes the first version.
    pub(super) fn begin(&mut self, state: &MemoryState, nodes: &TrieNodes) -> u32 {
        for (address, account) in state.accounts() {
            let versioned = self.accounts.entry(*address).or_default();
            versioned.info.push((0, Some(account.info.clone())));
            for (slot, value) in &account.storage {
                versioned.slots.entry(*slot).or_default().push((0, *value));
            }
            if let Some(code) = state.code_of(&account.info.code_hash) {
                self.codes.insert(account.info.code_hash, code.clone());
            }
        }
        self.add_nodes(nodes);
        self.touched.push(Vec::new());
        0
    }

    /// Writes the version after a block, and returns it.
    pub(super) fn apply<C: Chain>(&mut self, block: &ExecutedBlock<C>) -> u32 {
        let version = self.next();
        let mut touched = Vec::new();
        for change in block.changes.accounts() {
            let address = change.address();
            let account = self.accounts.entry(address).or_default();
            let info = change.after().map(|info| AccountInfo { code: None, ..info.clone() });
            touched.push(Key::Account(address));
            push(&mut account.info, version, info);
            if change.storage_cleared() || change.after().is_none() {
                for (slot, history) in &mut account.slots {
                    if history.last().is_some_and(|(_, value)| !value.is_zero()) {
                        touched.push(Key::Slot(address, *slot));
                        push(history, version, U256::ZERO);
                    }
                }
            }
            for slot in block.changes.slots(change) {
                touched.push(Key::Slot(address, slot.slot));
                push(account.slots.entry(slot.slot).or_default(), version, slot.after);
            }
        }
        self.codes.extend(block.changes.codes().iter().cloned());
        self.add_nodes(&block.nodes);
        self.touched.push(touched);
        version
    }

    /// Writes a version with the content of the version `old`, and returns it.
    pub(super) fn restore(&mut self, old: u32) -> u32 {
        let version = self.next();
        let mut since = self.touched.get(old as usize + 1..).unwrap_or_default().concat();
        // Earlier restorations list again what was changed before them.
        let mut seen = HashSet::<Key>::default();
        since.retain(|key| seen.insert(*key));
        for key in &since {
            match key {
                Key::Account(address) => {
                    if let Some(account) = self.accounts.get_mut(address) {
                        let info = at(&account.info, old).cloned().flatten();
                        push(&mut account.info, version, info);
                    }
                }
                Key::Slot(address, slot) => {
                    let account = self.accounts.get_mut(address);
                    if let Some(history) = account.and_then(|account| account.slots.get_mut(slot)) {
                        let value = at(history, old).copied().unwrap_or_default();
                        push(history, version, value);
                    }
                }
            }
        }
        self.touched.push(since);
        version
    }

    pub(super) fn account(&self, address: &Address, version: u32) -> Option<AccountInfo> {
        at(&self.accounts.get(address)?.info, version)?.clone()
    }

    pub(super) fn slot(&self, address: &Address, slot: &U256, version: u32) -> U256 {
        let history = self.accounts.get(address).and_then(|account| account.slots.get(slot));
        history.and_then(|history| at(history, version)).copied().unwrap_or_default()
    }

    pub(super) fn has_storage(&self, address: &Address, version: u32) -> bool {
        let slots = self.accounts.get(address).into_iter().flat_map(|account| &account.slots);
        slots.into_iter().any(|(_, history)| at(history, version).is_some_and(|v| !v.is_zero()))
    }

    pub(super) fn code(&self, code_hash: &B256) -> Option<&Bytecode> {
        self.codes.get(code_hash)
    }

    pub(super) fn node(&self, hash: &B256) -> Option<&Bytes> {
        self.nodes.get(hash)
    }

    fn next(&self) -> u32 {
        u32::try_from(self.touched.len()).expect("memory ends long before 2^32 versions")
    }

    fn add_nodes(&mut self, nodes: &TrieNodes) {
        self.nodes.extend(nodes.iter().map(|(_, hash, rlp)| (hash, rlp.clone())));
    }
}

/// The value in `version`, `None` before the first.
fn at<T>(history: &[(u32, T)], version: u32) -> Option<&T> {
    let after = history.partition_point(|(since, _)| *since <= version);
    history.get(after.checked_sub(1)?).map(|(_, value)| value)
}

/// Sets the value from `version` on, which is the newest.
fn push<T>(history: &mut History<T>, version: u32, value: T) {
    match history.last_mut() {
        Some((since, last)) if *since == version => *last = value,
        _ => history.push((version, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Versions};
    use crate::TrieNodes;
    use alloy_primitives::Address;
    use lockstep_execution::MemoryState;

    #[test]
    fn restoring_ever_older_versions_lists_no_key_twice() {
        let mut versions = Versions::default();
        versions.begin(&MemoryState::default(), &TrieNodes::default());
        for _ in 1..=12 {
            versions.touched.push(vec![Key::Account(Address::ZERO)]);
        }
        for old in (0..12).rev() {
            versions.restore(old);
        }
        assert!(versions.touched.iter().all(|touched| touched.len() <= 1));
    }
}
