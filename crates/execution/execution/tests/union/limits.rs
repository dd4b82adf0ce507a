//! Where calls end: gas, limits, deposits, and transactions that make none.

use crate::{
    program::{CallOp, OnFailure, Op, assemble},
    world::{Done, World, chain, contract, slot_of},
};
use alloy_primitives::{B256, ChainId, U256};
use lockstep_execution::Bytecode;
use lockstep_union::{Message, PartOutcome, Refusal, UnionError, proxy_of};
use op_revm::transaction::deposit::{DEPOSIT_TRANSACTION_TYPE, DepositTransactionParts};
use std::collections::BTreeMap;

fn deploy(world: &mut World, rollup: u64, n: u8, ops: &[Op]) {
    world.deploy(chain(rollup), n, &assemble(chain(rollup), ops));
}

fn slot(done: &BTreeMap<ChainId, Done>, rollup: u64, n: u8, slot: u64) -> U256 {
    slot_of(&done[&chain(rollup)].state, contract(n), U256::from(slot))
}

fn with_gas(gas: u32, rollup: u64, n: u8) -> Op {
    Op::Call(CallOp { gas: Some(gas), ..CallOp::new(rollup, n) })
}

/// The first word of `CallNotMade(reason)`.
fn refusal_word(reason: Refusal) -> U256 {
    U256::from_be_slice(&reason.revert_data()[..32])
}

#[test]
fn a_call_that_cannot_pay_for_the_lock_reaches_no_peer() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[with_gas(12_000, 1, 0), Op::Store(2, 1)]);
    deploy(&mut world, 1, 0, &[Op::Store(0, 1)]);
    let done = world.execute(chain(0), &world.call(chain(0), 1_000_000, 0));
    assert_eq!((slot(&done, 0, 0, 0), slot(&done, 0, 0, 2)), (U256::ZERO, U256::ONE));
    assert!(done[&chain(0)].outcome.part.steps.is_empty());
}

/// What the peer does for a call at all costs gas of its block: 10,000 and 16 for each of 32 bytes.
const ARRIVAL_GAS: u64 = 10_512;

#[test]
fn a_call_of_an_account_without_code_costs_the_peer_what_its_arrival_costs() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[Op::Call(CallOp::new(1, 5)), Op::Call(CallOp::new(1, 5))]);
    world.deploy(chain(1), 5, &[]);
    let done = world.execute(chain(0), &world.call(chain(0), 1_000_000, 0));
    assert_eq!(slot(&done, 0, 0, 0), U256::ONE);
    assert_eq!(done[&chain(1)].outcome.peer_gas_used, 2 * ARRIVAL_GAS);
}

#[test]
fn a_call_that_cannot_pay_for_its_arrival_fails_and_takes_its_room() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[with_gas(21_000, 1, 0), Op::Store(2, 1)]);
    deploy(&mut world, 1, 0, &[Op::Store(0, 1)]);
    let tx = world.call(chain(0), 1_000_000, 0);
    let done = world.execute(chain(0), &tx);
    assert_eq!((slot(&done, 0, 0, 0), slot(&done, 0, 0, 2)), (U256::ZERO, U256::ONE));
    let PartOutcome { part, peer_gas_used, .. } = &done[&chain(1)].outcome;
    let (Message::Call(call), Message::Return(back)) =
        (&part.steps[0].message, &part.steps[1].message)
    else {
        panic!("{part:?}")
    };
    assert!(call.gas > 0 && call.gas < ARRIVAL_GAS, "{}", call.gas);
    assert_eq!((back.success, back.gas_used), (false, call.gas));
    assert_eq!((*peer_gas_used, part.gas_limit), (ARRIVAL_GAS, ARRIVAL_GAS));
    // A block without that room takes no such call.
    world.rollups.get_mut(&chain(1)).unwrap().gas_available = ARRIVAL_GAS - 1;
    let refused = world.joint(chain(0), tx);
    assert!(matches!(refused, Err(UnionError::PeerGas { gas_limit: ARRIVAL_GAS, .. })));
}

/// A call that comes back pays for its arrival as any call does, and cannot take more room than the call
/// that it came from has: that paid for it on the way.
#[test]
fn calls_that_come_back_stay_within_the_parts_gas_limit() {
    let mut world = World::new(&[7, 7]);
    for gas in [0, 500, 11_000, 13_000, 16_000, 24_000, 30_000] {
        // B calls A, which calls B back; each with little.
        deploy(&mut world, 0, 0, &[Op::Call(CallOp::new(1, 0))]);
        deploy(&mut world, 0, 1, &[with_gas(gas, 1, 1), with_gas(gas, 1, 1)]);
        deploy(&mut world, 1, 0, &[with_gas(200_000, 0, 1), with_gas(60_000, 0, 1)]);
        deploy(&mut world, 1, 1, &[Op::Increment(0)]);
        let done = world.execute(chain(0), &world.call(chain(0), 2_000_000, 0));
        let PartOutcome { part, peer_gas_used, .. } = &done[&chain(1)].outcome;
        assert!(*peer_gas_used <= part.gas_limit, "{gas}: {peer_gas_used}, {}", part.gas_limit);
    }
}

#[test]
fn ether_that_cannot_exist_is_not_sent_along() {
    let mut world = World::new(&[7, 7]);
    // Calls the proxy with 2^96 wei, and stores whether that worked and the first word of what came back.
    let mut code = vec![0x5f, 0x5f, 0x5f, 0x5f, 0x6c, 1];
    code.extend([0; 12]);
    code.push(0x73);
    code.extend(proxy_of(chain(1), contract(0)));
    code.extend([0x5a, 0xf1, 0x5f, 0x55, 0x60, 32, 0x5f, 0x5f, 0x3e, 0x5f, 0x51, 0x60, 1, 0x55]);
    world.deploy(chain(0), 0, &code);
    deploy(&mut world, 1, 0, &[Op::Store(0, 1)]);
    let rich = world.rollups.get_mut(&chain(0)).unwrap();
    let code = Bytecode::new_raw(code.into());
    rich.state.set_account(contract(0), 1, U256::from(1) << 97, code);
    let done = world.execute(chain(0), &world.call(chain(0), 1_000_000, 0));
    assert_eq!(slot(&done, 0, 0, 1), refusal_word(Refusal::TooMuchValue));
    assert_eq!((slot(&done, 0, 0, 0), done.len()), (U256::ZERO, 1));
}

#[test]
fn a_peer_that_halts_uses_all_the_gas_it_got_and_no_more() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[with_gas(200_000, 1, 0), Op::Store(2, 1)]);
    deploy(&mut world, 1, 0, &[Op::Store(0, 1), Op::Invalid]);
    let proxy = proxy_of(chain(0), contract(0));
    let member = world.rollups.get_mut(&chain(1)).unwrap();
    member.state.set_account(proxy, 0, U256::ONE, Default::default());
    let done = world.execute(chain(0), &world.call(chain(0), 1_000_000, 0));
    assert_eq!((slot(&done, 0, 0, 0), slot(&done, 0, 0, 2)), (U256::ZERO, U256::ONE));
    let steps = &done[&chain(1)].outcome.part.steps;
    let (Message::Call(call), Message::Return(back)) = (&steps[0].message, &steps[1].message)
    else {
        panic!("{steps:?}")
    };
    assert!(!back.success && back.output.is_empty());
    assert_eq!((back.gas_used, done[&chain(1)].outcome.peer_gas_used), (call.gas, call.gas));
    let account = &done[&chain(1)].state.get(&proxy).unwrap().info;
    assert_eq!(account.nonce, 0, "the proxy is undone with the call");
}

#[test]
fn output_that_is_too_long_undoes_the_call_and_what_it_called() {
    let mut world = World::new(&[7, 7, 7]);
    world.rules.max_output_bytes = 31;
    deploy(&mut world, 0, 0, &[Op::Call(CallOp::new(1, 0)), Op::Store(2, 1)]);
    // B's own call returns nothing at all, as its target is an account without code.
    deploy(&mut world, 1, 0, &[with_gas(300_000, 2, 0), Op::Store(3, 1)]);
    world.deploy(chain(2), 0, &[0x60, 1, 0x5f, 0x55]);
    let done = world.execute(chain(0), &world.call(chain(0), 2_000_000, 0));
    assert_eq!((slot(&done, 0, 0, 0), slot(&done, 0, 0, 2)), (U256::ZERO, U256::ONE));
    assert_eq!((slot(&done, 1, 0, 3), slot(&done, 2, 0, 0)), (U256::ZERO, U256::ZERO));
    let steps = &done[&chain(2)].outcome.part.steps;
    assert!(matches!(steps[1].message, Message::Return(ref back) if back.success));
    assert_eq!(steps[2].message, Message::Rollback);
}

#[test]
fn the_number_of_steps_is_limited() {
    let mut world = World::new(&[7, 7]);
    world.rules.max_steps = 2;
    let second = CallOp { on_failure: OnFailure::Store(2), ..CallOp::new(1, 0) };
    deploy(&mut world, 0, 0, &[Op::Call(CallOp::new(1, 0)), Op::Call(second)]);
    deploy(&mut world, 1, 0, &[Op::Increment(0)]);
    let done = world.execute(chain(0), &world.call(chain(0), 2_000_000, 0));
    assert_eq!((slot(&done, 0, 0, 0), slot(&done, 0, 0, 2)), (U256::ONE, U256::ZERO));
    assert_eq!(slot(&done, 0, 0, 3), refusal_word(Refusal::TooManySteps));
    assert_eq!(slot(&done, 1, 0, 0), U256::ONE);
}

#[test]
fn input_is_limited() {
    let mut world = World::new(&[7, 7]);
    world.rules.max_input_bytes = 31;
    deploy(&mut world, 0, 0, &[Op::Call(CallOp::new(1, 0))]);
    deploy(&mut world, 1, 0, &[Op::Increment(0)]);
    let done = world.execute(chain(0), &world.call(chain(0), 2_000_000, 0));
    assert_eq!(slot(&done, 0, 0, 1), refusal_word(Refusal::TooMuchInput));
    assert_eq!(done.len(), 1);
}

#[test]
fn a_constructor_can_call_a_peer() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[Op::Create(vec![Op::Call(CallOp::new(1, 0))])]);
    deploy(&mut world, 1, 0, &[Op::Environment(0x33, 0)]);
    let done = world.execute(chain(0), &world.call(chain(0), 2_000_000, 0));
    let created = proxy_of(chain(0), contract(0).create(1));
    assert_eq!(slot(&done, 1, 0, 0), U256::from_be_bytes(created.into_word().0));
}

#[test]
fn a_constructor_that_fails_undoes_its_calls() {
    let mut world = World::new(&[7, 7]);
    let init = vec![Op::Call(CallOp::new(1, 0)), Op::Revert(1)];
    deploy(&mut world, 0, 0, &[Op::Create(init), Op::Store(2, 1)]);
    deploy(&mut world, 1, 0, &[Op::Store(0, 1)]);
    let done = world.execute(chain(0), &world.call(chain(0), 2_000_000, 0));
    assert_eq!((slot(&done, 0, 0, 2), slot(&done, 1, 0, 0)), (U256::ONE, U256::ZERO));
}

#[test]
fn a_static_call_places_no_proxy() {
    let mut world = World::new(&[7, 7]);
    let call = CallOp { is_static: true, ..CallOp::new(1, 0) };
    deploy(&mut world, 0, 0, &[Op::Call(call)]);
    deploy(&mut world, 1, 0, &[]);
    let proxy = proxy_of(chain(0), contract(0));
    let member = world.rollups.get_mut(&chain(1)).unwrap();
    member.state.set_account(proxy, 0, U256::ONE, Default::default());
    let done = world.execute(chain(0), &world.call(chain(0), 1_000_000, 0));
    assert_eq!(slot(&done, 0, 0, 0), U256::ONE);
    assert_eq!(done[&chain(1)].state.get(&proxy).unwrap().info.nonce, 0);
}

#[test]
fn a_deposit_calls_no_peer() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[Op::Call(CallOp { value: 3, ..CallOp::new(1, 0) })]);
    deploy(&mut world, 1, 0, &[Op::Store(0, 1)]);
    let mut tx = world.call(chain(0), 1_000_000, 0);
    tx.0.base.tx_type = DEPOSIT_TRANSACTION_TYPE;
    tx.0.base.gas_price = 0;
    tx.0.deposit = DepositTransactionParts {
        source_hash: B256::repeat_byte(1),
        mint: Some(50),
        is_system_transaction: false,
    };
    let done = world.execute(chain(0), &tx);
    assert!(done[&chain(0)].outcome.result.as_ref().unwrap().is_success());
    let (success, returned) = (slot(&done, 0, 0, 0), slot(&done, 0, 0, 1));
    assert_eq!((success, returned), (U256::ZERO, refusal_word(Refusal::Deposit)));
    assert_eq!(done.len(), 1);
}

#[test]
fn an_ordinary_transaction_is_what_it_is_on_any_rollup() {
    let mut world = World::new(&[7, 7]);
    let ops = [Op::Increment(1), Op::Call(CallOp { value: 9, ..CallOp::new(0, 1) }), Op::Log(4)];
    deploy(&mut world, 0, 0, &ops);
    deploy(&mut world, 0, 1, &[Op::Transient(2), Op::Environment(0x32, 1), Op::Revert(3)]);
    for gas_limit in [30_000, 80_000, 1_000_000] {
        let tx = world.call(chain(0), gas_limit, 5);
        let done = world.execute(chain(0), &tx);
        let (result, root) = world.without_union(chain(0), tx);
        let outcome = &done[&chain(0)].outcome;
        assert_eq!(outcome.result.as_ref(), Some(&result));
        assert_eq!(done[&chain(0)].state.state_root(), root);
        assert!(outcome.part.steps.is_empty() && done.len() == 1);
    }
}
