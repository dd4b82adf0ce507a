//! Ask for the pre-images of hashes, and answer.
//!
//! A program that proves something reads nothing but pre-images: it names a [`PreimageKey`] and gets
//! bytes from a [`PreimageOracle`]. Beforehand it may say what it is about to need ([`Hint`]), so that
//! whoever answers can fetch that. Keys, hints and their form on a pipe are those of the OP Stack's
//! fault proofs (specification: fault proof § pre-image oracle).
//!
//! - [`PreimageSet`] answers from memory.
//! - [`PipeOracle`] asks over two pairs of pipes; [`OracleServer`] and [`HintReader`] are their other
//!   ends. What a pipe is, a [`Pipe`] says: file descriptors, system calls of a virtual machine, or
//!   memory.
//! - [`CachingOracle`] asks another oracle once, and hashes what that one answers if it is not trusted.
//!
//! ```
//! use alloy_primitives::{Bytes, keccak256};
//! use lockstep_preimage::{CachingOracle, PreimageKey, PreimageOracle, PreimageSet};
//!
//! let mut witness = PreimageSet::new();
//! let hash = witness.insert_keccak256(Bytes::from_static(b"a node"));
//! let oracle = CachingOracle::new(witness, 1 << 20);
//! assert_eq!(oracle.get(PreimageKey::keccak256(hash))?, b"a node"[..]);
//! assert!(oracle.get(PreimageKey::keccak256(keccak256(b"another"))).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Assumptions
//! - keccak-256 and SHA-256 are collision resistant, also without their first byte.
//! - Whoever answers for local and precompile keys is trusted: these cannot be hashed, and in a
//!   fault-proof machine the L1 contract attests them. Elements of blobs cannot be hashed either: an oracle
//!   says whether they are attested ([`PreimageOracle::attests_blobs`]), and where they are not, whoever
//!   asks checks a proof.
//!
//! # Invariants
//! - An oracle that says [`PreimageOracle::is_trusted`] has the pre-image of every hash it answers for;
//!   one that says [`PreimageOracle::attests_blobs`], a KZG proof for every element.
//! - After an error on a pipe nothing more is read from it: the two ends may be out of step.
//!
//! # Limits
//! - A pre-image has at most [`MAX_PREIMAGE_BYTES`], a hint [`MAX_HINT_BYTES`]. Memory grows with
//!   what has arrived, never with what was announced.
//! - A [`CachingOracle`] keeps at most the bytes it is given.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod blob;
mod cache;
mod error;
mod hint;
mod key;
mod oracle;
mod pipe;
mod serve;

pub use blob::{BLOB_ELEMENTS, blob_points};
pub use cache::CachingOracle;
pub use error::PreimageError;
pub use hint::{Hint, HintError};
pub use key::{PreimageKey, PreimageKind};
pub use oracle::{PreimageOracle, PreimageSet};
pub use pipe::{HintWriter, MAX_HINT_BYTES, MAX_PREIMAGE_BYTES, OracleClient, Pipe, PipeOracle};
pub use serve::{HintReader, OracleServer};
