//! What changes at the boundary of each fork: the fork's time, one second before, and the data that is
//! on its way.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::B64;
use common::{
    BLOCK_TIME, Follower, GENESIS_TIME, L1_BLOCK_TIME, World,
    batcher::{channel, uncompressed},
    config,
};
use lockstep_chain::OpHardfork;
use lockstep_derive::{DeriveError, Dropped, Severity, Signal, Step};
use lockstep_protocol::{Compression, RollupConfig, compress_channel, upgrade_transactions};
use op_alloy_consensus::OpTxEnvelope;

/// A rollup in which `fork` begins at `time`, after all forks before it.
fn config_with(fork: OpHardfork, time: u64) -> RollupConfig {
    let before = OpHardfork::VARIANTS.iter().rev().find(|other| **other < fork);
    let mut config = config(*before.expect("Bedrock has no boundary"));
    let field = match fork {
        OpHardfork::Regolith => &mut config.regolith_time,
        OpHardfork::Canyon => &mut config.canyon_time,
        OpHardfork::Ecotone => &mut config.ecotone_time,
        OpHardfork::Fjord => &mut config.fjord_time,
        OpHardfork::Granite => &mut config.granite_time,
        OpHardfork::Holocene => &mut config.holocene_time,
        OpHardfork::Isthmus => &mut config.isthmus_time,
        OpHardfork::Jovian => &mut config.jovian_time,
        other => panic!("{other} is not scheduled"),
    };
    *field = Some(time);
    config
}

const FORKS: [OpHardfork; 8] = [
    OpHardfork::Regolith,
    OpHardfork::Canyon,
    OpHardfork::Ecotone,
    OpHardfork::Fjord,
    OpHardfork::Granite,
    OpHardfork::Holocene,
    OpHardfork::Isthmus,
    OpHardfork::Jovian,
];

/// Derivation crosses every fork with data in every L1 block, wherever in an epoch it begins.
#[test]
fn a_rollup_crosses_every_fork() {
    for fork in FORKS {
        for offset in [0, 1, 2, 7, L1_BLOCK_TIME - 1] {
            let time = GENESIS_TIME + 4 * L1_BLOCK_TIME + offset;
            let mut world = World::new(config_with(fork, time));
            let mut posted = 0;
            for index in 0..10 {
                world.mine();
                let head = world.head();
                if index % 2 == 0 || fork == OpHardfork::Regolith {
                    world.post(&world.singles(posted + 1..=head));
                } else if world.config.is_delta_active(GENESIS_TIME) {
                    world.post(&[world.span(posted + 1..=head)]);
                } else {
                    continue;
                }
                posted = head;
            }
            world.l1.borrow_mut().mine();
            let follower = world.assert_derives_up_to(posted);
            assert_eq!(follower.drops(), [], "{fork} + {offset}");
        }
    }
}

/// The first block of a fork at or after its time has the transactions that upgrade contracts, and no
/// other block has them.
#[test]
fn the_first_block_upgrades_contracts() {
    for (fork, count) in [
        (OpHardfork::Ecotone, 6),
        (OpHardfork::Fjord, 3),
        (OpHardfork::Isthmus, 8),
        (OpHardfork::Jovian, 5),
    ] {
        for (offset, first) in [(0, 6), (1, 7), (2, 7)] {
            let time = GENESIS_TIME + 6 * BLOCK_TIME + offset;
            let mut world = World::new(config_with(fork, time));
            world.mine_many(3);
            let head = world.head();
            world.post(&world.singles(1..=head));
            world.mine();
            let follower = world.assert_derives_up_to(head);
            let upgrades: Vec<_> = upgrade_transactions(fork).into_iter().collect();
            assert_eq!(upgrades.len(), count, "{fork}");
            for derived in &follower.derived {
                let number = derived.parent.block.number + 1;
                let transactions = derived.attributes.transactions.as_ref().unwrap();
                let has_upgrades = transactions.windows(count).any(|window| window == upgrades);
                assert_eq!(has_upgrades, number == first, "{fork} + {offset}, block {number}");
                assert!(number != first || transactions.ends_with(&upgrades), "{fork}");
            }
        }
    }
}

/// What attributes have is decided by the time of the block.
#[test]
fn attributes_gain_fields() {
    let at = |fork| config_with(fork, GENESIS_TIME + 6 * BLOCK_TIME);
    let derive = |config: RollupConfig| {
        let mut world = World::new(config);
        world.mine_many(3);
        let head = world.head();
        world.post(&world.singles(1..=head));
        world.mine();
        world.assert_derives_up_to(head).derived
    };
    for (number, derived) in (1..).zip(derive(at(OpHardfork::Canyon))) {
        let withdrawals = derived.attributes.payload_attributes.withdrawals;
        assert_eq!(withdrawals, (number >= 6).then(Vec::new), "{number}");
    }
    for (number, derived) in (1..).zip(derive(at(OpHardfork::Ecotone))) {
        let root = derived.attributes.payload_attributes.parent_beacon_block_root;
        assert_eq!(root.is_some(), number >= 6, "{number}");
    }
    for (number, derived) in (1..).zip(derive(at(OpHardfork::Holocene))) {
        // The first block has none, so that the engine uses those of the chain, which the second
        // block then finds in its header.
        let expected = match number {
            ..6 => None,
            6 => Some(B64::ZERO),
            _ => Some(B64::from(0x0000_00fa_0000_0006_u64.to_be_bytes())),
        };
        assert_eq!(derived.attributes.eip_1559_params, expected, "{number}");
    }
    for (number, derived) in (1..).zip(derive(at(OpHardfork::Jovian))) {
        assert_eq!(derived.attributes.min_base_fee, (number >= 6).then_some(0), "{number}");
    }
}

/// At the first L1 block of Holocene everything that is on its way is dropped.
#[test]
fn holocene_drops_what_is_on_its_way() {
    let time = GENESIS_TIME + 5 * L1_BLOCK_TIME;
    let mut world = World::new(config_with(OpHardfork::Holocene, time));
    world.mine_many(3);
    let l1 = world.l1.clone();
    // An open channel, and a batch that waits for the one before it.
    let open = channel(&world.config, &world.singles(1..=3));
    let frames = world.batcher.frames(&open, open.len().div_ceil(2));
    world.batcher.send(&l1, &frames[..1]);
    world.post(&world.singles(2..=2));
    world.mine();
    let before = world.assert_derives_up_to(0);
    assert_eq!(before.drops(), []);
    world.batcher.send(&l1, &frames[1..]);
    world.mine();
    assert_eq!(world.l1.borrow().head().timestamp, time);
    let mut follower = before;
    follower.run();
    follower.assert_is(&world.l2, 0);
    assert_eq!(follower.drops(), [("channel_missing", 1), ("holocene_activation", 2)]);
    // The next channel may hold batches of before.
    world.post(&[world.span(1..=12)]);
    world.mine();
    follower.run();
    follower.assert_is(&world.l2, 12);
}

/// One L1 block before Holocene, frames may still come in any order; a block later not.
#[test]
fn the_order_of_frames_is_decided_by_the_l1_block() {
    for (l1_blocks, safe) in [(4, 3), (5, 0)] {
        let time = GENESIS_TIME + 5 * L1_BLOCK_TIME;
        let mut world = World::new(config_with(OpHardfork::Holocene, time));
        world.mine_many(l1_blocks - 1);
        let l1 = world.l1.clone();
        let channel = channel(&world.config, &world.singles(1..=3));
        let mut frames = world.batcher.frames(&channel, channel.len().div_ceil(2));
        frames.reverse();
        world.batcher.send(&l1, &frames);
        world.mine();
        assert_eq!(world.l1.borrow().head().number, l1_blocks as u64);
        world.assert_derives_up_to(safe);
    }
}

/// A channel opened before Granite times out by the rule of the L1 block that is read.
#[test]
fn granite_shortens_the_timeout_of_open_channels() {
    let mut config = config_with(OpHardfork::Granite, GENESIS_TIME + 60 * L1_BLOCK_TIME);
    config.channel_timeout = 300;
    config.seq_window_size = 1_000;
    for (closed_in, safe) in [(59, 3), (60, 0)] {
        let mut world = World::new(config.clone());
        world.mine();
        let l1 = world.l1.clone();
        let channel = channel(&world.config, &world.singles(1..=3));
        let frames = world.batcher.frames(&channel, channel.len().div_ceil(2));
        world.batcher.send(&l1, &frames[..1]);
        world.mine_many(closed_in - 2);
        world.batcher.send(&l1, &frames[1..]);
        world.mine();
        assert_eq!(world.l1.borrow().head().number, closed_in as u64);
        let follower = world.assert_derives_up_to(safe);
        let dropped = follower.pipeline.dropped().get(Dropped::ChannelTimeout);
        assert_eq!(dropped, u64::from(safe == 0));
    }
}

/// Brotli is allowed by the L1 block in which the channel is complete.
#[test]
fn fjord_allows_brotli_from_its_first_l1_block_on() {
    for (l1_blocks, safe) in [(4, 0), (5, 3)] {
        let time = GENESIS_TIME + 5 * L1_BLOCK_TIME;
        let mut world = World::new(config_with(OpHardfork::Fjord, time));
        world.mine_many(l1_blocks - 1);
        let data = uncompressed(&world.config, &world.singles(1..=3));
        world.post_channel(&compress_channel(Compression::Brotli { quality: 5 }, &data));
        world.mine();
        world.assert_derives_up_to(safe);
    }
}

/// Before Canyon a channel holds up those that were opened later.
#[test]
fn canyon_reads_channels_as_they_become_complete() {
    for (l1_blocks, safe) in [(4, 0), (5, 3)] {
        let time = GENESIS_TIME + 5 * L1_BLOCK_TIME;
        let mut world = World::new(config_with(OpHardfork::Canyon, time));
        world.mine_many(l1_blocks - 1);
        let l1 = world.l1.clone();
        let open = channel(&world.config, &world.singles(4..=5));
        let frames = world.batcher.frames(&open, open.len().div_ceil(2));
        world.batcher.send(&l1, &frames[..1]);
        world.post(&world.singles(1..=3));
        world.mine();
        let mut follower = world.assert_derives_up_to(safe);
        world.batcher.send(&l1, &frames[1..]);
        world.mine();
        follower.run();
        follower.assert_is(&world.l2, 5);
    }
}

/// Ecotone reads blobs from its first L1 block on.
#[test]
fn ecotone_reads_blobs_from_its_first_l1_block_on() {
    for (l1_blocks, safe) in [(4, 0), (5, 3)] {
        let time = GENESIS_TIME + 5 * L1_BLOCK_TIME;
        let mut world = World::new(config_with(OpHardfork::Ecotone, time));
        world.mine_many(l1_blocks - 1);
        let l1 = world.l1.clone();
        let channel = channel(&world.config, &world.singles(1..=3));
        let frames = world.batcher.frames(&channel, channel.len());
        world.batcher.send_blobs(&l1, &[frames]);
        world.mine();
        world.assert_derives_up_to(safe);
    }
}

/// Only the format of the attributes lags behind in the first block of a fork: the deposit that holds
/// them is that of the block's own fork.
#[test]
fn the_first_block_of_regolith_has_no_system_transaction() {
    let time = GENESIS_TIME + 3 * BLOCK_TIME;
    let mut world = World::new(config_with(OpHardfork::Regolith, time));
    world.mine_many(2);
    let head = world.head();
    world.post(&world.singles(1..=head));
    world.mine();
    let follower = world.assert_derives_up_to(head);
    for derived in &follower.derived {
        let first = &derived.attributes.transactions.as_ref().unwrap()[0];
        let OpTxEnvelope::Deposit(deposit) = OpTxEnvelope::decode_2718_exact(first).unwrap() else {
            panic!("a block begins with a deposit");
        };
        let is_regolith = derived.attributes.payload_attributes.timestamp >= time;
        assert_eq!(deposit.is_system_transaction, !is_regolith);
        assert_eq!(deposit.gas_limit, if is_regolith { 1_000_000 } else { 150_000_000 });
    }
}

/// Steps until something is wrong.
fn run_to_error(follower: &mut Follower) -> DeriveError {
    loop {
        let head = follower.head();
        match follower.pipeline.step(&head) {
            Ok(Step::Attributes(attributes)) => {
                follower.l2.borrow_mut().apply(&attributes.attributes);
            }
            Ok(Step::Idle) => panic!("the end must not be reached"),
            Ok(Step::Advanced(_) | Step::Progress) => {}
            Err(error) => return error,
        }
    }
}

/// Everything before a fork that is not supported is derived, and nothing from it on: neither from L1
/// blocks, whose data may mean something else then, nor rollup blocks.
#[test]
fn derivation_stops_where_an_unsupported_fork_begins() {
    let at = GENESIS_TIME + 5 * L1_BLOCK_TIME;
    for field in ["karst_time", "meteora_time"] {
        for is_ahead in [false, true] {
            let mut config = config(OpHardfork::Jovian);
            match field {
                "karst_time" => config.karst_time = Some(at),
                _ => drop(config.other.insert(field.into(), at.into())),
            }
            let mut world = World::new(config);
            world.mine_many(3);
            if is_ahead {
                world.sequence_until(at + 5 * BLOCK_TIME);
            }
            let head = world.head();
            world.post(&world.singles(1..=head));
            world.l1.borrow_mut().mine_many(3);
            let mut follower = world.follower();
            let error = run_to_error(&mut follower);
            let safe = if is_ahead { (at - GENESIS_TIME) / BLOCK_TIME - 1 } else { head };
            follower.assert_is(&world.l2, safe);
            assert_eq!(error.severity(), Severity::Critical);
            let timestamp = follower.pipeline.origin().unwrap().timestamp;
            assert!(timestamp < at, "L1 is read up to the fork");
            let DeriveError::UnsupportedFork { field: got, at: time, .. } = &error else {
                panic!("{error}");
            };
            assert_eq!((got.as_str(), *time), (field, at));
            assert_eq!(run_to_error(&mut follower).to_string(), error.to_string());
        }
    }
}

/// The pipeline knows itself when Holocene begins: a driver that tells it so, whenever and however
/// often, changes nothing.
#[test]
fn the_activation_signal_changes_nothing() {
    let time = GENESIS_TIME + 4 * L1_BLOCK_TIME;
    let mut world = World::new(config_with(OpHardfork::Holocene, time));
    let mut posted = 0;
    for _ in 0..8 {
        world.mine();
        let head = world.head();
        world.post(&world.singles(posted + 1..=head));
        posted = head;
    }
    world.mine();
    let mut expected = world.follower();
    expected.run();
    let mut follower = world.follower();
    loop {
        follower.pipeline.signal(Signal::Activation);
        let head = follower.head();
        match follower.pipeline.step(&head).unwrap() {
            Step::Attributes(attributes) => {
                follower.l2.borrow_mut().apply(&attributes.attributes);
            }
            Step::Idle => break,
            Step::Advanced(_) | Step::Progress => {}
        }
    }
    assert!(follower.head().block.timestamp > time);
    follower.assert_is(&world.l2, expected.head().block.number);
    assert_eq!(follower.drops(), expected.drops());
}
