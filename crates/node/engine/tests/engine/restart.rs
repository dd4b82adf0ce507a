//! An engine ends at any point without being shut down, and comes back with all that it had
//! acknowledged.

use crate::{
    factory::{EthereumBlock, Factory, until},
    world::{Place, engine_on, head, storages},
};
use alloy_primitives::B256;
use lockstep_chain::Ethereum;
use lockstep_engine::EngineConfig;
use proptest::test_runner::{Config, TestRunner};

/// A tree of blocks: each one's parent is one of those before it.
fn tree(factory: &Factory, parents: &[usize]) -> Vec<EthereumBlock> {
    let mut blocks: Vec<EthereumBlock> = Vec::new();
    for (salt, parent) in parents.iter().enumerate() {
        // Mostly the newest, sometimes one of the six before.
        let parent = blocks.len().checked_sub(1 + parent.saturating_sub(6));
        let parent = parent.map_or(factory.genesis(), |parent| blocks[parent].seal());
        blocks.push(factory.block(parent, salt as u64, Vec::new()));
    }
    blocks
}

fn check(factory: &Factory, place: &Place<Ethereum>, blocks: &[EthereumBlock], lives: &[usize]) {
    let config = || EngineConfig { keep_in_memory: 3, persistence_batch: 2, ..Default::default() };
    let mut chosen = factory.genesis();
    let mut blocks = blocks.iter();
    for life in lives {
        let engine = engine_on(&factory.world.chain, &place.open(), config());
        assert_eq!(engine.view().head().hash(), chosen, "on {}", place.name());
        let mut acknowledged = Vec::new();
        for block in blocks.by_ref().take(*life) {
            if !engine.insert(block.clone()).unwrap().is_valid() {
                continue;
            }
            acknowledged.push(block.seal());
            if block.header.number % 2 == 0 {
                assert!(engine.fork_choice(head(block.seal())).unwrap().is_valid());
                let now: B256 = engine.view().head().hash();
                // A fork choice of an ancestor changes nothing.
                chosen = now;
            }
        }
        drop(engine);
        let engine = engine_on(&factory.world.chain, &place.open(), config());
        let snapshot = engine.view().snapshot();
        assert_eq!(snapshot.head().hash(), chosen, "on {}", place.name());
        for hash in acknowledged {
            let state = snapshot.state_by_hash(&hash).unwrap();
            let header = snapshot.header_by_hash(&hash).unwrap().unwrap();
            assert_eq!(state.state_root(), header.state_root);
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost() {
    let default = Config::default();
    let mut runner = TestRunner::new(Config { cases: default.cases / 8, ..default });
    let strategy = (
        proptest::collection::vec(0..13_usize, 4..30),
        proptest::collection::vec(0..12_usize, 1..5),
    );
    runner
        .run(&strategy, |(parents, lives)| {
            let factory = Factory::new();
            let blocks = tree(&factory, &parents);
            for place in storages(&factory.world.chain, &factory.world.genesis) {
                check(&factory, &place, &blocks, &lives);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn safe_and_finalized_come_back() {
    let factory = Factory::new();
    for place in storages(&factory.world.chain, &factory.world.genesis) {
        let engine = engine_on(&factory.world.chain, &place.open(), EngineConfig::default());
        let blocks = factory.chain(factory.genesis(), 1, 8);
        for block in &blocks {
            engine.insert(block.clone()).unwrap();
        }
        let mut state = head(blocks[7].seal());
        state.safe_block_hash = blocks[5].seal();
        state.finalized_block_hash = blocks[2].seal();
        engine.fork_choice(state).unwrap();
        engine.rewind(blocks[6].seal()).unwrap();
        drop(engine);
        let engine = engine_on(&factory.world.chain, &place.open(), EngineConfig::default());
        let snapshot = engine.view().snapshot();
        assert_eq!(snapshot.head().hash(), blocks[6].seal());
        assert_eq!(snapshot.safe().unwrap().hash, blocks[5].seal());
        assert_eq!(snapshot.finalized().unwrap().hash, blocks[2].seal());
    }
}

#[test]
fn a_branch_below_what_is_persisted_survives_being_chosen() {
    for keep_in_memory in [0, 2] {
        choose_below(keep_in_memory);
    }
}

fn choose_below(keep_in_memory: u64) {
    let factory = Factory::new();
    let trunk = factory.chain(factory.genesis(), 1, 3);
    let left = factory.chain(trunk[2].seal(), 1, 22);
    let right = factory.chain(trunk[2].seal(), 2, 5);
    let config = || EngineConfig { keep_in_memory, persistence_batch: 4, ..Default::default() };
    for place in storages(&factory.world.chain, &factory.world.genesis) {
        let storage = place.open();
        let engine = engine_on(&factory.world.chain, &storage, config());
        let choose = |block: &EthereumBlock| {
            assert!(engine.fork_choice(head(block.seal())).unwrap().is_valid());
        };
        for block in trunk.iter().chain(&left[..9]).chain(&right).chain(&left[9..]) {
            assert!(engine.insert(block.clone()).unwrap().is_valid());
            if !right.contains(block) {
                choose(block);
                let due = block.header.number.saturating_sub(keep_in_memory);
                until("persistence", || storage.snapshot().unwrap().tip().number >= due);
            }
        }
        place.shut(true);
        choose(&right[4]);
        drop(engine);
        drop(storage);
        place.shut(false);
        let storage = place.open();
        let engine = engine_on(&factory.world.chain, &storage, config());
        assert_eq!(engine.view().head().hash(), right[4].seal(), "on {}", place.name());
        // What was taken back is not lost either.
        let status = engine.fork_choice(head(left[21].seal())).unwrap();
        assert!(status.is_valid(), "on {}: {status}", place.name());
        drop(engine);
        drop(storage);
        let engine = engine_on(&factory.world.chain, &place.open(), config());
        assert_eq!(engine.view().head().hash(), left[21].seal(), "on {}", place.name());
    }
}
