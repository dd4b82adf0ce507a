//! What may happen to a rollup.

use crate::{proof::prove_everything, world::World};
use alloy_consensus::TxType;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256, bytes, keccak256};
use alloy_sol_types::SolValue;
use lockstep_batcher::DataLimits;
use lockstep_contracts::OutputOracle;
use lockstep_devnet::{AgreementError, DataAvailability};
use std::sync::atomic::Ordering;

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);

/// Checks that nothing is left of what happened: both nodes have the same chain, all of it safe.
fn assert_settled(world: &mut World) {
    let head = world.settle();
    assert_eq!(world.sequencing.hashes(), world.following.hashes());
    assert_eq!(world.following.head(), head);
    for account in [ALICE, BOB] {
        assert_eq!(world.sequencing.balance(account), world.following.balance(account));
    }
}

#[test]
fn a_follower_derives_what_was_sequenced_and_its_outputs_are_claimed() {
    let mut world = World::new(DataAvailability::Blobs);
    for round in 0..10 {
        world.deposit(ALICE, U256::from(5));
        world.transfer(BOB, U256::from(round + 1));
        world.slots(4);
    }
    assert_settled(&mut world);
    assert!(world.following.head().number >= 79, "{:?}", world.following.head());
    assert_eq!(world.following.balance(ALICE), U256::from(50));
    assert_eq!(world.following.balance(BOB), U256::from(55));
    assert!(world.posted > 0 && world.claims > 0);

    // What was claimed last is the output of the block that it names.
    world.slots(2);
    let oracle = world.addresses.output_oracle;
    let index = world.call_l1(oracle, &OutputOracle::latestOutputIndexCall {});
    let claim = world.call_l1(oracle, &OutputOracle::getL2OutputCall { l2OutputIndex: index });
    let safe = world.following.local.safe_block().unwrap().unwrap();
    assert!(u64::try_from(claim.l2BlockNumber).unwrap() <= safe.block.number);
    world.end();
}

#[test]
fn l1_blocks_become_final_and_rollup_blocks_with_them() {
    let mut world = World::new(DataAvailability::Calldata);
    world.slots(4 * 32);
    assert_settled(&mut world);
    let finalized = world.following.finalized();
    assert!(finalized > 0 && finalized < world.following.head().number);
    world.end();
}

/// L1 takes back deposits, batches and claims; the batcher is killed at any time.
#[test]
fn hundreds_of_blocks_survive_reorgs_of_l1_and_restarts_of_the_batcher() {
    let mut world = World::new(DataAvailability::Calldata);
    let mut deposited = U256::ZERO;
    let mut sent = U256::ZERO;
    let mut taken_back = 0;
    for round in 0..40_u64 {
        let value = U256::from(round + 1);
        world.deposit(ALICE, value);
        deposited += value;
        world.transfer(BOB, value);
        sent += value;
        world.slots(3 + round % 4);
        if round % 5 == 4 {
            let before = world.sequencing.hashes();
            world.reorg_l1(1 + round % 13);
            world.slot(true);
            let after = world.sequencing.hashes();
            taken_back += usize::from(!after.starts_with(&before));
        }
        if round % 7 == 6 {
            world.restart_batcher();
        }
    }
    world.slots(6);
    assert_settled(&mut world);
    assert!(world.following.head().number > 300, "{:?}", world.following.head());
    assert!(taken_back > 0);
    assert_eq!(world.following.balance(ALICE), deposited);
    assert_eq!(world.following.balance(BOB), sent);
    world.end();
}

#[test]
fn a_follower_waits_for_blobs_that_are_missing() {
    let mut world = World::new(DataAvailability::Blobs);
    world.slots(20);
    let safe = world.following.safe();
    world.has_lost_blobs.store(true, Ordering::Relaxed);
    world.deposit(ALICE, U256::from(1));
    world.slots(20);
    assert!(world.following.failures > 0);
    assert!(world.sequencing.safe().number > safe.number);
    assert!(world.following.safe().number <= safe.number);
    world.has_lost_blobs.store(false, Ordering::Relaxed);
    assert_settled(&mut world);
    assert_eq!(world.following.balance(ALICE), U256::from(1));
    world.end();
}

/// What is lost with a block that L1 takes back never comes back; nobody needs it.
#[test]
fn a_follower_that_waits_for_blobs_sees_that_their_block_is_gone() {
    let mut world = World::new(DataAvailability::Blobs);
    world.slots(20);
    world.has_lost_blobs.store(true, Ordering::Relaxed);
    while world.following.failures == 0 {
        world.slot(true);
    }
    world.reorg_l1(12);
    world.slots(2);
    world.has_lost_blobs.store(false, Ordering::Relaxed);
    assert_settled(&mut world);
    world.end();
}

/// What the batcher cannot post in time is not taken; what was derived is.
#[test]
fn a_throttled_sequencer_takes_less_and_a_follower_still_everything() {
    let mut world = World::new(DataAvailability::Calldata);
    world.slots(2);
    let bytes_of = |world: &World, from: u64| -> Vec<usize> {
        let snapshot = world.sequencing.local.view.snapshot();
        (from + 1..=snapshot.head().number)
            .map(|number| {
                let block = snapshot.block(number).unwrap().unwrap();
                let users = block.transactions().iter().filter(|tx| !tx.is_deposit());
                users.map(|tx| tx.encode_2718_len()).sum()
            })
            .collect()
    };
    for value in 1..=10 {
        world.transfer(BOB, U256::from(value));
    }
    let before = world.sequencing.head().number;
    world.throttle.set(DataLimits::NOTHING);
    world.slots(2);
    assert_eq!(bytes_of(&world, before), [0; 4]);
    // A transfer takes about 170 bytes.
    world.throttle.set(DataLimits { block_bytes: 400, transaction_bytes: 150 });
    let before = world.sequencing.head().number;
    world.slots(1);
    assert_eq!(bytes_of(&world, before), [0; 2], "each is too large");
    world.throttle.set(DataLimits { block_bytes: 400, transaction_bytes: 200 });
    let before = world.sequencing.head().number;
    world.slots(20);
    let found = bytes_of(&world, before);
    assert!(found.iter().all(|bytes| *bytes <= 400), "{found:?}");
    assert!(found.iter().any(|bytes| *bytes > 200), "{found:?}");
    assert_eq!(world.sequencing.balance(BOB), U256::from(55));
    // Derived blocks know no limit.
    world.throttle.set(DataLimits::NOTHING);
    assert_settled(&mut world);
    assert_eq!(world.following.balance(BOB), U256::from(55));
    world.end();
}

/// A follower that knows nothing of deposits stands for one with a bug.
#[test]
fn nodes_that_derive_different_blocks_are_found_out() {
    let mut world = World::with_follower(DataAvailability::Calldata, |config| {
        config.deposit_contract_address = Address::repeat_byte(1);
    });
    world.slots(20);
    assert!(world.following.safe().number > 0);
    world.deposit(ALICE, U256::from(1));
    let found = (0..40).find_map(|_| world.try_slot(true).err());
    let Some(AgreementError::Differs { number, first, second, .. }) = found else {
        panic!("nobody noticed: {found:?}");
    };
    assert_eq!(world.sequencing.hashes()[number as usize], first);
    assert_eq!(world.following.hashes()[number as usize], second);
    world.end();
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        let hash = keccak256(self.0.to_be_bytes());
        self.0 += 1;
        u64::from_be_bytes(hash[..8].try_into().unwrap()) % limit
    }
}

/// The creation of a contract that stores the second word that it is called with at the slot of the
/// first: `SSTORE(CALLDATALOAD(0), CALLDATALOAD(32))`.
const SHELF: Bytes = bytes!("666020355f3555005f5260076019f3");
const SHELF_SLOTS: u64 = 40;

/// Everything at once, for two thousand blocks, all of which are then proven.
#[test]
fn two_thousand_blocks_survive_whatever_may_happen() {
    let mut world = World::new(DataAvailability::Blobs);
    let mut dice = Dice(7);
    let types = [TxType::Legacy, TxType::Eip2930, TxType::Eip1559, TxType::Eip7702];
    world.send_type(TxType::Eip1559, TxKind::Create, &SHELF);
    let shelf = world.accounts[2].address.create(0);
    let mut deepest = 0;
    while world.sequencing.head().number < 2_000 {
        for _ in 0..dice.below(4) {
            let (slot, value) = (U256::from(dice.below(SHELF_SLOTS)), U256::from(dice.below(3)));
            let input = (slot, value).abi_encode().into();
            world.send_type(types[dice.below(4) as usize], shelf.into(), &input);
        }
        if dice.below(3) == 0 {
            world.deposit(ALICE, U256::from(1 + dice.below(100)));
        }
        world.slots(1 + dice.below(8));
        match dice.below(16) {
            0 => {
                let depth = (1 + dice.below(32)).min(world.beacon.slot() / 2).max(1);
                deepest = deepest.max(depth);
                world.reorg_l1(depth);
            }
            1 => world.restart_batcher(),
            2 => {
                let lost = world.has_lost_blobs.load(Ordering::Relaxed);
                world.has_lost_blobs.store(!lost, Ordering::Relaxed);
            }
            _ => {}
        }
    }
    world.has_lost_blobs.store(false, Ordering::Relaxed);
    assert_settled(&mut world);
    assert!(deepest > 16 && world.following.failures > 0);
    let left = world.following.slots(shelf, SHELF_SLOTS);
    assert!(0 < left && left < SHELF_SLOTS, "{left}");
    let transactions = world.following.transactions();
    for ty in types {
        assert!(transactions.get(&(ty as u8)).is_some_and(|count| *count > 20), "{transactions:?}");
    }
    prove_everything(&world);
    world.end();
}
