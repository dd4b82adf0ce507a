//! Which data of L1 counts (OP specification: derivation § L1 retrieval, Ecotone § blob retrieval).

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use alloy_eips::eip4844::Blob;
use alloy_primitives::address;
use common::{INBOX, World, batcher::channel, l1::Sender};
use lockstep_chain::OpHardfork;
use lockstep_derive::{Dropped, Severity, Step};
use lockstep_protocol::{SystemConfigUpdate, encode_blob, encode_frames};

const FORKS: [OpHardfork; 3] = [OpHardfork::Bedrock, OpHardfork::Granite, OpHardfork::Jovian];

fn world(fork: OpHardfork) -> World {
    let mut world = World::at(fork);
    world.mine_many(4);
    world
}

/// The data of a transaction with blocks in a range.
fn data(world: &mut World, from: u64, to: u64) -> Vec<u8> {
    let channel = channel(&world.config, &world.singles(from..=to));
    encode_frames(&world.batcher.frames(&channel, usize::MAX / 2))
}

#[test]
fn only_the_batcher_may_write_to_the_inbox() {
    for fork in FORKS {
        let mut world = world(fork);
        let data = data(&mut world, 1, 5);
        let mut stranger = Sender::new(99);
        let l1 = world.l1.clone();
        l1.borrow_mut().send(stranger.calldata(INBOX, data.clone()));
        // To somewhere else, and as a type that may carry no batches.
        let elsewhere = address!("ff00000000000000000000000000000000000902");
        l1.borrow_mut().send(world.batcher.sender.calldata(elsewhere, data.clone()));
        l1.borrow_mut().send(world.batcher.sender.set_code(data.clone()));
        world.mine();
        let mut follower = world.assert_derives_up_to(0);
        assert_eq!(follower.drops(), [("sender", 1), ("transaction_type", 1)], "{fork}");
        l1.borrow_mut().send(world.batcher.sender.legacy(INBOX, data));
        world.mine();
        follower.run();
        follower.assert_is(&world.l2, 5);
    }
}

/// The batcher's address is that of the L1 block that is read, its own changes included.
#[test]
fn the_batcher_can_be_replaced() {
    for fork in FORKS {
        let mut world = world(fork);
        let mut new = Sender::new(55);
        let l1 = world.l1.clone();
        let first = data(&mut world, 1, 3);
        let second = data(&mut world, 4, 6);
        l1.borrow_mut().update(&SystemConfigUpdate::Batcher(new.address()));
        l1.borrow_mut().send(world.batcher.sender.calldata(INBOX, second.clone()));
        l1.borrow_mut().send(new.calldata(INBOX, first));
        world.mine();
        let mut follower = world.assert_derives_up_to(3);
        assert_eq!(follower.drops(), [("sender", 1)], "{fork}");
        l1.borrow_mut().send(new.calldata(INBOX, second));
        world.mine();
        follower.run();
        follower.assert_is(&world.l2, 6);
        // The rollup tells of the new batcher from the epoch of the change on.
        let head = world.head();
        l1.borrow_mut().send(new.calldata(INBOX, data(&mut world, 7, head)));
        world.mine();
        follower.run();
        follower.assert_is(&world.l2, head);
    }
}

#[test]
fn blobs_are_read_in_the_order_of_the_block() {
    for fork in [OpHardfork::Ecotone, OpHardfork::Holocene] {
        let mut world = world(fork);
        let channel = channel(&world.config, &world.singles(1..=15));
        let frames = world.batcher.frames(&channel, channel.len().div_ceil(6));
        let l1 = world.l1.clone();
        // A stranger's blobs come before, between and behind; frames 2 and 3 are calldata.
        let strange = |l1: &common::SharedL1, stranger: &mut Sender| {
            let blobs = vec![Box::<Blob>::default(), encode_blob(&[7; 99]).unwrap()];
            let transaction = stranger.blobs(&blobs, Vec::new());
            l1.borrow_mut().send_blobs(transaction, blobs);
        };
        let mut stranger = Sender::new(98);
        strange(&l1, &mut stranger);
        world.batcher.send_blobs(&l1, &[frames[..1].to_vec(), frames[1..2].to_vec()]);
        strange(&l1, &mut stranger);
        world.batcher.send(&l1, &frames[2..4]);
        strange(&l1, &mut stranger);
        world.batcher.send_blobs(&l1, &[frames[4..].to_vec()]);
        strange(&l1, &mut stranger);
        world.mine();
        assert_eq!(world.assert_derives_up_to(15).drops(), [("sender", 4)], "{fork}");
    }
}

#[test]
fn a_blob_in_another_encoding_is_passed_over() {
    let mut world = world(OpHardfork::Ecotone);
    let channel = channel(&world.config, &world.singles(1..=5));
    let frames = world.batcher.frames(&channel, channel.len());
    let l1 = world.l1.clone();
    let mut version = encode_blob(&[1; 50]).unwrap();
    version[1] = 9;
    let mut high_bits = encode_blob(&[1; 50]).unwrap();
    high_bits[32] = 0xc0;
    let blobs = vec![version, encode_blob(&encode_frames(&frames)).unwrap(), high_bits];
    let transaction = world.batcher.sender.blobs(&blobs, Vec::new());
    l1.borrow_mut().send_blobs(transaction, blobs);
    world.mine();
    let follower = world.assert_derives_up_to(5);
    assert_eq!(follower.drops(), [("blob", 2)]);
}

/// The input of a transaction with blobs is data before Ecotone, and no data from then on.
#[test]
fn the_input_of_a_blob_transaction_counts_only_before_ecotone() {
    for (fork, safe) in [(OpHardfork::Canyon, 5), (OpHardfork::Ecotone, 0)] {
        let mut world = world(fork);
        let data = data(&mut world, 1, 5);
        let blobs = vec![encode_blob(&[0; 1]).unwrap()];
        let transaction = world.batcher.sender.blobs(&blobs, data);
        world.l1.borrow_mut().send_blobs(transaction, blobs);
        world.mine();
        let follower = world.assert_derives_up_to(safe);
        assert_eq!(follower.pipeline.dropped().get(Dropped::Frames), u64::from(safe == 0));
    }
}

/// A provider may fail at any call; nothing is lost, and nothing is counted twice.
#[test]
fn failures_of_providers_change_nothing() {
    for fork in [OpHardfork::Granite, OpHardfork::Jovian] {
        let mut world = world(fork);
        let head = world.head();
        let channel = channel(&world.config, &[world.span(1..=head / 2)]);
        let frames = world.batcher.frames(&channel, channel.len().div_ceil(3));
        let l1 = world.l1.clone();
        let mut stranger = Sender::new(98);
        l1.borrow_mut().send(stranger.calldata(INBOX, vec![0; 9]));
        world.batcher.send_blobs(&l1, &[frames[..1].to_vec(), frames[1..].to_vec()]);
        world.mine();
        // A span that overlaps needs the rollup's blocks.
        world.post(&[world.span(3..=head)]);
        world.mine();
        let undisturbed = world.assert_derives_up_to(head);

        // Every call of every step fails once, before the step succeeds.
        let mut follower = world.follower();
        let mut failures = 0;
        loop {
            let safe = follower.head();
            let mut calls = 0;
            let step = loop {
                l1.borrow_mut().fail_at = Some(calls);
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
        assert!(failures > 40, "{failures}");
        follower.assert_is(&world.l2, head);
        assert_eq!(follower.drops(), undisturbed.drops(), "{fork}");
    }
}
