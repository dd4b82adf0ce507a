//! The state between two blocks of a range: that before the first, and what was changed since.

use alloy_primitives::{
    Address, B256, U256,
    map::{AddressMap, B256Map, HashMap},
};
use lockstep_execution::{AccountInfo, Bytecode, StateChanges, StateReader};

/// What blocks made of an account.
#[derive(Debug, Default)]
struct Known {
    info: Option<AccountInfo>,
    /// Slots that are not known were forgotten with all others.
    was_cleared: bool,
    slots: HashMap<U256, U256>,
}

/// What blocks changed.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    accounts: AddressMap<Known>,
    codes: B256Map<Bytecode>,
    block_hashes: Vec<(u64, B256)>,
}

/// The state after some blocks.
#[derive(Debug)]
pub(crate) struct Overlay<'s, S> {
    base: &'s S,
    changed: Changed,
}

impl<'s, S> Overlay<'s, S> {
    pub(crate) fn new(base: &'s S) -> Self {
        Self { base, changed: Changed::default() }
    }

    /// What the blocks changed.
    pub(crate) fn into_changed(self) -> Changed {
        self.changed
    }

    /// The state after more blocks, which began with this one.
    pub(crate) fn extend(&mut self, later: Changed) {
        let Changed { accounts, codes, block_hashes } = &mut self.changed;
        for (address, later) in later.accounts {
            let known = accounts.entry(address).or_default();
            known.info = later.info;
            if later.was_cleared {
                known.was_cleared = true;
                known.slots.clear();
            }
            known.slots.extend(later.slots);
        }
        codes.extend(later.codes);
        block_hashes.extend(later.block_hashes);
    }

    /// The state after one more block.
    pub(crate) fn add(&mut self, number: u64, hash: B256, changes: &StateChanges) {
        let Changed { accounts, codes, block_hashes } = &mut self.changed;
        for account in changes.accounts() {
            let known = accounts.entry(account.address()).or_default();
            known.info = account.after().map(|info| AccountInfo { code: None, ..info.clone() });
            if account.storage_cleared() || account.after().is_none() {
                known.was_cleared = true;
                known.slots.clear();
            }
            known.slots.extend(changes.slots(account).map(|slot| (slot.slot, slot.after)));
        }
        codes.extend(changes.codes().iter().cloned());
        block_hashes.push((number, hash));
    }
}

impl<S: StateReader> StateReader for Overlay<'_, S> {
    type Error = S::Error;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, S::Error> {
        match self.changed.accounts.get(address) {
            Some(known) => Ok(known.info.clone()),
            None => self.base.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, S::Error> {
        let Some(known) = self.changed.accounts.get(address) else {
            return self.base.storage(address, slot);
        };
        match known.slots.get(slot) {
            Some(value) => Ok(*value),
            None if known.was_cleared => Ok(U256::ZERO),
            None => self.base.storage(address, slot),
        }
    }

    /// Does not notice when blocks set every slot of the base to zero one by one: what has no code cannot do that.
    fn has_storage(&self, address: &Address) -> Result<bool, S::Error> {
        match self.changed.accounts.get(address) {
            Some(known) if known.slots.values().any(|value| !value.is_zero()) => Ok(true),
            Some(known) if known.was_cleared => Ok(false),
            _ => self.base.has_storage(address),
        }
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, S::Error> {
        match self.changed.codes.get(code_hash) {
            Some(code) => Ok(code.clone()),
            None => self.base.code(code_hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, S::Error> {
        match self.changed.block_hashes.iter().find(|(known, _)| *known == number) {
            Some((_, hash)) => Ok(*hash),
            None => self.base.block_hash(number),
        }
    }
}
