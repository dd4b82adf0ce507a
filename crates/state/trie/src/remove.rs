//! Remove a key, and collapse the branch that becomes too sparse by it.

use crate::{
    arena::{Kind, Link, Target},
    error::TrieError,
    source::NodeSource,
    sparse::{End, Position, SparseTrie, Step},
};
use alloc::vec::Vec;
use alloy_trie::Nibbles;
use core::mem;

/// The only thing left in a branch that must therefore collapse.
#[derive(Clone, Copy, Debug)]
enum Survivor {
    Value,
    /// The child at this nibble.
    Child(u8),
}

impl SparseTrie {
    /// Removes `key`, and returns whether it was there.
    ///
    /// When that leaves a branch with a single child, the branch is merged with the child,
    /// which must be revealed for it. In a batch, do the insertions first: a child that is
    /// inserted in time saves the reveal.
    ///
    /// # Errors
    ///
    /// A [`TrieError`] when a node on the path, or the last child of a branch, is missing or
    /// wrong; nothing has changed then.
    pub fn remove<S: NodeSource>(
        &mut self,
        key: &Nibbles,
        source: &S,
    ) -> Result<bool, TrieError<S::Error>> {
        let end = self.descend(key, source)?;
        let Some(last) = self.walk.last().copied() else { return Ok(false) };
        match end {
            End::Vacant | End::Diverged(_) => return Ok(false),
            End::Leaf => self.remove_leaf(last, key, source)?,
            End::Branch => {
                let Kind::Branch { value, .. } = &self.nodes.get(last.node).kind else {
                    return Ok(false);
                };
                if value.is_empty() {
                    return Ok(false);
                }
                let survivor = self.survivor(last, None);
                self.reveal_survivor(last, survivor, key, source)?;
                if let Kind::Branch { value, .. } = &mut self.nodes.get_mut(last.node).kind {
                    *value = Vec::new();
                }
                self.collapse(survivor);
            }
        }
        self.mark_walk_dirty();
        Ok(true)
    }

    /// Removes the leaf at the end of the walk, and its step.
    fn remove_leaf<S: NodeSource>(
        &mut self,
        leaf: Step,
        key: &Nibbles,
        source: &S,
    ) -> Result<(), TrieError<S::Error>> {
        let Some(above) = self.walk.len().checked_sub(2) else {
            self.root = Link::EMPTY;
            self.walk.clear();
            self.nodes.free(leaf.node);
            return Ok(());
        };
        let branch = *self.walk.get(above).expect("`above` is within the walk");
        let nibble = key.get(branch.depth).expect("the leaf lies below the branch");
        let survivor = self.survivor(branch, Some(nibble));
        self.reveal_survivor(branch, survivor, key, source)?;
        self.set_link(Position::Branch(branch.node, nibble), Link::EMPTY);
        self.nodes.free(leaf.node);
        self.walk.pop();
        self.collapse(survivor);
        Ok(())
    }

    /// The single thing left in `branch` once the child `removed`, or with `None` its value, is
    /// gone. `None` when more is left.
    fn survivor(&self, branch: Step, removed: Option<u8>) -> Option<Survivor> {
        let Kind::Branch { children, value } = &self.nodes.get(branch.node).kind else {
            return None;
        };
        let mut others = (0u8..)
            .zip(children)
            .filter(|(nibble, child)| !child.is_empty() && Some(*nibble) != removed)
            .map(|(nibble, _)| nibble);
        let keeps_value = !value.is_empty() && removed.is_some();
        match (others.next(), others.next()) {
            (None, _) => Some(Survivor::Value),
            (Some(nibble), None) if !keeps_value => Some(Survivor::Child(nibble)),
            _ => None,
        }
    }

    /// Makes sure that a surviving child can be merged with its branch. Changes no content.
    fn reveal_survivor<S: NodeSource>(
        &mut self,
        branch: Step,
        survivor: Option<Survivor>,
        key: &Nibbles,
        source: &S,
    ) -> Result<(), TrieError<S::Error>> {
        let Some(Survivor::Child(nibble)) = survivor else { return Ok(()) };
        let mut path = key.slice(..branch.depth);
        path.push(nibble);
        self.reveal(Position::Branch(branch.node, nibble), path, source).map(drop)
    }

    /// Turns the branch at the end of the walk into its survivor, and merges an extension above
    /// it with the result.
    fn collapse(&mut self, survivor: Option<Survivor>) {
        let (Some(survivor), Some(branch)) = (survivor, self.walk.last().copied()) else { return };
        let kind = match survivor {
            Survivor::Value => {
                let value = match &mut self.nodes.get_mut(branch.node).kind {
                    Kind::Branch { value, .. } => mem::take(value),
                    _ => Vec::new(),
                };
                Kind::Leaf { key: Nibbles::new(), value }
            }
            Survivor::Child(nibble) => self.lift(branch.node, nibble),
        };
        let above = self.walk.iter().rev().nth(1).copied();
        if let Some(above) = above
            && let Kind::Extension { key, .. } = &self.nodes.get(above.node).kind
        {
            let merged = prepend(key, kind);
            self.nodes.get_mut(above.node).kind = merged;
            self.nodes.free(branch.node);
            self.walk.pop();
        } else {
            self.nodes.get_mut(branch.node).kind = kind;
        }
    }

    /// What replaces `branch` when the revealed child at `nibble` is all it has.
    fn lift(&mut self, branch: u32, nibble: u8) -> Kind {
        let Target::Node(child) = self.link(Position::Branch(branch, nibble)).target() else {
            unreachable!("`reveal_survivor` was called");
        };
        let prefix = Nibbles::from_nibbles_unchecked([nibble]);
        let node = &mut self.nodes.get_mut(child).kind;
        if matches!(node, Kind::Branch { .. }) {
            return Kind::Extension { key: prefix, child: Link::node(child) };
        }
        let placeholder = Kind::Extension { key: Nibbles::new(), child: Link::EMPTY };
        let kind = mem::replace(node, placeholder);
        self.nodes.free(child);
        prepend(&prefix, kind)
    }
}

/// Lengthens the path of a leaf or extension. Paths never outgrow a key, because a node is
/// attached only where its whole path fits.
fn prepend(prefix: &Nibbles, kind: Kind) -> Kind {
    match kind {
        Kind::Leaf { key, value } => Kind::Leaf { key: prefix.join(&key), value },
        Kind::Extension { key, child } => Kind::Extension { key: prefix.join(&key), child },
        branch @ Kind::Branch { .. } => branch,
    }
}
