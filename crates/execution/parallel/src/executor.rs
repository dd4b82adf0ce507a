//! Threads that execute blocks, and whether a block is for one or for all of them.

use crate::{
    Ahead, RangeBlock,
    caution::Caution,
    hot::HotContracts,
    memory::{Memory, Tables, Turn},
    overlay::Overlay,
    range::Range,
    work::{Batch, Work},
};
use alloy_consensus::{BlockHeader as _, Transaction};
use alloy_primitives::Address;
use lockstep_chain::Block;
use lockstep_execution::{
    BlockOutput, ExecuteOptions, ExecutionError, Speculate, StateChanges, StateReader,
    execute_block,
};
use parking_lot::Mutex;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{ops::ControlFlow, sync::Arc};

/// Blocks whose code uses less gas are executed by one thread, and those with fewer transactions that run code: to
/// wake others takes as long.
const MIN_WORK: u64 = 5_000_000;
const MIN_CALLS: usize = 18;

/// What does nothing but pay needs no EVM here, with one thread either; but for so few it does not pay to prepare. Not
/// before Spurious Dragon ([`Transfer`](lockstep_execution::Transfer)).
const MIN_PAYMENTS: usize = 8;

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

    /// How many threads it has, with the caller's.
    pub const fn threads(&self) -> usize {
        self.threads
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
        let transactions = block.body.transactions.len();
        let blocks = [RangeBlock { block, senders }];
        let ExecuteOptions { record_access, record_hints, hints, .. } = options;
        let range = Range::new(chain, &blocks, record_access).with_hints(record_hints, hints);
        let has_payments = chain.state_rules(&block.header).deletes_empty_accounts
            && transactions - block.body.transactions.iter().filter(|it| runs_code(*it)).count()
                >= MIN_PAYMENTS;
        let is_for_one = !has_payments && !self.is_worth_waking(&range);
        // Of one transaction nothing is executed ahead.
        if needs_roots || senders.len() != transactions || transactions < 2 || is_for_one {
            self.note(&Statistics { in_order: transactions as u64, ..Statistics::default() });
            return execute_block(chain, block, senders, state, options);
        }
        let mut made = None;
        let _ = self.run(&range, state, &mut Overlay::new(state), &mut |_, output| {
            made = Some(output);
            ControlFlow::Break(())
        });
        // There is one block, and it is executed.
        made.unwrap_or_else(|| Err(ExecutionError::Evm("the block was not executed".into())))
    }

    /// Whether the blocks seem to have work for several threads: by what their headers say that they use, less what
    /// transactions cost before their first opcode. A wrong header costs time alone.
    pub(crate) fn is_worth_waking<C: Speculate>(&self, range: &Range<'_, C>) -> bool {
        let (mut work, mut calls, mut transactions) = (0_u64, 0, 0);
        for batch in range.batches() {
            let fixed = (batch.transactions.len() as u64).saturating_mul(TRANSACTION_GAS);
            work = work.saturating_add(batch.header.gas_used().saturating_sub(fixed));
            calls += calls_of(&batch);
            transactions += batch.transactions.len() - batch.first;
        }
        if self.min_work == 0 {
            return transactions > 1;
        }
        work >= self.min_work && calls >= MIN_CALLS
    }

    /// Gives it tables for its next block.
    #[cfg(test)]
    pub(crate) fn lend(&self, tables: Tables) {
        self.tables.lock().push(tables);
    }

    /// Whether candidates for a block in the making seem to have work for several threads.
    pub fn is_worth_offering<C: Speculate>(&self, batch: &Batch<'_, C>) -> bool {
        self.threads > 1 && (self.min_work == 0 || calls_of(batch) >= MIN_CALLS)
    }

    /// What those have to know who execute a block's transactions ahead: the state after `changes` to `state`.
    pub fn learn<C: Speculate, S: StateReader>(
        &self,
        chain: &C,
        header: &C::Header,
        state: &S,
        changes: &StateChanges,
    ) -> BlockMemory {
        let tables = self.take_tables(0);
        let fee_recipients = chain.fee_recipients(header);
        Memory::new(state, &tables, &fee_recipients, &[]).tell_changes(0, changes);
        BlockMemory { tables, fee_recipients, ..BlockMemory::default() }
    }

    /// Takes back what was learned of a block.
    pub fn forget(&self, memory: BlockMemory) {
        if let Some(pool) = &self.pool {
            self.put_back(pool, memory.tables);
        }
    }

    pub(crate) const fn pool(&self) -> Option<&ThreadPool> {
        self.pool.as_ref()
    }

    /// Empty tables, with room for so many transactions.
    pub(crate) fn take_tables(&self, transactions: usize) -> Tables {
        let kept = self.tables.lock().pop().filter(|tables| tables.has_room(transactions));
        kept.unwrap_or_else(|| Tables::with_room(transactions))
    }

    /// Empties tables for the next block, when a thread has nothing else to do.
    pub(crate) fn put_back(&self, pool: &ThreadPool, mut tables: Tables) {
        let kept = self.tables.clone();
        pool.spawn(move || {
            tables.clear();
            let mut kept = kept.lock();
            if kept.len() < MAX_TABLES {
                kept.push(tables);
            }
        });
    }

    /// Has transactions executed ahead while `lead` brings them into their block, in order, on at most so many threads.
    /// `remembered` is what the EVM that executes in order remembers ([`BlockExecutor::remembered`](lockstep_execution::BlockExecutor::remembered)), and `state` the
    /// parent's. Without a `memory`, or if that shows that it does not pay, nothing is executed ahead.
    ///
    /// A memory is of one block; its batches follow each other. What else came into the block between them need not be
    /// told: it costs time alone.
    pub fn ahead<'b, C, S, T>(
        &self,
        batch: Batch<'b, C>,
        remembered: C::Remembered,
        state: &S,
        memory: Option<&mut BlockMemory>,
        threads: usize,
        lead: impl FnOnce(&mut Ahead<'_, '_, '_, C, S>) -> T,
    ) -> T
    where
        C: Speculate,
        S: StateReader + Sync,
    {
        let others = threads.min(self.threads).saturating_sub(1);
        let memory = memory.filter(|it| others > 0 && !it.caution.has_given_up);
        let Some((pool, memory)) = self.pool.as_ref().zip(memory) else {
            let (hot, mut caution) = (HotContracts::default(), Caution::default());
            let work = Work::new(batch, None, 0, &hot);
            work.begin(remembered);
            let mut ahead = Ahead::new(&work, &mut caution);
            let done = lead(&mut ahead);
            self.note(&ahead.statistics());
            return done;
        };
        let BlockMemory { tables, fee_recipients, hot, caution, turns } = memory;
        let known = Memory::new(state, tables, fee_recipients, &[]);
        let turns_before = *turns;
        *turns =
            turns.saturating_add(Turn::try_from(batch.transactions.len()).unwrap_or(Turn::MAX));
        let work = Work::new(batch, Some(&known), turns_before, hot);
        work.begin(remembered);
        let others = others.min(work.chunks());
        pool.in_place_scope(|scope| {
            for _ in 0..others {
                scope.spawn(|_| work.help());
            }
            let mut ahead = Ahead::new(&work, caution);
            let done = lead(&mut ahead);
            self.note(&ahead.statistics());
            done
        })
    }

    pub(crate) fn note(&self, statistics: &Statistics) {
        let Statistics { ahead, again, in_order, transfers } = *statistics;
        let mut all = self.statistics.lock();
        all.ahead += ahead;
        all.again += again;
        all.in_order += in_order;
        all.transfers += transfers;
    }
}

/// What is known of a block's state by those who execute its transactions ahead, and how well that went.
#[derive(Debug, Default)]
pub struct BlockMemory {
    tables: Tables,
    /// Whose balances nearly every transaction changes.
    fee_recipients: Vec<Address>,
    hot: HotContracts,
    caution: Caution,
    /// Turns of the batches so far.
    turns: Turn,
}

/// How many transactions run code.
fn calls_of<C: Speculate>(batch: &Batch<'_, C>) -> usize {
    batch.transactions.iter().skip(batch.first).filter(|it| runs_code(*it)).count()
}

fn runs_code(transaction: &impl Transaction) -> bool {
    !transaction.input().is_empty()
}
