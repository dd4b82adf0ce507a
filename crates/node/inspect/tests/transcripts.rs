//! The official JSON-RPC transcripts, as far as this crate answers them.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

mod common;

use alloy_primitives::B256;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use common::TestChain;
use lockstep_inspect::{
    InspectError, Limits, Overrides, SimulateRequest, call, create_access_list, estimate_gas,
    simulate_v1, trace_block, trace_transaction,
};
use lockstep_testkit::fixtures;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The answer to one request: a result or an error object.
type Answer = Result<Value, Value>;

#[test]
fn simulations_are_those_of_the_transcripts() {
    run("eth_simulateV1", 78);
}

#[test]
fn calls_are_those_of_the_transcripts() {
    run("eth_call", 4);
}

#[test]
fn estimates_are_those_of_the_transcripts() {
    run("eth_estimateGas", 6);
}

#[test]
fn access_lists_are_those_of_the_transcripts() {
    run("eth_createAccessList", 3);
}

#[test]
fn traces_are_those_of_the_transcripts() {
    run("debug_trace", 11);
}

fn run(prefix: &str, least: usize) {
    let Some(fixtures) = fixtures::folder() else { return };
    let (chain, files) = TestChain::rpc_compat(&fixtures);
    let mut names: Vec<&String> =
        files.keys().filter(|name| name.starts_with(prefix) && name.ends_with(".io")).collect();
    names.sort();
    let mut failures = Vec::new();
    for name in &names {
        let text = String::from_utf8_lossy(&files[*name]);
        if let Err(reason) = check(&chain, &text) {
            failures.push(format!("{name}: {reason}"));
        }
    }
    eprintln!("{prefix}: {} of {} transcripts agree", names.len() - failures.len(), names.len());
    assert!(names.len() >= least, "only {} transcripts", names.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check(chain: &TestChain, text: &str) -> Result<(), String> {
    let mut request = Value::Null;
    for line in text.lines() {
        if let Some(json) = line.strip_prefix(">> ") {
            request = serde_json::from_str(json).expect("the request parses");
        } else if let Some(json) = line.strip_prefix("<< ") {
            let expected: Value = serde_json::from_str(json).expect("the response parses");
            let answer = answer(chain, &request);
            compare(&answer, &expected)?;
        }
    }
    Ok(())
}

fn compare(answer: &Answer, expected: &Value) -> Result<(), String> {
    match (answer, expected.get("error")) {
        (Err(got), Some(error)) => {
            let same = got["code"] == error["code"] && got.get("data") == error.get("data");
            if same { Ok(()) } else { Err(format!("error {got}, expected {error}")) }
        }
        (Ok(got), None) => differ("", got, &expected["result"]),
        (Ok(got), Some(error)) => Err(format!("{got}, expected error {error}")),
        (Err(got), None) => Err(format!("error {got}, expected {expected:.300}")),
    }
}

/// Where two values differ first. Also where only the shape need be the same (`speconly`), the
/// values are.
fn differ(path: &str, got: &Value, expected: &Value) -> Result<(), String> {
    match (got, expected) {
        (Value::Object(got), Value::Object(expected)) => {
            for key in got.keys().chain(expected.keys()) {
                let null = Value::Null;
                let pair = (got.get(key), expected.get(key));
                let (Some(got), Some(expected)) = pair else {
                    let (got, expected) = (pair.0.unwrap_or(&null), pair.1.unwrap_or(&null));
                    return Err(format!("{path}/{key}: got {got}, expected {expected}"));
                };
                differ(&format!("{path}/{key}"), got, expected)?;
            }
            Ok(())
        }
        (Value::Array(got), Value::Array(expected)) => {
            if got.len() != expected.len() {
                let (got, expected) = (got.len(), expected.len());
                return Err(format!("{path}: {got} entries, expected {expected}"));
            }
            for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
                differ(&format!("{path}/{index}"), got, expected)?;
            }
            Ok(())
        }
        (Value::String(got), Value::String(expected)) if got.eq_ignore_ascii_case(expected) => {
            Ok(())
        }
        _ if got == expected => Ok(()),
        _ => Err(format!("{path}: got {got}, expected {expected}")),
    }
}

fn answer(chain: &TestChain, request: &Value) -> Answer {
    let params = request["params"].as_array().cloned().unwrap_or_default();
    let param = |index: usize| params.get(index).cloned().unwrap_or_default();
    let method = request["method"].as_str().expect("a method");
    let limits = Limits::DEFAULT;
    match method {
        "eth_simulateV1" => {
            let number = block_number(chain, &param(1)).ok_or_else(not_found)?;
            let request: SimulateRequest = parse(param(0));
            let base = &chain.blocks[number].header;
            simulate_v1(&chain.chain, base, chain.state(number), &request, &limits)
                .map(Value::from)
                .map_err(|error| shown(&error, error.simulation_code()))
        }
        "eth_call" | "eth_estimateGas" | "eth_createAccessList" => {
            let number = block_number(chain, &param(1)).ok_or_else(not_found)?;
            let request: TransactionRequest = parse(param(0));
            let overrides = Overrides {
                state: Some(parse::<Option<StateOverride>>(param(2)).unwrap_or_default()),
                block: parse::<Option<BlockOverrides>>(param(3)),
            };
            let (chain, header, state) =
                (&chain.chain, &*chain.blocks[number].header, chain.state(number));
            let result = match method {
                "eth_call" => call(chain, header, state, &request, &overrides, &limits)
                    .and_then(|outcome| outcome.into_output())
                    .map(|output| json!(output)),
                "eth_estimateGas" => {
                    estimate_gas(chain, header, state, &request, &overrides, &limits)
                        .map(|gas| json!(format!("{gas:#x}")))
                }
                _ => create_access_list(chain, header, state, &request, &overrides, &limits)
                    .map(|list| json!(list)),
            };
            result.map_err(|error| shown(&error, error.code()))
        }
        "debug_traceTransaction" => {
            let hash: B256 = parse(param(0));
            let place = chain.blocks.iter().enumerate().find_map(|(number, imported)| {
                let mut transactions = imported.block.body.transactions.iter();
                transactions.position(|tx| *tx.tx_hash() == hash).map(|index| (number, index))
            });
            let Some((number, index)) = place else { return Err(not_found()) };
            let options = options(param(1));
            let parent = chain.state(number - 1);
            let block = chain.replay(number);
            trace_transaction(&chain.chain, block, parent, index, &options, &limits)
                .map(|trace| json!(trace))
                .map_err(|error| shown(&error, error.code()))
        }
        "debug_traceBlockByNumber" | "debug_traceBlockByHash" => {
            let Some(text) = params[0].as_str().filter(|text| text.starts_with("0x")) else {
                return Err(json!({ "code": -32602 }));
            };
            let number = if text.len() == 66 {
                chain.blocks.iter().position(|block| block.header.hash().to_string() == text)
            } else {
                block_number(chain, &params[0])
            };
            let number = number.ok_or_else(not_found)?;
            let options = options(param(1));
            let parent = chain.state(number.saturating_sub(1));
            trace_block(&chain.chain, chain.replay(number), parent, &options, &limits)
                .map(|traces| json!(traces))
                .map_err(|error| shown(&error, error.code()))
        }
        other => panic!("{other} is not answered here"),
    }
}

fn options(value: Value) -> GethDebugTracingOptions {
    parse::<Option<GethDebugTracingOptions>>(value).unwrap_or_default()
}

fn parse<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("the parameter parses: {error}"))
}

fn block_number(chain: &TestChain, value: &Value) -> Option<usize> {
    match value.as_str() {
        None | Some("latest") => Some(chain.head()),
        Some(text) => usize::from_str_radix(text.trim_start_matches("0x"), 16)
            .ok()
            .filter(|number| *number <= chain.head()),
    }
}

fn not_found() -> Value {
    json!({ "code": -32000 })
}

fn shown(error: &InspectError, code: i32) -> Value {
    let mut shown = json!({ "code": code, "message": error.to_string() });
    if let (Value::Object(fields), Some(data)) = (&mut shown, error.data()) {
        fields.insert("data".into(), json!(data));
    }
    shown
}
