//! The state while a block runs: what was read, what was written, and what was before.
//!
//! Accounts and slots live in two arrays. An account is found by address once and from then on
//! by its index, which revm carries along as `account_id`; slots of an account are chained
//! through the array. So committing a transaction costs an array access per account and a hash
//! of 36 bytes per slot, and nothing is allocated per account.

use crate::{
    StateChanges, StateReader,
    adopt::Comparison,
    changes::{AccountChange, ChainedSlot, EMPTY_CODE_WITH_STORAGE, NO_SLOT, SlotChange},
    record::Recorder,
};
use alloc::{boxed::Box, vec::Vec};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{
    Address, B256, Bytes, FixedBytes, KECCAK256_EMPTY, U256,
    map::{AddressMap, B256Map, Entry, FbMap},
};
use core::fmt;
use revm::{
    Database, DatabaseCommit,
    bytecode::Bytecode,
    database_interface::DBErrorMarker,
    state::{Account, AccountInfo},
};

/// What stands in an account whose information was moved out.
pub(crate) const NO_INFO: AccountInfo = AccountInfo {
    balance: U256::ZERO,
    nonce: 0,
    code_hash: B256::ZERO,
    account_id: None,
    code: None,
};

/// A read failed; the reader's own error waits in the [`BlockState`].
///
/// revm passes errors of one type through; so the typed one travels beside it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the state could not be read")]
pub struct StateError(());

impl StateError {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl DBErrorMarker for StateError {}

/// Every account, slot, code and block hash that a block read from its parent's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accessed {
    /// Accounts with their slots, in the order of first access.
    pub accounts: AccessList,
    /// Hashes of the codes that were read, in the order of first access.
    pub codes: Vec<B256>,
    /// Numbers of the blocks whose hashes were read, in the order of first access.
    pub block_numbers: Vec<u64>,
}

/// What a fork says of the state itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRules {
    /// Empty accounts that were touched are deleted: from Spurious Dragon on (EIP-161).
    pub deletes_empty_accounts: bool,
    /// An account may delegate to the code of another: from Prague on (EIP-7702).
    pub has_delegations: bool,
}

impl StateRules {
    /// Those of the newest forks.
    pub const NEWEST: Self = Self { deletes_empty_accounts: true, has_delegations: true };

    /// Code as the fork understands it. A reader that knows its bytes alone cannot tell a delegation from code that was
    /// deployed before London (EIP-3541) and looks like one.
    pub(crate) fn understand(&self, code: Bytecode) -> Bytecode {
        let bytes = code.original_byte_slice();
        let looks_like_delegation = bytes.len() == 23 && bytes.starts_with(&[0xef, 0x01, 0x00]);
        if !looks_like_delegation || code.is_eip7702() == self.has_delegations {
            return code;
        }
        let raw = code.original_bytes();
        if self.has_delegations { code_from(raw) } else { Bytecode::new_legacy(raw) }
    }
}

/// The code with these bytes, for a [`StateReader`]: what looks like a delegation (EIP-7702) is one, anything else is
/// plain.
pub fn code_from(raw: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(raw.clone()).unwrap_or_else(|_| Bytecode::new_legacy(raw))
}

/// The state while a block runs, over the parent's state.
pub struct BlockState<S: StateReader> {
    pub(crate) reader: S,
    pub(crate) rules: StateRules,
    pub(crate) account_ids: AddressMap<u32>,
    /// By [`slot_key`].
    slot_ids: FbMap<36, u32>,
    pub(crate) changes: StateChanges,
    pub(crate) codes: B256Map<Bytecode>,
    pub(crate) codes_read: Vec<B256>,
    pub(crate) block_hashes: Vec<(u64, B256)>,
    pub(crate) comparison: Comparison,
    /// Writes down what transactions read and write, if that is asked for.
    pub(crate) recorder: Option<Box<Recorder>>,
    /// The first error of the reader, kept in its own type for the executor.
    error: Option<S::Error>,
}

impl<S: StateReader> fmt::Debug for BlockState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockState")
            .field("accounts", &self.changes.accounts.len())
            .field("slots", &self.changes.slots.len())
            .finish_non_exhaustive()
    }
}

impl<S: StateReader> BlockState<S> {
    /// The state at the start of a block.
    pub fn new(reader: S, rules: StateRules) -> Self {
        Self {
            reader,
            rules,
            account_ids: AddressMap::default(),
            slot_ids: FbMap::default(),
            changes: StateChanges::default(),
            codes: B256Map::default(),
            codes_read: Vec::new(),
            block_hashes: Vec::new(),
            comparison: Comparison::default(),
            recorder: None,
            error: None,
        }
    }

    /// Makes room for the accounts that `transactions` transactions touch at least.
    pub fn reserve(&mut self, transactions: usize) {
        // Senders and recipients; beneficiary, system contracts and the most used contracts.
        let accounts = transactions.saturating_mul(2).min(1 << 16) + 64;
        self.account_ids.reserve(accounts);
        self.changes.accounts.reserve(accounts);
        self.slot_ids.reserve(accounts);
        self.changes.slots.reserve(accounts);
    }

    /// The reader beneath.
    pub const fn reader(&self) -> &S {
        &self.reader
    }

    /// Takes the reader's first error, if it made one: revm passes on only that there was one.
    pub const fn take_error(&mut self) -> Option<S::Error> {
        self.error.take()
    }

    /// An account as it is now.
    ///
    /// # Errors
    /// The reader's.
    pub fn account(&mut self, address: &Address) -> Result<Option<&AccountInfo>, StateError> {
        let id = self.load(address)?;
        Ok(self.changes.accounts.get(id as usize).and_then(AccountChange::after))
    }

    /// Adds `amount` wei to an account, as rewards and withdrawals do: outside any transaction.
    ///
    /// # Errors
    /// The reader's.
    pub fn add_balance(&mut self, address: &Address, amount: U256) -> Result<(), StateError> {
        self.update(address, |info| info.balance = info.balance.saturating_add(amount))
    }

    /// Takes the whole balance of an account and returns it, in wei.
    ///
    /// # Errors
    /// The reader's.
    pub fn drain_balance(&mut self, address: &Address) -> Result<U256, StateError> {
        let mut drained = U256::ZERO;
        self.update(address, |info| drained = core::mem::take(&mut info.balance))?;
        Ok(drained)
    }

    /// Places code at an address, as upgrades do: outside any transaction.
    ///
    /// # Errors
    /// The reader's.
    pub fn set_code(
        &mut self,
        address: &Address,
        code_hash: B256,
        code: Bytecode,
    ) -> Result<(), StateError> {
        self.update(address, |info| {
            info.code_hash = code_hash;
            info.code = None;
        })?;
        self.deploy(code_hash, code);
        Ok(())
    }

    /// Everything read from the parent's state so far.
    pub fn accessed(&self) -> Accessed {
        let accounts = self.changes.accounts.iter().map(|account| {
            let slots = self.changes.all_slots(account).map(|slot| B256::from(slot.slot));
            AccessListItem { address: account.address, storage_keys: slots.collect() }
        });
        Accessed {
            accounts: AccessList(accounts.collect()),
            codes: self.codes_read.clone(),
            block_numbers: self.block_hashes.iter().map(|(number, _)| *number).collect(),
        }
    }

    /// Everything changed since the start of the block.
    pub fn changes(&self) -> StateChanges {
        let mut changes = self.changes.clone();
        changes.remove_marks();
        changes
    }

    /// [`Self::changes`] at the end of the block, without a copy.
    pub fn into_changes(mut self) -> StateChanges {
        self.changes.remove_marks();
        self.changes
    }

    /// The index of an account, read from the parent's state if it is new here.
    pub(crate) fn load(&mut self, address: &Address) -> Result<u32, StateError> {
        let vacant = match self.account_ids.entry(*address) {
            Entry::Occupied(known) => return Ok(*known.get()),
            Entry::Vacant(vacant) => vacant,
        };
        let id = index(self.changes.accounts.len());
        let after = match read_account(&self.reader, address, id) {
            Ok(info) => info,
            Err(error) => return Err(self.fail(error)),
        };
        vacant.insert(id);
        self.changes.accounts.push(AccountChange::unwritten(*address, after));
        Ok(id)
    }

    /// Gives an account an index unless it has one, with what the parent's state says of it.
    pub(crate) fn insert_account(&mut self, address: Address, info: Option<AccountInfo>) -> u32 {
        let vacant = match self.account_ids.entry(address) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(vacant) => vacant,
        };
        let id = index(self.changes.accounts.len());
        vacant.insert(id);
        let after = info.map(|info| AccountInfo { account_id: Some(id as usize), ..info });
        self.changes.accounts.push(AccountChange::unwritten(address, after));
        id
    }

    /// The index and the value of a slot, if the block has read or written it.
    pub(crate) fn known_slot(&self, id: u32, slot: &U256) -> Option<(u32, U256)> {
        let slot_id = *self.slot_ids.get(&slot_key(id, slot))?;
        Some((slot_id, self.changes.slots.get(slot_id as usize)?.change.after))
    }

    /// Whether slots of a known account are zero that the block has not written.
    pub(crate) fn has_no_storage(&self, id: u32) -> bool {
        let account = self.changes.accounts.get(id as usize);
        account.is_none_or(|account| account.storage_cleared || !account.existed)
    }

    /// Notes a slot, with its value, that [`Self::known_slot`] does not know, and returns its index.
    pub(crate) fn insert_slot(&mut self, id: u32, slot: U256, value: U256) -> u32 {
        let StateChanges { accounts, slots, .. } = &mut self.changes;
        let Some(account) = accounts.get_mut(id as usize) else { return NO_SLOT };
        match self.slot_ids.entry(slot_key(id, &slot)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(vacant) => {
                let change = SlotChange { slot, before: value, after: value };
                *vacant.insert(chain_slot(account, slots, change))
            }
        }
    }

    /// Keeps the reader's error for the executor; revm gets the fact that there is one.
    pub(crate) fn fail(&mut self, error: S::Error) -> StateError {
        self.error.get_or_insert(error);
        StateError(())
    }

    /// Changes an account outside any transaction.
    fn update(
        &mut self,
        address: &Address,
        change: impl FnOnce(&mut AccountInfo),
    ) -> Result<(), StateError> {
        let id = self.load(address)?;
        self.change(id, change);
        Ok(())
    }

    /// Changes a known account.
    pub(crate) fn change(&mut self, id: u32, change: impl FnOnce(&mut AccountInfo)) {
        let Some(account) = self.changes.accounts.get_mut(id as usize) else { return };
        if let Some(recorder) = &mut self.recorder {
            recorder.touch_account(id, account.after());
        }
        if !account.is_written {
            account.before = account.after.clone();
            account.is_written = true;
        }
        let info = account.after.get_or_insert_default();
        info.account_id = Some(id as usize);
        change(info);
        if self.rules.deletes_empty_accounts && info.is_empty() {
            account.after = None;
        }
    }

    pub(crate) fn deploy(&mut self, code_hash: B256, code: Bytecode) {
        if self.codes.insert(code_hash, code.clone()).is_none() {
            self.changes.codes.push((code_hash, code));
        }
    }

    /// The value of a slot of a known account.
    fn slot(&mut self, id: u32, slot: U256) -> Result<U256, StateError> {
        let StateChanges { accounts, slots, .. } = &mut self.changes;
        let Some(account) = accounts.get_mut(id as usize) else { return Ok(U256::ZERO) };
        let vacant = match self.slot_ids.entry(slot_key(id, &slot)) {
            Entry::Occupied(known) => {
                let slot_id = *known.get();
                if let Some(recorder) = &mut self.recorder {
                    recorder.ask_slot(slot_id);
                }
                let known = slots.get(slot_id as usize);
                return Ok(known.map(|slot| slot.change.after).unwrap_or_default());
            }
            Entry::Vacant(vacant) => vacant,
        };
        let value = if account.storage_cleared || !account.existed {
            U256::ZERO
        } else {
            match self.reader.storage(&account.address, &slot) {
                Ok(value) => value,
                Err(error) => return Err(self.fail(error)),
            }
        };
        let change = SlotChange { slot, before: value, after: value };
        let slot_id = *vacant.insert(chain_slot(account, slots, change));
        if let Some(recorder) = &mut self.recorder {
            recorder.ask_slot(slot_id);
        }
        Ok(value)
    }

    /// Forgets the whole storage of an account.
    pub(crate) fn clear_storage(&mut self, id: u32) {
        let Some(account) = self.changes.accounts.get_mut(id as usize) else { return };
        account.storage_cleared = true;
        let mut slot_id = account.first_slot;
        while let Some(slot) = self.changes.slots.get_mut(slot_id as usize) {
            if let Some(recorder) = &mut self.recorder {
                recorder.touch_slot(slot_id, slot.change.after);
            }
            slot.change.after = U256::ZERO;
            slot_id = slot.next;
        }
    }

    /// Makes a transaction permanent, leaving the map empty.
    pub(crate) fn commit_all(&mut self, changes: &mut AddressMap<Account>) {
        let codes = self.changes.codes.len();
        for (address, account) in &mut *changes {
            self.commit_account(address, account);
        }
        self.order_codes(codes);
        changes.clear();
    }

    /// Brings the codes that one transaction has deployed into an order: revm's map has that of its capacity.
    pub(crate) fn order_codes(&mut self, first: usize) {
        if let Some(deployed) = self.changes.codes.get_mut(first..)
            && deployed.len() > 1
        {
            deployed.sort_unstable_by_key(|(hash, _)| *hash);
        }
    }

    /// Makes one account's part of a transaction permanent.
    pub(crate) fn commit_account(&mut self, address: &Address, account: &mut Account) {
        let known = account.info.account_id.map(index);
        let Some(id) = known.or_else(|| self.account_ids.get(address).copied()) else {
            // revm changes no account that it did not load through `basic`.
            debug_assert!(false, "account {address} was never loaded");
            return;
        };
        if !account.is_touched() {
            self.keep_code(id, account.info.code.take());
            return;
        }
        if account.is_selfdestructed() {
            self.clear_storage(id);
            self.set_current(id, None);
            return;
        }
        if account.is_created() {
            self.clear_storage(id);
            self.write_unread_slots(id, account);
        } else {
            for (slot, value) in account.changed_storage_slots() {
                self.write_slot(id, *slot, value.present_value);
            }
        }
        if self.rules.deletes_empty_accounts && account.info.is_empty() {
            self.set_current(id, None);
            return;
        }
        let current = self.changes.accounts.get(id as usize).and_then(AccountChange::after);
        let known_code = current.map_or(KECCAK256_EMPTY, |info| info.code_hash);
        let info = core::mem::replace(&mut account.info, NO_INFO);
        if info.code_hash != known_code
            && info.code_hash != KECCAK256_EMPTY
            && let Some(code) = &info.code
        {
            self.deploy(info.code_hash, code.clone());
        }
        self.set_current(id, Some(AccountInfo { account_id: Some(id as usize), ..info }));
    }

    /// Spares the next transaction the search for code that this one only read.
    fn keep_code(&mut self, id: u32, code: Option<Bytecode>) {
        if let Some(code) = code
            && let Some(account) = self.changes.accounts.get_mut(id as usize)
            && let Some(info) = &mut account.after
        {
            info.code.get_or_insert(code);
        }
    }

    pub(crate) fn set_current(&mut self, id: u32, info: Option<AccountInfo>) {
        let Some(account) = self.changes.accounts.get_mut(id as usize) else { return };
        let previous = core::mem::replace(&mut account.after, info);
        if let Some(recorder) = &mut self.recorder {
            recorder.touch_account(id, previous.as_ref());
        }
        // Who executed ahead leaves out what is known here.
        if let (Some(now), Some(before)) = (&mut account.after, &previous)
            && now.code.is_none()
            && now.code_hash == before.code_hash
        {
            now.code = before.code.clone();
        }
        if !account.is_written {
            account.before = previous;
            account.is_written = true;
        }
    }

    /// Writes a slot with this index.
    pub(crate) fn set_slot(&mut self, slot_id: u32, value: U256) {
        if let Some(slot) = self.changes.slots.get_mut(slot_id as usize) {
            if let Some(recorder) = &mut self.recorder {
                recorder.touch_slot(slot_id, slot.change.after);
            }
            slot.change.after = value;
        }
    }

    /// Writes the slots of an account that was created in this transaction: the EVM knows that they were empty,
    /// and has not read them. So it is their numbers that bring them into an order.
    fn write_unread_slots(&mut self, id: u32, account: &Account) {
        let mut slots: Vec<_> = account.changed_storage_slots().collect();
        slots.sort_unstable_by_key(|(slot, _)| **slot);
        for (slot, value) in slots {
            self.write_slot(id, *slot, value.present_value);
        }
    }

    pub(crate) fn write_slot(&mut self, id: u32, slot: U256, value: U256) {
        let StateChanges { accounts, slots, .. } = &mut self.changes;
        match self.slot_ids.entry(slot_key(id, &slot)) {
            Entry::Occupied(known) => {
                let slot_id = *known.get();
                self.set_slot(slot_id, value);
            }
            // Written without having been read: the account was created in this transaction.
            Entry::Vacant(vacant) => {
                if let Some(account) = accounts.get_mut(id as usize) {
                    let change = SlotChange { slot, before: U256::ZERO, after: value };
                    let slot_id = *vacant.insert(chain_slot(account, slots, change));
                    if let Some(recorder) = &mut self.recorder {
                        recorder.touch_slot(slot_id, U256::ZERO);
                    }
                }
            }
        }
    }
}

impl<S: StateReader> Database for BlockState<S> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        self.account(&address).map(|info| info.cloned())
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, StateError> {
        if code_hash == KECCAK256_EMPTY || code_hash == EMPTY_CODE_WITH_STORAGE {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.codes.get(&code_hash) {
            return Ok(code.clone());
        }
        match self.reader.code(&code_hash) {
            Ok(code) => {
                let code = self.rules.understand(code);
                self.codes.insert(code_hash, code.clone());
                self.codes_read.push(code_hash);
                Ok(code)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        let id = self.load(&address)?;
        self.slot(id, slot)
    }

    fn storage_by_account_id(
        &mut self,
        _: Address,
        account_id: usize,
        slot: U256,
    ) -> Result<U256, StateError> {
        self.slot(index(account_id), slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        if let Some((_, hash)) = self.block_hashes.iter().find(|(known, _)| *known == number) {
            return Ok(*hash);
        }
        match self.reader.block_hash(number) {
            Ok(hash) => {
                self.block_hashes.push((number, hash));
                Ok(hash)
            }
            Err(error) => Err(self.fail(error)),
        }
    }
}

impl<S: StateReader> DatabaseCommit for BlockState<S> {
    fn commit(&mut self, mut changes: AddressMap<Account>) {
        self.commit_all(&mut changes);
    }
}

/// Reads an account from the parent's state and marks it for the EVM.
pub(crate) fn read_account<S: StateReader>(
    reader: &S,
    address: &Address,
    id: u32,
) -> Result<Option<AccountInfo>, S::Error> {
    let Some(mut info) = reader.account(address)? else { return Ok(None) };
    info.account_id = Some(id as usize);
    // Codes are asked for by their hashes, whatever the reader has at hand: so what is read does not depend on it.
    info.code = None;
    if info.nonce == 0 && info.code_hash == KECCAK256_EMPTY && reader.has_storage(address)? {
        info.code_hash = EMPTY_CODE_WITH_STORAGE;
        info.code = Some(Bytecode::default());
    }
    Ok(Some(info))
}

/// Puts a slot at the head of its account's chain and returns its index.
fn chain_slot(
    account: &mut AccountChange,
    slots: &mut Vec<ChainedSlot>,
    change: SlotChange,
) -> u32 {
    let slot_id = index(slots.len());
    let next = core::mem::replace(&mut account.first_slot, slot_id);
    slots.push(ChainedSlot { change, next });
    slot_id
}

/// The index of an account and a slot as one key, which hashes faster than a pair.
fn slot_key(id: u32, slot: &U256) -> FixedBytes<36> {
    let mut key = [0; 36];
    let (slot_part, id_part) = key.split_at_mut(32);
    slot_part.copy_from_slice(slot.as_le_slice());
    id_part.copy_from_slice(&id.to_le_bytes());
    FixedBytes(key)
}

/// An array length as an index. A block's gas bounds it far below `u32::MAX`.
fn index(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(NO_SLOT)
}
