//! Executing a transaction before its turn, on what the state may be by then.
//!
//! A transaction's outcome follows from its environment and the answers to what it reads. So a
//! [`Speculator`] writes down every answer that it got; whoever executes the block in order later holds
//! them against the state of the transaction's turn ([`crate::BlockExecutor::adopt`]), and takes the
//! outcome over if all are right. Where wrong answers came from does not matter then.

use crate::{
    BlockState, EvmOf, Execute, Speculation, StateError, StateReader, TransferRules,
    changes::EMPTY_CODE_WITH_STORAGE,
    executor::MAX_RECYCLED_ACCOUNTS,
    speculation::{NOWHERE, SHORT, Seen, SeenAccount, SeenSlot},
    state::{StateRules, read_account},
    transfer::is_small,
};
use alloc::vec::Vec;
use alloy_consensus::{BlockHeader, Transaction};
use alloy_evm::{Evm, EvmFactory};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, map::AddressMap};
use core::fmt;
use revm::{
    Database,
    bytecode::Bytecode,
    context_interface::result::{ExecutionResult, Output, ResultAndState},
    inspector::NoOpInspector,
    state::{AccountInfo, EvmState},
};

/// What the state may be at a transaction's turn.
pub trait SpeculativeView: StateReader {
    /// Whether the account or slot that was asked for last is as the parent's state has it. Whoever takes the outcome
    /// over relies on that; not on any other answer.
    fn was_parents(&self) -> bool;
}

/// The state as a transaction is shown it before its turn. Whatever it is shown is written down.
pub struct SpeculativeState<V> {
    view: V,
    rules: StateRules,
    seen: Seen,
    /// Where accounts lie among those that were shown, if there are many.
    places: AddressMap<u32>,
    /// The sender, and the nonce that it must have at the transaction's turn.
    sender: Option<(Address, u64)>,
    has_failed: bool,
}

impl<V> fmt::Debug for SpeculativeState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpeculativeState").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl<V> SpeculativeState<V> {
    fn new(view: V, rules: StateRules) -> Self {
        let (seen, places) = (Seen::default(), AddressMap::default());
        Self { view, rules, seen, places, sender: None, has_failed: false }
    }

    /// The place of an account among those that were shown.
    fn place(&mut self, address: &Address) -> Option<u32> {
        let accounts = &self.seen.accounts;
        if accounts.len() <= SHORT {
            let place = accounts.iter().position(|seen| seen.address == *address)?;
            return u32::try_from(place).ok();
        }
        for (place, seen) in (0..).zip(accounts).skip(self.places.len()) {
            self.places.insert(seen.address, place);
        }
        self.places.get(address).copied()
    }

    pub(crate) const fn give_up(&mut self) {
        self.has_failed = true;
    }

    /// The balance of an account has a say in what code does.
    pub(crate) fn note_balance(&mut self, address: Address) {
        if self.seen.observed_balances.last() != Some(&address) {
            self.seen.observed_balances.push(address);
        }
    }

    /// An account pays, and has so much left, in wei.
    pub(crate) fn note_payment(&mut self, address: Address, left: U256) {
        let payers = &mut self.seen.payers;
        if let Some((_, least)) = payers.iter_mut().find(|(payer, _)| *payer == address) {
            *least = left.min(*least);
        } else if payers.len() < SHORT {
            payers.push((address, left));
        } else {
            // All are searched at every payment.
            self.note_balance(address);
        }
    }

    const fn fail(&mut self) -> StateError {
        self.has_failed = true;
        StateError::new()
    }
}

impl<V: SpeculativeView> SpeculativeState<V> {
    fn slot(&mut self, account: u32, slot: U256) -> Result<U256, StateError> {
        let Some(seen) = self.seen.accounts.get(account as usize) else { return Err(self.fail()) };
        let (value, is_parents) = if seen.exists {
            match self.view.storage(&seen.address, &slot) {
                Ok(value) => (value, self.view.was_parents()),
                Err(_) => return Err(self.fail()),
            }
        } else {
            (U256::ZERO, false)
        };
        self.seen.slots.push(SeenSlot { account, slot, value, is_parents });
        Ok(value)
    }
}

impl<V: SpeculativeView> Database for SpeculativeState<V> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        // revm asks once for each account of a transaction.
        let id = u32::try_from(self.seen.accounts.len()).unwrap_or(u32::MAX);
        let Ok(mut info) = read_account(&self.view, &address, id) else { return Err(self.fail()) };
        let mut is_parents = self.view.was_parents();
        if let Some((sender, nonce)) = &self.sender
            && *sender == address
            && let Some(info) = &mut info
        {
            is_parents &= info.nonce == *nonce;
            info.nonce = *nonce;
        }
        self.seen.accounts.push(SeenAccount::new(address, info.as_ref(), is_parents));
        Ok(info)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, StateError> {
        if code_hash == KECCAK256_EMPTY || code_hash == EMPTY_CODE_WITH_STORAGE {
            return Ok(Bytecode::default());
        }
        match self.view.code(&code_hash) {
            // None has the hash of an empty one: a reader of the parent's state does not know codes of this block.
            Ok(code) if !code.is_empty() => {
                self.seen.codes.push(code_hash);
                Ok(self.rules.understand(code))
            }
            _ => Err(self.fail()),
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        if self.place(&address).is_none() {
            self.basic(address)?;
        }
        let account = self.place(&address);
        self.slot(account.unwrap_or(NOWHERE), slot)
    }

    fn storage_by_account_id(
        &mut self,
        _: Address,
        account_id: usize,
        slot: U256,
    ) -> Result<U256, StateError> {
        self.slot(u32::try_from(account_id).unwrap_or(u32::MAX), slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        if let Some((_, hash)) = self.seen.block_hashes.iter().find(|(known, _)| *known == number) {
            return Ok(*hash);
        }
        let Ok(hash) = self.view.block_hash(number) else { return Err(self.fail()) };
        self.seen.block_hashes.push((number, hash));
        Ok(hash)
    }
}

/// The EVM of chain `C` for transactions before their turn.
pub type SpeculativeEvm<C, V> = EvmOf<C, SpeculativeState<V>>;

/// Why a transaction halted on chain `C`.
pub type HaltReasonOf<C> = <<C as Execute>::EvmFactory as EvmFactory>::HaltReason;

/// Executes transactions of one block before their turn.
pub struct Speculator<'a, C: Speculate, V: SpeculativeView> {
    chain: &'a C,
    evm: SpeculativeEvm<C, V>,
}

impl<C: Speculate, V: SpeculativeView> fmt::Debug for Speculator<'_, C, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speculator").finish_non_exhaustive()
    }
}

impl<'a, C: Speculate, V: SpeculativeView> Speculator<'a, C, V> {
    /// A speculator for the block with this header; `None` if the chain's transactions can only be
    /// executed in order. `view` says what the state may be at a transaction's turn.
    pub fn new(chain: &'a C, header: &C::Header, view: V) -> Option<Self> {
        let state = SpeculativeState::new(view, chain.state_rules(header));
        let evm = chain.evm_factory(header).create_evm(state, chain.evm_env(header));
        Some(Self { chain, evm: C::observe_balances(evm).ok()? })
    }

    /// The view of the state.
    pub fn view_mut(&mut self) -> &mut V {
        &mut self.evm.db_mut().view
    }

    /// Takes over what the EVM that executes in order remembers.
    pub fn remember(&mut self, remembered: &C::Remembered) {
        C::remember(&mut self.evm, remembered);
    }

    /// Executes a transaction into `outcome`, in place of what was there, and shows what it changed, with what
    /// it only loaded. Whether it came to something: a transaction that seems to be invalid must wait for its
    /// turn.
    pub fn transact(
        &mut self,
        transaction: &C::Transaction,
        sender: Address,
        outcome: &mut Speculation<HaltReasonOf<C>>,
        show: impl FnOnce(&EvmState),
    ) -> bool {
        outcome.clear();
        let state = self.evm.db_mut();
        core::mem::swap(&mut state.seen, &mut outcome.seen);
        state.seen.clear();
        state.places.clear();
        state.has_failed = !is_small(&transaction.value());
        state.sender = self.chain.expected_nonce(transaction).map(|nonce| (sender, nonce));
        let tx = self.chain.tx_env(transaction, sender);
        outcome.needed_balance = C::needed_balance(&mut self.evm, &tx);
        let executed = self.evm.transact_raw(tx);
        let state = self.evm.db_mut();
        core::mem::swap(&mut state.seen, &mut outcome.seen);
        let Ok(ResultAndState { mut result, state: mut changes }) = executed else { return false };
        if state.has_failed || outcome.write_down(&changes).is_none() {
            return false;
        }
        // Nobody asks for it, and it may be large.
        match &mut result {
            ExecutionResult::Success { output, .. } => *output = Output::Call(Bytes::new()),
            ExecutionResult::Revert { output, .. } => *output = Bytes::new(),
            ExecutionResult::Halt { .. } => {}
        }
        outcome.result = Some(result);
        show(&changes);
        if changes.capacity() <= MAX_RECYCLED_ACCOUNTS {
            changes.clear();
            C::recycle(&mut self.evm, changes);
        }
        true
    }
}

/// A chain whose transactions can be executed before their turn. With the defaults they are not.
pub trait Speculate: Execute {
    /// What the EVM remembers from one transaction to the next.
    type Remembered: Send + Sync;

    /// How many of the block's first transactions must be executed in order before any other is executed.
    fn ordered_prefix(&self, transactions: &[Self::Transaction]) -> usize {
        let _ = transactions;
        0
    }

    /// Whether a transaction may be executed before its turn.
    fn may_speculate(&self, transactions: &[Self::Transaction], index: usize) -> bool {
        let _ = (transactions, index);
        true
    }

    /// The nonce without which the transaction is invalid, if there is one.
    fn expected_nonce(&self, transaction: &Self::Transaction) -> Option<u64> {
        let _ = transaction;
        None
    }

    /// What the sender must have at least for the transaction to be valid, in wei, if that is known.
    fn needed_balance<V: SpeculativeView>(
        evm: &mut SpeculativeEvm<Self, V>,
        tx: &<Self::EvmFactory as EvmFactory>::Tx,
    ) -> Option<U256> {
        let _ = (evm, tx);
        None
    }

    /// What the block says about transactions that do nothing but pay; `None` if the EVM has to execute them.
    /// `remembered` is from after the [`Self::ordered_prefix`].
    fn transfer_rules(
        &self,
        header: &Self::Header,
        remembered: &Self::Remembered,
    ) -> Option<TransferRules> {
        let _ = (header, remembered);
        None
    }

    /// What the EVM that executes in order remembers from one transaction to the next.
    fn remembered<S: StateReader>(
        evm: &mut <Self::EvmFactory as EvmFactory>::Evm<BlockState<S>, NoOpInspector>,
    ) -> Self::Remembered;

    /// Makes the EVM find out what it remembers, if it has not yet. Whether it knows: the state may not be readable.
    fn prepare<S: StateReader>(
        evm: &mut <Self::EvmFactory as EvmFactory>::Evm<BlockState<S>, NoOpInspector>,
    ) -> bool {
        let _ = evm;
        true
    }

    /// The same before a block's first transaction, if nothing in the block has a say in it. If not, its transactions are
    /// not executed ahead before the [`Self::ordered_prefix`] is.
    fn remembered_before(&self, header: &Self::Header) -> Option<Self::Remembered> {
        let _ = header;
        None
    }

    /// Makes an EVM that executes ahead remember it, too.
    fn remember<V: SpeculativeView>(
        evm: &mut SpeculativeEvm<Self, V>,
        remembered: &Self::Remembered,
    ) {
        let _ = (evm, remembered);
    }

    /// Who is paid by nearly every transaction.
    fn fee_recipients(&self, header: &Self::Header) -> Vec<Address> {
        alloc::vec![header.beneficiary()]
    }
}
