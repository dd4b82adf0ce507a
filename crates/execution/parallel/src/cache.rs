//! Accounts, slots and codes that are kept from one block to the next.

mod generations;
mod reader;
mod shards;
#[cfg(test)]
mod tests;

use crate::memory::told;
use alloy_primitives::{Address, B256, U256, map::AddressSet};
use lockstep_execution::{AccountChange, AccountInfo, Bytecode, StateChanges};
use parking_lot::Mutex;
pub use reader::CachedState;
use shards::{Epoch, Shards};
use std::{num::NonZeroUsize, sync::Arc};

/// Bytes that codes take together at the most.
const MAX_CODE_BYTES: usize = 128 << 20;

/// What a code takes beside its bytes: an entry, and the table of its jump destinations.
const CODE_ENTRY_BYTES: usize = 256;

/// Codes stay whatever becomes of blocks.
const CODES: Epoch = 0;

/// What was read of the state after one block, and is kept for the blocks that follow on it.
///
/// It is valid for the state after one block at a time. [`Self::over`] reads that state through it; states after other
/// blocks are read as if there were none. [`Self::advance`] moves on to a child of its block, with what that changed;
/// [`Self::begin`] starts anew elsewhere. A [`CachedState`] that was made before is from then on as if there were no
/// cache, even in the middle of a block: it never answers with what belongs to another state.
///
/// ```
/// use alloy_primitives::{Address, B256, U256};
/// use lockstep_execution::{MemoryState, StateReader};
/// use lockstep_parallel::StateCache;
/// use std::{num::NonZeroUsize, sync::Arc};
///
/// let (block, slot) = (B256::repeat_byte(1), U256::from(7));
/// let mut state = MemoryState::default();
/// state.set_slot(Address::ZERO, slot, U256::from(8));
///
/// let cache = Arc::new(StateCache::new(NonZeroUsize::MIN));
/// cache.begin(block);
/// let cached = cache.over(block, &state);
/// for _ in 0..2 {
///     assert_eq!(cached.storage(&Address::ZERO, &slot)?, U256::from(8));
/// }
/// assert_eq!(cache.statistics().hits, 1);
/// # Ok::<(), std::convert::Infallible>(())
/// ```
///
/// # Limits
/// So many accounts, as many slots, and 128 MiB of codes. What was not asked for of late makes room.
#[derive(Debug)]
pub struct StateCache {
    accounts: Shards<Address, CachedAccount>,
    slots: Shards<(Address, U256), U256>,
    codes: Shards<B256, Bytecode>,
    newest: Mutex<Newest>,
}

/// The state for which accounts and slots are valid.
#[derive(Debug, Default)]
struct Newest {
    /// It is the state after this block; `None` if it is nothing's.
    block: Option<B256>,
    epoch: Epoch,
}

#[derive(Clone, Debug)]
struct CachedAccount {
    info: Option<AccountInfo>,
    /// Once it was asked for.
    has_storage: Option<bool>,
}

/// How a [`StateCache`] does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Accounts, slots and codes that were asked for and were there.
    pub hits: u64,
    /// Those that were not.
    pub misses: u64,
    /// Accounts that are kept now.
    pub accounts: usize,
    /// Slots that are kept now.
    pub slots: usize,
    /// Codes that are kept now.
    pub codes: usize,
}

impl StateCache {
    /// An empty cache for up to `entries` accounts (at least one in each of its 64 parts) and as many slots: less than
    /// 600 bytes for one of both.
    pub fn new(entries: NonZeroUsize) -> Self {
        let code_bytes =
            |code: &Bytecode| code.bytes_ref().len().saturating_mul(2) + CODE_ENTRY_BYTES;
        Self {
            accounts: Shards::new(entries.get(), |_| 1),
            slots: Shards::new(entries.get(), |_| 1),
            codes: Shards::new(MAX_CODE_BYTES, code_bytes),
            newest: Mutex::default(),
        }
    }

    /// The state after `block`, which `reader` reads, through what is known of it.
    pub fn over<R>(self: &Arc<Self>, block: B256, reader: R) -> CachedState<R> {
        let newest = self.newest.lock();
        let epoch = (newest.block == Some(block)).then_some(newest.epoch);
        CachedState::new(reader, self.clone(), epoch)
    }

    /// Makes the cache valid for the state after `block`; unless it is, forgets all but the codes.
    pub fn begin(&self, block: B256) {
        let mut newest = self.newest.lock();
        if newest.block == Some(block) {
            return;
        }
        self.leave(&mut newest);
        self.accounts.clear();
        self.slots.clear();
        newest.block = Some(block);
    }

    /// Makes the cache valid for the state after `block`, a child of `parent` that changed this. Nothing happens if it is
    /// not valid for `parent`.
    pub fn advance(&self, parent: B256, block: B256, changes: &StateChanges) {
        let mut newest = self.newest.lock();
        if newest.block != Some(parent) {
            return;
        }
        let epoch = self.leave(&mut newest);
        let mut cleared = Vec::new();
        for account in changes.accounts() {
            let had_storage = self.write_account(epoch, account, changes);
            if is_cleared(account) && had_storage != Some(false) {
                cleared.push(account);
            } else {
                self.write_slots(epoch, account, changes);
            }
        }
        self.clear_slots(&cleared);
        for account in cleared {
            self.write_slots(epoch, account, changes);
        }
        for (hash, code) in changes.codes() {
            self.codes.insert(CODES, *hash, code.clone());
        }
        newest.block = Some(block);
    }

    /// How it does.
    pub fn statistics(&self) -> CacheStatistics {
        let (accounts, slots) = (self.accounts.counts(), self.slots.counts());
        let codes = self.codes.counts();
        CacheStatistics {
            hits: accounts.hits + slots.hits + codes.hits,
            misses: accounts.misses + slots.misses + codes.misses,
            accounts: accounts.entries,
            slots: slots.entries,
            codes: codes.entries,
        }
    }

    /// Shuts out whoever reads the state for which the cache is valid now. It is nobody's until it is said whose it is.
    fn leave(&self, newest: &mut Newest) -> Epoch {
        newest.block = None;
        newest.epoch += 1;
        self.accounts.begin(newest.epoch);
        self.slots.begin(newest.epoch);
        newest.epoch
    }

    /// Writes what an account is now. Returns whether it had storage before, if that is known.
    fn write_account(
        &self,
        epoch: Epoch,
        account: &AccountChange,
        changes: &StateChanges,
    ) -> Option<bool> {
        let address = account.address();
        let info = account.after().map(told);
        let has_same_slots = !is_cleared(account) && changes.slots(account).next().is_none();
        let had_storage =
            self.accounts.update(epoch, &address, |known| known.has_storage).flatten();
        let has_storage = had_storage.filter(|_| has_same_slots);
        self.accounts.insert(epoch, address, CachedAccount { info, has_storage });
        had_storage
    }

    fn write_slots(&self, epoch: Epoch, account: &AccountChange, changes: &StateChanges) {
        for slot in changes.slots(account) {
            self.slots.insert(epoch, (account.address(), slot.slot), slot.after);
        }
    }

    /// Forgets all slots of these accounts. That goes through all slots that there are, so it is not done for accounts that
    /// are known to have had none: to create contracts at addresses that were paid before is too cheap for it.
    fn clear_slots(&self, of: &[&AccountChange]) {
        if of.is_empty() {
            return;
        }
        let addresses: AddressSet = of.iter().map(|account| account.address()).collect();
        self.slots.retain(|(address, _)| !addresses.contains(address));
    }

    fn code<E>(
        &self,
        hash: &B256,
        read: impl FnOnce() -> Result<Bytecode, E>,
    ) -> Result<Bytecode, E> {
        if let Some(code) = self.codes.get(CODES, hash) {
            return Ok(code);
        }
        let code = read()?;
        // An empty one is not what has this hash, and is not known.
        if !code.is_empty() {
            self.codes.insert(CODES, *hash, code.clone());
        }
        Ok(code)
    }
}

/// Whether the slots from before the block are gone.
fn is_cleared(account: &AccountChange) -> bool {
    account.storage_cleared() || (account.before().is_some() && account.after().is_none())
}
