//! How a customized chain is told in JSON: as the chain itself.

use super::Customized;
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Sealed};
use alloy_rpc_types_eth::TransactionInfo;
use lockstep_chain::Block;
use lockstep_execution::StateCommitment;
use lockstep_rpc::{ForkConfigs, RpcChain};
use std::ops::Range;

impl<C: RpcChain, S: StateCommitment> RpcChain for Customized<C, S> {
    type RpcTransaction = C::RpcTransaction;
    type RpcReceipt = C::RpcReceipt;

    const NEEDS_RECEIPTS: bool = C::NEEDS_RECEIPTS;

    fn rpc_transaction(
        &self,
        transaction: C::Transaction,
        sender: Address,
        info: TransactionInfo,
        receipt: Option<&C::Receipt>,
    ) -> C::RpcTransaction {
        self.chain.rpc_transaction(transaction, sender, info, receipt)
    }

    fn rpc_receipts(
        &self,
        block: &Sealed<Block<Self>>,
        senders: &[Address],
        receipts: &[C::Receipt],
        range: Range<usize>,
    ) -> Vec<C::RpcReceipt> {
        self.chain.rpc_receipts(block, senders, receipts, range)
    }

    fn blob_base_fee(&self, header: &Header) -> Option<u128> {
        self.chain.blob_base_fee(header)
    }

    fn next_blob_base_fee(&self, parent: &Header, timestamp: u64) -> Option<u128> {
        self.chain.next_blob_base_fee(parent, timestamp)
    }

    fn max_blob_gas(&self, header: &Header) -> u64 {
        self.chain.max_blob_gas(header)
    }

    fn fork_configs(
        &self,
        header: &Header,
        genesis: B256,
        genesis_timestamp: u64,
    ) -> Option<ForkConfigs> {
        self.chain.fork_configs(header, genesis, genesis_timestamp)
    }
}
