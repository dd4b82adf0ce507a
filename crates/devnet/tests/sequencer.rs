//! A rollup that is sequenced on an L1 which is late, reorganised, or silent.

#![allow(clippy::panic, reason = "a test may stop at what it did not expect")]

use alloy_primitives::{Address, B256, keccak256};
use lockstep_chain::Rollup;
use lockstep_devnet::{
    L1Heads, L1Origin, L1Origins, ROLLUP_CHAIN_ID, Sequencer, SequencerConfig, SequencerError,
    rollup_genesis,
};
use lockstep_engine::{Engine, EngineConfig, NoTransactions};
use lockstep_execution::MemoryState;
use lockstep_protocol::L1Attributes;
use lockstep_storage::{GenesisBlock, MemoryStorage};
use parking_lot::Mutex;
use std::{error::Error, sync::Arc};

const GENESIS_TIME: u64 = 1_700_000_000;
const L1_SLOT_S: u64 = 2;

/// An L1 whose blocks the test makes.
#[derive(Debug, Default)]
struct FakeL1 {
    blocks: Mutex<Vec<L1Origin>>,
    silent: Mutex<bool>,
}

impl FakeL1 {
    /// Blocks up to `newest`; those above `fork` are of the given branch.
    fn grow(&self, fork: u64, newest: u64, branch: u8) {
        let mut blocks = self.blocks.lock();
        blocks.truncate(fork as usize + 1);
        for number in blocks.len() as u64..=newest {
            let parent_hash = blocks.last().map_or(B256::ZERO, |parent| parent.hash);
            let hash = keccak256([parent_hash.as_slice(), &[branch]].concat());
            blocks.push(L1Origin {
                number,
                hash,
                parent_hash,
                timestamp: GENESIS_TIME + number * L1_SLOT_S,
                base_fee: 7,
                blob_base_fee: 1,
                ..Default::default()
            });
        }
    }
}

impl L1Origins for FakeL1 {
    fn origin(&self, number: u64) -> Result<Option<L1Origin>, Box<dyn Error + Send + Sync>> {
        if *self.silent.lock() {
            return Err("the L1 is silent".into());
        }
        Ok(self.blocks.lock().get(number as usize).copied())
    }

    fn heads(&self) -> Result<L1Heads, Box<dyn Error + Send + Sync>> {
        Ok(L1Heads::default())
    }
}

fn sequencer() -> (Sequencer<Rollup>, Engine<Rollup>, Arc<FakeL1>) {
    let genesis = rollup_genesis(ROLLUP_CHAIN_ID, GENESIS_TIME, &[]);
    let chain = Rollup::from_genesis(&genesis).expect("the genesis is valid");
    let state = MemoryState::from_genesis(&genesis);
    let first =
        GenesisBlock::new(chain.genesis_header(&genesis), state).expect("the root is right");
    let storage = Arc::new(MemoryStorage::new(&first));
    let engine = Engine::open(chain, storage, Arc::new(NoTransactions), EngineConfig::default())
        .expect("the engine opens");
    let l1 = Arc::new(FakeL1::default());
    let config = SequencerConfig {
        block_time_s: 1,
        fee_recipient: Address::ZERO,
        gas_limit: genesis.gas_limit,
        first_origin: 0,
    };
    (Sequencer::new(engine.clone(), l1.clone(), config), engine, l1)
}

/// The origins of the blocks from 1 on: number and hash.
fn origins(engine: &Engine<Rollup>) -> Vec<(u64, B256, u64)> {
    let snapshot = engine.view().snapshot();
    (1..=snapshot.head().number)
        .map(|number| {
            let block = snapshot.block(number).expect("memory").expect("a canonical block");
            let deposit = block.transactions().first().expect("a deposit");
            let input = alloy_consensus::Transaction::input(deposit);
            let attributes = L1Attributes::decode(input).expect("L1 attributes");
            (attributes.number, attributes.hash, attributes.sequence_number)
        })
        .collect()
}

#[test]
fn origins_advance_with_the_l1_and_never_run_ahead_of_it() {
    let (sequencer, engine, l1) = sequencer();
    l1.grow(0, 2, 0);
    for _ in 0..8 {
        sequencer.next_block().expect("a block");
    }
    let found: Vec<_> = origins(&engine).iter().map(|(number, _, at)| (*number, *at)).collect();
    assert_eq!(found, [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]);
}

#[test]
fn blocks_whose_origin_was_replaced_are_taken_back() {
    let (sequencer, engine, l1) = sequencer();
    l1.grow(0, 3, 0);
    (0..8).for_each(|_| drop(sequencer.next_block().expect("a block")));
    let before = origins(&engine);
    l1.grow(1, 4, 1);
    sequencer.next_block().expect("a block on the new branch");
    let after = origins(&engine);
    let kept = before.iter().take_while(|(number, ..)| *number <= 1).count();
    assert_eq!(after.len(), kept + 1);
    assert_eq!(
        after.iter().take(kept).collect::<Vec<_>>(),
        before.iter().take(kept).collect::<Vec<_>>()
    );
    let blocks = l1.blocks.lock();
    for (number, hash, _) in after {
        assert_eq!(blocks.get(number as usize).map(|block| block.hash), Some(hash));
    }
}

/// A node behind a load balancer may lag: that is no reorganisation.
#[test]
fn an_l1_that_does_not_show_a_block_takes_nothing_back() {
    let (sequencer, engine, l1) = sequencer();
    l1.grow(0, 3, 0);
    (0..8).for_each(|_| drop(sequencer.next_block().expect("a block")));
    let head = engine.view().head().seal();
    l1.blocks.lock().truncate(1);
    assert!(matches!(sequencer.next_block(), Err(SequencerError::NoOrigin(3))));
    *l1.silent.lock() = true;
    assert!(matches!(sequencer.next_block(), Err(SequencerError::L1(_))));
    assert_eq!(engine.view().head().seal(), head);
    *l1.silent.lock() = false;
    l1.grow(0, 3, 0);
    sequencer.next_block().expect("it goes on");
    assert_eq!(engine.view().head().parent_hash, head);
}
