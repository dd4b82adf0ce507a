//! A state that is read through the cache.

use super::{CachedAccount, StateCache, shards::Epoch};
use crate::memory::told;
use alloy_primitives::{Address, B256, U256};
use lockstep_execution::{AccountInfo, Bytecode, StateReader};
use std::sync::Arc;

/// Reads a state through a [`StateCache`], for as long as that is valid for it, and directly from then on.
///
/// Accounts come without their codes, which [`StateReader::code`] has.
#[derive(Debug)]
pub struct CachedState<R> {
    reader: R,
    cache: Arc<StateCache>,
    /// `None` if the cache belongs to another state. Codes are valid for all.
    epoch: Option<Epoch>,
}

impl<R> CachedState<R> {
    pub(super) const fn new(reader: R, cache: Arc<StateCache>, epoch: Option<Epoch>) -> Self {
        Self { reader, cache, epoch }
    }

    /// The state beneath the cache.
    pub const fn reader(&self) -> &R {
        &self.reader
    }
}

impl<R: StateReader> StateReader for CachedState<R> {
    type Error = R::Error;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, R::Error> {
        let Some(epoch) = self.epoch else { return self.reader.account(address) };
        if let Some(known) = self.cache.accounts.get(epoch, address) {
            return Ok(known.info);
        }
        let info = self.reader.account(address)?.map(|info| told(&info));
        let read = CachedAccount { info: info.clone(), has_storage: None };
        self.cache.accounts.insert(epoch, *address, read);
        Ok(info)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, R::Error> {
        let Some(epoch) = self.epoch else { return self.reader.storage(address, slot) };
        let key = (*address, *slot);
        if let Some(known) = self.cache.slots.get(epoch, &key) {
            return Ok(known);
        }
        let value = self.reader.storage(address, slot)?;
        self.cache.slots.insert(epoch, key, value);
        Ok(value)
    }

    /// It is kept with the account, where that was read before.
    fn has_storage(&self, address: &Address) -> Result<bool, R::Error> {
        let Some(epoch) = self.epoch else { return self.reader.has_storage(address) };
        let known = self.cache.accounts.update(epoch, address, |account| account.has_storage);
        if let Some(known) = known.flatten() {
            return Ok(known);
        }
        let read = self.reader.has_storage(address)?;
        self.cache.accounts.update(epoch, address, |account| account.has_storage = Some(read));
        Ok(read)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, R::Error> {
        self.cache.code(code_hash, || self.reader.code(code_hash))
    }

    fn block_hash(&self, number: u64) -> Result<B256, R::Error> {
        self.reader.block_hash(number)
    }
}
