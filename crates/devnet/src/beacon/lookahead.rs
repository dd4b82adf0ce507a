//! Proofs of who proposes which slot (EIP-7917).

use super::{
    Preset,
    types::{BeaconBlockHeader, BeaconState, LOOKAHEAD_FIELD},
};
use crate::ssz::{branch_of, depth_for, is_valid_branch};
use alloy_primitives::B256;

/// A proof that an entry of `proposer_lookahead` is in a beacon block's state.
///
/// A contract starts from the block's root, which EIP-4788 gives it, and needs nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookaheadProof {
    /// The block, the root of which is the proof's root.
    pub header: BeaconBlockHeader,
    /// The slot whose proposer is proven.
    pub slot: u64,
    /// Who proposes it.
    pub proposer_index: u64,
    /// The chunk with the entry: four entries, 8 bytes each, little endian.
    pub chunk: B256,
    /// The chunk's generalised index below the block's root.
    pub generalised_index: u64,
    /// The siblings from the chunk up to the block's root, lowest first.
    pub branch: Vec<B256>,
}

impl LookaheadProof {
    /// Proves who proposes `slot` in the state after a block; `None` if the slot is in neither the
    /// state's epoch nor the next.
    pub fn new(
        header: BeaconBlockHeader,
        state: &BeaconState,
        slot: u64,
        preset: &Preset,
    ) -> Option<Self> {
        let entry = slot.checked_sub(preset.start_slot(preset.epoch(state.slot)))? as usize;
        let proposer_index = state.proposer_lookahead.get(entry)?;
        let tree = state.proposer_lookahead.tree();
        let chunk = *tree.get(entry / 4)?;
        let mut branch = tree.branch(entry / 4);
        let fields = state.field_roots(preset);
        let depth = depth_for(fields.len() as u64);
        branch.extend(branch_of(fields, depth, LOOKAHEAD_FIELD));
        let fields = header.field_roots(preset);
        let depth = depth_for(fields.len() as u64);
        branch.extend(branch_of(fields, depth, STATE_ROOT_FIELD));
        let generalised_index = lookahead_index(entry as u64, preset);
        Some(Self { header, slot, proposer_index, chunk, generalised_index, branch })
    }

    /// Whether the proof leads to a block's root, and its parts agree.
    pub fn verify(&self, block_root: &B256, preset: &Preset) -> bool {
        let place = self.slot % 4 * 8;
        let entry = self.chunk.get(place as usize..).and_then(|rest| rest.first_chunk::<8>());
        let length = 2 * preset.slots_per_epoch;
        let first = preset.start_slot(preset.epoch(self.header.slot));
        let offset = self.slot.checked_sub(first).filter(|offset| *offset < length);
        offset.is_some_and(|offset| lookahead_index(offset, preset) == self.generalised_index)
            && entry.is_some_and(|entry| u64::from_le_bytes(*entry) == self.proposer_index)
            && is_valid_branch(&self.chunk, &self.branch, self.generalised_index, block_root)
    }
}

/// The position of `state_root` in a block header.
const STATE_ROOT_FIELD: usize = 3;

/// The generalised index, below a *block's* root, of the chunk that holds entry `entry` of
/// `proposer_lookahead`.
pub const fn lookahead_index(entry: u64, preset: &Preset) -> u64 {
    // A header has 5 fields (8 leaves), a state 38 (64 leaves); a chunk holds 4 entries.
    let state = 8 + STATE_ROOT_FIELD as u64;
    let field = state * 64 + LOOKAHEAD_FIELD as u64;
    let chunks = (2 * preset.slots_per_epoch).div_ceil(4).next_power_of_two();
    field * chunks + entry / 4
}
