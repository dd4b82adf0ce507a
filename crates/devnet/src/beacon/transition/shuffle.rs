//! The swap-or-not shuffle.

use crate::ssz::hash_bytes;
use alloy_primitives::B256;

/// Shuffles a list: element `i` of the result is element `compute_shuffled_index(i)` of the list.
///
/// The specifications give the permutation of one index; here all are done round by round, so
/// that each of a round's hashes is computed once.
pub fn shuffle(list: &[u64], seed: &B256, rounds: u8) -> Vec<u64> {
    let count = list.len() as u64;
    let mut positions: Vec<u64> = (0..count).collect();
    if count > 1 {
        for round in 0..rounds {
            shuffle_round(&mut positions, seed, round, count);
        }
    }
    positions.into_iter().filter_map(|position| list.get(position as usize).copied()).collect()
}

fn shuffle_round(positions: &mut [u64], seed: &B256, round: u8, count: u64) {
    let mut preimage = [0; 37];
    let (seed_part, rest) = preimage.split_at_mut(32);
    seed_part.copy_from_slice(seed.as_slice());
    rest.copy_from_slice(&[round, 0, 0, 0, 0]);

    let pivot = hash_bytes(preimage.get(..33).unwrap_or_default());
    let pivot = pivot.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)) % count;
    let sources: Vec<B256> = (0..count.div_ceil(256))
        .map(|block| {
            if let Some(number) = preimage.last_chunk_mut::<4>() {
                *number = (block as u32).to_le_bytes();
            }
            hash_bytes(&preimage)
        })
        .collect();
    for position in positions {
        let sum = pivot + count - *position;
        let flip = if sum >= count { sum - count } else { sum };
        let decider = flip.max(*position) as usize;
        let byte = sources.get(decider / 256).and_then(|source| source.get(decider % 256 / 8));
        if byte.is_some_and(|byte| byte >> (decider % 8) & 1 == 1) {
            *position = flip;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own way: one index at a time.
    fn shuffled_index(mut index: u64, count: u64, seed: &B256, rounds: u8) -> u64 {
        for round in 0..rounds {
            let pivot = hash_bytes(&[seed.as_slice(), &[round]].concat());
            let pivot = u64::from_le_bytes(pivot[..8].try_into().unwrap()) % count;
            let flip = (pivot + count - index) % count;
            let position = index.max(flip);
            let block = u32::try_from(position / 256).unwrap().to_le_bytes();
            let source = hash_bytes(&[seed.as_slice(), &[round], &block].concat());
            if source[(position % 256 / 8) as usize] >> (position % 8) & 1 == 1 {
                index = flip;
            }
        }
        index
    }

    #[test]
    fn the_list_is_shuffled_as_each_index_is() {
        for count in [0_u64, 1, 2, 63, 64, 257, 600] {
            let seed = hash_bytes(&count.to_le_bytes());
            let list: Vec<u64> = (0..count).map(|index| 3 * index).collect();
            let expected: Vec<u64> =
                (0..count).map(|index| 3 * shuffled_index(index, count, &seed, 90)).collect();
            assert_eq!(shuffle(&list, &seed, 90), expected, "{count} elements");
        }
    }
}
