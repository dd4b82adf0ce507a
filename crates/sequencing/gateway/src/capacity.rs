//! How much fits into a slot's batch.

use lockstep_protocol::{MAX_BLOB_DATA_BYTES, UnionConfig};

/// What a block takes in a batch beside its transactions and parts, with room to spare: bits, counts, and the
/// positions of its parts.
const BLOCK_BYTES: usize = 128;

/// What a batch takes beside its blocks, for each rollup: lengths, the beginning of the span, and what
/// compression adds to what cannot be compressed.
const ROLLUP_BYTES: usize = 2_048;

/// Bytes of transactions and parts, of all rollups together, that fit into the batch of any slot even if they cannot be
/// compressed. `block_time` is that of the rollups, in seconds; a batch has `max_blobs` blobs at most.
pub fn slot_capacity(
    union: &UnionConfig,
    block_time: u64,
    rollups: usize,
    max_blobs: usize,
) -> usize {
    let blocks = union.slot_seconds.div_ceil(block_time.max(1));
    let blocks = usize::try_from(blocks).unwrap_or(usize::MAX).saturating_mul(BLOCK_BYTES);
    let framing = blocks.saturating_add(ROLLUP_BYTES).saturating_mul(rollups);
    max_blobs.saturating_mul(MAX_BLOB_DATA_BYTES).saturating_sub(framing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_holds_less_than_its_blobs() {
        let union = UnionConfig { slot_seconds: 12, ..UnionConfig::default() };
        let capacity = slot_capacity(&union, 2, 2, 6);
        assert_eq!(capacity, 6 * MAX_BLOB_DATA_BYTES - 2 * (6 * 128 + 2_048));
        assert_eq!(slot_capacity(&union, 0, usize::MAX, 1), 0);
    }
}
