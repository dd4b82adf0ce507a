//! The Gate, and the executor of super transactions, which writes its storage.

use crate::union_world::{HOME, PEER, USER, World, deploy_proxy, member, transcript};
use alloy_primitives::{Address, B256, U256, bytes};
use lockstep_contracts::{GATE, PORT, union_predeploys};
use lockstep_union::proxy_of;

const TARGET: Address = Address::repeat_byte(0xbb);

#[test]
fn addresses_are_those_of_the_executor() {
    assert_eq!((GATE, PORT), (lockstep_union::GATE, lockstep_union::PORT));
    let port = &union_predeploys(Address::ZERO)[&PORT];
    assert_eq!((port.nonce, port.code.clone()), (Some(1), Some(bytes!("fe"))));
    assert!(port.storage.is_none());
}

#[test]
fn a_proxy_is_the_same_whoever_makes_it() {
    let mut world = World::new();
    let proxy = deploy_proxy(&mut world.home, PEER, TARGET);
    assert_eq!(proxy, proxy_of(PEER, TARGET));
    let done = world.execute(proxy, 5, []);
    assert!(done[&HOME].result.as_ref().is_some_and(|result| result.is_success()));

    // On the peer, the executor made the proxy of who called.
    let caller = proxy_of(HOME, USER);
    let by_executor = world.peer.state.get(&caller).expect("it is made").clone();
    let mut another = member(Address::ZERO);
    assert_eq!(deploy_proxy(&mut another, HOME, USER), caller);
    let by_contract = another.state.get(&caller).expect("it is made");
    assert_eq!(by_executor.info, by_contract.info);
    assert!(by_executor.storage.is_empty() && by_contract.storage.is_empty());
    let code = another.state.code_of(&by_executor.info.code_hash).unwrap().original_bytes();
    assert_eq!(code, lockstep_union::proxy_code(HOME, USER));

    // To make it once more changes nothing.
    assert_eq!(deploy_proxy(&mut world.peer, HOME, USER), caller);
    assert_eq!(world.peer.state.get(&caller).unwrap().info, by_executor.info);
}

#[test]
fn the_gate_shows_what_the_executor_wrote() {
    let mut world = World::new();
    assert_eq!(transcript(&mut world.home, PEER), Default::default());
    let proxy = deploy_proxy(&mut world.home, PEER, TARGET);
    let done = world.execute(proxy, 5, []);
    assert_eq!(done[&HOME].part.steps.len(), 2, "a call and its return");

    let (hash, sent, received) = transcript(&mut world.home, PEER);
    assert_ne!(hash, B256::ZERO);
    assert_eq!((sent, received), (U256::from(5), U256::ZERO));
    assert_eq!(transcript(&mut world.peer, HOME), (hash, U256::ZERO, U256::from(5)));
    assert_eq!(world.peer.balance(TARGET), U256::from(5));
    for machine in [&mut world.home, &mut world.peer] {
        assert_eq!(transcript(machine, 903), Default::default(), "another peer");
    }
    // The next one follows it.
    world.execute(proxy, 1, []);
    assert_eq!(transcript(&mut world.peer, HOME).2, U256::from(6));
}
