//! Why a transaction does not enter the pool.

use alloy_primitives::{Address, B256, U256};
use std::{io, path::PathBuf};

/// Why the pool refused a transaction.
///
/// The sentences begin as go-ethereum's do: libraries and wallets compare them.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The bytes are no transaction of this chain in its one canonical encoding.
    #[error("transaction could not be decoded: {0}")]
    Decode(alloy_eips::eip2718::Eip2718Error),
    /// The encoding decodes, but is not what the transaction encodes to.
    #[error("transaction could not be decoded: the encoding is not canonical")]
    NotCanonical,
    /// It is in the pool.
    #[error("already known")]
    AlreadyKnown {
        /// Its hash.
        hash: B256,
    },
    /// Nobody signed it.
    #[error("invalid sender")]
    InvalidSender,
    /// It was signed for another chain.
    #[error("invalid sender: invalid chain id for signer: have {got} want {expected}")]
    ChainId {
        /// The chain that it names.
        got: u64,
        /// This chain.
        expected: u64,
    },
    /// The chain does not know the type, or does not know it yet.
    #[error("transaction type not supported: tx type {ty} not supported by this pool")]
    TypeNotSupported {
        /// The EIP-2718 type.
        ty: u8,
    },
    /// It is too large.
    #[error("oversized data: transaction size {bytes}, limit {limit}")]
    Oversized {
        /// Its size in bytes.
        bytes: usize,
        /// The largest size accepted.
        limit: usize,
    },
    /// The sender has used the nonce.
    #[error("nonce too low: next nonce {next}, tx nonce {got}")]
    NonceTooLow {
        /// The sender's next nonce.
        next: u64,
        /// The transaction's nonce.
        got: u64,
    },
    /// The nonce is further ahead than the pool keeps.
    #[error("nonce too high: next nonce {next}, tx nonce {got}, limit {limit}")]
    NonceTooHigh {
        /// The sender's next nonce.
        next: u64,
        /// The transaction's nonce.
        got: u64,
        /// The highest nonce accepted.
        limit: u64,
    },
    /// A blob transaction cannot wait for one that is missing.
    #[error("nonce too high: tx nonce {got}, gapped nonce {gap}")]
    NonceGap {
        /// The transaction's nonce.
        got: u64,
        /// The first nonce that is missing.
        gap: u64,
    },
    /// No account can get beyond this nonce (EIP-2681).
    #[error("nonce has max value")]
    NonceMax,
    /// The balance does not cover the sender's transactions.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, {}tx cost {cost}, overshot {}",
        queued_cost(.queued), overshot(.balance, .queued, .cost)
    )]
    InsufficientFunds {
        /// The sender's balance in wei.
        balance: U256,
        /// What the sender's other transactions may cost, in wei.
        queued: U256,
        /// What this one may cost, in wei.
        cost: U256,
    },
    /// The gas limit is below the gas that any such transaction costs.
    #[error("intrinsic gas too low: gas {got}, minimum needed {needed}")]
    IntrinsicGas {
        /// The gas limit.
        got: u64,
        /// What it costs before its first opcode.
        needed: u64,
    },
    /// The gas limit is below the least that its data costs (EIP-7623).
    #[error("insufficient gas for floor data gas cost: gas {got}, minimum needed {needed}")]
    FloorGas {
        /// The gas limit.
        got: u64,
        /// What its data costs at least.
        needed: u64,
    },
    /// No block has room for it.
    #[error("exceeds block gas limit")]
    BlockGasLimit,
    /// The gas limit is above the cap per transaction (EIP-7825).
    #[error("transaction gas limit too high (cap: {cap}, tx: {got})")]
    GasLimitTooHigh {
        /// The cap.
        cap: u64,
        /// The gas limit.
        got: u64,
    },
    /// The tip is above the fee that includes it.
    #[error("max priority fee per gas higher than max fee per gas: tip {tip}, fee {fee}")]
    TipAboveFee {
        /// `maxPriorityFeePerGas`.
        tip: u128,
        /// `maxFeePerGas`.
        fee: u128,
    },
    /// The contract to create is too large (EIP-3860).
    #[error("max initcode size exceeded: code size {bytes}")]
    InitCodeSize {
        /// Size of the init code in bytes.
        bytes: usize,
    },
    /// The tip is below what this node takes from others.
    #[error("transaction underpriced: gas tip cap {tip}, minimum needed {minimum}")]
    TipTooLow {
        /// The transaction's tip.
        tip: u128,
        /// The least tip.
        minimum: u128,
    },
    /// The pool is full of transactions that pay more.
    #[error("transaction underpriced: the pool is full of transactions that pay more than {tip}")]
    Underpriced {
        /// Its effective tip per gas, in wei, negative if it does not cover the base fee.
        tip: i128,
    },
    /// It does not pay enough more than the one that it would replace.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// The sender has as many transactions in the pool as it may.
    #[error("account limit exceeded: pooled {pooled} txs")]
    AccountLimit {
        /// The sender's transactions.
        pooled: usize,
    },
    /// The sender has blob transactions and others, or a set-code transaction reserved it.
    #[error("address already reserved")]
    AlreadyReserved,
    /// The sender is a contract (EIP-3607).
    #[error("sender not an eoa: address {sender}")]
    SenderNotEoa {
        /// The sender.
        sender: Address,
    },
    /// A sender with delegated code can have one transaction in the pool.
    #[error("in-flight transaction limit reached for delegated accounts")]
    InFlightLimit,
    /// A sender with delegated code can not send ahead.
    #[error("gapped-nonce tx from delegated accounts")]
    GappedFromDelegated,
    /// An account that is about to delegate its code has several transactions in the pool.
    #[error("authority already reserved: {authority}")]
    AuthorityReserved {
        /// The account.
        authority: Address,
    },
    /// A blob or set-code transaction breaks a rule of its type.
    #[error("{0}")]
    Form(String),
    /// The sidecar is of another version than the fork wants.
    #[error("unexpected sidecar version, want: {expected}, got: {got}")]
    SidecarVersion {
        /// The version that the fork wants.
        expected: u8,
        /// The version that it came with.
        got: u8,
    },
    /// Blobs, commitments, proofs and versioned hashes do not belong together.
    #[error("invalid blob sidecar: {0}")]
    Sidecar(String),
    /// The state could not be read: the node must act.
    #[error("the sender's account could not be read: {0}")]
    State(#[from] lockstep_storage::StorageError),
    /// The journal could not be written or read: the operator must act. The transaction is not in
    /// the pool.
    #[error("transaction journal: {operation} {path}: {source}")]
    Journal {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
}

fn queued_cost(queued: &U256) -> String {
    if queued.is_zero() { String::new() } else { format!("queued cost {queued}, ") }
}

fn overshot(balance: &U256, queued: &U256, cost: &U256) -> U256 {
    queued.saturating_add(*cost).saturating_sub(*balance)
}

impl PoolError {
    /// A short name for the reason, for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Decode(_) | Self::NotCanonical => "decode",
            Self::AlreadyKnown { .. } => "known",
            Self::InvalidSender | Self::ChainId { .. } | Self::SenderNotEoa { .. } => "sender",
            Self::TypeNotSupported { .. } => "type",
            Self::Oversized { .. } | Self::InitCodeSize { .. } => "size",
            Self::NonceTooLow { .. } => "nonce_too_low",
            Self::NonceTooHigh { .. } | Self::NonceGap { .. } | Self::NonceMax => "nonce_too_high",
            Self::InsufficientFunds { .. } => "funds",
            Self::IntrinsicGas { .. }
            | Self::FloorGas { .. }
            | Self::BlockGasLimit
            | Self::GasLimitTooHigh { .. } => "gas",
            Self::TipAboveFee { .. } | Self::Form(_) => "form",
            Self::TipTooLow { .. } | Self::Underpriced { .. } => "underpriced",
            Self::ReplacementUnderpriced => "replacement",
            Self::AccountLimit { .. }
            | Self::AlreadyReserved
            | Self::InFlightLimit
            | Self::GappedFromDelegated
            | Self::AuthorityReserved { .. } => "account_limit",
            Self::SidecarVersion { .. } | Self::Sidecar(_) => "sidecar",
            Self::State(_) => "state",
            Self::Journal { .. } => "journal",
        }
    }

    /// Whether the transaction is wrong whatever the state and the pool, so that a peer that sent
    /// it misbehaves.
    pub const fn is_malformed(&self) -> bool {
        matches!(
            self,
            Self::Decode(_)
                | Self::NotCanonical
                | Self::InvalidSender
                | Self::ChainId { .. }
                | Self::Oversized { .. }
                | Self::NonceMax
                | Self::IntrinsicGas { .. }
                | Self::TipAboveFee { .. }
                | Self::InitCodeSize { .. }
                | Self::Form(_)
                | Self::Sidecar(_)
        )
    }

    /// Whether the transaction can never enter, at whatever head, so that the journal need not keep
    /// it: it is wrong, or another has its place.
    pub const fn is_permanent(&self) -> bool {
        self.is_malformed()
            || matches!(
                self,
                Self::AlreadyKnown { .. }
                    | Self::NonceTooLow { .. }
                    | Self::ReplacementUnderpriced
                    | Self::SenderNotEoa { .. }
            )
    }

    /// Whether the node failed rather than the transaction.
    pub const fn is_internal(&self) -> bool {
        matches!(self, Self::State(_) | Self::Journal { .. })
    }
}
