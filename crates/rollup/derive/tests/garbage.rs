//! A batcher that sends garbage: nothing is derived from it, nothing breaks, and memory stays bounded.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use common::{GENESIS_TIME, Numbers, World, batcher::uncompressed, union::UnionWorld};
use lockstep_chain::OpHardfork;
use lockstep_derive::MAX_UNION_STEPS;
use lockstep_protocol::{
    Batch, Compression, Frame, MAX_BLOB_DATA_BYTES, MAX_UNION_BATCH_BYTES, PartEntry,
    compress_channel, encode_blob, encode_frames,
};
use lockstep_union::{Message, Step};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Tests run one after the other: they share the count of memory.
static ALONE: Mutex<()> = Mutex::new(());

/// Counts what is allocated, to hold it against a limit.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A piece of garbage: mostly almost valid.
fn garbage(world: &World, numbers: &mut Numbers) -> Vec<u8> {
    let frame = |numbers: &mut Numbers, data: Vec<u8>| Frame {
        channel: [numbers.below(250) as u8; 16].into(),
        number: numbers.below(3) as u16,
        data: data.into(),
        is_last: numbers.below(2) == 0,
    };
    match numbers.below(8) {
        0 => {
            let size = numbers.below(300) as usize;
            numbers.bytes(size)
        }
        1 => {
            let mut data = numbers.bytes(200);
            data[0] = 0;
            data
        }
        2 | 3 => {
            let size = numbers.below(200) as usize;
            let data = numbers.bytes(size);
            encode_frames(&[frame(numbers, data)])
        }
        4 | 5 => {
            // A batch with something wrong in it.
            let Batch::Single(mut batch) = world.singles(1..=1).remove(0) else {
                panic!("it is a singular batch")
            };
            match numbers.below(5) {
                0 => batch.timestamp = GENESIS_TIME + numbers.below(1 << 40),
                1 => batch.parent_hash = numbers.hash(),
                2 => batch.epoch_num = numbers.next(),
                3 => batch.epoch_hash = numbers.hash(),
                _ => batch.transactions.push([0x7e].into()),
            }
            let data = uncompressed(&world.config, &[Batch::Single(batch)]);
            whole(numbers, compress_channel(Compression::Zlib { level: 1 }, &data))
        }
        6 => {
            let Batch::Span(mut span) = world.span(1..=3) else { panic!("it is a span") };
            match numbers.below(3) {
                0 => span.blocks.iter_mut().for_each(|block| block.timestamp += 1_000_000),
                1 => span.parent_check = Default::default(),
                _ => span.l1_origin_check = Default::default(),
            }
            let data = uncompressed(&world.config, &[Batch::Span(span)]);
            whole(numbers, compress_channel(Compression::Zlib { level: 1 }, &data))
        }
        _ => {
            // A channel that decompresses to much more than it is.
            let data = vec![numbers.below(256) as u8; 100_000];
            whole(numbers, compress_channel(Compression::Zlib { level: 6 }, &data))
        }
    }
}

/// A channel in one frame.
fn whole(numbers: &mut Numbers, channel: Vec<u8>) -> Vec<u8> {
    let id = numbers.hash();
    let channel = Frame {
        channel: alloy_primitives::FixedBytes::from_slice(&id[..16]),
        number: 0,
        data: channel.into(),
        is_last: true,
    };
    encode_frames(&[channel])
}

/// Sends `count` transactions of garbage, and checks that memory does not grow with them.
fn assert_bounded(fork: OpHardfork, count: usize) {
    const PER_BLOCK: usize = 1_000;
    let _alone = ALONE.lock().unwrap();
    let mut config = common::config(fork);
    config.seq_window_size = 1_000_000;
    let mut world = World::new(config);
    world.mine_many(3);
    let mut numbers = Numbers(fork as u64);
    let mut follower = world.follower();
    follower.run();
    let mut peak = 0;
    for sent in (0..count).step_by(PER_BLOCK) {
        for _ in 0..PER_BLOCK {
            let data = garbage(&world, &mut numbers);
            let l1 = world.l1.clone();
            world.batcher.send_data(&l1, data);
        }
        world.l1.borrow_mut().mine();
        let before = NOW.load(Relaxed);
        PEAK.store(before, Relaxed);
        follower.run();
        peak = peak.max(PEAK.load(Relaxed) - before);
        // The test itself must not keep what was read.
        let number = world.l1.borrow().head().number as usize;
        world.l1.borrow_mut().forget(number);
        assert_eq!(follower.head().block.number, 0, "{sent}: {:?}", follower.drops());
    }
    // What a step needs at most is the data of an L1 block, here about 1 MB, and a channel.
    assert!(peak < 32 << 20, "{fork}: {peak} bytes");
    let dropped = follower.pipeline.dropped().total();
    assert!(dropped > count as u64 / 2, "{dropped} of {count}");
    // Nothing of it keeps the rollup from going on.
    let head = world.head();
    world.post(&world.singles(1..=head));
    world.l1.borrow_mut().mine();
    follower.run();
    follower.assert_is(&world.l2, head);
    println!("{fork}: {count} transactions, {peak} bytes at most, {:?}", follower.drops());
}

#[test]
fn garbage_is_dropped_within_bounds() {
    for fork in [OpHardfork::Granite, OpHardfork::Jovian] {
        assert_bounded(fork, 5_000);
    }
}

/// An L1 block full of union batches that decompress to as much as they may, and a little more: one at a
/// time is held.
#[test]
fn union_bombs_stay_within_bounds() {
    const BATCHES: u64 = 6;
    let _alone = ALONE.lock().unwrap();
    let step = Step { index: 1, peer: 902, is_sent: true, message: Message::Rollback };
    let mut world = UnionWorld::new(2);
    world.run_slots(1);
    // As many steps as a batch may have, each of which is larger in memory than encoded.
    let (_, mut part) = world.parts(1).pop_first().unwrap();
    part.steps = vec![step; 16_384];
    let mut steps = world.batch_of(1..=world.posted);
    let entry = PartEntry { block: 0, position: 0, part: alloy_rlp::encode(&part).into() };
    steps.rollups[0].parts = vec![entry; MAX_UNION_STEPS / 16_384];
    let quality = Compression::Brotli { quality: 3 };
    for bomb in [
        steps.encode(quality).unwrap(),
        [vec![0], compress_channel(quality, &vec![0; MAX_UNION_BATCH_BYTES])].concat(),
        [vec![0], compress_channel(quality, &vec![0; MAX_UNION_BATCH_BYTES + 1])].concat(),
    ] {
        let mut followers = world.followers();
        followers.iter_mut().for_each(common::Follower::run);
        let blobs = bomb.chunks(MAX_BLOB_DATA_BYTES).map(|data| encode_blob(data).unwrap());
        let blobs: Vec<_> = blobs.collect();
        (0..BATCHES).for_each(|_| world.post_blobs(world.slot, blobs.clone()));
        world.l1.borrow_mut().mine();
        drop(bomb);
        let before = NOW.load(Relaxed);
        PEAK.store(before, Relaxed);
        followers[1].run();
        let peak = PEAK.load(Relaxed) - before;
        let dropped = followers[1].pipeline.dropped().total();
        assert!(dropped >= BATCHES && dropped.is_multiple_of(BATCHES), "{dropped}");
        // What is decompressed is held while the buffer grows, and as parts.
        assert!(peak < 224 << 20, "{peak} bytes");
        println!("{peak} bytes at most, {:?}", followers[1].drops());
    }
}

#[test]
#[ignore = "takes a quarter of an hour: run alone"]
fn a_million_garbage_transactions_are_dropped_within_bounds_before_holocene() {
    assert_bounded(OpHardfork::Granite, 1_000_000);
}

#[test]
#[ignore = "takes a quarter of an hour: run alone"]
fn a_million_garbage_transactions_are_dropped_within_bounds_from_holocene_on() {
    assert_bounded(OpHardfork::Jovian, 1_000_000);
}
