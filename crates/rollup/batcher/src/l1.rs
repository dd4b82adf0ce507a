//! What the batcher needs from an L1 node.

use crate::SourceError;
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256};

/// The newest block of the L1 node, and what the next one charges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1Head {
    /// Number and hash.
    pub block: BlockNumHash,
    /// The hash of its parent.
    pub parent_hash: B256,
    /// When it was made, in Unix seconds.
    pub timestamp: u64,
    /// The base fee of the next block, in wei per gas.
    pub base_fee: u128,
    /// The base fee of blobs in the next block, in wei per blob gas.
    pub blob_base_fee: u128,
    /// The tip that the node suggests, in wei per gas.
    pub tip: u128,
}

/// At which point of the chain a nonce is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceAt {
    /// After the newest block.
    Latest,
    /// After the newest block and all consecutive transactions that wait in the node's pool.
    Pending,
}

/// Where a transaction was included, and what was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The block.
    pub block: BlockNumHash,
    /// Whether it was executed without a failure. Data counts for derivation either way.
    pub succeeded: bool,
    /// What it cost, in wei: gas and blob gas.
    pub fee: u128,
}

/// What the node's pool said to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It is in the pool now.
    Accepted,
    /// It was already in the pool.
    AlreadyKnown,
    /// Its nonce was used by an included transaction: this one or another.
    NonceTooLow,
    /// Another transaction with its nonce is in the pool, and this one does not pay enough more.
    ReplacementUnderpriced,
    /// It pays less than the next block or the pool asks for.
    Underpriced,
    /// The account has transactions of the other kind (with or without blobs) in the pool.
    AlreadyReserved,
    /// The account cannot pay for it.
    InsufficientFunds(String),
    /// The pool has no room for it now, or for this account, or its nonce is too far ahead.
    PoolFull(String),
    /// It was refused for another reason.
    Refused(String),
}

impl SendOutcome {
    /// What a node's error message means. Messages of go-ethereum, Reth, Nethermind, Besu and Erigon
    /// are known; those that are not count as [`Self::Refused`].
    pub fn from_message(message: &str) -> Self {
        let text = message.to_ascii_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
        if has(&["already known", "alreadyknown", "already imported", "known transaction"]) {
            Self::AlreadyKnown
        } else if has(&["nonce too low", "nonce is too low", "oldnonce", "nonce_too_low"]) {
            Self::NonceTooLow
        } else if has(&["replacement", "replacenotallowed", "not enough to replace"]) {
            Self::ReplacementUnderpriced
        } else if has(&[
            "already reserved",
            "already has blob",
            "existing tx",
            "conflictingtx",
            "conflictingtype",
            "transaction type conflict",
        ]) {
            Self::AlreadyReserved
        } else if has(&["insufficient funds", "insufficientfunds", "upfront cost exceeds"]) {
            Self::InsufficientFunds(message.to_owned())
        } else if has(&[
            "underpriced",
            "less than block base fee",
            "fee too low",
            "feetoolow",
            "below current minimum",
            "fee cap less than",
            "gas price below",
        ]) {
            Self::Underpriced
        } else if has(&[
            "pool is full",
            "pool full",
            "txpool is full",
            "account limit",
            "exceeds the limit",
            "too many",
            "nonce too high",
            "nonce gap",
            "nonce too far",
            "noncegap",
            "noncetoofar",
        ]) {
            Self::PoolFull(message.to_owned())
        } else {
            Self::Refused(message.to_owned())
        }
    }
}

/// The L1 node as the batcher uses it. All calls block.
///
/// Answers need not agree with each other: the node may change its mind about the chain between two
/// of them, or several nodes may answer in turn.
pub trait L1Submit {
    /// The newest block, and what the next one charges.
    ///
    /// # Errors
    /// If the node does not answer.
    fn head(&mut self) -> Result<L1Head, SourceError>;

    /// The next nonce of `account`.
    ///
    /// # Errors
    /// If the node does not answer.
    fn nonce(&mut self, account: Address, at: NonceAt) -> Result<u64, SourceError>;

    /// What `account` has after the newest block, in wei; more than fits counts as the most.
    ///
    /// # Errors
    /// If the node does not answer.
    fn balance(&mut self, account: Address) -> Result<u128, SourceError>;

    /// Gives a signed transaction, as it travels on the network (EIP-2718; blobs included), to the
    /// node's pool.
    ///
    /// # Errors
    /// If it is not known whether the node has taken it.
    fn send(&mut self, raw: &[u8]) -> Result<SendOutcome, SourceError>;

    /// Where the transaction `hash` stands in the node's canonical chain.
    ///
    /// # Errors
    /// If the node does not answer.
    fn inclusion(&mut self, hash: B256) -> Result<Option<Inclusion>, SourceError>;
}

impl<T: L1Submit + ?Sized> L1Submit for Box<T> {
    fn head(&mut self) -> Result<L1Head, SourceError> {
        (**self).head()
    }

    fn nonce(&mut self, account: Address, at: NonceAt) -> Result<u64, SourceError> {
        (**self).nonce(account, at)
    }

    fn balance(&mut self, account: Address) -> Result<u128, SourceError> {
        (**self).balance(account)
    }

    fn send(&mut self, raw: &[u8]) -> Result<SendOutcome, SourceError> {
        (**self).send(raw)
    }

    fn inclusion(&mut self, hash: B256) -> Result<Option<Inclusion>, SourceError> {
        (**self).inclusion(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_nodes_are_understood() {
        for (message, expected) in [
            ("already known", SendOutcome::AlreadyKnown),
            ("AlreadyKnown", SendOutcome::AlreadyKnown),
            ("nonce too low: next nonce 7, tx nonce 5", SendOutcome::NonceTooLow),
            ("replacement transaction underpriced", SendOutcome::ReplacementUnderpriced),
            (
                "replacement transaction underpriced: new tx gas fee cap 1 <= 1 queued",
                SendOutcome::ReplacementUnderpriced,
            ),
            ("address already reserved", SendOutcome::AlreadyReserved),
            ("PendingTxsOfConflictingType", SendOutcome::AlreadyReserved),
            ("pending transaction type conflict", SendOutcome::AlreadyReserved),
            ("transaction underpriced: gas tip cap 0, minimum needed 1", SendOutcome::Underpriced),
            (
                "max fee per gas less than block base fee: address 0x00, maxFeePerGas: 1, baseFee: 7",
                SendOutcome::Underpriced,
            ),
            ("FeeTooLow, EffectiveGasPrice too low", SendOutcome::Underpriced),
            ("txpool is full", SendOutcome::PoolFull("txpool is full".to_owned())),
            ("account limit exceeded", SendOutcome::PoolFull("account limit exceeded".to_owned())),
            ("NonceTooFarInFuture", SendOutcome::PoolFull("NonceTooFarInFuture".to_owned())),
            (
                "nonce too far in future",
                SendOutcome::PoolFull("nonce too far in future".to_owned()),
            ),
            (
                "insufficient funds for gas * price + value: balance 0, tx cost 1",
                SendOutcome::InsufficientFunds(
                    "insufficient funds for gas * price + value: balance 0, tx cost 1".to_owned(),
                ),
            ),
            ("invalid sender", SendOutcome::Refused("invalid sender".to_owned())),
        ] {
            assert_eq!(SendOutcome::from_message(message), expected, "{message}");
        }
    }
}
