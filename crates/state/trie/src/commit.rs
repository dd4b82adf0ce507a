//! Hash what changed, and nothing else.

use crate::{
    arena::{Kind, Link, Target},
    node::{NodeRef, encode_branch, encode_extension, encode_leaf},
    sparse::SparseTrie,
};
use alloc::vec::Vec;
use alloy_primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use core::mem;

/// A node whose children are being hashed.
struct Frame {
    node: u32,
    /// The first child that was not looked at yet.
    next: u8,
    /// The length of the path to the parent, to which it is cut when this node is done.
    parent_depth: usize,
}

impl SparseTrie {
    /// The root hash. Hashes only the nodes that changed since the last call.
    pub fn root(&mut self) -> B256 {
        self.commit(|_, _, _| ())
    }

    /// [`SparseTrie::root`], and passes `(path, hash, rlp)` of every new node to `on_node`,
    /// children before parents, for a database to keep.
    ///
    /// Embedded nodes are part of their parents and do not appear. Revealed nodes that did not
    /// change do not appear either.
    pub fn commit(&mut self, mut on_node: impl FnMut(&Nibbles, B256, &[u8])) -> B256 {
        let root = match self.root.target() {
            Target::Empty => return EMPTY_ROOT_HASH,
            Target::Blinded(index) => return *self.hashes.get(index),
            Target::Node(root) => root,
        };
        let mut buffer = mem::take(&mut self.buffer);
        if self.nodes.get(root).reference.is_none() {
            self.hash_below(root, &mut buffer, &mut on_node);
        }
        let hash = match self.nodes.get(root).reference {
            Some(NodeRef::Hash(hash)) => hash,
            // A root is hashed however short it is. It is too short to remember its hash.
            Some(NodeRef::Embedded(node)) => keccak256(node.as_rlp()),
            Some(NodeRef::Empty) | None => unreachable!("`hash_below` filled the reference"),
        };
        self.buffer = buffer;
        hash
    }

    /// Fills the reference of `root` and of every dirty node below it, in post-order. The stack
    /// is on the heap and no deeper than a key is long.
    fn hash_below(
        &mut self,
        root: u32,
        buffer: &mut Vec<u8>,
        on_node: &mut impl FnMut(&Nibbles, B256, &[u8]),
    ) {
        let mut path = Nibbles::new();
        let mut stack = Vec::with_capacity(16);
        stack.push(Frame { node: root, next: 0, parent_depth: 0 });
        while let Some(frame) = stack.last_mut() {
            if let Some(child) = self.next_dirty_child(frame, &mut path) {
                stack.push(child);
                continue;
            }
            let node = frame.node;
            buffer.clear();
            self.encode(node, buffer);
            let reference = NodeRef::to_node(buffer);
            match reference {
                NodeRef::Hash(hash) => on_node(&path, hash, buffer),
                _ if stack.len() == 1 => on_node(&path, keccak256(&*buffer), buffer),
                _ => {}
            }
            self.nodes.get_mut(node).reference = Some(reference);
            let parent_depth = stack.pop().map_or(0, |frame| frame.parent_depth);
            path.truncate(parent_depth);
        }
    }

    /// Moves `frame` past its next child that must be hashed and extends `path` to that child.
    fn next_dirty_child(&self, frame: &mut Frame, path: &mut Nibbles) -> Option<Frame> {
        let parent_depth = path.len();
        match &self.nodes.get(frame.node).kind {
            Kind::Leaf { .. } => None,
            Kind::Extension { key, child } => {
                if mem::replace(&mut frame.next, 1) != 0 {
                    return None;
                }
                let node = self.dirty(*child)?;
                path.extend(key);
                Some(Frame { node, next: 0, parent_depth })
            }
            Kind::Branch { children, .. } => {
                let remaining = children.get(usize::from(frame.next)..)?;
                let (nibble, node) = (frame.next..)
                    .zip(remaining)
                    .find_map(|(nibble, child)| Some((nibble, self.dirty(*child)?)))?;
                frame.next = nibble + 1;
                path.push(nibble);
                Some(Frame { node, next: 0, parent_depth })
            }
        }
    }

    fn dirty(&self, link: Link) -> Option<u32> {
        match link.target() {
            Target::Node(node) if self.nodes.get(node).reference.is_none() => Some(node),
            _ => None,
        }
    }

    /// Appends the RLP of a node whose children all have references.
    pub(crate) fn encode(&self, node: u32, out: &mut Vec<u8>) {
        match &self.nodes.get(node).kind {
            Kind::Leaf { key, value } => encode_leaf(key, value, out),
            Kind::Extension { key, child } => encode_extension(key, &self.reference(*child), out),
            Kind::Branch { children, value } => {
                encode_branch(&children.map(|child| self.reference(child)), value, out);
            }
        }
    }

    fn reference(&self, link: Link) -> NodeRef {
        match link.target() {
            Target::Empty => NodeRef::Empty,
            Target::Blinded(index) => NodeRef::Hash(*self.hashes.get(index)),
            Target::Node(node) => {
                self.nodes.get(node).reference.expect("children are hashed before their parent")
            }
        }
    }
}
