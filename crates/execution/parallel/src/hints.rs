//! What is known of a block before it is executed. Nothing of it is relied on.

use crate::memory::{Memory, Turn};
use alloy_eips::eip7928::AccountChanges;
use alloy_primitives::{KECCAK256_EMPTY, keccak256};
use lockstep_execution::{Bytecode, Dependencies, Needs, StateReader};
use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// What a list may say of a block: this much gas pays for an access or a change, and there are so many at any rate; but
/// of no block is more looked at than [`MAX_ITEMS`]: some 200 MiB.
const ITEM_GAS: u64 = 1_000;
const MIN_ITEMS: u64 = 10_000;
const MAX_ITEMS: u64 = 1 << 20;

/// Code counts as an item for so many bytes. There is none longer than this.
const CODE_ITEM_BYTES: usize = 64;
const MAX_CODE_BYTES: usize = 1 << 16;

/// What needs more transactions than this waits for its turn.
const MAX_NEEDS: usize = 256;

/// Accounts of a list that a worker enters at once.
const ENTERED: usize = 32;

/// What an access list says, as far as a block may come to that, for workers to enter into their memory together.
#[derive(Debug)]
pub(crate) struct Entries<'h> {
    accounts: &'h [AccountChanges],
    slots: usize,
    /// Of the transactions that may be executed ahead.
    turns: RangeInclusive<Turn>,
    /// Accounts that were taken, and of those that were entered.
    taken: AtomicUsize,
    entered: AtomicUsize,
}

impl Default for Entries<'_> {
    fn default() -> Self {
        Self::new(&[], 0, 0..=0)
    }
}

impl<'h> Entries<'h> {
    /// `gas_limit` is the block's; `turns` are those of the transactions that may be executed ahead.
    pub(crate) fn new(
        list: &'h [AccountChanges],
        gas_limit: u64,
        turns: RangeInclusive<usize>,
    ) -> Self {
        let mut room = (gas_limit / ITEM_GAS).saturating_add(MIN_ITEMS).min(MAX_ITEMS) as usize;
        let (mut accounts, mut slots) = (0, 0_usize);
        for account in list {
            let Some(items) = items(account, room) else { break };
            room = room.saturating_sub(items);
            accounts += 1;
            slots += account.storage_changes.len() + account.storage_reads.len();
        }
        let turn = |turn: &usize| Turn::try_from(*turn).unwrap_or(Turn::MAX);
        Self {
            accounts: list.get(..accounts).unwrap_or_default(),
            slots,
            turns: turn(turns.start())..=turn(turns.end()),
            taken: AtomicUsize::new(0),
            entered: AtomicUsize::new(0),
        }
    }

    /// How many transactions are likely to touch as much.
    pub(crate) fn room(&self) -> usize {
        self.accounts.len().max(self.slots).div_ceil(2)
    }

    /// Enters accounts until all are, by whomever, or the block is over.
    pub(crate) fn enter<S: StateReader>(&self, memory: &Memory<'_, S>, is_over: impl Fn() -> bool) {
        loop {
            let first = self.taken.fetch_add(ENTERED, Ordering::Relaxed);
            let Some(rest) = self.accounts.get(first..).filter(|rest| !rest.is_empty()) else {
                break;
            };
            let accounts = rest.get(..ENTERED).unwrap_or(rest);
            accounts.iter().for_each(|account| memory.expect(account, &self.turns));
            self.entered.fetch_add(accounts.len(), Ordering::Release);
        }
        while self.entered.load(Ordering::Acquire) < self.accounts.len() && !is_over() {
            thread::yield_now();
        }
    }
}

/// How much there is to be looked at; `None` if it is more than there is `room` for.
fn items(account: &AccountChanges, room: usize) -> Option<usize> {
    let AccountChanges { balance_changes, nonce_changes, code_changes, .. } = account;
    let infos = balance_changes.len() + nonce_changes.len() + code_changes.len();
    let mut items = 1 + infos + account.storage_reads.len();
    let codes = code_changes.iter().map(|change| change.new_code.len() / CODE_ITEM_BYTES);
    let slots = account.storage_changes.iter().map(|slot| 1 + slot.changes.len());
    for more in codes.chain(slots) {
        if items > room {
            return None;
        }
        items = items.saturating_add(more);
    }
    (items <= room).then_some(items)
}

impl<S: StateReader> Memory<'_, S> {
    /// Believes what an access list says of an account at these turns, unless something is known of it already. What
    /// is out of order there is passed over.
    pub(crate) fn expect(&self, account: &AccountChanges, turns: &RangeInclusive<Turn>) {
        self.expect_account(account, turns);
        for slot in &account.storage_changes {
            let changes = slot.changes.iter();
            let versions = changes.filter_map(|change| {
                Some((turn(change.block_access_index.get(), turns)?, change.new_value))
            });
            self.fill_slot(&account.address, slot.slot, versions.collect());
        }
    }

    fn expect_account(&self, account: &AccountChanges, turns: &RangeInclusive<Turn>) {
        let AccountChanges { balance_changes, nonce_changes, code_changes, .. } = account;
        let balances = balance_changes.iter().map(|change| change.block_access_index.get());
        let nonces = nonce_changes.iter().map(|change| change.block_access_index.get());
        let codes = code_changes.iter().map(|change| change.block_access_index.get());
        let mut changed: Vec<u64> = balances.chain(nonces).chain(codes).collect();
        if changed.is_empty() {
            return;
        }
        changed.sort_unstable();
        changed.dedup();
        let Some(mut info) = self.parent_account(&account.address) else { return };
        let mut balances = balance_changes.iter().peekable();
        let mut nonces = nonce_changes.iter().peekable();
        let mut codes = code_changes.iter().peekable();
        let mut versions = Vec::with_capacity(changed.len());
        for index in changed {
            while let Some(change) =
                balances.next_if(|change| change.block_access_index.get() <= index)
            {
                info.balance = change.post_balance;
            }
            while let Some(change) =
                nonces.next_if(|change| change.block_access_index.get() <= index)
            {
                info.nonce = change.new_nonce;
            }
            while let Some(change) =
                codes.next_if(|change| change.block_access_index.get() <= index)
            {
                info.code_hash = KECCAK256_EMPTY;
                if !change.new_code.is_empty() && change.new_code.len() <= MAX_CODE_BYTES {
                    let raw = change.new_code.clone();
                    let code = Bytecode::new_legacy(raw);
                    info.code_hash = keccak256(&change.new_code);
                    self.tell_code(info.code_hash, code);
                }
            }
            if let Some(turn) = turn(index, turns) {
                versions.push((turn, (!info.is_empty()).then(|| info.clone())));
            }
        }
        self.fill_account(&account.address, versions);
    }
}

/// The turn of a block access index, if it is one of these.
fn turn(index: u64, turns: &RangeInclusive<Turn>) -> Option<Turn> {
    Turn::try_from(index).ok().filter(|turn| turns.contains(turn))
}

/// Which transactions are to be executed ahead before others.
#[derive(Debug)]
pub(crate) struct Order<'h> {
    dependencies: &'h Dependencies,
    /// By place: whether another transaction needs it.
    is_needed: Vec<bool>,
}

/// What a transaction waits for before it is executed ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait<'h> {
    /// These transactions, if they come before it.
    For(&'h [u32]),
    /// Its turn.
    ForItsTurn,
}

impl<'h> Order<'h> {
    /// The order of so many transactions.
    pub(crate) fn new(dependencies: &'h Dependencies, transactions: usize) -> Self {
        let mut is_needed = vec![false; transactions];
        let order = Self { dependencies, is_needed: Vec::new() };
        for index in 0..transactions {
            let Wait::For(places) = order.wait(index) else { continue };
            for place in places {
                if let Some(is_needed) = is_needed.get_mut(*place as usize) {
                    *is_needed = true;
                }
            }
        }
        Self { dependencies, is_needed }
    }

    pub(crate) fn wait(&self, index: usize) -> Wait<'h> {
        match self.dependencies.transactions.get(index) {
            Some(Needs::AllBefore) => Wait::ForItsTurn,
            Some(Needs::These(places)) if places.len() > MAX_NEEDS => Wait::ForItsTurn,
            Some(Needs::These(places)) => Wait::For(places),
            None => Wait::For(&[]),
        }
    }

    /// Whether others have to be told what the transaction changes.
    pub(crate) fn is_needed(&self, index: usize) -> bool {
        self.is_needed.get(index).is_some_and(|is_needed| *is_needed)
    }
}
