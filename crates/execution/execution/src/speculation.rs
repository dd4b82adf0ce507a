//! What a transaction came to before its turn, in a flat form.
//!
//! Another thread takes it over. So it lies in few arrays, which are read from front to back, and the maps of
//! the EVM stay with the thread that filled them.

use crate::{Transfer, state::NO_INFO};
use alloc::vec::Vec;
use alloy_primitives::{
    Address, B256, KECCAK256_EMPTY, U256,
    map::{AddressMap, HashMap},
};
use revm::{
    bytecode::Bytecode,
    context_interface::result::ExecutionResult,
    state::{Account, AccountInfo},
};

/// A place that there is not.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Lists up to this length are searched from front to back.
pub(crate) const SHORT: usize = 24;

/// An account as a transaction was shown it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenAccount {
    pub(crate) address: Address,
    pub(crate) exists: bool,
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) code_hash: B256,
    /// Its place among those that were changed, or [`NOWHERE`].
    pub(crate) change: u32,
    /// Whether it is as the parent's state has it.
    pub(crate) is_parents: bool,
}

impl SeenAccount {
    pub(crate) fn new(address: Address, info: Option<&AccountInfo>, is_parents: bool) -> Self {
        let AccountInfo { nonce, balance, code_hash, .. } = info.unwrap_or(&NO_INFO);
        let (nonce, balance, code_hash, exists) = (*nonce, *balance, *code_hash, info.is_some());
        Self { address, exists, nonce, balance, code_hash, change: NOWHERE, is_parents }
    }

    /// The account.
    pub(crate) fn info(&self) -> Option<AccountInfo> {
        let Self { exists, nonce, balance, code_hash, .. } = *self;
        exists.then_some(AccountInfo { nonce, balance, code_hash, account_id: None, code: None })
    }
}

/// A slot as a transaction was shown it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeenSlot {
    /// The place of its account among those that were shown.
    pub(crate) account: u32,
    pub(crate) slot: U256,
    pub(crate) value: U256,
    /// Whether it is the value of the parent's state.
    pub(crate) is_parents: bool,
}

/// All that a transaction was shown of the state, in the order in which it asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) accounts: Vec<SeenAccount>,
    pub(crate) slots: Vec<SeenSlot>,
    pub(crate) codes: Vec<B256>,
    pub(crate) block_hashes: Vec<(u64, B256)>,
    /// Accounts whose balances had a say in what code did: it read them, or they were too low.
    pub(crate) observed_balances: Vec<Address>,
    /// Accounts that code paid with, and what they had left at the least, in wei.
    pub(crate) payers: Vec<(Address, U256)>,
}

impl Seen {
    pub(crate) fn clear(&mut self) {
        let Self { accounts, slots, codes, block_hashes, observed_balances, payers } = self;
        payers.clear();
        accounts.clear();
        slots.clear();
        codes.clear();
        block_hashes.clear();
        observed_balances.clear();
    }

    /// By how much the balance of an account may be lower; `None` if it paid nothing.
    pub(crate) fn left(&self, address: &Address) -> Option<U256> {
        self.payers.iter().find(|(payer, _)| payer == address).map(|(_, left)| *left)
    }

    /// Whether the balance of an account had a say. Only once the transaction is over.
    pub(crate) fn is_observed(&self, address: &Address) -> bool {
        self.observed_balances.binary_search(address).is_ok()
    }
}

/// What became of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has other values.
    Written,
    /// It was created, and had no storage before.
    Created,
    /// It destroyed itself.
    Destroyed,
}

/// An account that a transaction changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChangedAccount {
    /// Its place among those that were shown.
    pub(crate) account: u32,
    pub(crate) fate: Fate,
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) code_hash: B256,
    /// How many of the changed slots are its own; those of one account follow those of another.
    pub(crate) slots: u32,
}

/// A slot that a transaction changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChangedSlot {
    /// Its place among those that were shown, or [`NOWHERE`] if that is not known.
    pub(crate) seen: u32,
    pub(crate) slot: U256,
    pub(crate) value: U256,
}

/// What a transaction came to that was executed before its turn.
#[derive(Debug)]
pub struct Speculation<H> {
    pub(crate) seen: Seen,
    pub(crate) accounts: Vec<ChangedAccount>,
    pub(crate) slots: Vec<ChangedSlot>,
    /// Codes that were deployed.
    pub(crate) codes: Vec<(B256, Bytecode)>,
    pub(crate) result: Option<ExecutionResult<H>>,
    /// What the sender must have at least for the transaction to be valid, in wei, if that is known.
    pub(crate) needed_balance: Option<U256>,
    /// The transaction, if it does nothing but pay. Nothing was executed then.
    pub(crate) transfer: Option<Transfer>,
}

impl<H> Default for Speculation<H> {
    fn default() -> Self {
        Self {
            seen: Seen::default(),
            accounts: Vec::new(),
            slots: Vec::new(),
            codes: Vec::new(),
            result: None,
            needed_balance: None,
            transfer: None,
        }
    }
}

impl<H> Speculation<H> {
    /// Makes it that of a transaction that does nothing but pay.
    pub fn set_transfer(&mut self, transfer: Transfer) {
        self.clear();
        self.transfer = Some(transfer);
    }

    /// Whether the transaction does nothing but pay.
    pub const fn is_transfer(&self) -> bool {
        self.transfer.is_some()
    }

    /// Reads a little of everywhere, so that what another thread has written is on its way to this one's cache before
    /// it is needed: all of it at the same time.
    pub fn touch(&self) -> u8 {
        let Self { seen, accounts, slots, result, .. } = self;
        let mut sum = u8::from(result.is_some());
        for SeenAccount { address, balance, code_hash, .. } in &seen.accounts {
            sum ^= balance.byte(0) ^ u8::from(address.is_zero()) ^ u8::from(code_hash.is_zero());
        }
        for slot in &seen.slots {
            sum ^= slot.slot.byte(0) ^ slot.value.byte(31);
        }
        for account in accounts {
            sum ^= account.balance.byte(0) ^ u8::from(account.code_hash.is_zero());
        }
        for slot in slots {
            sum ^= slot.slot.byte(0) ^ slot.value.byte(31);
        }
        sum
    }

    /// The accounts that were changed.
    pub fn changed_accounts(&self) -> impl Iterator<Item = Address> {
        self.accounts.iter().filter_map(|changed| self.address(changed))
    }

    /// The accounts that the transaction was shown.
    pub fn seen_accounts(&self) -> impl Iterator<Item = Address> {
        self.seen.accounts.iter().map(|seen| seen.address)
    }

    /// The slots that the transaction was shown, with their accounts.
    pub fn seen_slots(&self) -> impl Iterator<Item = (Address, U256)> {
        self.seen.slots.iter().filter_map(|seen| {
            let account = self.seen.accounts.get(seen.account as usize)?;
            Some((account.address, seen.slot))
        })
    }

    /// The slots that were changed, with their accounts.
    pub fn changed_slots(&self) -> impl Iterator<Item = (Address, U256)> {
        let mut slots = self.slots.iter();
        self.accounts.iter().flat_map(move |changed| {
            let own = slots.as_slice().get(..changed.slots as usize).unwrap_or_default();
            slots = slots.as_slice().get(own.len()..).unwrap_or_default().iter();
            let address = self.address(changed);
            own.iter().filter_map(move |slot| Some((address?, slot.slot)))
        })
    }

    fn address(&self, changed: &ChangedAccount) -> Option<Address> {
        self.seen.accounts.get(changed.account as usize).map(|seen| seen.address)
    }

    pub(crate) fn clear(&mut self) {
        self.seen.clear();
        self.accounts.clear();
        self.slots.clear();
        self.codes.clear();
        self.result = None;
        self.needed_balance = None;
        self.transfer = None;
    }

    /// Writes down what the transaction changed. `None` if it changed what it was not shown, which the EVM
    /// does not do.
    pub(crate) fn write_down(&mut self, state: &AddressMap<Account>) -> Option<()> {
        self.seen.observed_balances.sort_unstable();
        let places = Places::new(&self.seen);
        for (address, account) in state.iter().filter(|(_, account)| account.is_touched()) {
            let place = match account.info.account_id {
                Some(place) => u32::try_from(place).ok()?,
                None => places.account(&self.seen, address)?,
            };
            let fate = if account.is_selfdestructed() {
                Fate::Destroyed
            } else if account.is_created() {
                Fate::Created
            } else {
                Fate::Written
            };
            let first = self.slots.len();
            for (slot, value) in account.changed_storage_slots() {
                let seen = places.slot(&self.seen, place, slot);
                self.slots.push(ChangedSlot { seen, slot: *slot, value: value.present_value });
            }
            if fate == Fate::Created {
                // As for codes, the EVM's map has the order of its capacity.
                self.slots.get_mut(first..)?.sort_unstable_by_key(|changed| changed.slot);
            }
            let AccountInfo { nonce, balance, code_hash, code, .. } = &account.info;
            if *code_hash != account.original_info.code_hash
                && *code_hash != KECCAK256_EMPTY
                && let Some(code) = code
            {
                self.codes.push((*code_hash, code.clone()));
            }
            let slots = u32::try_from(self.slots.len() - first).ok()?;
            self.seen.accounts.get_mut(place as usize)?.change =
                u32::try_from(self.accounts.len()).ok()?;
            let (nonce, balance, code_hash) = (*nonce, *balance, *code_hash);
            let account = place;
            self.accounts.push(ChangedAccount { account, fate, nonce, balance, code_hash, slots });
        }
        Some(())
    }
}

/// Where accounts and slots lie among those that were shown, if there are many of them.
struct Places {
    accounts: Option<AddressMap<u32>>,
    slots: Option<HashMap<(u32, U256), u32>>,
}

impl Places {
    fn new(seen: &Seen) -> Self {
        let accounts = (seen.accounts.len() > SHORT)
            .then(|| seen.accounts.iter().map(|seen| seen.address).zip(0..).collect());
        let slots = (seen.slots.len() > SHORT)
            .then(|| seen.slots.iter().map(|seen| (seen.account, seen.slot)).zip(0..).collect());
        Self { accounts, slots }
    }

    fn account(&self, seen: &Seen, address: &Address) -> Option<u32> {
        if let Some(places) = &self.accounts {
            return places.get(address).copied();
        }
        let place = seen.accounts.iter().position(|seen| seen.address == *address)?;
        u32::try_from(place).ok()
    }

    fn slot(&self, seen: &Seen, account: u32, slot: &U256) -> u32 {
        if let Some(places) = &self.slots {
            return places.get(&(account, *slot)).copied().unwrap_or(NOWHERE);
        }
        let is_it = |seen: &SeenSlot| seen.account == account && seen.slot == *slot;
        let place = seen.slots.iter().position(is_it);
        place.and_then(|place| u32::try_from(place).ok()).unwrap_or(NOWHERE)
    }
}
