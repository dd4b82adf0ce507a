//! Real transactions and what go-ethereum's tracers say of them (its `eth/tracers/internal/tracetest`).

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

mod common;

use alloy_consensus::{Header, transaction::SignerRecoverable};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use lockstep_chain::{Ethereum, EthereumTransaction, genesis};
use lockstep_execution::MemoryState;
use lockstep_inspect::{
    Limits, ReplayBlock, internal_operations, trace_transaction, transaction_error,
};
use lockstep_testkit::fixtures;
use serde_json::{Value, json};

/// Cases whose expectation is not go-ethereum's of today, and why.
const KNOWN: &[(&str, &str)] = &[
    (
        "call_tracer/deposit.json",
        "op-geth's own, a deposit in a chain without forks of the OP Stack",
    ),
    ("call_tracer/failed_deposit.json", "as above"),
    ("call_tracer_flat/deposit.json", "as above"),
    ("call_tracer_flat/failed_deposit.json", "as above"),
    (
        "call_tracer_withLog/frontier_create_outofstorage.json",
        "in Frontier such a contract has no code and the creation succeeds; so says revm's frame, too",
    ),
    (
        "call_tracer_flat/callcode_precompiled_throw.json",
        "revm does not say why a precompile failed",
    ),
];

/// Fields that say where a transaction stands, which the cases do not know.
const PLACES: [&str; 7] = [
    "blockHash",
    "blockNumber",
    "transactionHash",
    "transactionPosition",
    "time",
    // Newer than the cases.
    "creationMethod",
    "index",
];

#[test]
fn call_traces_are_go_ethereums() {
    run("call_tracer/", "callTracer", 17);
    run("call_tracer_withLog/", "callTracer", 10);
}

#[test]
fn flat_call_traces_are_go_ethereums() {
    run("call_tracer_flat/", "flatCallTracer", 33);
}

#[test]
fn prestates_are_go_ethereums() {
    run("prestate_tracer/", "prestateTracer", 5);
    run("prestate_tracer_with_diff_mode/", "prestateTracer", 7);
}

/// The frames of a call tree below the outermost one that Otterscan calls operations: those that
/// move value, and self-destructs.
fn operations(frame: &Value) -> usize {
    let calls = frame["calls"].as_array().cloned().unwrap_or_default();
    let counts = calls.iter().map(|call| {
        let moves = !matches!(call["type"].as_str(), Some("DELEGATECALL" | "STATICCALL"));
        let is_destruction = call["type"] == "SELFDESTRUCT";
        let is_operation = is_destruction || (moves && !number(&call["value"]).is_zero());
        usize::from(is_operation) + operations(call)
    });
    counts.sum()
}

#[test]
fn otterscan_sees_the_operations_and_errors_of_the_call_trees() {
    let Some(shared) = fixtures::folder() else { return };
    let files = fixtures::archive(&shared.join("misc/tracer-transactions.tar.zst"))
        .expect("the archive is whole");
    let (mut all, mut errors) = (0, 0);
    for (name, bytes) in files.iter().filter(|(name, _)| name.contains("/call_tracer/")) {
        let case: Value = serde_json::from_slice(bytes).expect("the case parses");
        if case.get("tracerConfig").is_some() {
            continue;
        }
        let Ok((chain, block, sender, state)) = load(&case) else { continue };
        let replay = ReplayBlock { block: &block, hash: B256::ZERO, senders: &[sender] };
        let found = internal_operations(&chain, replay, &state, 0, &Limits::DEFAULT)
            .expect("the transaction replays");
        let expected = operations(&case["result"]);
        assert_eq!(found.len(), expected, "{name}");
        let error = transaction_error(&chain, replay, &state, 0, &Limits::DEFAULT)
            .expect("the transaction replays");
        let is_reverted = case["result"]["error"] == "execution reverted";
        if is_reverted {
            let output = case["result"]["output"].as_str().unwrap_or("0x");
            assert_eq!(error.to_string(), output, "{name}");
        } else {
            assert!(error.is_empty(), "{name}");
        }
        all += expected;
        errors += usize::from(!error.is_empty());
    }
    assert!(all >= 3 && errors >= 2, "{all} operations, {errors} errors");
}

fn run(folder: &str, tracer: &str, least: usize) {
    let Some(shared) = fixtures::folder() else { return };
    let files = fixtures::archive(&shared.join("misc/tracer-transactions.tar.zst"))
        .expect("the archive is whole");
    let folder = format!("tracetest/{folder}");
    let mut names: Vec<&String> = files.keys().filter(|name| name.starts_with(&folder)).collect();
    names.sort();
    assert!(names.len() >= least, "only {} cases", names.len());
    let mut failures = Vec::new();
    for name in &names {
        let case: Value = serde_json::from_slice(&files[*name]).expect("the case parses");
        if let Err(reason) = check(&case, tracer) {
            failures.push(format!("{name}: {reason}"));
        }
    }
    eprintln!("{folder}: {} of {} cases agree", names.len() - failures.len(), names.len());
    failures.retain(|failure| !KNOWN.iter().any(|(name, _)| failure.contains(name)));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn number(value: &Value) -> U256 {
    match value {
        Value::String(text) => text.parse().expect("a number"),
        Value::Number(number) => U256::from(number.as_u64().expect("a number")),
        _ => U256::ZERO,
    }
}

/// A case's chain, its block of one transaction, the sender, and the state before.
type Loaded = (Ethereum, lockstep_chain::Block<Ethereum>, Address, MemoryState);

fn load(case: &Value) -> Result<Loaded, String> {
    let mut genesis_json = case["genesis"].clone();
    fill_forks(&mut genesis_json["config"]);
    let genesis =
        genesis::parse(genesis_json.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let mut chain = Ethereum::from_genesis(&genesis).map_err(|error| error.to_string())?;
    let context = &case["context"];
    let is_merged = chain_is_merged(&genesis, context);
    if is_merged {
        let forks = chain.forks().clone();
        let merge = lockstep_chain::forks::merge_at(U256::ZERO);
        chain = Ethereum::new(
            genesis.config.chain_id,
            forks.with(lockstep_chain::EthereumHardfork::Paris, merge),
        );
    }
    let raw: Bytes = serde_json::from_value(case["input"].clone()).expect("the input is hex");
    let transaction =
        EthereumTransaction::decode_2718_exact(&raw).map_err(|error| error.to_string())?;
    let sender = transaction.recover_signer_unchecked().map_err(|error| error.to_string())?;
    let miner: Address = serde_json::from_value(context["miner"].clone()).unwrap_or_default();
    let has_blobs = genesis.config.cancun_time.is_some();
    let header = Header {
        number: number(&context["number"]).to(),
        timestamp: number(&context["timestamp"]).to(),
        gas_limit: number(&context["gasLimit"]).to(),
        difficulty: if is_merged { U256::ZERO } else { number(&context["difficulty"]) },
        beneficiary: miner,
        base_fee_per_gas: context.get("baseFeePerGas").map(|fee| number(fee).to()),
        excess_blob_gas: has_blobs.then_some(0),
        ..Header::default()
    };
    let mut block: lockstep_chain::Block<Ethereum> = header.into_block(Default::default());
    block.body.transactions.push(transaction);
    let state = MemoryState::from_genesis(&genesis);
    Ok((chain, block, sender, state))
}

fn check(case: &Value, tracer: &str) -> Result<(), String> {
    let (chain, block, sender, state) = load(case)?;
    let options: GethDebugTracingOptions = serde_json::from_value(json!({
        "tracer": tracer,
        "tracerConfig": case.get("tracerConfig").cloned().unwrap_or_default(),
    }))
    .expect("the options parse");
    let replay = ReplayBlock { block: &block, hash: B256::ZERO, senders: &[sender] };
    let trace = trace_transaction(&chain, replay, &state, 0, &options, &Limits::DEFAULT)
        .map_err(|error| error.to_string())?;
    differ("", &json!(trace), &case["result"])
}

/// Forks that a case leaves out, although it names later ones, are active with those.
fn fill_forks(config: &mut Value) {
    let forks = [
        "homesteadBlock",
        "eip150Block",
        "eip155Block",
        "eip158Block",
        "byzantiumBlock",
        "constantinopleBlock",
        "petersburgBlock",
        "istanbulBlock",
        "berlinBlock",
        "londonBlock",
    ];
    // Go reads keys whatever their case.
    if let Some(istanbul) = config.get("IstanbulBlock").cloned() {
        config["istanbulBlock"] = istanbul;
    }
    let mut later = Value::Null;
    for fork in forks.iter().rev() {
        let is_out_of_order =
            later.is_number() && config[fork].as_u64().is_none_or(|at| Some(at) > later.as_u64());
        if is_out_of_order {
            config[fork] = later.clone();
        }
        later = config[fork].clone();
    }
}

fn chain_is_merged(genesis: &alloy_genesis::Genesis, context: &Value) -> bool {
    let config = &genesis.config;
    let merges = config.terminal_total_difficulty_passed || config.shanghai_time.is_some();
    merges && number(&context["difficulty"]).is_zero()
}

/// What go-ethereum's comparison takes for a field that is not there.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.trim_start_matches("0x").chars().all(|digit| digit == '0'),
        _ => false,
    }
}

/// Where two values differ first. Fields that say only where a transaction stands are left out.
fn differ(path: &str, got: &Value, expected: &Value) -> Result<(), String> {
    match (got, expected) {
        (Value::Object(got), Value::Object(expected)) => {
            for key in got.keys().chain(expected.keys()) {
                if PLACES.contains(&key.as_str()) {
                    continue;
                }
                let null = Value::Null;
                let got = got.get(key).unwrap_or(&null);
                let expected = expected.get(key).unwrap_or(&null);
                if is_nothing(got) && is_nothing(expected) {
                    continue;
                }
                differ(&format!("{path}/{key}"), got, expected)?;
            }
            Ok(())
        }
        (Value::Array(got), Value::Array(expected)) if got.len() == expected.len() => {
            for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
                differ(&format!("{path}/{index}"), got, expected)?;
            }
            Ok(())
        }
        (Value::String(got), Value::String(expected)) if got.eq_ignore_ascii_case(expected) => {
            Ok(())
        }
        _ if got == expected => Ok(()),
        _ => Err(format!("{path}: got {got:.400}, expected {expected:.400}")),
    }
}
