//! Keep exactly the nodes of the newest state's tries.

use super::{Table, Writer, node_key, transaction::successor};
use crate::{StorageError, TrieNodes};
use alloy_primitives::{B256, map::B256Set};
use lockstep_trie::{EMPTY_ROOT_HASH, Nibbles, Node, NodePath, NodeRef, decode_node};

/// Writes the new nodes of a state, and removes those that they replace or cut off.
///
/// A node vanishes only when the node above it changed, so what a new node no longer refers to is
/// all there is to remove.
#[derive(Debug)]
pub(crate) struct NodeWriter<'a> {
    pub(crate) tx: &'a Writer,
    /// The root of the account trie before and after.
    pub(crate) old_root: B256,
    pub(crate) new_root: B256,
    /// The hashed addresses of the accounts whose slots changed.
    pub(crate) written: &'a [B256],
    /// The hashed addresses of the accounts that lost their storage, before they were written.
    pub(crate) cleared: &'a [B256],
}

/// What stands at a path.
#[derive(PartialEq, Eq)]
enum Shape {
    Nothing,
    Leaf,
    Extension(Nibbles),
    /// A bit per child that is a node of its own.
    Branch(u16),
}

impl NodeWriter<'_> {
    /// Writes the new nodes. The slots must have been written before.
    pub(crate) fn write(&self, nodes: &TrieNodes) -> Result<(), StorageError> {
        self.check_root(nodes)?;
        let rooted: B256Set = nodes
            .iter()
            .filter(|(at, ..)| at.path.is_empty())
            .filter_map(|(at, ..)| at.owner)
            .collect();
        for owner in self.cleared {
            self.tx.delete_prefix(Table::StorageNodes, owner.as_slice())?;
        }
        // A storage that changed and has no new root is empty now.
        for owner in self.written.iter().filter(|owner| !rooted.contains(*owner)) {
            let slot = self.tx.seek(Table::HashedStorage, owner.as_slice())?;
            if slot.is_some_and(|(key, _)| key.starts_with(owner.as_slice())) {
                let reason = format!("the root of the storage of {owner} is not among the nodes");
                return Err(StorageError::Trie(reason));
            }
            self.tx.delete_prefix(Table::StorageNodes, owner.as_slice())?;
        }
        for (at, _, rlp) in nodes.iter() {
            self.replace(at, rlp)?;
        }
        if self.new_root == EMPTY_ROOT_HASH {
            self.tx.delete_prefix(Table::AccountNodes, &[])?;
        }
        Ok(())
    }

    /// The nodes are those of the state that the header names.
    fn check_root(&self, nodes: &TrieNodes) -> Result<(), StorageError> {
        let roots = nodes.iter().filter(|(at, ..)| **at == NodePath::default());
        let root = roots.last().map(|(_, hash, _)| hash);
        let is_right = match root {
            Some(root) => root == self.new_root,
            None => self.new_root == self.old_root || self.new_root == EMPTY_ROOT_HASH,
        };
        if is_right {
            return Ok(());
        }
        let expected = self.new_root;
        Err(StorageError::Trie(format!("the nodes are of root {root:?}, expected {expected}")))
    }

    /// Writes one node, and removes what is below it and no longer referred to.
    fn replace(&self, at: &NodePath, rlp: &[u8]) -> Result<(), StorageError> {
        let (table, key) = node_key(at);
        let new = shape(rlp)?;
        let old = self.tx.get(table, &key, |old| Ok(shape(old)))?;
        let old = old.transpose()?.unwrap_or(Shape::Nothing);
        let below = || [key.as_slice(), &[0]].concat();
        match (&old, &new) {
            (Shape::Leaf, _) => {}
            (_, Shape::Leaf | Shape::Nothing) => {
                self.tx.delete_range(table, below(), successor(&key).as_deref())?;
            }
            (Shape::Extension(old), Shape::Extension(new)) if old == new => {}
            (_, Shape::Extension(path)) => {
                let child = [key.as_slice(), &path.to_vec()].concat();
                self.tx.delete_range(table, below(), Some(&child))?;
                if let Some(after) = successor(&child) {
                    self.tx.delete_range(table, after, successor(&key).as_deref())?;
                }
            }
            (Shape::Branch(old), Shape::Branch(new)) => {
                for nibble in nibbles(old & !new) {
                    self.tx.delete_prefix(table, &[key.as_slice(), &[nibble]].concat())?;
                }
            }
            (_, Shape::Branch(kept)) => self.keep_children(table, &key, *kept)?,
        }
        self.tx.put(table, &key, rlp)
    }

    /// Removes everything below `key` but what is below these of its children.
    fn keep_children(&self, table: Table, key: &[u8], kept: u16) -> Result<(), StorageError> {
        let mut from = [key, &[0]].concat();
        while let Some((found, _)) = self.tx.seek(table, &from)? {
            let Some(nibble) = found.strip_prefix(key).and_then(|below| below.first()) else {
                break;
            };
            let child = [key, &[*nibble]].concat();
            if !nibbles(kept).any(|kept| kept == *nibble) {
                self.tx.delete_prefix(table, &child)?;
            }
            match successor(&child) {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(())
    }
}

fn shape(rlp: &[u8]) -> Result<Shape, StorageError> {
    Ok(match decode_node(rlp).map_err(|error| StorageError::Trie(error.to_string()))? {
        Node::Leaf { .. } => Shape::Leaf,
        Node::Extension { key, .. } => Shape::Extension(key),
        Node::Branch { children, .. } => {
            let hashed = (0..).zip(children).filter(|(_, child)| matches!(child, NodeRef::Hash(_)));
            Shape::Branch(hashed.fold(0, |bits, (nibble, _): (u32, _)| bits | 1 << nibble))
        }
    })
}

fn nibbles(bits: u16) -> impl Iterator<Item = u8> {
    (0..16u8).filter(move |nibble| bits >> nibble & 1 == 1)
}
