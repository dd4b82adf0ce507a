//! Why a block could not be executed.

use alloc::string::String;
use alloy_primitives::{Address, B256};

/// Why a block could not be executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError<E> {
    /// The number of senders is not that of the transactions.
    #[error("{senders} senders were given for {transactions} transactions")]
    SenderCount {
        /// Senders given.
        senders: usize,
        /// Transactions in the block.
        transactions: usize,
    },
    /// The transaction's gas limit exceeds what is left of the block's.
    #[error("transaction {index} ({hash}): gas limit {gas_limit}, the block has {available} left")]
    GasLimit {
        /// Position in the block.
        index: usize,
        /// Transaction hash.
        hash: B256,
        /// The transaction's gas limit.
        gas_limit: u64,
        /// Gas left in the block.
        available: u64,
    },
    /// The transaction's data-availability footprint exceeds what is left of the block's (OP
    /// Stack, Jovian).
    #[error(
        "transaction {index} ({hash}): data footprint {footprint}, the block has {available} left"
    )]
    DataFootprint {
        /// Position in the block.
        index: usize,
        /// Transaction hash.
        hash: B256,
        /// The transaction's footprint, in gas.
        footprint: u64,
        /// Footprint left in the block, in gas.
        available: u64,
    },
    /// The transaction breaks a rule that the EVM checks before it runs.
    #[error("transaction {index} ({hash}): {reason}")]
    Transaction {
        /// Position in the block.
        index: usize,
        /// Transaction hash.
        hash: B256,
        /// The broken rule.
        reason: String,
    },
    /// The transaction calls another rollup of the union, and the block does not hold its part of the
    /// super transaction that this makes it.
    #[error(
        "transaction {index} ({hash}): it calls another rollup, and the block has no part for it"
    )]
    CallsPeer {
        /// Position in the block.
        index: usize,
        /// Transaction hash.
        hash: B256,
    },
    /// A system call failed that must not fail (EIP-7002, EIP-7251), or its contract is missing.
    #[error("system call to {contract}: {reason}")]
    SystemCall {
        /// The system contract.
        contract: Address,
        /// What happened.
        reason: String,
    },
    /// A deposit contract's event does not have the layout that EIP-6110 fixes.
    #[error("deposit event in transaction {index}: {reason}")]
    DepositEvent {
        /// Position of the transaction in the block.
        index: usize,
        /// What is wrong with the event.
        reason: &'static str,
    },
    /// The EVM stopped for a reason that is neither the transaction's nor the state's fault.
    #[error("the EVM failed: {0}")]
    Evm(String),
    /// An intermediate state root could not be computed.
    #[error("intermediate state root after transaction {index}: {reason}")]
    IntermediateRoot {
        /// Position in the block.
        index: usize,
        /// What happened.
        reason: String,
    },
    /// The state could not be read.
    #[error("the state could not be read: {0}")]
    State(#[source] E),
}

impl<E> ExecutionError<E> {
    /// Whether the block itself is at fault, so that trying again cannot help.
    pub const fn is_invalid_block(&self) -> bool {
        !matches!(self, Self::Evm(_) | Self::IntermediateRoot { .. } | Self::State(_))
    }
}
