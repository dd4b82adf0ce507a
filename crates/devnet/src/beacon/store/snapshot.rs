//! Snapshots: a finalised block and the state after it.
//!
//! ```text
//! u32      length of the block
//! block    SSZ
//! state    SSZ
//! [u8; 32] SHA-256 of all before
//! ```

use super::{StoreError, checked, numbered, read_if_there};
use crate::{
    beacon::{
        Preset,
        types::{BeaconState, SignedBeaconBlock},
    },
    ssz::{Ssz, hash_bytes},
};
use std::path::{Path, PathBuf};

pub(super) fn path(folder: &Path, slot: u64) -> PathBuf {
    folder.join(format!("state-{slot:020}.ssz"))
}

/// All snapshots by ascending slot.
pub(super) fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    numbered(folder, "state-", ".ssz")
}

/// The newest snapshot that is whole.
pub(super) fn newest(
    folder: &Path,
    preset: &Preset,
) -> Result<Option<(SignedBeaconBlock, BeaconState)>, StoreError> {
    let mut damaged = None;
    for (_, path) in list(folder)?.iter().rev() {
        let Some(bytes) = read_if_there(path)? else { continue };
        if let Some(snapshot) = decode(&bytes, preset) {
            return Ok(Some(snapshot));
        }
        tracing::warn!(path = %path.display(), "skipped a damaged snapshot");
        damaged = Some(StoreError::damaged(
            path,
            0,
            "its checksum or content is wrong, and no other snapshot is whole",
        ));
    }
    damaged.map_or(Ok(None), Err)
}

pub(super) fn encode(block: &SignedBeaconBlock, state: &BeaconState, preset: &Preset) -> Vec<u8> {
    let block = block.encode(preset);
    let mut bytes = Vec::from((block.len() as u32).to_le_bytes());
    bytes.extend(block);
    state.write(&mut bytes, preset);
    let checksum = hash_bytes(&bytes);
    bytes.extend(checksum);
    bytes
}

pub(super) fn decode(bytes: &[u8], preset: &Preset) -> Option<(SignedBeaconBlock, BeaconState)> {
    let (length, rest) = checked(bytes)?.split_first_chunk()?;
    let (block, state) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let block = SignedBeaconBlock::read(block, preset).ok()?;
    let state = BeaconState::read(state, preset).ok()?;
    // Only a block and its own state belong together.
    (state.root(preset) == block.message.state_root).then_some((block, state))
}
