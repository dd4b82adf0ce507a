//! Random contracts that call each other over random unions.

use crate::{
    hostile,
    program::{CallOp, OnFailure, Op, Target, assemble},
    world::{Done, World, chain, ether_in},
};
use alloy_op_evm::OpTx;
use alloy_primitives::{ChainId, U256};
use lockstep_union::Message;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use std::{cell::Cell, collections::BTreeMap};

const CONTRACTS: u8 = 2;

#[derive(Clone, Debug)]
struct Scenario {
    base_fees: Vec<u64>,
    /// By rollup and contract.
    programs: Vec<Vec<Op>>,
    gas_limit: u64,
    value: u64,
}

impl Scenario {
    fn world(&self) -> World {
        let mut world = World::new(&self.base_fees);
        let mut programs = self.programs.iter();
        for rollup in 0..self.base_fees.len() as u64 {
            for n in 0..CONTRACTS {
                let ops = programs.next().unwrap();
                world.deploy(chain(rollup), n, &assemble(chain(rollup), ops));
            }
        }
        world
    }
}

fn target(rollups: u64) -> impl Strategy<Value = Target> {
    (0..rollups, 0..CONTRACTS).prop_map(|(rollup, contract)| Target { rollup, contract })
}

fn call(rollups: u64) -> impl Strategy<Value = Op> {
    let gas = prop_oneof![
        3 => Just(None),
        2 => (0_u32..400_000).prop_map(Some),
        1 => (0_u32..20_000).prop_map(Some),
    ];
    let on_failure = prop_oneof![
        Just(OnFailure::Ignore),
        (0_u8..4).prop_map(OnFailure::Store),
        Just(OnFailure::Revert),
    ];
    let value = prop_oneof![3 => Just(0), 1 => 1_u8..100, 1 => Just(255)];
    (target(rollups), value, gas, prop::bool::weighted(0.15), on_failure).prop_map(
        |(to, value, gas, is_static, on_failure)| {
            Op::Call(CallOp { to, value, gas, is_static, on_failure })
        },
    )
}

fn op(rollups: u64) -> impl Strategy<Value = Op> {
    // ORIGIN, CALLER, CALLVALUE, GASPRICE, NUMBER, SELFBALANCE, CHAINID, GAS, RETURNDATASIZE
    let opcodes = vec![0x32, 0x33, 0x34, 0x3a, 0x43, 0x47, 0x46, 0x5a, 0x3d];
    let leaf = prop_oneof![
        2 => (0_u8..4, any::<u8>()).prop_map(|(slot, value)| Op::Store(slot, value)),
        2 => (0_u8..4).prop_map(Op::Increment),
        2 => (prop::sample::select(opcodes), 0_u8..4)
            .prop_map(|(opcode, slot)| Op::Environment(opcode, slot)),
        1 => (0_u8..4).prop_map(Op::Transient),
        10 => call(rollups),
        1 => (target(rollups), 0_u8..4).prop_map(|(to, slot)| Op::Delegate { to, slot }),
        1 => any::<u8>().prop_map(Op::Log),
        1 => any::<u8>().prop_map(Op::Revert),
        1 => Just(Op::Invalid),
        1 => Just(Op::SelfDestruct),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(Op::Create),
            (1_u8..4, vec(inner, 1..3)).prop_map(|(times, ops)| Op::Repeat(times, ops)),
        ]
    })
}

/// Some fail in the end, when what they called stands.
fn program(rollups: u64) -> impl Strategy<Value = Vec<Op>> {
    (vec(op(rollups), 0..6), prop::bool::weighted(0.25)).prop_map(|(mut ops, fails)| {
        if fails {
            ops.push(Op::Revert(1));
        }
        ops
    })
}

fn scenario() -> impl Strategy<Value = Scenario> {
    (2_u64..=5).prop_flat_map(|rollups| {
        let count = rollups as usize;
        let base_fee = prop_oneof![Just(0), Just(7), Just(1_000), 1_u64..100];
        (
            vec(base_fee, count),
            vec(program(rollups), count * usize::from(CONTRACTS)),
            vec(1..rollups, 1..3),
            prop_oneof![Just(1_500_000_u64), 60_000_u64..1_000_000],
            0_u64..500,
        )
            .prop_map(|(base_fees, mut programs, first_calls, gas_limit, value)| {
                // The home transaction calls peers, which call whom they like.
                let calls = first_calls.into_iter().map(|to| Op::Call(CallOp::new(to, 0)));
                programs[0].splice(..0, calls);
                Scenario { base_fees, programs, gas_limit, value }
            })
    })
}

/// Runs random scenarios, most of which must call and some of which must undo what was called.
fn for_random_scenarios(check: impl Fn(&World, &OpTx, &BTreeMap<ChainId, Done>, u64)) {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let (crossed, undone) = (Cell::new(0), Cell::new(0));
    let cases = config.cases;
    let mut runner = TestRunner::new(config);
    let checked = runner.run(&(scenario(), any::<u64>()), |(scenario, seed)| {
        let world = scenario.world();
        let tx = world.call(chain(0), scenario.gas_limit, scenario.value);
        let done = world.execute(chain(0), &tx);
        let steps = || done.values().flat_map(|done| &done.outcome.part.steps);
        crossed.set(crossed.get() + u32::from(steps().next().is_some()));
        let is_undone = steps().any(|step| step.message == Message::Rollback);
        undone.set(undone.get() + u32::from(is_undone));
        check(&world, &tx, &done, seed);
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(crossed.get() * 2 > cases, "{} of {cases} cases call a peer", crossed.get());
    assert!(undone.get() * 10 > cases, "{} of {cases} cases undo calls", undone.get());
}

#[test]
fn parts_alone_do_what_they_did_together() {
    for_random_scenarios(|world, _, done, _| {
        let before: U256 = done.keys().map(|id| ether_in(&world.rollups[id].state)).sum();
        let after: U256 = done.values().map(|done| ether_in(&done.state)).sum();
        assert_eq!(before, after, "ether");
    });
}

#[test]
fn a_changed_script_is_rejected_by_one_side() {
    for_random_scenarios(|world, tx, done, seed| {
        hostile::every_mutation_is_rejected(world, tx, done, 24, seed);
    });
}

#[test]
fn a_message_that_nobody_sent_is_rejected() {
    for_random_scenarios(|world, tx, done, seed| {
        hostile::every_insertion_is_rejected(world, tx, done, seed);
    });
}
