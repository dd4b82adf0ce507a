//! One thread that does what several could do, in an order that a seed decides.

use super::{Output, generate::Case, options, rng::Rng};
use crate::memory::{Memory, Tables, View};
use alloy_primitives::{Address, U256};
use lockstep_execution::{
    BlockExecutor, BlockOutput, BlockParts, ExecutionError, HaltReasonOf, Speculate, Speculation,
    Speculator, StateReader,
};
use std::collections::BTreeMap;

/// Transactions that are executed ahead at the same time.
const WINDOW: u64 = 8;

/// Executes a block, and how many outcomes from before their turns were of use.
pub(super) fn run<C: Speculate, S: StateReader>(
    case: &Case<C, S>,
    rng: &mut Rng,
) -> (Output<C>, usize) {
    // Often there is room for little.
    let room = rng.pick(&[0, 3, 12, 4_096]);
    let tables = Tables::with_room_for(room, rng.pick(&[0, 5, room]));
    let fee_recipients = case.chain.fee_recipients(&case.block.header);
    let memory = Memory::new(&case.state, &tables, &fee_recipients, &[]);
    let mut exploration = Exploration { case, memory: &memory, adopted: 0 };
    let outcome = exploration.execute(rng).map_err(|error| error.to_string());
    (outcome, exploration.adopted)
}

struct Exploration<'c, C: Speculate, S> {
    case: &'c Case<C, S>,
    memory: &'c Memory<'c, S>,
    adopted: usize,
}

impl<'c, C: Speculate, S: StateReader> Exploration<'c, C, S> {
    fn execute(
        &mut self,
        rng: &mut Rng,
    ) -> Result<BlockOutput<C::Receipt>, ExecutionError<S::Error>> {
        let Case { chain, block, senders, state } = self.case;
        let transactions = &block.body.transactions;
        let mut executor = BlockExecutor::new(chain, &block.header, state).recording_hints();
        executor.begin()?;
        let first = chain.ordered_prefix(transactions).min(transactions.len());
        for (transaction, sender) in transactions.iter().zip(senders).take(first) {
            executor.transact(transaction, *sender)?;
        }
        self.memory.tell_changes(0, &executor.changes());
        let view = View::new(self.memory, true);
        let mut speculator = Speculator::new(chain, &block.header, view).expect("it can");
        speculator.remember(&executor.remembered());
        let mut ahead = BTreeMap::new();
        let mut index = first;
        while index < transactions.len() {
            if rng.chance(60) {
                let other = index + rng.below(WINDOW) as usize;
                if other < transactions.len() && !ahead.contains_key(&other) {
                    let outcome = self.speculate(&mut speculator, &mut executor, other, rng);
                    ahead.extend(outcome.map(|outcome| (other, outcome)));
                }
                continue;
            }
            self.settle(&mut executor, index, ahead.remove(&index))?;
            index += 1;
        }
        let withdrawals = block.body.withdrawals.as_deref().map_or(&[][..], |list| list.as_slice());
        let parts = BlockParts { ommers: &block.body.ommers, withdrawals };
        executor.finish(parts, options().record_access)
    }

    /// Executes a transaction ahead. Now and then it knows less, or more, than a worker would.
    fn speculate(
        &self,
        speculator: &mut Speculator<'c, C, View<'c, 'c, S>>,
        executor: &mut BlockExecutor<'c, C, &'c S>,
        index: usize,
        rng: &mut Rng,
    ) -> Option<Speculation<HaltReasonOf<C>>> {
        let Case { chain, block, senders, .. } = self.case;
        let transactions = &block.body.transactions;
        if !chain.may_speculate(transactions, index) {
            return None;
        }
        let (transaction, sender) = (&transactions[index], senders[index]);
        let mut outcome = Speculation::default();
        let rules = chain.transfer_rules(&block.header, &executor.remembered());
        let transfer = rules.and_then(|rules| rules.transfer(transaction, sender));
        if let Some(transfer) = transfer.filter(|_| rng.chance(70)) {
            outcome.set_transfer(transfer);
            return Some(outcome);
        }
        let turn = turn(index);
        speculator.view_mut().turn = if rng.chance(80) { turn } else { rng.below(30) as u32 };
        let is_done = speculator.transact(transaction, sender, &mut outcome, |state| {
            self.memory.tell(turn, &sender, state);
        });
        is_done.then_some(outcome)
    }

    /// Brings the next transaction into the block.
    fn settle(
        &mut self,
        executor: &mut BlockExecutor<'c, C, &'c S>,
        index: usize,
        ahead: Option<Speculation<HaltReasonOf<C>>>,
    ) -> Result<(), ExecutionError<S::Error>> {
        let Case { block, senders, .. } = self.case;
        let (transaction, sender) = (&block.body.transactions[index], senders[index]);
        let turn = turn(index);
        if let Some(mut outcome) = ahead {
            if executor.adopt(transaction, sender, &mut outcome)?.is_some() {
                self.adopted += 1;
                return Ok(());
            }
            self.memory.retract(turn, &outcome);
            let account_now = |address: &Address| executor.known_account(address);
            let slot_now = |address: &Address, slot: &U256| executor.known_slot(address, slot);
            self.memory.correct(turn, &outcome, account_now, slot_now);
        }
        executor.transact_and(transaction, sender, |state| {
            self.memory.tell(turn, &sender, state);
        })?;
        Ok(())
    }
}

fn turn(index: usize) -> u32 {
    u32::try_from(index).expect("few") + 1
}
