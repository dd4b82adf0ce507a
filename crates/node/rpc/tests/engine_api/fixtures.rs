//! The official tests in engine format, through HTTP.

use crate::client::{Client, Node, runtime};
use alloy_primitives::B256;
use lockstep_chain::Ethereum;
use lockstep_engine::EngineConfig;
use lockstep_storage::GenesisBlock;
use lockstep_testkit::{
    model::engine::{EngineTest, Payload},
    source::{Limits, visit},
    suites,
    world::memory_state,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
};
use tokio::runtime::Runtime;

/// The folder with the shared fixtures; `None`, visibly, if the environment does not name it.
fn fixtures() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests find the fixtures by the environment")]
    let Ok(path) = std::env::var("LOCKSTEP_FIXTURES") else {
        eprintln!("skipped: set LOCKSTEP_FIXTURES to the folder with the fixtures");
        return None;
    };
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(path))
}

#[test]
fn official_engine_tests_pass_through_the_server() {
    let Some(fixtures) = fixtures() else { return };
    let path = fixtures.join("eest/eest-blockchain_tests_engine.tar.zst");
    let runtime = runtime();
    let (mut passed, mut failures) = (0, Vec::new());
    let _ = visit(&path, &Limits::default(), &|name| name.ends_with(".json"), &mut |file| {
        let file = file.expect("the archive is whole");
        let tests: BTreeMap<String, Value> = serde_json::from_slice(&file.bytes).unwrap();
        for (name, test) in tests.into_iter().filter(|(name, _)| !name.starts_with('_')) {
            let Ok(test) = serde_json::from_value::<EngineTest>(test) else {
                failures.push(format!("{}: {name}: not an engine test", file.name));
                continue;
            };
            let Ok(chain) = suites::chain(&test.network, test.config.as_ref()) else { continue };
            match run(&runtime, &chain, &test) {
                Ok(()) => passed += 1,
                Err(error) => failures.push(format!("{name}: {error}")),
            }
        }
        ControlFlow::Continue(())
    });
    eprintln!("{passed} official engine tests passed");
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(passed > 2_000, "only {passed} tests were found");
}

fn run(runtime: &Runtime, chain: &Ethereum, test: &EngineTest) -> Result<(), String> {
    let genesis = GenesisBlock::new(test.genesis.header(), memory_state(&test.pre))
        .map_err(|error| error.to_string())?;
    let node = Node::start(runtime, chain, &genesis, EngineConfig::default());
    let client = node.client();
    for (index, payload) in test.payloads.iter().enumerate() {
        deliver(&client, payload).map_err(|error| format!("payload {}: {error}", index + 1))?;
    }
    let head = node.engine.view().head();
    if head.hash() != test.last_block_hash {
        return Err(format!("the head is {}, expected {}", head.hash(), test.last_block_hash));
    }
    let expected = test.post_state_hash.unwrap_or(head.state_root);
    if head.state_root != expected {
        return Err(format!("the state root is {}, expected {expected}", head.state_root));
    }
    Ok(())
}

/// Delivers a payload and makes it the head, or sees it refused as it must be.
fn deliver(client: &Client, payload: &Payload) -> Result<(), String> {
    let version = payload.new_payload_version.0;
    let method = format!("engine_newPayloadV{version}");
    let answer = match (client.call(&method, &json!(payload.params)), payload.error_code) {
        (Err((code, _)), Some(expected)) if code == expected => return Ok(()),
        (answer, Some(code)) => return Err(format!("expected error {code}, got {answer:?}")),
        (Err((_, error)), None) => return Err(error),
        (Ok(answer), None) => answer,
    };
    let expected = if payload.validation_error.is_some() { "INVALID" } else { "VALID" };
    if answer["status"] != expected {
        return Err(format!("expected {expected}, got {answer}"));
    }
    if expected == "INVALID" {
        return Ok(());
    }
    let hash = payload.params[0]["blockHash"].clone();
    if answer["latestValidHash"] != hash {
        return Err(format!("latestValidHash: {answer}"));
    }
    let choice = json!([{
        "headBlockHash": hash,
        "safeBlockHash": B256::ZERO,
        "finalizedBlockHash": B256::ZERO,
    }]);
    let method = format!("engine_forkchoiceUpdatedV{}", version.min(3));
    let answer = client.call(&method, &choice).map_err(|(_, error)| error)?;
    match answer["payloadStatus"]["status"].as_str() {
        Some("VALID") => Ok(()),
        _ => Err(format!("fork choice: {answer}")),
    }
}
