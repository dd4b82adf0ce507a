//! The blobs of a block.
//!
//! ```text
//! u32          number of blobs, n
//! u32          number of proofs, p
//! n [u8; 48]   commitments
//! p [u8; 48]   proofs
//! n [u8; 2^17] blobs
//! [u8; 32]     SHA-256 of all before
//! ```

use super::{StoreError, checked, numbered};
use crate::{beacon::engine::BlobsBundle, ssz::hash_bytes};
use alloy_eips::eip4844::{BYTES_PER_BLOB, Blob};
use alloy_primitives::{B256, FixedBytes};
use std::path::{Path, PathBuf};

pub(super) fn path(folder: &Path, slot: u64, root: &B256) -> PathBuf {
    folder.join(format!("blobs-{slot:020}-{root:x}.ssz"))
}

/// All files of blobs by ascending slot.
pub(super) fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    numbered(folder, "blobs-", ".ssz")
}

pub(super) fn encode(bundle: &BlobsBundle) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((bundle.blobs.len() as u32).to_le_bytes());
    bytes.extend((bundle.proofs.len() as u32).to_le_bytes());
    bundle.commitments.iter().for_each(|commitment| bytes.extend(commitment));
    bundle.proofs.iter().for_each(|proof| bytes.extend(proof));
    bundle.blobs.iter().for_each(|blob| bytes.extend(blob));
    let checksum = hash_bytes(&bytes);
    bytes.extend(checksum);
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<BlobsBundle> {
    let (blobs, rest) = checked(bytes)?.split_first_chunk()?;
    let (proofs, rest) = rest.split_first_chunk()?;
    let (blobs, proofs) =
        (u32::from_le_bytes(*blobs) as usize, u32::from_le_bytes(*proofs) as usize);
    let (commitments, rest) = rest.split_at_checked(blobs.checked_mul(48)?)?;
    let (proofs, rest) = rest.split_at_checked(proofs.checked_mul(48)?)?;
    if rest.len() != blobs.checked_mul(BYTES_PER_BLOB)? {
        return None;
    }
    let points = |bytes: &[u8]| bytes.chunks(48).map(FixedBytes::from_slice).collect();
    Some(BlobsBundle {
        commitments: points(commitments),
        proofs: points(proofs),
        blobs: rest.chunks(BYTES_PER_BLOB).map(Blob::from_slice).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_come_back_and_damage_is_seen() {
        let bundle = BlobsBundle {
            commitments: vec![FixedBytes::repeat_byte(1), FixedBytes::repeat_byte(2)],
            proofs: vec![FixedBytes::repeat_byte(3); 256],
            blobs: vec![Blob::repeat_byte(4), Blob::repeat_byte(5)],
        };
        let bytes = encode(&bundle);
        assert_eq!(decode(&bytes), Some(bundle));
        for end in [0, 7, 8, 100, bytes.len() - 1] {
            assert_eq!(decode(&bytes[..end]), None, "cut to {end} bytes");
        }
        for place in [0, 4, 60, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            assert_eq!(decode(&damaged), None, "bit flipped in byte {place}");
        }
    }
}
