//! Each method, its versions, and its errors.

use crate::client::{Client, NOW, Node, runtime, secret};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, U256};
use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule};
use lockstep_engine::{EngineConfig, EngineError};
use lockstep_execution::{Bytecode, MemoryState};
use lockstep_rpc::engine_api::{EngineApiError, JwtSecret};
use lockstep_storage::{GenesisBlock, Storage};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const ZERO: B256 = B256::ZERO;

fn node(runtime: &Runtime, fork: EthereumHardfork) -> Node {
    node_with(runtime, fork, EngineConfig::default())
}

fn node_with(runtime: &Runtime, fork: EthereumHardfork, config: EngineConfig) -> Node {
    let chain = Ethereum::new(1337, ForkSchedule::<EthereumHardfork>::at(fork));
    let mut genesis = Genesis { gas_limit: 30_000_000, ..Default::default() };
    let mut state = MemoryState::default();
    // The system contracts of Prague are only called, so any code without effect will do.
    let stop = alloy_primitives::bytes!("00");
    for contract in [
        alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
        alloy_eips::eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
    ] {
        let account = GenesisAccount { code: Some(stop.clone()), ..Default::default() };
        genesis.alloc.insert(contract, account);
        state.set_account(contract, 0, U256::ZERO, Bytecode::new_raw(stop.clone()));
    }
    let header = chain.genesis_header(&genesis);
    Node::start(runtime, &chain, &GenesisBlock::new(header, state).unwrap(), config)
}

fn choice(head: B256) -> Value {
    json!({"headBlockHash": head, "safeBlockHash": ZERO, "finalizedBlockHash": ZERO})
}

fn attributes(timestamp: u64) -> Value {
    json!({
        "timestamp": format!("{timestamp:#x}"),
        "prevRandao": ZERO,
        "suggestedFeeRecipient": Address::ZERO,
    })
}

fn attributes_v2(timestamp: u64) -> Value {
    let mut attributes = attributes(timestamp);
    attributes["withdrawals"] = json!([]);
    attributes
}

fn attributes_v3(timestamp: u64) -> Value {
    let mut attributes = attributes_v2(timestamp);
    attributes["parentBeaconBlockRoot"] = json!(ZERO);
    attributes
}

fn code<T: std::fmt::Debug>(answer: Result<T, (i64, String)>) -> i64 {
    answer.unwrap_err().0
}

/// Builds a payload on the head, delivers it and makes it the head.
fn advance(client: &Client, head: B256, timestamp: u64, versions: [u8; 3]) -> (B256, Value) {
    let [fork_choice, get, new] = versions;
    let attributes = match fork_choice {
        1 => attributes(timestamp),
        2 => attributes_v2(timestamp),
        _ => attributes_v3(timestamp),
    };
    let method = format!("engine_forkchoiceUpdatedV{fork_choice}");
    let updated = client.call(&method, &json!([choice(head), attributes])).unwrap();
    assert_eq!(updated["payloadStatus"]["status"], "VALID");
    let envelope =
        client.call(&format!("engine_getPayloadV{get}"), &json!([updated["payloadId"]])).unwrap();
    let payload = if get == 1 { envelope.clone() } else { envelope["executionPayload"].clone() };
    let hash: B256 = serde_json::from_value(payload["blockHash"].clone()).unwrap();
    let params = match new {
        1 | 2 => json!([payload]),
        3 => json!([payload, [], ZERO]),
        _ => json!([payload, [], ZERO, envelope["executionRequests"]]),
    };
    let status = client.call(&format!("engine_newPayloadV{new}"), &params).unwrap();
    assert_eq!((&status["status"], &status["latestValidHash"]), (&json!("VALID"), &json!(hash)));
    let updated = client.call(&method, &json!([choice(hash), null])).unwrap();
    assert_eq!(updated["payloadStatus"]["latestValidHash"], json!(hash));
    assert_eq!(updated["payloadId"], Value::Null);
    (hash, envelope)
}

#[test]
fn every_fork_advances_by_its_versions() {
    let runtime = runtime();
    for (fork, versions) in [
        (EthereumHardfork::Paris, [1, 1, 1]),
        (EthereumHardfork::Shanghai, [2, 2, 2]),
        (EthereumHardfork::Cancun, [3, 3, 3]),
        (EthereumHardfork::Prague, [3, 4, 4]),
        (EthereumHardfork::Osaka, [3, 5, 4]),
        (EthereumHardfork::Bpo2, [3, 5, 4]),
    ] {
        let node = node(&runtime, fork);
        let client = node.client();
        let mut head = node.genesis;
        for slot in 1..=3 {
            let (next, envelope) = advance(&client, head, 12 * slot, versions);
            if versions[1] > 1 {
                assert_eq!(envelope["blockValue"], "0x0", "{fork}");
            }
            assert_eq!(versions[1] > 2, envelope.get("blobsBundle").is_some());
            assert_eq!(versions[1] > 3, envelope.get("executionRequests").is_some());
            head = next;
        }
        assert_eq!(node.engine.view().head().number, 3);
    }
}

#[test]
fn versions_that_are_not_for_the_fork_are_refused() {
    let runtime = runtime();
    let cancun = node(&runtime, EthereumHardfork::Cancun);
    let client = cancun.client();
    let head = choice(cancun.genesis);
    let update = |version: u8, attributes: Value| {
        code(
            client.call(&format!("engine_forkchoiceUpdatedV{version}"), &json!([head, attributes])),
        )
    };
    assert_eq!(update(2, attributes_v2(12)), -38005);
    assert_eq!(update(2, attributes(12)), -38003);
    assert_eq!(update(3, attributes_v2(12)), -38003);
    assert_eq!(update(3, attributes_v3(0)), -38003);
    assert_eq!(update(3, json!({"timestamp": "12"})), -38003);
    let build = || {
        let params = json!([head, attributes_v3(12)]);
        client.call("engine_forkchoiceUpdatedV3", &params).unwrap()["payloadId"].clone()
    };
    for (version, is_right) in [(1, false), (2, false), (3, true), (4, false), (5, false)] {
        let answer = client.call(&format!("engine_getPayloadV{version}"), &json!([build()]));
        match is_right {
            true => assert!(answer.is_ok()),
            false => assert_eq!(code(answer), -38005, "V{version}"),
        }
    }
    let payload =
        client.call("engine_getPayloadV3", &json!([build()])).unwrap()["executionPayload"].clone();
    let deliver = |version: u8, params: Value| {
        code(client.call(&format!("engine_newPayloadV{version}"), &params))
    };
    assert_eq!(deliver(2, json!([payload])), -32602);
    assert_eq!(deliver(3, json!([payload])), -32602);
    assert_eq!(deliver(3, json!([payload, [], null])), -32602);
    assert_eq!(deliver(4, json!([payload, [], ZERO, []])), -38005);
    assert_eq!(deliver(4, json!([payload, [], ZERO, ["0x00"]])), -32602);
    let shanghai = node(&runtime, EthereumHardfork::Shanghai);
    let client = shanghai.client();
    let params = json!([payload, [], ZERO]);
    assert_eq!(code(client.call("engine_newPayloadV3", &params)), -38005);
    let params = json!([choice(shanghai.genesis), attributes_v3(12)]);
    assert_eq!(code(client.call("engine_forkchoiceUpdatedV3", &params)), -38005);
}

#[test]
fn fork_choices_are_answered_as_specified() {
    let runtime = runtime();
    let node = node(&runtime, EthereumHardfork::Cancun);
    let client = node.client();
    let (first, _) = advance(&client, node.genesis, 12, [3, 3, 3]);
    let (second, _) = advance(&client, first, 24, [3, 3, 3]);
    let update = |choice: Value| client.call("engine_forkchoiceUpdatedV3", &json!([choice]));
    let unknown = B256::repeat_byte(9);
    let answer = update(choice(unknown)).unwrap();
    assert_eq!(answer["payloadStatus"]["status"], "SYNCING");
    assert_eq!(answer["payloadStatus"]["latestValidHash"], Value::Null);
    for (head, safe, finalized) in [
        (ZERO, ZERO, ZERO),
        (second, unknown, ZERO),
        (second, ZERO, unknown),
        (first, second, ZERO),
    ] {
        let state = json!({
            "headBlockHash": head, "safeBlockHash": safe, "finalizedBlockHash": finalized,
        });
        match head == first {
            // An ancestor of the head: nothing is looked at.
            true => assert!(update(state).is_ok()),
            false => assert_eq!(code(update(state)), -38002),
        }
    }
    // An ancestor of the head changes nothing, and nothing is built on it.
    let params = json!([choice(first), attributes_v3(99)]);
    let answer = client.call("engine_forkchoiceUpdatedV3", &params).unwrap();
    assert_eq!(answer["payloadStatus"]["latestValidHash"], json!(first));
    assert_eq!(answer["payloadId"], Value::Null);
    assert_eq!(node.engine.view().head().hash(), second);
    // Attributes that cannot be met leave the fork choice.
    let params = json!([choice(second), attributes_v3(24)]);
    assert_eq!(code(client.call("engine_forkchoiceUpdatedV3", &params)), -38003);
    // Malformed states are not fork choices.
    for params in [json!([]), json!([{}]), json!([choice(second), null, null]), json!({"a": 1})] {
        assert_eq!(code(client.call("engine_forkchoiceUpdatedV3", &params)), -32602);
    }
}

/// Execution APIs, `paris.md`, `engine_forkchoiceUpdatedV1`: -38006 for a reorg beyond a limit.
#[test]
fn heads_far_below_what_is_stored_are_too_deep() {
    let runtime = runtime();
    let config = EngineConfig { keep_in_memory: 1, max_reorg_depth: 2, ..Default::default() };
    let node = node_with(&runtime, EthereumHardfork::Cancun, config);
    let client = node.client();
    // A sibling of the first block, known and never chosen.
    let params = json!([choice(node.genesis), attributes_v3(11)]);
    let building = client.call("engine_forkchoiceUpdatedV3", &params).unwrap();
    let envelope = client.call("engine_getPayloadV3", &json!([building["payloadId"]])).unwrap();
    let sibling: B256 =
        serde_json::from_value(envelope["executionPayload"]["blockHash"].clone()).unwrap();
    let params = json!([envelope["executionPayload"], [], ZERO]);
    assert_eq!(client.call("engine_newPayloadV3", &params).unwrap()["status"], "VALID");

    let mut head = node.genesis;
    // One more than is needed: when it is stored, memory has let go of those before.
    for number in 1..=5 {
        (head, _) = advance(&client, head, 12 * number, [3, 3, 3]);
        while node.storage.snapshot().unwrap().tip().number + 1 < number {
            std::thread::yield_now();
        }
    }
    let update = json!([choice(sibling)]);
    let (refusal, text) = client.call("engine_forkchoiceUpdatedV3", &update).unwrap_err();
    assert_eq!(refusal, -38006);
    assert!(text.contains("the limit is 2"), "{text}");
    assert_eq!(node.engine.view().head().hash(), head);
    let finalized = EngineError::Finalized { number: 1, finalized: 2 };
    assert_eq!(EngineApiError::from(finalized).code().0, -38006);
}

#[test]
fn invalid_payloads_are_told_from_wrong_parameters() {
    let runtime = runtime();
    let node = node(&runtime, EthereumHardfork::Cancun);
    let client = node.client();
    let (first, envelope) = advance(&client, node.genesis, 12, [3, 3, 3]);
    let payload = &envelope["executionPayload"];
    let deliver = |change: &dyn Fn(&mut Value)| {
        let mut changed = payload.clone();
        change(&mut changed);
        client.call("engine_newPayloadV3", &json!([changed, [], ZERO]))
    };
    let status = deliver(&|payload| payload["stateRoot"] = json!(ZERO)).unwrap();
    assert_eq!((&status["status"], &status["latestValidHash"]), (&json!("INVALID"), &Value::Null));
    assert!(status["validationError"].as_str().unwrap().contains("hash"));
    let status = deliver(&|payload| payload["transactions"] = json!(["0xc0"])).unwrap();
    assert_eq!(status["status"], "INVALID");
    let params = json!([payload, [ZERO], ZERO]);
    let status = client.call("engine_newPayloadV3", &params).unwrap();
    assert_eq!(status["status"], "INVALID", "{status}");
    for (field, value) in [
        ("stateRoot", json!("0x00")),
        ("gasUsed", json!("0x010000000000000000")),
        ("transactions", json!("0x")),
        ("withdrawals", Value::Null),
        ("blobGasUsed", Value::Null),
    ] {
        let answer = deliver(&|payload| payload[field] = value.clone());
        assert_eq!(code(answer), -32602, "{field}");
    }
    assert_eq!(node.engine.view().head().hash(), first);
}

#[test]
fn bodies_are_found_by_hash_and_range() {
    let runtime = runtime();
    let node = node(&runtime, EthereumHardfork::Shanghai);
    let client = node.client();
    let (first, _) = advance(&client, node.genesis, 12, [2, 2, 2]);
    let (second, _) = advance(&client, first, 24, [2, 2, 2]);
    let hashes = json!([[second, B256::repeat_byte(9), first]]);
    let bodies = client.call("engine_getPayloadBodiesByHashV1", &hashes).unwrap();
    let body = json!({"transactions": [], "withdrawals": []});
    assert_eq!(bodies, json!([body, null, body]));
    let range = |first: Value, count: Value| {
        client.call("engine_getPayloadBodiesByRangeV1", &json!([first, count]))
    };
    assert_eq!(range(json!("0x1"), json!("0x9")).unwrap(), json!([body, body]));
    assert_eq!(range(json!("0x2"), json!("0x1")).unwrap(), json!([body]));
    assert_eq!(range(json!("0x9"), json!("0x1")).unwrap(), json!([]));
    assert_eq!(code(range(json!("0x0"), json!("0x1"))), -32602);
    assert_eq!(code(range(json!("0x1"), json!("0x0"))), -32602);
    assert_eq!(code(range(json!("0x1"), json!("0x401"))), -38004);
    assert_eq!(code(range(json!(1), json!(1_i64 << 40))), -38004);
    let many = json!([vec![ZERO; 1025]]);
    assert_eq!(code(client.call("engine_getPayloadBodiesByHashV1", &many)), -38004);
}

#[test]
fn blobs_are_asked_for_within_limits() {
    let runtime = runtime();
    let cancun = node(&runtime, EthereumHardfork::Cancun);
    let osaka = node(&runtime, EthereumHardfork::Osaka);
    let unknown = json!([[B256::repeat_byte(1)]]);
    let ask = |node: &Node, version: u8, params: &Value| {
        node.client().call(&format!("engine_getBlobsV{version}"), params)
    };
    assert_eq!(ask(&cancun, 1, &unknown).unwrap(), json!([null]));
    assert_eq!(code(ask(&osaka, 1, &unknown)), -38005);
    assert_eq!(ask(&osaka, 2, &unknown).unwrap(), Value::Null);
    assert_eq!(ask(&osaka, 2, &json!([[]])).unwrap(), json!([]));
    assert_eq!(ask(&osaka, 3, &unknown).unwrap(), json!([null]));
    let many = json!([vec![ZERO; 129]]);
    for version in 1..=3 {
        assert_eq!(code(ask(&osaka, version, &many)), -38004);
        assert_eq!(code(ask(&osaka, version, &json!([["0x01"]]))), -32602);
    }
    assert_eq!(osaka.pool.status().pending, 0);
}

#[test]
fn the_node_introduces_itself() {
    let runtime = runtime();
    let node = node(&runtime, EthereumHardfork::Osaka);
    let client = node.client();
    let theirs = json!([["engine_newPayloadV4", "engine_getPayloadV9"]]);
    let capabilities = client.call("engine_exchangeCapabilities", &theirs).unwrap();
    let names: Vec<&str> =
        capabilities.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.contains(&"engine_newPayloadV4") && names.contains(&"engine_getPayloadV5"));
    assert!(!names.contains(&"engine_exchangeCapabilities"));
    // What is told is there.
    for name in &names {
        let (code, error) = client.call(name, &json!([])).unwrap_err();
        assert_eq!(code, -32602, "{name}: {error}");
    }
    let us = json!([{"code": "TE", "name": "test", "version": "1", "commit": "01020304"}]);
    let answer = client.call("engine_getClientVersionV1", &us).unwrap();
    assert_eq!(answer[0]["name"], "Lockstep");
    let unknown = client.call("engine_getPayloadV5", &json!(["0x0000000000000001"]));
    assert_eq!(code(unknown), -38001);
}

#[test]
fn whoever_does_not_know_the_secret_is_turned_away() {
    let runtime = runtime();
    let node = node(&runtime, EthereumHardfork::Cancun);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"engine_exchangeCapabilities","params":[[]]}"#;
    let status = |token: Option<String>| Client::new(node.server.address(), token).post(body).0;
    assert_eq!(status(Some(secret().token(NOW))), 200);
    assert_eq!(status(Some(secret().token(NOW - 60))), 200);
    assert_eq!(status(None), 401);
    assert_eq!(status(Some(secret().token(NOW - 61))), 401);
    assert_eq!(status(Some(secret().token(NOW + 61))), 401);
    assert_eq!(status(Some(JwtSecret::new([8; 32]).token(NOW))), 401);
    assert_eq!(status(Some("x.y.z".into())), 401);
}

#[test]
fn malformed_requests_are_answered() {
    let runtime = runtime();
    let node = node(&runtime, EthereumHardfork::Cancun);
    let client = node.client();
    for body in ["", "{", "[]", "null", "{}", "[1,2]", r#"{"jsonrpc":"2.0","id":1}"#] {
        let (_, answer) = client.post(body);
        assert!(answer.contains("error"), "{body}: {answer}");
    }
    for params in ["null", "5", "\"x\"", "{\"a\":[]}", "[[[[[[[[]]]]]]]]", "[null,null,null]"] {
        for method in ["engine_newPayloadV3", "engine_forkchoiceUpdatedV3", "engine_getPayloadV3"] {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
            let (_, answer) = client.post(&body);
            assert!(answer.contains("-326"), "{body}: {answer}");
        }
    }
    assert!(node.engine.view().head().number == 0);
}
