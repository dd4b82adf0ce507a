//! The test vectors of `docs/super-transactions.md`, § 11: what other implementations must get, too.

use crate::{
    program::{CallOp, Op, assemble},
    world::{World, chain, pair},
};
use alloy_primitives::{Address, B256, address, b256, bytes, hex};
use lockstep_union::{Part, Refusal, pair_slot, proxy_init_code, proxy_of};

const TARGET: Address = Address::repeat_byte(0x11);

#[test]
fn proxies_and_slots() {
    let init_code = bytes!(
        "607c8060093d393df36040603c5f3933604052365f6060375f5f366060015f347342000000000000000000000000"
        "000000000000e15af13d5f5f3e6038573d5ffd5b3d5ff30000000000000000000000000000000000000000000000"
        "0000000000000003ea0000000000000000000000001111111111111111111111111111111111111111"
    );
    assert_eq!(proxy_init_code(1_002, TARGET), init_code);
    assert_eq!(proxy_of(1_002, TARGET), address!("b80a3F150ea4665aa576b8B610C872361f1dc33e"));
    assert_eq!(
        B256::from(pair_slot(1_002)),
        b256!("159b6e80f1cb5d8084c1accd4d8cd6bd01fc359bff98af2a17d7bbe757a2096d")
    );
    assert_eq!(
        Refusal::NotAPeer.revert_data(),
        bytes!("498d374a0000000000000000000000000000000000000000000000000000000000000002")
    );
}

/// A call with 5 wei from a rollup with base fee 7 to one with base fee 21, and then a revert.
#[test]
fn a_call_that_is_undone() {
    let mut world = World::new(&[7, 21]);
    let call = CallOp { value: 5, gas: Some(300_000), ..CallOp::new(1, 0) };
    world.deploy(chain(0), 0, &assemble(chain(0), &[Op::Call(call), Op::Revert(1)]));
    world.deploy(chain(1), 0, &assemble(chain(1), &[Op::Store(0, 0x2a)]));
    let done = world.execute(chain(0), &world.call(chain(0), 500_000, 0));
    let part = hex!(
        "f8b6c209048203e994aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa80f898f85b018203ea0101f85394c0c0c0c0"
        "c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c094c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c005830167d1158001a0"
        "0000000000000000000000000000000000000000000000000000000000000000ec028203ea8002e5018281dda000"
        "0000000000000000000000000000000000000000000000000000000000002ac6038203ea0103c6048203ea8004"
    );
    let decoded = Part::decode(&mut part.as_slice(), 4).unwrap();
    assert_eq!(decoded, done[&chain(0)].outcome.part);
    assert_eq!(alloy_rlp::encode(&decoded), part);
    let transcript = b256!("540fd65c5d03dd35fa1e5b7441fd07a0d5f99fbd5f153802759a285f6234e070");
    assert_eq!(pair(&done[&chain(0)].state, chain(1)).0, transcript);
}
