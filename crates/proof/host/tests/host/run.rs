//! Ranges are verified online, and again from their witness.

use crate::nodes::{Serves, busy_world, nodes};
use alloy_consensus::{Header, Sealable};
use alloy_primitives::B256;
use lockstep_chain::OpHardfork;
use lockstep_host::{
    BlockRange, DirectoryStore, Entry, EntryKey, Host, HostError, MemoryStore, Outcome, Store,
    read_witness, write_witness,
};
use lockstep_preimage::{PreimageKey, PreimageKind};
use serde_json::json;

fn range(agreed: u64, claimed: u64) -> BlockRange {
    BlockRange::new(agreed, claimed).expect("there are blocks")
}

fn offline(entries: impl IntoIterator<Item = Entry>) -> Host<MemoryStore> {
    let limit = MemoryStore::DEFAULT_MAX_BYTES;
    Host::offline(MemoryStore::with_entries(entries, limit).expect("it fits"))
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
            let again = offline(read_witness(&path).unwrap()).repeat().unwrap();
            same(&outcome, &again);
            assert!(nodes.l2.take_asked().is_empty());
        }
    }
}

#[test]
fn a_folder_serves_one_run_after_the_other() {
    let nodes = nodes(busy_world(OpHardfork::Isthmus), Serves::Witnesses, |_, _, _| {});
    let folder = tempfile::tempdir().unwrap();
    let open = || DirectoryStore::open(folder.path(), 1 << 30).unwrap();
    let mut outcomes = Vec::new();
    for claimed in [9, 17] {
        let host = Host::online(open(), nodes.sources.clone());
        outcomes.push(host.verify(range(3, claimed), Some(nodes.l1_genesis.clone())).unwrap());
    }
    assert!(outcomes.iter().all(Outcome::is_verified));
    // The local values in the folder are those of the last run.
    same(&outcomes[1], &Host::offline(open()).repeat().unwrap());
}

#[test]
fn a_witness_is_complete_and_every_part_of_it_is_needed() {
    let nodes = nodes(busy_world(OpHardfork::Isthmus), Serves::Witnesses, |_, _, _| {});
    let host = Host::online(MemoryStore::default(), nodes.sources.clone());
    let outcome = host.verify(range(6, 8), Some(nodes.l1_genesis)).unwrap();
    let witness = host.witness().unwrap();
    same(&outcome, &offline(witness.clone()).repeat().unwrap());
    let is_hash = |entry: &Entry| match entry.key() {
        EntryKey::Preimage(key) => key.kind() == PreimageKind::Keccak256,
        EntryKey::Blob(_) => true,
    };
    let needed: Vec<Entry> = witness.iter().filter(|entry| is_hash(entry)).cloned().collect();
    for left_out in needed.iter().step_by(7) {
        let rest = witness.iter().filter(|entry| entry.key() != left_out.key()).cloned();
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
    let key = EntryKey::Preimage(PreimageKey::local(1));
    assert_eq!(empty.store().get(&key).unwrap(), None);
}
