//! A transaction in the pool.

use crate::{Pooled, SLOT_BYTES};
use alloy_consensus::{Transaction, Typed2718};
use alloy_eips::{eip2718::Encodable2718, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Address, B256, U256};

/// Where a transaction came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The operator of this node (over IPC, or the node's own signer): it is journalled, and has
    /// privileges. It has more slots and needs no tip, it does not expire, and up to
    /// [`crate::PoolConfig::local_share_percent`] of a sub-pool it is not evicted for others.
    Local,
    /// A user of this node, who may be anyone who reaches its JSON-RPC: it is journalled, and
    /// otherwise treated as one of a peer.
    User,
    /// A peer.
    External,
    /// A user of this node who wants it in a block and nowhere else: as [`Self::User`], but
    /// neither announced nor listed.
    Private,
}

impl Origin {
    /// Whether it was submitted to this node, which therefore must not lose it.
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Local | Self::User | Self::Private)
    }

    /// Whether it goes before those of strangers.
    pub const fn is_privileged(self) -> bool {
        matches!(self, Self::Local)
    }

    pub(crate) const fn to_byte(self) -> u8 {
        match self {
            Self::Local => 0,
            Self::External => 1,
            Self::Private => 2,
            Self::User => 3,
        }
    }

    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Local),
            1 => Some(Self::External),
            2 => Some(Self::Private),
            3 => Some(Self::User),
            _ => None,
        }
    }
}

/// A valid transaction, and what the pool needs to know of it. Immutable and shared.
#[derive(Debug)]
pub struct PoolTransaction<C: Pooled> {
    /// The transaction as peers exchange it: a blob transaction with its sidecar.
    pub tx: C::PooledTransaction,
    /// The transaction hash.
    pub hash: B256,
    /// Who signed it.
    pub sender: Address,
    /// Where it came from.
    pub origin: Origin,
    /// The most that it can take from its sender, in wei: fees, value, and what the chain charges
    /// beside (a rollup: for data on L1, as of when the transaction was added).
    pub cost: U256,
    /// Its place in the order of arrival.
    pub sequence: u64,
    /// Size of the network encoding in bytes, with the sidecar.
    pub size: usize,
    /// Accounts that sign over their code in it (EIP-7702).
    pub authorities: Vec<Address>,
}

impl<C: Pooled> PoolTransaction<C> {
    /// The transaction as it stands in a block.
    pub fn consensus(&self) -> C::Transaction {
        C::consensus(&self.tx)
    }

    /// The blobs with their commitments and proofs.
    pub fn sidecar(&self) -> Option<&BlobTransactionSidecarVariant> {
        C::sidecar(&self.tx)
    }

    /// The nonce.
    pub fn nonce(&self) -> u64 {
        self.tx.nonce()
    }

    /// Whether it carries blobs.
    pub fn is_blob(&self) -> bool {
        self.tx.is_eip4844()
    }

    /// `maxPriorityFeePerGas`; the gas price of a transaction without it.
    pub fn max_tip(&self) -> u128 {
        self.tx.max_priority_fee_per_gas().unwrap_or_else(|| self.tx.max_fee_per_gas())
    }

    /// What the block's beneficiary gets per gas at this base fee, in wei; negative if the base
    /// fee is not covered.
    pub fn effective_tip(&self, base_fee: u64) -> i128 {
        let signed = |fee: u128| i128::try_from(fee).unwrap_or(i128::MAX);
        let above_base = signed(self.tx.max_fee_per_gas()) - i128::from(base_fee);
        above_base.min(signed(self.max_tip()))
    }

    /// Whether it pays these prices.
    pub fn pays(&self, base_fee: u64, blob_base_fee: Option<u128>) -> bool {
        self.tx.max_fee_per_gas() >= u128::from(base_fee)
            && self
                .tx
                .max_fee_per_blob_gas()
                .is_none_or(|max| blob_base_fee.is_some_and(|fee| max >= fee))
    }

    /// Works out who signs over their code: a signature each, so it is done for a transaction that
    /// otherwise may enter.
    pub(crate) fn recover_authorities(&mut self) {
        let list = self.tx.authorization_list().unwrap_or_default();
        self.authorities = list.iter().filter_map(|one| one.recover_authority().ok()).collect();
    }

    /// The same transaction in another form, with the same hash.
    pub(crate) fn with_form(&self, tx: C::PooledTransaction) -> Self {
        Self {
            size: tx.encode_2718_len(),
            tx,
            hash: self.hash,
            sender: self.sender,
            origin: self.origin,
            cost: self.cost,
            sequence: self.sequence,
            authorities: self.authorities.clone(),
        }
    }

    /// What it takes of its sender's limit.
    pub(crate) fn slots(&self) -> usize {
        if self.is_blob() { 1 } else { self.size.div_ceil(SLOT_BYTES) }
    }

    /// Whether it may stand for `old`, which has the same sender and nonce: fee, tip and blob fee
    /// must each be above the old one by `bump_percent`.
    pub(crate) fn outbids(&self, old: &Self, bump_percent: u128) -> bool {
        let above = |new: u128, old: u128| {
            let least = old.saturating_mul(100 + bump_percent).div_ceil(100);
            new > old && new >= least
        };
        let blob_fee = |tx: &Self| tx.tx.max_fee_per_blob_gas();
        above(self.tx.max_fee_per_gas(), old.tx.max_fee_per_gas())
            && above(self.max_tip(), old.max_tip())
            && match (blob_fee(self), blob_fee(old)) {
                (Some(new), Some(old)) => above(new, old),
                _ => true,
            }
    }
}
