//! Rules of a union batch that each rollup's own rules would tell too, but only for itself: followers of
//! all rollups judge all rollups by them, and drop the batch as one.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use alloy_primitives::Bytes;
use common::{BLOCK_TIME, Follower, GENESIS_TIME, L1_BLOCK_TIME, union::UnionWorld};
use lockstep_derive::{DeriveError, Severity};
use lockstep_protocol::{RollupBatch, SpanBatch, UnionBatch};
use std::sync::Arc;

const BLOCKS_PER_SLOT: u64 = L1_BLOCK_TIME / BLOCK_TIME;

/// Changes the blocks of the second rollup in a batch.
fn change_span(world: &UnionWorld, batch: &mut UnionBatch, change: impl FnOnce(&mut SpanBatch)) {
    let rollup = &mut batch.rollups[1];
    let mut span = rollup.span(&world.union()).unwrap();
    change(&mut span);
    let parts = rollup.parts.clone();
    *rollup = RollupBatch::new(rollup.chain_id, &span, parts, &world.union()).unwrap();
}

/// A union of two with two slots posted, one without a batch, and one whose blocks are made.
fn world() -> UnionWorld {
    let mut world = UnionWorld::new(2);
    world.run_slots(2);
    world.sequence_empty();
    world.next_slot();
    world.sequence();
    world
}

/// Followers of both rollups drop the batch that is made by a change of the second's blocks, for this
/// reason alone, and take the honest one behind it.
#[track_caller]
fn assert_dropped(mut world: UnionWorld, reason: &str, change: impl FnOnce(&mut SpanBatch)) {
    let mut batch = world.batch();
    change_span(&world, &mut batch, change);
    world.post(&batch);
    world.post_slot();
    world.next_slot();
    world.assert_drops(world.posted, &[(reason, 1)]);
}

/// A batch that was signed for an L1 block which has been replaced.
#[test]
fn the_last_origin_is_a_block_of_l1() {
    assert_dropped(world(), "union_origin", |span| span.l1_origin_check[3] ^= 1);
}

#[test]
fn origins_lie_below_the_block_that_the_batch_is_in() {
    for ahead in [1, 2, u64::MAX / 2] {
        assert_dropped(world(), "union_origin", |span| {
            span.blocks.iter_mut().for_each(|block| block.epoch_num += ahead);
        });
    }
}

#[test]
fn no_block_is_older_than_its_origin() {
    assert_dropped(world(), "union_origin", |span| {
        // It is of the slot that had no batch.
        let block = &mut span.blocks[BLOCKS_PER_SLOT as usize - 1];
        assert!(block.transactions.is_empty());
        block.epoch_num += 1;
    });
}

/// One rollup has its blocks of a slot already, the other not; so the batch that brings the next slot's is
/// within the window of one rollup only.
#[test]
fn a_batch_that_is_late_for_one_rollup_is_late_for_all() {
    for (mined, drops) in [(18, &[][..]), (19, &[("union_origin", 1)])] {
        let mut world = UnionWorld::new(2);
        world.run_slots(1);
        world.sequence_empty();
        let mut ahead = world.batch();
        ahead.rollups.truncate(1);
        world.post(&ahead);
        let first = world.posted;
        let of_first = world.head();
        world.next_slot();
        world.sequence();
        let mut batch = world.batch();
        batch.rollups[0] = world.rollup_batch(0, of_first + 1..=world.head());
        world.l1.borrow_mut().mine_many(mined);
        world.post(&batch);
        world.next_slot();
        let mut followers = world.followers();
        for (follower, before) in followers.iter_mut().zip([of_first, first]) {
            follower.run();
            assert_eq!(follower.drops(), drops, "{mined}");
            let l2 = follower.l2.borrow();
            let is_filled = |number| {
                l2.blocks.get(number as usize).is_some_and(|block| {
                    block.attributes.transactions.iter().flatten().any(|tx| tx[0] != 0x7e)
                })
            };
            assert!((1..=before).all(|number| number < BLOCKS_PER_SLOT || !is_filled(number)));
            let has_batch = (before + 1..=world.head()).any(is_filled);
            assert_eq!(has_batch, drops.is_empty(), "{mined}");
        }
    }
}

/// An owner lets every other L1 block have a batch that begins as far back as one may. It costs a follower, and whoever proves
/// its rollup, what derivation reads of L1 anyway.
#[test]
fn batches_that_begin_long_ago_make_nobody_read_l1_again() {
    let headers_read = |batches: u64| {
        let mut world = UnionWorld::new(2);
        world.run_slots(1);
        for _ in 0..4 {
            world.sequence_empty();
            world.next_slot();
        }
        world.sequence_empty();
        let empty = world.batch();
        world.l1.borrow_mut().mine_many(20);
        for _ in 0..10 {
            let head = world.l1.borrow().head();
            for _ in 0..batches {
                let mut batch = empty.clone();
                // Its last origin is right, so all of them are looked up.
                change_span(&world, &mut batch, |span| {
                    for (block, ahead) in span.blocks.iter_mut().zip(1..) {
                        block.epoch_num = (head.number - 20 + ahead).min(head.number);
                    }
                    span.l1_origin_check.copy_from_slice(&head.hash[..20]);
                });
                world.post(&batch);
            }
            world.l1.borrow_mut().mine_many(2);
        }
        let drops = [("union_origin", 10 * batches)];
        let expected = if batches == 0 { &[][..] } else { &drops };
        let mut read = Vec::new();
        for mut follower in world.followers() {
            world.l1.borrow_mut().headers_read = 0;
            follower.run();
            assert_eq!(follower.drops(), expected);
            read.push(world.l1.borrow().headers_read);
        }
        read
    };
    let without = headers_read(0);
    assert_eq!(headers_read(1), without);
    assert_eq!(headers_read(3), without);
}

#[test]
fn the_first_block_of_jovian_is_empty_on_all_rollups() {
    let at = GENESIS_TIME + 3 * BLOCK_TIME;
    for (block, drops) in [(1, &[][..]), (2, &[("union_fork", 1)]), (3, &[])] {
        let mut world = UnionWorld::with(2, |config| config.jovian_time = Some(at));
        let transaction = world.l2s[1].transaction(2);
        world.sequence_empty();
        let mut batch = world.batch();
        change_span(&world, &mut batch, |span| span.blocks[block].transactions.push(transaction));
        world.post(&batch);
        world.next_slot();
        for (rollup, mut follower) in world.followers().into_iter().enumerate() {
            follower.run();
            assert_eq!(follower.drops(), drops, "{rollup}, {block}");
            let head = if drops.is_empty() { world.head() } else { 0 };
            assert_eq!(follower.head().block.number, head);
        }
    }
}

#[test]
fn set_code_transactions_come_with_isthmus() {
    for (ty, isthmus_time, drops) in [
        (3, None, &[("union_fork", 1)][..]),
        (2, None, &[]),
        (3, Some(GENESIS_TIME + 4 * BLOCK_TIME), &[]),
        (3, Some(GENESIS_TIME + 5 * BLOCK_TIME), &[("union_fork", 1)]),
    ] {
        let mut world = UnionWorld::with(2, |config| {
            (config.isthmus_time, config.jovian_time) = (isthmus_time, None);
        });
        let transaction: Bytes = world.l2s[1].transaction(ty);
        world.sequence_empty();
        let mut batch = world.batch();
        change_span(&world, &mut batch, |span| span.blocks[3].transactions.push(transaction));
        world.post(&batch);
        world.next_slot();
        for mut follower in world.followers() {
            follower.run();
            assert_eq!(follower.drops(), drops, "type {ty}, {isthmus_time:?}");
        }
    }
}

/// Whose clock is not L1's cannot judge a batch, and says so.
#[test]
fn a_configuration_with_other_slots_than_l1_stops_derivation() {
    let mut world = UnionWorld::new(1);
    world.run_slots(3);
    let mut config = (*world.configs[0]).clone();
    // Batches are posted a slot later than their own.
    config.union.as_mut().unwrap().genesis_time += 2 * L1_BLOCK_TIME;
    let mut follower = Follower::new(Arc::new(config), &world.l1);
    let head = follower.head();
    let error = (0..100).find_map(|_| follower.pipeline.step(&head).err()).expect("it stops");
    assert!(matches!(error, DeriveError::UnionClock { .. }), "{error}");
    assert_eq!(error.severity(), Severity::Critical);
}
