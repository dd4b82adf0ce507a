//! Rules that relate a body to its header, for all chains.

use crate::{BlockTransaction, header::expect};
use alloc::{string::String, vec::Vec};
use alloy_consensus::{Header, crypto::RecoveryError, proofs::calculate_ommers_root};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256};
use alloy_rlp::Encodable;

/// A consensus rule that a block body breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The header commits to something else than the body holds.
    #[error(transparent)]
    Header(#[from] crate::HeaderError),
    /// The block's RLP is larger than EIP-7934 allows.
    #[error("the block is {bytes} bytes of RLP, the limit is {limit}")]
    TooLarge {
        /// The size found, in bytes.
        bytes: usize,
        /// The largest size, in bytes.
        limit: usize,
    },
    /// The transaction's type does not exist in this fork.
    #[error("transaction {index}: type {ty} does not exist in {fork}")]
    TransactionType {
        /// Position in the block.
        index: usize,
        /// EIP-2718 type.
        ty: u8,
        /// The block's fork.
        fork: String,
    },
    /// The transaction carries more blobs than EIP-7594 allows.
    #[error("transaction {index}: {count} blobs, the limit is {limit}")]
    TooManyBlobs {
        /// Position in the block.
        index: usize,
        /// Blobs found.
        count: u64,
        /// Blobs allowed per transaction.
        limit: u64,
    },
    /// A rollup's part of a super transaction stands where it may not.
    #[error("transaction {index} holds a part of a super transaction, but {reason}")]
    Part {
        /// Position in the block.
        index: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// The signature is not one that this fork accepts.
    #[error("transaction {index}: {reason}")]
    Signature {
        /// Position in the block.
        index: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// No address can be recovered from the signature.
    #[error("transaction {index}: the signature recovers to no address")]
    Sender {
        /// Position in the block.
        index: usize,
    },
}

/// The senders of all transactions under EIP-2 (low `s`).
pub(crate) fn recover_senders<T: BlockTransaction>(
    transactions: &[T],
) -> Result<Vec<Address>, BodyError> {
    recover_with(transactions, T::recover_with_buf)
}

/// The senders of all transactions as before EIP-2 (any `s`).
pub(crate) fn recover_senders_any_s<T: BlockTransaction>(
    transactions: &[T],
) -> Result<Vec<Address>, BodyError> {
    recover_with(transactions, T::recover_unchecked_with_buf)
}

fn recover_with<T>(
    transactions: &[T],
    recover: impl Fn(&T, &mut Vec<u8>) -> Result<Address, RecoveryError>,
) -> Result<Vec<Address>, BodyError> {
    let mut buffer = Vec::new();
    transactions
        .iter()
        .enumerate()
        .map(|(index, tx)| recover(tx, &mut buffer).map_err(|_| BodyError::Sender { index }))
        .collect()
}

/// The ordered trie root of transactions.
pub fn transactions_root<T: BlockTransaction>(transactions: &[T]) -> B256 {
    lockstep_trie::ordered_root(transactions, |tx, out| tx.encode_2718(out))
}

/// The ordered trie root of withdrawals (EIP-4895).
pub fn withdrawals_root(withdrawals: &[Withdrawal]) -> B256 {
    lockstep_trie::ordered_root(withdrawals, |withdrawal, out| withdrawal.encode(out))
}

/// The roots in the header are those of the body.
pub(crate) fn validate_roots<T: BlockTransaction>(
    block: &alloy_consensus::Block<T, Header>,
) -> Result<(), BodyError> {
    let (header, body) = (&block.header, &block.body);
    let transactions_root = transactions_root(&body.transactions);
    expect("transactionsRoot", &header.transactions_root, &transactions_root)?;
    expect("sha3Uncles", &header.ommers_hash, &calculate_ommers_root(&body.ommers))?;
    Ok(())
}

/// The blobs of all transactions use the blob gas that the header states (EIP-4844).
pub(crate) fn validate_blob_gas<T: BlockTransaction>(
    block: &alloy_consensus::Block<T, Header>,
    max_blobs_per_transaction: u64,
) -> Result<(), BodyError> {
    let mut blob_gas_used = 0_u64;
    for (index, tx) in block.body.transactions.iter().enumerate() {
        let count = tx.blob_count().unwrap_or_default();
        if count > max_blobs_per_transaction {
            return Err(BodyError::TooManyBlobs { index, count, limit: max_blobs_per_transaction });
        }
        blob_gas_used = blob_gas_used.saturating_add(tx.blob_gas_used().unwrap_or_default());
    }
    expect("blobGasUsed", &block.header.blob_gas_used.unwrap_or_default(), &blob_gas_used)?;
    Ok(())
}
