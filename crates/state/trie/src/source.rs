//! Where a trie finds the nodes it has not seen yet.

use crate::error::NodePath;
use alloc::collections::BTreeMap;
use alloy_primitives::{B256, Bytes, keccak256};
use core::{cell::RefCell, convert::Infallible};

/// Look up trie nodes.
pub trait NodeSource {
    /// Why a look-up can fail.
    type Error: core::error::Error + 'static;

    /// Returns the RLP of the node `hash`, which stands at `at`, or `None` when it is unknown.
    ///
    /// Hash-keyed sources ignore `at`, path-keyed ones ignore `hash`.
    ///
    /// # Errors
    ///
    /// Whatever makes the answer unknowable for now, such as IO.
    fn node(&self, at: &NodePath, hash: B256) -> Result<Option<Bytes>, Self::Error>;

    /// Whether each answer is known to have the hash that was asked for, so that the trie need
    /// not hash it again.
    fn is_trusted(&self) -> bool {
        false
    }
}

impl<S: NodeSource + ?Sized> NodeSource for &S {
    type Error = S::Error;

    fn node(&self, at: &NodePath, hash: B256) -> Result<Option<Bytes>, Self::Error> {
        (**self).node(at, hash)
    }

    fn is_trusted(&self) -> bool {
        (**self).is_trusted()
    }
}

/// The source that knows nothing, for a trie that is built from nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSource;

impl NodeSource for NoSource {
    type Error = Infallible;

    fn node(&self, _at: &NodePath, _hash: B256) -> Result<Option<Bytes>, Self::Error> {
        Ok(None)
    }
}

/// A set of nodes by hash: a witness, a multiproof, or a small database.
///
/// It hashes what enters, so what it serves is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet {
    nodes: BTreeMap<B256, Bytes>,
}

impl NodeSet {
    /// A set without nodes.
    pub const fn new() -> Self {
        Self { nodes: BTreeMap::new() }
    }

    /// Adds the node encoded as `rlp` and returns its hash. Does not look at what it says.
    pub fn insert(&mut self, rlp: Bytes) -> B256 {
        let hash = keccak256(&rlp);
        self.nodes.insert(hash, rlp);
        hash
    }

    /// Adds a node that is known to have this hash.
    pub(crate) fn insert_hashed(&mut self, hash: B256, rlp: Bytes) {
        self.nodes.insert(hash, rlp);
    }

    /// The RLP of the node with this hash.
    pub fn get(&self, hash: &B256) -> Option<&Bytes> {
        self.nodes.get(hash)
    }

    /// Takes a node out.
    pub fn remove(&mut self, hash: &B256) -> Option<Bytes> {
        self.nodes.remove(hash)
    }

    /// Whether a node with this hash is in the set.
    pub fn contains(&self, hash: &B256) -> bool {
        self.nodes.contains_key(hash)
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The nodes in ascending order of their hashes.
    pub fn iter(&self) -> impl Iterator<Item = (&B256, &Bytes)> {
        self.nodes.iter()
    }
}

impl FromIterator<Bytes> for NodeSet {
    fn from_iter<I: IntoIterator<Item = Bytes>>(nodes: I) -> Self {
        let mut set = Self::new();
        set.extend(nodes);
        set
    }
}

impl Extend<Bytes> for NodeSet {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, nodes: I) {
        for rlp in nodes {
            self.insert(rlp);
        }
    }
}

impl NodeSource for NodeSet {
    type Error = Infallible;

    fn node(&self, _at: &NodePath, hash: B256) -> Result<Option<Bytes>, Self::Error> {
        Ok(self.nodes.get(&hash).cloned())
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

/// A source that remembers what it served: the witness of the operations it was used for.
///
/// The same operations in the same order succeed on the recorded nodes alone.
#[derive(Debug)]
pub struct Recorder<S> {
    source: S,
    served: RefCell<NodeSet>,
}

impl<S: NodeSource> Recorder<S> {
    /// Records what `source` serves from now on.
    pub const fn new(source: S) -> Self {
        Self { source, served: RefCell::new(NodeSet::new()) }
    }

    /// The nodes served so far.
    pub fn into_nodes(self) -> NodeSet {
        self.served.into_inner()
    }
}

impl<S: NodeSource> NodeSource for Recorder<S> {
    type Error = S::Error;

    fn node(&self, at: &NodePath, hash: B256) -> Result<Option<Bytes>, Self::Error> {
        let Some(rlp) = self.source.node(at, hash)? else { return Ok(None) };
        // A node with another hash is refused by the trie, hence no part of the witness.
        if self.source.is_trusted() || keccak256(&rlp) == hash {
            self.served.borrow_mut().insert_hashed(hash, rlp.clone());
        }
        Ok(Some(rlp))
    }

    fn is_trusted(&self) -> bool {
        self.source.is_trusted()
    }
}
