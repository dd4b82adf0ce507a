//! Build a block, transaction by transaction.

use crate::{
    BlockPlan, BuildError, BuiltPayload, PayloadBuilder, Payloads, Refusal, StateRoots,
    execute::{Parent, commit, difficulty_after, storage_root},
};
use alloy_consensus::{BlockHeader, Transaction, transaction::SignerRecoverable};
use alloy_eips::{eip4895::Withdrawal, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Address, B256, Sealable, Sealed, U256};
use alloy_rlp::Encodable;
use lockstep_execution::{
    BlockExecutor, BlockOutput, BlockParts, ExecutionError, PausedBlock, TransactionOutcome,
};
use lockstep_parallel::{BlockMemory, ParallelExecutor};
use lockstep_storage::{ExecutedBlock, RecoveredBlock, State, StorageError};
use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The most bytes of RLP that a header takes, with room to spare.
const HEADER_BYTES: usize = 1024;

/// A block in the making. It stays on its thread; [`Self::pause`] frees it.
pub struct BlockBuilder<'a, C: Payloads> {
    pub(crate) executor: BlockExecutor<'a, C, &'a dyn State>,
    pub(crate) contents: Contents<'a, C>,
}

/// A block in the making that rests between two transactions, and may go to another thread.
pub struct PausedBuilder<'a, C: Payloads> {
    chain: &'a C,
    executor: PausedBlock<C, &'a dyn State>,
    contents: Contents<'a, C>,
}

/// What a block in the making holds beside the state.
pub(crate) struct Contents<'a, C: Payloads> {
    pub(crate) header: &'a C::Header,
    pub(crate) transactions: Vec<C::Transaction>,
    pub(crate) senders: Vec<Address>,
    blobs: Vec<Arc<BlobTransactionSidecarVariant>>,
    fees: U256,
    bytes: usize,
    blob_count: u64,
    limits: Limits,
    withdrawals: &'a [Withdrawal],
    room: Room,
    cancelled: &'a AtomicBool,
    /// The parent's state.
    pub(crate) state: &'a dyn State,
    /// Executes ahead what is offered.
    pub(crate) parallel: &'a ParallelExecutor,
    /// What it knows of the block, if anything was offered.
    pub(crate) memory: Option<BlockMemory>,
}

/// Gas that a block has for transactions that its attributes do not demand.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// If they demand one at most.
    at_best: u64,
    /// As they are.
    begun: u64,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    bytes: usize,
    transaction_bytes: usize,
    blobs: u64,
    blob_base_fee: Option<u128>,
}

impl<C: Payloads> Debug for BlockBuilder<'_, C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlockBuilder")
            .field("transactions", &self.contents.transactions.len())
            .field("fees", &self.contents.fees)
            .field("bytes", &self.contents.bytes)
            .finish_non_exhaustive()
    }
}

impl<C: Payloads> Debug for PausedBuilder<'_, C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PausedBuilder")
            .field("transactions", &self.contents.transactions.len())
            .finish_non_exhaustive()
    }
}

impl<'a, C: Payloads> PausedBuilder<'a, C> {
    /// Goes on with the block, on this thread.
    pub fn resume(self) -> BlockBuilder<'a, C> {
        let Self { chain, executor, contents } = self;
        BlockBuilder { executor: BlockExecutor::resume(chain, contents.header, executor), contents }
    }
}

impl<'a, C: Payloads> BlockBuilder<'a, C> {
    /// Lets the block rest.
    pub fn pause(self) -> PausedBuilder<'a, C> {
        let Self { executor, contents } = self;
        PausedBuilder { chain: executor.chain(), executor: executor.pause(), contents }
    }
}

impl<C: Payloads> BlockBuilder<'_, C> {
    /// The header, as far as it is known before the block is complete.
    pub const fn header(&self) -> &C::Header {
        self.contents.header
    }

    /// The base fee, in wei per gas.
    pub fn base_fee(&self) -> u64 {
        self.contents.header.base_fee_per_gas().unwrap_or_default()
    }

    /// The price of blob gas, in wei, where the fork knows blobs.
    pub const fn blob_base_fee(&self) -> Option<u128> {
        self.contents.limits.blob_base_fee
    }

    /// Gas that transactions may still use.
    pub fn gas_left(&self) -> u64 {
        self.contents.header.gas_limit().saturating_sub(self.executor.progress().gas_used)
    }

    /// Gas that the transactions so far used.
    pub fn gas_used(&self) -> u64 {
        self.executor.progress().gas_used
    }

    /// Whether transactions that its attributes do not demand fill more than half of what they may. As
    /// long as they do not, one that finds no room says little about the next.
    pub fn is_filling(&self) -> bool {
        self.gas_left() < self.contents.room.begun / 2
    }

    /// The transactions so far.
    pub fn transactions(&self) -> &[C::Transaction] {
        &self.contents.transactions
    }

    /// What the transactions so far pay to the fee recipient, in wei.
    pub const fn fees(&self) -> U256 {
        self.contents.fees
    }

    /// Takes no more than `more` bytes of transactions from here on, and none that is larger than
    /// `transaction` bytes, as the block's RLP has them. Limits only ever fall.
    pub fn limit_bytes(&mut self, more: usize, transaction: usize) {
        self.contents.limits.bytes =
            self.contents.limits.bytes.min(self.contents.bytes.saturating_add(more));
        self.contents.limits.transaction_bytes =
            self.contents.limits.transaction_bytes.min(transaction);
    }

    /// Whether nobody waits for the block any more.
    pub fn is_cancelled(&self) -> bool {
        self.contents.cancelled.load(Ordering::Relaxed)
    }

    /// Executes a transaction as the next of the block. One with blobs comes with its sidecar.
    ///
    /// # Errors
    /// Why it was not taken; the block stays as it was.
    pub fn push(
        &mut self,
        transaction: C::Transaction,
        sender: Address,
        sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
    ) -> Result<TransactionOutcome, Refusal> {
        self.check_room(&transaction)?;
        let outcome = self.executor.transact(&transaction, sender);
        let outcome = outcome.map_err(|error| self.refusal(error))?;
        self.append(transaction, sender, sidecar, outcome);
        Ok(outcome)
    }

    /// Why a transaction was not taken that could not be executed.
    pub(crate) fn refusal(&self, error: ExecutionError<StorageError>) -> Refusal {
        match error {
            ExecutionError::GasLimit { gas_limit, .. }
                if gas_limit > self.contents.room.at_best =>
            {
                Refusal::TooLarge(error.to_string())
            }
            ExecutionError::DataFootprint { footprint, .. }
                if footprint > self.contents.header.gas_limit() =>
            {
                Refusal::TooLarge(error.to_string())
            }
            ExecutionError::GasLimit { .. } | ExecutionError::DataFootprint { .. } => {
                Refusal::NoRoom(error.to_string())
            }
            ExecutionError::State(error) => BuildError::from(error).into(),
            ExecutionError::CallsPeer { .. } => Refusal::CallsPeer,
            error if error.is_invalid_block() => Refusal::Invalid(error.to_string()),
            error => BuildError::Execution(error.to_string()).into(),
        }
    }

    /// Whether the limits on bytes and blobs leave room for the transaction.
    pub(crate) fn check_room(&self, transaction: &C::Transaction) -> Result<(), Refusal> {
        let length = transaction.length();
        if length > self.contents.limits.transaction_bytes {
            // Not for want of room: others must not be kept out by many that are too large.
            let limit = self.contents.limits.transaction_bytes;
            return Err(Refusal::Invalid(format!("{length} bytes, the limit is {limit}")));
        }
        let bytes = self.contents.bytes.saturating_add(length);
        if bytes > self.contents.limits.bytes {
            return Err(Refusal::NoRoom(format!(
                "{bytes} bytes, the limit is {}",
                self.contents.limits.bytes
            )));
        }
        let blobs =
            self.contents.blob_count.saturating_add(transaction.blob_count().unwrap_or_default());
        if blobs > self.contents.limits.blobs {
            return Err(Refusal::NoRoom(format!(
                "{blobs} blobs, the limit is {}",
                self.contents.limits.blobs
            )));
        }
        Ok(())
    }

    /// Counts a transaction that was executed.
    pub(crate) fn append(
        &mut self,
        transaction: C::Transaction,
        sender: Address,
        sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
        outcome: TransactionOutcome,
    ) {
        if !self.executor_pays_nobody(&transaction) {
            let tip = transaction.effective_tip_per_gas(self.base_fee()).unwrap_or_default();
            let paid = U256::from(tip).saturating_mul(U256::from(outcome.gas_used));
            self.contents.fees = self.contents.fees.saturating_add(paid);
        }
        self.contents.bytes = self.contents.bytes.saturating_add(transaction.length());
        let blobs = transaction.blob_count().unwrap_or_default();
        self.contents.blob_count = self.contents.blob_count.saturating_add(blobs);
        self.contents.blobs.extend(sidecar);
        self.contents.transactions.push(transaction);
        self.contents.senders.push(sender);
    }

    /// Deposits have no price.
    fn executor_pays_nobody(&self, transaction: &C::Transaction) -> bool {
        self.executor.chain().is_deposit(transaction)
    }
}

fn failure(error: ExecutionError<StorageError>) -> BuildError {
    match error {
        ExecutionError::State(error) => error.into(),
        error if error.is_invalid_block() => BuildError::Invalid(error.to_string()),
        error => BuildError::Execution(error.to_string()),
    }
}

/// A block that was begun on a known block, and stays open until
/// [`Engine::close_block`](crate::Engine::close_block).
///
/// It holds what does not change while transactions are added; [`Self::builder`] adds them.
#[derive(Debug)]
pub struct OpenBlock<C: Payloads> {
    pub(crate) chain: C,
    pub(crate) parent: Parent<C>,
    pub(crate) plan: BlockPlan<C>,
    pub(crate) parallel: Arc<ParallelExecutor>,
}

impl<C: Payloads> OpenBlock<C> {
    /// Executes what comes before the transactions of others, and goes on from there.
    ///
    /// # Errors
    /// When what the attributes demand cannot stand in the block, or the parent's state not be read.
    pub fn builder<'a>(
        &'a self,
        cancelled: &'a AtomicBool,
    ) -> Result<BlockBuilder<'a, C>, BuildError> {
        begin(&self.chain, &self.parent, &self.plan, &self.parallel, cancelled)
    }

    /// The block's header, as far as it is known before the block is complete.
    pub const fn header(&self) -> &C::Header {
        &self.plan.header
    }

    /// The chain definition.
    pub const fn chain(&self) -> &C {
        &self.chain
    }

    /// Whether transactions may come in that the attributes do not demand (`no_tx_pool` of the OP Stack's).
    pub const fn takes_transactions(&self) -> bool {
        self.plan.takes_transactions
    }

    /// The state that the block begins with.
    pub fn parent_state(&self) -> Arc<dyn State> {
        self.parent.state.clone()
    }
}

/// A block with the transactions that its attributes demand.
fn begin<'a, C: Payloads>(
    chain: &'a C,
    parent: &'a Parent<C>,
    plan: &'a BlockPlan<C>,
    parallel: &'a ParallelExecutor,
    cancelled: &'a AtomicBool,
) -> Result<BlockBuilder<'a, C>, BuildError> {
    let header = &plan.header;
    let withdrawals = plan.withdrawals.as_ref();
    let contents = Contents {
        header,
        transactions: Vec::new(),
        senders: Vec::new(),
        blobs: Vec::new(),
        fees: U256::ZERO,
        bytes: HEADER_BYTES.saturating_add(withdrawals.map_or(0, Encodable::length)),
        blob_count: 0,
        limits: Limits {
            bytes: plan.max_bytes,
            transaction_bytes: usize::MAX,
            blobs: plan.max_blobs,
            blob_base_fee: plan.blob_base_fee,
        },
        withdrawals: withdrawals.map_or(&[], |list| list.as_slice()),
        room: Room { at_best: header.gas_limit(), begun: header.gas_limit() },
        cancelled,
        state: &*parent.state,
        parallel,
        memory: None,
    };
    let executor = BlockExecutor::new(chain, header, &*parent.state);
    let mut block = BlockBuilder { executor, contents };
    block.executor.begin().map_err(failure)?;
    for (index, transaction) in plan.forced.iter().enumerate() {
        push_forced(&mut block, index, transaction)?;
        if index == 0 {
            block.contents.room.at_best = block.gas_left();
        }
    }
    block.contents.room.begun = block.gas_left();
    Ok(block)
}

/// Builds a block on `parent`. `commitment` is to the parent's state and becomes that to the
/// block's; after an error it must not be used again.
pub(crate) fn build<C: Payloads>(
    chain: &C,
    parent: &Parent<C>,
    plan: BlockPlan<C>,
    builder: Option<&dyn PayloadBuilder<C>>,
    commitment: &mut C::Commitment,
    parallel: &ParallelExecutor,
    cancelled: &AtomicBool,
) -> Result<BuiltPayload<C>, BuildError> {
    let mut block = begin(chain, parent, &plan, parallel, cancelled)?;
    if let Some(builder) = builder.filter(|_| plan.takes_transactions) {
        builder.build(&mut block)?;
    }
    let filled = block.fill()?;
    finish(chain, parent, plan, filled, commitment)
}

fn push_forced<C: Payloads>(
    block: &mut BlockBuilder<'_, C>,
    index: usize,
    transaction: &C::Transaction,
) -> Result<(), BuildError> {
    let sender = transaction
        .recover_signer()
        .map_err(|error| BuildError::Forced { index, reason: error.to_string() })?;
    match block.push(transaction.clone(), sender, None) {
        Ok(_) => Ok(()),
        Err(Refusal::Failed(error)) => Err(error),
        Err(refusal) => Err(BuildError::Forced { index, reason: refusal.to_string() }),
    }
}

/// A block whose transactions are all there, and executed.
#[derive(Debug)]
pub struct FilledBlock<C: Payloads> {
    transactions: Vec<C::Transaction>,
    senders: Vec<Address>,
    blobs: Vec<Arc<BlobTransactionSidecarVariant>>,
    fees: U256,
    output: BlockOutput<C::Receipt>,
}

impl<C: Payloads> BlockBuilder<'_, C> {
    /// Ends the block: nothing can be added any more.
    ///
    /// # Errors
    /// When a system call fails that must not, or the state cannot be read.
    pub fn fill(self) -> Result<FilledBlock<C>, BuildError> {
        let Self { executor, contents } = self;
        let Contents { transactions, senders, blobs, fees, withdrawals, parallel, memory, .. } =
            contents;
        if let Some(memory) = memory {
            parallel.forget(memory);
        }
        let output = executor.finish(BlockParts { ommers: &[], withdrawals }, false);
        Ok(FilledBlock { transactions, senders, blobs, fees, output: output.map_err(failure)? })
    }
}

pub(crate) fn finish<C: Payloads>(
    chain: &C,
    parent: &Parent<C>,
    plan: BlockPlan<C>,
    filled: FilledBlock<C>,
    commitment: &mut C::Commitment,
) -> Result<BuiltPayload<C>, BuildError> {
    let FilledBlock { transactions, senders, blobs, fees, output } = filled;
    let state = &*parent.state;
    let (root, nodes) = commit(&output.changes, commitment, state)?;
    let storage = match chain.storage_commitment(&plan.header) {
        Some((account, _)) => Some(storage_root(commitment, account, state)?),
        None => None,
    };
    let roots = StateRoots { state: root, storage };
    let complete = chain.complete(plan, transactions, &output, roots);
    let hash: B256 = complete.header.hash_slow();
    let total_difficulty = difficulty_after(parent.total_difficulty, &complete.header);
    let block = Arc::new(RecoveredBlock { block: Sealed::new_unchecked(complete, hash), senders });
    let executed = ExecutedBlock::new(
        block,
        output.receipts,
        output.requests,
        total_difficulty,
        output.changes,
        nodes,
    );
    Ok(BuiltPayload { block: Arc::new(executed), fees, blobs })
}
