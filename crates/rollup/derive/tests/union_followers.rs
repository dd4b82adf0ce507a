//! Rollups of a union: their blocks come from union batches, each follower of its own.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use alloy_primitives::{Address, U256};
use common::{
    BLOCK_TIME, Follower, INBOX, L1_BLOCK_TIME, L2,
    union::{PORT, UNION_INBOX, UnionWorld, part_transaction},
};
use lockstep_derive::{
    DeriveError, DerivedAttributes, L2Heads, Severity, Signal, Step, find_sync_start,
    sequencer_attributes,
};
use lockstep_protocol::{Compression, UnionBatch, encode_blob};
use op_alloy_consensus::TxDeposit;
use proptest::{prelude::*, sample::Index};

const ZLIB: Compression = Compression::Zlib { level: 6 };

/// How many parts were derived.
fn parts(derived: &[DerivedAttributes]) -> usize {
    let transactions =
        derived.iter().filter_map(|derived| derived.attributes.transactions.as_ref());
    let sender = [&[0x94][..], PORT.as_slice()].concat();
    let is_part =
        |tx: &&alloy_primitives::Bytes| tx[0] == 0x7e && tx.windows(21).any(|w| w == sender);
    transactions.flatten().filter(is_part).count()
}

#[test]
fn every_follower_derives_its_rollup_alone() {
    let mut world = UnionWorld::new(3);
    world.run_slots(12);
    let followers = world.assert_derives_up_to(world.posted);
    assert_eq!(world.posted, 12 * L1_BLOCK_TIME / BLOCK_TIME - 1);
    for follower in &followers {
        assert_eq!(follower.drops(), []);
        let count = parts(&follower.derived);
        assert!(count > 20, "{count}");
    }
}

/// Where a slot has no batch, the next one brings its blocks, which are empty.
#[test]
fn the_next_batch_fills_slots_without_one() {
    let mut world = UnionWorld::new(2);
    for skipped in [1, 0, 3, 2] {
        for _ in 0..skipped {
            world.sequence_empty();
            world.next_slot();
        }
        world.run_slots(1);
    }
    world.assert_drops(world.posted, &[]);
}

/// Batches may come later than their slot, and several in one L1 block.
#[test]
fn late_batches_count_in_the_order_of_their_events() {
    let mut world = UnionWorld::new(2);
    for count in 3..6 {
        let before = world.posted;
        let mut late = Vec::new();
        for _ in 0..count {
            world.sequence();
            late.push(world.batch());
            world.posted = world.head();
            world.next_slot();
        }
        world.assert_derives_up_to(before);
        late.iter().for_each(|batch| world.post(batch));
        // The slot in which they are posted has no batch of its own.
        world.sequence_empty();
        world.next_slot();
        world.assert_derives_up_to(world.posted);
    }
    world.run_slots(1);
    world.assert_drops(world.posted, &[]);
}

/// A batch with nothing of a rollup is of no use to it, and no fault.
#[test]
fn a_batch_may_leave_out_a_rollup() {
    let mut world = UnionWorld::new(2);
    world.run_slots(1);
    let before = world.posted;
    world.sequence_empty();
    let mut batch = world.batch();
    batch.rollups.remove(0);
    world.post(&batch);
    world.next_slot();
    let mut followers = world.followers();
    for (follower, (l2, safe)) in
        followers.iter_mut().zip(world.l2s.iter().zip([before, world.head()]))
    {
        follower.run();
        follower.assert_is(l2, safe);
        assert_eq!(follower.drops(), []);
    }
    // The next one brings the blocks of both, one of which has them already.
    world.run_slots(1);
    world.assert_derives_up_to(world.posted);
    world.slot += 1;
    let nothing = UnionBatch { slot: world.slot, rollups: Vec::new() };
    world.post(&nothing);
    world.l1.borrow_mut().mine();
    world.assert_drops(world.posted, &[]);
}

/// What others write is not looked at: another contract's events, other events of the inbox, and data
/// for a batcher's inbox, which ordinary rollups would read.
#[test]
fn only_the_inbox_is_listened_to() {
    let mut world = UnionWorld::new(2);
    world.sequence();
    let batch = world.batch();
    let blobs = batch.to_blobs(ZLIB).unwrap();
    let hashes: Vec<_> = blobs.iter().map(|blob| common::l1::blob_hash(blob)).collect();
    let l1 = world.l1.clone();
    let transaction = world.sender.blobs(&blobs, Vec::new());
    l1.borrow_mut().send_blobs(transaction, blobs);
    let event = world.event(batch.slot, hashes);
    l1.borrow_mut().log(event.to_log(Address::repeat_byte(9)));
    let mut other = event.to_log(UNION_INBOX);
    let mut topics = other.data.topics().to_vec();
    topics[0] = Default::default();
    other.data.set_topics_unchecked(topics);
    l1.borrow_mut().log(other);
    let data = world.sender.calldata(INBOX, vec![0; 40]);
    l1.borrow_mut().send(data);
    world.next_slot();
    world.assert_drops(0, &[]);
}

/// The blobs of a batch stand between others', and there may be the same one twice.
#[test]
fn blobs_are_found_in_their_block() {
    let mut world = UnionWorld::new(2);
    world.sequence();
    let l1 = world.l1.clone();
    let strange = |world: &mut UnionWorld| {
        let blobs = vec![encode_blob(&[7; 99]).unwrap(), encode_blob(&[]).unwrap()];
        let transaction = world.sender.blobs(&blobs, Vec::new());
        l1.borrow_mut().send_blobs(transaction, blobs);
    };
    strange(&mut world);
    let batch = world.batch();
    let data = batch.encode(ZLIB).unwrap();
    let empty = || encode_blob(&[]).unwrap();
    let (head, tail) = data.split_at(data.len() / 3);
    let blobs =
        vec![empty(), encode_blob(head).unwrap(), empty(), empty(), encode_blob(tail).unwrap()];
    world.post_blobs(batch.slot, blobs);
    world.posted = world.head();
    strange(&mut world);
    world.next_slot();
    world.run_slots(2);
    world.assert_drops(world.posted, &[]);
}

/// Without a batch, blocks hold nothing but deposits once the sequencing window has passed; then the
/// union goes on.
#[test]
fn after_the_sequencing_window_come_deposits_alone() {
    let mut world = UnionWorld::new(2);
    world.run_slots(2);
    let posted = world.posted;
    let deposit = TxDeposit {
        from: Address::repeat_byte(8),
        value: U256::from(3),
        gas_limit: 50_000,
        ..TxDeposit::default()
    };
    world.l1.borrow_mut().deposit(&deposit);
    // These are never posted.
    world.sequence();
    world.next_slot();
    for _ in 0..30 {
        world.l1.borrow_mut().mine();
        world.slot += 1;
    }
    let mut followers = world.followers();
    for (index, follower) in followers.iter_mut().enumerate() {
        follower.run();
        let head = follower.head();
        let window = 20;
        assert!(head.l1_origin.number + window >= 32 && head.block.number > posted + 40);
        let derived = &follower.derived[posted as usize..];
        assert!(derived.iter().all(|derived| derived.is_deposits_only()));
        let deposits: usize = derived
            .iter()
            .map(|derived| derived.attributes.transactions.as_ref().unwrap().len() - 1)
            .sum();
        assert_eq!(deposits, 1, "the user's");
        // The gateway takes the chain as it is now.
        world.l2s[index] = follower.l2.borrow().clone();
    }
    world.posted = world.head();
    // Up to the slot that it owns, blocks are empty.
    let slot = world.slot;
    world.slot -= 1;
    world.sequence_empty();
    world.slot = slot;
    world.run_slots(3);
    for (follower, l2) in followers.iter_mut().zip(&world.l2s) {
        follower.run();
        follower.assert_is(l2, world.posted);
        assert_eq!(follower.drops(), []);
    }
}

/// A restart in the middle of a slot's blocks reads its batch again: what it has is compared, parts
/// included.
#[test]
fn a_restart_at_any_block_derives_the_same() {
    let mut world = UnionWorld::new(2);
    world.run_slots(5);
    let whole = world.assert_derives_up_to(world.posted);
    for (rollup, whole) in whole.iter().enumerate() {
        for safe in 0..world.posted {
            let mut l2 = whole.l2.borrow().clone();
            l2.truncate(safe);
            let mut follower = Follower::from(world.configs[rollup].clone(), &world.l1, l2);
            follower.run();
            follower.assert_is(&world.l2s[rollup], world.posted);
            let expected = &whole.derived[safe as usize..];
            assert_eq!(follower.derived, expected, "from block {safe}");
        }
    }
}

/// A safe chain that lacks a part, or has another, is not the one that the batch continues.
#[test]
fn parts_count_where_a_batch_overlaps_the_safe_chain() {
    let mut world = UnionWorld::new(2);
    let mut contents = vec![Vec::new(), Vec::new()];
    let parts = world.parts(0);
    for ((chain, part), content) in parts.iter().zip(&mut contents) {
        content.push(part_transaction(part, *chain));
        if *chain == 901 {
            content.push(world.l2s[0].transaction(0));
        }
    }
    world.sequence_contents(contents.clone());
    world.sequence();
    world.post_slot();
    world.next_slot();
    for rollup in 0..2 {
        for change in 0..3 {
            let mut content = contents[rollup].clone();
            match change {
                0 => {}
                1 => drop(content.remove(0)),
                _ => {
                    let mut part = parts[&(901 + rollup as u64)].clone();
                    part.origin = Address::ZERO;
                    content[0] = part_transaction(&part, 901 + rollup as u64);
                }
            }
            let config = &world.configs[rollup];
            let mut l2 = L2::new(config.clone());
            l2.sequence(&world.l1.borrow(), content);
            let mut follower = Follower::from(config.clone(), &world.l1, l2);
            follower.run();
            let drops: &[_] = if change == 0 { &[] } else { &[("overlap", 1)] };
            assert_eq!(follower.drops(), drops, "{rollup}, {change}");
            assert_eq!(follower.head().block.number, if change == 0 { world.posted } else { 1 });
        }
    }
}

#[test]
fn a_reorg_of_l1_across_a_batch_asks_for_a_reset() {
    for depth in 1..=4 {
        let mut world = UnionWorld::new(2);
        world.run_slots(6);
        let mut followers = world.assert_derives_up_to(world.posted);
        world.l1.borrow_mut().reorg(depth);
        world.l1.borrow_mut().mine_many(depth + 1);
        world.slot += 1;
        let mut safe = Vec::new();
        for follower in &mut followers {
            let head = follower.head();
            let error = follower.pipeline.step(&head).expect_err("L1 is another");
            assert!(matches!(error, DeriveError::L1Reorg { .. }), "{error}");
            assert_eq!(error.severity(), Severity::Reset);
            let heads = L2Heads {
                unsafe_head: head,
                safe: head,
                finalized: follower.l2.borrow().block(0).info,
            };
            let (mut l1, mut l2) = (world.l1.clone(), follower.l2.clone());
            let found = find_sync_start(follower.pipeline.config(), &mut l1, &mut l2, heads)
                .expect("they are there");
            assert!(found.unsafe_head.l1_origin.number <= 6 - depth as u64);
            follower.l2.borrow_mut().truncate(found.safe.block.number);
            follower.pipeline.signal(Signal::Reset { safe_head: found.safe });
            safe.push(found.unsafe_head.block.number);
        }
        assert_eq!(safe[0], safe[1], "both rollups go back to the same time");
        // The gateway goes on from what is left, with a batch for the slots that lost theirs.
        let kept = (6 - depth as u64) * L1_BLOCK_TIME / BLOCK_TIME - 1;
        world.l2s.iter_mut().for_each(|l2| l2.truncate(kept.min(safe[0])));
        world.posted = world.head();
        let slot = world.slot;
        world.slot -= 1;
        world.sequence_empty();
        world.slot = slot;
        world.run_slots(3);
        for (follower, l2) in followers.iter_mut().zip(&world.l2s) {
            follower.run();
            follower.assert_is(l2, world.posted);
        }
    }
}

/// A provider may fail at any call; nothing is lost, and nothing is counted twice.
#[test]
fn failures_of_providers_change_nothing() {
    let mut world = UnionWorld::new(2);
    world.run_slots(1);
    world.post_blobs(1, vec![encode_blob(&[9; 9]).unwrap()]);
    world.announce(1, vec![Default::default()]);
    world.run_slots(2);
    let undisturbed = world.assert_derives_up_to(world.posted);
    assert_eq!(undisturbed[0].drops(), [("union_event", 1), ("union_encoding", 1)]);
    let (mut follower, mut failures) = (world.followers().remove(0), 0);
    loop {
        let (safe, mut calls) = (follower.head(), 0);
        let step = loop {
            world.l1.borrow_mut().fail_at = Some(calls);
            follower.l2.borrow_mut().fail_at = Some(calls);
            match follower.pipeline.step(&safe) {
                Ok(step) => break step,
                Err(error) => assert_eq!(error.severity(), Severity::Temporary, "{error}"),
            }
            calls += 1;
            failures += 1;
        };
        match step {
            Step::Attributes(attributes) => {
                follower.l2.borrow_mut().apply(&attributes.attributes);
            }
            Step::Idle => break,
            Step::Advanced(_) | Step::Progress => {}
        }
    }
    assert!(failures > 30, "{failures}");
    follower.assert_is(&world.l2s[0], world.posted);
    assert_eq!(follower.drops(), undisturbed[0].drops());
}

/// An invalid block keeps the deposits of L1, and loses its parts with its transactions; the rest of its
/// span goes. The peer, which cannot know, goes on.
#[test]
fn an_invalid_block_loses_its_parts() {
    let mut world = UnionWorld::new(2);
    world.run_slots(6);
    let mut slot = world.posted - 5..world.posted;
    let whole = world.assert_derives_up_to(world.posted).remove(0);
    let has_parts = |number: &u64| parts(&whole.derived[*number as usize - 1..][..1]) > 0;
    let invalid = slot.find(has_parts).expect("there are parts in the last slot");
    let mut followers = world.followers();
    followers[0].run_with(|derived| {
        derived.parent.block.number + 1 != invalid || derived.is_deposits_only()
    });
    followers[1].run();
    followers[1].assert_is(&world.l2s[1], world.posted);
    let derived = &followers[0].derived;
    assert_eq!(derived.len() as u64, invalid, "nothing follows");
    assert_eq!(derived[..invalid as usize - 1], whole.derived[..invalid as usize - 1]);
    let last = &derived[invalid as usize - 1..];
    assert!(last[0].is_deposits_only() && last[0].is_last_in_span && parts(last) == 0);
    assert!(!whole.derived[invalid as usize - 1].is_deposits_only());
    assert_eq!(followers[0].drops(), [("channel_flushed", world.posted - invalid)]);
}

/// No account of L1 has the address of the port. If one had, its deposits would pass for parts.
#[test]
fn deposits_from_the_port_are_left_out() {
    let mut world = UnionWorld::new(2);
    world.run_slots(1);
    let honest = TxDeposit { from: Address::repeat_byte(8), gas_limit: 9, ..Default::default() };
    let forged = TxDeposit { from: PORT, ..honest.clone() };
    for deposit in [&forged, &honest, &forged] {
        world.l1.borrow_mut().deposit(deposit);
    }
    world.sequence_empty();
    world.post_slot();
    world.next_slot();
    let origin = world.l1.borrow().head().id();
    let mut followers = world.followers();
    for follower in &mut followers {
        follower.run();
        assert_eq!(follower.drops(), [("port_deposit", 2)]);
        assert_eq!(follower.head().block.number, world.posted);
        // What the sequencer begins the first block of the epoch with.
        let (mut l1, mut l2) = (world.l1.clone(), follower.l2.clone());
        let attributes = sequencer_attributes(
            follower.pipeline.config(),
            &common::l1_chain(),
            (&mut l1, &mut l2),
            &follower.head(),
            origin,
        )
        .expect("the origin is the next");
        let transactions = attributes.transactions.unwrap();
        assert_eq!(transactions.len(), 2, "L1 attributes and the honest deposit");
        assert_eq!(attributes.no_tx_pool, Some(false));
    }
}

/// What a sequencer begins a block with is what will be derived of it.
#[test]
fn sequencers_begin_blocks_as_they_are_derived() {
    let mut world = UnionWorld::new(2);
    world.run_slots(4);
    let follower = world.assert_derives_up_to(world.posted).remove(1);
    for derived in &follower.derived {
        let (mut l1, mut l2) = (world.l1.clone(), follower.l2.clone());
        let origin = follower.l2.borrow().block(derived.parent.block.number + 1).info.l1_origin;
        let begun = sequencer_attributes(
            &world.configs[1],
            &common::l1_chain(),
            (&mut l1, &mut l2),
            &derived.parent,
            origin,
        )
        .expect("it was derived");
        let (begun, whole) =
            (begun.transactions.unwrap(), derived.attributes.transactions.clone().unwrap());
        assert_eq!(begun, whole[..begun.len()]);
        let chain = follower.l2.borrow();
        let rest = &chain.block(derived.parent.block.number + 1).sequenced;
        let others = whole[begun.len()..].iter().filter(|tx| tx[0] != 0x7e).count();
        assert_eq!(others, rest.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However the data of a batch is cut into blobs and compressed, the same comes out.
    #[test]
    fn cuts_into_blobs_do_not_matter(
        cuts in prop::collection::vec(any::<Index>(), 0..6),
        compression in prop_oneof![
            (0_u8..10).prop_map(|level| Compression::Zlib { level }),
            (0_u8..10).prop_map(|quality| Compression::Brotli { quality }),
        ],
    ) {
        let mut world = UnionWorld::new(2);
        for _ in 0..3 {
            world.sequence();
            let batch = world.batch();
            let data = batch.encode(compression).unwrap();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
            cuts.extend([0, data.len()]);
            cuts.sort_unstable();
            let blobs =
                cuts.windows(2).map(|cut| encode_blob(&data[cut[0]..cut[1]]).unwrap()).collect();
            world.post_blobs(batch.slot, blobs);
            world.posted = world.head();
            world.next_slot();
        }
        world.assert_drops(world.posted, &[]);
    }
}
