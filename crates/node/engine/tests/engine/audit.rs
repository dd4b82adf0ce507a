//! Blocks that were built here are held against what others find.

use crate::world::{World, attributes, head};
use alloy_primitives::{Address, B256};
use lockstep_chain::{Ethereum, EthereumHardfork};
use lockstep_engine::{Engine, EngineConfig, EngineError, FilledBlock};
use std::sync::atomic::AtomicBool;

const SOMEBODY: Address = Address::repeat_byte(9);

/// A block on `parent` with a transfer.
fn fill(world: &World, engine: &Engine<Ethereum>, parent: B256, wei: u64) -> FilledBlock<Ethereum> {
    let open = engine.open_block(parent, &attributes(24, 0)).unwrap();
    let never = AtomicBool::new(false);
    let mut builder = open.builder(&never).unwrap();
    let (transfer, sender) = world.transfer(0, 0, SOMEBODY, wei);
    builder.push(transfer, sender, None).unwrap();
    builder.fill().unwrap()
}

#[test]
fn a_block_passes_that_comes_out_the_same() {
    let world = World::new(EthereumHardfork::Cancun);
    let engine = world.engine(EngineConfig::default());
    let genesis = world.genesis_hash();
    let filled = fill(&world, &engine, genesis, 7);
    let open = engine.open_block(genesis, &attributes(24, 0)).unwrap();
    let built = engine.close_block(open, filled).unwrap();
    engine.audit(built.block.hash()).unwrap();
    let unknown = B256::repeat_byte(1);
    let error = engine.audit(unknown).unwrap_err();
    assert!(matches!(error, EngineError::UnknownBlock(hash) if hash == unknown), "{error}");
}

#[test]
fn a_block_is_found_out_whose_changes_are_not_those_of_its_transactions() {
    let world = World::new(EthereumHardfork::Cancun);
    let engine = world.engine(EngineConfig::default());
    let genesis = world.genesis_hash();
    // On the one branch the sender has paid for something before.
    let open = engine.open_block(genesis, &attributes(12, 1)).unwrap();
    let never = AtomicBool::new(false);
    let mut builder = open.builder(&never).unwrap();
    let (transfer, sender) = world.transfer(1, 0, SOMEBODY, 5);
    builder.push(transfer, sender, None).unwrap();
    let filled = builder.fill().unwrap();
    let one = engine.close_block(open, filled).unwrap().block.hash();
    engine.fork_choice(head(one)).unwrap();
    let filled = fill(&world, &engine, one, 7);
    // On the other it has not, and the block is completed there.
    let open = engine.open_block(genesis, &attributes(24, 0)).unwrap();
    let built = engine.close_block(open, filled).unwrap().block.hash();
    let error = engine.audit(built).unwrap_err();
    assert!(matches!(&error, EngineError::NotReproduced { hash, .. } if *hash == built), "{error}");
}
