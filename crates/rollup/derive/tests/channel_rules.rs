//! Frames, channels and what comes out of them (OP specification: derivation § channel bank, §
//! channel reader; Fjord; Granite; Holocene § frame queue, § channel bank).

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use common::{
    World,
    batcher::{ZLIB, channel, uncompressed},
};
use lockstep_chain::OpHardfork;
use lockstep_derive::Dropped;
use lockstep_protocol::{Compression, Frame, compress_channel, put_batch};

const FORKS: [OpHardfork; 3] = [OpHardfork::Bedrock, OpHardfork::Granite, OpHardfork::Jovian];

fn world(fork: OpHardfork) -> World {
    let mut world = World::at(fork);
    world.mine_many(4);
    world
}

/// The frames of a channel with blocks in a range.
fn frames(world: &mut World, from: u64, to: u64, count: usize) -> Vec<Frame> {
    let channel = channel(&world.config, &world.singles(from..=to));
    let max = channel.len().div_ceil(count);
    let frames = world.batcher.frames(&channel, max);
    assert_eq!(frames.len(), count);
    frames
}

fn send(world: &mut World, frames: &[Frame]) {
    let l1 = world.l1.clone();
    world.batcher.send(&l1, frames);
}

#[test]
fn frames_may_be_spread_over_transactions_and_blocks() {
    for fork in FORKS {
        let mut world = world(fork);
        let frames = frames(&mut world, 1, 9, 7);
        send(&mut world, &frames[..2]);
        send(&mut world, &frames[2..3]);
        world.mine();
        send(&mut world, &frames[3..6]);
        world.mine_many(2);
        send(&mut world, &frames[6..]);
        world.mine();
        assert_eq!(world.assert_derives_up_to(9).drops(), [], "{fork}");
    }
}

#[test]
fn before_holocene_frames_and_channels_come_in_any_order() {
    for fork in [OpHardfork::Canyon, OpHardfork::Granite] {
        let mut world = world(fork);
        let mut all = frames(&mut world, 1, 4, 4);
        all.extend(frames(&mut world, 5, 9, 4));
        // Interleaved, backwards, and each of them twice.
        for index in [7, 3, 6, 2, 2, 5, 1, 1, 4, 7, 0, 0] {
            send(&mut world, &all[index..=index]);
        }
        world.mine();
        let follower = world.assert_derives_up_to(9);
        // A frame of a channel that was read already opens another channel.
        assert_eq!(follower.drops(), [("channel_frame", 2)], "{fork}");
    }
}

/// The second of two interleaved channels replaces the first, whose other frames belong nowhere.
#[test]
fn from_holocene_on_only_the_newest_channel_counts() {
    let mut world = world(OpHardfork::Holocene);
    let first = frames(&mut world, 1, 4, 2);
    let second = frames(&mut world, 1, 6, 2);
    for frame in [&first[0], &second[0], &first[1], &second[1]] {
        send(&mut world, std::slice::from_ref(frame));
    }
    world.mine();
    let follower = world.assert_derives_up_to(6);
    assert_eq!(follower.drops(), [("channel_frame", 1), ("channel_replaced", 1)]);
}

#[test]
fn from_holocene_on_a_frame_out_of_order_is_lost() {
    let mut world = world(OpHardfork::Holocene);
    let all = frames(&mut world, 1, 4, 3);
    for index in [0, 2, 1] {
        send(&mut world, &all[index..=index]);
    }
    world.mine();
    let mut follower = world.assert_derives_up_to(0);
    assert_eq!(follower.drops(), [("channel_frame", 1)]);
    // It may come again.
    send(&mut world, &all[2..]);
    world.mine();
    follower.run();
    follower.assert_is(&world.l2, 4);
}

/// A channel that was opened in block n may be closed in block n + timeout.
#[test]
fn a_channel_times_out() {
    for (fork, timeout) in
        [(OpHardfork::Fjord, 10), (OpHardfork::Granite, 50), (OpHardfork::Holocene, 50)]
    {
        for late in [0, 1] {
            let mut config = common::config(fork);
            config.seq_window_size = 1_000;
            let mut world = World::new(config);
            world.mine();
            let all = frames(&mut world, 1, 4, 2);
            send(&mut world, &all[..1]);
            world.mine_many(timeout + late);
            send(&mut world, &all[1..]);
            world.mine();
            let follower = world.assert_derives_up_to(if late == 0 { 4 } else { 0 });
            let dropped = follower.pipeline.dropped();
            assert_eq!(dropped.get(Dropped::ChannelTimeout), late as u64, "{fork}");
            // Before Holocene the late frame opens another channel.
            let missing = if fork == OpHardfork::Holocene { late as u64 } else { 0 };
            assert_eq!(dropped.get(Dropped::ChannelMissing), missing, "{fork}");
        }
    }
}

#[test]
fn data_that_is_no_channel_is_passed_over() {
    for fork in FORKS {
        let mut world = world(fork);
        let l1 = world.l1.clone();
        // No frames.
        world.batcher.send_data(&l1, Vec::new());
        world.batcher.send_data(&l1, vec![0]);
        world.batcher.send_data(&l1, vec![1, 2, 3]);
        world.batcher.send_data(&l1, vec![0; 100]);
        // No known compression, nothing at all, a broken header.
        world.post_channel(&[0x77, 1, 2]);
        world.post_channel(&[]);
        world.post_channel(&[0x78, 0]);
        // No batch.
        world.post_channel(&compress_channel(ZLIB, &[0xc0]));
        let mut batch = Vec::new();
        put_batch(&[9, 1, 2], &mut batch);
        world.post_channel(&compress_channel(ZLIB, &batch));
        world.post(&world.singles(1..=4));
        world.mine();
        let follower = world.assert_derives_up_to(4);
        assert_eq!(
            follower.drops(),
            [("frames", 4), ("compression", 3), ("batch_encoding", 2)],
            "{fork}"
        );
    }
}

/// What was decompressed before the data ends counts.
#[test]
fn the_batches_before_a_malformed_one_count() {
    for fork in FORKS {
        let mut world = world(fork);
        let whole = uncompressed(&world.config, &world.singles(1..=3));
        let mut data = whole.clone();
        put_batch(&[9], &mut data);
        data.extend(uncompressed(&world.config, &world.singles(4..=5)));
        world.post_channel(&compress_channel(ZLIB, &data));
        world.mine();
        assert_eq!(world.assert_derives_up_to(3).drops(), [("batch_encoding", 1)], "{fork}");

        let mut world = self::world(fork);
        // Stored, so that cutting the end off leaves the beginning.
        let stored = compress_channel(Compression::Zlib { level: 0 }, &whole);
        world.post_channel(&stored[..stored.len() - 10]);
        world.mine();
        assert_eq!(world.assert_derives_up_to(2).drops(), [("batch_encoding", 1)], "{fork}");
    }
}

#[test]
fn brotli_is_read_from_fjord_on() {
    for (fork, is_read) in [(OpHardfork::Ecotone, false), (OpHardfork::Fjord, true)] {
        let mut world = world(fork);
        let data = uncompressed(&world.config, &world.singles(1..=5));
        world.post_channel(&compress_channel(Compression::Brotli { quality: 9 }, &data));
        world.mine();
        let follower = world.assert_derives_up_to(if is_read { 5 } else { 0 });
        let dropped = follower.pipeline.dropped().get(Dropped::Compression);
        assert_eq!(dropped, u64::from(!is_read), "{fork}");
    }
}

/// Batches beyond the limit are not read; those before it are.
#[test]
fn a_channel_is_read_up_to_its_limit() {
    for (fork, limit) in [(OpHardfork::Ecotone, 10_000_000), (OpHardfork::Fjord, 100_000_000)] {
        for beyond in [0, 1] {
            let mut world = world(fork);
            let mut data = uncompressed(&world.config, &world.singles(1..=2));
            // A batch of the past that fills the channel up to the last batch, whose last byte is
            // then within the limit or beyond it.
            let last = uncompressed(&world.config, &world.singles(3..=3));
            let lockstep_protocol::Batch::Single(mut filler) = world.singles(1..=1).remove(0)
            else {
                panic!("it is a singular batch")
            };
            filler.transactions = vec![vec![2; limit - data.len() - last.len() - 200].into()];
            let filler =
                uncompressed(&world.config, &[lockstep_protocol::Batch::Single(filler.clone())]);
            data.extend_from_slice(&filler);
            let rest = limit + beyond - data.len() - last.len();
            let lockstep_protocol::Batch::Single(mut small) = world.singles(1..=1).remove(0) else {
                panic!("it is a singular batch")
            };
            small.transactions.clear();
            let size = |batch: &lockstep_protocol::SingleBatch| {
                uncompressed(&world.config, &[lockstep_protocol::Batch::Single(batch.clone())])
                    .len()
            };
            small.transactions.push(vec![2; rest - size(&small) - 5].into());
            while size(&small) < rest {
                let mut bytes = small.transactions.remove(0).to_vec();
                bytes.push(2);
                small.transactions.push(bytes.into());
            }
            data.extend(uncompressed(&world.config, &[lockstep_protocol::Batch::Single(small)]));
            data.extend_from_slice(&last);
            assert_eq!(data.len(), limit + beyond);
            world.post_channel(&compress_channel(Compression::Zlib { level: 1 }, &data));
            world.mine();
            let follower = world.assert_derives_up_to(if beyond == 0 { 3 } else { 2 });
            let dropped = follower.pipeline.dropped().get(Dropped::BatchEncoding);
            assert_eq!(dropped, beyond as u64, "{fork}");
        }
    }
}
