//! Random keys, values and operations that provoke forks, merges and embedded nodes.

use crate::reference::Content;
use lockstep_trie::{Nibbles, NodeSource, SparseTrie, TrieError};
use proptest::{collection::vec, prelude::*, sample::select};

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Insert(Nibbles, Vec<u8>),
    Remove(Nibbles),
    /// Compute the root, so that what follows starts from clean nodes.
    Root,
}

impl Operation {
    pub(crate) fn apply<S: NodeSource>(
        &self,
        trie: &mut SparseTrie,
        source: &S,
    ) -> Result<(), TrieError<S::Error>> {
        match self {
            Self::Insert(key, value) => trie.insert(key, value, source),
            Self::Remove(key) => trie.remove(key, source).map(drop),
            Self::Root => {
                trie.root();
                Ok(())
            }
        }
    }

    pub(crate) fn apply_to_model(&self, content: &mut Content) {
        match self {
            Self::Insert(key, value) => drop(content.insert(*key, value.clone())),
            Self::Remove(key) => drop(content.remove(key)),
            Self::Root => {}
        }
    }
}

/// Keys of `len` bytes over few nibbles.
pub(crate) fn short_key(len: usize) -> impl Strategy<Value = Nibbles> {
    vec(select(&[0x00u8, 0x01, 0x0f, 0x10, 0x11, 0xf0, 0xff][..]), len).prop_map(Nibbles::unpack)
}

/// Keys of 32 bytes that leave one of two stems after any number of nibbles.
pub(crate) fn long_key() -> impl Strategy<Value = Nibbles> {
    let stem = select(&[0x00u8, 0x5a][..]);
    (stem, vec((0usize..64, 0u8..4), 0..3)).prop_map(|(stem, changes)| {
        let mut nibbles = Nibbles::unpack([stem; 32]).to_vec();
        for (position, nibble) in changes {
            nibbles[position] = nibble;
        }
        Nibbles::from_nibbles(nibbles)
    })
}

/// Keys of which some are prefixes of others, the empty key and half bytes included.
pub(crate) fn ragged_key() -> impl Strategy<Value = Nibbles> {
    vec(select(&[0u8, 1, 15][..]), 0..6).prop_map(Nibbles::from_nibbles)
}

/// Keys without prefixes among each other, of the kinds that chains use.
pub(crate) fn fixed_keys() -> impl Strategy<Value = BoxedStrategy<Nibbles>> {
    prop_oneof![Just(short_key(2).boxed()), Just(short_key(4).boxed()), Just(long_key().boxed()),]
}

pub(crate) fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 1..4),
        2 => vec(any::<u8>(), 20..40),
        1 => vec(any::<u8>(), 50..300),
    ]
}

pub(crate) fn operation(key: BoxedStrategy<Nibbles>) -> impl Strategy<Value = Operation> {
    prop_oneof![
        5 => (key.clone(), value()).prop_map(|(key, value)| Operation::Insert(key, value)),
        4 => key.prop_map(Operation::Remove),
        1 => Just(Operation::Root),
    ]
}

pub(crate) fn operations(
    key: BoxedStrategy<Nibbles>,
    count: core::ops::Range<usize>,
) -> impl Strategy<Value = Vec<Operation>> {
    vec(operation(key), count)
}

pub(crate) fn content(
    key: BoxedStrategy<Nibbles>,
    count: core::ops::Range<usize>,
) -> impl Strategy<Value = Content> {
    proptest::collection::btree_map(key, value(), count)
}
