//! What a block overwrote: the way back to the state before it.

use crate::{
    StorageError, TrieNodes, TrieNodesBuilder,
    db::{Cursor, Malformed, decode_account, encode_account, encode_value},
};
use alloy_primitives::{Address, B256, U256, keccak256};
use lockstep_execution::AccountInfo;
use lockstep_trie::{NodeSource, StateTrie};
use std::collections::BTreeMap;

/// The accounts and slots that a block changed, as they were before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChangeSet {
    /// Ascending; `None` where the account did not exist.
    accounts: Vec<(Address, Option<AccountInfo>)>,
    /// Ascending.
    slots: Vec<((Address, B256), U256)>,
}

impl ChangeSet {
    pub(super) fn new(
        accounts: BTreeMap<Address, Option<AccountInfo>>,
        slots: BTreeMap<(Address, B256), U256>,
    ) -> Self {
        Self { accounts: accounts.into_iter().collect(), slots: slots.into_iter().collect() }
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = &Address> {
        self.accounts.iter().map(|(address, _)| address)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &(Address, B256)> {
        self.slots.iter().map(|(key, _)| key)
    }

    pub(super) fn len(&self) -> usize {
        self.accounts.len() + self.slots.len()
    }

    /// The account before the block, if the block changed it.
    pub(super) fn account(&self, address: &Address) -> Option<&Option<AccountInfo>> {
        let index = self.accounts.binary_search_by(|(key, _)| key.cmp(address)).ok()?;
        self.accounts.get(index).map(|(_, before)| before)
    }

    /// The slot before the block, if the block changed it.
    pub(super) fn slot(&self, address: &Address, slot: &B256) -> Option<U256> {
        let key = (*address, *slot);
        let index = self.slots.binary_search_by(|(found, _)| found.cmp(&key)).ok()?;
        self.slots.get(index).map(|(_, before)| *before)
    }

    /// `[count u32]`, per account address, length and content; `[count u32]`, per account with
    /// slots address, `[count u32]` and per slot its number, length and value.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = (self.accounts.len() as u32).to_le_bytes().to_vec();
        let mut account = Vec::new();
        for (address, before) in &self.accounts {
            account.clear();
            if let Some(info) = before {
                encode_account(info, &mut account);
            }
            out.extend_from_slice(address.as_slice());
            out.push(account.len() as u8);
            out.extend_from_slice(&account);
        }
        let groups = || self.slots.chunk_by(|((left, _), _), ((right, _), _)| left == right);
        out.extend_from_slice(&(groups().count() as u32).to_le_bytes());
        for group in groups() {
            if let Some(((address, _), _)) = group.first() {
                out.extend_from_slice(address.as_slice());
            }
            out.extend_from_slice(&(group.len() as u32).to_le_bytes());
            for ((_, slot), before) in group {
                let value = encode_value(before);
                out.extend_from_slice(slot.as_slice());
                out.push(value.len() as u8);
                out.extend_from_slice(&value);
            }
        }
        out
    }

    /// Reads what [`Self::encode`] wrote.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor(bytes);
        let mut changes = Self::default();
        for _ in 0..cursor.u32()? {
            let address = cursor.address()?;
            let length = cursor.u8()?;
            let account = cursor.take(length.into())?;
            let before = if length == 0 { None } else { Some(decode_account(account)?) };
            changes.accounts.push((address, before));
        }
        for _ in 0..cursor.u32()? {
            let address = cursor.address()?;
            for _ in 0..cursor.u32()? {
                let slot = cursor.hash()?;
                let length = cursor.u8()?;
                changes.slots.push(((address, slot), cursor.integer(length.into())?));
            }
        }
        cursor.end()?;
        let is_ascending = changes.accounts.is_sorted_by(|(left, _), (right, _)| left < right)
            && changes.slots.is_sorted_by(|(left, _), (right, _)| left < right);
        if is_ascending { Ok(changes) } else { Err("the changes do not ascend") }
    }
}

/// The change sets of consecutive blocks taken together: what differs between the state after the
/// last and the state before the first.
#[derive(Debug, Default)]
pub(super) struct Reversal {
    pub(super) accounts: BTreeMap<Address, Option<AccountInfo>>,
    pub(super) slots: BTreeMap<(Address, B256), U256>,
}

impl Reversal {
    /// Adds the change set of the next block.
    pub(super) fn add(&mut self, changes: &ChangeSet) {
        for (address, before) in &changes.accounts {
            self.accounts.entry(*address).or_insert_with(|| before.clone());
        }
        for (key, before) in &changes.slots {
            self.slots.entry(*key).or_insert(*before);
        }
    }

    /// Adds the change set of the block before those that are here.
    pub(super) fn add_older(&mut self, changes: ChangeSet) {
        self.accounts.extend(changes.accounts);
        self.slots.extend(changes.slots);
    }

    pub(super) fn len(&self) -> usize {
        self.accounts.len() + self.slots.len()
    }

    /// The nodes in which the older trie differs from the newer one with the root `newest`.
    pub(super) fn nodes(
        &self,
        newest: B256,
        source: &impl NodeSource<Error = StorageError>,
    ) -> Result<(B256, TrieNodes), StorageError> {
        let mut trie = StateTrie::from_root(newest);
        for (address, before) in &self.accounts {
            let hashed = keccak256(address);
            match before {
                Some(info) => trie.set_account(hashed, info.nonce, info.balance, info.code_hash),
                None => trie.remove_account(hashed),
            }
        }
        for ((address, slot), before) in &self.slots {
            trie.set_slot(keccak256(address), keccak256(slot), *before);
        }
        let mut nodes = TrieNodesBuilder::default();
        let root = trie.commit(source, |path, hash, rlp| nodes.push(path, hash, rlp)).map_err(
            |error| match error {
                lockstep_trie::TrieError::Source(error) => error,
                error => StorageError::Trie(error.to_string()),
            },
        )?;
        Ok((root, nodes.build()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::btree_map, prelude::*};

    fn account() -> impl Strategy<Value = AccountInfo> {
        (any::<u64>(), any::<[u8; 32]>(), any::<u8>(), any::<[u8; 32]>()).prop_map(
            |(nonce, balance, shift, code_hash)| AccountInfo {
                nonce,
                balance: U256::from_be_bytes(balance) >> usize::from(shift),
                code_hash: B256::new(code_hash),
                ..Default::default()
            },
        )
    }

    prop_compose! {
        fn change_set()(
            accounts in btree_map(0u8..9, prop::option::of(account()), 0..9),
            slots in btree_map((0u8..4, 0u8..9), any::<(u64, u8)>(), 0..20),
        ) -> ChangeSet {
            let accounts = accounts.into_iter().map(|(at, info)| (Address::repeat_byte(at), info));
            let slots = slots.into_iter().map(|((address, slot), (value, shift))| {
                let key = (Address::repeat_byte(address), B256::repeat_byte(slot));
                (key, U256::from(value) << usize::from(shift))
            });
            ChangeSet::new(accounts.collect(), slots.collect())
        }
    }

    proptest! {
        #[test]
        fn change_sets_come_back(changes in change_set()) {
            prop_assert_eq!(ChangeSet::decode(&changes.encode()), Ok(changes));
        }

        #[test]
        fn changes_of_several_blocks_are_the_same_from_either_end(
            blocks in prop::collection::vec(change_set(), 0..5),
        ) {
            let (mut upwards, mut downwards) = (Reversal::default(), Reversal::default());
            blocks.iter().for_each(|changes| upwards.add(changes));
            blocks.into_iter().rev().for_each(|changes| downwards.add_older(changes));
            prop_assert_eq!(upwards.accounts, downwards.accounts);
            prop_assert_eq!(upwards.slots, downwards.slots);
        }

        #[test]
        fn malformed_change_sets_are_refused_without_panic(
            changes in change_set(),
            at: prop::sample::Index,
            bit in 0..8u32,
        ) {
            let mut bytes = changes.encode();
            for end in 0..bytes.len() {
                prop_assert!(ChangeSet::decode(&bytes[..end]).is_err());
            }
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(other) = ChangeSet::decode(&bytes) {
                prop_assert_ne!(other, changes);
            }
        }
    }
}
