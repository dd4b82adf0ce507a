//! Calls between rollups, one scenario at a time.

use crate::{
    program::{CallOp, OnFailure, Op, Target, assemble},
    world::{Done, USER, World, chain, contract, ether_in, pair, slot_of},
};
use alloy_primitives::{Address, Bytes, ChainId, U256};
use lockstep_union::{Message, PORT, Refusal, UnionError, proxy_code, proxy_init_code, proxy_of};
use std::collections::BTreeMap;

fn deploy(world: &mut World, rollup: u64, n: u8, ops: &[Op]) {
    world.deploy(chain(rollup), n, &assemble(chain(rollup), ops));
}

fn slot(done: &BTreeMap<ChainId, Done>, rollup: u64, n: u8, slot: u64) -> U256 {
    slot_of(&done[&chain(rollup)].state, contract(n), U256::from(slot))
}

fn is_success(done: &BTreeMap<ChainId, Done>) -> bool {
    done[&chain(0)].outcome.result.as_ref().is_some_and(|it| it.is_success())
}

fn messages(done: &BTreeMap<ChainId, Done>, rollup: u64) -> Vec<(u64, &'static str)> {
    let steps = done[&chain(rollup)].outcome.part.steps.iter();
    let name = |message: &Message| match message {
        Message::Call(_) => "call",
        Message::Return(_) => "return",
        Message::Rollback => "rollback",
        Message::RolledBack => "rolled back",
    };
    steps.map(|step| (u64::from(step.index), name(&step.message))).collect()
}

#[test]
fn a_call_returns_what_the_peer_returned() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[Op::Call(CallOp::new(1, 0))]);
    deploy(
        &mut world,
        1,
        0,
        &[Op::Store(0, 42), Op::Environment(0x33, 1), Op::Environment(0x32, 2)],
    );
    let done = world.execute(chain(0), &world.call(chain(0), 1_000_000, 0));
    assert!(is_success(&done));
    assert_eq!((slot(&done, 0, 0, 0), slot(&done, 0, 0, 1)), (U256::ONE, U256::from(42)));
    let as_word = |address: Address| U256::from_be_bytes(address.into_word().0);
    assert_eq!(slot(&done, 1, 0, 1), as_word(proxy_of(chain(0), contract(0))), "CALLER");
    assert_eq!(slot(&done, 1, 0, 2), as_word(proxy_of(chain(0), USER)), "ORIGIN");
    assert_eq!(messages(&done, 0), [(1, "call"), (2, "return")]);
    assert!(done[&chain(1)].outcome.peer_gas_used > 60_000, "proxy and storage");
}

#[test]
fn a_peer_calls_back_and_its_caller_sees_it() {
    let mut world = World::new(&[7, 7]);
    let home = [Op::Store(2, 5), Op::Call(CallOp::new(1, 0)), Op::Increment(2)];
    deploy(&mut world, 0, 0, &home);
    deploy(&mut world, 0, 1, &[Op::Increment(0)]);
    deploy(&mut world, 1, 0, &[Op::Call(CallOp::new(0, 1)), Op::Call(CallOp::new(0, 1))]);
    let done = world.execute(chain(0), &world.call(chain(0), 2_000_000, 0));
    assert_eq!(slot(&done, 0, 1, 0), U256::from(2));
    assert_eq!(slot(&done, 1, 0, 1), U256::from(2), "what the second call back returned");
    assert_eq!(slot(&done, 0, 0, 2), U256::from(6));
    assert_eq!(messages(&done, 0).len(), 6);
}

#[test]
fn the_caller_has_a_proxy_on_the_peer_from_then_on() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[Op::Call(CallOp::new(1, 0))]);
    deploy(&mut world, 1, 0, &[Op::Store(0, 1)]);
    let proxy = proxy_of(chain(0), contract(0));
    let member = world.rollups.get_mut(&chain(1)).unwrap();
    member.state.set_account(proxy, 0, U256::ZERO, Default::default());
    let first = world.execute(chain(0), &world.call(chain(0), 1_000_000, 0));
    let state = &first[&chain(1)].state;
    let account = &state.get(&proxy).unwrap().info;
    assert_eq!(account.nonce, 1);
    let code = state.code_of(&account.code_hash).unwrap().original_bytes();
    assert_eq!(code, proxy_code(chain(0), contract(0)));
}

#[test]
fn a_caught_revert_undoes_the_peer_and_the_peers_peer() {
    let mut world = World::new(&[7, 7, 7]);
    // Contract 1 calls B, which calls C, and then fails; contract 0 goes on.
    let inner = CallOp { value: 0, ..CallOp::new(0, 1) };
    deploy(&mut world, 0, 0, &[Op::Call(inner), Op::Store(3, 1)]);
    deploy(&mut world, 0, 1, &[Op::Call(CallOp { value: 9, ..CallOp::new(1, 0) }), Op::Revert(8)]);
    deploy(&mut world, 1, 0, &[Op::Increment(3), Op::Call(CallOp::new(2, 0))]);
    deploy(&mut world, 2, 0, &[Op::Increment(0), Op::Log(1)]);
    let done = world.execute(chain(0), &world.call(chain(0), 2_000_000, 0));
    assert!(is_success(&done));
    assert_eq!(slot(&done, 0, 0, 1), U256::from(8), "the revert's data");
    assert_eq!((slot(&done, 1, 0, 3), slot(&done, 2, 0, 0)), (U256::ZERO, U256::ZERO));
    let names: Vec<_> = messages(&done, 1).into_iter().map(|(_, name)| name).collect();
    let expected =
        ["call", "call", "return", "return", "rollback", "rollback", "rolled back", "rolled back"];
    assert_eq!(names, expected);
    for rollup in [1, 2] {
        let done = &done[&chain(rollup)];
        assert!(done.outcome.logs.is_empty());
        assert!(done.outcome.peer_gas_used > 0, "undone work is paid for");
        let (transcript, sent, received) = pair(&done.state, chain(rollup - 1));
        assert!(!transcript.is_zero(), "what was undone was seen");
        assert_eq!((sent, received), (U256::ZERO, U256::ZERO));
        assert_eq!(ether_in(&done.state), ether_in(&world.rollups[&chain(rollup)].state));
    }
}

#[test]
fn a_home_transaction_that_reverts_leaves_nothing_but_transcripts_on_peers() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[Op::Call(CallOp { value: 3, ..CallOp::new(1, 0) }), Op::Revert(1)]);
    deploy(&mut world, 1, 0, &[Op::Store(0, 1)]);
    let done = world.execute(chain(0), &world.call(chain(0), 1_000_000, 0));
    assert!(!is_success(&done));
    assert_eq!(slot(&done, 1, 0, 0), U256::ZERO);
    assert!(done[&chain(1)].outcome.peer_gas_used > 0);
    let gas_used = done[&chain(0)].outcome.result.as_ref().unwrap().tx_gas_used();
    assert!(gas_used > done[&chain(1)].outcome.peer_gas_used, "the caller paid for the peer");
}

#[test]
fn ether_moves_and_is_conserved() {
    let mut world = World::new(&[0, 0]);
    deploy(&mut world, 0, 0, &[Op::Call(CallOp { value: 30, ..CallOp::new(1, 0) })]);
    deploy(&mut world, 1, 0, &[Op::Call(CallOp { value: 10, ..CallOp::new(0, 1) })]);
    deploy(&mut world, 0, 1, &[]);
    let before = world.total_ether();
    let done = world.execute(chain(0), &world.call(chain(0), 1_000_000, 500));
    let balance =
        |rollup, n| done[&chain(rollup)].state.get(&contract(n)).map(|it| it.info.balance).unwrap();
    assert_eq!(balance(0, 0), U256::from(1_470));
    assert_eq!(balance(1, 0), U256::from(1_020));
    assert_eq!(balance(0, 1), U256::from(1_010));
    assert_eq!(done.values().map(|it| ether_in(&it.state)).sum::<U256>(), before);
    let (_, sent, received) = pair(&done[&chain(0)].state, chain(1));
    assert_eq!((sent, received), (U256::from(30), U256::from(10)));
}

#[test]
fn a_call_that_fails_gives_the_ether_back() {
    let mut world = World::new(&[0, 0]);
    deploy(&mut world, 0, 0, &[Op::Call(CallOp { value: 30, ..CallOp::new(1, 0) })]);
    deploy(&mut world, 1, 0, &[Op::Revert(6)]);
    let done = world.execute(chain(0), &world.call(chain(0), 1_000_000, 0));
    assert_eq!((slot(&done, 0, 0, 0), slot(&done, 0, 0, 1)), (U256::ZERO, U256::from(6)));
    let balance = done[&chain(0)].state.get(&contract(0)).unwrap().info.balance;
    assert_eq!(balance, U256::from(1_000));
}

#[test]
fn static_calls_stay_static_on_the_peer() {
    let mut world = World::new(&[7, 7]);
    let writes = CallOp { is_static: true, gas: Some(300_000), ..CallOp::new(1, 0) };
    let reads = CallOp { is_static: true, on_failure: OnFailure::Store(2), ..CallOp::new(1, 1) };
    deploy(&mut world, 0, 0, &[Op::Call(writes), Op::Call(reads)]);
    deploy(&mut world, 1, 0, &[Op::Store(0, 1)]);
    deploy(&mut world, 1, 1, &[]);
    let done = world.execute(chain(0), &world.call(chain(0), 2_000_000, 0));
    assert_eq!(slot(&done, 0, 0, 0), U256::ZERO);
    assert_eq!(slot(&done, 0, 0, 2), U256::ONE);
    assert_eq!(slot(&done, 1, 0, 0), U256::ZERO);
}

#[test]
fn a_contract_that_delegates_to_a_proxy_is_refused() {
    let mut world = World::new(&[7, 7]);
    let to = Target { rollup: 1, contract: 0 };
    deploy(&mut world, 0, 0, &[Op::Store(0, 9), Op::Delegate { to, slot: 0 }]);
    deploy(&mut world, 1, 0, &[Op::Store(0, 1)]);
    let done = world.execute(chain(0), &world.call(chain(0), 1_000_000, 0));
    assert_eq!(slot(&done, 0, 0, 0), U256::ZERO, "the delegate call failed");
    assert_eq!(done.len(), 1, "no peer was called");
    assert!(done[&chain(0)].outcome.part.steps.is_empty());
}

#[test]
fn the_port_itself_refuses_users_and_cannot_be_a_target() {
    let mut world = World::new(&[7, 7]);
    let tx = world.call_to(chain(0), PORT, 200_000, 0, vec![0; 96].into());
    let done = world.execute(chain(0), &tx);
    let output = done[&chain(0)].outcome.result.as_ref().unwrap().output().unwrap().clone();
    assert_eq!(output, Refusal::NotAProxy.revert_data());

    let at = proxy_of(chain(1), PORT);
    let member = world.rollups.get_mut(&chain(0)).unwrap();
    let code = lockstep_execution::Bytecode::new_raw(proxy_code(chain(1), PORT));
    member.state.set_account(at, 1, U256::ZERO, code);
    let done = world.execute(chain(0), &world.call_to(chain(0), at, 200_000, 0, Bytes::new()));
    let output = done[&chain(0)].outcome.result.as_ref().unwrap().output().unwrap().clone();
    assert_eq!(output, Refusal::NotATarget.revert_data());
}

#[test]
fn a_user_can_call_a_proxy_without_a_contract() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 1, 0, &[Op::Store(0, 7)]);
    let at = proxy_of(chain(1), contract(0));
    let done = world.execute(chain(0), &world.call_to(chain(0), at, 400_000, 12, Bytes::new()));
    let result = done[&chain(0)].outcome.result.as_ref().unwrap();
    assert_eq!(result.output().unwrap().as_ref(), U256::from(7).to_be_bytes::<32>());
    assert_eq!(slot(&done, 1, 0, 0), U256::from(7));
}

#[test]
fn calls_end_where_they_are_nested_too_deeply() {
    let mut world = World::new(&[7, 7]);
    world.rules.max_depth = 3;
    deploy(&mut world, 0, 0, &[Op::Call(CallOp::new(1, 0)), Op::Increment(2)]);
    deploy(&mut world, 1, 0, &[Op::Call(CallOp::new(0, 0)), Op::Increment(2)]);
    let done = world.execute(chain(0), &world.call(chain(0), 3_000_000, 0));
    assert_eq!((slot(&done, 0, 0, 2), slot(&done, 1, 0, 2)), (U256::from(2), U256::from(2)));
    assert_eq!(slot(&done, 1, 0, 0), U256::ONE);
}

#[test]
fn a_dearer_peer_is_paid_at_the_ratio_of_base_fees() {
    let gas_at = |base_fee| {
        let mut world = World::new(&[10, base_fee]);
        deploy(&mut world, 0, 0, &[Op::Call(CallOp::new(1, 0))]);
        deploy(&mut world, 1, 0, &[Op::Store(0, 1)]);
        let done = world.execute(chain(0), &world.call(chain(0), 5_000_000, 0));
        let peer = done[&chain(1)].outcome.peer_gas_used;
        (done[&chain(0)].outcome.result.as_ref().unwrap().tx_gas_used(), peer)
    };
    let (cheap, peer_gas) = gas_at(1);
    let (equal, _) = gas_at(10);
    let (dear, dear_peer_gas) = gas_at(100);
    assert_eq!((cheap, peer_gas), (equal, dear_peer_gas));
    assert_eq!(dear - equal, 9 * peer_gas);
}

#[test]
fn a_transaction_that_needs_what_is_not_there_changes_nothing() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[Op::Store(0, 1), Op::Call(CallOp::new(1, 0))]);
    deploy(&mut world, 1, 0, &[Op::Store(0, 1)]);
    let tx = world.call(chain(0), 1_000_000, 0);
    world.rollups.get_mut(&chain(1)).unwrap().gas_available = 1_000;
    let full = world.joint(chain(0), tx.clone()).map(|_| ());
    assert!(matches!(full, Err(UnionError::PeerGas { available: 1_000, .. })), "{full:?}");
    world.rollups.remove(&chain(1));
    let absent = world.joint(chain(0), tx.clone()).map(|_| ());
    assert!(matches!(absent, Err(UnionError::PeerUnavailable(1_002))), "{absent:?}");
    let mut unsigned = tx;
    unsigned.0.base.nonce = 5;
    let invalid = world.joint(chain(0), unsigned).map(|_| ());
    assert!(matches!(invalid, Err(UnionError::Transaction(_))), "{invalid:?}");
}

#[test]
fn the_init_code_makes_the_proxy() {
    let world = World::new(&[7, 7]);
    let mut tx = world.call(chain(0), 1_000_000, 0);
    tx.0.base.kind = alloy_primitives::TxKind::Create;
    tx.0.base.data = proxy_init_code(chain(1), contract(3));
    let done = world.execute(chain(0), &tx);
    let result = done[&chain(0)].outcome.result.as_ref().unwrap();
    assert_eq!(*result.output().unwrap(), proxy_code(chain(1), contract(3)));
}

#[test]
fn super_transactions_keep_their_order_on_every_rollup() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[Op::Call(CallOp::new(1, 0))]);
    deploy(&mut world, 1, 0, &[Op::Increment(0)]);
    let mut tx = world.call(chain(0), 1_000_000, 0);
    for (id, done) in world.execute(chain(0), &tx) {
        world.rollups.get_mut(&id).unwrap().state = done.state;
    }
    tx.0.base.nonce = 1;
    let again = world.joint(chain(0), tx.clone()).map(|_| ());
    assert!(matches!(again, Err(UnionError::Script { .. })), "{again:?}");
    world.id.index += 1;
    let done = world.execute(chain(0), &tx);
    assert_eq!(slot(&done, 1, 0, 0), U256::from(2));
}

#[test]
fn a_refused_transaction_leaves_nothing_to_the_next_one() {
    let mut world = World::new(&[7, 7]);
    deploy(&mut world, 0, 0, &[Op::Call(CallOp::new(1, 0))]);
    deploy(&mut world, 1, 0, &[Op::Increment(0)]);
    // Fees on L1, so that transactions of different lengths cost differently.
    let l1_block = alloy_primitives::address!("4200000000000000000000000000000000000015");
    for member in world.rollups.values_mut() {
        let code = lockstep_execution::Bytecode::new_raw(Bytes::from_static(&[0]));
        member.state.set_account(l1_block, 1, U256::ZERO, code);
        member.state.set_slot(l1_block, U256::ONE, U256::from(1_000_000));
        member.state.set_slot(l1_block, U256::from(3), U256::from_be_bytes([1; 32]));
    }
    let tx = world.call(chain(0), 1_000_000, 0);
    let mut long = tx.clone();
    long.0.enveloped_tx = Some((0..1_000_u32).map(|n| (n * n / 7) as u8).collect());
    let alone = world.execute(chain(0), &tx);
    let after_refusal = world.after_refusal(chain(0), chain(1), long, tx);
    assert_eq!(after_refusal, alone[&chain(0)].state.state_root());
}
