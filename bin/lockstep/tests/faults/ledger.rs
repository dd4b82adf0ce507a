//! What a node acknowledged, and that it is still there.

use crate::{client::Client, sender::quantity};
use alloy_primitives::B256;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Transactions that the node took, and must not lose.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    open: BTreeSet<B256>,
    /// Those that are in blocks that stay.
    settled: Vec<B256>,
}

impl Transactions {
    pub(crate) fn acknowledge(&mut self, hashes: impl IntoIterator<Item = B256>) {
        self.open.extend(hashes);
    }

    pub(crate) fn count(&self) -> usize {
        self.open.len() + self.settled.len()
    }

    /// Each is in a block or waits for one. What is in blocks up to `final_block` stays there.
    pub(crate) fn assert_kept(&mut self, client: &Client, final_block: u64, what: &str) {
        let open: Vec<B256> = self.open.iter().copied().collect();
        let answers =
            client.ask_each("eth_getTransactionByHash", open.iter().map(|hash| json!([hash])));
        for (hash, answer) in open.into_iter().zip(answers) {
            assert!(!answer.is_null(), "{what}: transaction {hash} was lost");
            let number = &answer["blockNumber"];
            if !number.is_null() && quantity(number) <= final_block {
                self.open.remove(&hash);
                self.settled.push(hash);
            }
        }
        let sample: Vec<B256> = self.settled.iter().rev().step_by(37).take(100).copied().collect();
        let receipts =
            client.ask_each("eth_getTransactionReceipt", sample.iter().map(|hash| json!([hash])));
        for (hash, receipt) in sample.iter().zip(receipts) {
            assert_eq!(receipt["transactionHash"], json!(hash), "{what}: the receipt was lost");
        }
    }
}

/// Blocks that are canonical: their hashes.
pub(crate) type Blocks = BTreeMap<u64, B256>;

/// Each block is canonical under its number.
pub(crate) fn assert_canonical<'a>(
    client: &Client,
    blocks: impl IntoIterator<Item = (&'a u64, &'a B256)>,
    what: &str,
) {
    let blocks: Vec<_> = blocks.into_iter().collect();
    let params = blocks.iter().map(|(number, _)| json!([format!("{number:#x}"), false]));
    let answers = client.ask_each("eth_getBlockByNumber", params);
    for ((number, hash), answer) in blocks.into_iter().zip(answers) {
        assert_eq!(answer["hash"], json!(hash), "{what}: block {number} was lost");
    }
}
