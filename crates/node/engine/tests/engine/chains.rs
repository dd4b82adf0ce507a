//! Whole chains are imported block by block; the truth is the hash of the newest block.

use crate::world::{engine_on, storages};
use alloy_primitives::{B256, Sealed, b256};
use alloy_rlp::Decodable;
use alloy_rpc_types_engine::ForkchoiceState;
use lockstep_chain::{Block, Ethereum, genesis};
use lockstep_engine::EngineConfig;
use lockstep_execution::MemoryState;
use lockstep_storage::GenesisBlock;
use lockstep_testkit::fixtures::{self, archive};

#[test]
fn a_chain_that_crosses_every_fork_to_cancun_is_imported() {
    let head = b256!("36a166f0dcd160fc5e5c61c9a7c2d7f236d9175bf27f43aaa2150e291f092ef7");
    import("misc/chain-ethtest-500.tar.zst", "ethtest", 500, head);
}

#[test]
fn a_chain_that_crosses_every_fork_to_prague_is_imported() {
    let head = b256!("af51811799f22260e5b4e1f95504dae760505f102dcb2e9ca7d897d8a40124a1");
    import("misc/chain-rpc-compat-45.tar.zst", "rpc-compat", 45, head);
}

fn import(name: &str, folder: &str, newest: u64, head: B256) {
    let Some(fixtures) = fixtures::folder() else { return };
    let files = archive(&fixtures.join(name)).unwrap();
    let genesis = genesis::parse(&files[&format!("{folder}/genesis.json")]).unwrap();
    let chain = Ethereum::from_genesis(&genesis).unwrap();
    let state = MemoryState::from_genesis(&genesis);
    let first = GenesisBlock::new(chain.genesis_header(&genesis), state).unwrap();
    for storage in storages(&chain, &first) {
        let config = EngineConfig { keep_in_memory: 8, persistence_batch: 7, ..Default::default() };
        let engine = engine_on(&chain, &storage.open(), config);
        let mut rlp = files[&format!("{folder}/chain.rlp")].as_slice();
        while !rlp.is_empty() {
            let block = Block::<Ethereum>::decode(&mut rlp).unwrap();
            let hash = block.header.hash_slow();
            let number = block.header.number;
            let status = engine.insert(Sealed::new_unchecked(block, hash)).unwrap();
            assert!(status.is_valid(), "block {number}: {status}");
            let state = ForkchoiceState { head_block_hash: hash, ..Default::default() };
            assert!(engine.fork_choice(state).unwrap().is_valid());
        }
        let snapshot = engine.view().snapshot();
        assert_eq!((snapshot.head().number, snapshot.head().hash()), (newest, head));
        assert_eq!(snapshot.state(newest).unwrap().state_root(), snapshot.head().state_root);
        drop(snapshot);
        engine.shutdown().unwrap();
        drop(engine);
        let engine = engine_on(&chain, &storage.open(), EngineConfig::default());
        let snapshot = engine.view().snapshot();
        assert_eq!(snapshot.head().hash(), head, "after a restart on {}", storage.name());
        for number in 1..=newest {
            let header = snapshot.header(number).unwrap().unwrap();
            assert_eq!(header.hash_slow(), header.hash());
            assert_eq!(Some(header.parent_hash), snapshot.hash(number - 1).unwrap());
            assert_eq!(snapshot.state(number).unwrap().state_root(), header.state_root);
        }
    }
}
