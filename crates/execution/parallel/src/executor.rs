//! Threads that execute blocks, and whether a block is for one or for all of them.

use crate::{
    leader::Leader,
    memory::{Memory, Tables},
    work::Work,
};
use alloy_consensus::{BlockHeader as _, Transaction};
use alloy_primitives::Address;
use lockstep_chain::Block;
use lockstep_execution::{
    BlockExecutor, BlockOutput, BlockParts, ExecuteOptions, ExecutionError, Speculate, StateReader,
    execute_block,
};
use parking_lot::Mutex;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;

/// Blocks whose code uses less gas are executed by one thread, and those with fewer transactions that run code: to
/// wake others takes as long.
const MIN_WORK: u64 = 4_000_000;
const MIN_CALLS: usize = 6;

/// What any transaction costs before its first opcode (Yellow Paper, appendix G).
const TRANSACTION_GAS: u64 = 21_000;

/// Tables that are kept for later blocks.
const MAX_TABLES: usize = 4;

/// Why a [`ParallelExecutor`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("{threads} threads cannot be started: {reason}")]
pub struct ThreadsError {
    threads: usize,
    reason: String,
}

/// What has become of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Executed before their turns, and taken over.
    pub ahead: u64,
    /// Executed before their turns to no use, and again in order.
    pub again: u64,
    /// Executed in order alone.
    pub in_order: u64,
    /// Did nothing but pay, and needed no EVM.
    pub transfers: u64,
}

impl Statistics {
    /// Counts a transaction that others had.
    pub(crate) const fn count(&mut self, was_of_use: bool, is_transfer: bool) {
        match (was_of_use, is_transfer) {
            (true, true) => self.transfers += 1,
            (true, false) => self.ahead += 1,
            (false, _) => self.again += 1,
        }
    }
}

/// Executes blocks with several threads, which it keeps.
#[derive(Debug)]
pub struct ParallelExecutor {
    /// All but the caller's thread; none if that is the only one.
    pool: Option<ThreadPool>,
    threads: usize,
    min_work: u64,
    tables: Arc<Mutex<Vec<Tables>>>,
    statistics: Mutex<Statistics>,
}

impl ParallelExecutor {
    /// An executor with this many threads, of which the caller's is one; at least one.
    ///
    /// # Errors
    /// If they cannot be started.
    pub fn new(threads: usize) -> Result<Self, ThreadsError> {
        let threads = threads.max(1);
        let start = |others| {
            let name = |index| format!("execution-{index}");
            let pool = ThreadPoolBuilder::new().num_threads(others).thread_name(name).build();
            pool.map_err(|error| ThreadsError { threads, reason: error.to_string() })
        };
        let others = threads - 1;
        let pool = if others == 0 { None } else { Some(start(others)?) };
        let (min_work, tables, statistics) = (MIN_WORK, Arc::default(), Mutex::default());
        Ok(Self { pool, threads, min_work, tables, statistics })
    }

    /// Executes any block with all threads that has two transactions, however long it takes to wake them.
    #[must_use]
    pub const fn always_parallel(mut self) -> Self {
        self.min_work = 0;
        self
    }

    /// What has become of the transactions of all blocks that it has executed.
    pub fn statistics(&self) -> Statistics {
        *self.statistics.lock()
    }

    /// [`execute_block`], on several threads.
    ///
    /// # Errors
    /// As there, and the same.
    pub fn execute_block<C, S>(
        &self,
        chain: &C,
        block: &Block<C>,
        senders: &[Address],
        state: &S,
        options: ExecuteOptions<'_>,
    ) -> Result<BlockOutput<C::Receipt>, ExecutionError<S::Error>>
    where
        C: Speculate,
        S: StateReader + Sync,
    {
        let needs_roots =
            options.intermediate_roots.is_some() && chain.has_intermediate_roots(&block.header);
        if needs_roots || senders.len() != block.body.transactions.len() {
            return execute_block(chain, block, senders, state, options);
        }
        let prefix = chain.ordered_prefix(&block.body.transactions);
        let task = Task { chain, block, senders, prefix, record_access: options.record_access };
        let pool = self.pool.as_ref().filter(|_| self.is_worth_waking(&task));
        let Some(pool) = pool else {
            let mut statistics = Statistics::default();
            let output = task.execute_alone(state, &mut statistics);
            self.note(&statistics);
            return output;
        };
        let tables = self.tables.lock().pop().unwrap_or_default();
        let memory = Memory::new(state, &tables, chain.fee_recipients(&block.header));
        let output = self.execute(pool, &task, &memory);
        drop(memory);
        self.keep(pool, tables);
        output
    }

    /// Whether the block seems to have work for several threads: by what its header says that it uses, less what its
    /// transactions cost before their first opcode. A wrong header costs time alone.
    fn is_worth_waking<C: Speculate>(&self, task: &Task<'_, C>) -> bool {
        let Task { block, prefix, .. } = *task;
        let transactions = &block.body.transactions;
        if self.min_work == 0 {
            return transactions.len() > prefix + 1;
        }
        let fixed = (transactions.len() as u64).saturating_mul(TRANSACTION_GAS);
        let calls = transactions.iter().skip(prefix).filter(|transaction| runs_code(*transaction));
        block.header.gas_used().saturating_sub(fixed) >= self.min_work && calls.count() >= MIN_CALLS
    }

    /// Gives it tables for its next block.
    #[cfg(test)]
    pub(crate) fn lend(&self, tables: Tables) {
        self.tables.lock().push(tables);
    }

    fn note(&self, statistics: &Statistics) {
        let Statistics { ahead, again, in_order, transfers } = *statistics;
        let mut all = self.statistics.lock();
        all.ahead += ahead;
        all.again += again;
        all.in_order += in_order;
        all.transfers += transfers;
    }

    /// Empties the tables when a thread has nothing else to do.
    fn keep(&self, pool: &ThreadPool, mut tables: Tables) {
        let kept = self.tables.clone();
        pool.spawn(move || {
            tables.clear();
            let mut kept = kept.lock();
            if kept.len() < MAX_TABLES {
                kept.push(tables);
            }
        });
    }

    fn execute<'a, C, S>(
        &self,
        pool: &ThreadPool,
        task: &Task<'_, C>,
        memory: &Memory<'a, S>,
    ) -> Result<BlockOutput<C::Receipt>, ExecutionError<S::Error>>
    where
        C: Speculate,
        S: StateReader + Sync,
    {
        let Task { chain, block, senders, prefix, record_access } = *task;
        let transactions = &block.body.transactions;
        let mut executor = BlockExecutor::new(chain, &block.header, memory.reader);
        executor.reserve(transactions.len());
        executor.begin()?;
        for (transaction, sender) in transactions.iter().zip(senders).take(prefix) {
            executor.transact(transaction, *sender)?;
        }
        memory.tell_changes(&executor.changes());
        let remembered = executor.remembered();
        let work = Work::new(chain, block, senders, memory, remembered, prefix);
        let others = (self.threads - 1).min(work.chunks());
        let statistics = pool.in_place_scope(|scope| {
            for _ in 0..others {
                scope.spawn(|_| work.help());
            }
            let done = Leader::new(&work, &mut executor).lead();
            work.end();
            done
        })?;
        self.note(&statistics);
        executor.finish(parts_of::<C>(block), record_access)
    }
}

/// A block to execute.
struct Task<'t, C: Speculate> {
    chain: &'t C,
    block: &'t Block<C>,
    senders: &'t [Address],
    /// So many transactions are executed before any other.
    prefix: usize,
    record_access: bool,
}

impl<C: Speculate> Task<'_, C> {
    /// [`execute_block`], without the EVM where a transaction does nothing but pay.
    fn execute_alone<S: StateReader>(
        &self,
        state: &S,
        statistics: &mut Statistics,
    ) -> Result<BlockOutput<C::Receipt>, ExecutionError<S::Error>> {
        let Task { chain, block, senders, prefix, record_access } = *self;
        let transactions = &block.body.transactions;
        let mut executor = BlockExecutor::new(chain, &block.header, state);
        executor.reserve(transactions.len());
        executor.begin()?;
        let mut rules = None;
        for (index, (transaction, sender)) in transactions.iter().zip(senders).enumerate() {
            if index == prefix {
                rules = chain.transfer_rules(&block.header, &executor.remembered());
            }
            let transfer = rules.as_ref().and_then(|rules| rules.transfer(transaction, *sender));
            if let Some(transfer) = transfer
                && chain.may_speculate(transactions, index)
                && executor.transfer(transaction, &transfer)?.is_some()
            {
                statistics.transfers += 1;
                continue;
            }
            statistics.in_order += 1;
            executor.transact(transaction, *sender)?;
        }
        executor.finish(parts_of::<C>(block), record_access)
    }
}

fn parts_of<C: Speculate>(block: &Block<C>) -> BlockParts<'_, C::Header> {
    BlockParts {
        ommers: &block.body.ommers,
        withdrawals: block.body.withdrawals.as_deref().map_or(&[], |list| list.as_slice()),
    }
}

fn runs_code(transaction: &impl Transaction) -> bool {
    !transaction.input().is_empty()
}
