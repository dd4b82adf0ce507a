//! Why something could not be run or told.

use crate::revert::revert_message;
use alloy_primitives::{Address, B256, Bytes, ChainId, U256};
use revm::context_interface::result::{HaltReason, OutOfGasError};

/// A user gets the sentence, and the code that [`Self::code`] or [`Self::simulation_code`] says.
///
/// The sentences are go-ethereum's where it has one, because tools read them.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The transaction or call breaks a rule that is checked before it runs.
    #[error("err: {reason} (supplied gas {gas})")]
    Refused {
        /// The broken rule.
        reason: Refusal,
        /// The gas limit it ran under.
        gas: u64,
    },
    /// The code reverted.
    #[error("{}", revert_message(.0))]
    Reverted(Bytes),
    /// The EVM stopped the code.
    #[error("{0}")]
    Halted(String),
    /// No gas limit up to this one is enough.
    #[error("gas required exceeds allowance ({0})")]
    Allowance(u64),
    /// The sender cannot pay the value it sends.
    #[error("insufficient funds for transfer")]
    Funds,
    /// An argument makes no sense; the user must change it.
    #[error("{0}")]
    Argument(String),
    /// The parameters of the request are not what the method takes; the user must change them.
    #[error("{0}")]
    Parameters(String),
    /// An override asks for what cannot be; the user must change it.
    #[error("{0}")]
    Override(String),
    /// A simulated block does not come after the one before it.
    #[error("block numbers must be in order: {number} <= {previous}")]
    BlockNumber {
        /// The number asked for.
        number: U256,
        /// The block before it.
        previous: u64,
    },
    /// A simulated block is not later than the one before it.
    #[error("block timestamps must be in order: {timestamp} <= {previous}")]
    BlockTimestamp {
        /// The time asked for, in seconds.
        timestamp: u64,
        /// The time of the block before it.
        previous: u64,
    },
    /// The calls of a simulated block want more gas than the block has.
    #[error("block gas limit reached: {used} >= {limit}")]
    BlockGasLimit {
        /// Gas used by the calls before, and the limit of this one.
        used: u64,
        /// The block's gas limit.
        limit: u64,
    },
    /// More is asked for than one request may ask.
    #[error("{what}: {got}, the limit is {limit}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// What was asked for.
        got: u64,
        /// The limit.
        limit: u64,
    },
    /// The caller of this crate asked to stop, or the time was up.
    #[error("execution aborted (timeout)")]
    Stopped,
    /// The call reaches a rollup of the union that this node does not follow. Another node may.
    #[error("the call reaches rollup {0}; ask a node that follows it, too")]
    PeerUnknown(ChainId),
    /// The state or the block of a rollup that the call reaches could not be read; who must act is in
    /// the error itself.
    #[error("rollup {chain}: {error}")]
    Peer {
        /// The rollup.
        chain: ChainId,
        /// Why.
        #[source]
        error: Box<dyn core::error::Error + Send + Sync>,
    },
    /// There is no such tracer here.
    #[error(
        "tracer `{0}` is not available; there are callTracer, prestateTracer, flatCallTracer, 4byteTracer, muxTracer, noopTracer and the struct logger, and no JavaScript"
    )]
    UnknownTracer(String),
    /// The block has no parent, hence no state to replay it on.
    #[error("genesis is not traceable")]
    Genesis,
    /// There is no transaction at this position.
    #[error("transaction {index} is not among the {transactions} of the block")]
    NoTransaction {
        /// The position asked for.
        index: usize,
        /// The transactions there are.
        transactions: usize,
    },
    /// A block of the chain does not execute: block and state do not belong together. An operator
    /// must find out why.
    #[error("the block does not replay: {0}")]
    Replay(String),
    /// The state could not be read; who must act is in the error itself.
    #[error("the state could not be read: {0}")]
    State(#[source] Box<dyn core::error::Error + Send + Sync>),
    /// The state's trie could not be read.
    #[error("the trie could not be read: {0}")]
    Trie(String),
    /// The chain commits to its state by something else than a trie.
    #[error("this chain does not commit to its state by a trie")]
    NoTrie,
    /// The EVM failed for no fault of the transaction's or the state's.
    #[error("the EVM failed: {0}")]
    Evm(String),
}

/// A rule that a transaction breaks before it runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The sender has used this nonce.
    #[error("nonce too low: address {address}, tx: {tx} state: {state}")]
    NonceTooLow {
        /// The sender.
        address: Address,
        /// The nonce stated.
        tx: u64,
        /// The sender's nonce.
        state: u64,
    },
    /// The sender has not used the nonces before.
    #[error("nonce too high: address {address}, tx: {tx} state: {state}")]
    NonceTooHigh {
        /// The sender.
        address: Address,
        /// The nonce stated.
        tx: u64,
        /// The sender's nonce.
        state: u64,
    },
    /// The sender has used up all nonces (EIP-2681).
    #[error("nonce has max value: address {address}, nonce: {nonce}")]
    NonceMax {
        /// The sender.
        address: Address,
        /// Its nonce.
        nonce: u64,
    },
    /// The sender has code (EIP-3607).
    #[error("sender not an eoa: address {address}")]
    SenderNoEoa {
        /// The sender.
        address: Address,
    },
    /// The sender cannot pay.
    #[error(
        "insufficient funds for gas * price + value: address {address} have {have} want {want}"
    )]
    Funds {
        /// The sender.
        address: Address,
        /// Its balance, in wei.
        have: U256,
        /// What it must have, in wei.
        want: U256,
    },
    /// The gas limit does not pay for the transaction itself.
    #[error("intrinsic gas too low: have {have}, want {want}")]
    IntrinsicGas {
        /// The gas limit.
        have: u64,
        /// What it costs before the first opcode.
        want: u64,
    },
    /// The gas limit does not pay for the data (EIP-7623).
    #[error("insufficient gas for floor data gas cost: have {have}, want {want}")]
    FloorGas {
        /// The gas limit.
        have: u64,
        /// What the data costs at least.
        want: u64,
    },
    /// The fee is below the block's base fee (EIP-1559).
    #[error(
        "max fee per gas less than block base fee: address {address}, maxFeePerGas: {max_fee}, baseFee: {base_fee}"
    )]
    FeeTooLow {
        /// The sender.
        address: Address,
        /// The most it would pay, in wei per gas.
        max_fee: u128,
        /// The block's base fee, in wei per gas.
        base_fee: u64,
    },
    /// The tip is above the fee (EIP-1559).
    #[error(
        "max priority fee per gas higher than max fee per gas: address {address}, maxPriorityFeePerGas: {tip}, maxFeePerGas: {max_fee}"
    )]
    TipAboveFee {
        /// The sender.
        address: Address,
        /// The tip, in wei per gas.
        tip: u128,
        /// The most it would pay, in wei per gas.
        max_fee: u128,
    },
    /// The blob fee is below the block's (EIP-4844).
    #[error(
        "max fee per blob gas less than block blob gas fee: address {address} blobGasFeeCap: {max_fee}, blobBaseFee: {base_fee}"
    )]
    BlobFeeTooLow {
        /// The sender.
        address: Address,
        /// The most it would pay, in wei per blob gas.
        max_fee: u128,
        /// The block's blob base fee, in wei per blob gas.
        base_fee: u128,
    },
    /// The init code is too long (EIP-3860).
    #[error("max initcode size exceeded: code size {size} limit {limit}")]
    InitCodeSize {
        /// Its length, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The gas limit is above what a transaction may state (EIP-7825).
    #[error("transaction gas limit too high (cap: {cap}, tx: {gas})")]
    GasCap {
        /// The gas limit.
        gas: u64,
        /// The cap.
        cap: u64,
    },
    /// The gas limit is above the block's.
    #[error("gas limit reached")]
    BlockGasLimit,
    /// Any other rule.
    #[error("{0}")]
    Other(String),
}

impl Refusal {
    /// The error code that `eth_simulateV1` gives it (execution-apis, `eth_simulateV1` § errors).
    pub const fn simulation_code(&self) -> i32 {
        match self {
            Self::NonceTooLow { .. } => -38010,
            Self::NonceTooHigh { .. } => -38011,
            Self::FeeTooLow { .. } => -38012,
            Self::IntrinsicGas { .. } => -38013,
            Self::Funds { .. } => -38014,
            Self::BlockGasLimit => -38015,
            Self::SenderNoEoa { .. } => -38024,
            Self::InitCodeSize { .. } => -38025,
            Self::TipAboveFee { .. } => -32602,
            _ => -32603,
        }
    }
}

impl InspectError {
    /// The JSON-RPC error code; for `eth_simulateV1` use [`Self::simulation_code`].
    pub const fn code(&self) -> i32 {
        match self {
            Self::Reverted(_) => 3,
            Self::Parameters(_) => -32602,
            Self::BlockNumber { .. } => -38020,
            Self::BlockTimestamp { .. } => -38021,
            Self::BlockGasLimit { .. } => -38015,
            Self::Limit { .. } => -38026,
            Self::State(_) | Self::Peer { .. } | Self::Trie(_) | Self::Evm(_) => -32603,
            _ => -32000,
        }
    }

    /// The JSON-RPC error code of a request that `eth_simulateV1` refuses as a whole.
    pub const fn simulation_code(&self) -> i32 {
        match self {
            Self::Refused { reason, .. } => reason.simulation_code(),
            _ => self.code(),
        }
    }

    /// The JSON-RPC error data: what the code reverted with.
    pub const fn data(&self) -> Option<&Bytes> {
        match self {
            Self::Reverted(output) => Some(output),
            _ => None,
        }
    }

    pub(crate) fn state(error: impl core::error::Error + Send + Sync + 'static) -> Self {
        Self::State(Box::new(error))
    }
}

/// What go-ethereum calls a halt.
pub(crate) fn halt_message(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(OutOfGasError::InvalidOperand) => "gas uint64 overflow".into(),
        HaltReason::OutOfGas(OutOfGasError::ReentrancySentry) => {
            "out of gas: not enough gas for reentrancy sentry".into()
        }
        HaltReason::OutOfGas(_) => "out of gas".into(),
        HaltReason::OpcodeNotFound | HaltReason::InvalidFEOpcode | HaltReason::NotActivated => {
            "invalid opcode".into()
        }
        HaltReason::InvalidJump => "invalid jump destination".into(),
        HaltReason::StackUnderflow => "stack underflow".into(),
        HaltReason::StackOverflow => "stack limit reached 1024".into(),
        HaltReason::OutOfOffset => "return data out of bounds".into(),
        HaltReason::CreateCollision => "contract address collision".into(),
        HaltReason::PrecompileErrorWithContext(context) => context.clone(),
        HaltReason::NonceOverflow => "nonce uint64 overflow".into(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".into(),
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef".into(),
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded".into(),
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection".into()
        }
        HaltReason::OutOfFunds => "insufficient balance for transfer".into(),
        HaltReason::CallTooDeep => "max call depth exceeded".into(),
        reason => format!("{reason:?}"),
    }
}

/// A code hash that stands for no code, to the EVM: see `lockstep_execution::BlockState`.
pub(crate) const MARKED_EMPTY: B256 = B256::ZERO;
