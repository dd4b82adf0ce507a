//! Beacon nodes that know who proposes, know it by older rules, or lie.

use crate::{
    fake::{FakeTransport, ok},
    server::{Reply, Server},
};
use alloy_primitives::{B256, FixedBytes, b256};
use lockstep_derive::Severity;
use lockstep_providers::{
    Accept, BeaconClient, BeaconHeader, ClientError, MAX_DUTIES, ProposerDuty, Response, Retry,
    Timeouts, Transport, TransportError,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

const DEPENDENT: B256 = B256::repeat_byte(5);

fn header() -> BeaconHeader {
    BeaconHeader {
        slot: 258,
        proposer_index: 3,
        parent_root: B256::repeat_byte(1),
        state_root: B256::repeat_byte(2),
        body_root: B256::repeat_byte(3),
    }
}

fn header_json(header: &BeaconHeader) -> Value {
    let message = json!({
        "slot": header.slot.to_string(),
        "proposer_index": header.proposer_index.to_string(),
        "parent_root": header.parent_root,
        "state_root": header.state_root,
        "body_root": header.body_root,
    });
    json!({ "data": { "root": header.root(), "canonical": true, "header": { "message": message } } })
}

fn status(status: u16) -> Result<Response, TransportError> {
    Ok(Response { status, body: Vec::new() })
}

fn duties(slots: std::ops::Range<u64>) -> Value {
    let duty = |slot: u64| {
        let key = FixedBytes::<48>::repeat_byte(slot as u8);
        json!({ "pubkey": key, "validator_index": (slot * 10).to_string(), "slot": slot.to_string() })
    };
    json!({ "dependent_root": DEPENDENT, "data": slots.map(duty).collect::<Vec<_>>() })
}

fn client(nodes: Vec<Arc<dyn Transport>>) -> BeaconClient {
    BeaconClient::new(nodes, Retry::at_once(1)).unwrap()
}

#[test]
fn duties_are_asked_for_by_the_newest_rule_that_a_node_knows() {
    for (knows_fulu, dependent_epoch) in [(true, 6), (false, 7)] {
        let node = FakeTransport::serving(move |request| match request.path {
            "/eth/v2/validator/duties/proposer/7" if !knows_fulu => status(404),
            "/eth/v2/validator/duties/proposer/7" | "/eth/v1/validator/duties/proposer/7" => {
                ok(&duties(56..58))
            }
            path => panic!("{path}"),
        });
        let found = client(vec![node]).proposer_duties(7).unwrap();
        assert_eq!(found.dependent_root, DEPENDENT);
        assert_eq!(found.dependent_epoch, dependent_epoch);
        let key = FixedBytes::repeat_byte(57);
        assert_eq!(found.duties[1], ProposerDuty { slot: 57, validator_index: 570, key });
    }
}

#[test]
fn the_next_node_is_asked_if_one_fails() {
    let down = FakeTransport::serving(|_| Err(TransportError::Failed("down".to_owned())));
    let up = FakeTransport::serving(|_| ok(&duties(0..1)));
    let found = client(vec![Arc::clone(&down), up]).proposer_duties(0).unwrap();
    assert_eq!((found.dependent_epoch, found.duties.len()), (0, 1));
    let error = client(vec![down]).proposer_duties(0).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[test]
fn answers_that_are_no_duties_are_refused() {
    for wrong in [
        json!({}),
        json!({ "dependent_root": DEPENDENT }),
        json!({ "dependent_root": "0x12", "data": [] }),
        duties(0..MAX_DUTIES as u64 + 1),
        json!({ "dependent_root": DEPENDENT, "data": [{ "pubkey": "0x", "slot": "1" }] }),
    ] {
        let answer = wrong.clone();
        let node = FakeTransport::serving(move |_| ok(&answer));
        let error = client(vec![node]).proposer_duties(0).unwrap_err();
        assert!(matches!(error, ClientError::Malformed { .. }), "{wrong}: {error}");
        assert_eq!(error.severity(), Severity::Temporary);
    }
    assert_eq!(duties(0..MAX_DUTIES as u64)["data"].as_array().unwrap().len(), MAX_DUTIES);
}

#[test]
fn a_header_has_the_root_that_was_asked_for() {
    let served = header();
    let node = FakeTransport::serving(move |request| {
        if request.path == format!("/eth/v1/beacon/headers/{}", B256::repeat_byte(9)) {
            return status(404);
        }
        ok(&header_json(&served))
    });
    let client = client(vec![node]);
    assert_eq!(client.header(header().root()).unwrap(), header());
    let error = client.header(B256::repeat_byte(8)).unwrap_err();
    assert!(matches!(error, ClientError::Untrue { .. }), "{error}");
    let error = client.header(B256::repeat_byte(9)).unwrap_err();
    assert!(matches!(error, ClientError::NotFound { .. }), "{error}");
    // Truth: Python's `hashlib`, over the tree that the consensus specifications describe.
    let root = b256!("0x044d4eb958aed3565b7be6dfa3e118dc3068a41a7af23fb6216032f24fbababa");
    assert_eq!(header().root(), root);
    // Every field counts.
    for change in [
        BeaconHeader { slot: 259, ..header() },
        BeaconHeader { proposer_index: 4, ..header() },
        BeaconHeader { parent_root: DEPENDENT, ..header() },
        BeaconHeader { state_root: DEPENDENT, ..header() },
        BeaconHeader { body_root: DEPENDENT, ..header() },
    ] {
        assert_ne!(change.root(), header().root());
    }
}

#[test]
fn a_state_is_asked_for_by_root_and_if_need_be_by_slot() {
    let by_root = format!("/eth/v2/debug/beacon/states/{}", header().state_root);
    let by_slot = "/eth/v2/debug/beacon/states/258";
    for finds_roots in [true, false] {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let node = FakeTransport::serving(move |request| {
            assert_eq!(request.accept, Accept::Ssz);
            seen.lock().push(request.path.to_owned());
            if !finds_roots && request.path != by_slot {
                return status(404);
            }
            Ok(Response { status: 200, body: vec![1, 2, 3] })
        });
        assert_eq!(client(vec![node]).state(&header()).unwrap(), [1, 2, 3]);
        let expected: &[&str] =
            if finds_roots { &[by_root.as_str()] } else { &[by_root.as_str(), by_slot] };
        assert_eq!(*asked.lock(), expected);
    }
    let nothing = client(vec![FakeTransport::serving(|_| status(404))]);
    let error = nothing.state(&header()).unwrap_err();
    assert!(matches!(error, ClientError::NotFound { what: "beacon state", .. }), "{error}");
}

#[test]
fn servers_are_told_which_form_is_wanted() {
    let server = Server::start(|received| {
        let is_state = received.line.contains("/debug/beacon/states/");
        let wanted = if is_state { "application/octet-stream" } else { "application/json" };
        let body = if is_state { vec![7] } else { header_json(&header()).to_string().into_bytes() };
        if received.accept == wanted { Reply::Status(200, body) } else { Reply::Close }
    });
    let urls = [server.url];
    let client = BeaconClient::http(&urls, Timeouts::default(), Retry::at_once(1)).unwrap();
    let header = client.header(header().root()).unwrap();
    assert_eq!(client.state(&header).unwrap(), [7]);
}
