//! Writing down what transactions read and wrote.
//!
//! Whoever changes the [`crate::BlockState`] notes what was there before. After each transaction this is held against
//! what is there then, so it does not matter how a change came about: in the EVM, taken over, or as a payment without it.

use crate::{
    BlockHints, BlockState, Dependencies, Needs, StateChanges, StateReader,
    changes::{AccountChange, EMPTY_CODE_WITH_STORAGE, NO_SLOT},
};
use alloc::{boxed::Box, vec, vec::Vec};
use alloy_eips::eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, BlockAccessList, CodeChange, NonceChange,
    SlotChanges, StorageChange,
};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, map::B256Map};
use revm::{
    bytecode::Bytecode,
    handler::SYSTEM_ADDRESS,
    state::{AccountInfo, EvmState},
};

/// What an access list says of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Basics {
    exists: bool,
    balance: U256,
    nonce: u64,
    code_hash: B256,
}

impl Basics {
    fn of(info: Option<&AccountInfo>) -> Self {
        let exists = info.is_some();
        let Some(AccountInfo { balance, nonce, code_hash, .. }) = info else {
            return Self { exists, balance: U256::ZERO, nonce: 0, code_hash: KECCAK256_EMPTY };
        };
        let code_hash =
            if *code_hash == EMPTY_CODE_WITH_STORAGE { KECCAK256_EMPTY } else { *code_hash };
        Self { exists, balance: *balance, nonce: *nonce, code_hash }
    }
}

/// A value that something has from a step on.
#[derive(Clone, Copy, Debug)]
struct Change<T> {
    /// The index of the account or slot.
    id: u32,
    step: u32,
    value: T,
}

/// What a transaction read, by indices.
#[derive(Debug, Default)]
struct Reads {
    sender: Option<u32>,
    accounts: Vec<u32>,
    slots: Vec<u32>,
    /// Accounts whose balances had a say.
    balances: Vec<u32>,
}

/// The newest steps in which something about an account changed; zero if it did not since the first transaction.
#[derive(Clone, Copy, Debug, Default)]
struct Newest {
    /// Whether it exists, or has ether.
    existence: u32,
    code: u32,
    nonce: u32,
}

/// The places of transactions that one needs.
#[derive(Clone, Debug, Default)]
struct Needed {
    places: Vec<u32>,
    /// What the EVM needs besides to execute a payment, which happens only if others need what that changes.
    by_evm: Vec<u32>,
}

/// What a block's transactions read and wrote so far.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// What is recorded now: before the transactions (0), one of them, or after them (EIP-7928: block access index).
    step: u32,
    /// What was changed in this step, with what was there before; the first entry of each counts.
    touched_accounts: Vec<(u32, Basics)>,
    touched_slots: Vec<(u32, U256)>,
    reads: Reads,
    /// The slots that the EVM has asked for in this step.
    asked: Vec<u32>,
    /// As the EVM tells them.
    observed: Vec<Address>,
    balances: Vec<Change<U256>>,
    nonces: Vec<Change<u64>>,
    codes: Vec<Change<B256>>,
    slots: Vec<Change<U256>>,
    /// By index.
    newest: Vec<Newest>,
    newest_slots: Vec<u32>,
    /// What each transaction needs.
    needs: Vec<Needed>,
    /// Accounts, and the steps in which their balances had a say.
    observers: Vec<(u32, u32)>,
    /// Whether a transaction read the account that makes system calls.
    reads_system_address: bool,
}

impl Recorder {
    /// An account is about to change.
    pub(crate) fn touch_account(&mut self, id: u32, before: Option<&AccountInfo>) {
        self.touched_accounts.push((id, Basics::of(before)));
    }

    /// A slot is about to change.
    pub(crate) fn touch_slot(&mut self, slot_id: u32, before: U256) {
        self.touched_slots.push((slot_id, before));
    }

    /// The transaction has read an account.
    pub(crate) fn read_account(&mut self, id: u32) {
        self.reads.accounts.push(id);
    }

    /// The transaction has read a slot.
    pub(crate) fn read_slot(&mut self, slot_id: u32) {
        self.reads.slots.push(slot_id);
    }

    /// The EVM has asked for a slot.
    pub(crate) fn ask_slot(&mut self, slot_id: u32) {
        self.asked.push(slot_id);
    }

    /// Whose transaction it is. What nonce that account has follows from the transaction.
    pub(crate) const fn set_sender(&mut self, id: Option<u32>) {
        self.reads.sender = id;
    }

    /// The balance of an account has a say in what the transaction does.
    pub(crate) fn observe_balance(&mut self, address: Address) {
        if self.observed.last() != Some(&address) {
            self.observed.push(address);
        }
    }

    /// Gives every balance that had a say to `find`, for its account's index.
    pub(crate) fn read_balances(&mut self, find: impl Fn(&Address) -> Option<u32>) {
        self.reads.balances.extend(self.observed.drain(..).filter_map(|address| find(&address)));
    }

    /// Forgets what a transaction read that came to nothing.
    pub(crate) fn forget_reads(&mut self) {
        let Self { reads: Reads { sender, accounts, slots, balances }, asked, observed, .. } = self;
        asked.clear();
        *sender = None;
        accounts.clear();
        slots.clear();
        balances.clear();
        observed.clear();
    }

    /// Ends a transaction. One that does nothing but pay needs to know whose code there is, no more.
    pub(crate) fn end_transaction(&mut self, changes: &StateChanges, is_payment: bool) {
        let Self { step, reads, newest, newest_slots, observers, .. } = self;
        let (mut codes, mut others) = (Vec::new(), Vec::new());
        for id in &reads.accounts {
            let account = changes.accounts.get(*id as usize);
            self.reads_system_address |=
                account.is_some_and(|account| account.address == SYSTEM_ADDRESS);
            let newest = newest.get(*id as usize).copied().unwrap_or_default();
            codes.push(newest.code);
            others.push(newest.existence);
            if reads.sender != Some(*id) {
                others.push(newest.nonce);
            }
        }
        let newest = |slot_id: &u32| newest_slots.get(*slot_id as usize).copied();
        others.extend(reads.slots.iter().filter_map(newest));
        observers.extend(reads.balances.iter().map(|id| (*id, *step)));
        // From steps to places: what is not needed is zero.
        let places = |steps: Vec<u32>| steps.into_iter().filter_map(|step| step.checked_sub(1));
        let mut needed = Needed { places: places(codes).collect(), ..Needed::default() };
        let others = places(others);
        if is_payment {
            needed.by_evm.extend(others)
        } else {
            needed.places.extend(others)
        }
        self.needs.push(needed);
        self.forget_reads();
        self.end_step(changes);
    }

    /// Ends what precedes or follows the transactions.
    pub(crate) fn end_step(&mut self, changes: &StateChanges) {
        self.asked.clear();
        self.note_accounts(changes);
        self.note_slots(changes);
        self.step = self.step.saturating_add(1);
    }

    /// Passes over a transaction that has no part in what was changed: the next one has.
    pub(crate) fn skip_transaction(&mut self) {
        self.needs.push(Needed::default());
        self.step = self.step.saturating_add(1);
    }

    fn note_accounts(&mut self, changes: &StateChanges) {
        let Self { step, touched_accounts, newest, balances, nonces, codes, .. } = self;
        let step = *step;
        touched_accounts.sort_by_key(|(id, _)| *id);
        touched_accounts.dedup_by_key(|(id, _)| *id);
        newest.resize(changes.accounts.len(), Newest::default());
        for (id, before) in touched_accounts.drain(..) {
            let account = changes.accounts.get(id as usize);
            let after = Basics::of(account.and_then(AccountChange::after));
            let Some(newest) = newest.get_mut(id as usize) else { continue };
            if before.balance != after.balance {
                balances.push(Change { id, step, value: after.balance });
            }
            if before.nonce != after.nonce {
                nonces.push(Change { id, step, value: after.nonce });
                newest.nonce = step;
            }
            if before.code_hash != after.code_hash {
                codes.push(Change { id, step, value: after.code_hash });
                newest.code = step;
            }
            let is_other = before.exists != after.exists
                || before.balance.is_zero() != after.balance.is_zero();
            if is_other {
                newest.existence = step;
            }
        }
    }

    fn note_slots(&mut self, changes: &StateChanges) {
        let Self { step, touched_slots, newest_slots, slots, .. } = self;
        touched_slots.sort_by_key(|(id, _)| *id);
        touched_slots.dedup_by_key(|(id, _)| *id);
        newest_slots.resize(changes.slots.len(), 0);
        for (id, before) in touched_slots.drain(..) {
            let slot = changes.slots.get(id as usize);
            let after = slot.map_or(before, |slot| slot.change.after);
            if let Some(newest) = newest_slots.get_mut(id as usize).filter(|_| before != after) {
                slots.push(Change { id, step: *step, value: after });
                *newest = *step;
            }
        }
    }

    /// All that was recorded, at the end of the block.
    pub(crate) fn finish(
        mut self,
        changes: &StateChanges,
        known: &B256Map<Bytecode>,
    ) -> BlockHints {
        // What is of one account or slot stays in the order of its steps.
        self.balances.sort_by_key(|change| change.id);
        self.nonces.sort_by_key(|change| change.id);
        self.codes.sort_by_key(|change| change.id);
        self.slots.sort_by_key(|change| change.id);
        let access_list = self.access_list(changes, known);
        BlockHints { access_list, dependencies: self.dependencies() }
    }

    fn access_list(&self, changes: &StateChanges, known: &B256Map<Bytecode>) -> BlockAccessList {
        let at = |step: u32| BlockAccessIndex::new(step.into());
        let code = |hash: B256| match hash {
            KECCAK256_EMPTY => Some(Bytes::new()),
            hash => known.get(&hash).map(Bytecode::original_bytes),
        };
        let mut list = Vec::with_capacity(changes.accounts.len());
        for (id, account) in (0..).zip(&changes.accounts) {
            let mut entry = AccountChanges::new(account.address);
            let balances = of(&self.balances, id).iter();
            let balances = balances.map(|change| BalanceChange::new(at(change.step), change.value));
            entry.balance_changes.extend(balances);
            let nonces = of(&self.nonces, id).iter();
            let nonces = nonces.map(|change| NonceChange::new(at(change.step), change.value));
            entry.nonce_changes.extend(nonces);
            let codes = of(&self.codes, id).iter();
            let codes = codes
                .filter_map(|change| Some(CodeChange::new(at(change.step), code(change.value)?)));
            entry.code_changes.extend(codes);
            let mut slot_id = account.first_slot;
            while let Some(slot) = changes.slots.get(slot_id as usize) {
                let writes = of(&self.slots, slot_id).iter();
                let writes = writes.map(|write| StorageChange::new(at(write.step), write.value));
                let writes: Vec<_> = writes.collect();
                if writes.is_empty() {
                    entry.storage_reads.push(slot.change.slot);
                } else {
                    entry.storage_changes.push(SlotChanges::new(slot.change.slot, writes));
                }
                slot_id = slot.next;
            }
            debug_assert_eq!(slot_id, NO_SLOT, "a chain ends");
            entry.storage_reads.sort_unstable();
            entry.storage_changes.sort_unstable_by_key(|changes| changes.slot);
            // Who makes system calls is read for them by nobody (EIP-7928).
            let is_read = account.address != SYSTEM_ADDRESS || self.reads_system_address;
            if is_read || !entry.is_empty() {
                list.push(entry);
            }
        }
        list.sort_unstable_by_key(|entry| entry.address);
        list
    }

    /// The steps of transactions, and of what comes after them, that changed an account.
    fn changers(&self, id: u32) -> Vec<u32> {
        let balances = of(&self.balances, id).iter().map(|change| change.step);
        let nonces = of(&self.nonces, id).iter().map(|change| change.step);
        let codes = of(&self.codes, id).iter().map(|change| change.step);
        let mut steps: Vec<u32> = balances.chain(nonces).chain(codes).collect();
        // What comes before the transactions is known to all.
        steps.retain(|step| *step > 0);
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// Who asks for a balance needs all transactions that changed the account before, and each of these the one before
    /// it: otherwise they do not know what the balance comes to.
    fn dependencies(mut self) -> Dependencies {
        let mut waiting = vec![false; self.needs.len()];
        self.observers.sort_unstable();
        for asked in self.observers.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((id, _)) = asked.first() else { continue };
            let changers = self.changers(*id);
            let mut chained = 0;
            for (_, step) in asked {
                let before = changers.partition_point(|changer| changer < step);
                let place = (*step as usize).saturating_sub(1);
                if before * 2 > place {
                    waiting.get_mut(place).into_iter().for_each(|waits| *waits = true);
                } else if let Some(newest) = before.checked_sub(1) {
                    chained = before;
                    need(&mut self.needs, *step, changers.get(newest));
                }
            }
            let chain = changers.get(..chained).unwrap_or_default();
            for (older, newer) in chain.iter().zip(chain.iter().skip(1)) {
                need(&mut self.needs, *newer, Some(older));
            }
        }
        let mut is_needed = vec![false; self.needs.len()];
        let mut transactions = vec![Needs::AllBefore; self.needs.len()];
        let places = self.needs.into_iter().zip(waiting).zip(&mut transactions).enumerate();
        // Who needs a transaction comes after it.
        for (place, ((needed, waits), needs)) in places.rev() {
            if waits {
                continue;
            }
            let Needed { mut places, by_evm } = needed;
            if is_needed.get(place).is_some_and(|is_needed| *is_needed) {
                places.extend(by_evm);
            }
            places.sort_unstable();
            places.dedup();
            for place in &places {
                is_needed.get_mut(*place as usize).into_iter().for_each(|needed| *needed = true);
            }
            *needs = Needs::These(places);
        }
        Dependencies { transactions }
    }
}

/// The changes of one account or slot, of those that are sorted by index.
fn of<T>(changes: &[Change<T>], id: u32) -> &[Change<T>] {
    let first = changes.partition_point(|change| change.id < id);
    let rest = changes.get(first..).unwrap_or_default();
    rest.get(..rest.partition_point(|change| change.id == id)).unwrap_or_default()
}

/// The transaction of a step needs that of another.
fn need(needs: &mut [Needed], step: u32, needed: Option<&u32>) {
    let place = step.checked_sub(1).and_then(|place| needs.get_mut(place as usize));
    if let (Some(needs), Some(needed)) = (place, needed) {
        needs.places.extend(needed.checked_sub(1));
    }
}

impl<S: StateReader> BlockState<S> {
    /// Writes down from now on what transactions read and write.
    pub(crate) fn record(&mut self) {
        self.recorder = Some(Box::default());
    }

    /// Notes what a transaction of this sender has read, before its changes are permanent.
    pub(crate) fn record_reads(&mut self, sender: &Address, state: &EvmState) {
        let Some(mut recorder) = self.recorder.take() else { return };
        recorder.asked.sort_unstable();
        for (address, account) in state {
            let Some(id) = self.account_ids.get(address).copied() else { continue };
            recorder.read_account(id);
            for slot in account.storage.keys() {
                // The EVM knows that slots of a new account are empty, and asks for none; also if the account then
                // does not come to be.
                if let Some((slot_id, _)) = self.known_slot(id, slot)
                    && recorder.asked.binary_search(&slot_id).is_ok()
                {
                    recorder.read_slot(slot_id);
                }
            }
        }
        recorder.set_sender(self.account_ids.get(sender).copied());
        recorder.read_balances(|address| self.account_ids.get(address).copied());
        self.recorder = Some(recorder);
    }

    /// Ends a transaction that calls `to`, and whose changes are permanent.
    pub(crate) fn end_transaction(&mut self, to: Option<Address>, used_gas_of_payment: bool) {
        let Some(recorder) = &mut self.recorder else { return };
        let recipient = to.and_then(|to| {
            let id = self.account_ids.get(&to)?;
            self.changes.accounts.get(*id as usize)
        });
        let is_payment = used_gas_of_payment
            && recipient.is_some_and(|account| {
                account.after().is_none_or(|info| info.code_hash == KECCAK256_EMPTY)
            });
        recorder.end_transaction(&self.changes, is_payment);
    }

    /// Ends what precedes or follows the transactions.
    pub(crate) fn end_step(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.end_step(&self.changes);
        }
    }

    /// Forgets what a transaction read that is refused.
    pub(crate) fn forget_reads(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.forget_reads();
        }
    }

    /// What was recorded, if it was asked for.
    pub(crate) fn take_hints(&mut self) -> Option<BlockHints> {
        Some(self.recorder.take()?.finish(&self.changes, &self.codes))
    }
}
