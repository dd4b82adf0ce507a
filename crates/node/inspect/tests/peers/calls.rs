//! Calls that go on to another rollup.

use crate::world::{CALLER, CATCHER, ENTRANCE, PEER, RELAY, STUCK, TARGET, USER, World, word};
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::{TransactionRequest, state::StateOverride};
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use lockstep_inspect::{
    CallOutcome, Ending, InspectError, Limits, Overrides, call, create_access_list, estimate_gas,
    trace_call,
};
use lockstep_union::{PORT, proxy_of};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};

fn to(target: Address) -> TransactionRequest {
    TransactionRequest::default().from(USER).to(target)
}

fn limits(world: &World) -> Limits<'_> {
    Limits { peers: Some(world), ..Limits::DEFAULT }
}

fn run(world: &World, request: &TransactionRequest) -> Result<CallOutcome, InspectError> {
    let (chain, header, state) = world.home();
    call(chain, header, state, request, &Overrides::default(), &limits(world))
}

fn estimate(world: &World, target: Address) -> u64 {
    let (chain, header, state) = world.home();
    let (request, overrides) = (to(target), Overrides::default());
    estimate_gas(chain, header, state, &request, &overrides, &limits(world)).unwrap()
}

#[test]
fn a_call_gets_what_the_peer_returns_and_leaves_nothing_there() {
    let world = World::new(7, 7);
    for _ in 0..2 {
        let outcome = run(&world, &to(CALLER)).unwrap();
        assert_eq!(outcome.ending, Ending::Success(word(1)));
    }
    let reentrant = run(&world, &to(ENTRANCE)).unwrap();
    assert_eq!(reentrant.ending, Ending::Success(word(1)));
    let caught = run(&world, &to(CATCHER)).unwrap();
    assert_eq!(caught.ending, Ending::Success(word(1)), "what the peer reverted with");
}

#[test]
fn without_peers_a_call_says_which_rollup_it_reaches() {
    let world = World::new(7, 7);
    let (chain, header, state) = world.home();
    let (request, overrides) = (to(CALLER), Overrides::default());
    let error = call(chain, header, state, &request, &overrides, &Limits::DEFAULT).unwrap_err();
    assert!(matches!(error, InspectError::PeerUnknown(PEER)), "{error}");
    assert_eq!(error.code(), -32000);
    assert!(error.to_string().contains("rollup 902"), "{error}");
    let own = call(chain, header, state, &to(TARGET), &overrides, &Limits::DEFAULT).unwrap();
    assert_eq!(own.ending, Ending::Success(word(1)));
}

#[test]
fn an_estimate_suffices_when_the_transaction_is_executed() {
    for (home, peer) in [(7, 7), (7, 700), (700, 7), (1_000, 1_300), (0, 50)] {
        let world = World::new(home, peer);
        for target in [CALLER, ENTRANCE, CATCHER] {
            let gas = estimate(&world, target);
            let joined = world.execute(target, gas);
            assert!(joined.success, "{target}: {gas} gas at base fees {home} and {peer}");
            assert_eq!(joined.transactions.len(), 2, "a part and the user's transaction");
        }
        let gas = estimate(&world, CALLER);
        assert!(!world.execute(CALLER, gas * 8 / 10).success, "not much more than is needed");
    }
}

#[test]
fn an_estimate_suffices_when_the_peer_has_become_dearer_meanwhile() {
    for (home, peer) in [(1_000, 1_000), (1_000, 9_000), (1_100, 1_000)] {
        for target in [CALLER, ENTRANCE, CATCHER] {
            let gas = estimate(&World::new(home, peer), target);
            let later = World::new(home, peer * 110 / 100).execute(target, gas);
            assert!(later.success, "{target}: {gas} gas at base fees {home} and {peer}");
        }
    }
}

#[test]
fn gas_of_a_dearer_peer_costs_more_although_the_call_pays_nothing() {
    let used = |home, peer| {
        let world = World::new(home, peer);
        run(&world, &to(CALLER)).unwrap().gas_used
    };
    let (same, dearer, cheaper) = (used(7, 7), used(7, 70), used(70, 7));
    assert_eq!(same, cheaper);
    // The peer creates a slot.
    assert!(dearer > same + 9 * 20_000, "{dearer} and {same}");
    assert_eq!(World::new(7, 70).execute(CALLER, 5_000_000).gas_used, dearer);
}

#[test]
fn state_is_overridden_on_the_home_alone() {
    let world = World::new(7, 7);
    let (chain, header, state) = world.home();
    let overridden: StateOverride = serde_json::from_value(json!({
        TARGET.to_string(): { "stateDiff": { format!("{:#066x}", 0): format!("{:#066x}", 41) } },
    }))
    .unwrap();
    let overrides = Overrides { state: Some(overridden), block: None };
    let run = |target| {
        let outcome = call(chain, header, state, &to(target), &overrides, &limits(&world));
        outcome.unwrap().ending
    };
    assert_eq!(run(CALLER), Ending::Success(word(1)), "the target on the peer");
    assert_eq!(run(ENTRANCE), Ending::Success(word(42)), "the target on the home");
}

#[test]
fn an_access_list_names_what_the_home_touches() {
    let world = World::new(7, 7);
    let (chain, header, state) = world.home();
    let overrides = Overrides::default();
    let list =
        create_access_list(chain, header, state, &to(CALLER), &overrides, &limits(&world)).unwrap();
    assert_eq!(list.error, None);
    let named: Vec<Address> = list.access_list.iter().map(|item| item.address).collect();
    assert!(named.contains(&CALLER) && named.contains(&proxy_of(PEER, TARGET)), "{named:?}");
    assert!(!named.contains(&TARGET), "that one is on the peer");
}

#[test]
fn ether_goes_along_and_must_be_there() {
    let world = World::new(7, 7);
    let paid = run(&world, &to(CALLER).value(U256::from(5))).unwrap();
    assert!(paid.is_success());
    let refused = run(&world, &to(CALLER).value(U256::MAX));
    assert!(matches!(refused, Err(InspectError::Refused { .. })), "{refused:?}");
}

#[test]
fn code_of_a_peer_is_stopped_too() {
    let world = World::new(7, 7);
    let (chain, header, state) = world.home();
    let polls = AtomicU32::new(0);
    let stop = || polls.fetch_add(1, Ordering::Relaxed) >= 3;
    let limits = Limits { stop: Some(&stop), ..limits(&world) };
    let outcome = call(chain, header, state, &to(STUCK), &Overrides::default(), &limits);
    assert!(matches!(outcome, Err(InspectError::Stopped)), "{outcome:?}");
    let asked = polls.load(Ordering::Relaxed);
    assert!((4..10).contains(&asked), "{asked}");
}

#[test]
fn the_gas_cap_is_that_of_all_rollups_together() {
    let world = World::new(7, 7);
    let (chain, header, state) = world.home();
    let limits = Limits { gas_cap: 200_000, ..limits(&world) };
    let outcome = call(chain, header, state, &to(STUCK), &Overrides::default(), &limits).unwrap();
    assert!(outcome.is_success(), "the failure is caught");
    assert!(outcome.gas_used <= 200_000);
}

#[test]
fn a_traced_call_shows_the_call_of_the_port() {
    let world = World::new(7, 7);
    let (chain, header, state) = world.home();
    let options: GethDebugTracingOptions =
        serde_json::from_value(json!({ "tracer": "callTracer" })).unwrap();
    let overrides = Overrides::default();
    let trace =
        trace_call(chain, header, state, &to(ENTRANCE), &overrides, &options, &limits(&world));
    let trace = json!(trace.unwrap());
    let proxy = &trace["calls"][0];
    assert_eq!(proxy["to"], json!(proxy_of(PEER, RELAY)));
    let port = &proxy["calls"][0];
    assert_eq!((&port["to"], &port["output"]), (&json!(PORT), &json!(word(1))));
    let back = &port["calls"][0];
    assert_eq!(back["from"], json!(proxy_of(PEER, RELAY)), "the peer calls back: {trace}");
    assert_eq!((&back["to"], &back["output"]), (&json!(TARGET), &json!(word(1))));
}
