//! However the batcher's data is cut up, the same rollup comes out.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use common::{
    World,
    batcher::{channel, uncompressed},
};
use lockstep_chain::OpHardfork;
use lockstep_protocol::{Batch, Compression, Frame, compress_channel};
use proptest::prelude::*;

/// How a channel is made of blocks, and how it travels.
#[derive(Clone, Debug)]
struct Plan {
    fork: OpHardfork,
    /// The number of blocks in each batch.
    batches: Vec<u64>,
    /// The number of batches in each channel.
    channels: Vec<usize>,
    compression: Compression,
    frame_bytes: usize,
    /// The number of frames in each transaction, and whether it is of calldata.
    transactions: Vec<(usize, bool)>,
    /// The number of transactions in each L1 block.
    blocks: Vec<usize>,
    is_span: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let forks = [OpHardfork::Fjord, OpHardfork::Granite, OpHardfork::Holocene, OpHardfork::Jovian];
    let compression = prop_oneof![
        (0_u8..10).prop_map(|level| Compression::Zlib { level }),
        (0_u8..10).prop_map(|quality| Compression::Brotli { quality }),
    ];
    (
        prop::sample::select(forks.to_vec()),
        prop::collection::vec(1_u64..8, 1..9),
        prop::collection::vec(1_usize..4, 1..5),
        compression,
        20_usize..2_000,
        prop::collection::vec((1_usize..9, any::<bool>()), 1..9),
        prop::collection::vec(1_usize..5, 1..5),
        any::<bool>(),
    )
        .prop_map(
            |(fork, batches, channels, compression, bytes, transactions, blocks, is_span)| {
                let frame_bytes = bytes;
                Plan {
                    fork,
                    batches,
                    channels,
                    compression,
                    frame_bytes,
                    transactions,
                    blocks,
                    is_span,
                }
            },
        )
}

/// Takes as many from the front as `sizes` say, over and over.
fn pieces<T: Clone>(items: &[T], sizes: &[usize]) -> Vec<Vec<T>> {
    let (mut rest, mut pieces) = (items, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            return pieces;
        }
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}

fn batches(world: &World, plan: &Plan) -> Vec<Batch> {
    let (mut from, head) = (1, world.head());
    let mut batches = Vec::new();
    for size in plan.batches.iter().cycle() {
        if from > head {
            break;
        }
        let to = head.min(from + size - 1);
        if plan.is_span {
            batches.push(world.span(from..=to));
        } else {
            batches.extend(world.singles(from..=to));
        }
        from = to + 1;
    }
    batches
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_same_blocks_come_out(plan in plan()) {
        let mut config = common::config(plan.fork);
        config.seq_window_size = 10_000;
        config.channel_timeout = 10_000;
        let mut world = World::new(config);
        world.mine_many(5);
        let head = world.head();
        let mut frames: Vec<Frame> = Vec::new();
        for batches in pieces(&batches(&world, &plan), &plan.channels) {
            let data = uncompressed(&world.config, &batches);
            let channel = compress_channel(plan.compression, &data);
            // A channel that spans more than 50 L1 blocks times out.
            let bytes = plan.frame_bytes.max(channel.len() / 30);
            frames.extend(world.batcher.frames(&channel, bytes));
        }
        let counts: Vec<usize> = plan.transactions.iter().map(|(count, _)| *count).collect();
        let transactions = pieces(&frames, &counts);
        let l1 = world.l1.clone();
        let kinds = plan.transactions.iter().map(|(_, is_calldata)| *is_calldata).cycle();
        let transactions: Vec<_> = transactions.into_iter().zip(kinds).collect();
        for block in pieces(&transactions, &plan.blocks) {
            for (frames, is_calldata) in block {
                if is_calldata {
                    world.batcher.send(&l1, &frames);
                } else {
                    world.batcher.send_blobs(&l1, &frames.chunks(2).map(<[Frame]>::to_vec).collect::<Vec<_>>());
                }
            }
            l1.borrow_mut().mine();
        }
        let follower = world.assert_derives_up_to(head);
        prop_assert_eq!(follower.drops(), []);
    }

    /// Before Holocene, frames of several channels may come in any order, and more than once.
    #[test]
    fn the_order_of_frames_does_not_matter_before_holocene(
        seed in any::<u64>(),
        channels in 1_u64..5,
        extra in 0_usize..20,
    ) {
        let mut world = World::at(OpHardfork::Granite);
        world.mine_many(4);
        let head = world.head();
        let size = head.div_ceil(channels);
        let mut frames = Vec::new();
        for from in (1..=head).step_by(size as usize) {
            let batch = world.span(from..=head.min(from + size - 1));
            let channel = channel(&world.config, &[batch]);
            frames.extend(world.batcher.frames(&channel, 300));
        }
        let mut numbers = common::Numbers(seed);
        for _ in 0..extra {
            let copy = frames[numbers.below(frames.len() as u64) as usize].clone();
            frames.push(copy);
        }
        for index in (1..frames.len()).rev() {
            frames.swap(index, numbers.below(index as u64 + 1) as usize);
        }
        let l1 = world.l1.clone();
        for pair in frames.chunks(3) {
            world.batcher.send(&l1, pair);
            if numbers.below(4) == 0 {
                l1.borrow_mut().mine();
            }
        }
        l1.borrow_mut().mine();
        let mut follower = world.follower();
        follower.run();
        follower.assert_is(&world.l2, head);
    }
}
