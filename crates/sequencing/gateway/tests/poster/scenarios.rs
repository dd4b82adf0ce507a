//! What must hold, by seed.

use crate::{
    blocks::is_empty,
    l1::{Faults, WINDOW_SLOTS},
    world::Simulation,
};
use lockstep_batcher::{FeePolicy, OutboxConfig, SubmissionPolicy};
use lockstep_gateway::{Blocked, PosterSettings, ResetReason};
use lockstep_protocol::Compression;
use std::time::Duration;

/// All faults at once.
const HOSTILE: Faults = Faults {
    unreachable: 10,
    lost_answer: 50,
    lost_tx: 50,
    empty_block: 100,
    missed_slot: 50,
    pool_full: 30,
    no_funds: 20,
    fee_spike: 50,
    reorg: 60,
    reorg_depth: 12,
    lag: 2,
    restart: 5,
    l2_reorg: 20,
    stall: 30,
    others: 0,
    other_posts: 0,
    no_proof: 50,
    stolen_nonce: 5,
};

fn settings() -> PosterSettings {
    PosterSettings {
        outbox: OutboxConfig {
            fees: FeePolicy {
                max_fee: 1 << 60,
                max_tip: 1 << 50,
                max_blob_fee: 1 << 60,
                ..FeePolicy::default()
            },
            submission: SubmissionPolicy { confirmations: 20, ..SubmissionPolicy::default() },
            l1_osaka_time: Some(0),
            l1_block_time: 12,
        },
        compression: Compression::Brotli { quality: 1 },
        grace: Duration::from_secs(6),
        ..PosterSettings::default()
    }
}

fn simulate(seed: u64, faults: Faults, slots: u64) -> Simulation {
    let mut simulation = Simulation::new(seed, settings(), faults);
    simulation.run(slots, true);
    simulation.finish();
    simulation
}

#[test]
fn without_faults_each_slot_has_its_batch_at_once() {
    let mut simulation = simulate(0, Faults::default(), 60);
    // Slot 0 has no block, and the last one is not over before blocks end.
    let posted = simulation.posted();
    let last = *posted.last().unwrap();
    assert!(last >= 58, "{posted:?}");
    assert_eq!(posted, (1..=last).collect::<Vec<_>>());
    assert_eq!((simulation.resent, simulation.errors), (0, 0));
    assert_eq!(simulation.resets, []);
    assert_eq!(simulation.blocked, []);
    let mut world = simulation.world.0.lock();
    assert_eq!(world.l1.reverted, 0);
    let safe = world.safe_at_tip();
    assert_eq!(safe.dropped, 0);
    let filled = safe.chains.iter().flatten().filter(|block| !is_empty(block)).count();
    assert!(filled > 400, "{filled}");
    assert!(safe.chains.iter().all(|chain| chain.iter().any(|block| !block.parts.is_empty())));
    drop(world);
    simulation.restart();
    simulation.run(3, false);
    assert_eq!(simulation.posted(), posted, "a new poster has nothing to do");
}

#[test]
fn what_blocks_hold_is_posted_in_the_end_whatever_happens() {
    let mut resets = Vec::new();
    let (mut resent, mut vanished) = (0, 0);
    for seed in 0..16 {
        let others = if seed % 2 == 0 { 0 } else { 5 };
        let faults = Faults { others, other_posts: 700, ..HOSTILE };
        let simulation = simulate(seed, faults, 150);
        assert!(simulation.posted().len() > 20, "{seed}: {:?}", simulation.posted());
        resets.extend(simulation.resets);
        resent += simulation.resent;
        vanished += simulation.vanished;
    }
    // Otherwise this test shows less than it says.
    assert!(resent > 50 && vanished > 50, "{resent} sent again, {vanished} vanished");
    for reason in
        [ResetReason::OtherBatch, ResetReason::Reverted, ResetReason::L2Reorg, ResetReason::Nonce]
    {
        assert!(resets.contains(&reason), "{reason:?} in {resets:?}");
    }
}

#[test]
fn a_poster_that_is_killed_after_any_step_goes_on() {
    for step in 0..80 {
        let mut simulation = Simulation::new(step, settings(), Faults::default());
        simulation.run(3, true);
        simulation.restart_after = Some(step);
        simulation.run(14, true);
        simulation.finish();
        let posted = simulation.posted();
        assert_eq!(posted[..3], [1, 2, 3], "{step}");
        let world = simulation.world.0.lock();
        assert_eq!(world.l1.reverted, 0, "{step}");
    }
}

#[test]
fn slots_of_another_gateway_are_left_to_it() {
    for other_posts in [0, 500, 1000] {
        let faults = Faults { others: 4, other_posts, ..Faults::default() };
        let simulation = simulate(other_posts, faults, 80);
        let posted = simulation.posted();
        assert!(posted.len() > 40, "{posted:?}");
        let world = simulation.world.0.lock();
        assert!(posted.iter().all(|slot| world.l1.is_ours(*slot)), "{posted:?}");
        let has_met = simulation.resets.contains(&ResetReason::OtherBatch);
        assert_eq!(has_met, other_posts > 0);
    }
}

#[test]
fn a_frozen_l1_costs_time_and_then_blocks_but_never_the_poster() {
    for frozen in [5, WINDOW_SLOTS + 12] {
        let mut simulation = Simulation::new(frozen, settings(), Faults::default());
        simulation.run(10, true);
        simulation.world.0.lock().l1.faults.empty_block = 1000;
        simulation.run(frozen, true);
        let room = simulation.poster.room();
        assert_eq!(room.limit == 0, frozen > WINDOW_SLOTS, "{room:?}");
        simulation.world.0.lock().l1.faults.empty_block = 0;
        simulation.run(90, true);
        simulation.finish();
        let posted = simulation.posted();
        let is_complete = posted.windows(2).all(|pair| pair[1] == pair[0] + 1);
        assert_eq!(is_complete, frozen < WINDOW_SLOTS, "{posted:?}");
        assert!(*posted.last().unwrap() >= 98 + frozen, "{posted:?}");
        if frozen > WINDOW_SLOTS {
            let is_closed = |(_, reason): &(u64, Blocked)| matches!(reason, Blocked::Closed { .. });
            assert!(simulation.blocked.iter().any(is_closed), "{:?}", simulation.blocked);
        }
    }
}

#[test]
fn prices_that_jump_are_followed() {
    let mut simulation = Simulation::new(1, settings(), Faults::default());
    simulation.run(6, true);
    for _ in 0..6 {
        {
            let mut world = simulation.world.0.lock();
            world.l1.base_fee = 90_000_000_000;
            world.l1.blob_base_fee = 90_000_000_000;
        }
        simulation.run(4, true);
        {
            let mut world = simulation.world.0.lock();
            world.l1.base_fee = 1_000_000;
            world.l1.blob_base_fee = 1;
        }
        simulation.run(4, true);
    }
    simulation.finish();
    assert!(simulation.posted().len() > 40);
    assert_eq!(simulation.resets, []);
}

#[test]
fn a_rollup_whose_node_is_silent_holds_up_nobody() {
    let mut simulation = Simulation::new(3, settings(), Faults::default());
    simulation.run(5, true);
    let until = simulation.now + 40 * 12;
    {
        let mut world = simulation.world.0.lock();
        world.silent = Some(1);
        world.rollups.halt(1, until);
    }
    simulation.run(20, true);
    // One that begins waits for all rollups only so long.
    simulation.restart();
    simulation.run(20, true);
    assert!(simulation.posted().len() > 20, "{:?}", simulation.posted());
    assert!(simulation.errors > 100, "the silence is told");
    simulation.world.0.lock().silent = None;
    simulation.run(5, true);
    simulation.finish();
    assert_eq!(simulation.world.0.lock().l1.reverted, 0);
}

#[test]
fn a_slot_that_does_not_fit_is_an_error_that_names_the_limit() {
    let settings = PosterSettings { max_blobs: 1, ..settings() };
    let mut simulation = Simulation::new(4, settings, Faults::default());
    simulation.run(3, true);
    let room = simulation.poster.room();
    assert!(room.left() > 100_000 && room.limit < 131_072, "{room:?}");
    simulation.world.0.lock().rollups.ballast = 60_000;
    simulation.run(1, true);
    assert!(simulation.fullest > room.limit, "a gateway that asks would have stopped before");
    simulation.world.0.lock().rollups.ballast = 0;
    simulation.run(2, true);
    let error = simulation.criticals.last().expect("an operator is called");
    assert!(
        error.starts_with("the batch of slot ") && error.ends_with("the limit is 1"),
        "{error}"
    );
}
