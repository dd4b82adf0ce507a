//! The batcher against a simulated L1 and L2: whatever happens, every block is posted in the end,
//! in order, and can be derived from what was posted. A failing seed replays exactly.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a test")]

mod derive;
mod l1;
mod l2;
mod rng;
mod scenarios;
mod world;

use alloy_primitives::Bytes;
use lockstep_protocol::BatchReader;
use lockstep_protocol::{Batch, RollupConfig};

/// The batches of a channel that was posted, all of which must be well-formed.
pub(crate) fn decode_channel(data: Bytes, config: &RollupConfig, l1_time: u64) -> Vec<Batch> {
    let limit = config.max_rlp_bytes_per_channel(l1_time);
    let mut reader = BatchReader::new(data, limit, true).expect("a channel");
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch(config).expect("a well-formed batch") {
        batches.push(batch);
    }
    assert!(!batches.is_empty(), "a channel has batches");
    batches
}
