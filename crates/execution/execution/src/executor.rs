//! One block, transaction by transaction.

use crate::{
    Accessed, BlockHints, BlockState, EvmOf, Execute, ExecutionError, Hints, StateChanges,
    StateError, StateReader, rollup_evm::CALLS_PEER, transfer::TRANSFER_GAS,
};
use alloc::{boxed::Box, string::ToString, vec::Vec};
use alloy_consensus::{BlockHeader, Eip658Value, Receipt, Transaction, transaction::TxHashRef};
use alloy_eips::{eip4895::Withdrawal, eip7685::Requests};
use alloy_evm::{Evm, EvmFactory, InvalidTxError};
use alloy_primitives::{Address, B256};
use core::fmt;
use lockstep_chain::{Block, Chain};
use revm::{
    context_interface::result::{
        ExecutionResult, HaltReasonTr, InvalidTransaction, ResultAndState,
    },
    state::EvmState,
};

/// Computes the state root that follows from the parent's state and the changes since.
pub type IntermediateRoots<'a> =
    &'a mut dyn FnMut(&StateChanges) -> Result<B256, Box<dyn core::error::Error + Send + Sync>>;

/// A state map with room for more accounts is not recycled: walking it would slow down the small
/// transactions that follow.
pub(crate) const MAX_RECYCLED_ACCOUNTS: usize = 64;

/// What [`execute_block`] does beyond executing.
#[derive(Default)]
pub struct ExecuteOptions<'a> {
    /// Report every account, slot, code and block hash that was read.
    pub record_access: bool,
    /// Report what those need who execute the block again with several threads.
    pub record_hints: bool,
    /// What is known of the block; serial execution needs none of it.
    pub hints: Hints<'a>,
    /// Computes the state roots that receipts carried before Byzantium. Without it they are zero,
    /// and the receipts root of such a block cannot be checked.
    pub intermediate_roots: Option<IntermediateRoots<'a>>,
}

impl fmt::Debug for ExecuteOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecuteOptions")
            .field("record_access", &self.record_access)
            .field("record_hints", &self.record_hints)
            .field("intermediate_roots", &self.intermediate_roots.is_some())
            .finish()
    }
}

/// What the execution of a block leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockOutput<R> {
    /// One receipt per transaction.
    pub receipts: Vec<R>,
    /// Requests to the consensus layer (EIP-7685); empty before Prague.
    pub requests: Requests,
    /// Gas used by all transactions.
    pub gas_used: u64,
    /// Blob gas (Ethereum) or data-availability footprint (OP Stack, Jovian) of all transactions.
    pub blob_gas_used: u64,
    /// What changed in the state.
    pub changes: StateChanges,
    /// What was read from the parent's state, if it was asked for.
    pub accessed: Option<Accessed>,
    /// What those need who execute the block again with several threads, if it was asked for.
    pub hints: Option<BlockHints>,
    /// Whether receipts lack the intermediate state roots of their fork.
    pub lacks_intermediate_roots: bool,
}

/// What the transactions of a block have used up so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Transactions executed.
    pub transactions: usize,
    /// Gas used.
    pub gas_used: u64,
    /// Blob gas or data-availability footprint used.
    pub blob_gas_used: u64,
}

/// The parts of a body that matter after the transactions.
#[derive(Clone, Copy, Debug)]
pub struct BlockParts<'a, H> {
    /// Ommers, which are paid for.
    pub ommers: &'a [H],
    /// Withdrawals from the consensus layer.
    pub withdrawals: &'a [Withdrawal],
}

/// What one transaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionOutcome {
    /// Gas used, after refunds.
    pub gas_used: u64,
    /// Whether it succeeded (also known before Byzantium, when receipts did not say so).
    pub success: bool,
}

/// What is known of a transaction that the block has room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted {
    blob_gas_used: u64,
    deposit_nonce: Option<u64>,
}

/// Executes the transactions of one block in order.
///
/// The steps are [`Self::begin`], [`Self::transact`] for each transaction, and [`Self::finish`].
/// Leaving out the first and last runs transactions alone, as calls, traces and state tests do.
pub struct BlockExecutor<'a, C: Execute, S: StateReader> {
    chain: &'a C,
    pub(crate) header: &'a C::Header,
    pub(crate) evm: EvmOf<C, BlockState<S>>,
    has_intermediate_roots: bool,
    receipts: Vec<C::Receipt>,
    progress: Progress,
}

/// A block between two transactions. Unlike a [`BlockExecutor`], whose EVM is bound to its thread, it
/// can go on on another one.
pub struct PausedBlock<C: Execute, S: StateReader> {
    state: BlockState<S>,
    receipts: Vec<C::Receipt>,
    progress: Progress,
}

impl<C: Execute, S: StateReader> fmt::Debug for PausedBlock<C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PausedBlock").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl<C: Execute, S: StateReader> fmt::Debug for BlockExecutor<'_, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockExecutor").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl<'a, C: Execute, S: StateReader> BlockExecutor<'a, C, S> {
    /// An executor for the block with this header over its parent's state.
    pub fn new(chain: &'a C, header: &'a C::Header, state: S) -> Self {
        let state = BlockState::new(state, chain.state_rules(header));
        let paused = PausedBlock { state, receipts: Vec::new(), progress: Progress::default() };
        Self::resume(chain, header, paused)
    }

    /// Leaves the block between two transactions.
    pub fn pause(self) -> PausedBlock<C, S> {
        let Self { evm, receipts, progress, .. } = self;
        PausedBlock { state: evm.into_db(), receipts, progress }
    }

    /// Goes on with a block that was left, with the same chain and header as before.
    pub fn resume(chain: &'a C, header: &'a C::Header, paused: PausedBlock<C, S>) -> Self {
        let PausedBlock { state, receipts, progress } = paused;
        let is_recording = state.recorder.is_some();
        let evm = chain.evm_factory(header).create_evm(state, chain.evm_env(header));
        let evm = if is_recording { C::observe_balances(evm) } else { Ok(evm) };
        Self {
            chain,
            header,
            evm: evm.unwrap_or_else(|evm| evm),
            has_intermediate_roots: chain.has_intermediate_roots(header),
            receipts,
            progress,
        }
    }

    /// Writes down from now on what [`BlockOutput::hints`] tells. Before [`Self::begin`].
    #[must_use]
    pub fn recording_hints(self) -> Self {
        let (chain, header) = (self.chain, self.header);
        let mut paused = self.pause();
        paused.state.record();
        Self::resume(chain, header, paused)
    }

    /// Makes room for the results of `transactions` transactions.
    pub fn reserve(&mut self, transactions: usize) {
        self.receipts.reserve(transactions.min(1 << 16));
        self.evm.db_mut().reserve(transactions);
    }

    /// Does what comes before the first transaction.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn begin(&mut self) -> Result<(), ExecutionError<S::Error>> {
        self.chain.before_transactions(&mut self.evm, self.header)?;
        self.evm.db_mut().end_step();
        Ok(())
    }

    /// Executes the next transaction and makes its changes permanent; a refused transaction
    /// changes nothing.
    ///
    /// # Errors
    /// Why the transaction cannot stand in the block, or that the state cannot be read.
    pub fn transact(
        &mut self,
        transaction: &C::Transaction,
        sender: Address,
    ) -> Result<TransactionOutcome, ExecutionError<S::Error>> {
        self.transact_and(transaction, sender, |_| ())
    }

    /// As [`Self::transact`], and shows what the transaction changed, with what it only loaded, before that is
    /// made permanent.
    ///
    /// # Errors
    /// As [`Self::transact`].
    pub fn transact_and(
        &mut self,
        transaction: &C::Transaction,
        sender: Address,
        show: impl FnOnce(&EvmState),
    ) -> Result<TransactionOutcome, ExecutionError<S::Error>> {
        let admitted = self.admit(transaction, &sender)?;
        let tx_env = self.chain.tx_env(transaction, sender);
        let ResultAndState { result, mut state } = match self.evm.transact_raw(tx_env) {
            Ok(outcome) => outcome,
            Err(error) => return Err(self.refusal(transaction, &error)),
        };
        let block_state = self.evm.db_mut();
        if let Some(error) = block_state.take_error() {
            return Err(ExecutionError::State(error));
        }
        show(&state);
        block_state.record_reads(&sender, &state);
        block_state.commit_all(&mut state);
        if state.capacity() <= MAX_RECYCLED_ACCOUNTS {
            C::recycle(&mut self.evm, state);
        }
        Ok(self.record(transaction, admitted, result))
    }

    /// Checks that the block has room for the transaction.
    pub(crate) fn admit(
        &mut self,
        transaction: &C::Transaction,
        sender: &Address,
    ) -> Result<Admitted, ExecutionError<S::Error>> {
        let state = self.evm.db_mut();
        let blob_gas_used = self.chain.admit(state, self.header, transaction, &self.progress)?;
        let deposit_nonce = if self.chain.is_deposit(transaction) {
            Some(account_nonce(state, sender)?)
        } else {
            None
        };
        Ok(Admitted { blob_gas_used, deposit_nonce })
    }

    /// Counts a transaction whose changes are permanent, and makes its receipt.
    pub(crate) fn record<H: HaltReasonTr>(
        &mut self,
        transaction: &C::Transaction,
        admitted: Admitted,
        result: ExecutionResult<H>,
    ) -> TransactionOutcome {
        let Admitted { blob_gas_used, deposit_nonce } = admitted;
        let outcome =
            TransactionOutcome { gas_used: result.tx_gas_used(), success: result.is_success() };
        self.evm.db_mut().end_transaction(transaction.to(), outcome.gas_used == TRANSFER_GAS);
        self.progress.transactions += 1;
        self.progress.gas_used = self.progress.gas_used.saturating_add(outcome.gas_used);
        self.progress.blob_gas_used = self.progress.blob_gas_used.saturating_add(blob_gas_used);
        let status = if self.has_intermediate_roots {
            Eip658Value::PostState(B256::ZERO)
        } else {
            Eip658Value::Eip658(outcome.success)
        };
        let receipt = Receipt {
            status,
            cumulative_gas_used: self.progress.gas_used,
            logs: result.into_logs(),
        };
        self.receipts.push(self.chain.receipt(self.header, transaction, receipt, deposit_nonce));
        outcome
    }

    /// Does what comes after the last transaction and returns everything.
    ///
    /// # Errors
    /// When a system call fails that must not, or the state cannot be read.
    pub fn finish(
        mut self,
        parts: BlockParts<'_, C::Header>,
        record_access: bool,
    ) -> Result<BlockOutput<C::Receipt>, ExecutionError<S::Error>> {
        let requests =
            self.chain.after_transactions(&mut self.evm, self.header, parts, &self.receipts)?;
        let mut state = self.evm.into_db();
        state.end_step();
        Ok(BlockOutput {
            requests,
            gas_used: self.progress.gas_used,
            blob_gas_used: self.progress.blob_gas_used,
            accessed: record_access.then(|| state.accessed()),
            hints: state.take_hints(),
            changes: state.into_changes(),
            lacks_intermediate_roots: self.has_intermediate_roots && !self.receipts.is_empty(),
            receipts: self.receipts,
        })
    }

    /// What changed in the state so far.
    pub fn changes(&self) -> StateChanges {
        self.evm.db().changes()
    }

    /// The chain definition.
    pub const fn chain(&self) -> &'a C {
        self.chain
    }

    /// The receipts so far.
    pub fn receipts(&self) -> &[C::Receipt] {
        &self.receipts
    }

    /// What the transactions have used up so far.
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    fn refusal<E: alloy_evm::EvmError>(
        &mut self,
        transaction: &C::Transaction,
        error: &E,
    ) -> ExecutionError<S::Error> {
        let state = self.evm.db_mut();
        state.forget_reads();
        // Whatever revm makes of a read that failed, the transaction is not at fault.
        if let Some(error) = state.take_error() {
            return ExecutionError::State(error);
        }
        let (index, hash) = (self.progress.transactions, *transaction.tx_hash());
        match error.as_invalid_tx_err() {
            Some(reason) if calls_peer(reason) => ExecutionError::CallsPeer { index, hash },
            Some(reason) => ExecutionError::Transaction { index, hash, reason: reason.to_string() },
            None => ExecutionError::Evm(error.to_string()),
        }
    }
}

/// Whether a transaction is refused because it calls a peer and has no part.
fn calls_peer(reason: &impl InvalidTxError) -> bool {
    let Some(InvalidTransaction::Str(text)) = reason.as_invalid_tx_err() else { return false };
    text == CALLS_PEER
}

/// Executes a block over its parent's state.
///
/// # Errors
/// The first reason why the block cannot be executed; see [`ExecutionError`].
pub fn execute_block<C: Execute, S: StateReader>(
    chain: &C,
    block: &Block<C>,
    senders: &[Address],
    state: S,
    options: ExecuteOptions<'_>,
) -> Result<BlockOutput<C::Receipt>, ExecutionError<S::Error>> {
    let transactions = &block.body.transactions;
    if senders.len() != transactions.len() {
        let (senders, transactions) = (senders.len(), transactions.len());
        return Err(ExecutionError::SenderCount { senders, transactions });
    }
    let mut executor = BlockExecutor::new(chain, &block.header, state);
    if options.record_hints {
        executor = executor.recording_hints();
    }
    executor.reserve(transactions.len());
    executor.begin()?;
    let mut roots = Vec::new();
    let mut intermediate_roots =
        options.intermediate_roots.filter(|_| chain.has_intermediate_roots(&block.header));
    for (index, (transaction, sender)) in transactions.iter().zip(senders).enumerate() {
        executor.transact(transaction, *sender)?;
        if let Some(root_after) = &mut intermediate_roots {
            let root = root_after(&executor.changes()).map_err(|error| {
                ExecutionError::IntermediateRoot { index, reason: error.to_string() }
            })?;
            roots.push(root);
        }
    }
    let parts = BlockParts {
        ommers: &block.body.ommers,
        withdrawals: block.body.withdrawals.as_deref().map_or(&[], |list| list.as_slice()),
    };
    let mut output = executor.finish(parts, options.record_access)?;
    if intermediate_roots.is_some() {
        fill_roots(chain, block, &mut output, &roots);
    }
    Ok(output)
}

/// Puts the intermediate state roots into the receipts.
fn fill_roots<C: Execute>(
    chain: &C,
    block: &Block<C>,
    output: &mut BlockOutput<C::Receipt>,
    roots: &[B256],
) {
    use alloy_consensus::TxReceipt;
    let receipts = output.receipts.drain(..).zip(&block.body.transactions).zip(roots);
    output.receipts = receipts
        .map(|((receipt, transaction), root)| {
            let receipt = Receipt {
                status: Eip658Value::PostState(*root),
                cumulative_gas_used: receipt.cumulative_gas_used(),
                logs: receipt.into_logs(),
            };
            chain.receipt(&block.header, transaction, receipt, None)
        })
        .collect::<Vec<_>>();
    output.lacks_intermediate_roots = false;
}

/// The transaction's gas limit fits into what is left of the block's.
pub(crate) fn admit_gas<C: Chain, E>(
    header: &C::Header,
    transaction: &C::Transaction,
    progress: &Progress,
) -> Result<(), ExecutionError<E>> {
    let available = header.gas_limit().saturating_sub(progress.gas_used);
    if transaction.gas_limit() <= available {
        return Ok(());
    }
    Err(ExecutionError::GasLimit {
        index: progress.transactions,
        hash: *transaction.tx_hash(),
        gas_limit: transaction.gas_limit(),
        available,
    })
}

fn account_nonce<S: StateReader>(
    state: &mut BlockState<S>,
    address: &Address,
) -> Result<u64, ExecutionError<S::Error>> {
    match state.account(address) {
        Ok(account) => Ok(account.map_or(0, |info| info.nonce)),
        Err(error) => Err(evm_failure(state, error)),
    }
}

/// An error that came through revm: the reader's own if it made one.
pub(crate) fn evm_failure<S: StateReader>(
    state: &mut BlockState<S>,
    error: impl core::error::Error,
) -> ExecutionError<S::Error> {
    match state.take_error() {
        Some(error) => ExecutionError::State(error),
        None => ExecutionError::Evm(error.to_string()),
    }
}

/// As [`evm_failure`], for what touches the state outside the EVM.
pub(crate) fn state_result<S: StateReader, T>(
    state: &mut BlockState<S>,
    result: Result<T, StateError>,
) -> Result<T, ExecutionError<S::Error>> {
    result.map_err(|error| evm_failure(state, error))
}
