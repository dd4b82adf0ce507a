//! A program on the other side of pipes, and blobs.

use crate::{
    fake::{FakeTransport, ok},
    nodes::{Serves, busy_world, busy_world_in, nodes},
    world::Posting,
};
use alloy_eips::eip4844::BYTES_PER_BLOB;
use alloy_primitives::{Address, B256, Bytes, U256};
use lockstep_chain::OpHardfork;
use lockstep_host::{
    BlockRange, Entry, Host, HostError, IoPipe, MemoryStore, Outcome, Sources, Witness, serve,
};
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

/// Runs the program in a thread of its own, at the other ends of pipes.
fn run_over_pipes(host: &Host<MemoryStore>) -> Outcome {
    let (preimages, preimages_here) = pipes();
    let (hints, hints_here) = pipes();
    thread::scope(|scope| {
        let program = scope.spawn(|| lockstep_stf::run(PipeOracle::new(preimages, hints)).unwrap());
        serve(host, preimages_here, hints_here).unwrap();
        program.join().expect("no panic")
    })
}

#[test]
fn a_program_over_pipes_comes_to_a_verdict_with_a_host_that_made_no_run_itself() {
    for (posting, serves) in
        [(Posting::Calldata, Serves::Database), (Posting::Blobs, Serves::Witnesses)]
    {
        let world = busy_world_in(OpHardfork::Isthmus, posting);
        let (root, nodes) = (world.l2[7].1, nodes(world, serves, |_, _, _| {}));
        let host = Host::online(MemoryStore::default(), nodes.sources.clone());
        let range = BlockRange::new(2, 7).expect("there are blocks");
        let boot = host.prepare(range, None, Some(nodes.l1_genesis.clone())).unwrap();
        assert!(host.witness().unwrap().entries.is_empty(), "nothing was run");

        let outcome = run_over_pipes(&host);
        assert!(outcome.is_verified());
        assert_eq!(outcome.verdict.output_root, root);
        assert_eq!(outcome.boot.l1_head, boot.l1_head);
        assert_eq!(outcome.boot.claimed_l2_output_root, boot.claimed_l2_output_root);

        // The same again without nodes, and here.
        let witness = host.witness().unwrap();
        let again = run_over_pipes(&Host::of_witness(witness).unwrap());
        assert_eq!(again.verdict, outcome.verdict);
        let here = Host::online(MemoryStore::default(), nodes.sources);
        here.prepare(range, Some(boot.l1_head), Some(nodes.l1_genesis)).unwrap();
        assert_eq!(here.repeat().unwrap().verdict, outcome.verdict);
    }
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
    let proof = host.get(PreimageKey::blob_proof(&blob.commitment().0)).unwrap();
    assert_eq!(proof.as_ref(), blob.prove().unwrap().as_slice());
    assert!(host.attests_blobs());
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
    let entries = vec![Entry::blob(&blob).unwrap()];
    assert_eq!(witness, Witness { entries, ..Witness::default() });
    check_blob(&Host::of_witness(witness).unwrap(), &blob);
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
