//! Why a node cannot start, or ended.

use crate::PartError;
use lockstep_engine::EngineError;
use lockstep_pool::PoolError;
use lockstep_storage::StorageError;
use std::path::PathBuf;

/// Why a node cannot start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The chain could not be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The engine could not start or persist.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The journal of the pool could not be opened.
    #[error("the journal of transactions: {0}")]
    Journal(PoolError),
    /// The secret that the consensus client knows could not be read or made. The operator must
    /// correct the file.
    #[error("--jwt-secret {}: {reason}", path.display())]
    JwtSecret {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: PartError,
    },
    /// A part of the node could not start, or ended before the node did.
    #[error("{part}: {reason}")]
    Part {
        /// Which part.
        part: &'static str,
        /// Why.
        #[source]
        reason: PartError,
    },
}
