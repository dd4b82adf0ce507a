//! What a chain adds to its definition so that its transactions can wait in a pool.

use crate::{Origin, PoolError};
use alloy_consensus::{
    Transaction,
    transaction::{SignerRecoverable, TxHashRef},
};
use alloy_eips::{
    eip2718::{Decodable2718, Encodable2718},
    eip7594::BlobTransactionSidecarVariant,
};
use alloy_primitives::{Address, Sealed, U256};
use lockstep_execution::{Execute, TransactionError};
use lockstep_storage::State;
use revm::context_interface::result::InvalidTransaction;
use std::fmt::Debug;

/// What every transaction in a pool can do. Implemented for all types that qualify.
pub trait PooledEnvelope:
    Transaction
    + SignerRecoverable
    + TxHashRef
    + Encodable2718
    + Decodable2718
    + Clone
    + Debug
    + Send
    + Sync
    + 'static
{
}

impl<T> PooledEnvelope for T where
    T: Transaction
        + SignerRecoverable
        + TxHashRef
        + Encodable2718
        + Decodable2718
        + Clone
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// What the next block demands and offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextBlock {
    /// Base fee per gas in wei; zero before EIP-1559.
    pub base_fee: u64,
    /// Base fee per blob gas in wei; `None` where there are no blobs.
    pub blob_base_fee: Option<u128>,
    /// Gas limit: that of the head.
    pub gas_limit: u64,
}

/// What became of a waiting transaction when the rules changed.
#[derive(Debug)]
pub enum Rechecked<T> {
    /// It is still valid.
    Valid,
    /// It is valid in this form, with the same hash.
    Converted(T),
    /// It is not.
    Invalid(PoolError),
}

/// A chain whose transactions can wait in a pool.
///
/// The rules are those of the child of a head. There is no clock here, so a fork by time counts
/// from its first block on, not before it.
pub trait Pooled: Execute {
    /// A transaction as peers exchange it, with blobs where there are any.
    type PooledTransaction: PooledEnvelope;
    /// What is computed once per head and needed for each transaction.
    type Rules: Debug + Send + Sync + 'static;

    /// The rules for the child of `head`, whose state is `state`.
    fn rules(&self, head: &Sealed<Self::Header>, state: &dyn State) -> Self::Rules;

    /// The prices and the limit of the next block.
    fn next_block(rules: &Self::Rules) -> NextBlock;

    /// Whether a transaction that was valid may not be any more, or in another form.
    fn rules_changed(before: &Self::Rules, after: &Self::Rules) -> bool;

    /// The largest number of blobs of a transaction; bounds what is decoded.
    fn max_blobs(rules: &Self::Rules) -> usize;

    /// Checks every rule that needs no state, but for the sidecar and the base fees.
    ///
    /// # Errors
    /// The first broken rule.
    fn check(
        &self,
        rules: &Self::Rules,
        tx: &Self::PooledTransaction,
        sender: Address,
    ) -> Result<(), PoolError>;

    /// Checks the sidecar, which is expensive, and converts it where that is possible.
    ///
    /// # Errors
    /// [`PoolError::Sidecar`] and [`PoolError::SidecarVersion`].
    fn check_sidecar(
        &self,
        rules: &Self::Rules,
        tx: Self::PooledTransaction,
        origin: Origin,
    ) -> Result<Self::PooledTransaction, PoolError>;

    /// Checks a valid transaction again after the rules changed.
    fn recheck(
        &self,
        rules: &Self::Rules,
        tx: &Self::PooledTransaction,
        sender: Address,
    ) -> Rechecked<Self::PooledTransaction>;

    /// What the chain charges beside gas and value, in wei.
    fn extra_cost(&self, rules: &Self::Rules, tx: &Self::PooledTransaction) -> U256 {
        let _ = (rules, tx);
        U256::ZERO
    }

    /// The blobs with their commitments and proofs.
    fn sidecar(tx: &Self::PooledTransaction) -> Option<&BlobTransactionSidecarVariant> {
        let _ = tx;
        None
    }

    /// The transaction as it stands in a block.
    fn consensus(tx: &Self::PooledTransaction) -> Self::Transaction;

    /// The transaction as peers exchange it; `None` for what no pool takes: deposits, and blob
    /// transactions, whose sidecar is not in the block.
    fn pooled(tx: &Self::Transaction) -> Option<Self::PooledTransaction>;
}

/// go-ethereum's sentence for a rule that revm found broken.
pub(crate) fn rule_error(
    error: TransactionError,
    tx: &impl Transaction,
    chain_id: u64,
) -> PoolError {
    use InvalidTransaction as I;
    let rule = match error {
        TransactionError::Rule(rule) => rule,
        TransactionError::Form(lockstep_chain::BodyError::TransactionType { ty, .. }) => {
            return PoolError::TypeNotSupported { ty };
        }
        TransactionError::Form(_) => return PoolError::InvalidSender,
    };
    match rule {
        I::PriorityFeeGreaterThanMaxFee => PoolError::TipAboveFee {
            tip: tx.max_priority_fee_per_gas().unwrap_or_default(),
            fee: tx.max_fee_per_gas(),
        },
        I::CallerGasLimitMoreThanBlock => PoolError::BlockGasLimit,
        I::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            PoolError::IntrinsicGas { got: gas_limit, needed: initial_gas }
        }
        I::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            PoolError::FloorGas { got: gas_limit, needed: gas_floor }
        }
        I::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            PoolError::GasLimitTooHigh { cap, got: gas_limit }
        }
        I::CreateInitCodeSizeLimit => PoolError::InitCodeSize { bytes: tx.input().len() },
        I::InvalidChainId | I::MissingChainId => {
            PoolError::ChainId { got: tx.chain_id().unwrap_or_default(), expected: chain_id }
        }
        I::NonceOverflowInTransaction => PoolError::NonceMax,
        I::Eip2930NotSupported
        | I::Eip1559NotSupported
        | I::Eip4844NotSupported
        | I::Eip7702NotSupported => PoolError::TypeNotSupported { ty: tx.ty() },
        I::EmptyBlobs => PoolError::Form("blobless blob transaction".into()),
        I::TooManyBlobs { max, have } => {
            PoolError::Form(format!("too many blobs in transaction: have {have}, permitted {max}"))
        }
        I::BlobGasPriceGreaterThanMax { .. } => {
            PoolError::Form("max fee per blob gas is zero, minimum needed 1".into())
        }
        I::EmptyAuthorizationList => PoolError::Form("set code tx with empty auth list".into()),
        other => PoolError::Form(other.to_string()),
    }
}
