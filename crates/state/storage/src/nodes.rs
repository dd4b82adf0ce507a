//! The trie nodes that a block made.

use alloy_primitives::{B256, Bytes, map::B256Map};
use lockstep_trie::NodePath;

/// New trie nodes, in one buffer: collected from `StateTrie::commit`, found by hash, persisted by
/// path.
#[derive(Clone, Debug, Default)]
pub struct TrieNodes {
    nodes: Vec<(NodePath, B256, Bytes)>,
    by_hash: B256Map<u32>,
}

impl TrieNodes {
    /// The node with this hash.
    pub fn get(&self, hash: &B256) -> Option<&Bytes> {
        let index = *self.by_hash.get(hash)?;
        self.nodes.get(index as usize).map(|(_, _, rlp)| rlp)
    }

    /// All nodes with their place and hash, children before parents.
    pub fn iter(&self) -> impl Iterator<Item = (&NodePath, B256, &Bytes)> {
        self.nodes.iter().map(|(path, hash, rlp)| (path, *hash, rlp))
    }

    /// The number of nodes.
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// Collects the nodes that `StateTrie::commit` passes to its callback.
#[derive(Debug, Default)]
pub struct TrieNodesBuilder {
    places: Vec<(NodePath, B256, usize)>,
    buffer: Vec<u8>,
}

impl TrieNodesBuilder {
    /// Adds a node.
    pub fn push(&mut self, path: &NodePath, hash: B256, rlp: &[u8]) {
        self.buffer.extend_from_slice(rlp);
        self.places.push((*path, hash, self.buffer.len()));
    }

    /// All nodes that were added.
    pub fn build(self) -> TrieNodes {
        let buffer = Bytes::from(self.buffer);
        let mut begin = 0;
        let mut nodes = TrieNodes::default();
        for (index, (path, hash, end)) in (0..).zip(self.places) {
            nodes.by_hash.insert(hash, index);
            nodes.nodes.push((path, hash, buffer.slice(begin..end)));
            begin = end;
        }
        nodes
    }
}
