//! A Merkle tree that is hashed while its leaves come, and keeps only what is wanted of it.

use alloy_primitives::{B256, map::HashMap};
use lockstep_ssz::{hash_pair, zero_hash};

/// A tree of `2^depth` leaves, of which those after the last count as zero. It takes memory for each level and for each
/// node that is wanted, not for leaves.
pub(crate) struct Tree {
    depth: usize,
    /// At each level the newest node that is a left child, and waits for its sibling.
    open: Vec<B256>,
    count: u64,
    /// Nodes by level (from the leaves up) and place.
    wanted: HashMap<(usize, u64), B256>,
}

impl Tree {
    /// A tree of which the branches of these leaves will be asked for. `depth` is below 64.
    pub(crate) fn new(depth: usize, leaves: impl IntoIterator<Item = u64>) -> Self {
        let mut wanted = HashMap::default();
        for leaf in leaves {
            for level in 0..depth {
                wanted.insert((level, leaf >> level ^ 1), zero_hash(level));
            }
        }
        Self { depth, open: vec![B256::ZERO; depth + 1], count: 0, wanted }
    }

    /// Adds a leaf. The caller adds no more than there is room for.
    pub(crate) fn push(&mut self, leaf: B256) {
        let (mut node, mut place) = (leaf, self.count);
        self.count += 1;
        for level in 0..=self.depth {
            self.keep(level, place, node);
            let Some(open) = self.open.get_mut(level) else { return };
            if place.is_multiple_of(2) {
                *open = node;
                return;
            }
            node = hash_pair(open, &node);
            place >>= 1;
        }
    }

    /// The root, after the last leaf; and the tree, for its branches.
    pub(crate) fn finish(mut self) -> (B256, Branches) {
        // The node above the last leaves, where it is not full.
        let mut partial: Option<B256> = None;
        for level in 0..self.depth {
            let place = self.count >> level;
            if let Some(node) = partial {
                self.keep(level, place, node);
            }
            let right = partial.unwrap_or_else(|| zero_hash(level));
            if place.is_multiple_of(2) {
                partial = partial.map(|node| hash_pair(&node, &zero_hash(level)));
            } else {
                let left = self.open.get(level).copied().unwrap_or_default();
                partial = Some(hash_pair(&left, &right));
            }
        }
        let full = || if self.count == 0 { zero_hash(self.depth) } else { self.last_open() };
        (partial.unwrap_or_else(full), Branches { depth: self.depth, nodes: self.wanted })
    }

    fn last_open(&self) -> B256 {
        self.open.last().copied().unwrap_or_default()
    }

    fn keep(&mut self, level: usize, place: u64, node: B256) {
        if !self.wanted.is_empty()
            && let Some(wanted) = self.wanted.get_mut(&(level, place))
        {
            *wanted = node;
        }
    }
}

/// The branches of the leaves that a [`Tree`] was made for.
pub(crate) struct Branches {
    depth: usize,
    nodes: HashMap<(usize, u64), B256>,
}

impl Branches {
    /// The siblings from a leaf up to the root, lowest first.
    pub(crate) fn of(&self, leaf: u64) -> impl Iterator<Item = B256> {
        (0..self.depth).map(move |level| {
            self.nodes.get(&(level, leaf >> level ^ 1)).copied().unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_ssz::{branch_of, merkleize};
    use proptest::prelude::*;

    proptest! {
        /// The truth is plain Merkleisation of all leaves.
        #[test]
        fn root_and_branches_are_those_of_all_leaves(
            depth in 0_usize..7,
            count in 0_usize..64,
            wanted in proptest::collection::vec(0_u64..64, 0..5),
        ) {
            let room = 1_usize << depth;
            let leaf = |place: usize| B256::repeat_byte(place as u8 + 1);
            let leaves: Vec<B256> = (0..count.min(room)).map(leaf).collect();
            let wanted: Vec<u64> = wanted.into_iter().map(|leaf| leaf % room as u64).collect();
            let mut tree = Tree::new(depth, wanted.iter().copied());
            leaves.iter().for_each(|leaf| tree.push(*leaf));
            let (root, branches) = tree.finish();
            prop_assert_eq!(root, merkleize(leaves.clone(), depth));
            for leaf in wanted {
                let branch: Vec<B256> = branches.of(leaf).collect();
                prop_assert_eq!(branch, branch_of(leaves.clone(), depth, leaf as usize));
            }
        }
    }
}
