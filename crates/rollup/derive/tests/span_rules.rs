//! The rules for span batches (OP specification: Delta § batch queue, Holocene § span batches).

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use alloy_primitives::FixedBytes;
use common::{Follower, GENESIS_TIME, L1_BLOCK_TIME, World, config};
use lockstep_chain::OpHardfork;
use lockstep_derive::Dropped;
use lockstep_protocol::{Batch, SpanBatch};

const FORKS: [OpHardfork; 3] = [OpHardfork::Canyon, OpHardfork::Granite, OpHardfork::Jovian];

fn world(fork: OpHardfork) -> World {
    let mut world = World::at(fork);
    world.mine_many(5);
    world
}

/// Posts a span that is changed, and then the same unchanged.
fn assert_dropped(fork: OpHardfork, reason: Dropped, change: impl Fn(&mut SpanBatch)) {
    let mut world = world(fork);
    let Batch::Span(mut changed) = world.span(4..=9) else { panic!("it is a span") };
    change(&mut changed);
    world.post(&world.singles(1..=3));
    world.post(&[Batch::Span(changed)]);
    world.post(&[world.span(4..=9)]);
    world.mine();
    let follower = world.assert_derives_up_to(9);
    assert_eq!(follower.pipeline.dropped().get(reason), 1, "{fork}: {:?}", follower.drops());
}

#[test]
fn spans_are_derived_as_they_were_sequenced() {
    for fork in OpHardfork::VARIANTS {
        if *fork < OpHardfork::Canyon || *fork > OpHardfork::Jovian {
            continue;
        }
        let mut world = world(*fork);
        let head = world.head();
        world.post(&[world.span(1..=10)]);
        world.post(&[world.span(11..=head)]);
        world.mine();
        let follower = world.assert_derives_up_to(head);
        assert_eq!(follower.drops(), [], "{fork}");
        let lasts: Vec<u64> = follower
            .derived
            .iter()
            .filter(|derived| derived.is_last_in_span)
            .map(|derived| derived.parent.block.number + 1)
            .collect();
        assert_eq!(lasts, [10, head], "{fork}");
    }
}

#[test]
fn spans_and_singular_batches_share_a_channel() {
    for fork in FORKS {
        let mut world = world(fork);
        let head = world.head();
        let mut batches = world.singles(1..=3);
        batches.push(world.span(4..=8));
        batches.extend(world.singles(9..=9));
        batches.push(world.span(10..=head));
        world.post(&batches);
        world.mine();
        assert_eq!(world.assert_derives_up_to(head).drops(), [], "{fork}");
    }
}

#[test]
fn a_span_must_build_on_the_safe_chain() {
    for fork in FORKS {
        assert_dropped(fork, Dropped::ParentHash, |span| span.parent_check = FixedBytes::ZERO);
    }
}

#[test]
fn a_span_must_be_meant_for_this_l1() {
    for fork in FORKS {
        assert_dropped(fork, Dropped::EpochHash, |span| span.l1_origin_check = FixedBytes::ZERO);
    }
}

#[test]
fn spans_are_not_known_before_delta() {
    let mut config = config(OpHardfork::Canyon);
    let activation = GENESIS_TIME + 4 * L1_BLOCK_TIME;
    config.delta_time = Some(activation);
    let mut world = World::new(config);
    world.mine_many(3);
    // In an L1 block before Delta no span is read; in a later one it must also begin after it.
    world.post(&[world.span(1..=3)]);
    world.mine();
    assert!(world.l1.borrow().head().timestamp >= activation);
    world.post(&[world.span(1..=3)]);
    world.post(&world.singles(1..=23));
    world.mine();
    // Block 24 is the first with an epoch of Delta's.
    assert_eq!(world.l2.block(24).info.l1_origin.number, 4);
    world.post(&[world.span(24..=26)]);
    world.mine();
    let follower = world.assert_derives_up_to(26);
    assert_eq!(follower.drops(), [("span_before_delta", 2)]);
}

/// The parts that are there already must be the same; what is new is derived.
#[test]
fn a_span_may_overlap_the_safe_chain() {
    for fork in FORKS {
        let mut world = world(fork);
        world.post(&[world.span(1..=6)]);
        world.post(&[world.span(4..=12)]);
        world.post(&[world.span(1..=14)]);
        world.mine();
        let follower = world.assert_derives_up_to(14);
        assert_eq!(follower.drops(), [], "{fork}");
    }
}

/// Before Holocene the overlapping blocks are compared, from then on only the parent is.
#[test]
fn before_holocene_a_span_must_not_contradict_the_safe_chain() {
    let change = |span: &mut SpanBatch| {
        let transaction = span.blocks.iter().flat_map(|block| &block.transactions).next().cloned();
        let transaction = transaction.expect("some block has a transaction");
        span.blocks[1].transactions.push(transaction);
    };
    for (fork, dropped) in [(OpHardfork::Granite, 1), (OpHardfork::Holocene, 0)] {
        let mut world = world(fork);
        let Batch::Span(mut changed) = world.span(4..=12) else { panic!("it is a span") };
        change(&mut changed);
        world.post(&[world.span(1..=6)]);
        world.post(&[Batch::Span(changed)]);
        world.mine();
        let safe = if dropped == 1 { 6 } else { 12 };
        let follower = world.assert_derives_up_to(safe);
        assert_eq!(follower.pipeline.dropped().get(Dropped::Overlap), dropped, "{fork}");
    }
}

#[test]
fn a_span_must_lie_on_the_blocks_that_are_there() {
    for fork in FORKS {
        let mut world = world(fork);
        let Batch::Span(mut changed) = world.span(4..=12) else { panic!("it is a span") };
        changed.blocks.iter_mut().for_each(|block| block.timestamp += 1);
        world.post(&[world.span(1..=6)]);
        world.post(&[Batch::Span(changed)]);
        world.post(&[world.span(7..=8)]);
        world.mine();
        let follower = world.assert_derives_up_to(8);
        assert_eq!(follower.drops_by_rule(), [("misaligned", 1)], "{fork}");
    }
}

#[test]
fn nothing_comes_before_genesis() {
    for fork in FORKS {
        let mut world = world(fork);
        let Batch::Span(mut changed) = world.span(1..=5) else { panic!("it is a span") };
        changed.blocks.iter_mut().for_each(|block| block.timestamp -= 2);
        world.post(&[Batch::Span(changed)]);
        world.post(&[world.span(1..=8)]);
        world.mine();
        let follower = world.assert_derives_up_to(8);
        assert_eq!(follower.drops_by_rule(), [("misaligned", 1)], "{fork}");
    }
}

#[test]
fn a_span_of_the_past_is_passed_over() {
    for fork in FORKS {
        let mut world = world(fork);
        world.post(&[world.span(1..=6)]);
        world.post(&[world.span(2..=6), world.span(7..=9)]);
        world.mine();
        let follower = world.assert_derives_up_to(9);
        assert_eq!(follower.drops(), [("past", 1)], "{fork}");
    }
}

#[test]
fn from_holocene_on_a_span_must_not_leave_a_gap() {
    let mut world = world(OpHardfork::Holocene);
    world.post(&[world.span(1..=6)]);
    world.post(&[world.span(8..=9), world.span(7..=9)]);
    world.mine();
    let follower = world.assert_derives_up_to(6);
    assert_eq!(follower.drops(), [("future", 1), ("channel_flushed", 1)]);
    // Before, it waits.
    let mut world = self::world(OpHardfork::Granite);
    world.post(&[world.span(1..=6)]);
    world.post(&[world.span(8..=9), world.span(7..=7)]);
    world.mine();
    assert_eq!(world.assert_derives_up_to(9).drops(), []);
}

/// The first invalid block takes the rest of the span and of the channel with it, but not what came
/// before (partial span batch validity). Before Holocene a span is valid as a whole or not at all.
#[test]
fn an_invalid_block_in_a_span_invalidates_what_follows() {
    for (fork, safe) in [(OpHardfork::Granite, 0), (OpHardfork::Holocene, 4)] {
        let mut world = world(fork);
        let Batch::Span(mut changed) = world.span(1..=9) else { panic!("it is a span") };
        // Block 5 would be older than its epoch.
        let first = changed.blocks[4].epoch_num;
        assert_eq!(changed.blocks[5].epoch_num, first + 1);
        changed.blocks[4].epoch_num += 1;
        world.post(&[Batch::Span(changed), world.span(5..=6)]);
        world.mine();
        let follower = world.assert_derives_up_to(if safe == 0 { 0 } else { safe });
        assert_eq!(follower.pipeline.dropped().get(Dropped::BeforeEpoch), 1, "{fork}");
        let flushed = follower.pipeline.dropped().get(Dropped::ChannelFlushed);
        assert_eq!(flushed > 0, fork == OpHardfork::Holocene);
        world.post(&[world.span(safe + 1..=9)]);
        world.mine();
        world.assert_derives_up_to(9);
    }
}

/// The sequencing window of a span is that of its first block.
#[test]
fn a_span_must_be_included_within_its_sequencing_window() {
    for fork in FORKS {
        for (late, is_taken) in [(0, true), (1, false)] {
            let mut world = world(fork);
            let blocks = 20 - 5 + late;
            world.l1.borrow_mut().mine_many(blocks - 1);
            let head = world.head();
            world.post(&[world.span(1..=head)]);
            world.l1.borrow_mut().mine();
            let mut follower = world.follower();
            follower.run();
            let dropped = follower.pipeline.dropped().get(Dropped::SequencingWindow);
            assert_eq!(dropped, u64::from(!is_taken), "{fork} {late}: {:?}", follower.drops());
            if is_taken {
                follower.assert_is(&world.l2, head);
            }
        }
    }
}

/// From Holocene on an invalid block is replaced by its deposits, and the rest of the channel goes;
/// before, it is left out, with the rest of its span.
#[test]
fn an_invalid_payload_is_replaced() {
    for fork in [OpHardfork::Granite, OpHardfork::Holocene, OpHardfork::Jovian] {
        let mut world = world(fork);
        let bad = (3..20).find(|number| !world.l2.block(*number).sequenced.is_empty()).unwrap();
        let head = world.head();
        world.post(&[world.span(1..=head)]);
        world.mine();
        let mut follower = world.follower();
        let transactions = world.l2.block(bad).sequenced.clone();
        follower.run_with(|derived| {
            let all = derived.attributes.transactions.iter().flatten();
            !all.into_iter().any(|tx| *tx == transactions[0])
        });
        if fork >= OpHardfork::Holocene {
            assert_eq!(follower.head().block.number, bad, "{fork}");
            let last = follower.derived.last().unwrap();
            assert!(last.is_deposits_only() && last.is_last_in_span);
            assert_eq!(follower.drops(), [("channel_flushed", head - bad + 1)]);
        } else {
            assert_eq!(follower.head().block.number, bad - 1, "{fork}");
            assert_eq!(follower.drops(), [("span_abandoned", 1)]);
        }
    }
}

/// It is the L1 block of the batch that says whether an invalid block is replaced, not the block's own
/// time.
#[test]
fn an_invalid_payload_of_before_holocene_is_replaced_from_holocene_on() {
    let mut config = config(OpHardfork::Granite);
    let activation = GENESIS_TIME + 4 * L1_BLOCK_TIME;
    config.holocene_time = Some(activation);
    let mut world = World::new(config);
    world.mine_many(5);
    let bad = (3..20).find(|number| !world.l2.block(*number).sequenced.is_empty()).unwrap();
    assert!(world.l2.block(bad).info.block.timestamp < activation);
    world.post(&[world.span(1..=bad + 1)]);
    world.mine();
    let mut follower = world.follower();
    let transaction = world.l2.block(bad).sequenced[0].clone();
    follower.run_with(|derived| {
        !derived.attributes.transactions.iter().flatten().any(|tx| *tx == transaction)
    });
    assert_eq!(follower.head().block.number, bad);
    let last = follower.derived.last().unwrap();
    assert!(last.derived_from.timestamp >= activation && last.is_deposits_only());
    assert_eq!(last.attributes.eip_1559_params, None);
}

/// A span that begins with the next epoch is not judged before that L1 block is there, and holds up
/// those behind it so long.
#[test]
fn before_holocene_an_undecided_span_waits_for_the_next_l1_block() {
    let mut world = World::at(OpHardfork::Granite);
    world.mine_many(2);
    let Batch::Span(mut garbage) = world.span(1..=3) else { panic!("it is a span") };
    garbage.blocks.iter_mut().for_each(|block| block.epoch_num = 4);
    world.post(&[Batch::Span(garbage)]);
    world.mine();
    let safe = world.l2.head();
    assert_eq!(safe.l1_origin.number, 3);
    // A restart at a safe head whose L1 origin holds the span.
    let mut follower = Follower::from(world.config.clone(), &world.l1, world.l2.clone());
    follower.run();
    assert_eq!((follower.head(), follower.drops()), (safe, vec![]));
    world.mine();
    let head = world.head();
    world.post(&[world.span(safe.block.number + 1..=head)]);
    world.mine();
    follower.run();
    follower.assert_is(&world.l2, head);
    assert_eq!(follower.drops(), [("past", 1)]);
}
