//! What a customized chain is: what the chain itself is.

use super::Customized;
use alloy_consensus::Receipt;
use alloy_primitives::{Address, B256, Bloom, Sealed, U256};
use lockstep_chain::{Block, BodyError, Chain, HeaderError};
use lockstep_execution::{Execute, StateCommitment};

impl<C: Execute, S: StateCommitment> Chain for Customized<C, S> {
    type Transaction = C::Transaction;
    type Receipt = C::Receipt;
    type Header = C::Header;
    type Fork = C::Fork;

    fn chain_id(&self) -> u64 {
        self.chain.chain_id()
    }

    fn fork(&self, header: &C::Header) -> C::Fork {
        self.chain.fork(header)
    }

    fn validate_header(&self, header: &C::Header) -> Result<(), HeaderError> {
        self.chain.validate_header(header)
    }

    fn validate_header_against_parent(
        &self,
        header: &C::Header,
        parent: &Sealed<C::Header>,
        parent_total_difficulty: Option<U256>,
    ) -> Result<(), HeaderError> {
        self.chain.validate_header_against_parent(header, parent, parent_total_difficulty)
    }

    fn validate_body(&self, block: &Block<Self>) -> Result<(), BodyError> {
        self.chain.validate_body(block)
    }

    fn recover_senders_of(
        &self,
        header: &C::Header,
        transactions: &[C::Transaction],
    ) -> Result<Vec<Address>, BodyError> {
        self.chain.recover_senders_of(header, transactions)
    }

    fn next_base_fee(&self, parent: &C::Header, timestamp: u64) -> Option<u64> {
        self.chain.next_base_fee(parent, timestamp)
    }

    fn receipt(
        &self,
        header: &C::Header,
        transaction: &C::Transaction,
        receipt: Receipt,
        deposit_nonce: Option<u64>,
    ) -> C::Receipt {
        self.chain.receipt(header, transaction, receipt, deposit_nonce)
    }

    fn receipts_root(&self, header: &C::Header, receipts: &[C::Receipt]) -> (B256, Bloom) {
        self.chain.receipts_root(header, receipts)
    }
}
