//! Ranges are verified online, and again from their witness.

use crate::{
    nodes::{Nodes, Serves, busy_world, busy_world_in, nodes, nodes_on_fork},
    world::Posting,
};
use alloy_consensus::{Header, Sealable};
use alloy_primitives::B256;
use lockstep_chain::OpHardfork;
use lockstep_host::{
    BlockRange, DirectoryStore, Entry, EntryKey, Host, HostError, MemoryStore, Outcome, Sources,
    Store, Witness, read_witness, write_witness,
};
use lockstep_preimage::{Hint, PreimageKey, PreimageOracle};
use lockstep_providers::{
    Endpoint, L2Client, Request, Response, Retry, RpcClient, Transport, TransportError,
};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;

fn range(agreed: u64, claimed: u64) -> BlockRange {
    BlockRange::new(agreed, claimed).expect("there are blocks")
}

fn offline(witness: Witness) -> Host<MemoryStore> {
    Host::of_witness(witness).expect("it fits")
}

fn online(sources: Sources) -> Host<MemoryStore> {
    Host::online(MemoryStore::default(), sources)
}

fn same(one: &Outcome, other: &Outcome) {
    assert_eq!(one.verdict, other.verdict);
    assert_eq!((one.agreed, one.boot.l1_head), (other.agreed, other.boot.l1_head));
}

#[test]
fn a_range_is_verified_online_and_again_from_its_witness() {
    let cases = [
        (OpHardfork::Granite, Serves::Witnesses),
        (OpHardfork::Isthmus, Serves::Witnesses),
        (OpHardfork::Isthmus, Serves::Database),
    ];
    for (fork, serves) in cases {
        let world = busy_world(fork);
        let roots: Vec<B256> = world.l2.iter().map(|(_, root)| *root).collect();
        let nodes = nodes(world, serves, |_, _, _| {});
        let mut earlier = None;
        for (agreed, claimed) in [(0, 17), (5, 9), (16, 17)] {
            let host = Host::online(MemoryStore::default(), nodes.sources.clone());
            let outcome =
                host.verify(range(agreed, claimed), Some(nodes.l1_genesis.clone())).unwrap();
            assert!(outcome.is_verified(), "{fork} {serves:?}: {outcome:?}");
            assert_eq!(outcome.agreed.number, agreed);
            assert_eq!(outcome.verdict.output_root, roots[claimed as usize]);

            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.witness");
            write_witness(&path, &host.witness().unwrap()).unwrap();
            nodes.l2.take_asked();
            let stored = offline(read_witness(&path).unwrap());
            same(&outcome, &stored.repeat().unwrap());
            // Both tell of the L1 blocks that were read, and of no other.
            let head = outcome.boot.l1_head;
            let l1 = host.l1_blocks(head).unwrap();
            assert_eq!(l1.head().map(|head| head.hash), Some(head));
            assert_eq!(stored.l1_blocks(head).unwrap(), l1);
            assert!(l1.is_one_chain_with(earlier.get_or_insert_with(|| l1.clone())));
            assert_eq!(host.l1_blocks(B256::ZERO).unwrap().head(), None);
            assert!(nodes.l2.take_asked().is_empty());
        }
    }
}

#[test]
fn a_folder_serves_one_run_after_the_other() {
    let nodes = nodes(busy_world(OpHardfork::Isthmus), Serves::Witnesses, |_, _, _| {});
    let folder = tempfile::tempdir().unwrap();
    let open = || DirectoryStore::open(folder.path(), 1 << 30).unwrap();
    let verify = |claimed| {
        let host = Host::online(open(), nodes.sources.clone());
        let outcome = host.verify(range(3, claimed), Some(nodes.l1_genesis.clone())).unwrap();
        assert!(outcome.is_verified());
        (outcome, host.witness().unwrap().locals)
    };
    let longer = verify(17);
    nodes.l2.take_asked();
    let shorter = verify(9);
    let asked = nodes.l2.take_asked();
    assert!(!asked.iter().any(|method| method == "eth_getProof"), "{asked:?}");

    // Each run is about what its own host was told, whatever else uses the folder.
    for (outcome, locals) in [longer, shorter] {
        same(&outcome, &Host::offline(open()).with_locals(locals).repeat().unwrap());
    }
    let error = Host::offline(open()).repeat().unwrap_err();
    assert!(error.to_string().contains("Local key"), "{error}");
}

#[test]
fn batches_in_blobs_are_proven_online_and_again_from_the_witness() {
    let world = busy_world_in(OpHardfork::Isthmus, Posting::Blobs);
    let nodes = nodes(world, Serves::Witnesses, |_, _, _| {});
    let host = online(nodes.sources);
    let outcome = host.verify(range(0, 7), Some(nodes.l1_genesis)).unwrap();
    assert!(outcome.is_verified());
    let witness = host.witness().unwrap();
    assert!(witness.entries.iter().any(|entry| matches!(entry.key(), EntryKey::Blob(_))));
    same(&outcome, &offline(witness).repeat().unwrap());
}

#[test]
fn a_node_on_another_chain_is_convicted_wherever_it_left_that_of_l1() {
    for serves in [Serves::Witnesses, Serves::Database] {
        for fork in [4, 9, 12] {
            let world = busy_world(OpHardfork::Isthmus);
            let true_root = world.l2[12].1;
            let nodes = nodes_on_fork(world, serves, fork, |_, _, _| {});
            let outcome =
                online(nodes.sources).verify(range(3, 12), Some(nodes.l1_genesis)).unwrap();
            assert!(!outcome.is_verified(), "{serves:?}, from block {fork} on");
            assert_eq!(outcome.verdict.head.number, 12);
            assert_eq!(outcome.verdict.output_root, true_root);
            assert_ne!(outcome.boot.claimed_l2_output_root, true_root);
        }
    }
}

/// The rollup's node, but for what `answer` says to a method instead.
struct Intercepted<F> {
    node: crate::fake::FakeNode,
    answer: F,
}

impl<F> std::fmt::Debug for Intercepted<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Intercepted")
    }
}

impl<F> Transport for Intercepted<F>
where
    F: Fn(&str) -> Option<Result<Response, TransportError>> + Send + Sync,
{
    fn endpoint(&self) -> &Endpoint {
        self.node.endpoint()
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let body = String::from_utf8_lossy(request.body.unwrap_or_default());
        (self.answer)(&body).unwrap_or_else(|| self.node.exchange(request))
    }
}

fn intercepted<F>(nodes: &Nodes, answer: F) -> Sources
where
    F: Fn(&str) -> Option<Result<Response, TransportError>> + Send + Sync + 'static,
{
    let rpc = RpcClient::new(Arc::new(Intercepted { node: nodes.l2.clone(), answer }));
    let config = Arc::clone(nodes.sources.l2.config());
    let l2 = L2Client::new(rpc.with_retry(Retry::at_once(1)), config);
    Sources { l2, ..nodes.sources.clone() }
}

#[test]
fn a_node_that_does_not_give_witnesses_is_asked_for_proofs_instead() {
    let nodes = nodes(busy_world(OpHardfork::Isthmus), Serves::Database, |_, _, _| {});
    let status = |status| Ok(Response { status, body: Vec::new() });
    let body = |body: &str| Ok(Response { status: 200, body: body.as_bytes().to_vec() });
    let refusals = [
        (status(403), 1),
        (status(404), 1),
        (status(405), 1),
        (status(504), 3),
        (Err(TransportError::Failed("timed out".into())), 3),
        (Err(TransportError::TooLarge), 3),
        (body("<html>"), 3),
        (body(r#"{"id":0,"result":{"state":7}}"#), 3),
        (body(r#"{"id":0,"error":{"code":-32000,"message":"busy"}}"#), 3),
    ];
    for (refusal, expected) in refusals {
        let refused = Arc::new(Mutex::new(0));
        let (count, answer) = (Arc::clone(&refused), refusal.clone());
        let sources = intercepted(&nodes, move |call| {
            call.contains("debug_executionWitness").then(|| {
                *count.lock() += 1;
                answer.clone()
            })
        });
        let host = online(sources);
        let outcome = host.verify(range(3, 9), Some(nodes.l1_genesis.clone())).unwrap();
        assert!(outcome.is_verified(), "{refusal:?}");
        assert_eq!(*refused.lock(), expected, "{refusal:?}");
    }
}

#[test]
fn a_hint_that_could_not_be_followed_is_followed_the_next_time() {
    let nodes = nodes(busy_world(OpHardfork::Isthmus), Serves::Database, |_, _, _| {});
    let header = nodes.sources.l2.header(4.into()).unwrap().expect("block 4");
    let is_down = Arc::new(Mutex::new(true));
    let flag = Arc::clone(&is_down);
    let failure = || Err(TransportError::Failed("no route".into()));
    let host = online(intercepted(&nodes, move |_| flag.lock().then(failure)));
    host.hint(&Hint::L2Header(header.hash())).unwrap();
    let key = PreimageKey::keccak256(header.hash());
    for _ in 0..2 {
        assert!(matches!(host.get(key), Err(HostError::Client(_))));
    }
    *is_down.lock() = false;
    assert_eq!(host.get(key).unwrap(), alloy_rlp::encode(header.inner()));
}

#[test]
fn a_witness_is_complete_and_every_part_of_it_is_needed() {
    let nodes = nodes(busy_world(OpHardfork::Isthmus), Serves::Witnesses, |_, _, _| {});
    let host = Host::online(MemoryStore::default(), nodes.sources.clone());
    let outcome = host.verify(range(6, 8), Some(nodes.l1_genesis)).unwrap();
    let witness = host.witness().unwrap();
    same(&outcome, &offline(witness.clone()).repeat().unwrap());
    for left_out in witness.entries.iter().step_by(7) {
        let is_left = |entry: &&Entry| entry.key() != left_out.key();
        let entries = witness.entries.iter().filter(is_left).cloned().collect();
        let rest = Witness { entries, ..witness.clone() };
        let error = offline(rest).repeat().expect_err("something is missing");
        assert!(
            matches!(&error, HostError::Program(reason) if reason.contains("lacks")),
            "{error}"
        );
    }
}

#[test]
fn a_claim_that_l1_does_not_make_is_not_verified() {
    // The node has another block 9, whose parts fit together.
    let nodes =
        nodes(busy_world(OpHardfork::Isthmus), Serves::Witnesses, |method, params, block| {
            if method == "eth_getBlockByNumber" && params[0] == json!("0x9") {
                let header: Header = serde_json::from_value(block.clone()).unwrap();
                let header = Header { state_root: B256::repeat_byte(1), ..header }.seal_slow();
                block["stateRoot"] = json!(header.state_root);
                block["hash"] = json!(header.hash());
            }
        });
    let verify = |agreed, claimed| {
        let host = Host::online(MemoryStore::default(), nodes.sources.clone());
        host.verify(range(agreed, claimed), Some(nodes.l1_genesis.clone()))
    };
    let outcome = verify(3, 9).unwrap();
    assert!(!outcome.is_verified() && !outcome.verdict.holds);
    assert_eq!(outcome.verdict.head.number, 9);
    assert_ne!(outcome.verdict.output_root, outcome.boot.claimed_l2_output_root);
    assert!(verify(3, 8).unwrap().is_verified());
}

#[test]
fn a_block_that_is_not_on_l1_yet_is_not_verified() {
    let nodes = nodes(busy_world(OpHardfork::Isthmus), Serves::Witnesses, |_, _, _| {});
    let host = Host::online(MemoryStore::default(), nodes.sources);
    let outcome = host.verify(range(10, 18), Some(nodes.l1_genesis)).unwrap();
    assert_eq!(outcome.verdict.head.number, 17);
    assert!(!outcome.is_verified());
}

#[test]
fn nodes_of_other_chains_and_ranges_that_are_not_there_are_told() {
    let nodes = nodes(busy_world(OpHardfork::Isthmus), Serves::Witnesses, |method, _, answer| {
        if method == "eth_chainId" {
            *answer = json!("0x1");
        }
    });
    let host = Host::online(MemoryStore::default(), nodes.sources);
    let error = host.verify(range(0, 1), None).unwrap_err();
    assert!(error.to_string().contains("the rollup node is of chain 1"), "{error}");

    let nodes =
        crate::nodes::nodes(busy_world(OpHardfork::Isthmus), Serves::Database, |_, _, _| {});
    let host = Host::online(MemoryStore::default(), nodes.sources.clone());
    let error = host.verify(range(0, 1), None).unwrap_err();
    assert!(error.to_string().contains("give its genesis file"), "{error}");
    let error = host.verify(range(0, 99), Some(nodes.l1_genesis)).unwrap_err();
    assert!(matches!(error, HostError::Client(_)), "{error}");
    let empty = Host::offline(MemoryStore::default());
    assert!(empty.verify(range(0, 1), None).is_err() && empty.repeat().is_err());
    let key = EntryKey::Preimage(PreimageKey::keccak256(B256::ZERO));
    assert_eq!(empty.store().get(&key).unwrap(), None);
}
