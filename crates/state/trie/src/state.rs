//! The state of a chain: the account trie, and a storage trie per account.

use crate::{
    error::{NodePath, TrieError},
    source::NodeSource,
    sparse::SparseTrie,
};
use alloc::{collections::BTreeMap, vec::Vec};
use alloy_primitives::{B256, U256, map::B256Map};
use alloy_rlp::{Decodable, Encodable};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};

/// Read and write accounts and storage slots by their hashed keys, and compute state roots.
///
/// Writes are held back and need no [`NodeSource`]; reads see them. [`StateTrie::root`] applies
/// them in ascending order, insertions before removals, so that it needs few siblings. Keep the
/// value from block to block: only what changed is hashed, and what was revealed stays.
#[derive(Clone, Debug, Default)]
pub struct StateTrie {
    pub(crate) accounts: SparseTrie,
    /// The storage tries opened so far, by hashed address. One that is here supersedes the
    /// `storage_root` in the account's leaf.
    storages: B256Map<SparseTrie>,
    /// What was written since the last root, by hashed address. Ordered, so that the first
    /// missing node is the same on every machine.
    changes: BTreeMap<B256, Change>,
}

/// What was written to one account since the last root.
#[derive(Clone, Debug, Default)]
struct Change {
    account: AccountChange,
    /// By hashed slot. Zero removes.
    slots: BTreeMap<B256, U256>,
}

#[derive(Clone, Copy, Debug, Default)]
enum AccountChange {
    /// Only its storage was written.
    #[default]
    Keep,
    Set {
        nonce: u64,
        balance: U256,
        code_hash: B256,
    },
    Remove,
}

impl StateTrie {
    /// The state without accounts.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The state with this root, of which nothing is revealed yet.
    pub fn from_root(root: B256) -> Self {
        Self { accounts: SparseTrie::from_root(root), ..Self::default() }
    }

    /// The number of revealed nodes of all tries: a measure of the memory in use.
    pub fn node_count(&self) -> usize {
        let storages: usize = self.storages.values().map(SparseTrie::node_count).sum();
        self.accounts.node_count() + storages
    }

    /// The account, with the storage root it had at the last [`StateTrie::root`].
    ///
    /// # Errors
    ///
    /// A [`TrieError`] when a node on its path is missing or wrong.
    pub fn account<S: NodeSource>(
        &mut self,
        hashed_address: B256,
        source: &S,
    ) -> Result<Option<TrieAccount>, TrieError<S::Error>> {
        let change = self.changes.get(&hashed_address).map(|change| change.account);
        match change.unwrap_or_default() {
            AccountChange::Keep => self.committed_account(hashed_address, source),
            AccountChange::Remove => Ok(None),
            AccountChange::Set { nonce, balance, code_hash } => {
                let committed = self.committed_account(hashed_address, source)?;
                let storage_root = committed.map_or(EMPTY_ROOT_HASH, |old| old.storage_root);
                Ok(Some(TrieAccount::new(nonce, balance, storage_root, code_hash)))
            }
        }
    }

    /// The value of a storage slot, zero when the slot or the account does not exist.
    ///
    /// # Errors
    ///
    /// A [`TrieError`] when a node on the paths to the account and the slot is missing or wrong.
    pub fn slot<S: NodeSource>(
        &mut self,
        hashed_address: B256,
        hashed_slot: B256,
        source: &S,
    ) -> Result<U256, TrieError<S::Error>> {
        let written = self.changes.get(&hashed_address);
        if let Some(value) = written.and_then(|change| change.slots.get(&hashed_slot)) {
            return Ok(*value);
        }
        let key = Nibbles::unpack(hashed_slot);
        match self.storage(hashed_address, source)?.get(&key, source)? {
            None => Ok(U256::ZERO),
            Some(rlp) => decode_value(rlp, Some(hashed_address), &key),
        }
    }

    /// Creates or overwrites an account. Its storage, and so its storage root, stays.
    pub fn set_account(
        &mut self,
        hashed_address: B256,
        nonce: u64,
        balance: U256,
        code_hash: B256,
    ) {
        self.changes.entry(hashed_address).or_default().account =
            AccountChange::Set { nonce, balance, code_hash };
    }

    /// Removes an account and its whole storage.
    pub fn remove_account(&mut self, hashed_address: B256) {
        self.clear_storage(hashed_address);
        self.changes.entry(hashed_address).or_default().account = AccountChange::Remove;
    }

    /// Writes a storage slot. Zero removes it.
    pub fn set_slot(&mut self, hashed_address: B256, hashed_slot: B256, value: U256) {
        self.changes.entry(hashed_address).or_default().slots.insert(hashed_slot, value);
    }

    /// Removes every storage slot of an account. Slots written afterwards stay.
    pub fn clear_storage(&mut self, hashed_address: B256) {
        self.changes.entry(hashed_address).or_default().slots.clear();
        self.storages.insert(hashed_address, SparseTrie::empty().with_owner(hashed_address));
    }

    /// Applies all writes and returns the state root.
    ///
    /// # Errors
    ///
    /// A [`TrieError`] when a node that is needed is missing or wrong, or when storage was
    /// written for an account that does not exist. No write is lost: mend it and repeat.
    pub fn root<S: NodeSource>(&mut self, source: &S) -> Result<B256, TrieError<S::Error>> {
        self.commit(source, |_, _, _| ())
    }

    /// [`StateTrie::root`], and passes `(path, hash, rlp)` of every new node to `on_node`, for a
    /// database to keep. Storage nodes come before the account nodes that commit to them.
    ///
    /// # Errors
    ///
    /// As [`StateTrie::root`]. Keep the nodes passed before the error: they are not passed again.
    pub fn commit<S: NodeSource>(
        &mut self,
        source: &S,
        mut on_node: impl FnMut(&NodePath, B256, &[u8]),
    ) -> Result<B256, TrieError<S::Error>> {
        let written: Vec<B256> = self.changes.keys().copied().collect();
        for hashed_address in &written {
            self.apply_slots(*hashed_address, source)?;
        }
        let mut removed = Vec::new();
        for hashed_address in &written {
            match self.changed_account(*hashed_address, source, &mut on_node)? {
                Some(account) => {
                    let key = Nibbles::unpack(hashed_address);
                    self.accounts.insert(&key, &alloy_rlp::encode(account), source)?;
                }
                None => removed.push(hashed_address),
            }
        }
        for hashed_address in removed {
            self.accounts.remove(&Nibbles::unpack(hashed_address), source)?;
        }
        self.changes.clear();
        Ok(self.accounts.commit(|path, hash, rlp| {
            on_node(&NodePath { owner: None, path: *path }, hash, rlp);
        }))
    }

    /// Moves the written slots of an account into its storage trie.
    fn apply_slots<S: NodeSource>(
        &mut self,
        hashed_address: B256,
        source: &S,
    ) -> Result<(), TrieError<S::Error>> {
        let Some(change) = self.changes.get(&hashed_address) else { return Ok(()) };
        if change.slots.is_empty() {
            return Ok(());
        }
        self.open_storage(hashed_address, source)?;
        let (Some(change), Some(storage)) =
            (self.changes.get_mut(&hashed_address), self.storages.get_mut(&hashed_address))
        else {
            return Ok(());
        };
        let mut rlp = Vec::new();
        for (hashed_slot, value) in change.slots.iter().filter(|(_, value)| !value.is_zero()) {
            rlp.clear();
            value.encode(&mut rlp);
            storage.insert(&Nibbles::unpack(hashed_slot), &rlp, source)?;
        }
        for (hashed_slot, _) in change.slots.iter().filter(|(_, value)| value.is_zero()) {
            storage.remove(&Nibbles::unpack(hashed_slot), source)?;
        }
        change.slots.clear();
        Ok(())
    }

    /// The account as it is to be written, with its new storage root, or `None` when it is to be
    /// removed.
    fn changed_account<S: NodeSource>(
        &mut self,
        hashed_address: B256,
        source: &S,
        on_node: &mut impl FnMut(&NodePath, B256, &[u8]),
    ) -> Result<Option<TrieAccount>, TrieError<S::Error>> {
        let account = self.account(hashed_address, source)?;
        let Some(storage) = self.storages.get_mut(&hashed_address) else { return Ok(account) };
        let storage_root = storage.commit(|path, hash, rlp| {
            on_node(&NodePath { owner: Some(hashed_address), path: *path }, hash, rlp);
        });
        match account {
            Some(account) => Ok(Some(TrieAccount { storage_root, ..account })),
            None if storage_root == EMPTY_ROOT_HASH => Ok(None),
            None => Err(TrieError::StorageWithoutAccount(hashed_address)),
        }
    }

    /// The storage trie of an account, opened if need be.
    pub(crate) fn storage<S: NodeSource>(
        &mut self,
        hashed_address: B256,
        source: &S,
    ) -> Result<&mut SparseTrie, TrieError<S::Error>> {
        self.open_storage(hashed_address, source)?;
        Ok(self.storages.entry(hashed_address).or_default())
    }

    fn open_storage<S: NodeSource>(
        &mut self,
        hashed_address: B256,
        source: &S,
    ) -> Result<(), TrieError<S::Error>> {
        if !self.storages.contains_key(&hashed_address) {
            let account = self.committed_account(hashed_address, source)?;
            let root = account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
            let storage = SparseTrie::from_root(root).with_owner(hashed_address);
            self.storages.insert(hashed_address, storage);
        }
        Ok(())
    }

    /// The account in the trie, whatever was written since.
    fn committed_account<S: NodeSource>(
        &mut self,
        hashed_address: B256,
        source: &S,
    ) -> Result<Option<TrieAccount>, TrieError<S::Error>> {
        let key = Nibbles::unpack(hashed_address);
        self.accounts.get(&key, source)?.map(|rlp| decode_value(rlp, None, &key)).transpose()
    }
}

fn decode_value<T: Decodable, E>(
    rlp: &[u8],
    owner: Option<B256>,
    key: &Nibbles,
) -> Result<T, TrieError<E>> {
    alloy_rlp::decode_exact(rlp).map_err(|error| TrieError::InvalidValue {
        at: NodePath { owner, path: *key }.into(),
        error,
    })
}
