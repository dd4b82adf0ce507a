//! A rollup that is sequenced on an L1 which is late, reorganised, or silent.

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail this way"
)]

use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope};
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, Bytes};
use lockstep_chain::{Ethereum, EthereumHardfork, Rollup};
use lockstep_contracts::L1Addresses;
use lockstep_derive::{L1Provider, ProviderError, Severity};
use lockstep_devnet::{
    Beginning, L1_CHAIN_ID, MNEMONIC, RollupPlan, Sequencer, SequencerError, l1_genesis, operators,
};
use lockstep_engine::{Engine, EngineConfig, EngineError, NoTransactions};
use lockstep_execution::MemoryState;
use lockstep_protocol::{BlockInfo, L1Attributes};
use lockstep_storage::{GenesisBlock, MemoryStorage};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

const GENESIS_TIME: u64 = 1_700_000_000;
const L1_SLOT_S: u64 = 2;

/// An L1 whose blocks the test makes.
#[derive(Clone, Debug, Default)]
struct FakeL1 {
    blocks: Arc<Mutex<Vec<Header>>>,
    silent: Arc<Mutex<bool>>,
    /// What was asked for by hash is kept, as clients do.
    kept: Arc<Mutex<HashMap<B256, Header>>>,
}

#[derive(Clone, Debug, thiserror::Error)]
enum FakeError {
    #[error("the L1 is silent")]
    Silent,
    #[error("there is no such block")]
    Missing,
}

impl ProviderError for FakeError {
    fn severity(&self) -> Severity {
        match self {
            Self::Silent => Severity::Temporary,
            Self::Missing => Severity::Reset,
        }
    }
}

impl FakeL1 {
    /// Blocks up to `newest`; those above `fork` are of the given branch.
    fn grow(&self, fork: u64, newest: u64, branch: u8) {
        let mut blocks = self.blocks.lock();
        blocks.truncate(fork as usize + 1);
        for number in blocks.len() as u64..=newest {
            let parent_hash = blocks.last().map(Header::hash_slow).unwrap_or_default();
            blocks.push(Header {
                number,
                parent_hash,
                timestamp: GENESIS_TIME + number * L1_SLOT_S,
                base_fee_per_gas: Some(7),
                excess_blob_gas: Some(0),
                blob_gas_used: Some(0),
                withdrawals_root: Some(B256::ZERO),
                parent_beacon_block_root: Some(B256::ZERO),
                requests_hash: Some(B256::ZERO),
                extra_data: Bytes::from(vec![branch]),
                ..Header::default()
            });
        }
    }

    fn find(&self, is: impl Fn(&Header) -> bool) -> Result<Option<Header>, FakeError> {
        if *self.silent.lock() {
            return Err(FakeError::Silent);
        }
        Ok(self.blocks.lock().iter().find(|header| is(header)).cloned())
    }
}

impl L1Provider for FakeL1 {
    type Error = FakeError;

    fn header_by_hash(&mut self, hash: B256) -> Result<Header, FakeError> {
        if let Some(header) = self.kept.lock().get(&hash) {
            return Ok(header.clone());
        }
        let header = self.find(|header| header.hash_slow() == hash)?.ok_or(FakeError::Missing)?;
        self.kept.lock().insert(hash, header.clone());
        Ok(header)
    }

    fn block_by_number(&mut self, number: u64) -> Result<Option<BlockInfo>, FakeError> {
        let header = self.find(|header| header.number == number)?;
        Ok(header.map(|header| BlockInfo::from_header(&header, header.hash_slow())))
    }

    fn receipts(&mut self, hash: B256) -> Result<Vec<ReceiptEnvelope>, FakeError> {
        self.header_by_hash(hash).map(|_| Vec::new())
    }

    fn transactions(&mut self, hash: B256) -> Result<(BlockInfo, Vec<TxEnvelope>), FakeError> {
        let header = self.header_by_hash(hash)?;
        Ok((BlockInfo::from_header(&header, hash), Vec::new()))
    }
}

fn sequencer() -> (Sequencer<FakeL1>, Engine<Rollup>, FakeL1) {
    let l1 = FakeL1::default();
    l1.grow(0, 0, 0);
    let beginning = Beginning { timestamp: GENESIS_TIME, l1_origin: 0, block_time_s: 1 };
    let operators = operators(MNEMONIC).unwrap();
    let addresses = L1Addresses::created_by(operators.proposer.address, 0);
    let plan = RollupPlan::new(&beginning, addresses, &[], &operators);
    let chain = Rollup::from_genesis(&plan.genesis).unwrap();
    let state = MemoryState::from_genesis(&plan.genesis);
    let first: GenesisBlock<Rollup> =
        GenesisBlock::new(chain.genesis_header(&plan.genesis), state).unwrap();
    let block = BlockNumHash::new(0, first.block().seal());
    let origin = BlockNumHash::new(0, l1.blocks.lock()[0].hash_slow());
    let config = Arc::new(plan.config(L1_CHAIN_ID, origin, block));
    let storage = Arc::new(MemoryStorage::new(&first));
    let engine =
        Engine::open(chain, storage, Arc::new(NoTransactions), EngineConfig::default()).unwrap();
    let l1_genesis = l1_genesis(EthereumHardfork::Osaka, GENESIS_TIME, &[]);
    let l1_chain = Arc::new(Ethereum::from_genesis(&l1_genesis).unwrap());
    (Sequencer::new(engine.clone(), config, l1_chain, l1.clone()), engine, l1)
}

/// The origins of the blocks from 1 on: number, hash and position.
fn origins(engine: &Engine<Rollup>) -> Vec<(u64, B256, u64)> {
    let snapshot = engine.view().snapshot();
    (1..=snapshot.head().number)
        .map(|number| {
            let block = snapshot.block(number).unwrap().expect("a canonical block");
            let deposit = block.transactions().first().expect("a deposit");
            let input = alloy_consensus::Transaction::input(deposit);
            let attributes = L1Attributes::decode(input).expect("L1 attributes");
            (attributes.number, attributes.hash, attributes.sequence_number)
        })
        .collect()
}

#[test]
fn origins_advance_with_the_l1_and_never_run_ahead_of_it() {
    let (mut sequencer, engine, l1) = sequencer();
    l1.grow(0, 2, 0);
    for _ in 0..8 {
        sequencer.next_block().expect("a block");
    }
    let found: Vec<_> = origins(&engine).iter().map(|(number, _, at)| (*number, *at)).collect();
    // The first block of the rollup is the first of the epoch of L1 block 0.
    assert_eq!(found, [(0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]);
}

#[test]
fn blocks_whose_origin_was_replaced_are_taken_back() {
    let (mut sequencer, engine, l1) = sequencer();
    l1.grow(0, 3, 0);
    (0..8).for_each(|_| drop(sequencer.next_block().expect("a block")));
    let before = origins(&engine);
    l1.grow(1, 4, 1);
    sequencer.next_block().expect("a block on the new branch");
    let after = origins(&engine);
    let kept = before.iter().take_while(|(number, ..)| *number <= 1).count();
    assert_eq!(after.len(), kept + 1);
    assert_eq!(after[..kept], before[..kept]);
    let blocks = l1.blocks.lock();
    for (number, hash, _) in after {
        assert_eq!(blocks[number as usize].hash_slow(), hash);
    }
}

/// A node behind a load balancer may lag: that is no reorganisation. One that is gone may come back.
#[test]
fn blocks_keep_their_origin_while_l1_says_nothing() {
    let (mut sequencer, engine, l1) = sequencer();
    l1.grow(0, 3, 0);
    (0..8).for_each(|_| drop(sequencer.next_block().expect("a block")));
    let head = engine.view().head().seal();
    let all = l1.blocks.lock().clone();
    l1.blocks.lock().truncate(1);
    sequencer.next_block().expect("a block with the same origin");
    assert_eq!(engine.view().head().parent_hash, head);
    *l1.silent.lock() = true;
    sequencer.next_block().expect("another one");
    *l1.silent.lock() = false;
    *l1.blocks.lock() = all;
    l1.grow(3, 5, 0);
    sequencer.next_block().expect("it goes on");
    let found: Vec<_> = origins(&engine).iter().map(|(number, _, at)| (*number, *at)).collect();
    assert_eq!(found[7..], [(3, 2), (3, 3), (3, 4), (4, 0)]);
}

/// An L1 whose answers come and go is not asked for long: what it has taken back may not come again.
#[test]
fn an_l1_that_falls_silent_amid_a_reorganisation_is_waited_for() {
    let (mut sequencer, engine, l1) = sequencer();
    l1.grow(0, 3, 0);
    (0..8).for_each(|_| drop(sequencer.next_block().expect("a block")));
    let head = engine.view().head().seal();
    // It shows another block 3, and no block 2.
    l1.grow(1, 3, 1);
    l1.blocks.lock().remove(2);
    assert!(matches!(sequencer.next_block(), Err(SequencerError::Changed(3))));
    assert_eq!(engine.view().head().seal(), head);
}

/// Derivation drops a block that is too far from its origin and keeps it although the next L1 block
/// is older than the block.
#[test]
fn past_the_drift_a_block_waits_until_the_next_l1_block_is_known() {
    let (mut sequencer, engine, l1) = sequencer();
    l1.grow(0, 1, 0);
    // Block 1 of L1 is at two seconds; from Fjord on the drift is half an hour.
    (0..1_802).for_each(|_| drop(sequencer.next_block().expect("a block")));
    let is_waiting = |error: &SequencerError| {
        matches!(
            error,
            SequencerError::Drift { number: 1_803, origin: 1, drift_s: 1_801, limit_s: 1_800 }
        )
    };
    let error = sequencer.next_block().expect_err("L1 has no block 2");
    assert!(is_waiting(&error), "{error}");
    *l1.silent.lock() = true;
    let error = sequencer.next_block().expect_err("L1 says nothing");
    assert!(is_waiting(&error), "{error}");
    *l1.silent.lock() = false;
    assert_eq!(engine.view().head().number, 1_802);

    l1.grow(1, 2, 0);
    sequencer.next_block().expect("a block of the next epoch");
    assert_eq!(origins(&engine).last().map(|(number, _, at)| (*number, *at)), Some((2, 0)));
}

/// An origin that is no longer one, under a block that is safe: the follower derives that one anew.
#[test]
fn blocks_that_are_safe_are_left_to_the_follower() {
    let (mut sequencer, engine, l1) = sequencer();
    l1.grow(0, 3, 0);
    (0..8).for_each(|_| drop(sequencer.next_block().expect("a block")));
    let snapshot = engine.view().snapshot();
    let safe = snapshot.hash(5).expect("it is stored").expect("block 5");
    engine.set_checkpoints(safe, B256::ZERO).expect("it is canonical");
    // Block 5 has origin 2, block 4 has origin 2.
    l1.grow(1, 4, 1);
    assert!(matches!(sequencer.next_block(), Err(SequencerError::Changed(2))));
    assert_eq!(engine.view().head().number, 8);
    engine.rewind(snapshot.hash(3).expect("it is stored").expect("block 3")).expect("it is there");
    sequencer.next_block().expect("it goes on");
    assert_eq!(engine.view().head().number, 4);
}

/// What was found out about one chain is not done to another that took its place meanwhile.
#[test]
fn a_chain_that_moved_on_is_not_rewound() {
    let (mut sequencer, engine, _) = sequencer();
    (0..3).for_each(|_| drop(sequencer.next_block().expect("a block")));
    let looked_at = engine.view().head().seal();
    let snapshot = engine.view().snapshot();
    let to = snapshot.hash(1).expect("it is stored").expect("block 1");
    sequencer.next_block().expect("a block");
    let refused = engine.rewind_from(looked_at, to).expect_err("the head is another");
    assert!(matches!(refused, EngineError::HeadMoved { .. }), "{refused}");
    assert_eq!(engine.view().head().number, 4);
    engine.rewind_from(engine.view().head().seal(), to).expect("it is the head");
    assert_eq!(engine.view().head().number, 1);
}

/// The rollup cannot live on an L1 that has lost the block with which it began.
#[test]
fn an_l1_without_the_first_origin_is_refused() {
    let (mut sequencer, engine, l1) = sequencer();
    l1.blocks.lock().clear();
    l1.grow(0, 3, 1);
    assert!(matches!(sequencer.next_block(), Err(SequencerError::Changed(0))));
    assert_eq!(engine.view().head().number, 0);
}
