//! A sparse Merkle Patricia trie of revealed and blinded nodes: roots, proofs, witnesses.
//!
//! Nodes enter through a [`NodeSource`] (a database, a witness, pre-images), one at a time and
//! only when an operation needs them; values enter as arguments. Root hashes, new nodes
//! ([`SparseTrie::commit`]), proofs and witnesses ([`Recorder`]) leave as return values.
//!
//! - [`SparseTrie`] is one trie, [`StateTrie`] the account trie with a storage trie per account.
//! - [`ordered_root`], [`state_root`], [`storage_root`] and [`RootBuilder`] compute the root of a
//!   full set of leaves without keeping a trie.
//! - [`verify_proof`], [`verify_multiproof`] and [`decode_node`] check what others made.
//!
//! # Example
//!
//! Execute a block once on a database and record its witness, then again on the witness alone.
//!
//! ```
//! use alloy_primitives::{Bytes, U256, keccak256};
//! use lockstep_trie::{KECCAK_EMPTY, NoSource, NodeSet, Recorder, StateTrie};
//!
//! let (alice, bob, slot) = (keccak256("alice"), keccak256("bob"), keccak256("slot"));
//!
//! // A database with one block.
//! let mut database = NodeSet::new();
//! let mut state = StateTrie::empty();
//! state.set_account(alice, 1, U256::from(100), KECCAK_EMPTY);
//! state.set_account(bob, 1, U256::from(7), KECCAK_EMPTY);
//! state.set_slot(bob, slot, U256::from(42));
//! let root = state.commit(&NoSource, |_, _, rlp| {
//!     database.insert(Bytes::copy_from_slice(rlp));
//! })?;
//!
//! // The next block removes alice, which merges what is left with bob's leaf.
//! let recorder = Recorder::new(&database);
//! let mut state = StateTrie::from_root(root);
//! assert_eq!(state.slot(bob, slot, &recorder)?, U256::from(42));
//! state.remove_account(alice);
//! let next_root = state.root(&recorder)?;
//!
//! let witness = recorder.into_nodes();
//! let mut stateless = StateTrie::from_root(root);
//! assert_eq!(stateless.slot(bob, slot, &witness)?, U256::from(42));
//! stateless.remove_account(alice);
//! assert_eq!(stateless.root(&witness)?, next_root);
//! # Ok::<(), lockstep_trie::TrieError<core::convert::Infallible>>(())
//! ```
//!
//! # Assumptions
//!
//! - keccak-256 is collision resistant.
//! - A source that says [`NodeSource::is_trusted`] answers with nodes of the hash asked for.
//!   Every other source is hostile: what it gives is hashed before it is read.
//! - A root may commit to garbage, so nodes are checked even when their hash is right.
//!
//! # Invariants
//!
//! - Roots are those of the Yellow Paper, appendix D, for any sequence of operations.
//! - An operation that fails leaves content and root as they were. After
//!   [`TrieError::MissingNode`], adding exactly that node and repeating the call makes progress.
//! - Only canonical nodes are accepted: encoding a decoded node gives the same bytes.
//! - A node is hashed once per change, however many roots are asked for; embedded nodes never.
//! - The same calls on the same nodes ask the source for the same nodes in the same order.
//!
//! # Limits
//!
//! - Keys have at most [`MAX_KEY_NIBBLES`] nibbles (32 bytes); [`Nibbles`] cannot be longer. They
//!   may differ in length, and one may be a prefix of another.
//! - Values are never empty: writing the empty value removes the key. Their length is bounded
//!   by memory only.
//! - A trie holds at most 2^31 - 1 revealed nodes and as many blinded ones. It never forgets a
//!   node: when [`SparseTrie::node_count`] exceeds what the caller can spare, keep the committed
//!   nodes and open the root anew.
//! - There is no recursion. The depth of any walk is at most the length of a key, and nodes
//!   embedded in a node are bounded by its 32 bytes per child.
#![no_std]

extern crate alloc;

mod arena;
mod commit;
mod decode;
mod error;
mod insert;
mod node;
mod prove;
mod remove;
mod roots;
mod source;
mod sparse;
mod state;
mod verify;

pub use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, Nibbles, TrieAccount};
pub use decode::{MAX_KEY_NIBBLES, NodeError, decode_node};
pub use error::{NodePath, TrieError};
pub use node::{EmbeddedNode, Node, NodeRef};
pub use prove::{AccountProof, SlotProof};
pub use roots::{LeafError, RootBuilder, ordered_root, state_root, storage_root};
pub use source::{NoSource, NodeSet, NodeSource, Recorder};
pub use sparse::SparseTrie;
pub use state::StateTrie;
pub use verify::{ProofError, verify_multiproof, verify_proof};
