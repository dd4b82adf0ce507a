//! A program on the other side of pipes, and blobs.

use crate::{
    fake::{FakeTransport, ok},
    nodes::{Serves, busy_world, nodes},
};
use alloy_eips::eip4844::BYTES_PER_BLOB;
use alloy_primitives::{Address, B256, Bytes, U256};
use lockstep_chain::OpHardfork;
use lockstep_host::{BlockRange, Entry, Host, HostError, IoPipe, MemoryStore, Sources, serve};
use lockstep_preimage::{Hint, PipeOracle, PreimageKey, PreimageOracle, blob_points};
use lockstep_providers::{BeaconClient, Retry, VerifiedBlob};
use serde_json::json;
use std::{
    io::{self, PipeReader, PipeWriter},
    thread,
};

type Ends = (IoPipe<PipeReader, PipeWriter>, IoPipe<PipeReader, PipeWriter>);

fn pipes() -> Ends {
    let (here, to_here) = io::pipe().expect("the system gives a pipe");
    let (there, to_there) = io::pipe().expect("the system gives a pipe");
    (IoPipe::new(here, to_there), IoPipe::new(there, to_here))
}

#[test]
fn the_verdict_over_pipes_is_the_same() {
    let nodes = nodes(busy_world(OpHardfork::Isthmus), Serves::Database, |_, _, _| {});
    let host = Host::online(MemoryStore::default(), nodes.sources);
    let range = BlockRange::new(2, 12).expect("there are blocks");
    let expected = host.verify(range, Some(nodes.l1_genesis)).unwrap();
    assert!(expected.is_verified());
    let (preimages, preimages_here) = pipes();
    let (hints, hints_here) = pipes();
    let verdict = thread::scope(|scope| {
        let server = scope.spawn(|| serve(&host, preimages_here, hints_here));
        let verdict = lockstep_stf::run(PipeOracle::new(preimages, hints)).unwrap();
        server.join().expect("no panic").unwrap();
        verdict
    });
    assert_eq!(verdict, expected.verdict);
}

#[test]
fn a_program_that_asks_for_the_unknown_finds_its_pipes_closed() {
    let host = Host::offline(MemoryStore::default());
    let (preimages, preimages_here) = pipes();
    let (hints, hints_here) = pipes();
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(&host, preimages_here, hints_here));
        {
            let oracle = PipeOracle::new(preimages, hints);
            oracle.hint(&Hint::L1Header(B256::ZERO)).expect("hints are taken");
            assert!(oracle.get(PreimageKey::keccak256(B256::ZERO)).is_err());
        }
        let error = server.join().expect("no panic").unwrap_err();
        let HostError::Incomplete { hint, .. } = &error else { panic!("{error}") };
        assert!(hint.starts_with("l1-block-header"), "{hint}");
    });
}

fn blob() -> VerifiedBlob {
    let mut bytes = vec![0; BYTES_PER_BLOB];
    for (index, element) in bytes.chunks_mut(32).enumerate() {
        element[30..].copy_from_slice(&(index as u16).to_be_bytes());
    }
    VerifiedBlob::of(&bytes).expect("a blob")
}

fn check_blob(host: &Host<MemoryStore>, blob: &VerifiedBlob) {
    let hint = Hint::L1Blob { hash: blob.hash(), index: 0, timestamp: 24 };
    host.hint(&hint).unwrap();
    let commitment = host.get(PreimageKey::sha256(blob.hash())).unwrap();
    assert_eq!(commitment, Bytes::copy_from_slice(blob.commitment().as_slice()));
    let points: Vec<U256> = blob_points();
    for index in [0, 1, 2048, 4095] {
        let key = PreimageKey::blob(&blob.commitment().0, &points[index]);
        let element = host.get(key).unwrap();
        assert_eq!(element.as_ref(), &blob.blob()[32 * index..32 * index + 32]);
    }
}

#[test]
fn a_blob_is_served_by_its_elements_and_kept_whole() {
    let blob = blob();
    let json = json!({ "data": [Bytes::copy_from_slice(blob.blob().as_slice())] });
    let beacon = FakeTransport::serving(move |request| match request.path {
        "/eth/v1/beacon/genesis" => ok(&json!({ "data": { "genesis_time": "0" } })),
        "/eth/v1/config/spec" => ok(&json!({ "data": { "SECONDS_PER_SLOT": "12" } })),
        path => {
            assert!(path.starts_with("/eth/v1/beacon/blobs/2?"), "{path}");
            ok(&json)
        }
    });
    let nodes = nodes(busy_world(OpHardfork::Isthmus), Serves::Witnesses, |_, _, _| {});
    let beacon = BeaconClient::new(vec![beacon], Retry::at_once(1)).expect("a node");
    let sources = Sources { beacon, ..nodes.sources };
    let host = Host::online(MemoryStore::default(), sources);
    check_blob(&host, &blob);

    let witness = host.witness().unwrap();
    assert_eq!(witness, [Entry::blob(&blob).unwrap()]);
    let kept = MemoryStore::with_entries(witness, 1 << 20).expect("it fits");
    check_blob(&Host::offline(kept), &blob);
}

#[test]
fn precompiled_contracts_are_computed_even_without_nodes() {
    let host = Host::offline(MemoryStore::default());
    let (address, required_gas, input) = (Address::with_last_byte(8), 45_000, Bytes::new());
    let key = PreimageKey::precompile(&address, required_gas, &input);
    assert!(host.get(key).is_err());
    host.hint(&Hint::L1Precompile { address, required_gas, input }).unwrap();
    assert_eq!(host.get(key).unwrap().first(), Some(&1));
}
