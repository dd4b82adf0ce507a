//! What can go wrong with a trie whose nodes come from elsewhere.

use crate::decode::NodeError;
use alloc::boxed::Box;
use alloy_primitives::B256;
use alloy_trie::Nibbles;
use core::fmt;

/// Where a node stands: in which trie, and how far from its root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePath {
    /// The hashed address whose storage trie this is, or `None` for a trie that is nobody's
    /// storage, such as the account trie.
    pub owner: Option<B256>,
    /// The nibbles from the root to the node.
    pub path: Nibbles,
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        for nibble in self.path.iter() {
            write!(f, "{nibble:x}")?;
        }
        match self.owner {
            Some(owner) => write!(f, " of the storage of {owner}"),
            None => Ok(()),
        }
    }
}

/// Why an operation on a trie stopped. The trie has the same content and root as before the
/// call, so the caller may mend the source and repeat the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrieError<E> {
    /// The source does not know a node that the operation needs. Supply it and repeat.
    #[error("missing node {hash} at {at}")]
    MissingNode {
        /// Where the node stands.
        at: Box<NodePath>,
        /// Its hash.
        hash: B256,
    },
    /// The source answered with another node. Do not use the source again.
    #[error("the node at {at} has hash {got}, expected {expected}")]
    HashMismatch {
        /// Where the node stands.
        at: Box<NodePath>,
        /// The hash its parent, or the root, commits to.
        expected: B256,
        /// The hash of what the source gave.
        got: B256,
    },
    /// The node has the right hash, yet is no canonical node: the root commits to garbage.
    #[error("invalid node at {at}: {error}")]
    InvalidNode {
        /// Where the node stands.
        at: Box<NodePath>,
        /// The rule it breaks.
        error: NodeError,
    },
    /// A leaf of a state trie holds no account, or of a storage trie no integer.
    #[error("invalid value at {at}: {error}")]
    InvalidValue {
        /// The whole key of the leaf.
        at: Box<NodePath>,
        /// What the decoder says.
        error: alloy_rlp::Error,
    },
    /// Storage was written for an account that does not exist. Set the account and repeat.
    #[error("storage without an account at hashed address {0}")]
    StorageWithoutAccount(B256),
    /// The source itself failed.
    #[error("node source: {0}")]
    Source(#[source] E),
}
