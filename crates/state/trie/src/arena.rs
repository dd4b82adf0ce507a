//! Slots with stable `u32` indices: the memory in which a trie lives.

use crate::node::NodeRef;
use alloc::vec::Vec;
use alloy_trie::Nibbles;

/// A growable store of `T` that reuses the slots it freed.
#[derive(Clone, Debug)]
pub(crate) struct Arena<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }

    /// Stores `item` and returns its index.
    ///
    /// # Panics
    ///
    /// When the arena holds [`Link::MAX_INDEX`] items, which is more than memory does.
    pub(crate) fn insert(&mut self, item: T) -> u32 {
        if let Some(index) = self.free.pop() {
            *self.get_mut(index) = item;
            return index;
        }
        let index = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        assert!(index <= Link::MAX_INDEX, "a trie holds at most 2^31 - 1 nodes");
        self.items.push(item);
        index
    }

    /// Gives the slot back. What it holds stays there until the slot is used again.
    pub(crate) fn free(&mut self, index: u32) {
        self.free.push(index);
    }

    pub(crate) fn get(&self, index: u32) -> &T {
        self.items.get(index as usize).expect("an index comes from `insert`")
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> &mut T {
        self.items.get_mut(index as usize).expect("an index comes from `insert`")
    }

    /// The number of slots in use.
    pub(crate) const fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }
}

/// What a parent holds of a child: nothing, a revealed node, or the hash of a blinded one.
///
/// A blinded node costs 36 bytes rather than a whole node, because most nodes around a path
/// are never looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link(u32);

/// A [`Link`], opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Empty,
    /// Index into the arena of nodes.
    Node(u32),
    /// Index into the arena of hashes.
    Blinded(u32),
}

impl Link {
    pub(crate) const EMPTY: Self = Self(u32::MAX);
    const BLINDED: u32 = 1 << 31;
    /// The greatest index: the top bit is the tag, and all ones mean empty.
    pub(crate) const MAX_INDEX: u32 = Self::BLINDED - 2;

    pub(crate) const fn node(index: u32) -> Self {
        Self(index)
    }

    pub(crate) const fn blinded(index: u32) -> Self {
        Self(index | Self::BLINDED)
    }

    pub(crate) const fn target(self) -> Target {
        if self.0 == Self::EMPTY.0 {
            Target::Empty
        } else if self.0 & Self::BLINDED == 0 {
            Target::Node(self.0)
        } else {
            Target::Blinded(self.0 & !Self::BLINDED)
        }
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == Self::EMPTY.0
    }
}

/// A revealed node.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    /// How the parent refers to this node, or `None` when that must be computed anew. A node
    /// with a changed descendant is always `None`.
    pub(crate) reference: Option<NodeRef>,
}

/// The three kinds of node, with children in the arena.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Leaf {
        key: Nibbles,
        value: Vec<u8>,
    },
    Extension {
        key: Nibbles,
        child: Link,
    },
    /// An empty `value` is none.
    Branch {
        children: [Link; 16],
        value: Vec<u8>,
    },
}

impl Kind {
    /// A node that was just made, not hashed yet.
    pub(crate) const fn dirty(self) -> Slot {
        Slot { kind: self, reference: None }
    }
}
