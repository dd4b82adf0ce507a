//! A small L1 with transactions, receipts and reorganisations, as JSON.

use crate::fake::{FakeNode, Outcome, UNKNOWN_METHOD};
use alloy_consensus::{
    Eip658Value, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, SignableTransaction,
    TxEip1559, TxEnvelope, TxLegacy,
};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{
    Address, B256, Bloom, Bytes, Log, LogData, Sealable, Sealed, Signature, TxKind, U256, address,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

/// A block with everything that a node knows of it.
#[derive(Clone, Debug)]
pub(crate) struct FakeBlock {
    pub(crate) header: Sealed<Header>,
    pub(crate) transactions: Vec<TxEnvelope>,
    pub(crate) receipts: Vec<ReceiptEnvelope>,
}

/// A chain, and the blocks that were canonical once.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeL1 {
    pub(crate) canonical: Vec<FakeBlock>,
    pub(crate) orphans: Vec<FakeBlock>,
}

pub(crate) type SharedL1 = Arc<Mutex<FakeL1>>;

const SENDER: Address = address!("00000000000000000000000000000000000000aa");

fn transaction(nonce: u64) -> TxEnvelope {
    let signature = Signature::new(U256::from(1), U256::from(nonce + 1), false);
    let (to, value) = (TxKind::Call(Address::repeat_byte(0xff)), U256::from(nonce));
    let input = Bytes::from(vec![nonce as u8; 40]);
    if nonce.is_multiple_of(2) {
        let tx = TxEip1559 { chain_id: 1, nonce, to, value, input, ..Default::default() };
        tx.into_signed(signature).into()
    } else {
        let tx = TxLegacy { chain_id: Some(1), nonce, to, value, input, ..Default::default() };
        tx.into_signed(signature).into()
    }
}

fn receipt(transaction: &TxEnvelope, index: u64) -> ReceiptEnvelope {
    let data = LogData::new_unchecked(vec![B256::repeat_byte(1)], Bytes::from(vec![index as u8]));
    let logs = vec![Log { address: SENDER, data }];
    let logs_bloom: Bloom = alloy_primitives::logs_bloom(&logs);
    let status = Eip658Value::Eip658(index != 1);
    let receipt = Receipt { status, cumulative_gas_used: 21_000 * (index + 1), logs };
    let receipt = ReceiptWithBloom { receipt, logs_bloom };
    match transaction {
        TxEnvelope::Legacy(_) => ReceiptEnvelope::Legacy(receipt),
        _ => ReceiptEnvelope::Eip1559(receipt),
    }
}

fn root<T: Encodable2718>(items: &[T]) -> B256 {
    lockstep_trie::ordered_root(items, |item, out| item.encode_2718(out))
}

impl FakeBlock {
    /// The child of `parent`, with this many transactions; `salt` makes siblings differ.
    pub(crate) fn child(parent: Option<&Self>, transactions: u64, salt: u8) -> Self {
        let number = parent.map_or(0, |parent| parent.header.number + 1);
        let transactions: Vec<TxEnvelope> =
            (0..transactions).map(|index| transaction(number * 100 + index)).collect();
        let receipts: Vec<ReceiptEnvelope> =
            transactions.iter().zip(0..).map(|(tx, index)| receipt(tx, index)).collect();
        let header = Header {
            parent_hash: parent.map_or(B256::ZERO, |parent| parent.header.hash()),
            number,
            timestamp: 1_000 + 12 * number,
            transactions_root: root(&transactions),
            receipts_root: root(&receipts),
            extra_data: Bytes::from(vec![salt]),
            base_fee_per_gas: Some(7),
            ..Header::default()
        };
        Self { header: header.seal_slow(), transactions, receipts }
    }

    fn header_json(&self) -> Value {
        serde_json::to_value(alloy_rpc_types_eth::Header::from_sealed(self.header.clone())).unwrap()
    }

    pub(crate) fn json(&self, full: bool) -> Value {
        let mut block = self.header_json();
        let transaction = |(tx, index): (&TxEnvelope, u64)| {
            if !full {
                return json!(tx.tx_hash());
            }
            let mut value = serde_json::to_value(tx).unwrap();
            value["from"] = json!(SENDER);
            value["blockHash"] = json!(self.header.hash());
            value["blockNumber"] = json!(format!("{:#x}", self.header.number));
            value["transactionIndex"] = json!(format!("{index:#x}"));
            value
        };
        block["transactions"] = self.transactions.iter().zip(0..).map(transaction).collect();
        block["uncles"] = json!([]);
        block
    }

    pub(crate) fn receipt_json(&self, index: usize) -> Value {
        let mut value = serde_json::to_value(&self.receipts[index]).unwrap();
        let logs = value["logs"].as_array_mut().unwrap();
        for log in logs {
            log["removed"] = json!(false);
            log["logIndex"] = json!("0x0");
            log["blockHash"] = json!(self.header.hash());
            log["blockNumber"] = json!(format!("{:#x}", self.header.number));
            log["transactionHash"] = json!(self.transactions[index].tx_hash());
            log["transactionIndex"] = json!(format!("{index:#x}"));
        }
        value["transactionHash"] = json!(self.transactions[index].tx_hash());
        value["transactionIndex"] = json!(format!("{index:#x}"));
        value["gasUsed"] = json!("0x5208");
        value["effectiveGasPrice"] = json!("0x7");
        value["from"] = json!(SENDER);
        value["to"] = json!(SENDER);
        value["contractAddress"] = Value::Null;
        value["blockHash"] = json!(self.header.hash());
        value["blockNumber"] = json!(format!("{:#x}", self.header.number));
        value
    }

    pub(crate) fn receipts_json(&self) -> Value {
        (0..self.receipts.len()).map(|index| self.receipt_json(index)).collect()
    }
}

impl FakeL1 {
    /// A chain of `length` blocks; block `n` has `n % 4` transactions.
    pub(crate) fn new(length: u64) -> Self {
        let mut l1 = Self::default();
        l1.extend(length, 0);
        l1
    }

    pub(crate) fn shared(length: u64) -> SharedL1 {
        Arc::new(Mutex::new(Self::new(length)))
    }

    pub(crate) fn extend(&mut self, blocks: u64, salt: u8) {
        for _ in 0..blocks {
            let number = self.canonical.len() as u64;
            let block = FakeBlock::child(self.canonical.last(), number % 4, salt);
            self.canonical.push(block);
        }
    }

    /// Replaces the newest `depth` blocks by as many others.
    pub(crate) fn reorg(&mut self, depth: usize, salt: u8) {
        let kept = self.canonical.len() - depth;
        self.orphans.extend(self.canonical.drain(kept..));
        self.extend(depth as u64, salt);
    }

    pub(crate) fn by_hash(&self, hash: &Value) -> Option<&FakeBlock> {
        let hash: B256 = serde_json::from_value(hash.clone()).unwrap();
        self.canonical.iter().chain(&self.orphans).find(|block| block.header.hash() == hash)
    }

    pub(crate) fn by_number(&self, at: &Value) -> Option<&FakeBlock> {
        match at.as_str().unwrap() {
            "latest" => self.canonical.last(),
            "safe" | "finalized" => self.canonical.first(),
            number => self.canonical.get(usize::from_str_radix(&number[2..], 16).unwrap()),
        }
    }

    /// What a truthful node answers.
    pub(crate) fn answer(&self, method: &str, params: &Value) -> Outcome {
        let full = params[1].as_bool().unwrap_or_default();
        let block = |block: Option<&FakeBlock>| json!(block.map(|block| block.json(full)));
        Ok(match method {
            "eth_chainId" => json!("0x1"),
            "eth_getBlockByNumber" => block(self.by_number(&params[0])),
            "eth_getBlockByHash" => block(self.by_hash(&params[0])),
            "eth_getBlockReceipts" => {
                json!(self.by_hash(&params[0]).map(FakeBlock::receipts_json))
            }
            "eth_getTransactionReceipt" => {
                let all = self.canonical.iter().chain(&self.orphans);
                let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
                let found = all.into_iter().find_map(|block| {
                    let index = block.transactions.iter().position(|tx| *tx.tx_hash() == hash)?;
                    Some(block.receipt_json(index))
                });
                json!(found)
            }
            _ => return UNKNOWN_METHOD,
        })
    }
}

/// A truthful node of a chain that changes.
pub(crate) fn node(l1: &SharedL1) -> FakeNode {
    let l1 = Arc::clone(l1);
    FakeNode::new(move |method, params| l1.lock().answer(method, params))
}
