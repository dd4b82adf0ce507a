//! SHA-256 Merkle trees.

use alloy_primitives::B256;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// Levels for which [`ZERO_HASHES`] is known; no SSZ type here is deeper.
const LEVELS: usize = 64;

/// The root of a subtree of zero chunks, by its depth.
pub static ZERO_HASHES: LazyLock<[B256; LEVELS]> = LazyLock::new(|| {
    let mut hashes = [B256::ZERO; LEVELS];
    let mut last = B256::ZERO;
    for slot in hashes.iter_mut().skip(1) {
        last = hash_pair(&last, &last);
        *slot = last;
    }
    hashes
});

/// The root of `2^depth` zero chunks. Depths beyond 63 do not occur in any type here.
pub fn zero_hash(depth: usize) -> B256 {
    ZERO_HASHES.get(depth).copied().unwrap_or_default()
}

/// SHA-256 of some bytes.
pub fn hash_bytes(bytes: &[u8]) -> B256 {
    B256::new(Sha256::digest(bytes).into())
}

/// The parent of two nodes.
pub fn hash_pair(left: &B256, right: &B256) -> B256 {
    let mut both = [0; 64];
    let (first, second) = both.split_at_mut(32);
    first.copy_from_slice(left.as_slice());
    second.copy_from_slice(right.as_slice());
    hash_bytes(&both)
}

/// The depth of a tree with room for `chunks` chunks.
pub const fn depth_for(chunks: u64) -> usize {
    if chunks <= 1 { 0 } else { (u64::BITS - (chunks - 1).leading_zeros()) as usize }
}

/// The root of a tree of the given depth over some chunks, the rest being zero.
pub fn merkleize(mut chunks: Vec<B256>, depth: usize) -> B256 {
    for level in 0..depth {
        if chunks.is_empty() {
            return zero_hash(depth);
        }
        let parents = chunks.len().div_ceil(2);
        for index in 0..parents {
            let left = chunks.get(2 * index).copied().unwrap_or_default();
            let right = chunks.get(2 * index + 1).copied().unwrap_or_else(|| zero_hash(level));
            if let Some(parent) = chunks.get_mut(index) {
                *parent = hash_pair(&left, &right);
            }
        }
        chunks.truncate(parents);
    }
    chunks.first().copied().unwrap_or_default()
}

/// The root of a list: that of its elements and its length.
pub fn mix_in_length(root: &B256, length: u64) -> B256 {
    hash_pair(root, &length_chunk(length))
}

/// The chunk that holds a number, such as a list's length.
pub fn length_chunk(length: u64) -> B256 {
    let mut chunk = B256::ZERO;
    if let Some(place) = chunk.first_chunk_mut::<8>() {
        *place = length.to_le_bytes();
    }
    chunk
}

/// Bytes in chunks of 32, the last filled up with zeros.
pub(crate) fn pack(bytes: &[u8]) -> Vec<B256> {
    bytes.chunks(32).map(B256::right_padding_from).collect()
}

/// The siblings from leaf `index` up to the root of a tree over `chunks`, lowest first.
pub fn branch_of(mut chunks: Vec<B256>, depth: usize, mut index: usize) -> Vec<B256> {
    let mut branch = Vec::with_capacity(depth);
    for level in 0..depth {
        branch.push(chunks.get(index ^ 1).copied().unwrap_or_else(|| zero_hash(level)));
        chunks = chunks
            .chunks(2)
            .map(|pair| match *pair {
                [left, right] => hash_pair(&left, &right),
                [left] => hash_pair(&left, &zero_hash(level)),
                _ => zero_hash(level + 1),
            })
            .collect();
        index /= 2;
    }
    branch
}

/// Whether `branch` leads from `leaf` to `root` at a generalised index (the root's is 1).
pub fn is_valid_branch(
    leaf: &B256,
    branch: &[B256],
    mut generalised_index: u64,
    root: &B256,
) -> bool {
    let mut node = *leaf;
    for sibling in branch {
        if generalised_index <= 1 {
            return false;
        }
        node = if generalised_index.is_multiple_of(2) {
            hash_pair(&node, sibling)
        } else {
            hash_pair(sibling, &node)
        };
        generalised_index /= 2;
    }
    generalised_index == 1 && node == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_the_ceiling_of_the_logarithm() {
        let cases = [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 40, 40)];
        for (chunks, depth) in cases {
            assert_eq!(depth_for(chunks), depth, "{chunks} chunks");
        }
    }

    #[test]
    fn every_branch_leads_to_the_root() {
        for count in 0..9_usize {
            let chunks: Vec<B256> = (1..=count).map(|n| B256::repeat_byte(n as u8)).collect();
            let root = merkleize(chunks.clone(), 3);
            for index in 0..8 {
                let leaf = chunks.get(index).copied().unwrap_or_default();
                let branch = branch_of(chunks.clone(), 3, index);
                assert!(is_valid_branch(&leaf, &branch, 8 + index as u64, &root));
                assert!(!is_valid_branch(&B256::repeat_byte(99), &branch, 8 + index as u64, &root));
            }
        }
    }
}
