//! Why the engine cannot answer.

use crate::{AttributesError, BuildError};
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use lockstep_parallel::ThreadsError;
use lockstep_storage::{ErrorClass, StorageError};
use std::{sync::Arc, time::Duration};

/// Why the engine cannot answer. That a *block* is invalid is an answer, not an error.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The chain could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The threads that execute blocks could not be started.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
    /// The engine refuses work since an error after which it must not go on. Read the error, mend
    /// its cause and restart the node.
    #[error("the engine has stopped: {0}")]
    Stopped(Arc<str>),
    /// Persistence does not keep up; try again later.
    #[error("{unpersisted} blocks wait to be persisted since {waited:?}; the limit is {limit}")]
    Backlog {
        /// Canonical blocks that are in memory only.
        unpersisted: usize,
        /// The most there may be.
        limit: usize,
        /// How long the caller has waited.
        waited: Duration,
    },
    /// Too many blocks wait for a fork choice; make one.
    #[error("{limit} blocks are in memory beside the canonical chain, and none can make room")]
    TreeFull {
        /// The most blocks beside the canonical chain.
        limit: usize,
    },
    /// The fork choice contradicts itself or the chain (Engine API error -38002).
    #[error("invalid fork choice: {0}")]
    ForkChoice(String),
    /// Blocks that are finalized cannot be taken back.
    #[error("block {number} is below the finalized block {finalized}")]
    Finalized {
        /// The block that was to be the head.
        number: u64,
        /// The newest finalized block.
        finalized: u64,
    },
    /// Blocks that are safe are taken back by who derived them alone.
    #[error("block {number} is below the safe block {safe}")]
    Safe {
        /// The block that was to be the head.
        number: u64,
        /// The newest safe block.
        safe: u64,
    },
    /// The reorg takes back too much that is stored (Engine API error -38006).
    #[error("{depth} stored blocks would have to be taken back; the limit is {limit}")]
    TooDeepReorg {
        /// The stored blocks above the one where the new chain leaves the old.
        depth: u64,
        /// [`EngineConfig::max_reorg_depth`](crate::EngineConfig::max_reorg_depth).
        limit: u64,
    },
    /// Another fork choice moved the head while a block was built on it; build again.
    #[error("the head moved to block {} ({}) while a block was built on {parent}", head.number, head.hash)]
    HeadMoved {
        /// The head on which the block was built.
        parent: B256,
        /// The head now.
        head: BlockNumHash,
    },
    /// No such block is on the canonical chain.
    #[error("block {0} is not known")]
    UnknownBlock(B256),
    /// No payload with this id is in the making (Engine API error -38001).
    #[error("the payload is not known")]
    UnknownPayload,
    /// The payload is in the making and there is nothing of it yet; ask again.
    #[error("nothing of the payload is built after {waited:?}")]
    NotBuilt {
        /// How long the caller has waited.
        waited: Duration,
    },
    /// The attributes of the payload to build are invalid (Engine API error -38003).
    #[error(transparent)]
    Attributes(#[from] AttributesError),
    /// A payload could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A block could not be judged, for a reason that is not the block's fault.
    #[error("block {hash} could not be executed: {reason}")]
    Execution {
        /// The block.
        hash: B256,
        /// What failed.
        reason: String,
    },
    /// A block that was built here does not come out the same when it is executed as others execute it. Do not
    /// give it to anybody, and report it: the builder and the executor disagree.
    #[error("block {hash}, which was built here, is not what its execution gives: {reason}")]
    NotReproduced {
        /// The block.
        hash: B256,
        /// What differs.
        reason: String,
    },
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// How often something is done anew because storage was unwound under it.
pub(crate) const MAX_UNWINDS: usize = 4;

/// Does something once more while storage is unwound under it: what was taken back is in memory
/// then.
pub(crate) fn despite_unwinds<T>(
    mut attempt: impl FnMut() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    for _ in 1..MAX_UNWINDS {
        match attempt() {
            Err(error) if error.is_unwound() => {}
            outcome => return outcome,
        }
    }
    attempt()
}

impl EngineError {
    /// Whether storage was unwound while it was read.
    pub(crate) const fn is_unwound(&self) -> bool {
        matches!(
            self,
            Self::Storage(StorageError::Unwound { .. })
                | Self::Build(BuildError::Storage(StorageError::Unwound { .. }))
        )
    }

    /// Whether the payload attributes themselves are at fault, so that no repetition helps: derivation
    /// goes on without such a payload (OP spec: derivation § engine queue).
    pub const fn is_invalid_payload(&self) -> bool {
        matches!(
            self,
            Self::Attributes(_) | Self::Build(BuildError::Forced { .. } | BuildError::Invalid(_))
        )
    }

    /// Who must act.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Storage(error) => error.class(),
            Self::Stopped(_) | Self::Execution { .. } | Self::NotReproduced { .. } => {
                ErrorClass::Critical
            }
            _ => ErrorClass::Temporary,
        }
    }
}
