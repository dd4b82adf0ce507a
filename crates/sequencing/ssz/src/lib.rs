//! Simple Serialize: encoding, decoding and Merkleisation of consensus objects.
//!
//! The rules are those of the consensus specifications (`ssz/simple-serialize.md`). What
//! a type's limits are depends on the [`Preset`], which is an argument and not a
//! type, so that beacon chains of several presets run in one process.
//!
//! Collections that a beacon state holds are persistent Merkle trees ([`TreeVector`],
//! [`TreeList`]): a copy of a state shares all that did not change, and a root costs only
//! the hashes above what changed. Who needs but a root builds no tree: `lockstep-lookahead` hashes
//! the bytes of a state as they come.
//!
//! ```
//! use lockstep_ssz::{Preset, Ssz, container};
//!
//! container! {
//!     /// `Checkpoint`.
//!     pub struct Checkpoint {
//!         /// The epoch.
//!         pub epoch: u64,
//!         /// The block before which it begins.
//!         pub root: alloy_primitives::B256,
//!     }
//! }
//!
//! let checkpoint = Checkpoint { epoch: 1, root: Default::default() };
//! let bytes = checkpoint.encode(&Preset::MAINNET);
//! assert_eq!(Checkpoint::read(&bytes, &Preset::MAINNET), Ok(checkpoint));
//! ```
//!
//! # Assumptions
//! SHA-256 is collision resistant.
//!
//! # Invariants
//! - What decodes is the one encoding of what it decodes to.
//! - What is read takes no more memory than a small multiple of the bytes it was read from.
//!
//! # Limits
//! Trees are at most 63 levels deep. Lists are as long as the [`Limit`] of their type, for a [`Preset`].

mod collections;
mod container;
mod hash;
mod json;
pub mod preset;
mod scalars;
mod tree;
mod typed_tree;

pub use collections::{BitVector, Bitlist, ByteList, List};
pub use container::field_spans;
#[doc(hidden)]
pub use container::write_offset;
pub use hash::{
    ZERO_HASHES, branch_of, depth_for, hash_bytes, hash_pair, is_valid_branch, length_chunk,
    merkleize, mix_in_length, zero_hash,
};
pub use json::{ApiJson, JsonError};
pub use preset::Preset;
pub use tree::{MerkleTree, TreeLeaf};
pub use typed_tree::{Hashed, TreeElement, TreeList, TreeVector};

use alloy_primitives::B256;

/// Something with a Simple Serialize encoding and a Merkle root.
pub trait Ssz: Sized {
    /// Whether this is a basic type, whose values share chunks in a collection.
    const BASIC: bool = false;

    /// The length in bytes of every encoding, or `None` where it varies.
    fn fixed_len(preset: &Preset) -> Option<usize>;

    /// Appends the encoding.
    fn write(&self, out: &mut Vec<u8>, preset: &Preset);

    /// Decodes exactly `bytes`.
    ///
    /// # Errors
    /// Everything that is not the one encoding of a value within the preset's limits.
    /// Allocates no more than a small multiple of the input.
    fn read(bytes: &[u8], preset: &Preset) -> Result<Self, SszError>;

    /// The `hash_tree_root`.
    fn root(&self, preset: &Preset) -> B256;

    /// The encoding.
    fn encode(&self, preset: &Preset) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::fixed_len(preset).unwrap_or(256));
        self.write(&mut out, preset);
        out
    }
}

/// A limit on a collection, which may depend on the preset.
pub trait Limit: 'static {
    /// The limit, in elements.
    fn of(preset: &Preset) -> u64;
}

/// A limit that is the same in every preset.
#[derive(Clone, Copy, Debug)]
pub struct Const<const N: u64>;

impl<const N: u64> Limit for Const<N> {
    fn of(_: &Preset) -> u64 {
        N
    }
}

/// Why bytes are not the encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SszError {
    /// The length is not what the type needs.
    #[error("the encoding has {found} bytes; its type needs {expected}")]
    Length {
        /// Bytes needed (a multiple of which, for lists).
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// An offset points where no field can begin.
    #[error("offset {offset} is out of order: a field must begin within {from}..={to}")]
    Offset {
        /// The offset found.
        offset: usize,
        /// The least that is possible there.
        from: usize,
        /// The greatest that is possible there.
        to: usize,
    },
    /// A collection is longer than its type allows.
    #[error("a collection has {found} elements; its limit is {limit}")]
    Limit {
        /// Elements allowed.
        limit: u64,
        /// Elements found.
        found: u64,
    },
    /// A byte that should be 0 or 1 is neither.
    #[error("{0} is not a boolean")]
    Boolean(u8),
    /// Bits beyond the length of a bit field are set, or its delimiter is missing.
    #[error("a bit field has bits outside its length, or no delimiter")]
    Bits,
}
