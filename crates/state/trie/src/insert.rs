//! Write a value.

use crate::{
    arena::{Kind, Link},
    error::TrieError,
    source::NodeSource,
    sparse::{End, Position, SparseTrie, Step},
};
use alloc::vec::Vec;
use alloy_trie::Nibbles;
use core::mem;

impl SparseTrie {
    /// Sets the value of `key`. The empty value means none: it removes the key.
    ///
    /// # Errors
    ///
    /// A [`TrieError`] when a node that is needed is missing or wrong; nothing has changed then.
    pub fn insert<S: NodeSource>(
        &mut self,
        key: &Nibbles,
        value: &[u8],
        source: &S,
    ) -> Result<(), TrieError<S::Error>> {
        if value.is_empty() {
            return self.remove(key, source).map(drop);
        }
        let end = self.descend(key, source)?;
        match (end, self.walk.last().copied()) {
            (_, None) => {
                let leaf = Kind::Leaf { key: *key, value: value.to_vec() };
                self.root = Link::node(self.nodes.insert(leaf.dirty()));
            }
            (End::Vacant, Some(branch)) => self.fill_child(branch, key, value),
            (End::Leaf | End::Branch, Some(step)) => {
                if !self.overwrite(step, value) {
                    return Ok(());
                }
            }
            (End::Diverged(shared), Some(step)) => {
                self.split(step, &key.slice(step.depth..), shared, value);
            }
        }
        self.mark_walk_dirty();
        Ok(())
    }

    /// Puts a leaf where `branch` has no child.
    fn fill_child(&mut self, branch: Step, key: &Nibbles, value: &[u8]) {
        let Some(nibble) = key.get(branch.depth) else { return };
        let link = self.new_leaf(&key.slice(branch.depth..), 0, value);
        self.set_link(Position::Branch(branch.node, nibble), link);
    }

    /// Replaces the value of a leaf or branch. Returns whether that makes a difference.
    fn overwrite(&mut self, step: Step, new: &[u8]) -> bool {
        let (Kind::Leaf { value, .. } | Kind::Branch { value, .. }) =
            &mut self.nodes.get_mut(step.node).kind
        else {
            return false;
        };
        if value == new {
            return false;
        }
        value.clear();
        value.extend_from_slice(new);
        true
    }

    /// Forks the path of a leaf or extension after `shared` nibbles, where it leaves `rest`:
    /// `[extension of the shared nibbles →] branch → what was there, and the new leaf`.
    fn split(&mut self, step: Step, rest: &Nibbles, shared: usize, value: &[u8]) {
        let mut children = [Link::EMPTY; 16];
        let mut branch_value = Vec::new();
        let placeholder = Kind::Extension { key: Nibbles::new(), child: Link::EMPTY };
        let old = mem::replace(&mut self.nodes.get_mut(step.node).kind, placeholder);
        match old {
            Kind::Leaf { key, value } => match key.get(shared) {
                None => branch_value = value,
                Some(nibble) => {
                    let leaf = Kind::Leaf { key: key.slice(shared + 1..), value };
                    set_child(&mut children, nibble, Link::node(self.nodes.insert(leaf.dirty())));
                }
            },
            Kind::Extension { key, child } => {
                let link = if key.len() == shared + 1 {
                    child
                } else {
                    let extension = Kind::Extension { key: key.slice(shared + 1..), child };
                    Link::node(self.nodes.insert(extension.dirty()))
                };
                if let Some(nibble) = key.get(shared) {
                    set_child(&mut children, nibble, link);
                }
            }
            Kind::Branch { .. } => unreachable!("a walk never diverges at a branch"),
        }
        match rest.get(shared) {
            None => branch_value = value.to_vec(),
            Some(nibble) => set_child(&mut children, nibble, self.new_leaf(rest, shared, value)),
        }
        let branch = Kind::Branch { children, value: branch_value };
        let kind = if shared == 0 {
            branch
        } else {
            let child = Link::node(self.nodes.insert(branch.dirty()));
            Kind::Extension { key: rest.slice(..shared), child }
        };
        self.nodes.get_mut(step.node).kind = kind;
    }

    /// Makes the leaf that hangs on a branch `shared` nibbles into `rest`.
    fn new_leaf(&mut self, rest: &Nibbles, shared: usize, value: &[u8]) -> Link {
        let leaf = Kind::Leaf { key: rest.slice(shared + 1..), value: value.to_vec() };
        Link::node(self.nodes.insert(leaf.dirty()))
    }
}

fn set_child(children: &mut [Link; 16], nibble: u8, link: Link) {
    if let Some(child) = children.get_mut(usize::from(nibble)) {
        *child = link;
    }
}
