//! The official tests in engine format, delivered to an engine in this process. What only the
//! Engine API's server can judge (error codes) is tested there.

use crate::world::{engine_on, memory};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_engine::{ExecutionPayload, ForkchoiceState};
use lockstep_chain::Ethereum;
use lockstep_engine::{DeliveredPayload, Engine, EngineConfig, Payloads};
use lockstep_storage::GenesisBlock;
use lockstep_testkit::{
    fixtures,
    model::engine::{EngineTest, Payload},
    source::{Limits, visit},
    suites,
    world::{differences, memory_state},
};
use serde_json::Value;
use std::{collections::BTreeMap, ops::ControlFlow};

#[test]
fn official_engine_tests_pass() {
    let Some(folder) = fixtures::folder() else { return };
    let path = folder.join("eest/eest-blockchain_tests_engine.tar.zst");
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
            match run(&chain, &test) {
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

fn run(chain: &Ethereum, test: &EngineTest) -> Result<(), String> {
    let genesis = GenesisBlock::new(test.genesis.header(), memory_state(&test.pre))
        .map_err(|error| error.to_string())?;
    let engine = engine_on(chain, &memory(&genesis), EngineConfig::default());
    let mut head = genesis.block().seal();
    for (index, payload) in test.payloads.iter().enumerate() {
        if payload.error_code.is_none() {
            let accepted = deliver(&engine, payload)
                .map_err(|error| format!("payload {}: {error}", index + 1))?;
            head = accepted.unwrap_or(head);
        }
    }
    if head != test.last_block_hash {
        return Err(format!("the head is {head}, expected {}", test.last_block_hash));
    }
    let Some(expected) = &test.post_state else { return Ok(()) };
    let state = engine.view().snapshot().state_by_hash(&head).map_err(|error| error.to_string())?;
    let mut got = memory_state(expected);
    for address in expected.keys() {
        let info = lockstep_execution::StateReader::account(&*state, address).unwrap();
        let info = info.ok_or_else(|| format!("{address} is missing"))?;
        let code = lockstep_execution::StateReader::code(&*state, &info.code_hash).unwrap();
        got.set_account(*address, info.nonce, info.balance, code);
        for slot in expected[address].storage.keys() {
            let value = lockstep_execution::StateReader::storage(&*state, address, &slot.0);
            got.set_slot(*address, slot.0, value.unwrap());
        }
    }
    let differences = differences(expected, &got);
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

/// Delivers a payload and makes it the head, or sees it refused if it must be.
fn deliver(engine: &Engine<Ethereum>, payload: &Payload) -> Result<Option<B256>, String> {
    let param = |index: usize| payload.params.get(index).cloned();
    let delivered = DeliveredPayload {
        payload: serde_json::from_value::<ExecutionPayload>(param(0).unwrap())
            .map_err(|error| error.to_string())?,
        versioned_hashes: param(1).map(|value| serde_json::from_value(value).unwrap()),
        parent_beacon_block_root: param(2).map(|value| serde_json::from_value(value).unwrap()),
        requests: param(3)
            .map(|value| Requests::new(serde_json::from_value::<Vec<Bytes>>(value).unwrap())),
    };
    let stated = delivered.payload.block_hash();
    let status = match engine.chain().block_from_payload(delivered) {
        Ok(block) => engine.insert(block).map_err(|error| error.to_string())?,
        Err(fault) => engine.refuse(&fault.to_string()),
    };
    match (&payload.validation_error, status.is_valid()) {
        (Some(_), false) if status.is_invalid() => return Ok(None),
        (None, true) => {}
        (expected, _) => return Err(format!("expected {expected:?}, got {status}")),
    }
    let state = ForkchoiceState { head_block_hash: stated, ..Default::default() };
    let status = engine.fork_choice(state).map_err(|error| error.to_string())?;
    if status.is_valid() { Ok(Some(stated)) } else { Err(format!("fork choice: {status}")) }
}
