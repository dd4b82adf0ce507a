//! What workers know of the state: the parent's, as far as it was read, and what transactions wrote.

use crate::table::Table;
use alloy_primitives::{
    Address, B256, KECCAK256_EMPTY, U256,
    map::{AddressMap, B256Map},
};
use lockstep_execution::{
    AccountInfo, Bytecode, Speculation, SpeculativeView, StateChanges, StateReader,
};
use parking_lot::{Mutex, RwLock};
use revm::state::Account;
use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    hash::{Hash, Hasher},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// A transaction's turn: its place in the block, counted from one. What comes before the first transaction is
/// written in turn zero.
pub(crate) type Turn = u32;

/// Accounts that tables have room for at first, and slots.
const MIN_ACCOUNTS: usize = 1 << 12;
const MIN_SLOTS: usize = 1 << 13;

/// Tables grow to this many entries each: some 100 MiB for all. A block with more is executed with what has room.
const MAX_ENTRIES: usize = 1 << 18;

/// The values that transactions gave one account or slot, in the order of their turns.
#[derive(Debug)]
struct Versions<T> {
    is_written: AtomicBool,
    list: Mutex<Vec<(Turn, T)>>,
}

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self { is_written: AtomicBool::new(false), list: Mutex::new(Vec::new()) }
    }
}

impl<T: Clone> Versions<T> {
    /// The newest value from before a turn.
    fn before(&self, turn: Turn) -> Option<T> {
        if !self.is_written.load(Ordering::Acquire) {
            return None;
        }
        let list = self.list.lock();
        let later = list.partition_point(|(written, _)| *written < turn);
        list.get(later.checked_sub(1)?).map(|(_, value)| value.clone())
    }

    fn write(&self, turn: Turn, value: T) {
        let mut list = self.list.lock();
        let at = list.partition_point(|(written, _)| *written < turn);
        match list.get_mut(at) {
            Some(known) if known.0 == turn => known.1 = value,
            _ => list.insert(at, (turn, value)),
        }
        self.is_written.store(true, Ordering::Release);
    }

    fn retract(&self, turn: Turn) {
        let mut list = self.list.lock();
        if let Ok(at) = list.binary_search_by_key(&turn, |(written, _)| *written) {
            list.remove(at);
        }
    }

    /// Adds versions that are only believed, if they are in order: where there are others, those stay.
    fn fill(&self, versions: Vec<(Turn, T)>) {
        if versions.is_empty() || !versions.is_sorted_by(|(one, _), (other, _)| one < other) {
            return;
        }
        let mut list = self.list.lock();
        if list.is_empty() {
            *list = versions;
        } else {
            for (turn, value) in versions {
                if let Err(at) = list.binary_search_by_key(&turn, |(written, _)| *written) {
                    list.insert(at, (turn, value));
                }
            }
        }
        self.is_written.store(true, Ordering::Release);
    }

    /// Puts right what is believed of the time before a turn: the parent state's value if `truth` is `None`.
    fn correct(&self, turn: Turn, truth: Option<T>)
    where
        T: PartialEq,
    {
        let mut list = self.list.lock();
        let later = list.partition_point(|(written, _)| *written < turn);
        let newest = later.checked_sub(1).and_then(|newest| list.get(newest));
        if newest.map(|(_, value)| value) == truth.as_ref() {
            return;
        }
        // Nobody executes anything ahead any more whose turn is over.
        let truth = truth.map(|truth| (turn.saturating_sub(1), truth));
        list.splice(..later, truth);
        self.is_written.store(true, Ordering::Release);
    }
}

#[derive(Debug)]
struct AccountCell {
    parent: Option<AccountInfo>,
    has_storage: bool,
    versions: Versions<Option<AccountInfo>>,
}

#[derive(Debug, Default)]
struct SlotCell {
    /// Read when it is needed first.
    parent: OnceLock<U256>,
    versions: Versions<U256>,
}

/// An account's slot, whose hash needs no loop over bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot(Address, U256);

impl Hash for Slot {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self(address, slot) = self;
        let first = address.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        let last = address.last_chunk().map_or(0, |bytes| u128::from_ne_bytes(*bytes));
        hasher.write_u128(last);
        hasher.write_u64(first);
        slot.as_limbs().iter().for_each(|limb| hasher.write_u64(*limb));
    }
}

/// The tables of a [`Memory`], which are kept from one block to the next.
#[derive(Debug)]
pub(crate) struct Tables {
    accounts: Table<Address, AccountCell>,
    slots: Table<Slot, SlotCell>,
    codes: RwLock<B256Map<Bytecode>>,
}

impl Default for Tables {
    fn default() -> Self {
        Self::with_room(0)
    }
}

impl Tables {
    /// Tables that have room for what so many transactions are likely to touch.
    pub(crate) fn with_room(transactions: usize) -> Self {
        let likely = transactions.saturating_mul(2).min(MAX_ENTRIES).next_power_of_two();
        let accounts = Table::new(likely.max(MIN_ACCOUNTS));
        Self { accounts, slots: Table::new(likely.max(MIN_SLOTS)), codes: RwLock::default() }
    }

    pub(crate) fn has_room(&self, transactions: usize) -> bool {
        let entries = self.accounts.capacity().min(self.slots.capacity());
        entries >= MAX_ENTRIES || entries / 2 >= transactions
    }

    /// Tables for so many accounts and slots.
    #[cfg(test)]
    pub(crate) fn with_room_for(accounts: usize, slots: usize) -> Self {
        let (accounts, slots) = (Table::new(accounts), Table::new(slots));
        Self { accounts, slots, codes: RwLock::default() }
    }

    /// Empties the tables, and makes those larger that had no room.
    pub(crate) fn clear(&mut self) {
        renew(&mut self.accounts);
        renew(&mut self.slots);
        self.codes.get_mut().clear();
    }
}

fn renew<K: Copy + Eq + Hash, V>(table: &mut Table<K, V>) {
    let wanted = table.clear();
    if wanted > table.capacity() && table.capacity() < MAX_ENTRIES {
        *table = Table::new(wanted.next_power_of_two().min(MAX_ENTRIES));
    }
}

/// What workers know of the state. Nothing in it decides what a block comes to: what a worker was shown is
/// held against the state itself.
#[derive(Debug)]
pub(crate) struct Memory<'a, S> {
    pub(crate) reader: &'a S,
    tables: &'a Tables,
    /// Whose balances nearly every transaction changes, and which are not worth telling of.
    fee_recipients: &'a [Address],
    /// Hashes of blocks that the reader may not know.
    block_hashes: &'a [(u64, B256)],
    /// Whether workers have hints. They are told of every change then: what is replaces what was said, and what others
    /// wait for is there.
    has_hints: bool,
}

impl<'a, S: StateReader> Memory<'a, S> {
    pub(crate) const fn new(
        reader: &'a S,
        tables: &'a Tables,
        fee_recipients: &'a [Address],
        block_hashes: &'a [(u64, B256)],
    ) -> Self {
        Self { reader, tables, fee_recipients, block_hashes, has_hints: false }
    }

    /// Whether workers have hints.
    pub(crate) const fn with_hints(mut self, has_hints: bool) -> Self {
        self.has_hints = has_hints;
        self
    }

    fn account_cell(&self, address: &Address) -> Result<Option<&'a AccountCell>, S::Error> {
        self.tables.accounts.get_or_try_insert(*address, || {
            let parent = self.reader.account(address)?.map(|info| told(&info));
            let may_have =
                |info: &AccountInfo| info.nonce == 0 && info.code_hash == KECCAK256_EMPTY;
            let has_storage =
                parent.as_ref().is_some_and(may_have) && self.reader.has_storage(address)?;
            Ok(AccountCell { parent, has_storage, versions: Versions::default() })
        })
    }

    fn slot_cell(&self, address: &Address, slot: &U256) -> Option<&'a SlotCell> {
        let made =
            self.tables.slots.get_or_try_insert(Slot(*address, *slot), || Ok(SlotCell::default()));
        made.unwrap_or_else(|never: Infallible| match never {})
    }

    /// The cell of a slot, with what the parent's state has there.
    fn read_slot_cell(
        &self,
        address: &Address,
        slot: &U256,
    ) -> Result<Option<&'a SlotCell>, S::Error> {
        self.tables.slots.get_or_try_insert(Slot(*address, *slot), || {
            let parent = self.reader.storage(address, slot)?.into();
            Ok(SlotCell { parent, ..SlotCell::default() })
        })
    }

    fn parent_slot(
        &self,
        cell: &SlotCell,
        address: &Address,
        slot: &U256,
    ) -> Result<U256, S::Error> {
        if let Some(value) = cell.parent.get() {
            return Ok(*value);
        }
        let value = self.reader.storage(address, slot)?;
        Ok(*cell.parent.get_or_init(|| value))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, S::Error> {
        if let Some(code) = self.tables.codes.read().get(code_hash) {
            return Ok(code.clone());
        }
        let code = self.reader.code(code_hash)?;
        if code.is_empty() {
            // It is not known. Somebody may tell of it.
            return Ok(code);
        }
        Ok(self.tables.codes.write().entry(*code_hash).or_insert(code).clone())
    }

    fn has_storage(&self, address: &Address) -> Result<bool, S::Error> {
        match self.tables.accounts.get(address) {
            Some(cell) => Ok(cell.has_storage),
            None => self.reader.has_storage(address),
        }
    }

    /// Tells of what was changed outside transactions that are executed ahead.
    pub(crate) fn tell_changes(&self, turn: Turn, changes: &StateChanges) {
        for account in changes.accounts() {
            let address = account.address();
            if let Ok(Some(cell)) = self.account_cell(&address) {
                cell.versions.write(turn, account.after().map(told));
            }
            for slot in changes.slots(account) {
                self.tell_slot(&address, slot.slot, turn, slot.after);
            }
        }
        for (hash, code) in changes.codes() {
            self.tell_code(*hash, code.clone());
        }
    }

    /// Tells of what a transaction changed: all slots, and accounts that a worker has read.
    pub(crate) fn tell(&self, turn: Turn, sender: &Address, state: &AddressMap<Account>) {
        for (address, account) in changed(state) {
            for (slot, value) in account.changed_storage_slots() {
                self.tell_slot(address, *slot, turn, value.present_value);
            }
            if !self.is_worth_telling(sender, address, account) {
                continue;
            }
            if account.is_selfdestructed() || account.is_empty() {
                self.tell_account(address, turn, None);
                continue;
            }
            if account.info.code_hash != account.original_info.code_hash
                && let Some(code) = &account.info.code
            {
                self.tell_code(account.info.code_hash, code.clone());
            }
            self.tell_account(address, turn, Some(&account.info));
        }
    }

    /// Whether an account seems to have no code at a turn. Reads it from the parent's state, unless it was read before.
    pub(crate) fn has_no_code(&self, address: &Address, turn: Turn) -> bool {
        let Ok(Some(cell)) = self.account_cell(address) else { return false };
        let info = cell.versions.before(turn).unwrap_or_else(|| cell.parent.clone());
        info.is_none_or(|info| info.code_hash == KECCAK256_EMPTY && !cell.has_storage)
    }

    /// Takes back what was told of a transaction that was executed on another state than that of its turn.
    pub(crate) fn retract<H>(&self, turn: Turn, outcome: &Speculation<H>) {
        for address in outcome.changed_accounts() {
            if let Some(cell) = self.tables.accounts.get(&address) {
                cell.versions.retract(turn);
            }
        }
        for (address, slot) in outcome.changed_slots() {
            if let Some(cell) = self.tables.slots.get(&Slot(address, slot)) {
                cell.versions.retract(turn);
            }
        }
    }

    /// Puts right what a transaction was shown whose turn has come: what hints said, and what nobody told of, since nobody
    /// had asked or since it seemed not to matter.
    pub(crate) fn correct<H>(
        &self,
        turn: Turn,
        outcome: &Speculation<H>,
        account_now: impl Fn(&Address) -> Option<Option<AccountInfo>>,
        slot_now: impl Fn(&Address, &U256) -> Option<U256>,
    ) {
        for address in outcome.seen_accounts() {
            let now = account_now(&address);
            if let Some(cell) = self.tables.accounts.get(&address)
                && self.is_known(now.as_ref())
            {
                cell.versions.correct(turn, now.map(|info| info.as_ref().map(told)));
            }
        }
        for (address, slot) in outcome.seen_slots() {
            let now = slot_now(&address, &slot);
            if let Some(cell) = self.tables.slots.get(&Slot(address, slot))
                && self.is_known(now.as_ref())
            {
                cell.versions.correct(turn, now);
            }
        }
    }

    /// Whether there is something to put right. What the block has not touched is the parent's value, whatever hints say;
    /// without hints it may be what blocks of the same range wrote before, and they have told of it.
    fn is_known<T>(&self, now: Option<&T>) -> bool {
        self.has_hints || now.is_some()
    }

    /// An account as the parent's state has it, or as it would be if it existed; `None` if that cannot be kept.
    pub(crate) fn parent_account(&self, address: &Address) -> Option<AccountInfo> {
        let cell = self.account_cell(address).ok()??;
        Some(cell.parent.clone().unwrap_or_default())
    }

    /// What is believed of an account, unless something is known.
    pub(crate) fn fill_account(
        &self,
        address: &Address,
        versions: Vec<(Turn, Option<AccountInfo>)>,
    ) {
        if let Some(cell) = self.tables.accounts.get(address) {
            cell.versions.fill(versions);
        }
    }

    /// What is believed of a slot, unless something is known.
    pub(crate) fn fill_slot(&self, address: &Address, slot: U256, versions: Vec<(Turn, U256)>) {
        if let Some(cell) = self.slot_cell(address, &slot) {
            cell.versions.fill(versions);
        }
    }

    /// Tells of code.
    pub(crate) fn tell_code(&self, code_hash: B256, code: Bytecode) {
        self.tables.codes.write().insert(code_hash, code);
    }

    /// The sender's next transaction knows its nonce, and needs no exact balance; nor do fee recipients'.
    /// Neither does it matter to an account without code that it was paid.
    fn is_worth_telling(&self, sender: &Address, address: &Address, account: &Account) -> bool {
        let (before, after) = (&account.original_info, &account.info);
        let is_new_kind = before.code_hash != after.code_hash
            || account.is_selfdestructed()
            || before.is_empty() != after.is_empty();
        if is_new_kind {
            return true;
        }
        if self.has_hints {
            return **before != *after;
        }
        if address == sender {
            return false;
        }
        before.nonce != after.nonce
            || (before.balance != after.balance
                && !after.is_empty_code_hash()
                && !self.fee_recipients.contains(address))
    }

    fn tell_account(&self, address: &Address, turn: Turn, info: Option<&AccountInfo>) {
        let cell = match self.has_hints {
            // Others may wait to read it.
            true => self.account_cell(address).ok().flatten(),
            false => self.tables.accounts.get(address),
        };
        if let Some(cell) = cell {
            cell.versions.write(turn, info.map(told));
        }
    }

    fn tell_slot(&self, address: &Address, slot: U256, turn: Turn, value: U256) {
        if let Some(cell) = self.slot_cell(address, &slot) {
            cell.versions.write(turn, value);
        }
    }
}

pub(crate) fn told(info: &AccountInfo) -> AccountInfo {
    AccountInfo { code: None, account_id: None, ..info.clone() }
}

fn changed(state: &AddressMap<Account>) -> impl Iterator<Item = (&Address, &Account)> {
    state.iter().filter(|(_, account)| account.is_touched())
}

/// What is known of the state at a transaction's turn.
#[derive(Debug)]
pub(crate) struct View<'m, 'a, S> {
    memory: &'m Memory<'a, S>,
    /// A worker's own copies, with reference counts of their own.
    codes: RefCell<B256Map<Bytecode>>,
    was_parents: Cell<bool>,
    /// Whether what the reader says is the parent's.
    trusts_parents: bool,
    pub(crate) turn: Turn,
}

impl<'m, 'a, S> View<'m, 'a, S> {
    pub(crate) fn new(memory: &'m Memory<'a, S>, trusts_parents: bool) -> Self {
        let (codes, was_parents) = (RefCell::default(), Cell::new(false));
        Self { memory, codes, was_parents, trusts_parents, turn: 0 }
    }
}

/// The same code with a reference count of its own.
fn copied(code: &Bytecode) -> Bytecode {
    match code.legacy_jump_table() {
        Some(jumps) => Bytecode::new_analyzed(code.bytes_ref().clone(), code.len(), jumps.clone()),
        None => code.clone(),
    }
}

impl<S: StateReader> StateReader for View<'_, '_, S> {
    type Error = S::Error;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, S::Error> {
        let Some(cell) = self.memory.account_cell(address)? else {
            self.was_parents.set(true);
            return self.memory.reader.account(address);
        };
        let written = cell.versions.before(self.turn);
        self.was_parents.set(written.is_none());
        Ok(written.unwrap_or_else(|| cell.parent.clone()))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, S::Error> {
        let Some(cell) = self.memory.read_slot_cell(address, slot)? else {
            self.was_parents.set(true);
            return self.memory.reader.storage(address, slot);
        };
        let written = cell.versions.before(self.turn);
        self.was_parents.set(written.is_none());
        match written {
            Some(value) => Ok(value),
            None => self.memory.parent_slot(cell, address, slot),
        }
    }

    fn has_storage(&self, address: &Address) -> Result<bool, S::Error> {
        self.memory.has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, S::Error> {
        if let Some(code) = self.codes.borrow().get(code_hash) {
            return Ok(code.clone());
        }
        let code = copied(&self.memory.code(code_hash)?);
        if !code.is_empty() {
            self.codes.borrow_mut().insert(*code_hash, code.clone());
        }
        Ok(code)
    }

    fn block_hash(&self, number: u64) -> Result<B256, S::Error> {
        match self.memory.block_hashes.iter().find(|(known, _)| *known == number) {
            Some((_, hash)) => Ok(*hash),
            None => self.memory.reader.block_hash(number),
        }
    }
}

impl<S: StateReader> SpeculativeView for View<'_, '_, S> {
    fn was_parents(&self) -> bool {
        self.trusts_parents && self.was_parents.get()
    }
}
