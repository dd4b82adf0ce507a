//! What a request is answered with when it fails.

use alloy_primitives::{B256, Bytes};
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use lockstep_storage::{ErrorClass, StorageError};

/// The request is not valid: wrong parameters (JSON-RPC 2.0).
pub const INVALID_PARAMS: i32 = -32602;
/// The node failed (JSON-RPC 2.0).
pub const INTERNAL_ERROR: i32 = -32603;
/// The request was understood and refused (EIP-1474 "invalid input", and what go-ethereum answers
/// to whatever has no code of its own).
pub const SERVER_ERROR: i32 = -32000;
/// A block or transaction that was asked for is not known (EIP-1474).
pub const NOT_FOUND: i32 = -32001;
/// Too much is going on, or was asked for (EIP-1474).
pub const LIMIT_EXCEEDED: i32 = -32005;
/// The call was reverted; the revert's output is in `data`.
pub const REVERTED: i32 = 3;
/// History that was asked for has been pruned (EIP-4444, as go-ethereum numbers it).
pub const PRUNED: i32 = 4444;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// A parameter is missing, malformed or out of range. The client must change it.
    #[error("{0}")]
    InvalidParams(String),
    /// The block is not known.
    #[error("header not found")]
    UnknownBlock,
    /// The block is known but not canonical, and the client asked for canonical blocks (EIP-1898).
    #[error("hash {0} is not currently canonical")]
    NotCanonical(B256),
    /// Something that was asked for is not there.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The call was reverted.
    #[error("{message}")]
    Reverted {
        /// `execution reverted`, with the decoded reason if there is one.
        message: String,
        /// The output of the call.
        output: Bytes,
    },
    /// The request was refused for a reason with a code of its own.
    #[error("{message}")]
    Refused {
        /// The JSON-RPC error code.
        code: i32,
        /// The reason.
        message: String,
    },
    /// The request was refused, with something for the client to act upon.
    #[error("{message}")]
    RefusedWith {
        /// The JSON-RPC error code.
        code: i32,
        /// The reason.
        message: String,
        /// The JSON value of `data`.
        data: Box<serde_json::value::RawValue>,
    },
    /// All workers are busy and their queue is full. The client should try again.
    #[error("the node is busy: {running} requests are executing and {queued} are waiting")]
    Busy {
        /// Requests that execute.
        running: usize,
        /// Requests that wait.
        queued: usize,
    },
    /// The request asks for more than a limit allows.
    #[error("{what}: {asked} asked for, the limit is {limit}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// How much was asked for.
        asked: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// The request took longer than it may.
    #[error("request timed out after {seconds} s")]
    Timeout {
        /// The limit in seconds.
        seconds: u64,
    },
    /// The state or block is no longer kept, or storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The node failed in a way that should not happen. The operator should look at its log.
    #[error("internal error: {0}")]
    Internal(String),
}

impl RpcError {
    /// The request was refused, without a code of its own.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused { code: SERVER_ERROR, message: message.into() }
    }

    /// A parameter is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidParams(message.into())
    }

    /// The JSON-RPC error code.
    pub const fn code(&self) -> i32 {
        match self {
            Self::InvalidParams(_) => INVALID_PARAMS,
            Self::UnknownBlock | Self::NotCanonical(_) | Self::NotFound(_) => SERVER_ERROR,
            Self::Reverted { .. } => REVERTED,
            Self::Refused { code, .. } | Self::RefusedWith { code, .. } => *code,
            Self::Busy { .. } | Self::Limit { .. } => LIMIT_EXCEEDED,
            Self::Timeout { .. } => SERVER_ERROR,
            Self::Storage(StorageError::NotRetained { .. }) => PRUNED,
            Self::Storage(_) | Self::Internal(_) => INTERNAL_ERROR,
        }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        if let RpcError::Storage(cause) = &error
            && !matches!(cause, StorageError::NotRetained { .. })
            && cause.class() == ErrorClass::Critical
        {
            tracing::error!(target: "lockstep_rpc", error = %cause, "a request met damaged storage");
        }
        let (code, message) = (error.code(), error.to_string());
        match error {
            RpcError::Reverted { output, .. } => ErrorObject::owned(code, message, Some(output)),
            RpcError::RefusedWith { data, .. } => ErrorObject::owned(code, message, Some(data)),
            _ => ErrorObject::owned(code, message, None::<()>),
        }
    }
}

/// What a handler returns.
pub type RpcResult<T> = Result<T, RpcError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revert_carries_its_output() {
        let error = RpcError::Reverted {
            message: "execution reverted".into(),
            output: Bytes::from_static(&[1, 2]),
        };
        let object = ErrorObjectOwned::from(error);
        assert_eq!(object.code(), 3);
        assert_eq!(object.data().map(|data| data.get()), Some("\"0x0102\""));
    }

    #[test]
    fn pruned_history_has_the_code_of_its_own() {
        let error = StorageError::NotRetained { number: 1, earliest: 5, tip: 9 };
        assert_eq!(RpcError::from(error).code(), PRUNED);
    }
}
