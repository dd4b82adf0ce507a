//! The thread that goes through the block in order.

use crate::{
    Statistics,
    work::{Item, Next, Outcome, Place, Work, Worker},
};
use alloy_consensus::Transaction as _;
use lockstep_execution::{BlockExecutor, ExecutionError, HaltReasonOf, Speculate, StateReader};
use std::{collections::BTreeSet, hint::spin_loop, ops::Range, thread};

/// After this many outcomes it is seen whether executing ahead is worth it.
const OUTCOMES: u32 = 16;

/// How often a thread looks whether another one has finished before it does something else.
const SPINS: u32 = 400;

/// In a block, a thread waits this often in vain, and executes so many transactions ahead to no use while it waits: what
/// is cheap at its turn may be dear on another state, and is not paid for there.
const MAX_VAIN_SPINS: u32 = 1_000_000;
const MAX_VAIN_HELP: u32 = 4;

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
    /// What it has executed ahead.
    helped: BTreeSet<usize>,
    vain_spins: u32,
    vain_help: u32,
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
            helped: BTreeSet::new(),
            vain_spins: 0,
            vain_help: 0,
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
            let is_worth_waiting = self.record.is_worth_waiting();
            let spins = if is_worth_waiting { self.wait(place) } else { 0 };
            let Some(outcome) = place.take_outcome() else {
                self.vain_spins = self.vain_spins.saturating_add(spins);
                self.statistics.in_order += 1;
                return self.execute(index);
            };
            if self.adopt(index, outcome)? {
                return Ok(());
            }
            self.vain_spins = self.vain_spins.saturating_add(spins);
            self.vain_help += u32::from(self.helped.contains(&index));
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
    /// But not for ever: how often it has looked.
    fn wait(&mut self, place: &Place<HaltReasonOf<C>>) -> u32 {
        let mut spins = 0_u32;
        while place.is_underway() && self.vain_spins.saturating_add(spins) < MAX_VAIN_SPINS {
            spins += 1;
            if !spins.is_multiple_of(SPINS) {
                spin_loop();
                continue;
            }
            if self.ahead.is_empty()
                && self.vain_help < MAX_VAIN_HELP
                && let Next::Chunk(_, chunk) = self.work.take_chunk()
            {
                self.ahead = chunk;
            }
            let Some(index) = self.ahead.next() else {
                thread::yield_now();
                continue;
            };
            self.helped.insert(index);
            if self.helper.is_none() {
                self.helper = self.work.worker();
            }
            if let Some(worker) = &mut self.helper {
                self.work.speculate(worker, index);
            }
        }
        spins
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
