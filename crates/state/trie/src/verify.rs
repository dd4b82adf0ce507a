//! Check proofs that somebody else made.

use crate::{
    decode::{NodeError, Place, decode_node_at, decode_shallow},
    error::TrieError,
    node::{Node, NodeRef},
    source::NodeSet,
    sparse::SparseTrie,
};
use alloc::vec::Vec;
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::EMPTY_STRING_CODE;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use core::{convert::Infallible, ops::ControlFlow};

/// Why a proof does not prove what it is meant to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The proof ends before the key is decided.
    #[error("the proof ends after {nodes} nodes, where node {hash} should follow")]
    Incomplete {
        /// How many nodes the proof has.
        nodes: usize,
        /// The node that should come next.
        hash: B256,
    },
    /// A node is not the one its parent, or the root, commits to.
    #[error("node {index} of the proof has hash {got}, expected {expected}")]
    HashMismatch {
        /// The position of the node in the proof.
        index: usize,
        /// The hash that is committed to.
        expected: B256,
        /// The hash of the node given.
        got: B256,
    },
    /// A node has the right hash, yet is no canonical node.
    #[error("node {index} of the proof is invalid: {error}")]
    InvalidNode {
        /// The position of the node in the proof.
        index: usize,
        /// The rule it breaks.
        error: NodeError,
    },
    /// The key is decided before the proof ends.
    #[error("{0} nodes of the proof are not needed")]
    Surplus(usize),
    /// The proof is sound and proves another value.
    #[error("the proof is for value {got:?}, expected {expected:?}")]
    Value {
        /// The value in question, `None` for absence.
        expected: Option<Bytes>,
        /// The value proven, `None` for absence.
        got: Option<Bytes>,
    },
    /// A node of a multiproof is missing or invalid.
    #[error(transparent)]
    Trie(#[from] TrieError<Infallible>),
}

/// Checks that `proof`, the nodes from the root on, shows that `key` has the value `expected`,
/// or is absent, in the trie with this root.
///
/// The empty trie is proven by no nodes, as geth does, or by the one node `0x80`.
///
/// # Errors
///
/// A [`ProofError`] says what is wrong with the proof. Nodes that are not needed are wrong, too.
pub fn verify_proof(
    root: B256,
    key: &Nibbles,
    expected: Option<&[u8]>,
    proof: &[Bytes],
) -> Result<(), ProofError> {
    if root == EMPTY_ROOT_HASH && proof.iter().all(|rlp| rlp.as_ref() == [EMPTY_STRING_CODE]) {
        return match proof.len() {
            0 | 1 => check_value(None, expected),
            surplus => Err(ProofError::Surplus(surplus - 1)),
        };
    }
    let mut nodes = proof.iter().enumerate();
    let mut cursor = Cursor { next: NodeRef::Hash(root), depth: 0, place: Place::Root };
    let value = loop {
        let index = proof.len() - nodes.len();
        let decided = match cursor.next {
            NodeRef::Empty => ControlFlow::Break(None),
            NodeRef::Hash(hash) => {
                let Some((index, rlp)) = nodes.next() else {
                    return Err(ProofError::Incomplete { nodes: proof.len(), hash });
                };
                let got = keccak256(rlp);
                if got != hash {
                    return Err(ProofError::HashMismatch { index, expected: hash, got });
                }
                decode_node_at(rlp, cursor.depth, cursor.place)
                    .map(|node| cursor.follow(&node, key))
                    .map_err(|error| ProofError::InvalidNode { index, error })?
            }
            NodeRef::Embedded(node) => decode_shallow(node.as_rlp(), cursor.depth, cursor.place)
                .map(|node| cursor.follow(&node, key))
                .map_err(|error| ProofError::InvalidNode { index: index - 1, error })?,
        };
        if let ControlFlow::Break(value) = decided {
            break value;
        }
    };
    match nodes.len() {
        0 => check_value(value.as_deref(), expected),
        surplus => Err(ProofError::Surplus(surplus)),
    }
}

/// Where the next node of a proof hangs.
struct Cursor {
    next: NodeRef,
    depth: usize,
    place: Place,
}

impl Cursor {
    /// Moves from `node` towards `key`, or stops with the value that the key has.
    fn follow(&mut self, node: &Node<'_>, key: &Nibbles) -> ControlFlow<Option<Vec<u8>>> {
        match node {
            Node::Leaf { key: path, value } => {
                ControlFlow::Break((key.slice(self.depth..) == *path).then(|| value.to_vec()))
            }
            Node::Extension { key: path, child } => {
                if !key.slice(self.depth..).starts_with(path) {
                    return ControlFlow::Break(None);
                }
                let depth = self.depth + path.len();
                *self = Self { next: *child, depth, place: Place::UnderExtension };
                ControlFlow::Continue(())
            }
            Node::Branch { children, value } => {
                let Some(nibble) = key.get(self.depth) else {
                    return ControlFlow::Break((!value.is_empty()).then(|| value.to_vec()));
                };
                let next = children.get(usize::from(nibble)).copied().unwrap_or(NodeRef::Empty);
                *self = Self { next, depth: self.depth + 1, place: Place::UnderBranch };
                ControlFlow::Continue(())
            }
        }
    }
}

fn check_value(got: Option<&[u8]>, expected: Option<&[u8]>) -> Result<(), ProofError> {
    if got == expected {
        return Ok(());
    }
    let [got, expected] = [got, expected].map(|value| value.map(Bytes::copy_from_slice));
    Err(ProofError::Value { expected, got })
}

/// Checks that `nodes` show for each of `claims` that the key has the value, or is absent, in
/// the trie with this root.
///
/// Nodes that are not needed are ignored: a witness proves more than one set of claims.
///
/// # Errors
///
/// A [`ProofError`] for the first claim that does not hold or lacks a node.
pub fn verify_multiproof<'a>(
    root: B256,
    claims: impl IntoIterator<Item = (&'a Nibbles, Option<&'a [u8]>)>,
    nodes: &NodeSet,
) -> Result<(), ProofError> {
    let mut trie = SparseTrie::from_root(root);
    for (key, expected) in claims {
        check_value(trie.get(key, nodes)?, expected)?;
    }
    Ok(())
}
