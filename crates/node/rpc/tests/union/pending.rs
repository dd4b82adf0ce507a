//! Blocks that are not complete: what is told of them, and what is refused.

use crate::{
    client::{request, result},
    world::{CALLER, HOME, PEER, TARGET, World, user, word},
};
use alloy_primitives::{Address, B256};
use serde_json::{Value, json};

/// What only a complete block has is null; what is known of the others is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_told_without_what_follows_from_its_end() {
    let world = World::start().await;
    let hash = world.open_block(CALLER, 1_000_000);
    for (chain, count) in [(HOME, 2), (PEER, 1)] {
        let at = world.address(chain);
        for full in [false, true] {
            let block = result(at, "eth_getBlockByNumber", json!(["pending", full])).await;
            for field in ["hash", "nonce", "stateRoot", "transactionsRoot", "receiptsRoot"] {
                assert_eq!(block.get(field), Some(&Value::Null), "{field}");
            }
            assert_eq!(block["number"], "0x1");
            assert_eq!(block["transactions"].as_array().unwrap().len(), count);
            let gas = block["gasUsed"].as_str().unwrap();
            assert!(u64::from_str_radix(&gas[2..], 16).unwrap() > 10_000, "{gas}");
            let is_empty = block["logsBloom"].as_str().unwrap().chars().skip(2).all(|it| it == '0');
            assert_eq!(is_empty, chain == HOME, "the peer's part has logged");
            if full {
                assert_eq!(block["transactions"][0]["blockHash"], Value::Null);
            }
        }
        let header = result(at, "eth_getHeaderByNumber", json!(["pending"])).await;
        assert_eq!((&header["hash"], &header["number"]), (&Value::Null, &json!("0x1")));
        let receipts = result(at, "eth_getBlockReceipts", json!(["pending"])).await;
        let receipts = receipts.as_array().unwrap();
        assert_eq!(receipts.len(), count);
        for receipt in receipts {
            assert_eq!(receipt.get("blockHash"), Some(&Value::Null));
            for log in receipt["logs"].as_array().unwrap() {
                assert_eq!(log.get("blockHash"), Some(&Value::Null));
                assert_eq!(log["blockNumber"], "0x1");
            }
        }
    }
    let home = world.address(HOME);
    let latest = result(home, "eth_getBlockByNumber", json!(["latest", false])).await;
    assert!(latest["hash"].is_string() && latest["stateRoot"].is_string());
    let by_hash = result(home, "eth_getTransactionByHash", json!([hash])).await;
    assert_eq!((&by_hash["hash"], &by_hash["blockHash"]), (&hash, &Value::Null));
}

/// Whoever was told that a transaction is in a block finds it there from then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_and_waits_is_answered_by_the_block_that_is_open() {
    let world = World::start().await;
    let at = world.address(HOME);
    let raw = world.raw(CALLER, 1_000_000);
    let waiting = tokio::spawn(async move {
        result(at, "eth_sendRawTransactionSync", json!([raw, "0x7530"])).await
    });
    while !world.has_pooled() {
        tokio::task::yield_now().await;
    }
    let hash = world.open_block(CALLER, 1_000_000);
    let receipt = waiting.await.unwrap();
    assert_eq!((&receipt["transactionHash"], &receipt["status"]), (&hash, &json!("0x1")));
    assert_eq!((&receipt["blockHash"], &receipt["blockNumber"]), (&Value::Null, &json!("0x1")));
    // What the transaction did is not there for who asks for `latest`, nor is the receipt.
    for unknown in [&hash, &json!(B256::ZERO)] {
        let receipt = result(at, "eth_getTransactionReceipt", json!([unknown])).await;
        assert_eq!(receipt, Value::Null);
    }
    world.make_block(CALLER, 1_000_000);
    let complete = result(at, "eth_getTransactionReceipt", json!([hash])).await;
    assert!(complete["blockHash"].is_string(), "{complete}");
    assert_eq!(complete["gasUsed"], receipt["gasUsed"]);
}

/// A block that is closed while somebody asks is in the chain, or still open: never neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_do_not_go_back_while_a_block_closes() {
    let world = World::start().await;
    let at = world.address(HOME);
    for number in ["0x1", "0x2"] {
        // The pool learns of heads in its own time.
        let hash = world.add_to_pool();
        assert_eq!(world.open_block(TARGET, 100_000), hash);
        let told = result(at, "lockstep_heads", json!([])).await;
        assert_eq!(told["preconfirmed"], json!({ "number": number, "hash": Value::Null }));
        assert_eq!(world.close_when_asked(TARGET, 100_000), hash);
        if number == "0x1" {
            let told = result(at, "lockstep_heads", json!([])).await;
            assert_eq!(told["preconfirmed"]["number"], number);
        }
        let told = result(at, "lockstep_confirmation", json!([hash])).await;
        assert_eq!(
            (&told["level"], &told["blockNumber"]),
            (&json!("preconfirmed"), &json!(number))
        );
    }
}

/// Its state has no trie: an empty proof would say that an account does not exist.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_complete_blocks_have_is_refused() {
    let world = World::start().await;
    world.open_block(CALLER, 1_000_000);
    let at = world.address(HOME);
    let simulation = json!({ "blockStateCalls": [{ "calls": [] }] });
    for (method, params) in [
        ("eth_getProof", json!([user(), [], "pending"])),
        ("eth_getAccount", json!([user(), "pending"])),
        ("eth_simulateV1", json!([simulation, "pending"])),
        ("eth_getLogs", json!([{ "fromBlock": "latest", "toBlock": "pending" }])),
        ("eth_getLogs", json!([{ "fromBlock": "pending" }])),
        ("debug_getRawHeader", json!(["pending"])),
        ("debug_getRawBlock", json!(["pending"])),
        ("debug_executionWitness", json!(["pending"])),
    ] {
        let answer = request(at, method, params).await;
        assert_eq!(answer["error"]["code"], -32000, "{method}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("the pending block has no "), "{method}: {message}");
    }
    let proof = result(at, "eth_getProof", json!([user(), [], "latest"])).await;
    assert!(!proof["accountProof"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_are_of_the_block_that_is_open() {
    let world = World::start().await;
    world.join();
    let hash = world.open_block(CALLER, 1_000_000);
    let at = world.address(HOME);
    let tracer = json!({ "tracer": "callTracer" });
    let traces = result(at, "debug_traceBlockByNumber", json!(["pending", tracer])).await;
    assert_eq!((&traces[1]["txHash"], &traces[1]["result"]["output"]), (&hash, &json!(word(1))));
    let flat = result(at, "trace_block", json!(["pending"])).await;
    assert_eq!(flat[1]["transactionHash"], hash, "{flat}");
    assert_eq!(flat[1]["blockHash"], Value::Null);
    let replayed = result(at, "trace_replayBlockTransactions", json!(["pending", ["trace"]])).await;
    assert_eq!(replayed[1]["transactionHash"], hash);
    let calls = json!([{ "from": user(), "to": CALLER }, "pending",
        { "tracer": "callTracer", "txIndex": "0x2" }]);
    let traced = result(at, "debug_traceCall", calls).await;
    assert_eq!(traced["output"], json!(word(2)), "after the transactions of the block: {traced}");
}

/// A call does not see one rollup before a super transaction, and the other after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_sees_all_rollups_as_they_were_shown_together() {
    let world = World::start().await;
    world.join();
    world.open_block(CALLER, 1_000_000);
    // Meanwhile the peer shows something else.
    world.hide(PEER);
    let asked = json!([{ "from": user(), "to": CALLER }, "pending"]);
    let answer = result(world.address(HOME), "eth_call", asked).await;
    assert_eq!(answer, json!(word(2)), "the super transaction has counted");
    let alone = json!([{ "from": user(), "to": TARGET }, "pending"]);
    let answer = result(world.address(PEER), "eth_call", alone).await;
    assert_eq!(answer, json!(word(1)));
    let nobody = json!([Address::ZERO, "pending"]);
    assert_eq!(result(world.address(HOME), "eth_getBalance", nobody).await, "0x0");
}
