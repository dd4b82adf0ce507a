//! Why a round of blocks could not be made.

use crate::SequencerError;
use alloy_primitives::{B256, ChainId};
use lockstep_engine::{BuildError, EngineError};
use lockstep_lookahead::Slot;
use lockstep_storage::StorageError;
use std::{io, path::PathBuf};

/// Why a round of blocks could not be made. What can pass by itself does; call again.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The rollup's configuration names no union, or another one than the rollup before it.
    #[error("rollup {0} is configured for no union, or not for that of the others")]
    NoUnion(ChainId),
    /// There is no rollup to make blocks for.
    #[error("the gateway has no rollups")]
    NoMembers,
    /// A block that the round's stand on is gone: L1 was reorganised, or the power was lost.
    #[error("rollup {chain}: block {parent} is gone, on which a block was begun")]
    ParentGone {
        /// The rollup.
        chain: ChainId,
        /// The block.
        parent: B256,
    },
    /// No rollup could begin a block; the first reason.
    #[error("rollup {chain}: {source}")]
    Sequencer {
        /// The rollup.
        chain: ChainId,
        /// Why not.
        source: Box<SequencerError>,
    },
    /// A rollup's engine failed.
    #[error("rollup {chain}: {source}")]
    Engine {
        /// The rollup.
        chain: ChainId,
        /// What happened.
        source: Box<EngineError>,
    },
    /// A block does not begin as the blocks of a rollup do.
    #[error("rollup {chain}: block {number}: {reason}")]
    Block {
        /// The rollup.
        chain: ChainId,
        /// The block.
        number: u64,
        /// What is wrong.
        reason: String,
    },
    /// A block could not be executed.
    #[error("rollup {chain}: {source}")]
    Build {
        /// The rollup.
        chain: ChainId,
        /// What happened.
        source: Box<BuildError>,
    },
    /// A rollup's chain could not be read.
    #[error("rollup {chain}: {source}")]
    Storage {
        /// The rollup.
        chain: ChainId,
        /// What happened.
        source: StorageError,
    },
    /// Another block stands where the round's block of this rollup was to stand: users were shown what is
    /// not so. The round is given up.
    #[error("rollup {chain}: block {found} stands in the place of {made}")]
    Replaced {
        /// The rollup.
        chain: ChainId,
        /// The block that was made.
        made: B256,
        /// The block that stands there.
        found: B256,
    },
    /// The log of decisions holds what no gateway writes; remove the file, and what users were shown last
    /// is lost.
    #[error("the log of decisions: {0}")]
    Malformed(String),
    /// The file of sealed batches holds what no gateway writes. Without it a gateway may sign a slot twice, and what was
    /// not posted yet is lost: restore it, or remove it and know that.
    #[error("the sealed batches in {path}: {reason}")]
    MalformedSeals {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A batch may have no such number of blobs.
    #[error("a batch of at most {0} blobs is asked for, 1 to 6 are possible")]
    MaxBlobs(usize),
    /// The batch of a slot could not be signed.
    #[error("signing the batch of slot {slot}: {reason}")]
    Seal {
        /// The slot.
        slot: Slot,
        /// Why not.
        reason: String,
    },
    /// The log of decisions, or the file of sealed batches, cannot be used; without it nothing is promised.
    #[error("cannot {operation} {path}: {source}")]
    Log {
        /// What was to be done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl GatewayError {
    /// Whether the EVM itself failed, and neither a state nor the transaction's validity was the reason.
    pub(crate) fn is_execution(&self) -> bool {
        matches!(self, Self::Build { source, .. } if matches!(**source, BuildError::Execution(_)))
    }

    pub(crate) fn engine(chain: ChainId) -> impl FnOnce(EngineError) -> Self {
        move |source| Self::Engine { chain, source: Box::new(source) }
    }

    pub(crate) fn build(chain: ChainId) -> impl FnOnce(BuildError) -> Self {
        move |source| Self::Build { chain, source: Box::new(source) }
    }
}
