//! The union against one EVM in which all contracts are neighbours: a super transaction is one call
//! tree, so contracts that look neither at gas nor at addresses cannot tell the difference. (No call is
//! static here: a write in one takes all gas but a 64th, and then gas would matter.)

use crate::{
    program::{CallOp, OnFailure, Op, Target, assemble},
    world::{Done, World, chain, contract, slot_of},
};
use alloy_primitives::{ChainId, U256};
use lockstep_union::Message;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use std::{cell::Cell, collections::BTreeMap};

/// Contracts call later ones only, so that every call tree ends.
const CONTRACTS: u8 = 7;
const GAS: u64 = 29_000_000;

#[derive(Clone, Debug)]
struct Scenario {
    rollups: u64,
    /// By contract; the first is the home transaction's target.
    programs: Vec<(u64, Vec<Op>)>,
}

fn call(to: u8) -> impl Strategy<Value = Op> {
    let on_failure = prop_oneof![(0_u8..4).prop_map(OnFailure::Store), Just(OnFailure::Revert)];
    let value = prop_oneof![3 => Just(0), 2 => 1_u8..100, 1 => Just(255)];
    (to..CONTRACTS, value, on_failure).prop_map(|(contract, value, on_failure)| {
        // The rollup is filled in when it is known where the contract is.
        let to = Target { rollup: 0, contract };
        Op::Call(CallOp { to, value, gas: None, is_static: false, on_failure })
    })
}

fn op(number: u8) -> BoxedStrategy<Op> {
    let leaf = prop_oneof![
        3 => (0_u8..4, any::<u8>()).prop_map(|(slot, value)| Op::Store(slot, value)),
        3 => (0_u8..4).prop_map(Op::Increment),
        2 => (0_u8..4).prop_map(Op::Transient),
        1 => any::<u8>().prop_map(Op::Revert),
    ];
    if number + 1 == CONTRACTS {
        return leaf.boxed();
    }
    prop_oneof![4 => leaf, 6 => call(number + 1)].boxed()
}

/// Many fail in the end, when what they called stands.
fn program(number: u8) -> impl Strategy<Value = Vec<Op>> {
    let fails = prop::bool::weighted(if number == 0 { 0.1 } else { 0.4 });
    (vec(op(number), 1..5), fails).prop_map(|(mut ops, fails)| {
        if fails {
            ops.push(Op::Revert(1));
        }
        ops
    })
}

fn scenario() -> impl Strategy<Value = Scenario> {
    (2_u64..=4).prop_flat_map(|rollups| {
        let programs: Vec<_> = (0..CONTRACTS).map(|number| (0..rollups, program(number))).collect();
        programs.prop_map(move |mut programs| {
            programs[0].0 = 0;
            Scenario { rollups, programs }
        })
    })
}

impl Scenario {
    /// Runs it with contract `n` on the rollup that `place` says.
    fn run(&self, rollups: u64, place: impl Fn(u8) -> u64) -> BTreeMap<ChainId, Done> {
        let mut world = World::new(&vec![0; rollups as usize]);
        world.rules.max_steps = u32::MAX / 8;
        // Gas of a call is a limit that is never reached, as the reference has no other limits.
        (world.rules.lock_gas, world.rules.byte_gas, world.rules.proxy_gas) = (0, 0, 0);
        for (number, (_, ops)) in (0..).zip(&self.programs) {
            let on = chain(place(number));
            let ops: Vec<_> = ops.iter().map(|op| placed(op, &place)).collect();
            world.deploy(on, number, &assemble(on, &ops));
        }
        world.execute(chain(0), &world.call(chain(0), GAS, 0))
    }
}

fn placed(op: &Op, place: impl Fn(u8) -> u64) -> Op {
    match op {
        Op::Call(call) => {
            let to = Target { rollup: place(call.to.contract), ..call.to };
            Op::Call(CallOp { to, ..call.clone() })
        }
        other => other.clone(),
    }
}

#[test]
fn a_union_does_what_one_chain_would() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let (crossed, undone) = (Cell::new(0), Cell::new(0));
    let cases = config.cases;
    let mut runner = TestRunner::new(config);
    let checked = runner.run(&scenario(), |scenario| {
        let joint = scenario.run(scenario.rollups, |n| scenario.programs[usize::from(n)].0);
        let single = &scenario.run(1, |_| 0)[&chain(0)];
        let succeeded =
            |done: &Done| done.outcome.result.as_ref().is_some_and(|it| it.is_success());
        prop_assert_eq!(succeeded(&joint[&chain(0)]), succeeded(single));
        for (n, (rollup, _)) in (0..).zip(&scenario.programs) {
            // A rollup that was not called is as it was, and so is the contract.
            let Some(done) = joint.get(&chain(*rollup)) else { continue };
            let balance = |done: &Done| done.state.get(&contract(n)).map(|it| it.info.balance);
            prop_assert_eq!(balance(done), balance(single), "balance of contract {}", n);
            for slot in (0..5).map(U256::from) {
                let value = |done: &Done| slot_of(&done.state, contract(n), slot);
                prop_assert_eq!(value(done), value(single), "contract {} slot {}", n, slot);
            }
        }
        let steps = || joint.values().flat_map(|done| &done.outcome.part.steps);
        crossed.set(crossed.get() + u32::from(steps().count() > 8));
        let is_undone = steps().any(|step| step.message == Message::Rollback);
        undone.set(undone.get() + u32::from(is_undone));
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(crossed.get() * 4 > cases, "{} of {cases} cases call much", crossed.get());
    assert!(undone.get() * 10 > cases, "{} of {cases} cases undo calls", undone.get());
}
