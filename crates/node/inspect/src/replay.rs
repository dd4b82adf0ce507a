//! A block of the chain, run again transaction by transaction.

use crate::{
    Inspect, InspectError, Limits, Overlay,
    error::MARKED_EMPTY,
    execute::{ContextOf, EvmOf, OutcomeOf, state_failure},
};
use alloy_consensus::{Transaction, transaction::TxHashRef};
use alloy_evm::{Evm, EvmError, EvmFactory};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use alloy_rpc_types_eth::TransactionInfo;
use core::{cell::RefCell, fmt};
use lockstep_chain::{Block, Chain};
use lockstep_execution::{AccountInfo, BlockState, Bytecode, StateError, StateReader};
use revm::{Database, DatabaseCommit, DatabaseRef, Inspector, inspector::NoOpInspector};

/// A block of the chain that is to run again.
#[derive(Debug)]
pub struct ReplayBlock<'a, C: Chain> {
    /// The block.
    pub block: &'a Block<C>,
    /// Its hash.
    pub hash: B256,
    /// One sender per transaction.
    pub senders: &'a [Address],
}

impl<C: Chain> Clone for ReplayBlock<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Chain> Copy for ReplayBlock<'_, C> {}

impl<C: Inspect> ReplayBlock<'_, C> {
    /// Where the transaction at `index` stands.
    pub fn transaction_info(&self, index: usize) -> TransactionInfo {
        let header = &self.block.header;
        TransactionInfo {
            hash: self.block.body.transactions.get(index).map(|tx| *tx.tx_hash()),
            index: Some(index as u64),
            block_hash: Some(self.hash),
            block_number: Some(header.number),
            base_fee: header.base_fee_per_gas,
            block_timestamp: Some(header.timestamp),
        }
    }

    pub(crate) fn check_index(&self, index: usize) -> Result<(), InspectError> {
        let transactions = self.block.body.transactions.len();
        if index < transactions {
            Ok(())
        } else {
            Err(InspectError::NoTransaction { index, transactions })
        }
    }
}

/// Runs a block again so that each transaction can be looked at with the state before it, without
/// running any transaction twice.
///
/// [`Self::skip_to`] runs transactions unobserved; [`Self::inspect_next`] runs one under the
/// inspector and leaves the state as it was; [`Self::commit`] makes its changes permanent.
pub struct BlockReplay<'a, C: Inspect, S: StateReader, I: Inspector<ContextOf<C, S>>> {
    chain: &'a C,
    block: ReplayBlock<'a, C>,
    evm: EvmOf<C, S, I>,
    next: usize,
}

impl<C: Inspect, S: StateReader, I: Inspector<ContextOf<C, S>>> fmt::Debug
    for BlockReplay<'_, C, S, I>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockReplay").field("next", &self.next).finish_non_exhaustive()
    }
}

/// What a transaction did when it ran again.
#[derive(Debug)]
pub struct Replayed<C: Inspect> {
    /// Its position in the block.
    pub index: usize,
    /// What it did, and the state it leaves; not yet committed.
    pub outcome: OutcomeOf<C>,
}

impl<'a, C: Inspect, S: StateReader, I: Inspector<ContextOf<C, S>>> BlockReplay<'a, C, S, I> {
    /// A replay over the parent's state that stands before the first transaction.
    ///
    /// # Errors
    /// [`InspectError::Genesis`], [`InspectError::Replay`], [`InspectError::State`].
    pub fn new(
        chain: &'a C,
        block: ReplayBlock<'a, C>,
        parent_state: S,
        inspector: I,
    ) -> Result<Self, InspectError> {
        let header = &block.block.header;
        if header.number == 0 {
            return Err(InspectError::Genesis);
        }
        let (senders, transactions) = (block.senders.len(), block.block.body.transactions.len());
        if senders != transactions {
            let text = format!("{senders} senders were given for {transactions} transactions");
            return Err(InspectError::Replay(text));
        }
        let state = BlockState::new(parent_state, chain.state_rules(header));
        let factory = chain.evm_factory(header);
        let mut evm = factory.create_evm_with_inspector(state, chain.evm_env(header), inspector);
        evm.disable_inspector();
        chain.before_transactions(&mut evm, header).map_err(|error| match error {
            lockstep_execution::ExecutionError::State(error) => InspectError::state(error),
            other => InspectError::Replay(other.to_string()),
        })?;
        Ok(Self { chain, block, evm, next: 0 })
    }

    /// Runs the transactions before the one at `index`, unobserved.
    ///
    /// # Errors
    /// [`InspectError::NoTransaction`] if there are fewer; [`InspectError::Stopped`]; see
    /// [`Self::inspect_next`].
    pub fn skip_to(&mut self, index: usize, limits: &Limits<'_>) -> Result<(), InspectError> {
        let transactions = self.block.block.body.transactions.len();
        if index > transactions {
            return Err(InspectError::NoTransaction { index, transactions });
        }
        self.evm.disable_inspector();
        while self.next < index {
            if limits.is_stopped() {
                return Err(InspectError::Stopped);
            }
            let Some(replayed) = self.run_next()? else { break };
            self.commit(replayed);
        }
        Ok(())
    }

    /// Runs the next transaction under the inspector; `None` after the last one.
    ///
    /// # Errors
    /// [`InspectError::Replay`] if it is not valid there, [`InspectError::State`].
    pub fn inspect_next(&mut self) -> Result<Option<Replayed<C>>, InspectError> {
        self.evm.enable_inspector();
        self.run_next()
    }

    /// Makes what a transaction did permanent.
    pub fn commit(&mut self, replayed: Replayed<C>) {
        self.evm.db_mut().commit(replayed.outcome.state);
    }

    /// The state, which is the one before the transaction that was last inspected as long as it is
    /// not committed; and the inspector.
    pub fn parts(&mut self) -> (&mut BlockState<S>, &mut I) {
        let (state, inspector, _) = self.evm.components_mut();
        (state, inspector)
    }

    /// The state as it is now.
    pub fn into_state(self) -> BlockState<S> {
        self.evm.into_db()
    }

    fn run_next(&mut self) -> Result<Option<Replayed<C>>, InspectError> {
        let index = self.next;
        let transactions = &self.block.block.body.transactions;
        let (Some(transaction), Some(sender)) =
            (transactions.get(index), self.block.senders.get(index))
        else {
            return Ok(None);
        };
        let env = self.chain.tx_env(transaction, *sender);
        match self.evm.transact_raw(env) {
            Ok(outcome) => {
                self.next += 1;
                Ok(Some(Replayed { index, outcome }))
            }
            Err(error) if error.is_invalid_tx_err() => {
                let gas = transaction.gas_limit();
                let text = format!("transaction {index} (gas limit {gas}): {error}");
                Err(InspectError::Replay(text))
            }
            Err(error) => Err(state_failure(self.evm.db_mut(), error)),
        }
    }
}

/// The state before the transaction at `index` (after the last one if `index` is their number),
/// for calls in the middle of a block.
///
/// # Errors
/// See [`BlockReplay::skip_to`].
pub fn state_before<C: Inspect, S: StateReader + Clone>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    index: usize,
    limits: &Limits<'_>,
) -> Result<Overlay<S>, InspectError> {
    let mut replay = BlockReplay::new(chain, block, parent_state.clone(), NoOpInspector)?;
    replay.skip_to(index, limits)?;
    let mut overlay = Overlay::new(parent_state);
    overlay.apply(&replay.into_state().into_changes());
    Ok(overlay)
}

/// The state before a transaction that was not committed, for tracers that tell differences.
pub(crate) struct PreState<'a, S: StateReader>(RefCell<&'a mut BlockState<S>>);

impl<'a, S: StateReader> PreState<'a, S> {
    pub(crate) const fn new(state: &'a mut BlockState<S>) -> Self {
        Self(RefCell::new(state))
    }
}

impl<S: StateReader> DatabaseRef for PreState<'_, S> {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let info = self.0.borrow_mut().basic(address)?;
        Ok(info.map(|mut info| {
            if info.code_hash == MARKED_EMPTY {
                info.code_hash = KECCAK256_EMPTY;
            }
            info
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StateError> {
        self.0.borrow_mut().code_by_hash(code_hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.0.borrow_mut().storage(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        self.0.borrow_mut().block_hash(number)
    }
}
