//! The errors of the Engine API.

use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use lockstep_engine::EngineError;
use lockstep_storage::{ErrorClass, StorageError};

/// Why a call of the Engine API is answered with an error instead of a status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineApiError {
    /// The parameters are not those of the method.
    #[error("{0}")]
    InvalidParams(String),
    /// The payload is not in the making.
    #[error("the payload is not known")]
    UnknownPayload,
    /// Head, safe and finalized are not on one chain.
    #[error("{0}")]
    InvalidForkChoice(String),
    /// The payload that is to be built cannot be.
    #[error("{0}")]
    InvalidAttributes(String),
    /// More is asked for than is answered at once.
    #[error("{asked} asked for, the limit is {limit}")]
    TooLarge {
        /// How much was asked for.
        asked: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// The method's version is not for this fork.
    #[error("{0}")]
    UnsupportedFork(String),
    /// The head would be below what is finalized, or too far below what is stored.
    #[error("{0}")]
    TooDeepReorg(String),
    /// The node cannot answer now. The consensus client should try again.
    #[error("{0}")]
    Busy(String),
    /// The node failed. The operator should look at its log.
    #[error("{0}")]
    Failed(String),
}

impl EngineApiError {
    /// The JSON-RPC error code and its standard message.
    pub const fn code(&self) -> (i32, &'static str) {
        match self {
            Self::InvalidParams(_) => (-32602, "Invalid params"),
            Self::UnknownPayload => (-38001, "Unknown payload"),
            Self::InvalidForkChoice(_) => (-38002, "Invalid forkchoice state"),
            Self::InvalidAttributes(_) => (-38003, "Invalid payload attributes"),
            Self::TooLarge { .. } => (-38004, "Too large request"),
            Self::UnsupportedFork(_) => (-38005, "Unsupported fork"),
            Self::TooDeepReorg(_) => (-38006, "Too deep reorg"),
            Self::Busy(_) => (-32000, "Server error"),
            Self::Failed(_) => (-32603, "Internal error"),
        }
    }
}

impl From<EngineError> for EngineApiError {
    fn from(error: EngineError) -> Self {
        let text = error.to_string();
        match error {
            EngineError::ForkChoice(_) => Self::InvalidForkChoice(text),
            EngineError::Attributes(_) => Self::InvalidAttributes(text),
            EngineError::UnknownPayload => Self::UnknownPayload,
            EngineError::Finalized { .. } | EngineError::TooDeepReorg { .. } => {
                Self::TooDeepReorg(text)
            }
            error if error.class() == ErrorClass::Temporary => Self::Busy(text),
            _ => Self::Failed(text),
        }
    }
}

impl From<StorageError> for EngineApiError {
    fn from(error: StorageError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<EngineApiError> for ErrorObjectOwned {
    fn from(error: EngineApiError) -> Self {
        let (code, message) = error.code();
        let detail = std::collections::BTreeMap::from([("err", error.to_string())]);
        ErrorObject::owned(code, message, Some(detail))
    }
}
