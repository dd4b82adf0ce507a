//! The thread that goes through the block in order.

use crate::{
    Statistics,
    work::{Item, Outcome, Place, Work, Worker},
};
use alloy_consensus::Transaction as _;
use lockstep_execution::{BlockExecutor, ExecutionError, HaltReasonOf, Speculate, StateReader};
use std::{hint::spin_loop, ops::Range, thread};

/// After this many outcomes it is seen whether executing ahead is worth it.
const OUTCOMES: u32 = 16;

/// How often a thread looks whether another one has finished before it does something else.
const SPINS: u32 = 400;

/// So many used outcomes are given back at once.
const MIN_RETURNED: usize = 16;

/// Takes outcomes over in order, executes what has none, and helps while there is nothing to take.
pub(crate) struct Leader<'x, 'w, 'a, C: Speculate, S: StateReader> {
    work: &'x Work<'w, 'a, C, S>,
    executor: &'x mut BlockExecutor<'w, C, &'a S>,
    /// What it executes ahead with, once it has had nothing else to do.
    helper: Option<Worker<'w, 'a, C, S>>,
    /// What it executes ahead.
    ahead: Range<usize>,
    used: Vec<Outcome<C>>,
    record: Record,
    statistics: Statistics,
}

impl<'x, 'w, 'a, C: Speculate, S: StateReader + Sync> Leader<'x, 'w, 'a, C, S> {
    pub(crate) fn new(
        work: &'x Work<'w, 'a, C, S>,
        executor: &'x mut BlockExecutor<'w, C, &'a S>,
    ) -> Self {
        Self {
            work,
            executor,
            helper: None,
            ahead: 0..0,
            used: Vec::new(),
            record: Record::default(),
            statistics: Statistics::default(),
        }
    }

    /// Brings all transactions into the block.
    pub(crate) fn lead(mut self) -> Result<Statistics, ExecutionError<S::Error>> {
        for at in 0..self.work.chunks() {
            for index in self.work.begin_chunk(at).unwrap_or_default() {
                self.settle(index)?;
            }
            if self.used.len() >= MIN_RETURNED {
                self.work.give_back(&mut self.used);
            }
        }
        Ok(self.statistics)
    }

    /// Brings the transaction whose turn it is into the block.
    fn settle(&mut self, index: usize) -> Result<(), ExecutionError<S::Error>> {
        let work = self.work;
        let Some(Item { transaction, place, .. }) = work.item(index) else { return Ok(()) };
        if place.take() {
            if let Some(transfer) = work.transfer(index)
                && self.executor.transfer(transaction, &transfer)?.is_some()
            {
                self.statistics.transfers += 1;
                return Ok(());
            }
            self.statistics.in_order += 1;
        } else {
            if self.record.is_worth_waiting() {
                self.wait(place);
            }
            let Some(outcome) = place.take_outcome() else {
                self.statistics.in_order += 1;
                return self.execute(index);
            };
            if self.adopt(index, outcome)? {
                return Ok(());
            }
        }
        self.execute(index)
    }

    /// Executes the transaction, as nobody else has.
    fn execute(&mut self, index: usize) -> Result<(), ExecutionError<S::Error>> {
        let work = self.work;
        let Some(Item { transaction, sender, turn, .. }) = work.item(index) else { return Ok(()) };
        let is_over = work.is_over();
        self.executor.transact_and(transaction, sender, |state| {
            if !is_over {
                work.memory.tell(turn, &sender, state);
            }
        })?;
        Ok(())
    }

    /// Whether the outcome could be taken over.
    fn adopt(
        &mut self,
        index: usize,
        mut outcome: Outcome<C>,
    ) -> Result<bool, ExecutionError<S::Error>> {
        let Some(Item { transaction, sender, turn, .. }) = self.work.item(index) else {
            return Ok(false);
        };
        let is_transfer = outcome.is_transfer();
        let is_adopted = self.executor.adopt(transaction, sender, &mut outcome)?.is_some();
        if !is_adopted {
            self.work.memory.retract(turn, &outcome);
        }
        self.used.push(outcome);
        self.statistics.count(is_adopted, is_transfer);
        if let Some(contract) = transaction.to().filter(|_| !is_transfer) {
            self.work.hot.note(contract, is_adopted);
        }
        if self.record.note(is_adopted) {
            self.work.end();
        }
        Ok(is_adopted)
    }

    /// Waits until another thread has done what it does. If that takes long, does something else meanwhile.
    fn wait(&mut self, place: &Place<HaltReasonOf<C>>) {
        let mut spins = 0_u32;
        while place.is_underway() {
            spins += 1;
            if spins < SPINS {
                spin_loop();
                continue;
            }
            spins = 0;
            if self.ahead.is_empty() {
                self.ahead = self.work.take_chunk().map_or(0..0, |(_, chunk)| chunk);
            }
            let Some(index) = self.ahead.next() else {
                thread::yield_now();
                continue;
            };
            if self.helper.is_none() {
                self.helper = self.work.worker();
            }
            if let Some(worker) = &mut self.helper {
                self.work.speculate(worker, index);
            }
        }
    }
}

/// How well it goes.
#[derive(Debug)]
struct Record {
    /// Of the outcomes that were looked at of late.
    outcomes: u32,
    failures: u32,
    /// How likely the next outcome is of use, in 256ths.
    trust: u32,
}

impl Default for Record {
    fn default() -> Self {
        Self { outcomes: 0, failures: 0, trust: 192 }
    }
}

impl Record {
    /// Whether it is better to wait for an outcome than to execute the transaction a second time.
    const fn is_worth_waiting(&self) -> bool {
        self.trust >= 128
    }

    /// Notes an outcome. Whether so many are of no use that executing ahead does not pay.
    const fn note(&mut self, was_of_use: bool) -> bool {
        self.outcomes += 1;
        self.failures += !was_of_use as u32;
        self.trust = self.trust - self.trust / 4 + if was_of_use { 64 } else { 0 };
        if self.outcomes < OUTCOMES {
            return false;
        }
        let is_enough = self.failures * 2 > self.outcomes;
        (self.outcomes, self.failures) = (0, 0);
        is_enough
    }
}
