//! The Beacon API, held against the shapes of the official specification.

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail this way"
)]

mod common;

use alloy_eips::eip4844::{Blob, c_kzg, env_settings::EnvKzgSettings, kzg_to_versioned_hash};
use alloy_primitives::{B256, FixedBytes};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use common::{FakeEngine, config, run, start};
use http_body_util::BodyExt;
use lockstep_devnet::{
    beacon::{
        BeaconRunner, BlobsBundle, Control, DevBeacon, Preset, beacon_api,
        types::{BeaconState, SignedBeaconBlock, SignedBeaconBlockHeader},
    },
    ssz::{ApiJson, Ssz, is_valid_branch},
};
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

const PRESET: &Preset = &Preset::MINIMAL;

fn chain(slots: u64) -> (DevBeacon<FakeEngine>, FakeEngine, Router) {
    let (mut beacon, engine) = start(config(PRESET));
    run(&mut beacon, slots);
    let api = beacon_api(beacon.view(), None);
    (beacon, engine, api)
}

async fn request(api: &Router, request: Request<Body>) -> (StatusCode, Vec<u8>) {
    let answer = api.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    (status, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
}

async fn get(api: &Router, path: &str) -> (StatusCode, Value) {
    let (status, body) = request(api, Request::get(path).body(Body::empty()).unwrap()).await;
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn ok(api: &Router, path: &str) -> Value {
    let (status, body) = get(api, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

async fn post(api: &Router, path: &str, body: &str) -> (StatusCode, Value) {
    let sent = Request::post(path).body(Body::from(body.to_owned())).unwrap();
    let (status, body) = request(api, sent).await;
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Whether a value has the shape of an example: the same keys, and the same kind of strings.
fn assert_shape(found: &Value, example: &Value, path: &str) {
    match (found, example) {
        (Value::Object(found), Value::Object(example)) => {
            let keys: Vec<_> = found.keys().collect();
            let expected: Vec<_> = example.keys().collect();
            assert_eq!(keys, expected, "{path}");
            for (key, value) in example {
                assert_shape(&found[key], value, &format!("{path}.{key}"));
            }
        }
        (Value::Array(found), Value::Array(example)) => {
            for value in found {
                assert_shape(value, &example[0], &format!("{path}[]"));
            }
        }
        (Value::String(found), Value::String(example)) => {
            let hex = |text: &str| text.starts_with("0x").then_some(text.len());
            assert_eq!(hex(found), hex(example), "{path}: {found}");
            let number =
                |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            assert_eq!(number(found), number(example), "{path}: {found}");
        }
        (found, example) => {
            assert_eq!(
                std::mem::discriminant(found),
                std::mem::discriminant(example),
                "{path}: {found}"
            );
        }
    }
}

fn root() -> Value {
    B256::ZERO.to_json()
}

fn signature() -> Value {
    FixedBytes::<96>::ZERO.to_json()
}

fn header() -> Value {
    json!({
        "message": {
            "slot": "1", "proposer_index": "1", "parent_root": root(), "state_root": root(),
            "body_root": root(),
        },
        "signature": signature(),
    })
}

#[tokio::test]
async fn answers_have_the_official_shapes() {
    let (_beacon, _, api) = chain(60);
    let finality =
        |data: Value| json!({ "execution_optimistic": false, "finalized": true, "data": data });
    let versioned = |data: Value| json!({ "version": "fulu", "execution_optimistic": false, "finalized": true, "data": data });
    let checkpoint = json!({ "epoch": "1", "root": root() });
    let shapes = [
        (
            "/eth/v1/beacon/genesis",
            json!({ "data": {
                "genesis_time": "1", "genesis_validators_root": root(),
                "genesis_fork_version": "0x00000000",
            } }),
        ),
        (
            "/eth/v1/config/fork_schedule",
            json!({ "data": [
                { "previous_version": "0x00000000", "current_version": "0x00000000", "epoch": "0" }
            ] }),
        ),
        (
            "/eth/v1/config/deposit_contract",
            json!({ "data": { "chain_id": "1", "address": FixedBytes::<20>::ZERO.to_json() } }),
        ),
        ("/eth/v1/node/version", json!({ "data": { "version": "Lockstep/v1" } })),
        (
            "/eth/v1/node/syncing",
            json!({ "data": {
                "head_slot": "1", "sync_distance": "0", "is_syncing": false,
                "is_optimistic": false, "el_offline": false,
            } }),
        ),
        (
            "/eth/v1/beacon/headers",
            finality(json!([{ "root": root(), "canonical": true, "header": header() }])),
        ),
        (
            "/eth/v1/beacon/headers/finalized",
            finality(json!({ "root": root(), "canonical": true, "header": header() })),
        ),
        ("/eth/v1/beacon/blocks/head/root", finality(json!({ "root": root() }))),
        ("/eth/v1/beacon/states/head/root", finality(json!({ "root": root() }))),
        (
            "/eth/v1/beacon/states/head/fork",
            finality(json!({
                "previous_version": "0x00000000", "current_version": "0x00000000", "epoch": "0",
            })),
        ),
        (
            "/eth/v1/beacon/states/head/finality_checkpoints",
            finality(json!({
                "previous_justified": checkpoint, "current_justified": checkpoint,
                "finalized": checkpoint,
            })),
        ),
        ("/eth/v1/beacon/states/head/randao", finality(json!({ "randao": root() }))),
        ("/eth/v1/beacon/states/head/proposer_lookahead", versioned(json!(["1"]))),
        (
            "/eth/v1/beacon/states/head/validators",
            finality(json!([{
                "index": "1", "balance": "1", "status": "active_ongoing",
                "validator": {
                    "pubkey": FixedBytes::<48>::ZERO.to_json(),
                    "withdrawal_credentials": root(), "effective_balance": "1", "slashed": false,
                    "activation_eligibility_epoch": "0", "activation_epoch": "0",
                    "exit_epoch": "1", "withdrawable_epoch": "1",
                },
            }])),
        ),
        (
            "/eth/v1/validator/duties/proposer/7",
            json!({
                "dependent_root": root(), "execution_optimistic": false,
                "data": [{
                    "pubkey": FixedBytes::<48>::ZERO.to_json(), "validator_index": "1", "slot": "1",
                }],
            }),
        ),
    ];
    for (path, shape) in shapes {
        assert_shape(&ok(&api, path).await, &shape, path);
    }
    let spec = ok(&api, "/eth/v1/config/spec").await;
    for name in
        ["SECONDS_PER_SLOT", "SLOTS_PER_EPOCH", "FULU_FORK_EPOCH", "DEPOSIT_CONTRACT_ADDRESS"]
    {
        assert!(spec["data"][name].is_string(), "{name}");
    }
    assert_eq!(get(&api, "/eth/v1/node/health").await.0, StatusCode::OK);
    ok(&api, "/eth/v1/node/identity").await;
}

/// Numbers that a real client answers with are among ours, under the same names.
#[tokio::test]
async fn the_spec_has_the_names_that_a_real_client_gave() {
    let (_beacon, _, api) = chain(1);
    let ours = ok(&api, "/eth/v1/config/spec").await;
    let real = [
        "PRESET_BASE",
        "CONFIG_NAME",
        "MIN_GENESIS_TIME",
        "GENESIS_FORK_VERSION",
        "DEPOSIT_CHAIN_ID",
        "DEPOSIT_NETWORK_ID",
        "ETH1_FOLLOW_DISTANCE",
        "SHUFFLE_ROUND_COUNT",
        "MAX_SEED_LOOKAHEAD",
        "SYNC_COMMITTEE_SIZE",
        "DOMAIN_RANDAO",
        "TERMINAL_TOTAL_DIFFICULTY",
    ];
    for name in real {
        assert!(ours["data"].get(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn blocks_come_as_json_and_as_ssz() {
    let (beacon, _, api) = chain(40);
    let view = beacon.view();
    for id in ["head", "finalized", "justified", "genesis", "33"] {
        let path = format!("/eth/v2/beacon/blocks/{id}");
        let json = ok(&api, &path).await;
        assert_eq!(json["version"], "fulu");
        let block = SignedBeaconBlock::from_json(&json["data"], PRESET).unwrap();
        let accept = "application/json;q=0.5, application/octet-stream";
        let sent = Request::get(&path).header("accept", accept).body(Body::empty()).unwrap();
        let (status, bytes) = request(&api, sent).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(SignedBeaconBlock::read(&bytes, PRESET).unwrap(), block);
        let root = block.message.root(PRESET);
        let named = ok(&api, &format!("/eth/v1/beacon/blocks/{id}/root")).await;
        assert_eq!(named["data"]["root"], root.to_json());
        let again = ok(&api, &format!("/eth/v2/beacon/blocks/{root}")).await;
        assert_eq!(again["data"], json["data"]);
        let header = ok(&api, &format!("/eth/v1/beacon/headers/{root}")).await;
        let header = SignedBeaconBlockHeader::from_json(&header["data"]["header"], PRESET).unwrap();
        assert_eq!(header.message.root(PRESET), root);
    }
    let child = format!(
        "/eth/v1/beacon/headers?parent_root={}",
        view.root(lockstep_devnet::beacon::BlockId::Slot(10)).unwrap()
    );
    assert_eq!(ok(&api, &child).await["data"][0]["header"]["message"]["slot"], "11");
    assert_eq!(
        ok(&api, "/eth/v1/beacon/headers?slot=12").await["data"][0]["header"]["message"]["slot"],
        "12"
    );
    let sent = Request::get("/eth/v2/debug/beacon/states/head")
        .header("accept", "application/octet-stream");
    let (status, bytes) = request(&api, sent.body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    let state = BeaconState::read(&bytes, PRESET).unwrap();
    assert_eq!(state.root(PRESET), view.head().block.message.state_root);
}

#[tokio::test]
async fn duties_are_the_lookahead_and_those_who_proposed() {
    let (mut beacon, _, api) = chain(42);
    let mut duties = Vec::new();
    for epoch in [5, 6] {
        let answer = ok(&api, &format!("/eth/v1/validator/duties/proposer/{epoch}")).await;
        duties.extend(answer["data"].as_array().unwrap().clone());
    }
    let lookahead = ok(&api, "/eth/v1/beacon/states/head/proposer_lookahead").await;
    for (slot, (duty, proposer)) in
        (40..56).zip(duties.iter().zip(lookahead["data"].as_array().unwrap()))
    {
        assert_eq!(duty["slot"], slot.to_string());
        assert_eq!(duty["validator_index"], *proposer);
    }
    run(&mut beacon, 13);
    for slot in 40..56_u64 {
        let header = ok(&api, &format!("/eth/v1/beacon/headers/{slot}")).await;
        let message = &header["data"]["header"]["message"];
        assert_eq!(message["proposer_index"], duties[slot as usize - 40]["validator_index"]);
        let validator = message["proposer_index"].as_str().unwrap();
        let path = format!("/eth/v1/beacon/states/head/validators/{validator}");
        let key = ok(&api, &path).await["data"]["validator"]["pubkey"].clone();
        assert_eq!(key, duties[slot as usize - 40]["pubkey"]);
    }
    // The block that decided: the last of the epoch before, and with Fulu's rule one epoch earlier.
    for (version, slot) in [("v1", 47), ("v2", 39)] {
        let answer = ok(&api, &format!("/eth/{version}/validator/duties/proposer/6")).await;
        let root = ok(&api, &format!("/eth/v1/beacon/blocks/{slot}/root")).await;
        assert_eq!(answer["dependent_root"], root["data"]["root"], "{version}");
    }
    assert_eq!(get(&api, "/eth/v1/validator/duties/proposer/5").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(get(&api, "/eth/v1/validator/duties/proposer/8").await.0, StatusCode::BAD_REQUEST);
}

fn bundle(count: u8) -> BlobsBundle {
    let mut bundle = BlobsBundle::default();
    for index in 1..=count {
        let mut blob = Blob::ZERO;
        blob[31] = index;
        let whole = c_kzg::Blob::from_bytes(blob.as_slice()).unwrap();
        let commitment = EnvKzgSettings::Default.get().blob_to_kzg_commitment(&whole).unwrap();
        bundle.commitments.push(FixedBytes::new(commitment.to_bytes().into_inner()));
        bundle.proofs.extend([FixedBytes::<48>::repeat_byte(index); 128]);
        bundle.blobs.push(blob);
    }
    bundle
}

#[tokio::test]
async fn blobs_and_their_proofs_are_served_until_they_are_too_old() {
    let (mut beacon, engine) = start({
        let mut config = config(PRESET);
        config.limits.blobs_in_memory = 4;
        config
    });
    let api = beacon_api(beacon.view(), None);
    let sent = bundle(3);
    engine.add_blobs(sent.clone());
    run(&mut beacon, 2);
    let sidecars = ok(&api, "/eth/v1/beacon/blob_sidecars/1").await;
    assert_eq!(sidecars["version"], "fulu");
    let sidecars = sidecars["data"].as_array().unwrap().clone();
    assert_eq!(sidecars.len(), 3);
    for (index, sidecar) in sidecars.iter().enumerate() {
        assert_eq!(sidecar["index"], index.to_string());
        let blob = Blob::from_json(&sidecar["blob"], PRESET).unwrap();
        assert_eq!(blob, sent.blobs[index]);
        let commitment = FixedBytes::<48>::from_json(&sidecar["kzg_commitment"], PRESET).unwrap();
        let proof = FixedBytes::<48>::from_json(&sidecar["kzg_proof"], PRESET).unwrap();
        let valid = EnvKzgSettings::Default.get().verify_blob_kzg_proof(
            &c_kzg::Blob::from_bytes(blob.as_slice()).unwrap(),
            &c_kzg::Bytes48::from_bytes(commitment.as_slice()).unwrap(),
            &c_kzg::Bytes48::from_bytes(proof.as_slice()).unwrap(),
        );
        assert!(valid.unwrap());
        let header =
            SignedBeaconBlockHeader::from_json(&sidecar["signed_block_header"], PRESET).unwrap();
        let branch = sidecar["kzg_commitment_inclusion_proof"].as_array().unwrap();
        let branch: Vec<B256> =
            branch.iter().map(|node| B256::from_json(node, PRESET).unwrap()).collect();
        let place = (16 + 11) * 2 * 4096 + index as u64;
        let body = header.message.body_root;
        assert!(is_valid_branch(&commitment.root(PRESET), &branch, place, &body));
    }
    let one = ok(&api, "/eth/v1/beacon/blob_sidecars/1?indices=2,7").await;
    assert_eq!(one["data"].as_array().unwrap().len(), 1);
    assert_eq!(ok(&api, "/eth/v1/beacon/blob_sidecars/2").await["data"], json!([]));
    let blobs = ok(&api, "/eth/v1/beacon/blobs/1").await;
    assert_eq!(blobs["data"].as_array().unwrap().len(), 3);
    let hash = kzg_to_versioned_hash(sent.commitments[1].as_slice());
    let blobs = ok(&api, &format!("/eth/v1/beacon/blobs/1?versioned_hashes={hash}")).await;
    assert_eq!(blobs["data"], json!([sent.blobs[1].to_json()]));
    // Four blobs are kept: two further ones drop the first three.
    engine.add_blobs(bundle(2));
    run(&mut beacon, 1);
    assert_eq!(get(&api, "/eth/v1/beacon/blobs/1").await.0, StatusCode::NOT_FOUND);
    assert_eq!(ok(&api, "/eth/v1/beacon/blobs/3").await["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn errors_have_a_code_and_a_message() {
    let (_beacon, _, api) = chain(20);
    let unknown = format!("/eth/v2/beacon/blocks/{}", B256::repeat_byte(1));
    let many = format!("/eth/v1/beacon/states/head/validators?id={}", vec!["1"; 200].join(","));
    let cases = [
        ("/eth/v2/beacon/blocks/nonsense", 400),
        ("/eth/v2/beacon/blocks/+1", 400),
        ("/eth/v2/beacon/blocks/0x12", 400),
        ("/eth/v2/beacon/blocks/99999999999999999999999", 400),
        ("/eth/v2/beacon/blocks/1000", 404),
        (unknown.as_str(), 404),
        ("/eth/v1/beacon/states/1000/root", 404),
        ("/eth/v1/beacon/states/head/validators/1000", 404),
        ("/eth/v1/beacon/states/head/validators/0x00", 400),
        (many.as_str(), 400),
        ("/eth/v1/beacon/states/head/randao?epoch=100", 400),
        ("/eth/v1/beacon/blob_sidecars/head?indices=x", 400),
        ("/eth/v1/beacon/blobs/head?versioned_hashes=0x1", 400),
        ("/eth/v1/events", 400),
        ("/eth/v1/events?topics=head,nothing", 400),
        ("/eth/v2/debug/beacon/states/head", 406),
        ("/eth/v1/nothing", 404),
        ("/lockstep/v1/dev/mine", 405),
    ];
    for (path, code) in cases {
        let (status, body) = get(&api, path).await;
        assert_eq!(status.as_u16(), code, "{path}: {body}");
        assert_eq!(body["code"], code, "{path}");
        assert!(body["message"].is_string(), "{path}");
    }
    let (status, _) = post(&api, "/lockstep/v1/dev/mine", r#"{"slots":1}"#).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "there are no controls");
}

#[tokio::test]
async fn events_are_streamed_by_topic() {
    let (mut beacon, _, api) = chain(30);
    let path =
        "/eth/v1/events?topics=head,chain_reorg&topics=finalized_checkpoint,payload_attributes";
    let sent = Request::get(path).body(Body::empty()).unwrap();
    let answer = api.clone().oneshot(sent).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    run(&mut beacon, 10);
    beacon.reorg(2, lockstep_devnet::beacon::Replacement::SameSlots).unwrap();
    let mut body = answer.into_body();
    let mut text = String::new();
    while !text.contains("chain_reorg") {
        let frame = body.frame().await.unwrap().unwrap();
        text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
    }
    for topic in ["head", "finalized_checkpoint", "payload_attributes", "chain_reorg"] {
        assert!(text.contains(&format!("event: {topic}\n")), "{topic}");
    }
    assert!(!text.contains("event: block\n"));
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    for line in data {
        let _: Value = serde_json::from_str(line).unwrap();
    }
}

#[tokio::test]
async fn a_client_that_is_too_slow_for_events_is_disconnected() {
    let (mut beacon, _) = start({
        let mut config = config(PRESET);
        config.limits.events = 8;
        config
    });
    let api = beacon_api(beacon.view(), None);
    let sent = Request::get("/eth/v1/events?topics=block").body(Body::empty()).unwrap();
    let answer = api.clone().oneshot(sent).await.unwrap();
    run(&mut beacon, 50);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(
        body.is_empty(),
        "the stream ends at once, before a gap is shown as if there were none"
    );
}

#[tokio::test]
async fn a_running_chain_is_controlled() {
    let (beacon, engine) = start(config(PRESET));
    // A clock that stands still before the second slot: blocks come by controls alone.
    let time = Duration::from_secs(common::genesis().timestamp + 3);
    let (runner, controls) = BeaconRunner::new(beacon, move || time);
    let view = runner.view();
    let api = beacon_api(view.clone(), Some(controls.clone()));
    let thread = std::thread::spawn(move || runner.run());
    let (status, body) = post(&api, "/lockstep/v1/dev/mine", r#"{"slots":40}"#).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body["data"]["slot"].as_str().unwrap().parse::<u64>().unwrap() >= 40);
    let finalized = view.finalized().epoch;
    assert!(finalized >= 1);
    assert_eq!(post(&api, "/lockstep/v1/dev/stall_finality", "").await.0, StatusCode::OK);
    post(&api, "/lockstep/v1/dev/mine", r#"{"slots":40}"#).await;
    assert!(view.finalized().epoch <= finalized + 1);
    let (status, body) = post(&api, "/lockstep/v1/dev/reorg", r#"{"depth":20}"#).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(post(&api, "/lockstep/v1/dev/resume_finality", "").await.0, StatusCode::OK);
    assert_eq!(post(&api, "/lockstep/v1/dev/skip", r#"{"slots":2}"#).await.0, StatusCode::OK);
    let before = view.slot();
    let (_, body) = post(&api, "/lockstep/v1/dev/mine", r#"{"slots":3}"#).await;
    let after: u64 = body["data"]["slot"].as_str().unwrap().parse().unwrap();
    assert!(after >= before + 3);
    for (path, body) in [
        ("mine", "{}"),
        ("mine", r#"{"slots":1000000000}"#),
        ("skip", r#"{"slots":-1}"#),
        ("reorg", r#"{"depth":0}"#),
        ("reorg", r#"{"depth":100000}"#),
        ("reorg", r#"{"depth":1,"replacement":"none"}"#),
    ] {
        let (status, answer) = post(&api, &format!("/lockstep/v1/dev/{path}"), body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}: {answer}");
    }
    let long = "x".repeat(5000);
    assert_eq!(post(&api, "/lockstep/v1/dev/mine", &long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    controls.send(Control::Stop).await.unwrap();
    let beacon = thread.join().unwrap();
    assert_eq!(engine.state().head_block_hash, beacon.view().head().payload_hash());
    assert!(controls.send(Control::Stop).await.is_err());
}
