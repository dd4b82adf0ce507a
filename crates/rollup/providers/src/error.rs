//! Why a node did not give what was asked for, and who must act.

use crate::Endpoint;
use alloy_primitives::B256;
use lockstep_derive::Severity;

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL cannot be used.
    #[error("the URL {reason}")]
    Url {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No answer came: the connection failed, or took too long.
    #[error("{endpoint}: {reason}")]
    Unreachable {
        /// Who was asked.
        endpoint: Endpoint,
        /// What happened.
        reason: String,
    },
    /// The server refused over HTTP.
    #[error("{endpoint}: HTTP status {status} to {method}")]
    Status {
        /// Who was asked.
        endpoint: Endpoint,
        /// What for.
        method: &'static str,
        /// The status code.
        status: u16,
    },
    /// The answer is larger than the limit, and was not read.
    #[error("{endpoint}: the answer to {method} is larger than {limit} bytes")]
    TooLarge {
        /// Who was asked.
        endpoint: Endpoint,
        /// What for.
        method: &'static str,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The answer is not of the form that the method has.
    #[error("{endpoint}: the answer to {method} cannot be read: {reason}")]
    Malformed {
        /// Who was asked.
        endpoint: Endpoint,
        /// What for.
        method: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The node does not know the method.
    #[error("{endpoint}: does not serve {method}")]
    Unsupported {
        /// Who was asked.
        endpoint: Endpoint,
        /// What for.
        method: &'static str,
    },
    /// The node answered with a JSON-RPC error.
    #[error("{endpoint}: {method} failed with code {code}: {message}")]
    Rpc {
        /// Who was asked.
        endpoint: Endpoint,
        /// What for.
        method: &'static str,
        /// The JSON-RPC error code.
        code: i64,
        /// The message, at most 256 bytes of it.
        message: String,
    },
    /// The node does not have what was asked for by hash: it does not follow that chain (any more).
    #[error("{endpoint}: {what} {hash} is not known")]
    NotFound {
        /// Who was asked.
        endpoint: Endpoint,
        /// What kind of thing.
        what: &'static str,
        /// Its hash.
        hash: B256,
    },
    /// The node does not have a block at this number yet.
    #[error("{endpoint}: there is no block {number}")]
    NoBlock {
        /// Who was asked.
        endpoint: Endpoint,
        /// The number.
        number: u64,
    },
    /// The answer is not what its hash commits to, so the node is faulty or lies.
    #[error(
        "{endpoint}: the {what} that {method} gave is wrong: expected {expected}, found {found}"
    )]
    Untrue {
        /// Who was asked.
        endpoint: Endpoint,
        /// What for.
        method: &'static str,
        /// What does not fit.
        what: &'static str,
        /// The value that it must have.
        expected: String,
        /// The value that it has.
        found: String,
    },
    /// No beacon node has the blob (yet, or any more).
    #[error("no beacon node has blob {hash} of slot {slot}; the last one said: {reason}")]
    MissingBlob {
        /// The versioned hash.
        hash: B256,
        /// The slot.
        slot: u64,
        /// What the last one that was asked answered.
        reason: String,
    },
    /// The L1 block is older than the beacon chain, or not at the time of a slot.
    #[error(
        "the L1 timestamp {timestamp} is not the time of a slot: genesis is at {genesis}, a slot takes {slot_seconds} s"
    )]
    NoSlot {
        /// The timestamp, in seconds.
        timestamp: u64,
        /// The time of the beacon chain's genesis, in seconds.
        genesis: u64,
        /// The length of a slot, in seconds.
        slot_seconds: u64,
    },
    /// More was asked for than one call may.
    #[error("{found} {what} were asked for, the limit is {limit}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A block that verifies does not follow the rollup's rules.
    #[error("L2 block {number} ({hash}) does not fit the rollup's configuration: {reason}")]
    Rollup {
        /// The number of the block.
        number: u64,
        /// Its hash.
        hash: B256,
        /// What does not fit.
        reason: String,
    },
}

impl ClientError {
    /// Who must act.
    ///
    /// An untrue answer is [`Severity::Temporary`]: nothing of it was believed, and the next
    /// answer, or another node's, may be true. So is any HTTP status: proxies in front of nodes answer
    /// with all of them, 401 and 404 among them, while they restart or exhaust a quota, and a node that
    /// runs must outlive that. What is not known by its hash any more was reorganised away:
    /// [`Severity::Reset`]. Only what no repetition can cure is [`Severity::Critical`]: a method that the
    /// node does not have, a configuration that does not fit the chain.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Unreachable { .. }
            | Self::Status { .. }
            | Self::Malformed { .. }
            | Self::Rpc { .. }
            | Self::NoBlock { .. }
            | Self::Untrue { .. }
            | Self::MissingBlob { .. } => Severity::Temporary,
            Self::NotFound { .. } => Severity::Reset,
            Self::Url { .. }
            | Self::TooLarge { .. }
            | Self::Unsupported { .. }
            | Self::NoSlot { .. }
            | Self::Limit { .. }
            | Self::Rollup { .. } => Severity::Critical,
        }
    }

    /// Whether asking the same again, at once or later, may help.
    pub const fn is_temporary(&self) -> bool {
        matches!(self.severity(), Severity::Temporary)
    }
}
