//! Vectors and lists of a beacon state, kept as persistent Merkle trees.

use super::{Limit, MerkleTree, Ssz, SszError, TreeLeaf, depth_for, mix_in_length};
use crate::Preset;
use alloy_primitives::B256;
use std::{fmt, marker::PhantomData, sync::Arc};

/// A value that can be an element of a tree.
pub trait TreeElement: Ssz + Clone {
    /// What stands at the bottom of the tree: a chunk of several basic values, or a value and its
    /// root.
    type Leaf: TreeLeaf + fmt::Debug + Send + Sync;

    /// Elements in a leaf.
    const PER_LEAF: usize;

    /// The leaf with this element written at a place in it; `leaf` is `None` if there was none.
    fn put(self, leaf: Option<&Self::Leaf>, place: usize, preset: &Preset) -> Self::Leaf;

    /// The element at a place in a leaf.
    fn take(leaf: &Self::Leaf, place: usize) -> Self;
}

/// A container and its root, shared between copies of a tree.
#[derive(Clone, Debug)]
pub struct Hashed<T>(Arc<(T, B256)>);

impl<T: Clone> Hashed<T> {
    /// A container and its root.
    pub fn new(value: T, root: B256) -> Self {
        Self(Arc::new((value, root)))
    }

    /// The container.
    pub fn value(&self) -> &T {
        &self.0.0
    }
}

impl<T: Clone> TreeLeaf for Hashed<T> {
    fn chunk(&self) -> B256 {
        self.0.1
    }
}

/// Makes containers elements of trees.
#[macro_export]
macro_rules! tree_elements {
    ($($type:ty),+) => { $(
        impl $crate::TreeElement for $type {
            type Leaf = $crate::Hashed<$type>;
            const PER_LEAF: usize = 1;

            fn put(self, _: Option<&Self::Leaf>, _: usize, preset: &$crate::Preset) -> Self::Leaf {
                let root = $crate::Ssz::root(&self, preset);
                $crate::Hashed::new(self, root)
            }

            fn take(leaf: &Self::Leaf, _: usize) -> Self {
                leaf.value().clone()
            }
        }
    )+ };
}

impl TreeElement for B256 {
    type Leaf = Self;
    const PER_LEAF: usize = 1;

    fn put(self, _: Option<&Self>, _: usize, _: &Preset) -> Self {
        self
    }

    fn take(leaf: &Self, _: usize) -> Self {
        *leaf
    }
}

impl TreeElement for u64 {
    type Leaf = B256;
    const PER_LEAF: usize = 4;

    fn put(self, leaf: Option<&B256>, place: usize, _: &Preset) -> B256 {
        let mut chunk = leaf.copied().unwrap_or_default();
        if let Some(place) = chunk.get_mut(8 * place..8 * place + 8) {
            place.copy_from_slice(&self.to_le_bytes());
        }
        chunk
    }

    fn take(leaf: &B256, place: usize) -> Self {
        let bytes = leaf.get(8 * place..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| Self::from_le_bytes(*bytes))
    }
}

impl TreeElement for u8 {
    type Leaf = B256;
    const PER_LEAF: usize = 32;

    fn put(self, leaf: Option<&B256>, place: usize, _: &Preset) -> B256 {
        let mut chunk = leaf.copied().unwrap_or_default();
        if let Some(place) = chunk.get_mut(place) {
            *place = self;
        }
        chunk
    }

    fn take(leaf: &B256, place: usize) -> Self {
        leaf.get(place).copied().unwrap_or_default()
    }
}

fn leaves<T: TreeElement>(elements: Vec<T>, preset: &Preset) -> Vec<T::Leaf> {
    let mut leaves: Vec<T::Leaf> = Vec::with_capacity(elements.len().div_ceil(T::PER_LEAF));
    for (index, element) in elements.into_iter().enumerate() {
        let place = index % T::PER_LEAF;
        let last = if place == 0 { None } else { leaves.pop() };
        leaves.push(element.put(last.as_ref(), place, preset));
    }
    leaves
}

fn depth<T: TreeElement, L: Limit>(preset: &Preset) -> usize {
    depth_for(L::of(preset).div_ceil(T::PER_LEAF as u64))
}

/// Decodes the elements of a sequence.
fn read_elements<T: Ssz>(bytes: &[u8], limit: u64, preset: &Preset) -> Result<Vec<T>, SszError> {
    super::collections::read_sequence(bytes, limit, preset)
}

/// A vector of a length fixed by the preset, as a persistent Merkle tree.
pub struct TreeVector<T: TreeElement, L> {
    tree: MerkleTree<T::Leaf>,
    length: usize,
    limit: PhantomData<fn() -> L>,
}

impl<T: TreeElement, L: Limit> TreeVector<T, L> {
    /// A vector of these elements.
    ///
    /// # Errors
    /// If they are not as many as the preset says.
    pub fn new(elements: Vec<T>, preset: &Preset) -> Result<Self, SszError> {
        let length = L::of(preset) as usize;
        if elements.len() != length {
            return Err(SszError::Length { expected: length, found: elements.len() });
        }
        let tree = MerkleTree::from_leaves(depth::<T, L>(preset), leaves(elements, preset));
        Ok(Self { tree, length, limit: PhantomData })
    }

    /// A vector of the same element throughout. Cheap if the preset's length is a power of two, as
    /// all of them are.
    pub fn filled(element: T, preset: &Preset) -> Self {
        let length = L::of(preset) as usize;
        let depth = depth::<T, L>(preset);
        let tree = if length == T::PER_LEAF << depth {
            let leaf = leaves(vec![element; T::PER_LEAF], preset).pop();
            leaf.map_or_else(|| MerkleTree::new(depth), |leaf| MerkleTree::filled(depth, leaf))
        } else {
            MerkleTree::from_leaves(depth, leaves(vec![element; length], preset))
        };
        Self { tree, length, limit: PhantomData }
    }
}

/// A list with a limit, as a persistent Merkle tree.
pub struct TreeList<T: TreeElement, L> {
    tree: MerkleTree<T::Leaf>,
    length: usize,
    limit: PhantomData<fn() -> L>,
}

impl<T: TreeElement, L: Limit> TreeList<T, L> {
    /// A list of these elements.
    ///
    /// # Errors
    /// If they are more than the preset allows.
    pub fn new(elements: Vec<T>, preset: &Preset) -> Result<Self, SszError> {
        let (limit, found) = (L::of(preset), elements.len() as u64);
        if found > limit {
            return Err(SszError::Limit { limit, found });
        }
        let length = elements.len();
        let tree = MerkleTree::from_leaves(depth::<T, L>(preset), leaves(elements, preset));
        Ok(Self { tree, length, limit: PhantomData })
    }

    /// A list without elements.
    pub fn empty(preset: &Preset) -> Self {
        Self { tree: MerkleTree::new(depth::<T, L>(preset)), length: 0, limit: PhantomData }
    }

    /// A list of the same element, several times; `count` beyond the limit is cut.
    pub fn filled(element: T, count: usize, preset: &Preset) -> Self {
        let length = count.min(L::of(preset) as usize);
        let tree =
            MerkleTree::from_leaves(depth::<T, L>(preset), leaves(vec![element; length], preset));
        Self { tree, length, limit: PhantomData }
    }

    /// Appends an element.
    ///
    /// # Errors
    /// If the list is full.
    pub fn push(&mut self, element: T, preset: &Preset) -> Result<(), SszError> {
        let limit = L::of(preset);
        if self.length as u64 >= limit {
            return Err(SszError::Limit { limit, found: self.length as u64 + 1 });
        }
        self.length += 1;
        self.set(self.length - 1, element, preset);
        Ok(())
    }
}

macro_rules! shared {
    ($name:ident) => {
        impl<T: TreeElement, L> $name<T, L> {
            /// The number of elements.
            pub const fn len(&self) -> usize {
                self.length
            }

            /// Whether there are no elements.
            pub const fn is_empty(&self) -> bool {
                self.length == 0
            }

            /// The element at an index.
            pub fn get(&self, index: usize) -> Option<T> {
                let leaf = (index < self.length).then(|| self.tree.get(index / T::PER_LEAF))?;
                Some(T::take(leaf?, index % T::PER_LEAF))
            }

            /// Replaces the element at an index; an index beyond the length changes nothing.
            pub fn set(&mut self, index: usize, element: T, preset: &Preset) {
                if index < self.length {
                    let leaf = index / T::PER_LEAF;
                    let value = element.put(self.tree.get(leaf), index % T::PER_LEAF, preset);
                    self.tree.set(leaf, value);
                }
            }

            /// All elements in order.
            pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
                (0..self.length.div_ceil(T::PER_LEAF)).flat_map(move |index| {
                    let count = T::PER_LEAF.min(self.length - index * T::PER_LEAF);
                    let leaf = self.tree.get(index);
                    (0..count).filter_map(move |place| leaf.map(|leaf| T::take(leaf, place)))
                })
            }

            /// The Merkle tree over the elements.
            pub const fn tree(&self) -> &MerkleTree<T::Leaf> {
                &self.tree
            }
        }

        impl<T: TreeElement, L> Clone for $name<T, L> {
            fn clone(&self) -> Self {
                Self { tree: self.tree.clone(), length: self.length, limit: PhantomData }
            }
        }

        impl<T: TreeElement, L> PartialEq for $name<T, L> {
            fn eq(&self, other: &Self) -> bool {
                self.length == other.length && self.tree.root() == other.tree.root()
            }
        }

        impl<T: TreeElement, L> Eq for $name<T, L> {}

        impl<T: TreeElement, L> fmt::Debug for $name<T, L> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} elements, root {}", self.length, self.tree.root())
            }
        }
    };
}

shared!(TreeVector);
shared!(TreeList);

impl<T: TreeElement, L: Limit> Ssz for TreeVector<T, L> {
    fn fixed_len(preset: &Preset) -> Option<usize> {
        T::fixed_len(preset).map(|length| length * L::of(preset) as usize)
    }

    fn write(&self, out: &mut Vec<u8>, preset: &Preset) {
        self.iter().for_each(|element| element.write(out, preset));
    }

    fn read(bytes: &[u8], preset: &Preset) -> Result<Self, SszError> {
        Self::new(read_elements(bytes, L::of(preset), preset)?, preset)
    }

    fn root(&self, _: &Preset) -> B256 {
        self.tree.root()
    }
}

impl<T: TreeElement, L: Limit> Ssz for TreeList<T, L> {
    fn fixed_len(_: &Preset) -> Option<usize> {
        None
    }

    fn write(&self, out: &mut Vec<u8>, preset: &Preset) {
        self.iter().for_each(|element| element.write(out, preset));
    }

    fn read(bytes: &[u8], preset: &Preset) -> Result<Self, SszError> {
        Self::new(read_elements(bytes, L::of(preset), preset)?, preset)
    }

    fn root(&self, _: &Preset) -> B256 {
        mix_in_length(&self.tree.root(), self.length as u64)
    }
}
