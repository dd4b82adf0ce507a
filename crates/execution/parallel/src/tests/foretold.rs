//! One thread that executes all transactions ahead that hints allow, in an order that a seed decides: with right hints
//! every outcome can be taken over, and with wrong ones the bits are the same.

use super::{
    CASES,
    generate::Case,
    hints::{WRONG_GRAPHS, WRONG_LISTS, can_be_foretold, recorded, wrong_dependencies, wrong_list},
    rng::Rng,
    serial,
};
use crate::{
    hints::{Entries, Order, Wait},
    memory::{Memory, Tables, View},
};
use alloy_primitives::{Address, U256};
use lockstep_chain::Ethereum;
use lockstep_execution::{
    BlockExecutor, BlockHints, BlockParts, Hints, Speculate, Speculation, Speculator,
};
use std::collections::BTreeMap;

/// What has become of the transactions that were executed ahead.
#[derive(Debug, Default)]
struct Tally {
    of_use: u64,
    refused: u64,
}

/// Executes a valid block.
fn execute(
    case: &Case<Ethereum>,
    hints: Hints<'_>,
    rng: &mut Rng,
) -> (super::Output<Ethereum>, Tally) {
    let Case { chain, block, senders, state } = case;
    let transactions = &block.body.transactions;
    let fee_recipients = chain.fee_recipients(&block.header);
    let tables = Tables::default();
    let memory = Memory::new(state, &tables, &fee_recipients, &[]).with_hints(true);
    let mut order = None;
    match hints {
        Hints::AccessList(list) => {
            let entries = Entries::new(list, block.header.gas_limit, 1..=transactions.len());
            entries.enter(&memory, || false);
        }
        Hints::Dependencies(graph) => order = Some(Order::new(graph, transactions.len())),
        Hints::None => {}
    }
    let mut executor = BlockExecutor::new(chain, &block.header, state).recording_hints();
    executor.begin().expect("the state can be read");
    memory.tell_changes(0, &executor.changes());
    let mut speculator =
        Speculator::new(chain, &block.header, View::new(&memory, true)).expect("it can");
    let rules = chain.transfer_rules(&block.header, &());
    // What was executed ahead, or cannot be.
    let mut ahead: BTreeMap<usize, Option<_>> = BTreeMap::new();
    let (mut index, mut tally) = (0, Tally::default());
    while let (Some(transaction), Some(sender)) = (transactions.get(index), senders.get(index)) {
        let turn = |index: usize| u32::try_from(index).expect("few") + 1;
        let is_there = |place: usize| place < index || matches!(ahead.get(&place), Some(Some(_)));
        let is_ready = |place: &usize| {
            let wait = order.as_ref().map_or(Wait::For(&[]), |order| order.wait(*place));
            let Wait::For(needs) = wait else { return false };
            !ahead.contains_key(place) && needs.iter().all(|needed| is_there(*needed as usize))
        };
        let ready: Vec<usize> = (index..transactions.len()).filter(is_ready).collect();
        if !ready.is_empty() && rng.chance(90) {
            let place = rng.pick(&ready);
            let (transaction, sender) = (&transactions[place], senders[place]);
            let is_needed = order.as_ref().is_some_and(|order| order.is_needed(place));
            let has_no_code = |address: &Address| memory.has_no_code(address, turn(place));
            let transfer = rules.as_ref().and_then(|rules| rules.transfer(transaction, sender));
            let transfer = transfer.filter(|transfer| {
                !is_needed && has_no_code(&sender) && has_no_code(&transfer.to())
            });
            let mut outcome = Speculation::default();
            speculator.view_mut().turn = turn(place);
            let is_done = match transfer {
                Some(transfer) => {
                    outcome.set_transfer(transfer);
                    true
                }
                None => speculator.transact(transaction, sender, &mut outcome, |state| {
                    memory.tell(turn(place), &sender, state);
                }),
            };
            ahead.insert(place, is_done.then_some(outcome));
            continue;
        }
        if let Some(Some(outcome)) = ahead.get_mut(&index) {
            let adopted = executor.adopt(transaction, *sender, outcome).expect("it is valid");
            if adopted.is_some() {
                tally.of_use += 1;
                index += 1;
                continue;
            }
            tally.refused += 1;
            memory.retract(turn(index), outcome);
            let account_now = |address: &Address| executor.known_account(address);
            let slot_now = |address: &Address, slot: &U256| executor.known_slot(address, slot);
            memory.correct(turn(index), outcome, account_now, slot_now);
        }
        let show = |state: &_| memory.tell(turn(index), sender, state);
        executor.transact_and(transaction, *sender, show).expect("it is valid");
        index += 1;
    }
    let withdrawals = block.body.withdrawals.as_deref().map_or(&[][..], |list| list.as_slice());
    let parts = BlockParts { ommers: &block.body.ommers, withdrawals };
    (executor.finish(parts, true).map_err(|error| error.to_string()), tally)
}

#[test]
fn what_right_hints_allow_can_be_taken_over() {
    let mut of_use = [0, 0];
    for seed in 0..4 * CASES {
        let Some((case, hints)) = recorded(seed).filter(|(case, _)| can_be_foretold(case)) else {
            continue;
        };
        let BlockHints { access_list, dependencies } = &hints;
        let expected = serial(&case);
        for schedule in 0..3 {
            let mut rng = Rng::new(seed ^ (schedule << 32) ^ 0xf07e);
            let kinds = [Hints::AccessList(access_list), Hints::Dependencies(dependencies)];
            for (of_use, hints) in of_use.iter_mut().zip(kinds) {
                let (found, tally) = execute(&case, hints, &mut rng);
                assert_eq!(found, expected, "seed {seed}, schedule {schedule}");
                assert_eq!(tally.refused, 0, "seed {seed}, schedule {schedule}, {hints:?}");
                *of_use += tally.of_use;
            }
        }
    }
    assert!(of_use.iter().all(|of_use| *of_use > 1_500), "{of_use:?} outcomes were of use");
}

#[test]
fn wrong_hints_cost_time_alone() {
    let (mut of_use, mut refused) = (0, 0);
    let mut other = BlockHints::default();
    for seed in 0..CASES {
        let Some((case, right)) = recorded(seed) else { continue };
        let expected = serial(&case);
        for kind in 0..WRONG_LISTS.max(WRONG_GRAPHS) {
            let mut rng = Rng::new(seed ^ (kind << 32) ^ 0x0bad);
            let list = wrong_list(&mut rng, kind % WRONG_LISTS, &right, &other);
            let (found, with_list) = execute(&case, Hints::AccessList(&list), &mut rng);
            assert_eq!(found, expected, "seed {seed}, access list {kind}");
            let graph = wrong_dependencies(&mut rng, kind % WRONG_GRAPHS, &right, &other);
            let (found, with_graph) = execute(&case, Hints::Dependencies(&graph), &mut rng);
            assert_eq!(found, expected, "seed {seed}, dependencies {kind}");
            of_use += with_list.of_use + with_graph.of_use;
            refused += with_list.refused + with_graph.refused;
        }
        other = right;
    }
    assert!(of_use > 10_000 && refused > 10_000, "{of_use} outcomes were of use, {refused} not");
}
