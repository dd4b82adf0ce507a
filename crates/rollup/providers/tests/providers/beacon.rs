//! Beacon nodes that have blobs, have lost them, or give others.

use crate::fake::{FakeTransport, ok};
use alloy_eips::eip4844::BYTES_PER_BLOB;
use alloy_primitives::{B256, Bytes};
use lockstep_derive::Severity;
use lockstep_providers::{
    BeaconClient, BlobError, ClientError, MAX_BLOBS, Response, Retry, Transport, TransportError,
    VerifiedBlob,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// Slot 5 of a chain that began at 1000 with slots of 12 s.
const TIMESTAMP: u64 = 1_060;

/// Commitments take long to compute, so all tests share three blobs.
static BLOBS: LazyLock<Vec<VerifiedBlob>> = LazyLock::new(|| {
    (1..4).map(|byte| VerifiedBlob::of(&blob_bytes(byte)).expect("a blob")).collect()
});

fn blob_bytes(byte: u8) -> Vec<u8> {
    let mut bytes = vec![0; BYTES_PER_BLOB];
    for element in bytes.chunks_mut(32) {
        element[31] = byte;
    }
    bytes
}

fn hashes(indices: &[usize]) -> Vec<B256> {
    indices.iter().map(|index| BLOBS[*index].hash()).collect()
}

fn hex(blob: &VerifiedBlob) -> Value {
    json!(Bytes::copy_from_slice(blob.blob().as_slice()))
}

fn not_found() -> Result<Response, TransportError> {
    Ok(Response { status: 404, body: br#"{"code":404,"message":"no"}"#.to_vec() })
}

/// What a node answers to requests for blobs; the rest is as every node has it.
type Serve = dyn Fn(&str) -> Result<Response, TransportError> + Send + Sync;

struct Beacon {
    asked: Arc<Mutex<Vec<String>>>,
    node: Arc<dyn Transport>,
}

fn beacon(
    serve: impl Fn(&str) -> Result<Response, TransportError> + Send + Sync + 'static,
) -> Beacon {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let serve: Box<Serve> = Box::new(serve);
    let node = FakeTransport::serving(move |request| {
        assert!(request.body.is_none());
        match request.path {
            "/eth/v1/beacon/genesis" => ok(&json!({ "data": { "genesis_time": "1000" } })),
            "/eth/v1/config/spec" => {
                ok(&json!({ "data": { "SECONDS_PER_SLOT": "12", "OTHER": ["x"] } }))
            }
            path => {
                let short: String = path.chars().take(40).collect();
                seen.lock().push(short);
                serve(path)
            }
        }
    });
    Beacon { asked, node }
}

fn client(nodes: &[&Beacon]) -> BeaconClient {
    let nodes = nodes.iter().map(|beacon| Arc::clone(&beacon.node)).collect();
    BeaconClient::new(nodes, Retry::at_once(1)).expect("a node")
}

/// A node with `blobs`, which filters them as it should.
fn with_blobs(blobs: &'static [usize]) -> Beacon {
    beacon(move |path| {
        if !path.starts_with("/eth/v1/beacon/blobs/5?versioned_hashes=") {
            return not_found();
        }
        let wanted = blobs.iter().map(|index| &BLOBS[*index]);
        let wanted = wanted.filter(|blob| path.contains(&blob.hash().to_string()));
        ok(&json!({ "data": wanted.map(hex).collect::<Vec<_>>() }))
    })
}

fn sidecar(index: usize) -> Value {
    let blob = &BLOBS[index];
    let proof = blob.prove().expect("a proof");
    json!({ "index": index.to_string(), "blob": hex(blob), "kzg_commitment": blob.commitment(), "kzg_proof": proof })
}

#[test]
fn blobs_come_in_the_order_asked_for_and_are_remembered() {
    let node = with_blobs(&[0, 1, 2]);
    let client = client(&[&node]);
    let asked = hashes(&[2, 0, 2]);
    for _ in 0..2 {
        let blobs = client.blobs(TIMESTAMP, &asked).unwrap();
        let found: Vec<B256> = blobs.iter().map(VerifiedBlob::hash).collect();
        assert_eq!(found, asked);
        assert_eq!(blobs[0], BLOBS[2]);
    }
    assert_eq!(node.asked.lock().len(), 1);
    assert!(client.blobs(TIMESTAMP, &[]).unwrap().is_empty());
}

#[test]
fn sidecars_are_asked_for_where_blobs_are_not_served() {
    let node = beacon(|path| match path {
        "/eth/v1/beacon/blob_sidecars/5" => ok(&json!({ "data": [sidecar(0), sidecar(1)] })),
        _ => not_found(),
    });
    let blobs = client(&[&node]).blobs(TIMESTAMP, &hashes(&[1])).unwrap();
    assert_eq!(blobs, [BLOBS[1].clone()]);
    assert_eq!(node.asked.lock()[1], "/eth/v1/beacon/blob_sidecars/5");
}

#[test]
fn blobs_that_nobody_has_yet_are_waited_for() {
    let available = Arc::new(Mutex::new(false));
    let flag = Arc::clone(&available);
    let node = beacon(move |path| {
        if *flag.lock() && path.contains("/blobs/") {
            return ok(&json!({ "data": [hex(&BLOBS[0])] }));
        }
        not_found()
    });
    let client = client(&[&node]);
    let error = client.blobs(TIMESTAMP, &hashes(&[0])).unwrap_err();
    let ClientError::MissingBlob { hash, slot: 5, .. } = &error else { panic!("{error}") };
    assert_eq!(*hash, BLOBS[0].hash());
    assert_eq!(error.severity(), Severity::Temporary);
    *available.lock() = true;
    assert_eq!(client.blobs(TIMESTAMP, &hashes(&[0])).unwrap(), [BLOBS[0].clone()]);
}

#[test]
fn the_next_node_is_asked_for_what_the_first_does_not_have() {
    let (first, archive) = (with_blobs(&[0]), with_blobs(&[0, 1]));
    let blobs = client(&[&first, &archive]).blobs(TIMESTAMP, &hashes(&[0, 1])).unwrap();
    assert_eq!(blobs, [BLOBS[0].clone(), BLOBS[1].clone()]);
    let asked = archive.asked.lock();
    assert_eq!(asked.len(), 1, "{asked:?}");
}

#[test]
fn another_blob_or_a_wrong_proof_is_not_believed() {
    let other = beacon(|path| match path.contains("/blobs/") {
        true => ok(&json!({ "data": [hex(&BLOBS[1])] })),
        false => {
            let mut forged = sidecar(1);
            forged["kzg_commitment"] = sidecar(0)["kzg_commitment"].clone();
            ok(&json!({ "data": [forged] }))
        }
    });
    let error = client(&[&other]).blobs(TIMESTAMP, &hashes(&[0])).unwrap_err();
    assert!(matches!(error, ClientError::MissingBlob { .. }), "{error}");

    let honest = with_blobs(&[0]);
    let blobs = client(&[&other, &honest]).blobs(TIMESTAMP, &hashes(&[0])).unwrap();
    assert_eq!(blobs, [BLOBS[0].clone()]);
}

#[test]
fn garbage_in_place_of_blobs_is_not_believed() {
    let cases = [
        json!({ "data": ["0x00"] }),
        json!({ "data": [format!("0x{}", "ff".repeat(BYTES_PER_BLOB))] }),
        json!({ "data": [7] }),
        json!({ "data": [{}] }),
        json!({}),
        json!([]),
    ];
    for garbage in cases {
        let node = beacon(move |_| ok(&garbage));
        let error = client(&[&node]).blobs(TIMESTAMP, &hashes(&[0])).unwrap_err();
        assert_eq!(error.severity(), Severity::Temporary, "{error}");
    }
}

#[test]
fn a_node_that_cannot_be_reached_says_nothing_about_blobs() {
    let node = beacon(|_| Err(TransportError::Failed("no route".into())));
    let error = client(&[&node]).blobs(TIMESTAMP, &hashes(&[0])).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[test]
fn an_answer_has_room_for_the_blobs_of_a_block_and_no_more() {
    let node = FakeTransport::serving(|request| match request.path {
        "/eth/v1/beacon/genesis" => ok(&json!({ "data": { "genesis_time": "1000" } })),
        "/eth/v1/config/spec" => ok(&json!({ "data": { "SLOT_DURATION_MS": "12000" } })),
        path if path.contains("/blobs/") => {
            let room = 2 * BYTES_PER_BLOB as u64 * MAX_BLOBS as u64;
            assert!((room..2 * room).contains(&request.max_response_bytes));
            Err(TransportError::TooLarge)
        }
        _ => not_found(),
    });
    let client = BeaconClient::new(vec![node], Retry::at_once(1)).expect("a node");
    assert!(client.blobs(TIMESTAMP, &hashes(&[0])).is_err());
    assert_eq!(client.clock().expect("it is known").slot_seconds, 12);
}

#[test]
fn a_node_that_gives_all_blobs_of_the_block_is_understood() {
    // More than the one that is asked for has room for.
    let all = [0, 1, 2, 0, 1, 2].map(|index| hex(&BLOBS[index]));
    let node = beacon(move |path| match path.contains("/blobs/") {
        true => ok(&json!({ "data": all })),
        false => not_found(),
    });
    let blobs = client(&[&node]).blobs(TIMESTAMP, &hashes(&[2])).unwrap();
    assert_eq!(blobs, [BLOBS[2].clone()]);
    assert_eq!(node.asked.lock().len(), 1);
}

#[test]
fn an_answer_of_more_blobs_than_a_block_has_is_refused_unread() {
    let answer = |more: usize| {
        let blobs = [vec![hex(&BLOBS[0])], vec![json!("0x"); more]].concat();
        let node = beacon(move |path| match path.contains("/blobs/") {
            true => ok(&json!({ "data": blobs })),
            false => not_found(),
        });
        client(&[&node]).blobs(TIMESTAMP, &hashes(&[0]))
    };
    assert_eq!(answer(MAX_BLOBS - 1).unwrap(), [BLOBS[0].clone()]);
    assert!(matches!(answer(MAX_BLOBS), Err(ClientError::MissingBlob { .. })));
}

#[test]
fn a_node_that_is_wrong_about_slots_harms_no_other_and_is_asked_again() {
    let genesis = Arc::new(Mutex::new("7"));
    let said = Arc::clone(&genesis);
    let liar = FakeTransport::serving(move |request| match request.path {
        "/eth/v1/beacon/genesis" => ok(&json!({ "data": { "genesis_time": *said.lock() } })),
        "/eth/v1/config/spec" => ok(&json!({ "data": { "SECONDS_PER_SLOT": "12" } })),
        path if path.contains("/blobs/5?") => ok(&json!({ "data": [hex(&BLOBS[0])] })),
        _ => not_found(),
    });
    let honest = with_blobs(&[1]);
    let nodes = vec![Arc::clone(&liar), Arc::clone(&honest.node)];
    let client = BeaconClient::new(nodes, Retry::at_once(1)).expect("a node");
    assert_eq!(client.blobs(TIMESTAMP, &hashes(&[1])).unwrap(), [BLOBS[1].clone()]);
    assert!(client.blobs(TIMESTAMP, &hashes(&[0])).is_err());
    *genesis.lock() = "1000";
    assert_eq!(client.blobs(TIMESTAMP, &hashes(&[0])).unwrap(), [BLOBS[0].clone()]);
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let client = client(&[&with_blobs(&[0])]);
    let error = client.blobs(TIMESTAMP, &vec![B256::ZERO; MAX_BLOBS + 1]).unwrap_err();
    assert!(matches!(error, ClientError::Limit { .. }), "{error}");
    let error = client.blobs(999, &hashes(&[0])).unwrap_err();
    assert!(matches!(error, ClientError::NoSlot { .. }), "{error}");
    assert!(BeaconClient::new(Vec::new(), Retry::default()).is_err());
}

#[test]
fn a_proof_is_for_one_blob_and_one_commitment() {
    let [first, second] = [&BLOBS[0], &BLOBS[1]];
    let proof = first.prove().expect("a proof");
    let bytes = first.blob().as_slice();
    let check = |bytes: &[u8], of: &VerifiedBlob, hash| {
        VerifiedBlob::with_proof(bytes, of.commitment(), &proof, hash)
    };
    assert_eq!(check(bytes, first, first.hash()).as_ref(), Ok(first));
    assert!(matches!(check(bytes, first, second.hash()), Err(BlobError::Hash { .. })));
    assert_eq!(check(bytes, second, second.hash()), Err(BlobError::Proof));
    assert_eq!(check(&blob_bytes(9), first, first.hash()), Err(BlobError::Proof));
    assert_eq!(check(&bytes[1..], first, first.hash()), Err(BlobError::Length(BYTES_PER_BLOB - 1)));
}
