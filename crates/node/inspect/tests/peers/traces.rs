//! Blocks that hold parts of super transactions, traced.

use crate::world::{CALLER, CATCHER, ENTRANCE, FAILING, HOME, Made, PEER, TARGET, World, word};
use alloy_consensus::TxReceipt;
use alloy_primitives::{Address, ChainId, U256, map::HashSet};
use alloy_rpc_types_trace::{geth::GethDebugTracingOptions, parity::TraceType};
use lockstep_inspect::{
    Limits, block_traces, internal_operations, otterscan_trace, replay_block_transactions,
    trace_block, trace_transaction, transaction_error,
};
use lockstep_union::{GATE, PORT, proxy_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CALLS: [(Address, u64); 4] =
    [(CALLER, 900_000), (TARGET, 100_000), (ENTRANCE, 900_000), (CATCHER, 900_000)];

fn traces(
    world: &World,
    made: &BTreeMap<ChainId, Made>,
    on: ChainId,
    options: Value,
) -> Vec<Value> {
    let member = &world.members[&on];
    let options: GethDebugTracingOptions = serde_json::from_value(options).unwrap();
    let (replay, state) = (made[&on].replay(), &member.state);
    let all = trace_block(&member.chain, replay, state, &options, &Limits::DEFAULT).unwrap();
    let all: Vec<Value> = all.iter().map(|trace| json!(trace)["result"].clone()).collect();
    for (index, trace) in all.iter().enumerate() {
        let alone =
            trace_transaction(&member.chain, replay, state, index, &options, &Limits::DEFAULT);
        assert_eq!(&json!(alone.unwrap()), trace, "the same alone as with those before it");
    }
    all
}

fn gas_used(made: &Made) -> Vec<u64> {
    let mut before = 0;
    let receipts = made.output.receipts.iter().map(|receipt| {
        let used = receipt.cumulative_gas_used() - before;
        before = receipt.cumulative_gas_used();
        used
    });
    receipts.collect()
}

#[test]
fn call_traces_have_the_gas_of_the_receipts() {
    let world = World::new(7, 21);
    let made = world.make(&CALLS);
    assert_eq!(made[&HOME].senders.len(), 7, "three parts");
    assert_eq!(made[&PEER].senders.len(), 3);
    for on in [HOME, PEER] {
        let traces = traces(&world, &made, on, json!({ "tracer": "callTracer" }));
        let used: Vec<Value> =
            gas_used(&made[&on]).into_iter().map(|gas| json!(U256::from(gas))).collect();
        let traced: Vec<Value> = traces.iter().map(|trace| trace["gasUsed"].clone()).collect();
        assert_eq!(traced, used, "rollup {on}");
    }
}

#[test]
fn the_home_shows_what_the_peer_returned_and_its_part_as_nothing() {
    let world = World::new(7, 7);
    let made = world.make(&CALLS);
    let traces = traces(&world, &made, HOME, json!({ "tracer": "callTracer" }));
    assert_eq!((&traces[0]["from"], &traces[0]["to"]), (&json!(PORT), &json!(PORT)));
    assert_eq!(traces[0].get("calls"), None);
    let port = &traces[1]["calls"][0]["calls"][0];
    assert_eq!((&port["to"], &port["output"]), (&json!(PORT), &json!(word(1))));
    let back = &traces[4]["calls"][0]["calls"][0]["calls"][0];
    assert_eq!(back["to"], json!(TARGET), "a call back is inside of the call it came from");
    let caught = &traces[6]["calls"][0]["calls"][0];
    assert_eq!(
        (&caught["error"], &caught["output"]),
        (&json!("execution reverted"), &json!(word(1)))
    );
}

#[test]
fn a_peer_shows_the_calls_that_arrived() {
    let world = World::new(7, 7);
    let made = world.make(&CALLS);
    let traces = traces(&world, &made, PEER, json!({ "tracer": "callTracer" }));
    for (index, from, to) in [(0, CALLER, TARGET), (2, CATCHER, FAILING)] {
        let trace = &traces[index];
        assert_eq!((&trace["from"], &trace["to"]), (&json!(PORT), &json!(GATE)));
        let call = &trace["calls"][0];
        assert_eq!((&call["from"], &call["to"]), (&json!(proxy_of(HOME, from)), &json!(to)));
        assert_eq!(call["output"], json!(word(1)));
    }
    assert_eq!(traces[2]["calls"][0]["error"], json!("execution reverted"));
    let port = &traces[1]["calls"][0]["calls"][0]["calls"][0];
    assert_eq!(port["to"], json!(PORT), "the relay calls the home: {}", traces[1]);
}

#[test]
fn every_tracer_replays_blocks_with_parts() {
    let world = World::new(7, 7);
    let made = world.make(&CALLS);
    for on in [HOME, PEER] {
        for options in [
            json!({}),
            json!({ "enableMemory": true, "enableReturnData": true }),
            json!({ "tracer": "prestateTracer" }),
            json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } }),
            json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } }),
            json!({ "tracer": "flatCallTracer" }),
            json!({ "tracer": "4byteTracer" }),
            json!({ "tracer": "noopTracer" }),
            json!({ "tracer": "muxTracer", "tracerConfig": { "callTracer": {}, "prestateTracer": {} } }),
        ] {
            let traces = traces(&world, &made, on, options.clone());
            assert_eq!(traces.len(), made[&on].senders.len(), "{options}");
        }
    }
}

#[test]
fn a_difference_of_states_is_the_rollups_own() {
    let world = World::new(7, 7);
    let made = world.make(&CALLS);
    let options = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
    let on_peer = traces(&world, &made, PEER, options.clone());
    let slot = format!("{:#066x}", 0);
    let target = TARGET.to_string().to_lowercase();
    assert_eq!(on_peer[0]["post"][&target]["storage"][&slot], json!(format!("{:#066x}", 1)));
    let gate = GATE.to_string().to_lowercase();
    assert!(on_peer[0]["post"][&gate]["storage"].is_object(), "the transcript");
    let failing = FAILING.to_string().to_lowercase();
    assert_eq!(on_peer[2]["post"].get(&failing), None, "what failed is undone");
    let on_home = traces(&world, &made, HOME, options);
    assert_eq!(on_home[0], json!({ "pre": {}, "post": {} }));
}

#[test]
fn parity_and_otterscan_tell_blocks_with_parts() {
    let world = World::new(7, 7);
    let made = world.make(&CALLS);
    let limits = Limits::DEFAULT;
    for on in [HOME, PEER] {
        let (chain, state) = (&world.members[&on].chain, &world.members[&on].state);
        let replay = made[&on].replay();
        let count = made[&on].senders.len();
        let flat = block_traces(chain, replay, state, &limits).unwrap();
        let outermost: Vec<_> =
            flat.iter().filter(|trace| trace.trace.trace_address.is_empty()).collect();
        assert_eq!(outermost.len(), count);
        let types =
            HashSet::from_iter([TraceType::Trace, TraceType::StateDiff, TraceType::VmTrace]);
        let results = replay_block_transactions(chain, replay, state, &types, &limits).unwrap();
        assert_eq!(results.len(), count);
        for index in 0..count {
            assert!(!otterscan_trace(chain, replay, state, index, &limits).unwrap().is_empty());
            let error = transaction_error(chain, replay, state, index, &limits).unwrap();
            assert!(error.is_empty());
            internal_operations(chain, replay, state, index, &limits).unwrap();
        }
    }
}
