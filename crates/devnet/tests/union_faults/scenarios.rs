//! What may happen to a union.

use crate::{
    classes::{FOR_ALL, FOR_ONE, Scene, for_one, forged_call},
    followers::BlobAnswer,
    model::Content,
    owner::{APP, Calls},
    world::{World, ZLIB, blobs_of},
};
use alloy_primitives::{B256, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_derive::open_union_batch;
use lockstep_devnet::AgreementError;
use lockstep_execution::StateReader;

/// Honest batches with everything in them are followed as the owner made them.
#[test]
fn honest_batches_are_followed_by_all() {
    let mut world = World::new(3, 1);
    let before = world.l1.slot();
    for round in 0..6 {
        world.deposit(round % 3, 5 + round as u64);
        world.post_honest(Calls::Nested);
    }
    assert_eq!(world.safe_numbers(), vec![before * 2 + 6 * 2 - 1; 3], "two blocks for each slot");
    assert!(world.joint().unwrap().is_some(), "all can be compared");
    let state = world.owned[0].snapshot();
    let state = state.state_by_hash(&state.head().seal()).unwrap();
    assert!(state.storage(&APP, &U256::ONE).unwrap() > U256::from(6), "rollups call each other");
    world.end();
}

#[test]
fn what_breaks_a_rule_for_all_is_dropped_by_all() {
    let mut world = World::new(2, 2);
    for (round, (name, reason, change)) in FOR_ALL.iter().enumerate() {
        let honest = world.make(Calls::Nested);
        assert!(honest.parts > 3, "{name}");
        let data = {
            let World { union, dice, .. } = &mut world;
            change(&mut Scene { honest: &honest, union, dice })
        };
        let slot = world.l1.slot();
        for node in &world.owned {
            // Which followers ask, too; but for L1 origins, which they look up.
            let opened =
                open_union_batch(&data.clone().into(), slot, &node.member.config, &world.union);
            let dropped = opened.err().map(|dropped| dropped.name());
            assert_eq!(dropped.unwrap_or("union_origin"), *reason, "{name}");
        }
        let before = world.safe_numbers();
        world.post(&data, Content::DROPPED);
        assert_eq!(world.safe_numbers(), before, "{name}");
        if round % 3 == 2 {
            world.post_honest(Calls::Nested);
        }
    }
    world.post_honest(Calls::Nested);
    world.end();
}

#[test]
fn what_only_one_rollup_can_tell_falls_back_there_alone() {
    let mut world = World::new(2, 3);
    for (rollup, (name, change)) in (0..).zip(FOR_ONE.iter().chain(FOR_ONE)) {
        let rollup = rollup % 2;
        let honest = world.make(Calls::None);
        let before = world.safe_numbers();
        let blocks = honest.batch.rollups[rollup].span(&world.union).unwrap().blocks.len() as u64;
        let (data, content) = for_one(&honest, &world.union, rollup, *change);
        world.post(&data, content);
        let after = world.safe_numbers();
        assert!(after[rollup] < before[rollup] + blocks, "{name}");
        assert!(after[1 - rollup] > before[1 - rollup], "{name}: its peer goes on");
        world.post_honest(Calls::Nested);
        assert_eq!(world.safe_numbers(), vec![after.iter().max().unwrap() + 2; 2], "{name}");
    }
    world.end();
}

/// Batches that no owner signed so, or not in time, never were.
#[test]
fn what_the_inbox_refuses_never_was() {
    let mut world = World::new(2, 4);
    world.post_honest(Calls::Nested);
    let stranger = PrivateKeySigner::from_bytes(&B256::repeat_byte(6)).unwrap();
    for attempt in 0..7 {
        let honest = world.make(Calls::Nested);
        let data = honest.batch.encode(ZLIB).unwrap();
        let (slot, head) = (world.l1.slot(), world.inbox_head());
        let mut signed = world.sign(&data, honest.content.clone());
        match attempt {
            0 => {
                let signature = stranger.sign_hash_sync(&signed.hash).unwrap();
                signed.signature = signature.as_bytes().into();
            }
            // What it says is not what was signed.
            1 => signed.batch.slot -= 1,
            2 => {
                let parent = B256::repeat_byte(1);
                signed = world.sign_as(slot, parent, blobs_of(&data), honest.content.clone());
            }
            // The slot is not over.
            3 => signed = world.sign_as(slot + 1, head, blobs_of(&data), honest.content.clone()),
            _ => {}
        }
        let mut call = world.call(&signed);
        match attempt {
            4 => call.firstBlob = U256::from(1),
            5 => call.blobCount = U256::from(2),
            6 => call.proof.header.stateRoot.0[3] ^= 1,
            _ => {}
        }
        world.plan_call(&signed, &call, slot + 1);
        let before = world.safe_numbers();
        world.l1.next_slot();
        world.follow();
        assert_eq!(world.l1.failures(slot + 1), 1, "attempt {attempt}");
        assert_eq!((world.inbox_head(), world.safe_numbers()), (head, before), "{attempt}");
        world.post_honest(Calls::Nested);
    }
    world.end();
}

/// What no rule for batches tells, as no follower executes another rollup (docs/union-batches.md § 6): each rollup's
/// followers agree all the same, and who compares the rollups sees it.
#[test]
fn a_forged_call_stands_where_it_arrived_and_is_seen_by_who_compares() {
    let mut world = World::new(2, 5);
    world.post_honest(Calls::Nested);
    let honest = world.make(Calls::Single);
    let (data, content, home) = forged_call(&honest);
    let signed = world.sign(&data, content);
    world.plan(&signed, world.l1.slot() + 1);
    let before = world.safe_numbers();
    world.l1.next_slot();
    world.run();
    world.check_chains();
    let sender = world.owned.iter().position(|node| node.member.id() == home).unwrap();
    let after = world.safe_numbers();
    assert_eq!(after[1 - sender], before[1 - sender] + 2, "its callee has all blocks");
    assert!(after[sender] < after[1 - sender] || honest.spans()[&home].blocks.len() == 2);
    let error = world.joint().unwrap_err();
    assert!(matches!(error, AgreementError::Calls { first: 901, second: 902, .. }), "{error}");
    // Derivation goes on.
    for _ in 0..3 {
        let signed = world.sign_honest(Calls::None);
        world.plan(&signed, world.l1.slot() + 1);
        world.l1.next_slot();
        world.run();
        world.check_chains();
    }
    assert_eq!(world.safe_numbers(), vec![2 * world.l1.slot() - 1; 2]);
    world.end();
}

#[test]
fn l1_takes_a_batch_back_and_has_it_in_another_block() {
    let mut world = World::new(2, 6);
    world.post_honest(Calls::Nested);
    let safe = world.safe_numbers();
    let slot = world.l1.slot();
    let signed = world.sign_honest(Calls::Nested);
    world.plan(&signed, slot + 1);
    world.next_slot();
    let with_batch = world.safe_numbers();
    assert!(with_batch > safe);
    // It is gone.
    world.l1.clear_from(slot + 1);
    world.reorg(1);
    assert_eq!(world.safe_numbers(), safe);
    // Two blocks later it is there again, and its blocks are the same.
    world.plan(&signed, slot + 3);
    world.next_slot();
    assert_eq!(world.safe_numbers(), with_batch);
    world.post_honest(Calls::Nested);
    world.end();
}

#[test]
fn l1_replaces_what_a_batch_stands_on() {
    let mut world = World::new(2, 7);
    for depth in 2..6 {
        world.post_honest(Calls::Nested);
        let safe = world.safe_numbers();
        (0..depth).for_each(|_| world.post_honest(Calls::Nested));
        // All batches are in the new blocks again; but they name blocks of L1 that are none any more. The first of
        // them stands on one that is.
        world.reorg(depth);
        let after = world.safe_numbers();
        assert_eq!(after, safe.iter().map(|safe| safe + 2).collect::<Vec<_>>(), "{depth}");
        world.post_honest(Calls::Nested);
    }
    world.end();
}

/// Its owner has signed two batches of one slot; users were told of the first.
#[test]
fn l1_has_another_batch_of_the_same_owner_in_the_place_of_one() {
    let mut world = World::new(2, 8);
    world.post_honest(Calls::Nested);
    let slot = world.l1.slot();
    let signed: Vec<_> =
        [Calls::Nested, Calls::None].into_iter().map(|calls| world.sign_honest(calls)).collect();
    world.plan(&signed[0], slot + 1);
    world.next_slot();
    let first = world.lasting[0].safe_chain();
    world.l1.clear_from(slot + 1);
    world.plan(&signed[1], slot + 1);
    world.reorg(1);
    let second = world.lasting[0].safe_chain();
    assert_eq!(first.len(), second.len());
    assert_ne!(first.last(), second.last());
    // The first can never be posted again: the inbox has a batch of the slot.
    world.plan(&signed[0], slot + 3);
    world.l1.next_slot();
    world.follow();
    assert_eq!(world.l1.failures(slot + 3), 1);
    world.post_honest(Calls::Nested);
    world.end();
}

#[test]
fn followers_wait_for_blobs_and_lose_nothing() {
    let mut world = World::new(2, 9);
    world.post_honest(Calls::Nested);
    for answer in [BlobAnswer::Missing, BlobAnswer::Forged] {
        let safe = world.safe_numbers();
        let signed = world.sign_honest(Calls::Nested);
        world.plan(&signed, world.l1.slot() + 1);
        world.answers.set(answer);
        let failures = world.lasting[1].failures;
        for _ in 0..3 {
            world.l1.next_slot();
            world.run();
            assert_eq!(world.safe_numbers(), safe, "{answer:?}");
        }
        assert!(world.lasting[1].failures >= failures + 3, "{answer:?}");
        world.answers.set(BlobAnswer::True);
        world.follow();
        assert!(world.safe_numbers() > safe, "{answer:?}");
        world.post_honest(Calls::Nested);
    }
    world.end();
}

/// What is lost with a block that L1 takes back nobody needs.
#[test]
fn a_batch_whose_blobs_are_lost_goes_with_its_l1_block() {
    let mut world = World::new(2, 10);
    world.post_honest(Calls::Nested);
    let (safe, slot) = (world.safe_numbers(), world.l1.slot());
    let signed = world.sign_honest(Calls::Nested);
    world.plan(&signed, slot + 1);
    world.answers.set(BlobAnswer::Missing);
    world.l1.next_slot();
    world.run();
    assert!(world.lasting.iter().all(|node| node.failures > 0));
    world.l1.clear_from(slot + 1);
    world.reorg(1);
    assert_eq!(world.safe_numbers(), safe);
    world.answers.set(BlobAnswer::True);
    world.post_honest(Calls::Nested);
    world.end();
}

#[test]
fn a_rollup_is_halted_while_its_peers_go_on() {
    let mut world = World::new(3, 11);
    world.post_honest(Calls::Nested);
    for halted in 0..3 {
        world.halted.insert(halted);
        let stands = world.lasting[halted].safe();
        for _ in 0..8 {
            world.post_honest(Calls::Nested);
        }
        assert_eq!(world.lasting[halted].safe(), stands);
        let peer = (halted + 1) % 3;
        assert_eq!(world.lasting[peer].safe().number, stands.number + 16);
        world.halted.remove(&halted);
        // It catches up, and has what its peers sent it.
        world.follow();
        assert!(world.joint().unwrap().is_some());
    }
    world.end();
}

/// The window of L1 blocks within which a rollup's blocks must be posted.
const SHORT_WINDOW: u64 = 8;

#[test]
fn a_union_whose_owners_post_nothing_goes_on_with_deposits() {
    let mut world = World::with_window(2, 12, SHORT_WINDOW);
    world.post_honest(Calls::Nested);
    let safe = world.safe_numbers();
    world.deposit(0, 77);
    for _ in 0..3 * SHORT_WINDOW {
        world.l1.next_slot();
        world.run();
    }
    let after = world.safe_numbers();
    assert!(after[0] > safe[0] + SHORT_WINDOW, "{after:?}");
    for rollup in 0..2 {
        let [lasting, killed] = [&world.lasting, &world.killed].map(|it| it[rollup].safe_chain());
        assert_eq!(lasting, killed);
        let snapshot = world.lasting[rollup].snapshot();
        for number in safe[rollup] + 1..=after[rollup] {
            let block = snapshot.block(number).unwrap().unwrap();
            assert!(block.transactions().iter().all(|tx| tx.is_deposit()), "{number}");
        }
    }
    world.end();
}
