//! How much more may go into a slot.

use super::{Poster, member};
use lockstep_lookahead::Slot;
use lockstep_protocol::{MAX_BLOB_DATA_BYTES, UnionConfig};

/// What a block takes in a batch beside its transactions and parts, with room to spare: bits, counts, and the
/// positions of its parts.
const BLOCK_BYTES: usize = 128;

/// What a batch takes beside its blocks, for each rollup: lengths, the beginning of the span, and what
/// compression adds to what cannot be compressed.
const ROLLUP_BYTES: usize = 2_048;

/// How much more the blocks of a slot may hold. A gateway that takes more promises what it cannot post.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotRoom {
    /// The slot.
    pub slot: Slot,
    /// Bytes of transactions and parts in its blocks, as of the last step.
    pub bytes: usize,
    /// How many they may be: what fits into the blobs of one transaction even if it cannot be compressed. Zero while
    /// the oldest transactions that wait come near the end of the inbox's window.
    pub limit: usize,
}

impl SlotRoom {
    /// Bytes that may still be taken.
    pub const fn left(&self) -> usize {
        self.limit.saturating_sub(self.bytes)
    }
}

impl Poster {
    /// How much more the blocks of the current slot may hold, as of the last step: those of all rollups together.
    pub fn room(&self) -> SlotRoom {
        let slot = self.union.slot_at(self.now.as_secs()).unwrap_or_default();
        let start = self.union.slot_start(slot);
        let bytes = self.members.iter().map(|member| member.bytes_since(start)).sum();
        let is_closing = self.oldest_filled().is_some_and(|oldest| {
            let window = self.base.window_slots;
            window > 0 && slot.saturating_sub(oldest) > window / 2
        });
        let (members, blobs) = (self.members.len(), self.settings.max_blobs);
        let capacity = slot_capacity(&self.union, self.block_time, members, blobs);
        let limit = if is_closing { 0 } else { capacity };
        SlotRoom { slot, bytes, limit }
    }

    /// The slot of the oldest block with content that is in no batch yet.
    fn oldest_filled(&self) -> Option<Slot> {
        let oldest = self.members.iter().filter_map(|member| {
            let block = member.queue().iter().find(|block| !member::is_empty(block))?;
            self.union.slot_at(block.block.timestamp)
        });
        oldest.min()
    }
}

/// Bytes of transactions and parts that fit into any batch of so many rollups and blobs, even if they cannot be
/// compressed. `block_time` is in seconds.
pub(crate) fn slot_capacity(
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
