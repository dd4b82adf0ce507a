//! A state with changes on top: overrides of a user, and blocks that were only simulated.

use crate::InspectError;
use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256,
    map::{AddressMap, B256Map, HashMap, U256Map},
};
use alloy_rpc_types_eth::state::{AccountOverride, StateOverride};
use lockstep_execution::{AccountInfo, Bytecode, StateChanges, StateReader, code_from};
use lockstep_trie::StateTrie;

/// A state with changes on top, itself a state to read.
#[derive(Debug)]
pub struct Overlay<S> {
    base: S,
    accounts: AddressMap<OverlayAccount>,
    codes: B256Map<Bytecode>,
    block_hashes: HashMap<u64, B256>,
}

#[derive(Debug, Default)]
struct OverlayAccount {
    info: Option<AccountInfo>,
    storage: U256Map<U256>,
    /// Slots that are not in `storage` are zero.
    storage_cleared: bool,
}

impl<S: StateReader> Overlay<S> {
    /// The state `base` with nothing on top.
    pub fn new(base: S) -> Self {
        Self {
            base,
            accounts: AddressMap::default(),
            codes: B256Map::default(),
            block_hashes: HashMap::default(),
        }
    }

    /// The state beneath.
    pub const fn base(&self) -> &S {
        &self.base
    }

    /// Makes the hash of block `number` known.
    pub fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// Puts the changes of an execution on top.
    pub fn apply(&mut self, changes: &StateChanges) {
        for change in changes.accounts() {
            let account = self.accounts.entry(change.address()).or_default();
            account.info = change.after().map(|info| AccountInfo { code: None, ..info.clone() });
            if change.storage_cleared() || account.info.is_none() {
                account.storage_cleared = true;
                account.storage.clear();
            }
            let slots = changes.slots(change).map(|slot| (slot.slot, slot.after));
            account.storage.extend(slots);
        }
        self.codes.extend(changes.codes().iter().cloned());
    }

    /// Puts a user's overrides on top, and into `trie` if there is one.
    ///
    /// # Errors
    /// [`InspectError::Override`] for both `state` and `stateDiff`; [`InspectError::State`].
    pub fn override_accounts(
        &mut self,
        overrides: &StateOverride,
        mut trie: Option<&mut StateTrie>,
    ) -> Result<(), InspectError> {
        for (address, account) in overrides {
            self.override_account(address, account, trie.as_deref_mut())?;
        }
        Ok(())
    }

    fn override_account(
        &mut self,
        address: &Address,
        wanted: &AccountOverride,
        trie: Option<&mut StateTrie>,
    ) -> Result<(), InspectError> {
        if wanted.state.is_some() && wanted.state_diff.is_some() {
            let text = format!("account {address} has both 'state' and 'stateDiff'");
            return Err(InspectError::Override(text));
        }
        let is_account_untouched = AccountOverride { move_precompile_to: None, ..wanted.clone() }
            == AccountOverride::default();
        if is_account_untouched {
            return Ok(());
        }
        let mut info = self.account(address).map_err(InspectError::state)?.unwrap_or_default();
        info.nonce = wanted.nonce.unwrap_or(info.nonce);
        info.balance = wanted.balance.unwrap_or(info.balance);
        if let Some(code) = &wanted.code {
            info.code_hash = self.deploy(code);
        }
        let info = AccountInfo { code: None, account_id: None, ..info };
        let account = self.accounts.entry(*address).or_default();
        account.info = Some(info.clone());
        if wanted.state.is_some() {
            account.storage_cleared = true;
            account.storage.clear();
        }
        let slots = wanted.state.iter().chain(&wanted.state_diff).flatten();
        let slots: Vec<(U256, U256)> =
            slots.map(|(slot, value)| ((*slot).into(), (*value).into())).collect();
        account.storage.extend(slots.iter().copied());
        if let Some(trie) = trie {
            let hashed = keccak256(address);
            if wanted.state.is_some() {
                trie.clear_storage(hashed);
            }
            trie.set_account(hashed, info.nonce, info.balance, info.code_hash);
            for (slot, value) in slots {
                trie.set_slot(hashed, keccak256(slot.to_be_bytes::<32>()), value);
            }
        }
        Ok(())
    }

    /// Makes a code known and returns its hash.
    fn deploy(&mut self, code: &Bytes) -> B256 {
        if code.is_empty() {
            return KECCAK256_EMPTY;
        }
        let code = code_from(code.clone());
        let hash = code.hash_slow();
        self.codes.insert(hash, code);
        hash
    }
}

impl<S: StateReader> StateReader for Overlay<S> {
    type Error = S::Error;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, S::Error> {
        match self.accounts.get(address) {
            Some(account) => Ok(account.info.clone()),
            None => self.base.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, S::Error> {
        let Some(account) = self.accounts.get(address) else {
            return self.base.storage(address, slot);
        };
        match account.storage.get(slot) {
            Some(value) => Ok(*value),
            None if account.storage_cleared => Ok(U256::ZERO),
            None => self.base.storage(address, slot),
        }
    }

    fn has_storage(&self, address: &Address) -> Result<bool, S::Error> {
        let Some(account) = self.accounts.get(address) else {
            return self.base.has_storage(address);
        };
        if account.storage.values().any(|value| !value.is_zero()) {
            return Ok(true);
        }
        if account.storage_cleared { Ok(false) } else { self.base.has_storage(address) }
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, S::Error> {
        match self.codes.get(code_hash) {
            Some(code) => Ok(code.clone()),
            None => self.base.code(code_hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, S::Error> {
        match self.block_hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => self.base.block_hash(number),
        }
    }
}
