//! The sparse trie itself: opening it, walking it, revealing what a walk needs.

use crate::{
    arena::{Arena, Kind, Link, Slot, Target},
    decode::{NodeError, Place, decode_node_at, decode_shallow},
    error::{NodePath, TrieError},
    node::{EmbeddedNode, Node, NodeRef},
    source::NodeSource,
};
use alloc::vec::Vec;
use alloy_primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

/// A Merkle Patricia trie of which only the nodes that were needed so far are in memory.
///
/// Every other node is *blinded*: known by its hash alone. Each operation takes the
/// [`NodeSource`] from which it reveals the blinded nodes in its way. When the source does not
/// have one, the operation reports [`TrieError::MissingNode`] and changes neither content nor
/// root, so it can be repeated once the node was found.
///
/// An operation reveals the nodes on the path of its key. Only [`SparseTrie::remove`] may need
/// one more: when it leaves a branch with a single child, that child.
#[derive(Clone, Debug)]
pub struct SparseTrie {
    /// Whose storage this is. Only passed on to sources and errors.
    pub(crate) owner: Option<B256>,
    pub(crate) root: Link,
    pub(crate) nodes: Arena<Slot>,
    pub(crate) hashes: Arena<B256>,
    /// The nodes that the last [`SparseTrie::descend`] passed, kept to reuse its memory.
    pub(crate) walk: Vec<Step>,
    /// Where nodes are encoded, kept to reuse its memory.
    pub(crate) buffer: Vec<u8>,
}

/// A node on a walk from the root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) node: u32,
    /// The nibbles of the key above the node.
    pub(crate) depth: usize,
}

/// Where a [`Link`] is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Position {
    Root,
    Extension(u32),
    Branch(u32, u8),
}

/// How a walk ended. The node meant is the last [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The trie, or the branch's child at the next nibble, is empty.
    Vacant,
    /// The leaf's key is the key.
    Leaf,
    /// The key ends at the branch, which may have a value.
    Branch,
    /// The path of the leaf or extension shares only this many nibbles with the rest of the key.
    Diverged(usize),
}

impl Default for SparseTrie {
    fn default() -> Self {
        Self::empty()
    }
}

impl SparseTrie {
    /// The trie without keys.
    pub const fn empty() -> Self {
        Self {
            owner: None,
            root: Link::EMPTY,
            nodes: Arena::new(),
            hashes: Arena::new(),
            walk: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// The trie with this root, of which nothing is revealed yet.
    pub fn from_root(root: B256) -> Self {
        let mut trie = Self::empty();
        if root != EMPTY_ROOT_HASH {
            trie.root = Link::blinded(trie.hashes.insert(root));
        }
        trie
    }

    /// Names the account, by hashed address, whose storage this is: sources and errors say so.
    #[must_use]
    pub const fn with_owner(mut self, owner: B256) -> Self {
        self.owner = Some(owner);
        self
    }

    /// The number of revealed nodes: a measure of the memory in use (about 200 bytes each).
    pub const fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// A [`TrieError`] when a node on the path is missing or wrong.
    pub fn get<S: NodeSource>(
        &mut self,
        key: &Nibbles,
        source: &S,
    ) -> Result<Option<&[u8]>, TrieError<S::Error>> {
        let end = self.descend(key, source)?;
        let (End::Leaf | End::Branch, Some(step)) = (end, self.walk.last()) else {
            return Ok(None);
        };
        Ok(match &self.nodes.get(step.node).kind {
            Kind::Leaf { value, .. } | Kind::Branch { value, .. } if !value.is_empty() => {
                Some(value)
            }
            _ => None,
        })
    }

    /// Walks from the root towards `key` as far as the trie goes, and leaves the nodes passed
    /// in `self.walk`.
    pub(crate) fn descend<S: NodeSource>(
        &mut self,
        key: &Nibbles,
        source: &S,
    ) -> Result<End, TrieError<S::Error>> {
        self.walk.clear();
        let (mut position, mut depth) = (Position::Root, 0);
        loop {
            let node = match self.link(position).target() {
                Target::Empty => return Ok(End::Vacant),
                Target::Node(node) => node,
                Target::Blinded(_) => self.reveal(position, key.slice(..depth), source)?,
            };
            self.walk.push(Step { node, depth });
            match &self.nodes.get(node).kind {
                Kind::Leaf { key: path, .. } => {
                    let rest = key.slice(depth..);
                    let shared = rest.common_prefix_length(path);
                    let is_same = shared == rest.len() && shared == path.len();
                    return Ok(if is_same { End::Leaf } else { End::Diverged(shared) });
                }
                Kind::Extension { key: path, .. } => {
                    let shared = key.slice(depth..).common_prefix_length(path);
                    if shared < path.len() {
                        return Ok(End::Diverged(shared));
                    }
                    position = Position::Extension(node);
                    depth += shared;
                }
                Kind::Branch { .. } => {
                    let Some(nibble) = key.get(depth) else { return Ok(End::Branch) };
                    position = Position::Branch(node, nibble);
                    depth += 1;
                }
            }
        }
    }

    /// The link stored at `position`, or the empty one where the node has no such link.
    pub(crate) fn link(&self, position: Position) -> Link {
        match position {
            Position::Root => self.root,
            Position::Extension(node) => match &self.nodes.get(node).kind {
                Kind::Extension { child, .. } => *child,
                _ => Link::EMPTY,
            },
            Position::Branch(node, nibble) => match &self.nodes.get(node).kind {
                Kind::Branch { children, .. } => {
                    children.get(usize::from(nibble)).copied().unwrap_or(Link::EMPTY)
                }
                _ => Link::EMPTY,
            },
        }
    }

    pub(crate) fn set_link(&mut self, position: Position, link: Link) {
        match position {
            Position::Root => self.root = link,
            Position::Extension(node) => {
                if let Kind::Extension { child, .. } = &mut self.nodes.get_mut(node).kind {
                    *child = link;
                }
            }
            Position::Branch(node, nibble) => {
                if let Kind::Branch { children, .. } = &mut self.nodes.get_mut(node).kind
                    && let Some(child) = children.get_mut(usize::from(nibble))
                {
                    *child = link;
                }
            }
        }
    }

    /// Returns the node at `position`, which is `path` below the root and not empty. Fetches,
    /// checks and attaches it, with all nodes embedded in it, when it is blinded.
    pub(crate) fn reveal<S: NodeSource>(
        &mut self,
        position: Position,
        path: Nibbles,
        source: &S,
    ) -> Result<u32, TrieError<S::Error>> {
        let hash_index = match self.link(position).target() {
            Target::Blinded(index) => index,
            Target::Node(node) => return Ok(node),
            Target::Empty => unreachable!("only a link to a node is revealed"),
        };
        let hash = *self.hashes.get(hash_index);
        let at = NodePath { owner: self.owner, path };
        let Some(rlp) = source.node(&at, hash).map_err(TrieError::Source)? else {
            return Err(TrieError::MissingNode { at: at.into(), hash });
        };
        if !source.is_trusted() {
            let got = keccak256(&rlp);
            if got != hash {
                return Err(TrieError::HashMismatch { at: at.into(), expected: hash, got });
            }
        }
        let place = match position {
            Position::Root => Place::Root,
            Position::Extension(_) => Place::UnderExtension,
            Position::Branch(..) => Place::UnderBranch,
        };
        let invalid = |error| TrieError::InvalidNode { at: at.into(), error };
        let node = decode_node_at(&rlp, path.len(), place).map_err(invalid)?;
        let node = self.attach(&node, NodeRef::Hash(hash)).map_err(invalid)?;
        self.hashes.free(hash_index);
        self.set_link(position, Link::node(node));
        Ok(node)
    }

    /// Stores a decoded node and the nodes embedded in it, which `decode_node_at` has checked.
    fn attach(&mut self, node: &Node<'_>, reference: NodeRef) -> Result<u32, NodeError> {
        let mut embedded = Vec::new();
        let top = self.attach_one(node, reference, &mut embedded);
        while let Some((position, child)) = embedded.pop() {
            let node = decode_shallow(child.as_rlp(), 0, Place::UnderBranch)?;
            let node = self.attach_one(&node, NodeRef::Embedded(child), &mut embedded);
            self.set_link(position, Link::node(node));
        }
        Ok(top)
    }

    fn attach_one(
        &mut self,
        node: &Node<'_>,
        reference: NodeRef,
        embedded: &mut Vec<(Position, EmbeddedNode)>,
    ) -> u32 {
        let kind = match node {
            Node::Leaf { key, value } => Kind::Leaf { key: *key, value: value.to_vec() },
            Node::Extension { key, .. } => Kind::Extension { key: *key, child: Link::EMPTY },
            Node::Branch { value, .. } => {
                Kind::Branch { children: [Link::EMPTY; 16], value: value.to_vec() }
            }
        };
        let id = self.nodes.insert(Slot { kind, reference: Some(reference) });
        let mut attach_child = |position, child: &NodeRef| match child {
            NodeRef::Empty => {}
            NodeRef::Hash(hash) => {
                let link = Link::blinded(self.hashes.insert(*hash));
                self.set_link(position, link);
            }
            NodeRef::Embedded(child) => embedded.push((position, *child)),
        };
        match node {
            Node::Leaf { .. } => {}
            Node::Extension { child, .. } => attach_child(Position::Extension(id), child),
            Node::Branch { children, .. } => {
                for (nibble, child) in (0..).zip(children) {
                    attach_child(Position::Branch(id, nibble), child);
                }
            }
        }
        id
    }

    /// Forgets the reference of every node of the last walk, because something below changed.
    pub(crate) fn mark_walk_dirty(&mut self) {
        for step in &self.walk {
            self.nodes.get_mut(step.node).reference = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NoSource, NodeSet};
    use alloy_primitives::Bytes;

    #[test]
    fn a_trie_that_is_emptied_holds_no_memory_in_use() {
        let mut nodes = NodeSet::new();
        let mut trie = SparseTrie::empty();
        let keys = (0..=255u8).map(|byte| Nibbles::unpack([byte, byte.reverse_bits()]));
        for key in keys.clone() {
            trie.insert(&key, &[7; 40], &NoSource).unwrap();
        }
        let root = trie.commit(|_, _, rlp| {
            nodes.insert(Bytes::copy_from_slice(rlp));
        });

        let mut trie = SparseTrie::from_root(root);
        assert_eq!((trie.nodes.len(), trie.hashes.len()), (0, 1));
        for key in keys.clone() {
            assert!(trie.get(&key, &nodes).unwrap().is_some());
        }
        assert_eq!((trie.nodes.len(), trie.hashes.len()), (nodes.len(), 0));
        for key in keys {
            assert!(trie.remove(&key, &nodes).unwrap());
        }
        assert_eq!((trie.nodes.len(), trie.hashes.len()), (0, 0));
    }
}
