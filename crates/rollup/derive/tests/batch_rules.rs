//! The rules for singular batches (OP specification: derivation § batch queue, Holocene § batch
//! queue).

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use alloy_primitives::{B256, Bytes};
use common::{BLOCK_TIME, GENESIS_TIME, L1_BLOCK_TIME, World, config};
use lockstep_chain::OpHardfork;
use lockstep_derive::Dropped;
use lockstep_protocol::{Batch, SingleBatch};

const FORKS: [OpHardfork; 3] = [OpHardfork::Bedrock, OpHardfork::Granite, OpHardfork::Jovian];

/// A world with five L1 blocks and the rollup's blocks that go with them.
fn world(fork: OpHardfork) -> World {
    let mut world = World::at(fork);
    world.mine_many(5);
    world
}

/// Posts blocks 1 to 3, where the second is changed, and then the same unchanged; all but the
/// changed batch must be valid.
fn assert_dropped(fork: OpHardfork, reason: Dropped, change: impl Fn(&mut SingleBatch)) {
    let mut world = world(fork);
    let mut changed = world.l2.batch(2);
    change(&mut changed);
    world.post(&world.singles(1..=1));
    world.post(&[Batch::Single(changed)]);
    world.post(&world.singles(2..=3));
    world.mine();
    let follower = world.assert_derives_up_to(3);
    assert_eq!(follower.pipeline.dropped().get(reason), 1, "{fork}: {:?}", follower.drops());
}

#[test]
fn blocks_are_derived_as_they_were_sequenced() {
    for fork in OpHardfork::VARIANTS.iter().copied().filter(|fork| *fork <= OpHardfork::Jovian) {
        let mut world = world(fork);
        let head = world.head();
        world.post(&world.singles(1..=head));
        world.mine();
        let follower = world.assert_derives_up_to(head);
        assert_eq!(follower.drops(), [], "{fork}");
        let at = world.l1.borrow().head();
        assert!(follower.derived.iter().all(|derived| derived.derived_from == at));
        assert!(follower.derived.iter().all(|derived| derived.is_last_in_span));
    }
}

#[test]
fn a_batch_that_builds_on_another_block_is_dropped() {
    for fork in FORKS {
        assert_dropped(fork, Dropped::ParentHash, |batch| batch.parent_hash = B256::ZERO);
    }
}

#[test]
fn a_batch_for_another_l1_is_dropped() {
    for fork in FORKS {
        assert_dropped(fork, Dropped::EpochHash, |batch| batch.epoch_hash = B256::ZERO);
    }
}

#[test]
fn an_epoch_must_not_be_skipped() {
    for fork in FORKS {
        assert_dropped(fork, Dropped::EpochTooNew, |batch| batch.epoch_num += 2);
    }
}

#[test]
fn an_epoch_must_not_go_back() {
    for fork in FORKS {
        let mut world = world(fork);
        let last = world.head();
        let mut changed = world.l2.batch(last);
        changed.epoch_num -= 1;
        world.post(&world.singles(1..=last - 1));
        world.post(&[Batch::Single(changed)]);
        world.post(&world.singles(last..=last));
        world.mine();
        let follower = world.assert_derives_up_to(last);
        assert_eq!(follower.drops_by_rule(), [("epoch_too_old", 1)], "{fork}");
    }
}

#[test]
fn a_block_must_not_be_older_than_its_epoch() {
    for fork in FORKS {
        let mut world = world(fork);
        let next = world.l1.borrow().block(1).unwrap().info;
        let mut changed = world.l2.batch(2);
        (changed.epoch_num, changed.epoch_hash) = (next.number, next.hash);
        world.post(&world.singles(1..=1));
        world.post(&[Batch::Single(changed)]);
        world.post(&world.singles(2..=3));
        world.mine();
        let follower = world.assert_derives_up_to(3);
        assert_eq!(follower.drops_by_rule(), [("before_epoch", 1)], "{fork}");
    }
}

#[test]
fn transactions_that_are_no_users_are_refused() {
    let empty = |batch: &mut SingleBatch| batch.transactions.push(Bytes::new());
    let deposit = |batch: &mut SingleBatch| batch.transactions.push(vec![0x7e, 1].into());
    let set_code = |batch: &mut SingleBatch| batch.transactions.push(vec![4, 1].into());
    for fork in FORKS {
        assert_dropped(fork, Dropped::EmptyTransaction, empty);
        assert_dropped(fork, Dropped::DepositTransaction, deposit);
    }
    assert_dropped(OpHardfork::Holocene, Dropped::SetCodeTransaction, set_code);
    assert_dropped(OpHardfork::Granite, Dropped::SetCodeTransaction, set_code);
}

/// Neither op-node nor kona looks at other types; the engine does.
#[test]
fn a_transaction_of_an_unknown_type_is_left_to_the_engine() {
    for ty in [3, 5, 0x7d] {
        let mut world = world(OpHardfork::Isthmus);
        let mut batch = world.l2.batch(1);
        batch.transactions = vec![vec![ty, 0xc0].into()];
        world.post(&[Batch::Single(batch.clone())]);
        world.mine();
        let mut follower = world.follower();
        let is_users = |tx: &Bytes| tx[0] != 0x7e;
        follower
            .run_with(|derived| !derived.attributes.transactions.iter().flatten().any(is_users));
        assert_eq!(follower.head().block.number, 1);
        assert!(follower.derived[0].is_deposits_only());
    }
}

/// The sequencing window ends with the L1 block `seq_window_size` after the epoch.
#[test]
fn a_batch_must_be_included_within_its_sequencing_window() {
    for fork in FORKS {
        for (inclusion, is_taken) in [(20, true), (21, false)] {
            let mut world = World::at(fork);
            world.l1.borrow_mut().mine_many(inclusion - 1);
            let mut follower = world.follower();
            follower.run();
            // In time the batch is that of block 1. A block later the blocks of epoch 0 were made
            // up, and the batch would be another one of that epoch.
            assert_eq!(follower.head().block.number, if is_taken { 0 } else { 5 }, "{fork}");
            world.l2 = follower.l2.borrow().clone();
            let txs = vec![world.l2.transaction(0)];
            let number = world.l2.sequence_on(&world.l1.borrow(), 0, txs).block.number;
            world.post(&world.singles(number..=number));
            world.l1.borrow_mut().mine();
            follower.run();
            let dropped = follower.pipeline.dropped().get(Dropped::SequencingWindow);
            assert_eq!(dropped, u64::from(!is_taken), "{fork}: {:?}", follower.drops());
            let has_users = !follower.l2.borrow().block(number).sequenced.is_empty();
            assert_eq!(has_users, is_taken, "{fork}");
        }
    }
}

#[test]
fn before_holocene_batches_may_come_in_any_order() {
    let mut world = world(OpHardfork::Granite);
    let head = world.head();
    let mut batches = world.singles(1..=head);
    batches.reverse();
    world.post(&batches);
    world.mine();
    let follower = world.assert_derives_up_to(head);
    assert_eq!(follower.drops(), []);
}

#[test]
fn before_holocene_a_gap_is_waited_for() {
    let mut world = world(OpHardfork::Granite);
    let head = world.head();
    world.post(&world.singles(1..=4));
    world.post(&world.singles(6..=head));
    world.mine();
    let mut follower = world.assert_derives_up_to(4);
    world.post(&world.singles(5..=5));
    world.mine();
    follower.run();
    follower.assert_is(&world.l2, head);
    assert_eq!(follower.drops(), []);
}

#[test]
fn from_holocene_on_a_gap_flushes_the_channel() {
    let mut world = world(OpHardfork::Holocene);
    let mut batches = world.singles(1..=4);
    batches.extend(world.singles(6..=7));
    batches.extend(world.singles(5..=5));
    world.post(&batches);
    world.mine();
    let mut follower = world.assert_derives_up_to(4);
    assert_eq!(follower.drops(), [("future", 1), ("channel_flushed", 1)]);
    world.post(&world.singles(5..=7));
    world.mine();
    follower.run();
    follower.assert_is(&world.l2, 7);
}

#[test]
fn from_holocene_on_batches_of_the_past_are_passed_over() {
    let mut world = world(OpHardfork::Holocene);
    world.post(&world.singles(1..=4));
    world.post(&world.singles(2..=6));
    world.mine();
    let follower = world.assert_derives_up_to(6);
    assert_eq!(follower.drops(), [("past", 3)]);
    // Before, they are invalid.
    let mut world = self::world(OpHardfork::Granite);
    world.post(&world.singles(1..=4));
    world.post(&world.singles(2..=6));
    world.mine();
    let follower = world.assert_derives_up_to(6);
    assert_eq!(follower.drops(), [("past", 3)]);
}

/// Makes an L1 whose second block is late, and blocks on the first one up to it.
fn drift_world(fork: OpHardfork, drift: u64) -> (World, u64) {
    let mut config = config(fork);
    config.max_sequencer_drift = drift;
    let drift = config.max_sequencer_drift(GENESIS_TIME);
    let mut world = World::new(config);
    let blocks = drift / BLOCK_TIME;
    for _ in 0..blocks {
        let txs = vec![world.l2.transaction(2)];
        world.l2.sequence_on(&world.l1.borrow(), 0, txs);
    }
    (world, blocks)
}

#[test]
fn beyond_the_drift_a_block_with_transactions_is_dropped() {
    for (fork, drift) in
        [(OpHardfork::Bedrock, 30), (OpHardfork::Ecotone, 30), (OpHardfork::Fjord, 1_800)]
    {
        // The drift of 30 seconds is overruled by Fjord.
        let (mut world, blocks) = drift_world(fork, 30);
        assert_eq!(blocks * BLOCK_TIME, drift);
        world.post(&world.singles(1..=blocks));
        let mut late = world.l2.clone();
        let txs = vec![late.transaction(0)];
        let attributes = late.expected(&world.l1.borrow(), 0, txs);
        late.apply(&attributes);
        world.post(&[Batch::Single(late.batch(blocks + 1))]);
        world.l1.borrow_mut().mine_at(GENESIS_TIME + drift + 100);
        world.l1.borrow_mut().mine();
        let follower = world.assert_derives_up_to(blocks);
        assert_eq!(follower.drops(), [("sequencer_drift", 1)], "{fork}");
    }
}

#[test]
fn beyond_the_drift_an_empty_block_may_wait_for_a_late_epoch() {
    for fork in FORKS {
        for (next_epoch, is_valid) in [(1, true), (0, false)] {
            let (mut world, blocks) = drift_world(fork, 30);
            // The empty block is one block beyond the drift; the next epoch could be adopted by it
            // if it is not younger.
            let info = world.l2.sequence_on(&world.l1.borrow(), 0, Vec::new());
            world.post(&world.singles(1..=blocks + 1));
            world.l1.borrow_mut().mine_at(info.block.timestamp + next_epoch);
            world.l1.borrow_mut().mine();
            let follower = world.assert_derives_up_to(blocks + u64::from(is_valid));
            let dropped = follower.pipeline.dropped().get(Dropped::SequencerDriftEmpty);
            assert_eq!(dropped, u64::from(!is_valid), "{fork}");
        }
    }
}

#[test]
fn empty_blocks_are_made_when_the_sequencing_window_has_passed() {
    for fork in FORKS {
        let mut world = World::at(fork);
        world.l1.borrow_mut().mine_many(45);
        let mut follower = world.follower();
        follower.run();
        let derived = follower.l2.borrow();
        // Epochs up to the 25th have no batch within 20 blocks, and an epoch ends where the next
        // one begins.
        let last = derived.head();
        assert_eq!(last.l1_origin.number, 45 - 20, "{fork}");
        let next_epoch = GENESIS_TIME + (last.l1_origin.number + 1) * L1_BLOCK_TIME;
        assert_eq!(last.block.timestamp, next_epoch - BLOCK_TIME);
        // They are what a sequencer without transactions would make.
        let mut sequenced = common::L2::new(world.config.clone());
        for number in 1..=last.block.number {
            sequenced.sequence(&world.l1.borrow(), Vec::new());
            assert_eq!(sequenced.block(number).attributes, derived.block(number).attributes);
        }
        drop(derived);
        world.l2 = sequenced;
        // The sequencer takes over again from there.
        world.mine();
        let head = world.head();
        world.post(&world.singles(last.block.number + 1..=head));
        world.mine();
        follower.run();
        // The batches for the newest epochs are there, those of the ones that expired are not.
        assert!(follower.head().block.number >= last.block.number, "{fork}");
    }
}

/// Where the L1 pauses, an epoch still has a block: it is made although it is younger than the next
/// L1 block, and the rollup catches up.
#[test]
fn each_epoch_has_at_least_one_block() {
    for fork in FORKS {
        let world = World::at(fork);
        // Blocks come every second, faster than the rollup's.
        for second in 1..60 {
            world.l1.borrow_mut().mine_at(GENESIS_TIME + second);
        }
        let mut follower = world.follower();
        follower.run();
        let derived = follower.l2.borrow();
        let mut epochs: Vec<u64> =
            derived.blocks.iter().map(|block| block.info.l1_origin.number).collect();
        epochs.dedup();
        assert_eq!(epochs, (0..=39).collect::<Vec<u64>>(), "{fork}");
    }
}

/// Jovian's first block must be empty (Jovian § activation block rules).
#[test]
fn the_first_block_of_jovian_must_be_empty() {
    let mut config = config(OpHardfork::Isthmus);
    config.jovian_time = Some(GENESIS_TIME + 3 * BLOCK_TIME);
    let mut world = World::new(config);
    world.mine_many(3);
    let mut forbidden = world.l2.clone();
    forbidden.truncate(2);
    let txs = vec![forbidden.transaction(2)];
    let attributes = forbidden.expected(&world.l1.borrow(), 0, txs);
    forbidden.apply(&attributes);
    world.post(&world.singles(1..=2));
    world.post(&[Batch::Single(forbidden.batch(3))]);
    world.post(&world.singles(3..=8));
    world.mine();
    let follower = world.assert_derives_up_to(8);
    assert_eq!(follower.drops_by_rule(), [("activation_block", 1)]);
}
