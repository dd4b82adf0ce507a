//! Why data could not be had, and why a transition could not be made.

use alloc::{boxed::Box, string::String};
use alloy_primitives::B256;
use core::convert::Infallible;
use lockstep_derive::DeriveError;
use lockstep_execution::{AttributesError, ExecutionError};
use lockstep_preimage::PreimageError;
use lockstep_trie::TrieError;

/// Why data that a hash commits to could not be had. `E` is the oracle's error.
///
/// No block is at fault: whoever runs the transition chose an oracle that fails, lies or knows too
/// little, or commits to a chain that does not exist.
#[derive(Debug, thiserror::Error)]
pub enum DataError<E> {
    /// The oracle did not answer.
    #[error("the oracle did not answer: {0}")]
    Oracle(#[source] E),
    /// The oracle answered with something else.
    #[error(transparent)]
    Wrong(Box<PreimageError<Infallible>>),
    /// A trie cannot be read.
    #[error(transparent)]
    Trie(Box<TrieError<E>>),
    /// What has the right hash is not what should have it.
    #[error("{what} with hash {hash} is malformed: {reason}")]
    Malformed {
        /// What it should be.
        what: &'static str,
        /// Its hash.
        hash: B256,
        /// What is wrong with it.
        reason: String,
    },
    /// A block was asked for that is above the head of its chain, or too far below it.
    #[error("block {number} cannot be reached from block {head}")]
    NotAnAncestor {
        /// The number asked for.
        number: u64,
        /// The number of the newest block that is known.
        head: u64,
    },
}

impl<E> From<TrieError<E>> for DataError<E> {
    fn from(error: TrieError<E>) -> Self {
        match error {
            TrieError::Source(error) => Self::Oracle(error),
            error => Self::Trie(error.into()),
        }
    }
}

impl<E> From<PreimageError<Infallible>> for DataError<E> {
    fn from(error: PreimageError<Infallible>) -> Self {
        Self::Wrong(error.into())
    }
}

/// Why payload attributes did not become a block. `E` is the oracle's error.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError<E> {
    /// An attribute is missing, or is not allowed; or a transaction is none, or none of this fork.
    #[error(transparent)]
    Attributes(#[from] AttributesError),
    /// The block cannot be executed.
    #[error(transparent)]
    Execution(Box<ExecutionError<DataError<E>>>),
    /// The state could not be read or written.
    #[error(transparent)]
    Data(DataError<E>),
}

impl<E> PayloadError<E> {
    /// Whether the attributes themselves are at fault, so that derivation goes on without them (OP
    /// spec: derivation § engine queue). Otherwise the transition cannot go on.
    pub fn is_invalid_payload(&self) -> bool {
        match self {
            Self::Attributes(_) => true,
            Self::Execution(error) => error.is_invalid_block(),
            Self::Data(_) => false,
        }
    }
}

impl<E> From<DataError<E>> for PayloadError<E> {
    fn from(error: DataError<E>) -> Self {
        Self::Data(error)
    }
}

impl<E> From<ExecutionError<DataError<E>>> for PayloadError<E> {
    fn from(error: ExecutionError<DataError<E>>) -> Self {
        match error {
            ExecutionError::State(error) => Self::Data(error),
            error => Self::Execution(error.into()),
        }
    }
}

/// Why there is no verdict on a claim. `E` is the oracle's error.
///
/// Nothing here passes by itself: whoever runs the transition gave it an oracle that fails, lies or
/// knows too little, or asks about a chain that does not exist.
#[derive(Debug, thiserror::Error)]
pub enum StfError<E> {
    /// What the run is about is malformed.
    #[error("boot information, local key {key}: {reason}")]
    Boot {
        /// The local key.
        key: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Data could not be had.
    #[error(transparent)]
    Data(#[from] DataError<E>),
    /// The rollup cannot be derived.
    #[error(transparent)]
    Derive(Box<DeriveError>),
    /// A block that must be made, because it has nothing but deposits, cannot be.
    #[error(transparent)]
    Payload(#[from] PayloadError<E>),
}
