//! Why a rollup cannot be followed.

use crate::RollupChainError;
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use lockstep_derive::{DeriveError, Severity};
use lockstep_engine::EngineError;
use lockstep_storage::{ErrorClass, StorageError};
use std::error::Error;

/// Why the follower did not get further. It goes on with the next step where the error is
/// [`Severity::Temporary`].
#[derive(Debug, thiserror::Error)]
pub enum FollowerError {
    /// What L1 or the rollup's chain says could not be read, or contradicts itself.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// The L1 could not be asked where it stands.
    #[error("the L1 does not answer: {reason}")]
    L1 {
        /// What happened.
        reason: Box<dyn Error + Send + Sync>,
        /// Who must act.
        severity: Severity,
    },
    /// The engine's chain is not what derivation expects of the rollup's.
    #[error("the rollup's chain: {reason}")]
    Chain {
        /// What is wrong.
        reason: RollupChainError,
        /// Who must act.
        severity: Severity,
    },
    /// The engine did not take a block, for a reason that is not the block's fault.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The rollup's chain could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Somebody else has taken back blocks of the rollup from which derivation went on. It begins anew.
    #[error("block {tip:?} is no longer on the rollup's chain, which has {canonical:?} there")]
    TipGone {
        /// The newest block that was derived.
        tip: BlockNumHash,
        /// The block at its height, if the chain is that high.
        canonical: Option<B256>,
    },
    /// A block without any transaction of users cannot be executed. The configuration is not that of
    /// the rollup, or the node has a bug.
    #[error("the block of deposits alone on {parent:?} cannot be executed: {reason}")]
    Deposits {
        /// The safe head.
        parent: BlockNumHash,
        /// Why not.
        reason: String,
    },
}

impl FollowerError {
    /// Who must act.
    pub fn severity(&self) -> Severity {
        let of = |class| match class {
            ErrorClass::Temporary => Severity::Temporary,
            ErrorClass::Critical => Severity::Critical,
        };
        match self {
            Self::Derive(error) => error.severity(),
            Self::L1 { severity, .. } | Self::Chain { severity, .. } => *severity,
            Self::Engine(error) => of(error.class()),
            Self::Storage(error) => of(error.class()),
            Self::TipGone { .. } => Severity::Reset,
            Self::Deposits { .. } => Severity::Critical,
        }
    }
}
