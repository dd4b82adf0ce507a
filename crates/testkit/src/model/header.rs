//! Block headers, in the names of fixtures and of JSON-RPC.

use crate::fields::{HexBytes, Number, Quantity};
use alloy_consensus::Header;
use alloy_primitives::{Address, B64, B256, Bloom};
use serde::Deserialize;

/// A header as fixtures and `eth_getBlock…` answers spell it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names of the header's fields")]
pub struct HeaderFields {
    pub parent_hash: B256,
    #[serde(alias = "sha3Uncles")]
    pub uncle_hash: B256,
    #[serde(alias = "miner")]
    pub coinbase: Address,
    pub state_root: B256,
    #[serde(alias = "transactionsRoot")]
    pub transactions_trie: B256,
    #[serde(alias = "receiptsRoot")]
    pub receipt_trie: B256,
    #[serde(alias = "logsBloom")]
    pub bloom: Bloom,
    pub difficulty: Quantity,
    pub number: Number,
    pub gas_limit: Number,
    pub gas_used: Number,
    pub timestamp: Number,
    pub extra_data: HexBytes,
    pub mix_hash: B256,
    pub nonce: B64,
    pub base_fee_per_gas: Option<Number>,
    pub withdrawals_root: Option<B256>,
    pub blob_gas_used: Option<Number>,
    pub excess_blob_gas: Option<Number>,
    pub parent_beacon_block_root: Option<B256>,
    pub requests_hash: Option<B256>,
    pub hash: B256,
}

impl HeaderFields {
    /// The header these fields describe.
    pub fn header(&self) -> Header {
        Header {
            parent_hash: self.parent_hash,
            ommers_hash: self.uncle_hash,
            beneficiary: self.coinbase,
            state_root: self.state_root,
            transactions_root: self.transactions_trie,
            receipts_root: self.receipt_trie,
            logs_bloom: self.bloom,
            difficulty: self.difficulty.0,
            number: self.number.0,
            gas_limit: self.gas_limit.0,
            gas_used: self.gas_used.0,
            timestamp: self.timestamp.0,
            extra_data: self.extra_data.0.clone(),
            mix_hash: self.mix_hash,
            nonce: self.nonce,
            base_fee_per_gas: self.base_fee_per_gas.map(|number| number.0),
            withdrawals_root: self.withdrawals_root,
            blob_gas_used: self.blob_gas_used.map(|number| number.0),
            excess_blob_gas: self.excess_blob_gas.map(|number| number.0),
            parent_beacon_block_root: self.parent_beacon_block_root,
            requests_hash: self.requests_hash,
            ..Default::default()
        }
    }
}
