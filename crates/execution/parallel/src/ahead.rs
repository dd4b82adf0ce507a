//! The thread that brings transactions into their block, in order.

use crate::{
    Statistics,
    caution::Caution,
    place::Place,
    work::{Item, Next, Outcome, Readiness, Work, Worker},
};
use alloy_consensus::Transaction as _;
use alloy_primitives::Address;
use lockstep_execution::{
    BlockExecutor, ExecutionError, HaltReasonOf, Speculate, StateReader, TransactionOutcome,
};
use std::{collections::BTreeSet, fmt, hint::spin_loop, ops::Range, thread};

/// How often a thread looks whether another one has finished before it does something else.
const SPINS: u32 = 100;

/// So many used outcomes are given back at once.
const MIN_RETURNED: usize = 16;

/// Transactions that others execute ahead while their turns come.
///
/// Outcomes are taken over in order; what has none is executed, and while there is nothing to take, this thread helps.
pub struct Ahead<'x, 'w, 'a, C: Speculate, S: StateReader> {
    work: &'x Work<'w, 'a, C, S>,
    caution: &'x mut Caution,
    /// What it executes ahead with, once it has had nothing else to do.
    helper: Option<Worker<'w, 'a, C, S>>,
    /// What it executes ahead.
    ahead: Range<usize>,
    /// What it has executed ahead.
    helped: BTreeSet<usize>,
    /// Transactions whose turns come soon.
    chunk: Range<usize>,
    next_chunk: usize,
    /// The transaction whose turn it is, as long as it is neither in the block nor left out.
    open: Option<usize>,
    used: Vec<Outcome<C>>,
    statistics: Statistics,
}

impl<C: Speculate, S: StateReader> fmt::Debug for Ahead<'_, '_, '_, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ahead").field("chunk", &self.chunk).finish_non_exhaustive()
    }
}

/// Others must not go on when there is nobody to take over what they do, nor if that one has panicked.
impl<C: Speculate, S: StateReader> Drop for Ahead<'_, '_, '_, C, S> {
    fn drop(&mut self) {
        self.work.end();
    }
}

/// A transaction whose turn it is. If it is dropped, the block does without it.
pub struct Candidate<'c, 'x, 'w, 'a, C: Speculate, S: StateReader> {
    ahead: &'c mut Ahead<'x, 'w, 'a, C, S>,
    index: usize,
    item: Item<'x, C>,
}

impl<C: Speculate, S: StateReader> fmt::Debug for Candidate<'_, '_, '_, '_, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("index", &self.index).finish_non_exhaustive()
    }
}

impl<'x, 'w, 'a, C: Speculate, S: StateReader + Sync> Ahead<'x, 'w, 'a, C, S> {
    pub(crate) fn new(work: &'x Work<'w, 'a, C, S>, caution: &'x mut Caution) -> Self {
        Self {
            work,
            caution,
            helper: None,
            ahead: 0..0,
            helped: BTreeSet::new(),
            chunk: 0..0,
            next_chunk: 0,
            open: None,
            used: Vec::new(),
            statistics: Statistics::default(),
        }
    }

    pub(crate) const fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// The transaction whose turn comes next; `None` after the last.
    pub fn next_turn(&mut self) -> Option<Candidate<'_, 'x, 'w, 'a, C, S>> {
        self.leave_out();
        while self.chunk.is_empty() {
            if self.used.len() >= MIN_RETURNED {
                self.work.give_back(&mut self.used);
            }
            self.chunk = self.work.begin_chunk(self.next_chunk)?;
            self.next_chunk += 1;
        }
        let index = self.chunk.next()?;
        self.open = Some(index);
        self.work.reach(index);
        let item = self.work.item(index)?;
        Some(Candidate { ahead: self, index, item })
    }

    /// What others found of a transaction that the block does without is not so.
    fn leave_out(&mut self) {
        let Some(index) = self.open.take() else { return };
        if let Some(Item { place: Some(place), turn, .. }) = self.work.item(index)
            && !place.take()
            && let Some(outcome) = place.take_outcome()
        {
            self.work.retract(turn, &outcome);
            self.used.push(outcome);
        }
    }

    fn transact<R: StateReader>(
        &mut self,
        index: usize,
        item: &Item<'_, C>,
        executor: &mut BlockExecutor<'_, C, R>,
    ) -> Result<TransactionOutcome, ExecutionError<R::Error>> {
        let Some(place) = item.place.filter(|place| !place.take()) else {
            if let Some(transfer) = self.work.transfer(index)
                && let Some(outcome) = executor.transfer(item.transaction, &transfer)?
            {
                self.statistics.transfers += 1;
                return Ok(outcome);
            }
            self.statistics.in_order += 1;
            return self.execute(item, executor);
        };
        let spins = if self.caution.is_worth_waiting() { self.wait(place) } else { 0 };
        if let Some(outcome) = place.take_outcome() {
            if let Some(outcome) = self.adopt(item, outcome, executor)? {
                return Ok(outcome);
            }
            self.caution.vain_help += u32::from(self.helped.contains(&index));
        } else {
            self.statistics.in_order += 1;
            if self.caution.note_left() {
                self.work.end();
            }
        }
        self.caution.note_spins(spins);
        self.execute(item, executor)
    }

    /// Executes the transaction, as nobody else has.
    fn execute<R: StateReader>(
        &self,
        item: &Item<'_, C>,
        executor: &mut BlockExecutor<'_, C, R>,
    ) -> Result<TransactionOutcome, ExecutionError<R::Error>> {
        let Item { transaction, sender, turn, .. } = *item;
        executor.transact_and(transaction, sender, |state| self.work.tell(turn, &sender, state))
    }

    /// Takes the outcome over, if that can be done.
    fn adopt<R: StateReader>(
        &mut self,
        item: &Item<'_, C>,
        mut outcome: Outcome<C>,
        executor: &mut BlockExecutor<'_, C, R>,
    ) -> Result<Option<TransactionOutcome>, ExecutionError<R::Error>> {
        let Item { transaction, sender, turn, .. } = *item;
        let is_transfer = outcome.is_transfer();
        let adopted = executor.adopt(transaction, sender, &mut outcome);
        let is_adopted = matches!(adopted, Ok(Some(_)));
        if !is_adopted {
            self.work.retract(turn, &outcome);
            self.work.correct(turn, &outcome, executor);
        }
        self.used.push(outcome);
        self.statistics.count(is_adopted, is_transfer);
        if let Some(contract) = transaction.to().filter(|_| !is_transfer) {
            self.work.hot.note(contract, is_adopted);
        }
        if self.caution.note_outcome(is_adopted) {
            self.work.end();
        }
        adopted
    }

    /// Waits until another thread has done what it does. If that takes long, does something else meanwhile.
    /// But not for ever: how often it has looked.
    fn wait(&mut self, place: &Place<HaltReasonOf<C>>) -> u32 {
        let mut spins = 0_u32;
        while place.is_underway() && self.caution.may_spin(spins) {
            spins += 1;
            if !spins.is_multiple_of(SPINS) {
                spin_loop();
                continue;
            }
            let Some(index) = self.next_to_help_with() else {
                thread::yield_now();
                continue;
            };
            self.helped.insert(index);
            if self.helper.is_none() {
                self.helper = self.work.worker();
            }
            if let Some(worker) = &mut self.helper
                && self.work.readiness(index) == Readiness::Ready
            {
                self.work.speculate(worker, index);
            }
        }
        spins
    }

    /// What to execute ahead while there is nothing else to do: what comes soon, which other threads have left to this
    /// one, then what they would come to next.
    fn next_to_help_with(&mut self) -> Option<usize> {
        if !self.caution.may_help() {
            return self.ahead.next();
        }
        let soon = self.chunk.clone().find(|index| self.work.is_free(*index));
        if soon.is_some() {
            return soon;
        }
        if self.ahead.is_empty()
            && let Next::Chunk(_, chunk) = self.work.take_chunk(0)
        {
            self.ahead = chunk;
        }
        self.ahead.next()
    }
}

impl<'x, C: Speculate, S: StateReader + Sync> Candidate<'_, 'x, '_, '_, C, S> {
    /// The transaction.
    pub const fn transaction(&self) -> &'x C::Transaction {
        self.item.transaction
    }

    /// Its sender.
    pub const fn sender(&self) -> Address {
        self.item.sender
    }

    /// Its place among the transactions of the batch.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Makes it the next of the block, as [`BlockExecutor::transact`] does.
    ///
    /// # Errors
    /// As there, and the same. The block then does without it.
    pub fn transact<R: StateReader>(
        self,
        executor: &mut BlockExecutor<'_, C, R>,
    ) -> Result<TransactionOutcome, ExecutionError<R::Error>> {
        let Self { ahead, index, item } = self;
        ahead.open = None;
        ahead.transact(index, &item, executor)
    }
}
