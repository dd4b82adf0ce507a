//! Starting over: after a restart, and after L1 was reorganised (OP specification: derivation §
//! resetting the pipeline, § finding the sync starting point).

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Follower, L2, SharedL2, World, batcher::channel, config};
use lockstep_chain::OpHardfork;
use lockstep_derive::{DeriveError, L2Heads, Severity, Signal, Step, find_sync_start};

const FORKS: [OpHardfork; 3] = [OpHardfork::Canyon, OpHardfork::Granite, OpHardfork::Jovian];

/// Begins anew at the head of `follower`'s chain.
fn restart(world: &World, follower: &Follower) -> Follower {
    Follower::from(world.config.clone(), &world.l1, follower.l2.borrow().clone())
}

#[test]
fn a_restart_at_any_block_derives_the_same() {
    for fork in FORKS {
        let mut world = World::at(fork);
        let mut posted = 0;
        for _ in 0..12 {
            world.mine();
            let head = world.head();
            world.post(&[world.span(posted + 1..=head)]);
            posted = head;
        }
        world.mine();
        let whole = world.assert_derives_up_to(posted);
        for safe in 0..posted {
            let mut l2 = whole.l2.borrow().clone();
            l2.truncate(safe);
            let mut follower = Follower::from(world.config.clone(), &world.l1, l2);
            follower.run();
            follower.assert_is(&world.l2, posted);
            for (derived, expected) in follower.derived.iter().rev().zip(whole.derived.iter().rev())
            {
                assert_eq!(derived, expected, "{fork}, from block {safe}");
            }
        }
    }
}

/// A channel that was opened before the L1 origin of the safe head is found again.
#[test]
fn a_restart_finds_channels_that_were_open() {
    for (fork, timeout) in [(OpHardfork::Fjord, 10), (OpHardfork::Granite, 50)] {
        let mut config = config(fork);
        config.seq_window_size = 1_000;
        let mut world = World::new(config);
        world.mine_many(2);
        let l1 = world.l1.clone();
        let late = channel(&world.config, &[world.span(1..=12)]);
        let late = world.batcher.frames(&late, late.len().div_ceil(2));
        world.post(&world.singles(1..=2));
        world.mine();
        world.batcher.send(&l1, &late[..1]);
        world.mine_many(timeout);
        world.batcher.send(&l1, &late[1..]);
        world.mine();
        if fork >= OpHardfork::Holocene {
            continue;
        }
        let follower = world.assert_derives_up_to(12);
        // Blocks up to the 6th, whose L1 origin may lie behind the channel's first frame.
        for safe in 2..12 {
            let mut l2 = follower.l2.borrow().clone();
            l2.truncate(safe);
            let mut follower = Follower::from(world.config.clone(), &world.l1, l2);
            follower.run();
            follower.assert_is(&world.l2, 12);
        }
    }
}

#[test]
fn a_reorg_of_l1_asks_for_a_reset() {
    for depth in 1..=8 {
        let mut world = World::at(OpHardfork::Jovian);
        world.mine_many(10);
        let head = world.head();
        world.post(&[world.span(1..=head)]);
        world.mine();
        let mut follower = world.assert_derives_up_to(head);
        world.l1.borrow_mut().reorg(depth);
        // The other branch must be higher before anyone can tell.
        world.l1.borrow_mut().mine_many(depth);
        follower.run();
        assert_eq!(follower.resets, 0);
        world.l1.borrow_mut().mine();
        let safe = follower.head();
        let error = follower.pipeline.step(&safe).expect_err("L1 is another");
        assert_eq!(error.severity(), Severity::Reset);
        assert!(matches!(error, DeriveError::L1Reorg { .. }), "{error}");

        // The driver finds where to go on, and the rollup is sequenced and posted anew.
        let heads =
            L2Heads { unsafe_head: safe, safe, finalized: follower.l2.borrow().block(0).info };
        let (mut l1, mut l2) = (world.l1.clone(), follower.l2.clone());
        let found =
            find_sync_start(&world.config, &mut l1, &mut l2, heads).expect("they are there");
        let canonical = 11 - depth as u64;
        assert!(found.unsafe_head.l1_origin.number <= canonical);
        let next = world.l2.block(found.unsafe_head.block.number + 1).info;
        assert_eq!(next.l1_origin.number, canonical + 1, "it is the newest such block");
        assert_eq!(found.finalized, heads.finalized);
        world.l2.truncate(found.unsafe_head.block.number);
        world.mine_many(2);
        let head = world.head();
        world.post(&[world.span(1..=head)]);
        world.mine();
        follower.l2.borrow_mut().truncate(found.safe.block.number);
        follower.pipeline.signal(Signal::Reset { safe_head: found.safe });
        assert_eq!(follower.pipeline.origin(), None);
        follower.run();
        follower.assert_is(&world.l2, head);
    }
}

/// While L1 is shorter than it was, there is nothing to do; the same branch again is no reorg.
#[test]
fn an_l1_that_falls_back_and_comes_back_changes_nothing() {
    let mut world = World::at(OpHardfork::Jovian);
    world.mine_many(6);
    let head = world.head();
    world.post(&[world.span(1..=head)]);
    world.mine();
    let mut follower = world.assert_derives_up_to(head);
    let derived = head;
    let blocks = world.l1.borrow().blocks.clone();
    world.l1.borrow_mut().blocks.truncate(4);
    let safe = follower.head();
    assert_eq!(follower.pipeline.step(&safe).expect("L1 may lag"), Step::Idle);
    world.l1.borrow_mut().blocks = blocks;
    world.mine();
    let last = world.head();
    world.post(&[world.span(derived + 1..=last)]);
    world.mine();
    follower.run();
    follower.assert_is(&world.l2, last);
}

/// The safe head goes back so far that the whole sequencing window before the newest L1 origin is read
/// again, to the end of an epoch; never behind the finalized head.
#[test]
fn the_safe_head_goes_back_by_a_sequencing_window() {
    let mut world = World::at(OpHardfork::Jovian);
    world.mine_many(40);
    let unsafe_head = world.l2.head();
    let info = |number: u64| world.l2.block(number).info;
    let mut l1 = world.l1.clone();
    let mut l2 = SharedL2::new(world.l2.clone());
    let mut find = |heads| find_sync_start(&world.config, &mut l1, &mut l2, heads);

    let heads = L2Heads { unsafe_head, safe: unsafe_head, finalized: info(3) };
    let found = find(heads).expect("they are there");
    assert_eq!(found.unsafe_head, unsafe_head);
    assert_eq!(found.finalized, info(3));
    // The window before epoch 40 begins with epoch 20, so the last block of epoch 18 it is: the
    // block after it has epoch 19, of which 19 + 20 < 40.
    assert_eq!(unsafe_head.l1_origin.number, 40);
    assert_eq!(found.safe.l1_origin.number, 18);
    assert_eq!(info(found.safe.block.number + 1).l1_origin.number, 19);

    // A finalized head in between stops the walk.
    let heads = L2Heads { finalized: info(200), ..heads };
    assert_eq!(find(heads).expect("they are there").safe, info(200));
    // A safe head that is lower stays an upper bound.
    let heads = L2Heads { safe: info(30), finalized: info(3), ..heads };
    let found = find(heads).expect("they are there");
    assert!(found.safe.block.number < 30);
    assert_eq!(info(found.safe.block.number + 1).sequence_number, 0);
    // Heads above the unsafe head do not count.
    let heads = L2Heads { unsafe_head: info(10), safe: info(30), finalized: info(20) };
    let expected = L2Heads { unsafe_head: info(10), safe: info(10), finalized: info(10) };
    assert_eq!(find(heads).expect("they are there"), expected);
}

#[test]
fn blocks_ahead_of_l1_are_plausible() {
    let mut world = World::at(OpHardfork::Jovian);
    world.mine_many(10);
    let unsafe_head = world.l2.head();
    world.l1.borrow_mut().blocks.truncate(6);
    let finalized = world.l2.block(0).info;
    let heads = L2Heads { unsafe_head, safe: finalized, finalized };
    let (mut l1, mut l2) = (world.l1.clone(), SharedL2::new(world.l2.clone()));
    let found = find_sync_start(&world.config, &mut l1, &mut l2, heads).expect("they are there");
    assert_eq!(found.unsafe_head, unsafe_head);
}

#[test]
fn chains_that_do_not_belong_together_are_refused() {
    let mut world = World::at(OpHardfork::Jovian);
    world.mine_many(10);
    let unsafe_head = world.l2.head();
    let finalized = world.l2.block(30).info;
    let heads = L2Heads { unsafe_head, safe: finalized, finalized };
    let (mut l1, mut l2) = (world.l1.clone(), SharedL2::new(world.l2.clone()));

    // Another L1 from genesis on, or another genesis.
    let genesis = L2Heads { finalized: world.l2.block(0).info, ..heads };
    let mut wrong = (*world.config).clone();
    wrong.genesis.l1.hash = Default::default();
    let error = find_sync_start(&wrong, &mut l1, &mut l2, genesis).expect_err("another L1");
    assert!(matches!(error, DeriveError::WrongChain { .. }), "{error}");
    wrong = (*world.config).clone();
    wrong.genesis.l2.hash = Default::default();
    let error = find_sync_start(&wrong, &mut l1, &mut l2, genesis).expect_err("another genesis");
    assert!(matches!(error, DeriveError::WrongChain { .. }), "{error}");

    // What is finalized is in neither chain.
    let mut other = heads;
    other.finalized.block.hash = Default::default();
    let error = find_sync_start(&world.config, &mut l1, &mut l2, other).expect_err("reorganised");
    assert!(matches!(error, DeriveError::FinalizedReorg { .. }), "{error}");
    world.l1.borrow_mut().reorg(9);
    world.l1.borrow_mut().mine_many(12);
    let error = find_sync_start(&world.config, &mut l1, &mut l2, heads).expect_err("reorganised");
    assert!(matches!(error, DeriveError::FinalizedOrigin { .. }), "{error}");
    assert_eq!(error.severity(), Severity::Critical);
}

/// A safe head that the pipeline did not lead to is noticed.
#[test]
fn another_safe_head_asks_for_a_reset() {
    let mut world = World::at(OpHardfork::Jovian);
    world.mine_many(6);
    let head = world.head();
    world.post(&[world.span(1..=head)]);
    world.mine();
    let mut follower = world.follower();
    // The rollup goes its own way with empty blocks of a wrong L1 origin.
    let mut other = L2::new(world.config.clone());
    let mut elsewhere = World::at(OpHardfork::Jovian);
    elsewhere.l1.borrow_mut().branch = 9;
    elsewhere.l1.borrow_mut().mine();
    for _ in 0..9 {
        other.sequence(&elsewhere.l1.borrow(), Vec::new());
    }
    elsewhere.l2 = other;
    let stranger = elsewhere.l2.head();
    assert_eq!(stranger.l1_origin.number, 1);
    let mut error = None;
    for _ in 0..1_000 {
        let head = follower.head();
        if head.block.number == 3 && follower.pipeline.origin().is_some() {
            if let Err(found) = follower.pipeline.step(&stranger) {
                error = Some(found);
                break;
            }
            continue;
        }
        if let Ok(Step::Attributes(attributes)) = follower.pipeline.step(&head) {
            follower.l2.borrow_mut().apply(&attributes.attributes);
        }
    }
    let error = error.expect("the pipeline notices");
    assert_eq!(error.severity(), Severity::Reset, "{error}");
    follower.pipeline.signal(Signal::Reset { safe_head: follower.head() });
    let mut follower = restart(&world, &follower);
    follower.run();
    follower.assert_is(&world.l2, head);
}
