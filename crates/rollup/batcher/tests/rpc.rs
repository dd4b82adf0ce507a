//! Nodes behind JSON-RPC, as their answers are worded.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256};
use lockstep_batcher::{
    Inclusion, L1Head, L1Submit, L2Blocks, L2Status, NonceAt, RpcL1, RpcL2, SendOutcome,
};
use lockstep_protocol::RollupConfig;
use lockstep_providers::{
    Endpoint, L2Client, Request, Response, RpcClient, Transport, TransportError,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers by what was asked: `{method: result or {"error": message}}`.
#[derive(Debug)]
struct Node {
    endpoint: Endpoint,
    answers: Value,
}

impl Transport for Node {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let call: Value = serde_json::from_slice(request.body.unwrap()).unwrap();
        let answer = &self.answers[call["method"].as_str().unwrap()];
        let body = match answer.get("error") {
            Some(message) => {
                json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32000, "message": message}})
            }
            None => json!({"jsonrpc": "2.0", "id": call["id"], "result": answer}),
        };
        Ok(Response { status: 200, body: body.to_string().into_bytes() })
    }
}

fn node(answers: Value) -> RpcClient {
    RpcClient::new(Arc::new(Node { endpoint: Endpoint::new("http://node").unwrap(), answers }))
}

#[test]
fn the_head_is_the_newest_block_with_the_fees_of_the_next() {
    let hash = B256::repeat_byte(7);
    let mut l1 = RpcL1::new(node(json!({
        "eth_getBlockByNumber": {
            "number": "0x10", "hash": hash, "parentHash": B256::repeat_byte(6), "timestamp": "0x20",
            "miner": Address::ZERO,
        },
        "eth_feeHistory": {
            "oldestBlock": "0x10", "gasUsedRatio": [0.5],
            "baseFeePerGas": ["0x1", "0x2"], "baseFeePerBlobGas": ["0x3", "0x4"],
        },
        "eth_maxPriorityFeePerGas": "0x5",
        "eth_getTransactionCount": "0x9",
        "eth_getBalance": "0xde0b6b3a7640000",
    })));
    let expected = L1Head {
        block: BlockNumHash { number: 16, hash },
        parent_hash: B256::repeat_byte(6),
        timestamp: 32,
        base_fee: 2,
        blob_base_fee: 4,
        tip: 5,
    };
    assert_eq!(l1.head().unwrap(), expected);
    assert_eq!(l1.nonce(Address::ZERO, NonceAt::Pending).unwrap(), 9);
    assert_eq!(l1.balance(Address::ZERO).unwrap(), 10_u128.pow(18));
}

#[test]
fn a_receipt_tells_where_and_for_how_much() {
    let hash = B256::repeat_byte(7);
    let mut l1 = RpcL1::new(node(json!({ "eth_getTransactionReceipt": {
        "blockHash": hash, "blockNumber": "0x10", "status": "0x1", "gasUsed": "0x5208",
        "effectiveGasPrice": "0x2", "blobGasUsed": "0x20000", "blobGasPrice": "0x3",
    }})));
    let expected = Inclusion {
        block: BlockNumHash { number: 16, hash },
        succeeded: true,
        fee: 2 * 21_000 + 3 * 131_072,
    };
    assert_eq!(l1.inclusion(B256::ZERO).unwrap(), Some(expected));
    let mut l1 = RpcL1::new(node(json!({ "eth_getTransactionReceipt": null })));
    assert_eq!(l1.inclusion(B256::ZERO).unwrap(), None);
}

#[test]
fn what_a_pool_says_is_an_outcome_and_what_is_no_answer_an_error() {
    let send =
        |answer: Value| RpcL1::new(node(json!({"eth_sendRawTransaction": answer}))).send(&[1]);
    assert_eq!(send(json!(B256::ZERO)).unwrap(), SendOutcome::Accepted);
    assert_eq!(send(json!({"error": "already known"})).unwrap(), SendOutcome::AlreadyKnown);
    assert_eq!(
        send(json!({"error": "replacement transaction underpriced"})).unwrap(),
        SendOutcome::ReplacementUnderpriced
    );
    assert!(send(json!("no hash")).is_err());
}

#[test]
fn the_status_is_that_of_the_rollup_node() {
    let reference =
        |number: u64| json!({"hash": B256::with_last_byte(number as u8), "number": number});
    let rollup = node(json!({ "optimism_syncStatus": {
        "current_l1": reference(1), "head_l1": reference(2), "unsafe_l2": reference(3),
        "safe_l2": reference(4), "finalized_l2": reference(5),
    }}));
    let blocks = node(json!({ "eth_getBlockByNumber": null }));
    let config = Arc::new(RollupConfig::default());
    let mut l2 = RpcL2::new(rollup, L2Client::new(blocks, config));
    let id = |number: u64| BlockNumHash { number, hash: B256::with_last_byte(number as u8) };
    let expected = L2Status { unsafe_head: id(3), safe_head: id(4), current_l1: id(1) };
    assert_eq!(l2.status().unwrap(), expected);
    assert_eq!(l2.block(7).unwrap(), None);
}
