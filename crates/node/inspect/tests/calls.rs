//! Calls with overrides, and the limits that stop them.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, address, bytes};
use alloy_rpc_types_eth::{
    BlockOverrides, TransactionInput, TransactionRequest,
    state::{AccountOverride, StateOverride},
};
use alloy_rpc_types_trace::{
    geth::GethDebugTracingOptions,
    parity::{Delta, TraceType},
};
use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule};
use lockstep_execution::{Bytecode, MemoryState};
use lockstep_inspect::{
    Ending, InspectError, Limits, Overrides, Refusal, call, create_access_list, estimate_gas,
    trace_call, trace_call_many, trace_call_parity,
};
use std::sync::atomic::{AtomicU32, Ordering};

const LOOP: Address = address!("00000000000000000000000000000000000000f1");
const COUNTER: Address = address!("00000000000000000000000000000000000000f2");
const ENVIRONMENT: Address = address!("00000000000000000000000000000000000000f3");
const GREEDY: Address = address!("00000000000000000000000000000000000000f4");
const RICH: Address = address!("00000000000000000000000000000000000000aa");

/// `loop: jump(loop)`
const LOOP_CODE: Bytes = bytes!("5b600056");
/// `slot 0 += 1; return slot 0`
const COUNTER_CODE: Bytes = bytes!("5f54600101805f555f5260205ff3");
/// `return (number, timestamp, coinbase, base fee, hash of block 5, gas price, balance of self)`
const ENVIRONMENT_CODE: Bytes =
    bytes!("435f5242602052416040524860605260054060805247" "60c0523a60a05260e05ff3");
/// Reverts with less than 500,000 gas left and then uses little.
const GREEDY_CODE: Bytes = bytes!("6207a1205a10600a57005b5f5ffd");

fn chain() -> Ethereum {
    Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Prague))
}

fn header() -> Header {
    Header {
        number: 10,
        timestamp: 1000,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(7),
        beneficiary: Address::repeat_byte(0xcb),
        excess_blob_gas: Some(0),
        ..Default::default()
    }
}

fn state() -> MemoryState {
    let mut state = MemoryState::default();
    let contracts = [
        (LOOP, LOOP_CODE),
        (COUNTER, COUNTER_CODE),
        (ENVIRONMENT, ENVIRONMENT_CODE),
        (GREEDY, GREEDY_CODE),
    ];
    for (address, code) in contracts {
        state.set_account(address, 1, U256::ZERO, Bytecode::new_raw(code));
    }
    state.set_account(RICH, 5, U256::from(10).pow(U256::from(18)), Bytecode::default());
    state.set_block_hash(5, B256::repeat_byte(5));
    state
}

fn to(address: Address) -> TransactionRequest {
    TransactionRequest::default().to(address)
}

fn words(output: &[u8]) -> Vec<U256> {
    output.chunks(32).map(U256::from_be_slice).collect()
}

fn run(request: &TransactionRequest, overrides: &Overrides) -> Result<Vec<U256>, InspectError> {
    let outcome = call(&chain(), &header(), state(), request, overrides, &Limits::DEFAULT)?;
    outcome.into_output().map(|output| words(&output))
}

fn overriding(address: Address, account: AccountOverride) -> Overrides {
    Overrides { state: Some(StateOverride::from_iter([(address, account)])), block: None }
}

#[test]
fn a_call_sees_its_block_and_pays_nothing() {
    let words = run(&to(ENVIRONMENT), &Overrides::default()).expect("the call runs");
    let coinbase = U256::from_be_slice(Address::repeat_byte(0xcb).as_slice());
    let hash = B256::repeat_byte(5).into();
    let expected = [U256::from(10), U256::from(1000), coinbase, U256::ZERO, hash];
    assert_eq!(words[..5], expected);
    assert_eq!(words[5], U256::ZERO, "the gas price");
}

#[test]
fn a_call_that_pays_sees_the_prices() {
    let request = TransactionRequest {
        max_fee_per_gas: Some(20),
        max_priority_fee_per_gas: Some(2),
        ..to(ENVIRONMENT).from(RICH).gas_limit(100_000)
    };
    let words = run(&request, &Overrides::default()).expect("the call runs");
    assert_eq!((words[3], words[5]), (U256::from(7), U256::from(9)));
}

#[test]
fn the_block_can_be_overridden() {
    let block = BlockOverrides {
        number: Some(U256::from(300)),
        time: Some(5000),
        coinbase: Some(Address::repeat_byte(1)),
        block_hash: Some([(5, B256::repeat_byte(9)), (260, B256::repeat_byte(8))].into()),
        ..Default::default()
    };
    let overrides = Overrides { state: None, block: Some(block) };
    let words = run(&to(ENVIRONMENT), &overrides).expect("the call runs");
    assert_eq!(words[..2], [U256::from(300), U256::from(5000)]);
    assert_eq!(words[4], U256::ZERO, "block 5 is too far away");
    let beacon_root = Some(B256::ZERO);
    let block = Some(BlockOverrides { beacon_root, ..Default::default() });
    let refused = run(&to(ENVIRONMENT), &Overrides { state: None, block });
    assert!(matches!(refused, Err(InspectError::Override(_))), "{refused:?}");
}

#[test]
fn accounts_can_be_overridden() {
    let slot = |value: u64| [(B256::ZERO, B256::from(U256::from(value)))].into_iter().collect();
    let with_diff = AccountOverride { state_diff: Some(slot(41)), ..Default::default() };
    let words = run(&to(COUNTER), &overriding(COUNTER, with_diff)).expect("the call runs");
    assert_eq!(words, [U256::from(42)]);
    let with_code =
        AccountOverride { code: Some(COUNTER_CODE), state: Some(slot(6)), ..Default::default() };
    let nowhere = Address::repeat_byte(0x77);
    let words = run(&to(nowhere), &overriding(nowhere, with_code)).expect("the call runs");
    assert_eq!(words, [U256::from(7)]);
    let with_both =
        AccountOverride { state: Some(slot(1)), state_diff: Some(slot(1)), ..Default::default() };
    let refused = run(&to(COUNTER), &overriding(COUNTER, with_both));
    assert!(matches!(refused, Err(InspectError::Override(_))), "{refused:?}");
}

#[test]
fn a_precompile_can_be_moved() {
    let identity = address!("0000000000000000000000000000000000000004");
    let elsewhere = Address::repeat_byte(0x44);
    let moved = AccountOverride { move_precompile_to: Some(elsewhere), ..Default::default() };
    let overrides = overriding(identity, moved);
    let input = TransactionInput::new(B256::repeat_byte(1).into());
    let at = |address| run(&to(address).input(input.clone()), &overrides).expect("the call runs");
    assert_eq!(at(elsewhere), [U256::from_be_bytes([1; 32])]);
    assert!(at(identity).is_empty());
    let refused = run(
        &to(COUNTER),
        &overriding(
            COUNTER,
            AccountOverride { move_precompile_to: Some(elsewhere), ..Default::default() },
        ),
    );
    assert!(matches!(refused, Err(InspectError::Override(_))), "{refused:?}");
}

#[test]
fn refusals_tell_what_go_ethereum_tells() {
    let poor = Address::repeat_byte(0x99);
    let refusal = |request: TransactionRequest| match run(&request, &Overrides::default()) {
        Err(InspectError::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let funds = refusal(to(COUNTER).from(poor).value(U256::ONE));
    assert_eq!(
        funds.to_string(),
        format!("insufficient funds for gas * price + value: address {poor} have 0 want 1")
    );
    assert_eq!(funds.simulation_code(), -38014);
    let gas = refusal(to(COUNTER).gas_limit(100));
    assert_eq!(gas.to_string(), "intrinsic gas too low: have 100, want 21000");
    let fee = TransactionRequest { max_fee_per_gas: Some(1), ..to(COUNTER).from(RICH) };
    assert!(matches!(refusal(fee), Refusal::FeeTooLow { max_fee: 1, base_fee: 7, .. }));
    let tip = TransactionRequest {
        max_fee_per_gas: Some(10),
        max_priority_fee_per_gas: Some(11),
        ..to(COUNTER).from(RICH)
    };
    assert!(matches!(refusal(tip), Refusal::TipAboveFee { tip: 11, max_fee: 10, .. }));
    let both = TransactionRequest { gas_price: Some(1), max_fee_per_gas: Some(1), ..to(COUNTER) };
    let both = run(&both, &Overrides::default());
    assert!(matches!(both, Err(InspectError::Argument(_))), "{both:?}");
}

#[test]
fn gas_is_capped_and_running_out_of_it_is_an_outcome() {
    let limits = Limits { gas_cap: 100_000, ..Limits::DEFAULT };
    let request = to(LOOP).gas_limit(u64::MAX);
    let outcome = call(&chain(), &header(), state(), &request, &Overrides::default(), &limits)
        .expect("the call runs");
    assert_eq!(outcome.gas_used, 100_000);
    assert!(matches!(outcome.ending, Ending::Halted { out_of_gas: true, .. }), "{outcome:?}");
    let estimate =
        estimate_gas(&chain(), &header(), state(), &request, &Overrides::default(), &limits);
    assert!(matches!(estimate, Err(InspectError::Allowance(100_000))), "{estimate:?}");
}

#[test]
fn an_estimate_suffices_and_is_not_far_above_what_does() {
    let estimate = |request: &TransactionRequest| {
        let overrides = Overrides::default();
        estimate_gas(&chain(), &header(), state(), request, &overrides, &Limits::DEFAULT)
            .expect("the call succeeds")
    };
    for target in [COUNTER, ENVIRONMENT, GREEDY] {
        let gas = estimate(&to(target));
        let succeeds = |gas| run(&to(target).gas_limit(gas), &Overrides::default()).is_ok();
        assert!(succeeds(gas), "{target}: {gas} is too little");
        assert!(!succeeds(gas - gas * 16 / 1000), "{target}: {gas} is too much");
    }
    assert_eq!(estimate(&to(RICH)), 21_000);
    let paying = TransactionRequest { gas_price: Some(1 << 30), ..to(COUNTER).from(RICH) };
    assert!(estimate(&paying) < 50_000);
}

#[test]
fn an_access_list_names_what_is_touched_beside_the_parties() {
    let list = create_access_list(
        &chain(),
        &header(),
        state(),
        &to(COUNTER),
        &Overrides::default(),
        &Limits::DEFAULT,
    )
    .expect("the call runs");
    assert_eq!(list.access_list.0.len(), 1);
    assert_eq!(list.access_list.0[0].storage_keys, [B256::ZERO]);
    assert_eq!(list.error, None);
}

#[test]
fn code_stops_when_it_is_told_to() {
    let polls = AtomicU32::new(0);
    let stop = || polls.fetch_add(1, Ordering::Relaxed) > 20;
    let limits = Limits { stop: Some(&stop), ..Limits::DEFAULT };
    let overrides = Overrides::default();
    let (chain, header, state) = (chain(), header(), state());
    let stopped = call(&chain, &header, &state, &to(LOOP), &overrides, &limits);
    assert!(matches!(stopped, Err(InspectError::Stopped)), "{stopped:?}");
    assert!(polls.load(Ordering::Relaxed) < 30, "it went on after it was told to stop");
    let options = GethDebugTracingOptions::default();
    let stopped = trace_call(&chain, &header, &state, &to(LOOP), &overrides, &options, &limits);
    assert!(matches!(stopped, Err(InspectError::Stopped)), "{stopped:?}");
    let patient = || false;
    let limits = Limits { stop: Some(&patient), ..Limits::DEFAULT };
    let watched = call(&chain, &header, &state, &to(COUNTER), &overrides, &limits);
    let free = call(&chain, &header, &state, &to(COUNTER), &overrides, &Limits::DEFAULT);
    assert_eq!(watched.expect("the call runs"), free.expect("the call runs"));
}

#[test]
fn a_trace_that_grows_too_large_ends() {
    let limits = Limits { trace_bytes: 1 << 20, ..Limits::DEFAULT };
    let options = GethDebugTracingOptions::default();
    let (chain, header, state) = (chain(), header(), state());
    let overrides = Overrides::default();
    let large = trace_call(&chain, &header, &state, &to(LOOP), &overrides, &options, &limits);
    assert!(matches!(large, Err(InspectError::Limit { what: "bytes of trace", .. })), "{large:?}");
    let short = to(LOOP).gas_limit(25_000);
    trace_call(&chain, &header, &state, &short, &overrides, &options, &limits)
        .expect("a short trace fits");
}

/// `for i in 0.. { load slot i }`
const READER_CODE: Bytes = bytes!("5f5b80545060010160015600");

#[test]
fn the_storage_that_is_kept_with_each_step_counts() {
    let account = AccountOverride { code: Some(READER_CODE), ..Default::default() };
    let overrides = overriding(COUNTER, account);
    let limits = Limits { trace_bytes: 20 << 20, ..Limits::DEFAULT };
    let request = to(COUNTER).gas_limit(3_000_000);
    let trace = |options: serde_json::Value| {
        let options = serde_json::from_value(options).expect("the options parse");
        trace_call(&chain(), &header(), state(), &request, &overrides, &options, &limits)
    };
    // Some 1,400 slots, all of which are kept with each of as many steps.
    let large = trace(serde_json::json!({}));
    assert!(matches!(large, Err(InspectError::Limit { what: "bytes of trace", .. })), "{large:?}");
    trace(serde_json::json!({ "disableStorage": true })).expect("the steps alone fit");
}

#[test]
fn steps_beyond_the_wanted_ones_are_not_kept() {
    let trace = |to_whom: Address, options: serde_json::Value| {
        let options = serde_json::from_value(options).expect("the options parse");
        let limits = Limits { trace_bytes: 1 << 20, ..Limits::DEFAULT };
        let request = to(to_whom).gas_limit(3_000_000);
        let overrides = Overrides::default();
        let trace =
            trace_call(&chain(), &header(), state(), &request, &overrides, &options, &limits);
        serde_json::json!(trace.expect("the trace fits"))
    };
    let endless = trace(LOOP, serde_json::json!({ "limit": 3 }));
    assert_eq!(endless["structLogs"].as_array().map(Vec::len), Some(3));
    let all = trace(COUNTER, serde_json::json!({}));
    let first = trace(COUNTER, serde_json::json!({ "limit": 4 }));
    let (all, first) = (all["structLogs"].as_array(), first["structLogs"].as_array());
    assert_eq!(all.map(|logs| &logs[..4]), first.map(Vec::as_slice));
}

#[test]
fn the_calls_of_a_request_share_its_limit() {
    let types: alloy_primitives::map::HashSet<TraceType> = [TraceType::Trace].into_iter().collect();
    let calls = vec![(to(COUNTER), types); 20];
    // Each takes about a kilobyte.
    let limits = Limits { trace_bytes: 10 << 10, ..Limits::DEFAULT };
    let result = trace_call_many(&chain(), &header(), state(), &calls, &limits);
    assert!(matches!(result, Err(InspectError::Limit { .. })), "{result:?}");
    trace_call_many(&chain(), &header(), state(), &calls[..5], &limits).expect("a few fit");
}

#[test]
fn too_many_overrides_are_refused() {
    let limits = Limits { overrides: 2, ..Limits::DEFAULT };
    let slots = (0..2_u8).map(|slot| (B256::repeat_byte(slot), B256::ZERO)).collect();
    let account = AccountOverride { state_diff: Some(slots), ..Default::default() };
    let overrides = overriding(COUNTER, account);
    let result = call(&chain(), &header(), state(), &to(COUNTER), &overrides, &limits);
    assert!(matches!(result, Err(InspectError::Limit { got: 3, limit: 2, .. })), "{result:?}");
}

#[test]
fn unknown_tracers_are_named() {
    let options: GethDebugTracingOptions =
        serde_json::from_str(r#"{"tracer": "{step: function() {}}"}"#).expect("it parses");
    let overrides = Overrides::default();
    let result = trace_call(
        &chain(),
        &header(),
        state(),
        &to(COUNTER),
        &overrides,
        &options,
        &Limits::DEFAULT,
    );
    assert!(matches!(result, Err(InspectError::UnknownTracer(_))), "{result:?}");
}

#[test]
fn muxed_tracers_say_what_they_say_alone() {
    let trace = |options: serde_json::Value| {
        let options = serde_json::from_value(options).expect("the options parse");
        let overrides = Overrides::default();
        let request = to(COUNTER).input(TransactionInput::new(bytes!("aabbccdd00")));
        let (chain, header, state) = (chain(), header(), state());
        let limits = Limits::DEFAULT;
        let trace = trace_call(&chain, &header, &state, &request, &overrides, &options, &limits);
        serde_json::json!(trace.expect("the call runs"))
    };
    let names = ["callTracer", "prestateTracer", "4byteTracer", "noopTracer", "flatCallTracer"];
    let config: serde_json::Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), serde_json::Value::Null)).collect();
    let muxed = trace(serde_json::json!({ "tracer": "muxTracer", "tracerConfig": config }));
    for name in ["prestateTracer", "4byteTracer", "noopTracer"] {
        assert_eq!(muxed[name], trace(serde_json::json!({ "tracer": name })), "{name}");
    }
    assert_eq!(muxed["4byteTracer"]["0xaabbccdd-1"], 1);
    assert_eq!(muxed.as_object().map(|muxed| muxed.len()), Some(names.len()));
}

#[test]
fn calls_in_a_row_see_each_other() {
    let types = [TraceType::Trace, TraceType::StateDiff, TraceType::VmTrace];
    let types: alloy_primitives::map::HashSet<TraceType> = types.into_iter().collect();
    let calls = vec![(to(COUNTER), types.clone()), (to(COUNTER), types.clone())];
    let results = trace_call_many(&chain(), &header(), state(), &calls, &Limits::DEFAULT)
        .expect("the calls run");
    let outputs: Vec<U256> =
        results.iter().map(|result| U256::from_be_slice(&result.output)).collect();
    assert_eq!(outputs, [U256::from(1), U256::from(2)]);
    let alone = trace_call_parity(
        &chain(),
        &header(),
        state(),
        &to(COUNTER),
        &types,
        &Overrides::default(),
        &Limits::DEFAULT,
    )
    .expect("the call runs");
    assert_eq!(alone, results[0]);
    let diff = alone.state_diff.expect("the difference was asked for");
    let slot = &diff[&COUNTER].storage[&B256::ZERO];
    let expected = Delta::changed(B256::ZERO, B256::from(U256::from(1)));
    assert_eq!(*slot, expected);
    assert!(!alone.vm_trace.expect("the trace was asked for").ops.is_empty());
}
