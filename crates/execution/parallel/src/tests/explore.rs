//! One thread that does what several could do, in an order that a seed decides.

use super::{
    Output,
    generate::{Case, Rng},
    options,
};
use crate::memory::{Memory, Tables, View};
use lockstep_execution::{
    BlockExecutor, BlockParts, ExecutionError, Speculate, Speculation, Speculator,
};
use std::{collections::BTreeMap, convert::Infallible};

/// Transactions that are executed ahead at the same time.
const WINDOW: u64 = 8;

/// Executes a block, and how many outcomes from before their turns were of use.
pub(super) fn run(case: &Case, rng: &mut Rng) -> (Output, usize) {
    let mut adopted = 0;
    let outcome = explore(case, rng, &mut adopted).map_err(|error| error.to_string());
    (outcome, adopted)
}

fn explore(
    case: &Case,
    rng: &mut Rng,
    adopted: &mut usize,
) -> Result<
    lockstep_execution::BlockOutput<lockstep_chain::EthereumReceipt>,
    ExecutionError<Infallible>,
> {
    let Case { chain, block, senders, state } = case;
    let tables = Tables::default();
    let fee_recipients = chain.fee_recipients(&block.header);
    let memory = Memory::new(state, &tables, &fee_recipients, &[]);
    let mut executor = BlockExecutor::new(chain, &block.header, state);
    executor.begin()?;
    memory.tell_changes(0, &executor.changes());
    let mut speculator =
        Speculator::new(chain, &block.header, View::new(&memory, true)).expect("it can");
    let transactions = &block.body.transactions;
    let mut ahead = BTreeMap::new();
    let mut index = 0;
    while let (Some(transaction), Some(sender)) = (transactions.get(index), senders.get(index)) {
        let turn = u32::try_from(index).expect("few") + 1;
        if rng.chance(60) {
            let other = index + rng.below(WINDOW) as usize;
            if let (Some(transaction), Some(sender)) = (transactions.get(other), senders.get(other))
                && !ahead.contains_key(&other)
            {
                // Now and then it knows less, or more, than a worker would.
                let other_turn = u32::try_from(other).expect("few") + 1;
                let view = if rng.chance(80) { other_turn } else { rng.below(30) as u32 };
                speculator.view_mut().turn = view;
                let mut outcome = Speculation::default();
                if speculator.transact(transaction, *sender, &mut outcome, |state| {
                    memory.tell(other_turn, sender, state);
                }) {
                    ahead.insert(other, outcome);
                }
            }
            continue;
        }
        if let Some(mut outcome) = ahead.remove(&index) {
            if executor.adopt(transaction, *sender, &mut outcome)?.is_some() {
                *adopted += 1;
                index += 1;
                continue;
            }
            memory.retract(turn, &outcome);
        }
        executor.transact_and(transaction, *sender, |state| memory.tell(turn, sender, state))?;
        index += 1;
    }
    let parts = BlockParts { ommers: &block.body.ommers, withdrawals: &[] };
    executor.finish(parts, options().record_access)
}
