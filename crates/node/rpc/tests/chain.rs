//! Methods on a chain of our own: logs against a naive scan, reorgs, proofs, submission.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod common;

use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rpc_types_eth::Log;
use common::{
    Node,
    client::{Socket, error_code, request, result},
    dev::{KEEPER, LOGGER, LOOPER, OTHER_LOGGER, call, key, word},
};
use lockstep_pool::Origin;
use lockstep_rpc::Limits;
use lockstep_trie::{Nibbles, TrieAccount, verify_proof};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use std::net::SocketAddr;

fn address(node: &Node) -> SocketAddr {
    node.server.address().unwrap()
}

/// Twelve blocks of calls that log few different topics.
fn with_logs(node: &Node) {
    let mut nonce = 0;
    for block in 0..12_u64 {
        for index in 0..block % 4 {
            let to = if (block + index) % 3 == 0 { OTHER_LOGGER } else { LOGGER };
            let transaction = call(nonce, to, word((block * 7 + index) % 5));
            node.pool.add_raw(&transaction, Origin::Local).unwrap();
            nonce += 1;
        }
        let mined = node.mine();
        assert_eq!(mined.block.transactions().len() as u64, block % 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_queries_agree_with_a_scan_of_all_logs() {
    let node = Node::dev(Limits::default()).await;
    with_logs(&node);
    let at = address(&node);
    let all = json!([{ "fromBlock": "0x0", "toBlock": "latest" }]);
    let all: Vec<Log> = serde_json::from_value(result(at, "eth_getLogs", all).await).unwrap();
    assert_eq!(all.len(), (0..12).map(|block| block % 4).sum::<usize>());
    for pair in all.windows(2) {
        let key = |log: &Log| (log.block_number, log.log_index);
        assert!(key(&pair[0]) < key(&pair[1]));
    }
    let filter = (
        0_u64..=12,
        0_u64..=12,
        proptest::collection::vec(
            prop_oneof![Just(LOGGER), Just(OTHER_LOGGER), Just(KEEPER)],
            0..3,
        ),
        proptest::option::of(proptest::collection::vec(0_u64..6, 0..4)),
    );
    let handle = tokio::runtime::Handle::current();
    let check = move || {
        let mut runner = TestRunner::new(ProptestConfig { cases: 96, ..Default::default() });
        runner.run(&filter, |(from, to, addresses, topics)| {
            let topics = topics.map(|topics| {
                topics.into_iter().map(|topic| B256::from(U256::from(topic))).collect::<Vec<_>>()
            });
            let params = json!([{
                "fromBlock": format!("{from:#x}"),
                "toBlock": format!("{to:#x}"),
                "address": addresses,
                "topics": [topics],
            }]);
            let answer = handle.block_on(request(at, "eth_getLogs", params));
            if from > to {
                prop_assert_eq!(&answer["error"]["code"], &json!(-32602));
                return Ok(());
            }
            let got: Vec<Log> = serde_json::from_value(answer["result"].clone()).unwrap();
            let expected: Vec<Log> = all
                .iter()
                .filter(|log| (from..=to).contains(&log.block_number.unwrap()))
                .filter(|log| addresses.is_empty() || addresses.contains(&log.address()))
                .filter(|log| {
                    topics
                        .as_ref()
                        .is_none_or(|topics| topics.is_empty() || topics.contains(&log.topics()[0]))
                })
                .cloned()
                .collect();
            prop_assert_eq!(got, expected);
            Ok(())
        })
    };
    tokio::task::spawn_blocking(check).await.unwrap().unwrap();
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_ranges_and_results_have_limits() {
    let node = Node::dev(Limits { log_blocks: 5, log_results: 3, ..Limits::default() }).await;
    with_logs(&node);
    let at = address(&node);
    let range = |from: u64, to: u64| json!([{ "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}") }]);
    assert_eq!(error_code(at, "eth_getLogs", range(0, 5)).await, -32005);
    assert_eq!(error_code(at, "eth_getLogs", range(8, 12)).await, -32005);
    assert!(result(at, "eth_getLogs", range(1, 3)).await.is_array());
    assert_eq!(error_code(at, "eth_getLogs", range(9, 13)).await, -32602);
    let addresses: Vec<_> = (0..1_001_u64)
        .map(|i| alloy_primitives::Address::left_padding_from(&i.to_be_bytes()))
        .collect();
    assert_eq!(error_code(at, "eth_getLogs", json!([{ "address": addresses }])).await, -32602);
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_and_subscriptions_take_logs_back_after_a_reorg() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    let mut socket = Socket::connect(at).await;
    let heads = socket.subscribe(json!(["newHeads"])).await;
    let logs = socket.subscribe(json!(["logs", { "address": LOGGER }])).await;
    let log_filter = result(at, "eth_newFilter", json!([{ "address": LOGGER }])).await;
    let block_filter = result(at, "eth_newBlockFilter", json!([])).await;
    let pending_filter = result(at, "eth_newPendingTransactionFilter", json!([])).await;
    let hash = node.pool.add_raw(&call(0, LOGGER, word(5)), Origin::Local).unwrap();
    let first = node.mine().block.hash();
    let poll = |filter: &Value| {
        let filter = filter.clone();
        async move { result(at, "eth_getFilterChanges", json!([filter])).await }
    };
    let told = poll(&log_filter).await;
    assert_eq!((&told[0]["blockHash"], &told[0]["removed"]), (&json!(first), &json!(false)));
    assert_eq!(poll(&log_filter).await, json!([]));
    assert_eq!(poll(&block_filter).await, json!([first]));
    // The pool tells on a thread of its own.
    loop {
        let pending = poll(&pending_filter).await;
        if pending != json!([]) {
            assert_eq!(pending, json!([hash]));
            break;
        }
    }
    let head = node.reorg(1);
    let told = poll(&log_filter).await;
    assert_eq!(told.as_array().unwrap().len(), 1);
    assert_eq!((&told[0]["blockHash"], &told[0]["removed"]), (&json!(first), &json!(true)));
    let blocks = poll(&block_filter).await;
    assert_eq!((blocks.as_array().unwrap().len(), &blocks[1]), (2, &json!(head)));
    // Subscribers hear the same in order.
    let mut told = Vec::new();
    while told.len() < 5 {
        let notification = socket.notification().await;
        let result = &notification["result"];
        if notification["subscription"] == json!(heads) {
            told.push(("head", result["hash"].clone(), Value::Null));
        } else {
            assert_eq!(notification["subscription"], json!(logs));
            told.push(("log", result["blockHash"].clone(), result["removed"].clone()));
        }
    }
    let heads: Vec<_> = told.iter().filter(|(what, ..)| *what == "head").collect();
    assert_eq!((heads.len(), &heads[0].1, &heads[2].1), (3, &json!(first), &json!(head)));
    let logs: Vec<_> = told.iter().filter(|(what, ..)| *what == "log").collect();
    assert_eq!((&logs[0].1, &logs[0].2), (&json!(first), &json!(false)));
    assert_eq!((&logs[1].1, &logs[1].2), (&json!(first), &json!(true)));
    assert_eq!(result(at, "eth_uninstallFilter", json!([log_filter])).await, true);
    assert_eq!(error_code(at, "eth_getFilterChanges", json!([log_filter])).await, -32000);
    assert_eq!(error_code(at, "eth_getFilterLogs", json!([block_filter])).await, -32000);
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_off_the_chain_are_found_by_hash_and_refused_as_canonical() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    node.pool.add_raw(&call(0, KEEPER, word(9)), Origin::Local).unwrap();
    let side = node.mine().block.hash();
    node.reorg(1);
    let slot = |block: Value| json!([KEEPER, "0x0", block]);
    let latest = result(at, "eth_getStorageAt", slot(json!("latest"))).await;
    assert_eq!(latest, json!(B256::ZERO));
    let aside = result(at, "eth_getStorageAt", slot(json!({ "blockHash": side }))).await;
    assert_eq!(aside, json!(B256::from(U256::from(9))));
    let canonical = json!({ "blockHash": side, "requireCanonical": true });
    assert_eq!(error_code(at, "eth_getStorageAt", slot(canonical)).await, -32000);
    let block = result(at, "eth_getBlockByHash", json!([side, true])).await;
    assert_eq!(block["transactions"].as_array().unwrap().len(), 1);
    let unknown = slot(json!({ "blockHash": B256::repeat_byte(1) }));
    assert_eq!(error_code(at, "eth_getStorageAt", unknown).await, -32000);
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proofs_hold_against_the_state_root() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    node.pool.add_raw(&call(0, KEEPER, word(9)), Origin::Local).unwrap();
    node.mine();
    for block in ["0x0", "0x1"] {
        let header = result(at, "eth_getBlockByNumber", json!([block, false])).await;
        let root: B256 = serde_json::from_value(header["stateRoot"].clone()).unwrap();
        let missing = alloy_primitives::Address::repeat_byte(0x77);
        for account in [KEEPER, key().address(), missing] {
            let params = json!([account, ["0x0", B256::with_last_byte(1), "0x2"], block]);
            let proof = result(at, "eth_getProof", params).await;
            let nodes =
                |value: &Value| serde_json::from_value::<Vec<Bytes>>(value.clone()).unwrap();
            let field = |name: &str| serde_json::from_value::<U256>(proof[name].clone()).unwrap();
            let trie_account = TrieAccount {
                nonce: field("nonce").to(),
                balance: field("balance"),
                storage_root: field("storageHash").into(),
                code_hash: field("codeHash").into(),
            };
            let value = (account != missing).then(|| alloy_rlp::encode(trie_account));
            let path = Nibbles::unpack(keccak256(account));
            verify_proof(root, &path, value.as_deref(), &nodes(&proof["accountProof"])).unwrap();
            for (index, slot) in [0_u8, 1, 2].into_iter().enumerate() {
                let told = &proof["storageProof"][index];
                let value: U256 = serde_json::from_value(told["value"].clone()).unwrap();
                let expected = match (account == KEEPER, slot, block) {
                    (true, 0, "0x1") => 9,
                    (true, 1, _) => 2,
                    _ => 0,
                };
                assert_eq!(value, U256::from(expected));
                let encoded = (!value.is_zero()).then(|| alloy_rlp::encode(value));
                let path = Nibbles::unpack(keccak256(B256::with_last_byte(slot)));
                let nodes = nodes(&told["proof"]);
                verify_proof(trie_account.storage_root, &path, encoded.as_deref(), &nodes).unwrap();
            }
            // Keys come back as they were sent.
            assert_eq!(proof["storageProof"][0]["key"], "0x0");
            assert_eq!(proof["storageProof"][1]["key"], json!(B256::with_last_byte(1)));
        }
    }
    let many = json!([KEEPER, vec!["0x0"; 1_025], "latest"]);
    assert_eq!(error_code(at, "eth_getProof", many).await, -32602);
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_and_waiting_ends_with_a_receipt_a_gap_or_a_timeout() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    let waits = call(1, LOGGER, word(1));
    let answer = request(at, "eth_sendRawTransactionSync", json!([waits, "0xa"])).await;
    assert_eq!(answer["error"]["code"], 6, "{answer}");
    assert_eq!(answer["error"]["data"], "0x0");
    let first = call(0, LOGGER, word(1));
    let hash = keccak256(&first);
    let answer = request(at, "eth_sendRawTransactionSync", json!([first, "0xa"])).await;
    assert_eq!((&answer["error"]["code"], &answer["error"]["data"]), (&json!(4), &json!(hash)));
    // It waits for the block, whenever that comes.
    let third = call(2, LOGGER, word(1));
    let waiting = tokio::spawn(async move {
        result(at, "eth_sendRawTransactionSync", json!([third, "0x7530"])).await
    });
    while node.pool.status().pending < 3 {
        tokio::task::yield_now().await;
    }
    node.mine();
    let receipt = waiting.await.unwrap();
    assert_eq!((&receipt["status"], &receipt["blockNumber"]), (&json!("0x1"), &json!("0x1")));
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submission_is_refused_in_the_words_of_go_ethereum() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    let first = call(0, LOGGER, word(1));
    let hash = result(at, "eth_sendRawTransaction", json!([first])).await;
    assert_eq!(hash, json!(keccak256(&first)));
    let again = request(at, "eth_sendRawTransaction", json!([first])).await;
    assert_eq!(again["error"]["message"], "already known");
    assert_eq!(again["error"]["code"], -32000);
    node.mine();
    let late = request(at, "eth_sendRawTransaction", json!([call(0, LOGGER, word(2))])).await;
    assert!(late["error"]["message"].as_str().unwrap().starts_with("nonce too low"), "{late}");
    assert_eq!(error_code(at, "eth_sendRawTransaction", json!(["0x02c0"])).await, -32000);
    assert_eq!(error_code(at, "eth_sendRawTransaction", json!(["zz"])).await, -32602);
    let nonce = |tag: &str| json!([key().address(), tag]);
    assert_eq!(result(at, "eth_getTransactionCount", nonce("latest")).await, "0x1");
    result(at, "eth_sendRawTransaction", json!([call(1, LOGGER, word(2))])).await;
    assert_eq!(result(at, "eth_getTransactionCount", nonce("latest")).await, "0x1");
    assert_eq!(result(at, "eth_getTransactionCount", nonce("pending")).await, "0x2");
    assert_eq!(result(at, "txpool_status", json!([])).await["pending"], "0x1");
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_the_node_holds_sign_on_demand() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    let accounts = result(at, "eth_accounts", json!([])).await;
    assert_eq!(accounts, json!([key().address()]));
    let send = json!([{ "from": key().address(), "to": KEEPER, "data": word(7) }]);
    let hash = result(at, "eth_sendTransaction", send).await;
    node.mine();
    let receipt = result(at, "eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!((&receipt["status"], &receipt["type"]), (&json!("0x1"), &json!("0x2")));
    let stranger = json!([{ "from": LOGGER, "to": KEEPER }]);
    assert_eq!(error_code(at, "eth_sendTransaction", stranger).await, -32000);
    let signature = result(at, "personal_sign", json!(["0x1234", key().address()])).await;
    let signature: Bytes = serde_json::from_value(signature).unwrap();
    let signature = alloy_primitives::Signature::try_from(signature.as_ref()).unwrap();
    let signer = signature.recover_address_from_msg([0x12, 0x34]).unwrap();
    assert_eq!(signer, key().address());
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_namespace_answers_for_a_mined_transaction() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    let hash = node.pool.add_raw(&call(0, LOGGER, word(5)), Origin::Local).unwrap();
    let block = node.mine();
    let number = json!("0x1");
    let traced =
        result(at, "debug_traceTransaction", json!([hash, { "tracer": "callTracer" }])).await;
    assert_eq!(traced["to"], json!(LOGGER));
    let traces = result(at, "trace_block", json!([number])).await;
    assert_eq!(traces[0]["action"]["to"], json!(LOGGER));
    assert_eq!(result(at, "trace_transaction", json!([hash])).await, json!([traces[0]]));
    assert_eq!(result(at, "trace_get", json!([hash, []])).await, traces[0]);
    let filter = json!([{ "fromBlock": "0x0", "toBlock": "0x1", "toAddress": [LOGGER] }]);
    assert_eq!(result(at, "trace_filter", filter).await, json!([traces[0]]));
    let replayed =
        result(at, "trace_replayTransaction", json!([hash, ["trace", "stateDiff"]])).await;
    assert!(replayed["stateDiff"].is_object());
    let called = json!([{ "to": LOGGER }, ["trace"], "latest"]);
    assert_eq!(result(at, "trace_call", called).await["output"], "0x");
    assert_eq!(result(at, "ots_getApiLevel", json!([])).await, 8);
    assert_eq!(result(at, "ots_hasCode", json!([LOGGER, "latest"])).await, true);
    let details = result(at, "ots_getBlockDetails", json!([number])).await;
    assert_eq!(details["block"]["transactionCount"], 1);
    let page = result(at, "ots_getBlockTransactions", json!([number, 0, 10])).await;
    assert_eq!(page["fullblock"]["transactions"][0]["hash"], json!(hash));
    assert_eq!(page["receipts"][0]["logs"], Value::Null);
    let by_nonce = json!([key().address(), 0]);
    assert_eq!(result(at, "ots_getTransactionBySenderAndNonce", by_nonce).await, json!(hash));
    let found = result(at, "ots_searchTransactionsBefore", json!([LOGGER, 0, 10])).await;
    assert_eq!((&found["txs"][0]["hash"], &found["lastPage"]), (&json!(hash), &json!(true)));
    let witness = result(at, "debug_executionWitness", json!([number])).await;
    assert!(!witness["state"].as_array().unwrap().is_empty());
    let raw: Bytes =
        serde_json::from_value(result(at, "debug_getRawBlock", json!([number])).await).unwrap();
    assert_eq!(raw, alloy_rlp::encode(block.block.block.inner()));
    let bundle = result(at, "debug_traceBlock", json!([raw])).await;
    assert_eq!(bundle[0]["txHash"], json!(hash));
    assert_eq!(result(at, "web3_sha3", json!(["0x"])).await, json!(keccak256([])));
    assert_eq!(result(at, "net_peerCount", json!([])).await, "0x0");
    assert_eq!(error_code(at, "admin_addPeer", json!(["enode://x"])).await, -32000);
    let modules = result(at, "rpc_modules", json!([])).await;
    assert_eq!((&modules["eth"], &modules["rpc"]), (&json!("1.0"), &json!("1.0")));
    // No trace outlives its time.
    let endless = json!([{ "to": LOOPER, "gas": "0x2faf080" }, "latest", { "timeout": "1ns", "tracer": "callTracer" }]);
    assert_eq!(error_code(at, "debug_traceCall", endless).await, -32000);
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fee_suggestions_follow_the_chain() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    assert_eq!(result(at, "eth_maxPriorityFeePerGas", json!([])).await, "0x3b9aca00");
    node.pool.add_raw(&call(0, LOGGER, word(5)), Origin::Local).unwrap();
    node.mine();
    let history = result(at, "eth_feeHistory", json!(["0x2", "latest", [0, 50, 100]])).await;
    assert_eq!(history["oldestBlock"], "0x0");
    assert_eq!(history["baseFeePerGas"].as_array().unwrap().len(), 3);
    assert_eq!(history["reward"][1], json!(["0x3b9aca00", "0x3b9aca00", "0x3b9aca00"]));
    assert_eq!(history["reward"][0], json!(["0x0", "0x0", "0x0"]));
    assert_eq!(history["baseFeePerGas"][2], result(at, "eth_baseFee", json!([])).await);
    assert_eq!(error_code(at, "eth_feeHistory", json!(["0x1", "0x9", []])).await, -32000);
    assert_eq!(error_code(at, "eth_feeHistory", json!(["0x1", "latest", [50, 1]])).await, -32000);
    node.server.stopped().await;
}
