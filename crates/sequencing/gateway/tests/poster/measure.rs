//! What sealing costs.

use crate::blocks::{
    BLOCK_TIME, CHAINS, SLOT_SECONDS, config, first_block, next_block, transaction, union,
};
use alloy_primitives::Bytes;
use lockstep_batcher::{BlobProver, KzgProver, UnionBlock, build_union_batch};
use lockstep_derive::open_union_batch;
use lockstep_protocol::{Compression, MAX_BLOB_DATA_BYTES, encode_blob};
use std::{collections::BTreeMap, time::Duration};

/// The blocks of a slot of both rollups, which take about six blobs.
fn full_slot() -> BTreeMap<u64, Vec<UnionBlock>> {
    let count = SLOT_SECONDS / BLOCK_TIME;
    let bytes = 6 * MAX_BLOB_DATA_BYTES - 40_000;
    let ballast = bytes / (2 * 4 * count as usize);
    let mut unique = 0;
    let blocks = CHAINS.map(|chain| {
        let mut tip = first_block(chain);
        let blocks = (0..count).map(|_| {
            let content: Vec<Bytes> = (0..4)
                .map(|_| {
                    unique += 1;
                    transaction(chain, unique, ballast - 700)
                })
                .collect();
            tip = next_block(&tip, &content);
            tip.clone()
        });
        (chain, blocks.collect())
    });
    blocks.into()
}

fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    #[expect(clippy::disallowed_methods, reason = "it measures")]
    let begin = std::time::Instant::now();
    let done = work();
    (done, begin.elapsed())
}

/// `cargo test -- --ignored --nocapture measure` prints what the parts of sealing a slot with six full blobs take.
#[test]
#[ignore = "it measures"]
fn measure_sealing_a_full_slot() {
    let blocks = full_slot();
    for _ in 0..3 {
        for quality in [9, 5, 1] {
            let (batch, build) = time(|| build_union_batch(1, &union(), &blocks).unwrap());
            let (data, encode) = time(|| batch.encode(Compression::Brotli { quality }).unwrap());
            let data = Bytes::from(data);
            let config = config(CHAINS[0]);
            let (_, judge) = time(|| open_union_batch(&data, 1, &config, &union()).unwrap());
            let blobs: Vec<_> =
                data.chunks(MAX_BLOB_DATA_BYTES).map(|data| *encode_blob(data).unwrap()).collect();
            let count = blobs.len();
            let (_, hash) = time(|| KzgProver.versioned_hashes(blobs).unwrap());
            println!(
                "quality {quality}: {count} blobs, {} bytes: build {build:?}, encode {encode:?}, judge {judge:?}, hash {hash:?}",
                data.len()
            );
        }
    }
}
