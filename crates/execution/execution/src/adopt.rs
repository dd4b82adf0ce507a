//! Taking over what a transaction came to before its turn.

use crate::{
    BlockExecutor, BlockState, Execute, ExecutionError, HaltReasonOf, Speculate, Speculation,
    StateError, StateReader, TransactionOutcome,
    changes::EMPTY_CODE_WITH_STORAGE,
    executor::evm_failure,
    speculation::{ChangedAccount, ChangedSlot, Fate, Seen, SeenAccount},
    state::read_account,
    transfer::{Transfer, is_small, outcome_of_transfer},
};
use alloc::vec::Vec;
use alloy_consensus::Transaction;
use alloy_evm::Evm;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use revm::{Database, bytecode::Bytecode, state::AccountInfo};

/// An account that a transaction was shown, as it is at its turn.
#[derive(Debug)]
struct Now {
    /// Its index; `None` if no transaction before has touched it.
    id: Option<u32>,
    /// What the reader says of it, if there is no index.
    loaded: Option<AccountInfo>,
    difference: Difference,
}

/// How an account is not as it was shown, where that has no say.
#[derive(Clone, Copy, Debug, Default)]
struct Difference {
    /// What is to be added to its balance, modulo 2^256.
    balance: U256,
    /// What is to be added to its nonce, modulo 2^64.
    nonce: u64,
}

/// Room for what is compared, kept from one transaction to the next.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    accounts: Vec<Now>,
    /// Indices of slots, if they are known, then of all.
    slots: Vec<Option<u32>>,
    /// Indices of accounts.
    ids: Vec<u32>,
}

impl<C: Speculate, S: StateReader> BlockExecutor<'_, C, S> {
    /// What the EVM remembers from one transaction to the next.
    pub fn remembered(&mut self) -> C::Remembered {
        C::remembered(&mut self.evm)
    }

    /// What the EVM would remember after a transaction, before there is one; `None` if the state cannot be read. What it reads
    /// for that counts as accessed.
    pub fn remembered_ahead(&mut self) -> Option<C::Remembered> {
        let is_known = C::prepare(&mut self.evm);
        // Whoever needs it will find that out.
        let _ = self.evm.db_mut().take_error();
        is_known.then(|| self.remembered())
    }

    /// Makes the outcome of the next transaction, which was executed before its turn, permanent; as if
    /// [`Self::transact`] had executed it now. Whether it did: an outcome that follows from another state is
    /// refused, and nothing has changed.
    ///
    /// # Errors
    /// As [`Self::transact`].
    pub fn adopt(
        &mut self,
        transaction: &C::Transaction,
        sender: Address,
        outcome: &mut Speculation<HaltReasonOf<C>>,
    ) -> Result<Option<TransactionOutcome>, ExecutionError<S::Error>> {
        if let Some(transfer) = outcome.transfer.take() {
            return self.transfer(transaction, &transfer);
        }
        let admitted = self.admit(transaction, &sender)?;
        let Some(result) = outcome.result.take() else { return Ok(None) };
        let state = self.evm.db_mut();
        let observes_nonces = transaction.authorization_list().is_some();
        match state.adopt(&sender, observes_nonces, outcome) {
            Ok(true) => Ok(Some(self.record(transaction, admitted, result))),
            Ok(false) => Ok(None),
            Err(error) => Err(evm_failure(state, error)),
        }
    }

    /// Executes the next transaction, which does nothing but pay, without the EVM; as if [`Self::transact`] had
    /// executed it. Whether it did: if the state is not that simple, nothing has changed.
    ///
    /// # Errors
    /// As [`Self::transact`].
    pub fn transfer(
        &mut self,
        transaction: &C::Transaction,
        transfer: &Transfer,
    ) -> Result<Option<TransactionOutcome>, ExecutionError<S::Error>> {
        let admitted = self.admit(transaction, &transfer.sender())?;
        let state = self.evm.db_mut();
        match state.transfer(transfer) {
            Ok(true) => {
                let result = outcome_of_transfer::<HaltReasonOf<C>>();
                Ok(Some(self.record(transaction, admitted, result)))
            }
            Ok(false) => Ok(None),
            Err(error) => Err(evm_failure(state, error)),
        }
    }
}

impl<C: Execute, S: StateReader> BlockExecutor<'_, C, S> {
    /// An account as it is now; `None` if the block has not touched it.
    pub fn known_account(&self, address: &Address) -> Option<Option<AccountInfo>> {
        let state = self.evm.db();
        let id = *state.account_ids.get(address)?;
        Some(state.current(id).cloned())
    }

    /// The value of a slot now; `None` if the block has not touched it.
    pub fn known_slot(&self, address: &Address, slot: &U256) -> Option<U256> {
        let state = self.evm.db();
        let id = *state.account_ids.get(address)?;
        let known = state.known_slot(id, slot).map(|(_, value)| value);
        known.or_else(|| state.has_no_storage(id).then_some(U256::ZERO))
    }
}

impl<S: StateReader> BlockState<S> {
    fn adopt<H>(
        &mut self,
        sender: &Address,
        observes_nonces: bool,
        outcome: &mut Speculation<H>,
    ) -> Result<bool, StateError> {
        let mut now = core::mem::take(&mut self.comparison);
        let agrees = if self.compare(sender, observes_nonces, outcome, &mut now) {
            self.take_over(sender, outcome, &mut now).map(|()| true)
        } else {
            Ok(false)
        };
        now.accounts.clear();
        now.slots.clear();
        now.ids.clear();
        self.comparison = now;
        agrees
    }

    /// Holds what the transaction was shown against what there is.
    fn compare<H>(
        &mut self,
        sender: &Address,
        observes_nonces: bool,
        outcome: &Speculation<H>,
        now: &mut Comparison,
    ) -> bool {
        let Speculation { seen, accounts, needed_balance, .. } = outcome;
        for account in &seen.accounts {
            let id = self.account_ids.get(&account.address).copied();
            let loaded = match id {
                Some(_) => None,
                None if account.is_parents => account.info(),
                None => match read_account(&self.reader, &account.address, 0) {
                    Ok(info) => info,
                    // Who executes it now may not have to read that.
                    Err(_) => return false,
                },
            };
            let known = id.and_then(|id| self.changes.accounts.get(id as usize)?.after.as_ref());
            let current = if id.is_some() { known } else { loaded.as_ref() };
            let demand = Demand {
                is_sender: account.address == *sender,
                needed: *needed_balance,
                left: seen.left(&account.address),
                observes_nonces,
                after: accounts.get(account.change as usize),
            };
            let is_observed = || seen.is_observed(&account.address);
            let Some(difference) = difference(account, current, demand, is_observed) else {
                return false;
            };
            now.accounts.push(Now { id, loaded, difference });
        }
        for slot in &seen.slots {
            let Some(account) = now.accounts.get(slot.account as usize) else { return false };
            let known = account.id.and_then(|id| self.known_slot(id, &slot.slot));
            let value = match (known, account.id, &account.loaded) {
                (Some((_, value)), ..) => value,
                (None, Some(id), _) if self.has_no_storage(id) => U256::ZERO,
                (None, None, None) => U256::ZERO,
                _ if slot.is_parents => slot.value,
                _ => {
                    let address = seen.accounts.get(slot.account as usize).map(|seen| seen.address);
                    match self.reader.storage(&address.unwrap_or_default(), &slot.slot) {
                        Ok(value) => value,
                        Err(_) => return false,
                    }
                }
            };
            if value != slot.value {
                return false;
            }
            now.slots.push(known.map(|(slot_id, _)| slot_id));
        }
        true
    }

    /// Loads what the transaction loaded, in its order, and makes its changes permanent.
    fn take_over<H>(
        &mut self,
        sender: &Address,
        outcome: &mut Speculation<H>,
        now: &mut Comparison,
    ) -> Result<(), StateError> {
        let Speculation { seen, accounts, slots, codes, .. } = outcome;
        for (account, now_account) in seen.accounts.iter().zip(&mut now.accounts) {
            now.ids.push(match now_account.id {
                Some(id) => id,
                None => self.insert_account(account.address, now_account.loaded.take()),
            });
        }
        for (slot, slot_id) in seen.slots.iter().zip(&mut now.slots) {
            if slot_id.is_none()
                && let Some(id) = now.ids.get(slot.account as usize)
            {
                *slot_id = Some(self.insert_slot(*id, slot.slot, slot.value));
            }
        }
        if let Some(recorder) = &mut self.recorder {
            now.ids.iter().for_each(|id| recorder.read_account(*id));
            now.slots.iter().flatten().for_each(|slot_id| recorder.read_slot(*slot_id));
            recorder.set_sender(self.account_ids.get(sender).copied());
            let payers = seen.payers.iter().map(|(payer, _)| payer);
            let observed = seen.observed_balances.iter().chain(payers);
            observed.for_each(|address| recorder.observe_balance(*address));
            recorder.read_balances(|address| self.account_ids.get(address).copied());
        }
        self.note_reads(seen)?;
        let first_code = self.changes.codes.len();
        let mut slots = slots.iter();
        for changed in accounts {
            let own = slots.as_slice().get(..changed.slots as usize).unwrap_or_default();
            slots = slots.as_slice().get(own.len()..).unwrap_or_default().iter();
            if let Some(id) = now.ids.get(changed.account as usize) {
                let difference = now.accounts.get(changed.account as usize);
                let difference = difference.map(|now| now.difference).unwrap_or_default();
                self.write_account(*id, changed, difference, own, &now.slots, codes);
            }
        }
        self.order_codes(first_code);
        Ok(())
    }

    /// Makes one account's part of a transaction permanent, as [`Self::commit_account`] does.
    fn write_account(
        &mut self,
        id: u32,
        changed: &ChangedAccount,
        difference: Difference,
        slots: &[ChangedSlot],
        slot_ids: &[Option<u32>],
        codes: &[(B256, Bytecode)],
    ) {
        if changed.fate != Fate::Written {
            self.clear_storage(id);
        }
        if changed.fate == Fate::Destroyed {
            self.set_current(id, None);
            return;
        }
        for changed in slots {
            match slot_ids.get(changed.seen as usize) {
                Some(Some(slot_id)) => self.set_slot(*slot_id, changed.value),
                _ => self.write_slot(id, changed.slot, changed.value),
            }
        }
        let known = self.current(id).map(|info| (info.code_hash, info.code.clone()));
        let (known_hash, known_code) = known.unwrap_or((KECCAK256_EMPTY, None));
        let mut code = known_code;
        if changed.code_hash != known_hash {
            code = codes
                .iter()
                .find(|(hash, _)| *hash == changed.code_hash)
                .map(|(_, code)| code.clone());
            if let Some(code) = &code {
                self.deploy(changed.code_hash, code.clone());
            }
        }
        let info = AccountInfo {
            nonce: changed.nonce.wrapping_add(difference.nonce),
            balance: changed.balance.wrapping_add(difference.balance),
            code_hash: changed.code_hash,
            account_id: Some(id as usize),
            code,
        };
        let is_deleted = self.rules.deletes_empty_accounts && info.is_empty();
        self.set_current(id, (!is_deleted).then_some(info));
    }

    /// Notes codes and block hashes that were read for the first time.
    fn note_reads(&mut self, seen: &mut Seen) -> Result<(), StateError> {
        for hash in seen.codes.drain(..) {
            self.code_by_hash(hash)?;
        }
        for (number, hash) in seen.block_hashes.drain(..) {
            if !self.block_hashes.iter().any(|(known, _)| *known == number) {
                self.block_hashes.push((number, hash));
            }
        }
        Ok(())
    }
}

/// What a transaction asks of an account that was shown to it.
#[derive(Clone, Copy, Debug, Default)]
struct Demand<'d> {
    is_sender: bool,
    /// What the sender must have, in wei, if that is known.
    needed: Option<U256>,
    /// By how much its balance may be lower; `None` if it pays nothing but as the sender.
    left: Option<U256>,
    /// Whether the transaction looks at the nonces of others (EIP-7702).
    observes_nonces: bool,
    /// What it leaves behind, if it changes the account.
    after: Option<&'d ChangedAccount>,
}

/// Whether a transaction that was shown an account would have done the same with what there is now; if so, how the two
/// differ. `is_observed` says whether its balance had a say.
fn difference(
    shown: &SeenAccount,
    now: Option<&AccountInfo>,
    demand: Demand<'_>,
    is_observed: impl FnOnce() -> bool,
) -> Option<Difference> {
    let Some(now) = now else { return (!shown.exists).then(Difference::default) };
    if !shown.exists || shown.code_hash != now.code_hash {
        return None;
    }
    if shown.nonce != now.nonce && !demand.allows_nonce(shown, now) {
        return None;
    }
    let nonce = now.nonce.wrapping_sub(shown.nonce);
    if shown.balance == now.balance {
        return Some(Difference { balance: U256::ZERO, nonce });
    }
    (demand.allows_balance(shown, now) && !is_observed())
        .then(|| Difference { balance: now.balance.wrapping_sub(shown.balance), nonce })
}

impl Demand<'_> {
    /// Code cannot see the nonce of an account that has none itself, but for whether the account is empty (EIP-161) or
    /// in the way of a creation (EIP-7610): not if there are nonces at all. Transactions look at their senders' and at those
    /// of authorities.
    fn allows_nonce(&self, shown: &SeenAccount, now: &AccountInfo) -> bool {
        !self.is_sender
            && !self.observes_nonces
            && shown.code_hash == KECCAK256_EMPTY
            && shown.nonce != 0
            && now.nonce != 0
            && self
                .after
                .is_none_or(|after| after.fate == Fate::Written && after.nonce == shown.nonce)
    }

    /// Who has more can pay what was paid with less. Code takes nothing from whom it does not observe, so less will do as
    /// well if the payer has enough left; the sender must have what the transaction may cost.
    fn allows_balance(&self, shown: &SeenAccount, now: &AccountInfo) -> bool {
        let after = self.after.map_or(shown.balance, |after| after.balance);
        let is_enough = match (self.is_sender, self.needed) {
            (true, Some(needed)) => now.balance >= needed && is_small(&needed),
            (true, None) => now.balance >= shown.balance,
            // Nothing was taken, or there is an entry below.
            (false, _) => self.left.is_some() || after >= shown.balance,
        };
        let leaves_enough =
            self.left.is_none_or(|left| now.balance >= shown.balance.saturating_sub(left));
        // Whoever has storage alone is as empty as others (EIP-161).
        let has_no_code = [KECCAK256_EMPTY, EMPTY_CODE_WITH_STORAGE].contains(&shown.code_hash);
        let may_be_empty = shown.nonce == 0 && has_no_code;
        is_enough
            && leaves_enough
            && (!may_be_empty || shown.balance.is_zero() == now.balance.is_zero())
            && is_small(&shown.balance)
            && is_small(&now.balance)
            && is_small(&after)
    }
}
