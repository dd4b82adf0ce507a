//! Why the batcher cannot go on, and who must act.

use alloy_primitives::{Address, B256};
use core::fmt;

/// Who must act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Nobody: the next step tries again.
    Temporary,
    /// An operator: trying again changes nothing.
    Critical,
}

impl ErrorClass {
    /// The name, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::Critical => "critical",
        }
    }
}

/// A failure of a node that the batcher asks, or sends to. Always [`ErrorClass::Temporary`].
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {source}")]
pub struct SourceError {
    /// What was asked.
    pub operation: &'static str,
    /// Why there is no answer.
    pub source: Box<dyn core::error::Error + Send + Sync>,
}

impl SourceError {
    /// `operation` failed because of `source`.
    pub fn new(
        operation: &'static str,
        source: impl Into<Box<dyn core::error::Error + Send + Sync>>,
    ) -> Self {
        Self { operation, source: source.into() }
    }
}

/// A failure of the batcher. [`Self::class`] says who must act.
#[derive(Debug, thiserror::Error)]
pub enum BatcherError {
    /// The L1 node did not answer.
    #[error("L1: {0}")]
    L1(#[source] SourceError),
    /// The L2 node did not answer.
    #[error("L2: {0}")]
    L2(#[source] SourceError),
    /// The L2 node has a safe head, but not the block after it, although its unsafe head is later.
    #[error("the L2 node has no block {number}, but its unsafe head is {unsafe_head}")]
    MissingBlock {
        /// The block asked for.
        number: u64,
        /// The node's unsafe head.
        unsafe_head: u64,
    },
    /// The account that pays for the transactions has too little ether.
    #[error("{account} cannot pay for its transactions: {reason}")]
    InsufficientFunds {
        /// The batcher's account.
        account: Address,
        /// What the L1 node said.
        reason: String,
    },
    /// The L1 node refused a transaction in words that are not known ([`crate::SendOutcome`]). It is
    /// sent again later; if this lasts, an operator must look.
    #[error("transaction {hash} with nonce {nonce} was refused: {reason}")]
    Refused {
        /// The transaction.
        hash: B256,
        /// Its nonce.
        nonce: u64,
        /// What the L1 node said.
        reason: String,
    },
    /// A block of the L2 node cannot be posted.
    #[error("block {number} cannot be posted: {reason}")]
    Block {
        /// The block.
        number: u64,
        /// Why not.
        reason: String,
    },
    /// A block alone is larger than a channel may be, so no derivation would ever read it.
    #[error("block {number} has {bytes} bytes, a channel holds no more than {limit}")]
    BlockTooLarge {
        /// The block.
        number: u64,
        /// Its size in a batch, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A channel could not be encoded.
    #[error("the channel of blocks {first} to {last} could not be encoded: {reason}")]
    Encoding {
        /// The first block.
        first: u64,
        /// The last block.
        last: u64,
        /// Why not.
        reason: String,
    },
    /// Commitments and proofs of blobs could not be computed.
    #[error("KZG: {0}")]
    Kzg(String),
    /// The signer refused.
    #[error("signing a transaction with nonce {nonce}: {reason}")]
    Signer {
        /// The nonce of the transaction.
        nonce: u64,
        /// What the signer said.
        reason: String,
    },
    /// A setting contradicts itself, the rollup or Ethereum.
    #[error("{setting} is {found}, {expected}")]
    Config {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        expected: String,
    },
}

impl BatcherError {
    /// Who must act.
    pub const fn class(&self) -> ErrorClass {
        match self {
            // Funds are an operator's to send, but nothing has to be restarted afterwards. And a node
            // that is overloaded refuses in words of its own.
            Self::L1(_)
            | Self::L2(_)
            | Self::MissingBlock { .. }
            | Self::InsufficientFunds { .. }
            | Self::Refused { .. }
            | Self::Signer { .. } => ErrorClass::Temporary,
            Self::Block { .. }
            | Self::BlockTooLarge { .. }
            | Self::Encoding { .. }
            | Self::Kzg(_)
            | Self::Config { .. } => ErrorClass::Critical,
        }
    }

    pub(crate) fn config(
        setting: &'static str,
        found: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Config { setting, found: found.to_string(), expected: expected.into() }
    }
}
