//! A chain definition chooses how its headers commit to the state.

use crate::world::{
    ADDER, CALLER, answer, attributes, call, ethereum, first_block, genesis_file, mine, result,
    server, words,
};
use alloy_primitives::{B256, Bytes, U256};
use lockstep_chain::Ethereum;
use lockstep_engine::EngineConfig;
use lockstep_execution::{DiffHash, StateCommitment};
use lockstep_node::{Customized, Node, NodeBuilder};
use lockstep_rpc::RpcSettings;
use lockstep_storage::{CheckOptions, DiskStorage, Options, Storage};
use lockstep_trie::NoSource;
use serde_json::json;
use std::path::Path;

type Hashed = Customized<Ethereum, DiffHash>;

fn chain() -> Hashed {
    Customized::new(ethereum()).commitment()
}

/// Everything is persisted at once, so that storage is what is read.
async fn on_disk(folder: &Path) -> Node<Hashed> {
    let first = first_block();
    let config = EngineConfig { keep_in_memory: 0, ..EngineConfig::default() };
    NodeBuilder::new(chain(), &first)
        .folder(folder, &genesis_file(), &first, Options::default())
        .unwrap()
        .engine(config)
        .rpc(RpcSettings::default(), server())
        .launch()
        .await
        .unwrap()
}

fn store(nonce: u64, value: u64) -> Bytes {
    call(0, nonce, 1_000_000_000, CALLER, words(&[value]))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_of_a_block_is_the_hash_of_its_changes() {
    let first = first_block::<Hashed>();
    let node = NodeBuilder::new(chain(), &first).launch().await.unwrap();
    let mut commitment = DiffHash::from_root(first.block().header.state_root);
    for nonce in 0..3 {
        let block = mine(&node, &[store(nonce, 5 + nonce)]);
        let root = commitment.commit(&block.changes, &NoSource, |_, _, _| ()).unwrap();
        assert_eq!(block.state_root(), root);
        assert!(block.nodes.is_empty());
    }
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_engine_agrees_and_a_wrong_root_is_refused() {
    let start =
        || async { NodeBuilder::new(chain(), &first_block::<Hashed>()).launch().await.unwrap() };
    let [producer, follower] = [start().await, start().await];
    let block = mine(&producer, &[store(0, 5)]).block.block.clone();
    let mut wrong = block.clone().into_inner();
    wrong.header.state_root = B256::repeat_byte(1);
    let hash = wrong.header.hash_slow();
    let wrong = alloy_primitives::Sealed::new_unchecked(wrong, hash);
    let engine = follower.context().engine();
    assert!(engine.insert(wrong).unwrap().is_invalid());
    assert!(engine.insert(block).unwrap().is_valid());
    for node in [producer, follower] {
        node.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_storage_keeps_checks_and_unwinds_such_a_chain() {
    let folder = tempfile::tempdir().unwrap();
    let node = on_disk(folder.path()).await;
    for nonce in 0..4 {
        mine(&node, &[store(nonce, 5 + nonce)]);
    }
    let head = node.context().view().head().seal();
    node.shutdown().await.unwrap();

    let node = on_disk(folder.path()).await;
    assert_eq!(node.context().view().head().seal(), head);
    let block = mine(&node, &[store(4, 9)]);
    let snapshot = node.context().view().snapshot();
    let stored = |number| snapshot.state(number).unwrap().storage(&CALLER, &U256::ZERO).unwrap();
    assert_eq!([stored(2), stored(4), stored(5)], [6, 8, 9].map(U256::from));
    drop((block, snapshot));
    node.shutdown().await.unwrap();

    let storage = DiskStorage::<Hashed>::open_existing(folder.path(), Options::default()).unwrap();
    let sound = |storage: &DiskStorage<Hashed>| {
        let options = CheckOptions { recover_senders: true };
        let report = storage.check(&chain(), options, &mut |_| ()).unwrap();
        assert!(report.is_sound(), "{report:?}");
        report.blocks
    };
    assert_eq!(sound(&storage), 6);
    storage.unwind(2).unwrap();
    assert_eq!(sound(&storage), 3);
    let state = storage.snapshot().unwrap().state(2).unwrap();
    assert_eq!(state.storage(&CALLER, &U256::ZERO).unwrap(), U256::from(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_below_what_is_in_memory_comes_out_right() {
    let folder = tempfile::tempdir().unwrap();
    let node = on_disk(folder.path()).await;
    let engine = node.context().engine();
    let base = engine.view().head();
    for nonce in 0..3 {
        mine(&node, &[store(nonce, 5)]);
    }
    let mut attributes = attributes(base.timestamp);
    attributes.prev_randao = B256::repeat_byte(0xee);
    let quiet = lockstep_engine::NoTransactions;
    let branch = engine.build_with(base.seal(), &attributes, &quiet, None).unwrap();
    let branch = branch.block.block.block.clone();
    let hash = branch.seal();
    assert!(engine.insert(branch).unwrap().is_valid());
    let choice =
        alloy_rpc_types_engine::ForkchoiceState { head_block_hash: hash, ..Default::default() };
    assert!(engine.fork_choice(choice).unwrap().is_valid());
    let state = engine.view().snapshot().state(1).unwrap();
    assert_eq!(state.storage(&CALLER, &U256::ZERO).unwrap(), U256::ZERO);
    node.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_trie_is_refused_and_the_rest_works() {
    let builder = NodeBuilder::new(chain(), &first_block::<Hashed>());
    let node = builder.rpc(RpcSettings::default(), server()).launch().await.unwrap();
    mine(&node, &[store(0, 5)]);
    let rpc = node.rpc_address().unwrap();
    for (method, params) in [
        ("eth_getProof", json!([CALLER, ["0x0"], "latest"])),
        ("debug_executionWitness", json!(["latest"])),
    ] {
        let answer = answer(rpc, method, params).await;
        assert_eq!(answer["error"]["code"], json!(-32000), "{method}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("does not commit to its state by a trie"), "{message}");
    }
    let slot = result(rpc, "eth_getStorageAt", json!([CALLER, "0x0", "latest"])).await;
    assert_eq!(slot, json!(words(&[5])));
    let simulated = json!([{ "blockStateCalls": [{
        "stateOverrides": { ADDER.to_string(): { "balance": "0x1" } },
        "calls": [{ "to": CALLER, "input": words(&[6]) }]
    }] }, "latest"]);
    let simulated = result(rpc, "eth_simulateV1", simulated).await;
    assert_eq!(simulated[0]["calls"][0]["returnData"], json!(words(&[6])), "{simulated}");
    node.shutdown().await.unwrap();
}
