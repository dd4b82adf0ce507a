//! JSON-RPC of two rollups of a union in one process.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

#[path = "../common/client.rs"]
mod client;
mod pending;
mod world;

use alloy_primitives::{Address, U256};
use client::{Socket, request, result};
use lockstep_union::{CallTree, Part, proxy_of};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr};
use world::{CALLER, HOME, PEER, TARGET, World, user, word};

fn call(to: Address) -> Value {
    json!({ "from": user(), "to": to })
}

async fn confirmation(at: SocketAddr, hash: &Value) -> Value {
    result(at, "lockstep_confirmation", json!([hash])).await["level"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_to_a_rollup_that_runs_in_the_same_process() {
    let world = World::start().await;
    let at = world.address(HOME);
    let asked = json!([call(CALLER), "latest"]);
    let before = request(at, "eth_call", asked.clone()).await;
    let message = "the call reaches rollup 902; ask a node that follows it, too";
    assert_eq!(before["error"]["message"], message, "the peer has not been added");
    assert_eq!(before["error"]["code"], -32000);

    world.join();
    assert_eq!(result(at, "eth_call", asked).await, json!(word(1)));
    let gas = result(at, "eth_estimateGas", json!([call(CALLER)])).await;
    let gas: U256 = serde_json::from_value(gas).unwrap();
    let list = result(at, "eth_createAccessList", json!([call(CALLER), "latest"])).await;
    assert!(list["error"].is_null(), "{list}");
    let tracer = json!([call(CALLER), "latest", { "tracer": "callTracer" }]);
    let trace = result(at, "debug_traceCall", tracer).await;
    assert_eq!(trace["calls"][0]["to"], json!(proxy_of(PEER, TARGET)));
    let simulated =
        json!([{ "blockStateCalls": [{ "calls": [call(CALLER), call(CALLER)] }] }, "latest"]);
    let blocks = result(at, "eth_simulateV1", simulated).await;
    for call in blocks[0]["calls"].as_array().unwrap() {
        assert_eq!((&call["status"], &call["returnData"]), (&json!("0x1"), &json!(word(1))));
    }

    // What was estimated suffices in the next block.
    let hash = world.make_block(CALLER, gas.to());
    let receipt = result(at, "eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["status"], "0x1", "{receipt}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_on_an_old_block_finds_the_peer_as_it_was() {
    let world = World::start().await;
    world.join();
    for _ in 0..3 {
        world.make_block(CALLER, 1_000_000);
    }
    for (block, count) in [("0x0", 1), ("0x1", 2), ("0x2", 3), ("latest", 4)] {
        let answer = result(world.address(HOME), "eth_call", json!([call(CALLER), block])).await;
        assert_eq!(answer, json!(word(count)), "on block {block}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_calls_find_what_is_pending_on_the_peer() {
    let world = World::start().await;
    world.join();
    let hash = world.open_block(CALLER, 1_000_000);
    let at = world.address(HOME);
    for (block, count) in [("latest", 1), ("pending", 2)] {
        let answer = result(at, "eth_call", json!([call(CALLER), block])).await;
        assert_eq!(answer, json!(word(count)), "{block}");
    }
    let told = result(at, "lockstep_confirmation", json!([hash])).await;
    let expected =
        json!({ "level": "preconfirmed", "blockNumber": "0x1", "blockHash": Value::Null });
    assert_eq!(told, expected);
    let super_transaction = result(at, "lockstep_getSuperTransaction", json!([hash])).await;
    assert_eq!(super_transaction["transactionHash"], hash);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_are_told_what_each_update_added() {
    let world = World::start().await;
    let mut socket = Socket::connect(world.address(HOME)).await;
    let id = socket.subscribe(json!(["updates"])).await;
    let hash = world.open_block(CALLER, 1_000_000);
    let told = socket.notification().await;
    assert_eq!(told["subscription"], json!(id));
    let update = &told["result"];
    let at = world.address(HOME);
    let pending = result(at, "eth_getBlockByNumber", json!(["pending", true])).await;
    for field in ["number", "parentHash", "timestamp", "transactions"] {
        assert_eq!(update[field], pending[field], "{field}");
    }
    assert_eq!(update["firstIndex"], "0x0");
    let receipts = result(at, "eth_getBlockReceipts", json!(["pending"])).await;
    assert_eq!(update["receipts"], receipts);
    assert!(receipts.as_array().unwrap().iter().any(|receipt| receipt["transactionHash"] == hash));

    // Who comes later is told all of the block with the next update, and who was there what is new.
    let mut late = Socket::connect(at).await;
    late.subscribe(json!(["updates"])).await;
    let known = update["transactions"].as_array().unwrap().len();
    let added = world.grow_block(CALLER, 1_000_000);
    let told = socket.notification().await;
    let (update, all) = (&told["result"], &late.notification().await["result"]);
    assert_eq!(update["firstIndex"], json!(format!("{known:#x}")));
    assert_eq!(update["transactions"].as_array().unwrap().len(), 1);
    assert_eq!(update["transactions"][0]["hash"], added);
    assert_eq!((&all["firstIndex"], &all["parentHash"]), (&json!("0x0"), &update["parentHash"]));
    assert_eq!(all["transactions"].as_array().unwrap().len(), known + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_block_is_told_with_what_no_update_showed() {
    let world = World::start().await;
    let at = world.address(HOME);
    let mut socket = Socket::connect(at).await;
    socket.subscribe(json!(["updates"])).await;
    world.open_block(CALLER, 1_000_000);
    let told = socket.notification().await["result"].clone();
    assert_eq!(told["hash"], Value::Null);
    let known = told["transactions"].as_array().unwrap().len();
    let added = world.close_grown_block(CALLER, 1_000_000);
    let told = socket.notification().await["result"].clone();
    let block = result(at, "eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!((&told["hash"], &told["parentHash"]), (&block["hash"], &block["parentHash"]));
    assert_eq!(told["firstIndex"], json!(format!("{known:#x}")));
    let transactions = told["transactions"].as_array().unwrap();
    assert_eq!((transactions.len(), &transactions[0]["hash"]), (1, &added));
    assert_eq!(transactions[0]["blockHash"], block["hash"]);
    let receipt = result(at, "eth_getTransactionReceipt", json!([added])).await;
    assert_eq!(told["receipts"], json!([receipt]));

    // The next block begins anew.
    world.open_block(TARGET, 1_000_000);
    let told = socket.notification().await["result"].clone();
    assert_eq!((&told["parentHash"], &told["firstIndex"]), (&block["hash"], &json!("0x0")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_super_transaction_is_told_by_both_rollups() {
    let world = World::start().await;
    let hash = world.make_block(CALLER, 1_000_000);
    let (home, peer) = (world.address(HOME), world.address(PEER));
    let on_home = result(home, "lockstep_getSuperTransaction", json!([hash])).await;
    assert_eq!(on_home["id"], json!({ "slot": "0x1", "index": "0x0" }));
    assert_eq!((&on_home["home"], &on_home["origin"]), (&json!("0x385"), &json!(user())));
    assert_eq!(on_home["transactionHash"], hash);
    let steps = &on_home["steps"];
    assert_eq!((&steps[0]["kind"], &steps[0]["direction"]), (&json!("call"), &json!("sent")));
    assert_eq!((&steps[0]["from"], &steps[0]["to"]), (&json!(CALLER), &json!(TARGET)));
    assert_eq!((&steps[1]["kind"], &steps[1]["output"]), (&json!("return"), &json!(word(1))));
    let by_part = result(home, "lockstep_getSuperTransaction", json!([on_home["partHash"]])).await;
    assert_eq!(by_part, on_home);

    let block = result(peer, "eth_getBlockByNumber", json!(["latest", false])).await;
    let part = &block["transactions"][0];
    let on_peer = result(peer, "lockstep_getSuperTransaction", json!([part])).await;
    assert_eq!((&on_peer["id"], &on_peer["partHash"]), (&on_home["id"], part));
    assert_eq!(on_peer["transactionHash"], Value::Null);
    assert_eq!(on_peer["steps"][0]["direction"], "received");
    assert_eq!(result(peer, "lockstep_getSuperTransaction", json!([hash])).await, Value::Null);

    let decode = |told: &Value| {
        let bytes: alloy_primitives::Bytes = serde_json::from_value(told["part"].clone()).unwrap();
        Part::decode(&mut &bytes[..], 100).unwrap()
    };
    let parts = BTreeMap::from([(HOME, decode(&on_home)), (PEER, decode(&on_peer))]);
    let tree = CallTree::assemble(&parts).unwrap();
    assert_eq!((tree.calls.len(), tree.calls[0].to), (1, TARGET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordinary_transaction_is_no_super_transaction() {
    let world = World::start().await;
    let hash = world.make_block(TARGET, 100_000);
    let at = world.address(HOME);
    assert_eq!(result(at, "lockstep_getSuperTransaction", json!([hash])).await, Value::Null);
    assert_eq!(confirmation(at, &hash).await, "preconfirmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmations_rise_from_the_pool_to_final() {
    let world = World::start().await;
    let at = world.address(HOME);
    let unknown = json!(alloy_primitives::B256::ZERO);
    assert_eq!(result(at, "lockstep_confirmation", json!([unknown])).await, Value::Null);
    let waiting = world.add_to_pool();
    assert_eq!(confirmation(at, &waiting).await, "pending");
    let hash = world.make_block(TARGET, 100_000);
    assert_eq!(confirmation(at, &hash).await, "preconfirmed");
    world.other_on_l1(1);
    assert_eq!(confirmation(at, &hash).await, "preconfirmed", "L1 has another block");
    world.on_l1(Some(1), None);
    assert_eq!(confirmation(at, &hash).await, "posted");
    world.choose(true, false);
    assert_eq!(confirmation(at, &hash).await, "safe");
    // Where it is known what is settled, nothing is final before.
    world.on_l1(Some(1), Some(0));
    world.choose(true, true);
    assert_eq!(confirmation(at, &hash).await, "safe");
    world.on_l1(Some(1), None);
    assert_eq!(confirmation(at, &hash).await, "final");
    world.on_l1(Some(1), Some(1));
    assert_eq!(confirmation(at, &hash).await, "final");
    let second = world.make_block(TARGET, 100_000);
    world.on_l1(Some(2), Some(2));
    assert_eq!(confirmation(at, &second).await, "settled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_told_by_confirmation_level() {
    let world = World::start().await;
    let at = world.address(HOME);
    let numbers = async || {
        let told = result(at, "lockstep_heads", json!([])).await;
        let number = |level: &str| told[level]["number"].as_str().map(str::to_owned);
        ["preconfirmed", "posted", "safe", "settled", "final"].map(number)
    };
    let expected = |numbers: [Option<&str>; 5]| numbers.map(|it| it.map(str::to_owned));
    world.make_block(TARGET, 100_000);
    assert_eq!(numbers().await, expected([Some("0x1"), None, None, None, None]));
    world.choose(true, true);
    // What is safe is posted, even if this node has not seen how.
    assert_eq!(
        numbers().await,
        expected([Some("0x1"), Some("0x1"), Some("0x1"), None, Some("0x1")])
    );
    world.make_block(TARGET, 100_000);
    world.other_on_l1(2);
    assert_eq!(
        numbers().await,
        expected([Some("0x2"), Some("0x1"), Some("0x1"), None, Some("0x1")])
    );
    world.on_l1(Some(2), Some(0));
    let told = result(at, "lockstep_heads", json!([])).await;
    let latest = result(at, "eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(told["posted"], json!({ "number": latest["number"], "hash": latest["hash"] }));
    // Where it is known what is settled, nothing is final before.
    assert_eq!(
        (&told["settled"]["number"], &told["final"]["number"]),
        (&json!("0x0"), &json!("0x0"))
    );
    world.open_block(TARGET, 100_000);
    let told = result(at, "lockstep_heads", json!([])).await;
    assert_eq!(told["preconfirmed"], json!({ "number": "0x3", "hash": Value::Null }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_with_parts_are_traced_over_rpc() {
    let world = World::start().await;
    let hash = world.make_block(CALLER, 1_000_000);
    let (home, peer) = (world.address(HOME), world.address(PEER));
    let tracer = json!({ "tracer": "callTracer" });
    let trace = result(home, "debug_traceTransaction", json!([hash, tracer])).await;
    assert_eq!(trace["output"], json!(word(1)));
    let traces = result(peer, "debug_traceBlockByNumber", json!(["latest", tracer])).await;
    assert_eq!(traces[0]["result"]["calls"][0]["to"], json!(TARGET));
    let flat = result(home, "trace_transaction", json!([hash])).await;
    assert_eq!(flat.as_array().unwrap().len(), 3, "caller, proxy, port");
}
