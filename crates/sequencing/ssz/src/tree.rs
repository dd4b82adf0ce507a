//! A persistent binary Merkle tree.

use super::hash::{hash_pair, zero_hash};
use alloy_primitives::B256;
use std::sync::{Arc, OnceLock};

/// What stands at the bottom of a tree.
pub trait TreeLeaf: Clone {
    /// The chunk it contributes.
    fn chunk(&self) -> B256;
}

impl TreeLeaf for B256 {
    fn chunk(&self) -> B256 {
        *self
    }
}

/// A tree of `2^depth` leaves, of which those never written count as zero chunks.
///
/// Copies are cheap and share their nodes. A write copies the nodes on its path if they are
/// shared, and forgets their hashes; a root computes only hashes that are not known.
#[derive(Clone, Debug)]
pub struct MerkleTree<V> {
    depth: usize,
    root: Node<V>,
}

#[derive(Clone, Debug)]
enum Node<V> {
    Zero,
    Leaf(V),
    Branch(Arc<Branch<V>>),
}

#[derive(Clone, Debug)]
struct Branch<V> {
    left: Node<V>,
    right: Node<V>,
    hash: OnceLock<B256>,
}

impl<V> Branch<V> {
    fn node(left: Node<V>, right: Node<V>) -> Node<V> {
        Node::Branch(Arc::new(Self { left, right, hash: OnceLock::new() }))
    }
}

impl<V: TreeLeaf> MerkleTree<V> {
    /// A tree without leaves.
    pub const fn new(depth: usize) -> Self {
        Self { depth, root: Node::Zero }
    }

    /// A tree whose first leaves are given.
    pub fn from_leaves(depth: usize, leaves: impl IntoIterator<Item = V>) -> Self {
        let mut level: Vec<Node<V>> = leaves.into_iter().map(Node::Leaf).collect();
        if level.is_empty() {
            return Self::new(depth);
        }
        for _ in 0..depth {
            let mut nodes = level.into_iter();
            level = Vec::with_capacity(nodes.len().div_ceil(2));
            while let Some(left) = nodes.next() {
                level.push(Branch::node(left, nodes.next().unwrap_or(Node::Zero)));
            }
        }
        Self { depth, root: level.into_iter().next().unwrap_or(Node::Zero) }
    }

    /// A tree with the same value in all of its `2^depth` leaves; costs `depth` nodes.
    pub fn filled(depth: usize, leaf: V) -> Self {
        let root = (0..depth).fold(Node::Leaf(leaf), |node, _| Branch::node(node.clone(), node));
        Self { depth, root }
    }

    /// The leaf at an index, if one was written.
    pub fn get(&self, index: usize) -> Option<&V> {
        let mut node = &self.root;
        for level in (0..self.depth).rev() {
            let Node::Branch(branch) = node else { return None };
            node = if index >> level & 1 == 0 { &branch.left } else { &branch.right };
        }
        match node {
            Node::Leaf(value) if index >> self.depth == 0 => Some(value),
            _ => None,
        }
    }

    /// Writes a leaf. An index beyond the tree changes nothing.
    pub fn set(&mut self, index: usize, value: V) {
        if index >> self.depth == 0 {
            set(&mut self.root, self.depth, index, value);
        }
    }

    /// The root.
    pub fn root(&self) -> B256 {
        root(&self.root, self.depth)
    }

    /// The siblings from the leaf at `index` up to the root, lowest first.
    pub fn branch(&self, index: usize) -> Vec<B256> {
        let mut siblings = Vec::with_capacity(self.depth);
        let mut node = &self.root;
        for level in (0..self.depth).rev() {
            let (left, right) = match node {
                Node::Branch(branch) => (&branch.left, &branch.right),
                Node::Zero | Node::Leaf(_) => (&Node::Zero, &Node::Zero),
            };
            let (next, sibling) =
                if index >> level & 1 == 0 { (left, right) } else { (right, left) };
            siblings.push(root(sibling, level));
            node = next;
        }
        siblings.reverse();
        siblings
    }
}

// Recursion is as deep as the tree: at most 40 levels in a beacon state.

fn set<V: TreeLeaf>(node: &mut Node<V>, depth: usize, index: usize, value: V) {
    if depth == 0 {
        *node = Node::Leaf(value);
        return;
    }
    if !matches!(node, Node::Branch(_)) {
        *node = Branch::node(Node::Zero, Node::Zero);
    }
    if let Node::Branch(branch) = node {
        let branch = Arc::make_mut(branch);
        branch.hash = OnceLock::new();
        let child =
            if index >> (depth - 1) & 1 == 0 { &mut branch.left } else { &mut branch.right };
        set(child, depth - 1, index, value);
    }
}

fn root<V: TreeLeaf>(node: &Node<V>, depth: usize) -> B256 {
    match node {
        Node::Zero => zero_hash(depth),
        Node::Leaf(value) => value.chunk(),
        Node::Branch(branch) => *branch.hash.get_or_init(|| {
            let below = depth.saturating_sub(1);
            hash_pair(&root(&branch.left, below), &root(&branch.right, below))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{branch_of, merkleize};
    use proptest::prelude::*;

    proptest! {
        /// The truth is plain Merkleisation of all leaves; older copies must not change.
        #[test]
        fn writes_give_the_root_of_all_leaves(
            first in proptest::collection::vec(any::<u8>(), 0..40),
            writes in proptest::collection::vec((0_usize..64, any::<u8>()), 0..40),
        ) {
            let leaf = B256::repeat_byte;
            let mut plain: Vec<B256> = first.into_iter().map(leaf).collect();
            let mut tree = MerkleTree::from_leaves(6, plain.clone());
            for (index, byte) in writes {
                let (before, old) = (tree.clone(), tree.root());
                tree.set(index, leaf(byte));
                plain.resize(plain.len().max(index + 1), B256::ZERO);
                plain[index] = leaf(byte);
                prop_assert_eq!(tree.root(), merkleize(plain.clone(), 6));
                prop_assert_eq!(tree.get(index), Some(&leaf(byte)));
                prop_assert_eq!(tree.branch(index), branch_of(plain.clone(), 6, index));
                prop_assert_eq!(before.root(), old);
            }
        }
    }

    #[test]
    fn a_filled_tree_equals_one_of_the_same_leaves() {
        let leaf = B256::repeat_byte(7);
        let filled = MerkleTree::filled(5, leaf);
        assert_eq!(filled.root(), MerkleTree::from_leaves(5, [leaf; 32]).root());
        assert_eq!(filled.get(31), Some(&leaf));
        assert_eq!(filled.get(32), None);
    }
}
