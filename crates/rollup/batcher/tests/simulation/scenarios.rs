//! What must hold, by seed.

use crate::{l1::Faults, world::Simulation};
use alloy_primitives::Address;
use lockstep_batcher::{
    BatcherConfig, ChannelPolicy, DataAvailability, DataLimits, FeePolicy, Phase, ResetReason,
    SubmissionPolicy, ThrottlePolicy,
};
use lockstep_protocol::{Compression, RollupConfig};

/// All faults at once.
const HOSTILE: Faults = Faults {
    unreachable: 20,
    lost_answer: 50,
    lost_tx: 50,
    empty_block: 100,
    eviction: 0,
    to_cheap: None,
    pool_full: 30,
    no_funds: 20,
    fee_spike: 50,
    reorg: 60,
    reorg_depth: 32,
    lag: 3,
    restart: 10,
    l2_reorg: 10,
};

/// A rollup with all forks from the beginning.
fn rollup() -> RollupConfig {
    RollupConfig {
        block_time: 2,
        max_sequencer_drift: 600,
        seq_window_size: 3_600,
        channel_timeout: 300,
        l1_chain_id: 900,
        l2_chain_id: 901,
        regolith_time: Some(0),
        canyon_time: Some(0),
        delta_time: Some(0),
        ecotone_time: Some(0),
        fjord_time: Some(0),
        granite_time: Some(0),
        holocene_time: Some(0),
        isthmus_time: Some(0),
        jovian_time: Some(0),
        batch_inbox_address: Address::repeat_byte(0xff),
        ..RollupConfig::default()
    }
}

/// Small frames and short channels, so that much happens.
fn config(data_availability: DataAvailability) -> BatcherConfig {
    BatcherConfig {
        data_availability,
        channel: ChannelPolicy {
            target_num_frames: 3,
            max_duration: 4,
            max_calldata_bytes: 500,
            max_blob_bytes: 600,
            max_blobs_per_tx: 2,
            compression: Compression::Brotli { quality: 1 },
            ..ChannelPolicy::default()
        },
        fees: FeePolicy {
            max_fee: 1 << 60,
            max_tip: 1 << 50,
            max_blob_fee: 1 << 60,
            ..Default::default()
        },
        submission: SubmissionPolicy { confirmations: 40, ..SubmissionPolicy::default() },
        ..BatcherConfig::default()
    }
}

fn simulate(seed: u64, config: BatcherConfig, faults: Faults, l1_blocks: u64) -> Simulation {
    let mut simulation = Simulation::new(seed, config, rollup(), faults);
    simulation.run(l1_blocks, true);
    simulation.finish();
    simulation
}

#[test]
fn without_faults_every_block_is_posted_once() {
    for (seed, kind) in
        [DataAvailability::Calldata, DataAvailability::Blobs, DataAvailability::Auto]
            .into_iter()
            .enumerate()
    {
        let simulation = simulate(seed as u64, config(kind), Faults::default(), 100);
        let world = simulation.world.0.borrow();
        assert!(world.l2.blocks.len() > 550, "{} blocks", world.l2.blocks.len());
        assert_eq!(world.derivation.blocks_read + 1, world.l2.blocks.len(), "{kind:?}");
        assert!(world.derivation.channels_read > 20);
        assert_eq!((simulation.resent, simulation.errors), (0, 0));
        assert_eq!(simulation.resets, []);
    }
}

#[test]
fn every_block_is_posted_in_the_end_whatever_happens() {
    let mut resets = Vec::new();
    let (mut resent, mut vanished) = (0, 0);
    for seed in 0..24 {
        let kind = match seed % 3 {
            0 => DataAvailability::Calldata,
            1 => DataAvailability::Blobs,
            _ => DataAvailability::Auto,
        };
        let simulation = simulate(seed, config(kind), HOSTILE, 200);
        resets.extend(simulation.resets);
        resent += simulation.resent;
        vanished += simulation.vanished;
    }
    // Otherwise this test shows less than it says.
    assert!(resent > 100 && vanished > 100, "{resent} sent again, {vanished} vanished");
    assert!(resets.contains(&ResetReason::L2Reorg), "{resets:?}");
}

#[test]
fn reorgs_of_every_depth_lose_nothing() {
    for depth in 1..=32 {
        let mut simulation =
            Simulation::new(depth, config(DataAvailability::Calldata), rollup(), Faults::default());
        simulation.run(50, true);
        simulation.reorg(depth);
        simulation.run(20, true);
        simulation.finish();
    }
}

#[test]
fn a_reorg_deeper_than_what_is_remembered_loses_nothing() {
    let mut config = config(DataAvailability::Blobs);
    config.submission.confirmations = 3;
    for seed in 0..6 {
        let mut simulation = Simulation::new(seed, config, rollup(), Faults::default());
        simulation.run(50, true);
        simulation.reorg(20);
        simulation.run(20, true);
        simulation.finish();
        assert!(!simulation.resets.is_empty());
    }
}

#[test]
fn restarts_at_any_step_lose_nothing_and_post_little_twice() {
    for seed in 0..8 {
        let faults = Faults { restart: 100, lag: 3, ..Faults::default() };
        let simulation = simulate(seed, config(DataAvailability::Blobs), faults, 120);
        let world = simulation.world.0.borrow();
        // It waits for what its predecessor sent, so nothing is posted twice.
        assert_eq!(world.derivation.blocks_read + 1, world.l2.blocks.len(), "seed {seed}");
    }
}

#[test]
fn a_restart_at_each_step_loses_nothing_and_posts_nothing_twice() {
    for steps in 0..80 {
        let kind = [DataAvailability::Calldata, DataAvailability::Blobs][steps % 2];
        let faults = Faults { lag: 3, ..Faults::default() };
        let mut simulation = Simulation::new(7, config(kind), rollup(), faults);
        simulation.restart_after(steps as u64);
        simulation.run(24, true);
        simulation.finish();
        let world = simulation.world.0.borrow();
        assert_eq!(world.derivation.blocks_read + 1, world.l2.blocks.len(), "{steps} steps");
    }
}

#[test]
fn the_cheaper_kind_is_chosen_as_fees_move() {
    let mut simulation =
        Simulation::new(6, config(DataAvailability::Auto), rollup(), Faults::default());
    simulation.set_fees(10_000_000_000, 1_000_000);
    simulation.run(20, true);
    let (calldata, blobs) = simulation.kinds();
    assert!(calldata == 0 && blobs > 0, "{calldata} and {blobs}");
    simulation.set_fees(1_000_000_000, 90_000_000_000);
    simulation.run(20, true);
    let (calldata, _) = simulation.kinds();
    assert!(calldata > 0);
    simulation.set_fees(10_000_000_000, 1_000_000);
    simulation.run(20, true);
    assert!(simulation.kinds().1 > blobs);
    simulation.finish();
    assert_eq!(simulation.resets, []);
}

#[test]
fn fees_beyond_the_most_are_waited_for() {
    let mut config = config(DataAvailability::Blobs);
    config.fees.max_fee = 9_000_000_000;
    config.fees.max_tip = 2_000_000_000;
    let mut simulation = Simulation::new(3, config, rollup(), Faults::default());
    simulation.set_fees(50_000_000_000, 1_000_000);
    simulation.run(10, true);
    assert_eq!(simulation.posted(), 0, "the fees are too high");
    simulation.set_fees(1_000_000_000, 1_000_000);
    simulation.run(60, true);
    simulation.finish();
}

#[test]
fn a_fee_spike_is_followed() {
    let mut simulation =
        Simulation::new(5, config(DataAvailability::Blobs), rollup(), Faults::default());
    simulation.run(20, true);
    for _ in 0..5 {
        simulation.set_fees(1_000_000_000, 1_000_000);
        simulation.set_frozen(true);
        simulation.run(6, true);
        let last = simulation.last_pooled().expect("transactions wait");
        simulation.set_floor(80_000_000_000);
        simulation.set_fees(90_000_000_000, 90_000_000_000);
        simulation.set_frozen(false);
        simulation.run(30, true);
        assert!(simulation.next_nonce() > last, "paid more until they were included");
        simulation.set_floor(1_000_000);
    }
    simulation.finish();
    assert!(simulation.resent > 5);
    assert_eq!(simulation.resets, []);
}

#[test]
fn foreign_transactions_of_the_other_kind_are_cancelled() {
    for (seed, ours) in [(1, DataAvailability::Calldata), (2, DataAvailability::Blobs)] {
        let theirs = match ours {
            DataAvailability::Calldata => DataAvailability::Blobs,
            _ => DataAvailability::Calldata,
        };
        // A predecessor with the other setting leaves transactions that are never included.
        let mut simulation = Simulation::new(seed, config(theirs), rollup(), Faults::default());
        simulation.run(10, true);
        simulation.set_fees(5_000_000_000, 1_000_000);
        simulation.set_frozen(true);
        simulation.run(3, true);
        assert!(simulation.last_pooled().is_some(), "seed {seed}");
        simulation.set_floor(80_000_000_000);
        simulation.set_frozen(false);
        simulation.restart_with(config(ours));
        simulation.run(60, true);
        simulation.finish();
    }
}

#[test]
fn a_nonce_used_by_another_program_is_survived() {
    let mut simulation =
        Simulation::new(9, config(DataAvailability::Calldata), rollup(), Faults::default());
    for _ in 0..4 {
        simulation.run(17, true);
        simulation.steal_nonce();
    }
    simulation.run(20, true);
    simulation.finish();
    assert!(simulation.resets.contains(&ResetReason::Nonce), "{:?}", simulation.resets);
}

#[test]
fn memory_is_bounded_while_l1_does_not_move() {
    let mut config = config(DataAvailability::Calldata);
    config.max_pending_blocks = 50;
    let mut simulation =
        Simulation::new(4, config, rollup(), Faults { empty_block: 1000, ..Faults::default() });
    simulation.run(60, true);
    assert!(simulation.batcher.backlog().is_full);
    assert!(simulation.batcher.backlog().blocks <= 50);
    simulation.finish();
}

/// 20 KB wait without a limit, from 60 KB on a block may have no more than a small transaction.
const THROTTLE: ThrottlePolicy = ThrottlePolicy {
    low_bytes: 20_000,
    high_bytes: 60_000,
    most: DataLimits { block_bytes: 400, transaction_bytes: 200 },
    least: DataLimits { block_bytes: 130, transaction_bytes: 130 },
};

#[test]
fn what_waits_stays_bounded_while_l1_takes_nothing_and_is_posted_afterwards() {
    for (seed, kind) in [DataAvailability::Calldata, DataAvailability::Blobs].iter().enumerate() {
        let mut config = config(*kind);
        config.throttle = THROTTLE;
        let rollup = RollupConfig { seq_window_size: 400, ..rollup() };
        let mut simulation = Simulation::new(seed as u64, config, rollup, Faults::default());
        simulation.run(20, true);
        assert_eq!(simulation.batcher.limits().block_bytes, block_capacity(), "no limit at first");
        simulation.set_frozen(true);
        let mut waiting = Vec::new();
        for _ in 0..35 {
            simulation.run(10, true);
            waiting.push(simulation.unsafe_bytes());
        }
        // Six blocks for each L1 block; the marks, then one small transaction for each block.
        assert!(waiting.iter().any(|bytes| *bytes > 60_000), "{waiting:?}");
        assert!(waiting.iter().all(|bytes| *bytes < 60_000 + 6 * 130 * 350), "{waiting:?}");
        let slow = |window: &[usize]| window[1] - window[0] <= 60 * 130;
        assert!(waiting.windows(2).skip(20).all(slow), "{waiting:?}");
        // A quarter of the window before what waits is lost nothing more is taken.
        assert_eq!(waiting[32..], [waiting[32]; 3]);
        assert_eq!(simulation.batcher.limits(), DataLimits::NOTHING);
        assert_eq!(simulation.newest_block_bytes(), 0);
        simulation.set_frozen(false);
        simulation.run(150, true);
        assert_eq!(simulation.batcher.limits().block_bytes, block_capacity(), "no limit any more");
        assert!(simulation.unsafe_bytes() < 20_000);
        simulation.finish();
    }
}

/// Half of the 100 MB that derivation reads of a channel.
const fn block_capacity() -> u64 {
    (100_000_000 - 128) / 2
}

#[test]
fn what_waits_is_counted_while_l1_does_not_answer_and_while_the_batcher_settles() {
    let mut config = config(DataAvailability::Calldata);
    config.throttle = THROTTLE;
    let mut simulation = Simulation::new(8, config, rollup(), Faults::default());
    simulation.run(20, true);
    simulation.set_frozen(true);
    simulation.run(60, true);
    simulation.restart();
    simulation.run(1, true);
    assert_eq!(simulation.batcher.phase(), Phase::Settling);
    let backlog = simulation.batcher.backlog();
    assert!(backlog.blocks > 300, "{backlog:?}");
    assert_eq!(backlog.bytes, simulation.unsafe_bytes());
    assert!(simulation.batcher.limits().block_bytes < 400);

    simulation.set_frozen(false);
    simulation.run(60, true);
    assert_eq!(simulation.batcher.phase(), Phase::Posting);
    assert!(simulation.batcher.limits().block_bytes > 400);
    simulation.set_l1_silent(true);
    simulation.run(60, true);
    assert!(simulation.errors > 0);
    assert!(simulation.batcher.limits().block_bytes < 400);
    simulation.set_l1_silent(false);
    simulation.finish();
}

#[test]
fn what_derivation_drops_again_and_again_is_paid_for_less_and_less_often() {
    let mut simulation =
        Simulation::new(2, config(DataAvailability::Calldata), rollup(), Faults::default());
    simulation.run(20, true);
    let before = simulation.next_nonce();
    simulation.set_refusing(true);
    simulation.run(400, true);
    let dropped = simulation.resets.len();
    assert!(simulation.resets.iter().all(|reset| *reset == ResetReason::ChannelDropped));
    // Pauses of 2, 4, 8, 16, 32 and 64 minutes, in 80 minutes.
    assert!((4..=7).contains(&dropped), "{dropped}");
    let wasted = simulation.next_nonce() - before;
    assert!(wasted < 200, "{wasted} transactions");
    simulation.set_refusing(false);
    simulation.run(700, false);
    simulation.finish();
}

#[test]
fn what_a_pool_evicts_without_a_word_is_offered_at_the_market_price() {
    for kind in [DataAvailability::Calldata, DataAvailability::Blobs] {
        let faults = Faults { eviction: 1000, empty_block: 1000, ..Faults::default() };
        let mut simulation = Simulation::new(6, config(kind), rollup(), faults);
        while simulation.first_offer().is_none() {
            simulation.run_at(CHEAP, 1);
        }
        simulation.set_floor(DEAR);
        simulation.set_frozen(false);
        simulation.run_at(DEAR, 30);
        assert!(simulation.next_nonce() > 5, "{kind:?}");
        simulation.finish();
    }
}

/// A first offer at the one base fee is less than the other, but more than half of it, which is enough for
/// the simulated pool to say yes.
const CHEAP: u128 = 10_000_000_000;
const DEAR: u128 = 30_000_000_000;

#[test]
fn what_a_pool_does_not_take_for_a_reason_of_its_own_is_offered_at_the_market_price() {
    for message in ["txpool is full", "not today"] {
        let faults = Faults { pool_full: 1000, to_cheap: Some(message), ..Faults::default() };
        let config = config(DataAvailability::Calldata);
        let mut simulation = Simulation::new(6, config, rollup(), faults);
        simulation.run_at(CHEAP, 10);
        assert_eq!(simulation.first_offer(), None);
        assert!(simulation.batcher.backlog().transactions > 0, "one waits outside");
        simulation.set_floor(DEAR);
        simulation.set_pool_full(false);
        simulation.run_at(DEAR, 30);
        assert!(simulation.next_nonce() > 5, "{message}");
        simulation.finish();
    }
}

#[test]
fn offers_rise_only_with_l1_blocks_and_not_beyond_a_multiple_of_the_market() {
    let mut config = config(DataAvailability::Blobs);
    config.submission.max_pending = 1;
    let mut simulation = Simulation::new(4, config, rollup(), Faults::default());
    simulation.set_frozen(true);
    while simulation.first_offer().is_none() {
        simulation.run_at(CHEAP, 1);
    }
    let offer = simulation.first_offer();
    simulation.wait(20);
    assert_eq!(simulation.first_offer(), offer, "L1 stands still");
    simulation.run_at(CHEAP, 200);
    // A block moves the base fee by an eighth at most.
    let least = 2 * (CHEAP * 7 / 8) + 1_000_000_000;
    let most = 2 * (CHEAP * 9 / 8) + 1_000_000_000;
    let offers = offer.zip(simulation.first_offer()).expect("a transaction waits");
    assert!((least..=most).contains(&offers.0), "{offers:?}");
    assert!((2 * least..=5 * most).contains(&offers.1), "{offers:?}");
    simulation.set_frozen(false);
    simulation.finish();
}

#[test]
fn blocks_that_continue_a_replaced_safe_head_end_in_settling() {
    for depth in 6..14 {
        let mut simulation =
            Simulation::new(depth, config(DataAvailability::Calldata), rollup(), Faults::default());
        simulation.run(50, true);
        simulation.reorg(depth);
        simulation.run(3, true);
        assert_eq!(simulation.resets.first(), Some(&ResetReason::L2Reorg), "depth {depth}");
        simulation.run(20, true);
        simulation.finish();
    }
}

/// Minutes; for a change of the state machine.
#[test]
#[ignore = "takes minutes"]
fn many_seeds_lose_nothing() {
    for seed in 1_000..1_300 {
        let kind = match seed % 3 {
            0 => DataAvailability::Calldata,
            1 => DataAvailability::Blobs,
            _ => DataAvailability::Auto,
        };
        eprintln!("seed {seed}");
        simulate(seed, config(kind), HOSTILE, 100 + seed % 200);
    }
}
