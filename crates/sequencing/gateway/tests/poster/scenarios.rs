//! What must hold, by seed.

use crate::{
    blocks::{self, BLOCK_TIME, CHAINS, GENESIS_TIME, SLOT_SECONDS, is_empty},
    l1::{Faults, WINDOW_SLOTS},
    world::{Settings, Simulation, World},
};
use lockstep_batcher::{FeePolicy, OutboxConfig, SubmissionPolicy};
use lockstep_gateway::{Closed, PosterSettings, ResetReason, SealSettings};
use lockstep_protocol::Compression;
use std::{sync::Arc, time::Duration};

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
    new_owners: 0,
};

pub(crate) fn settings() -> Settings {
    let outbox = OutboxConfig {
        fees: FeePolicy {
            max_fee: 1 << 60,
            max_tip: 1 << 50,
            max_blob_fee: 1 << 60,
            ..FeePolicy::default()
        },
        submission: SubmissionPolicy { confirmations: 20, ..SubmissionPolicy::default() },
        l1_osaka_time: Some(0),
        l1_block_time: 12,
    };
    Settings {
        post: PosterSettings { outbox },
        seal: SealSettings {
            compression: Compression::Brotli { quality: 1 },
            ..SealSettings::default()
        },
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
    let posted = simulation.posted();
    let (first, last) = (posted[0], *posted.last().unwrap());
    assert!(first <= 2 && last >= 58, "{posted:?}");
    assert_eq!(posted, (first..=last).collect::<Vec<_>>());
    assert_eq!((simulation.resent, simulation.errors), (0, 0));
    assert_eq!(simulation.resets, []);
    simulation.assert_nothing_went_silently();
    let (given_up, shown) = simulation.given_up();
    assert!(given_up == 0 && shown > 700, "{given_up} of {shown}");
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
fn what_users_were_shown_is_posted_or_taken_back_loudly_whatever_happens() {
    let mut resets = Vec::new();
    let (mut resent, mut vanished, mut shown) = (0, 0, 0);
    for seed in 0..16 {
        let simulation = simulate(seed, HOSTILE, 150);
        assert!(simulation.posted().len() > 20, "{seed}: {:?}", simulation.posted());
        simulation.assert_nothing_went_silently();
        shown += simulation.given_up().1;
        resets.extend(simulation.resets);
        resent += simulation.resent;
        vanished += simulation.vanished;
    }
    // Otherwise this test shows less than it says.
    assert!(resent > 50 && vanished > 50, "{resent} sent again, {vanished} vanished");
    assert!(shown > 5_000, "{shown}");
    for reason in [ResetReason::Reverted, ResetReason::GivenUp, ResetReason::Nonce] {
        assert!(resets.contains(&reason), "{reason:?} in {resets:?}");
    }
}

/// Where nobody takes blocks back and L1 goes on, everything that was shown is kept.
#[test]
fn whatever_l1_does_within_its_window_nothing_is_taken_back() {
    for seed in 0..8 {
        let faults = Faults { l2_reorg: 0, stolen_nonce: 0, restart: 0, reorg_depth: 4, ..HOSTILE };
        let simulation = simulate(seed, faults, 120);
        simulation.assert_nothing_went_silently();
        let (given_up, shown) = simulation.given_up();
        let resets = &simulation.resets;
        assert!(given_up == 0 && shown > 200, "{seed}: {given_up} of {shown}, {resets:?}");
    }
}

#[test]
fn a_gateway_that_is_killed_after_any_step_goes_on() {
    for step in 0..80 {
        let mut simulation = Simulation::new(step, settings(), Faults::default());
        simulation.run(3, true);
        simulation.restart_after = Some(step);
        simulation.run(14, true);
        simulation.finish();
        simulation.assert_nothing_went_silently();
        assert_eq!(simulation.given_up().0, 0, "{step}");
        let world = simulation.world.0.lock();
        assert_eq!(world.l1.reverted, 0, "{step}");
    }
}

/// Slots that were sealed before L1 gave them to others: they are never posted, and nothing is promised on top of them.
#[test]
fn slots_that_become_anothers_cost_what_was_shown_in_them_and_no_more() {
    for seed in 0..4 {
        let mut simulation = Simulation::new(seed, settings(), Faults::default());
        simulation.run(10, true);
        simulation.world.0.lock().l1.faults.empty_block = 1000;
        simulation.run(2, true);
        let slot = (simulation.now - GENESIS_TIME) / SLOT_SECONDS;
        {
            let World { l1, rng, .. } = &mut *simulation.world.0.lock();
            l1.faults.empty_block = 0;
            l1.give_away(l1.tip().inbox.next_slot..slot, rng);
        }
        let before = simulation.given_up().1;
        simulation.run(40, true);
        simulation.finish();
        simulation.assert_nothing_went_silently();
        let (given_up, shown) = simulation.given_up();
        assert!(given_up > 0 && given_up < 100, "{given_up} of {shown}");
        assert!(shown > before + 400, "promises went on: {shown}");
        // Those that were on their way when the slots changed hands.
        let reverted = simulation.world.0.lock().l1.reverted;
        assert!(reverted <= 4, "{reverted} were paid for nothing");
    }
}

/// The others post nothing: what they post on top of a chain that has lost our blocks replaces these.
#[test]
fn owners_may_change_whenever_l1_is_reorganised() {
    let mut given_away = 0;
    for seed in 0..12 {
        let faults = Faults { new_owners: 700, others: 7, ..HOSTILE };
        let simulation = simulate(seed, faults, 150);
        simulation.assert_nothing_went_silently();
        assert!(simulation.posted().len() > 15, "{seed}: {:?}", simulation.posted());
        given_away += simulation.world.0.lock().l1.revised.len();
    }
    assert!(given_away > 200, "{given_away}");
}

/// Killed, and started again at once, after 15 s, after 150 s, and after the window; while L1 goes on, and with it.
#[test]
fn a_gateway_that_pauses_loses_what_its_window_is_too_short_for() {
    for pause in [0, 2, 13, WINDOW_SLOTS + 20] {
        for has_l1 in [true, false] {
            for seed in 0..4 {
                let mut simulation = Simulation::new(seed, settings(), Faults::default());
                simulation.world.0.lock().rollups.window_seconds = 1 << 30;
                simulation.run(6 + seed, true);
                simulation.pause(pause, has_l1);
                simulation.run(20, true);
                simulation.finish();
                simulation.assert_nothing_went_silently();
                let (given_up, shown) = simulation.given_up();
                let is_lost = pause > WINDOW_SLOTS;
                assert_eq!(given_up > 0, is_lost, "{pause} {has_l1}: {given_up} of {shown}");
                assert!(shown > 150, "it went on: {shown}");
            }
        }
    }
}

/// L1's nodes forget whose slots were long before the inbox's window closes, while the gateway stands still, and while it is
/// L1 that does.
#[test]
fn what_proves_owners_is_kept_for_as_long_as_batches_may_wait() {
    for has_l1 in [true, false] {
        for seed in 0..6 {
            let mut simulation = Simulation::new(seed, settings(), Faults::default());
            {
                let mut world = simulation.world.0.lock();
                world.rollups.window_seconds = 1 << 30;
                world.l1.states = 4;
            }
            simulation.run(6 + seed, true);
            simulation.world.0.lock().l1.faults.empty_block = 1000;
            simulation.run(8, true);
            simulation.world.0.lock().l1.faults.empty_block = 0;
            simulation.pause(20, has_l1);
            simulation.run(20, true);
            simulation.finish();
            simulation.assert_nothing_went_silently();
            let (given_up, shown) = simulation.given_up();
            assert!(given_up == 0 && shown > 150, "{given_up} of {shown}");
        }
    }
}

#[test]
fn nothing_is_promised_for_long_on_what_cannot_be_proven() {
    let mut simulation = Simulation::new(1, settings(), Faults::default());
    simulation.run(10, true);
    {
        let mut world = simulation.world.0.lock();
        world.l1.faults.empty_block = 1000;
        world.l1.cannot_secure = true;
    }
    simulation.run(24, true);
    assert!(simulation.closed.contains(&Closed::Unproven), "{:?}", simulation.closed);
    assert!(!simulation.closed.contains(&Closed::Unposted), "it waited too long");
    {
        let mut world = simulation.world.0.lock();
        world.l1.faults.empty_block = 0;
        world.l1.cannot_secure = false;
    }
    simulation.run(10, true);
    simulation.finish();
    simulation.assert_nothing_went_silently();
    assert_eq!(simulation.given_up().0, 0);
}

/// The node of one rollup derives nothing any more. What L1 has for good is not kept for it, whatever users have in it.
#[test]
fn what_l1_has_for_good_takes_no_room_while_a_rollup_derives_nothing() {
    let mut simulation = Simulation::new(5, settings(), Faults::default());
    simulation.run(10, true);
    {
        let mut world = simulation.world.0.lock();
        world.rollups.ballast = 2_000;
        world.stuck = Some((1, world.l1.tip().id.number));
    }
    let before = simulation.sealed.all().len();
    simulation.run(80, true);
    let kept = simulation.sealer.ledger().kept_bytes();
    let bytes: usize = simulation.sealed.all()[before..].iter().map(|it| it.data.len()).sum();
    assert!(bytes > 500_000 && kept < bytes / 2, "{kept} bytes are kept of {bytes}");
    simulation.finish();
    simulation.assert_nothing_went_silently();
    assert_eq!(simulation.given_up().0, 0);
    simulation.run(30, false);
    assert!(simulation.sealer.ledger().kept_bytes() < kept, "all have derived it");
}

/// A chain is shorter than what was signed, and another block stands where a batch begins: its blocks do not come back.
#[test]
fn batches_on_blocks_that_were_replaced_are_given_up_although_their_own_are_missing() {
    let mut simulation = Simulation::new(6, settings(), Faults::default());
    simulation.run(10, true);
    simulation.world.0.lock().l1.faults.empty_block = 1_000;
    simulation.run(4, true);
    let sealed = simulation.sealed.all();
    let span = sealed.last().unwrap().spans[&CHAINS[0]];
    let before = simulation.sealer.ledger().unposted();
    {
        let chain = &mut simulation.world.0.lock().rollups.chains[0];
        let at = chain.iter().position(|block| block.block.id() == span.parent).unwrap();
        chain.truncate(at);
        let other =
            blocks::next_block(&chain[at - 1], &[blocks::transaction(CHAINS[0], 1 << 40, 0)]);
        assert_ne!(other.block.hash, span.parent.hash);
        chain.push(Arc::new(other));
    }
    let (mut chains, now) = (simulation.world.clone(), Duration::from_secs(simulation.now));
    simulation.sealer.keep_up(&mut chains, now, false).unwrap();
    let after = simulation.sealer.ledger().unposted();
    assert!(after < before, "{after} of {before} wait for L1");
}

/// Empty blocks of 40 hours go into more than one batch.
#[test]
fn a_network_that_was_stopped_for_days_goes_on() {
    let mut simulation = Simulation::new(7, settings(), Faults::default());
    simulation.world.0.lock().rollups.window_seconds = 1 << 30;
    simulation.run(6, true);
    simulation.run(3, false);
    let hours = 40 * 3_600;
    simulation.pause(hours / SLOT_SECONDS, false);
    simulation.run(40, true);
    simulation.finish();
    simulation.assert_nothing_went_silently();
    let (given_up, shown) = simulation.given_up();
    assert!(given_up == 0 && shown > 200, "{given_up} of {shown}");
    let mut world = simulation.world.0.lock();
    let safe = world.safe_at_tip();
    assert!(safe.chains.iter().all(|chain| chain.len() as u64 > hours / BLOCK_TIME));
}

#[test]
fn slots_of_another_gateway_are_left_to_it() {
    for other_posts in [0, 500, 1000] {
        let faults = Faults { others: 4, other_posts, ..Faults::default() };
        let simulation = simulate(other_posts, faults, 80);
        let posted = simulation.posted();
        assert!(posted.len() > 15, "{posted:?}");
        let world = simulation.world.0.lock();
        assert!(posted.iter().all(|slot| world.l1.is_ours(*slot)), "{posted:?}");
        let is_met =
            |reason: &ResetReason| matches!(reason, ResetReason::OtherBatch | ResetReason::GivenUp);
        let has_met = simulation.resets.iter().any(is_met);
        assert_eq!(has_met, other_posts > 0);
        for reason in [Closed::OfAnother, Closed::Awaiting] {
            assert!(other_posts == 1000 || simulation.closed.contains(&reason), "{reason:?}");
        }
    }
}

#[test]
fn a_frozen_l1_ends_promises_before_its_window_does() {
    for frozen in [5, WINDOW_SLOTS + 12] {
        let mut simulation = Simulation::new(frozen, settings(), Faults::default());
        simulation.run(10, true);
        simulation.world.0.lock().l1.faults.empty_block = 1000;
        simulation.run(frozen, true);
        let is_long = frozen > WINDOW_SLOTS;
        assert_eq!(simulation.closed.contains(&Closed::Unposted), is_long);
        simulation.world.0.lock().l1.faults.empty_block = 0;
        simulation.run(90, true);
        simulation.finish();
        simulation.assert_nothing_went_silently();
        let (given_up, shown) = simulation.given_up();
        assert_eq!(given_up > 0, is_long, "{given_up} of {shown}");
        let posted = simulation.posted();
        assert!(*posted.last().unwrap() >= 98 + frozen, "{posted:?}");
        assert!(shown > 800, "{shown}");
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

/// What a rollup's peers have called on it must come into L1 with their blocks, so nobody is left out; what was sealed is
/// posted meanwhile.
#[test]
fn a_rollup_whose_status_is_unknown_holds_up_only_who_begins() {
    let mut simulation = Simulation::new(3, settings(), Faults::default());
    simulation.run(5, true);
    simulation.world.0.lock().silent = Some(1);
    simulation.run(12, true);
    let posted = simulation.posted().len();
    assert!(posted > 12, "{posted}");
    simulation.restart();
    simulation.closed.clear();
    simulation.run(12, true);
    assert!(simulation.closed.contains(&Closed::Unsettled), "{:?}", simulation.closed);
    assert!(simulation.posted().len() <= posted + 2);
    assert!(simulation.errors > 100, "the silence is told");
    simulation.world.0.lock().silent = None;
    simulation.run(8, true);
    simulation.finish();
    simulation.assert_nothing_went_silently();
    assert_eq!(simulation.given_up().0, 0);
    assert_eq!(simulation.world.0.lock().l1.reverted, 0);
}

/// One slot is lost, and the union goes on.
#[test]
fn a_slot_that_no_batch_can_hold_is_taken_back() {
    let settings =
        Settings { seal: SealSettings { max_blobs: 1, ..settings().seal }, ..settings() };
    let mut simulation = Simulation::new(4, settings, Faults::default());
    simulation.run(5, true);
    simulation.world.0.lock().rollups.ballast = 60_000;
    simulation.run(1, true);
    simulation.world.0.lock().rollups.ballast = 0;
    simulation.run(10, true);
    simulation.finish();
    simulation.assert_nothing_went_silently();
    let (given_up, shown) = simulation.given_up();
    assert!(given_up > 0 && shown > given_up + 150, "{given_up} of {shown}");
    assert!(simulation.posted().len() > 10, "{:?}", simulation.posted());
}
