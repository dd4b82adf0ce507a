//! What a chain adds to its definition so that it can be told in JSON.

mod config;
mod ethereum;
mod l1_fee;
mod rollup;

pub use config::{BlobSchedule, ForkConfig, ForkConfigs};
pub(crate) use rollup::output_root;

use alloy_consensus::{Header, TxReceipt};
use alloy_primitives::{Address, B256, Sealed};
use alloy_rpc_types_eth::{Log, TransactionInfo};
use lockstep_chain::Block;
use lockstep_inspect::Inspect;
use lockstep_pool::Pooled;
use lockstep_storage::RecoveredBlock;
use serde::Serialize;
use std::ops::Range;

/// A chain whose blocks, transactions and receipts can be told in JSON.
pub trait RpcChain: Inspect + Pooled {
    /// A transaction in JSON.
    type RpcTransaction: Serialize + Clone + Send + Sync + 'static;
    /// A receipt in JSON.
    type RpcReceipt: Serialize + Clone + Send + Sync + 'static;

    /// A transaction as JSON; `info` is empty for one that is not in a block. `receipt` is given
    /// for one that is, if [`Self::NEEDS_RECEIPTS`].
    fn rpc_transaction(
        &self,
        transaction: Self::Transaction,
        sender: Address,
        info: TransactionInfo,
        receipt: Option<&Self::Receipt>,
    ) -> Self::RpcTransaction;

    /// Whether transactions in blocks tell something that stands in their receipts.
    const NEEDS_RECEIPTS: bool;

    /// The receipts of the transactions in `range` of a block. `senders` and `receipts` are all
    /// senders and receipts of the block.
    fn rpc_receipts(
        &self,
        block: &Sealed<Block<Self>>,
        senders: &[Address],
        receipts: &[Self::Receipt],
        range: Range<usize>,
    ) -> Vec<Self::RpcReceipt>;

    /// The price of blob gas in the block with this header, in wei; `None` without blobs.
    fn blob_base_fee(&self, header: &Header) -> Option<u128>;

    /// The price of blob gas in a child of `parent` at `timestamp`, in wei; `None` without blobs.
    fn next_blob_base_fee(&self, parent: &Header, timestamp: u64) -> Option<u128>;

    /// The most blob gas that a block with this header may use; zero without blobs.
    fn max_blob_gas(&self, header: &Header) -> u64;

    /// The fork's parameters in the block with this header, the next fork's and the last's
    /// (EIP-7910); `None` if the chain has no such description.
    fn fork_configs(
        &self,
        header: &Header,
        genesis: B256,
        genesis_timestamp: u64,
    ) -> Option<ForkConfigs> {
        let _ = (header, genesis, genesis_timestamp);
        None
    }
}

/// Where a transaction of a block stands, for [`RpcChain::rpc_transaction`].
pub(crate) fn transaction_info<C: RpcChain>(
    block: &RecoveredBlock<C>,
    index: usize,
) -> TransactionInfo {
    TransactionInfo {
        hash: None,
        index: Some(index as u64),
        block_hash: Some(block.hash()),
        block_number: Some(block.number()),
        base_fee: block.block.header.base_fee_per_gas,
        block_timestamp: Some(block.block.header.timestamp),
    }
}

/// What the receipts before it say about the receipt of a transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Preceding {
    /// Gas used by the transactions before.
    pub(crate) gas: u64,
    /// Logs of the transactions before.
    pub(crate) logs: usize,
}

impl Preceding {
    pub(crate) fn of<R: TxReceipt>(receipts: &[R], index: usize) -> Self {
        let before = receipts.get(..index).unwrap_or(receipts);
        Self {
            gas: before.last().map_or(0, TxReceipt::cumulative_gas_used),
            logs: before.iter().map(|receipt| receipt.logs().len()).sum(),
        }
    }

    pub(crate) fn advance<R: TxReceipt>(&mut self, receipt: &R) {
        self.gas = receipt.cumulative_gas_used();
        self.logs += receipt.logs().len();
    }
}

/// A log of a block as JSON.
pub(crate) fn rpc_log<T>(
    log: &alloy_primitives::Log,
    block: &Sealed<alloy_consensus::Block<T>>,
    transaction_hash: B256,
    transaction_index: usize,
    log_index: usize,
    removed: bool,
) -> Log {
    Log {
        inner: log.clone(),
        block_hash: Some(block.seal()),
        block_number: Some(block.header.number),
        block_timestamp: Some(block.header.timestamp),
        transaction_hash: Some(transaction_hash),
        transaction_index: Some(transaction_index as u64),
        log_index: Some(log_index as u64),
        removed,
    }
}
