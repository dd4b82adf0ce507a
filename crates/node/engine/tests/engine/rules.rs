//! The Engine API's rules, one by one (execution-apis: `src/engine`).

use crate::{
    factory::{EthereumBlock, Factory, until},
    world::head,
};
use alloy_primitives::{B256, Sealed, b256};
use alloy_rpc_types_engine::{ForkchoiceState, PayloadStatus};
use lockstep_chain::{Block, Ethereum};
use lockstep_engine::{
    BlockBuilder, BuildError, ChainUpdate, Engine, EngineConfig, EngineError, NoTransactions,
    PayloadBuilder,
};
use std::sync::{Arc, OnceLock};

const NOWHERE: B256 = b256!("00000000000000000000000000000000000000000000000000000000deadbeef");

fn insert(engine: &Engine<Ethereum>, blocks: &[EthereumBlock]) -> PayloadStatus {
    let mut last = None;
    for block in blocks {
        last = Some(engine.insert(block.clone()).unwrap());
    }
    last.unwrap()
}

/// The block with another state root: only execution finds out.
fn broken(block: &EthereumBlock) -> EthereumBlock {
    let mut block: Block<Ethereum> = block.inner().clone();
    block.header.state_root = NOWHERE;
    let hash = block.header.hash_slow();
    Sealed::new_unchecked(block, hash)
}

/// The block on another parent.
fn on(block: &EthereumBlock, parent: B256) -> EthereumBlock {
    let mut block: Block<Ethereum> = block.inner().clone();
    block.header.parent_hash = parent;
    let hash = block.header.hash_slow();
    Sealed::new_unchecked(block, hash)
}

fn canonical(engine: &Engine<Ethereum>) -> Vec<B256> {
    let snapshot = engine.view().snapshot();
    (0..=snapshot.head().number).map(|at| snapshot.hash(at).unwrap().unwrap()).collect()
}

fn hashes(blocks: &[EthereumBlock]) -> Vec<B256> {
    blocks.iter().map(|block| block.seal()).collect()
}

#[test]
fn a_valid_payload_is_not_canonical_before_it_is_chosen() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let blocks = factory.chain(factory.genesis(), 1, 2);
    let status = insert(&engine, &blocks);
    assert_eq!(status.latest_valid_hash, Some(blocks[1].seal()));
    assert_eq!(canonical(&engine), [factory.genesis()]);
    assert!(engine.fork_choice(head(blocks[1].seal())).unwrap().is_valid());
    assert_eq!(canonical(&engine), [factory.genesis(), blocks[0].seal(), blocks[1].seal()]);
}

#[test]
fn a_payload_without_a_known_parent_waits_for_it() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let blocks = factory.chain(factory.genesis(), 1, 4);
    for block in blocks[1..].iter().rev() {
        assert!(engine.insert(block.clone()).unwrap().is_syncing());
        assert!(engine.fork_choice(head(block.seal())).unwrap().is_syncing());
    }
    assert!(engine.insert(blocks[0].clone()).unwrap().is_valid());
    assert!(engine.fork_choice(head(blocks[3].seal())).unwrap().is_valid());
    assert_eq!(canonical(&engine)[1..], hashes(&blocks));
}

#[test]
fn waiting_payloads_are_limited() {
    let factory = Factory::new();
    let config = EngineConfig { max_waiting_blocks: 2, ..Default::default() };
    let engine = factory.world.engine(config);
    let blocks = factory.chain(factory.genesis(), 1, 4);
    for block in &blocks[1..] {
        assert!(engine.insert(block.clone()).unwrap().is_syncing());
    }
    // The one that would have connected the others made room.
    assert!(engine.insert(blocks[0].clone()).unwrap().is_valid());
    assert!(engine.fork_choice(head(blocks[3].seal())).unwrap().is_syncing());
    insert(&engine, &blocks[1..2]);
    assert!(engine.fork_choice(head(blocks[3].seal())).unwrap().is_valid());
}

#[test]
fn descendants_of_an_invalid_payload_are_invalid() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let blocks = factory.chain(factory.genesis(), 1, 4);
    insert(&engine, &blocks[..1]);
    let valid = blocks[0].seal();
    let bad = broken(&blocks[1]);
    let child = on(&blocks[2], bad.seal());
    let grandchild = on(&blocks[3], child.seal());
    // One descendant is there before, one comes after.
    assert!(engine.insert(grandchild.clone()).unwrap().is_syncing());
    for block in [&bad, &child, &grandchild] {
        let status = engine.insert(block.clone()).unwrap();
        assert!(status.is_invalid(), "{status}");
        assert_eq!(status.latest_valid_hash, Some(valid));
        let error = status.status.validation_error().unwrap().to_owned();
        assert!(error.contains("stateRoot"), "{error}");
        let status = engine.fork_choice(head(block.seal())).unwrap();
        assert_eq!((status.is_invalid(), status.latest_valid_hash), (true, Some(valid)));
    }
    assert_eq!(canonical(&engine), [factory.genesis()]);
    assert!(insert(&engine, &blocks[1..]).is_valid());
}

#[test]
fn a_fork_choice_must_name_one_chain() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let left = factory.chain(factory.genesis(), 1, 3);
    let right = factory.chain(factory.genesis(), 2, 3);
    insert(&engine, &left);
    insert(&engine, &right);
    let choice = |at: B256, safe: B256, finalized: B256| {
        engine.fork_choice(ForkchoiceState {
            head_block_hash: at,
            safe_block_hash: safe,
            finalized_block_hash: finalized,
        })
    };
    let (tip, zero) = (left[2].seal(), B256::ZERO);
    let refused = |answer: Result<PayloadStatus, EngineError>| {
        matches!(answer.unwrap_err(), EngineError::ForkChoice(_))
    };
    assert!(refused(choice(zero, zero, zero)));
    assert!(refused(choice(tip, right[0].seal(), zero)));
    assert!(refused(choice(tip, zero, right[0].seal())));
    assert!(refused(choice(tip, NOWHERE, zero)));
    assert!(refused(choice(left[0].seal(), tip, zero)));
    assert_eq!(canonical(&engine), [factory.genesis()]);
    assert!(choice(tip, left[1].seal(), left[0].seal()).unwrap().is_valid());
    let snapshot = engine.view().snapshot();
    assert_eq!(snapshot.safe().unwrap().hash, left[1].seal());
    assert_eq!(snapshot.finalized().unwrap().hash, left[0].seal());
    assert!(refused(choice(tip, right[0].seal(), left[0].seal())));
    assert!(choice(NOWHERE, zero, zero).unwrap().is_syncing());
}

#[test]
fn a_fork_choice_of_an_ancestor_changes_nothing_and_a_rewind_does() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let blocks = factory.chain(factory.genesis(), 1, 5);
    insert(&engine, &blocks);
    engine.fork_choice(head(blocks[4].seal())).unwrap();
    let mut updates = engine.view().subscribe();
    let answer = engine
        .fork_choice_and_build(head(blocks[1].seal()), Some(crate::world::attributes(1_000, 1)))
        .unwrap();
    assert_eq!(answer.payload_status.latest_valid_hash, Some(blocks[1].seal()));
    assert_eq!(answer.payload_id, None);
    assert_eq!(canonical(&engine).len(), 6);
    assert!(updates.try_recv().is_err());
    engine.rewind(blocks[1].seal()).unwrap();
    assert_eq!(canonical(&engine)[1..], hashes(&blocks[..2]));
    let update = updates.try_recv().unwrap();
    assert!(matches!(&update, ChainUpdate::Reverted { .. }));
    let dropped: Vec<B256> = update.dropped().iter().map(|block| block.block.hash()).collect();
    assert_eq!(dropped, hashes(&blocks[2..]));
    assert!(matches!(engine.rewind(NOWHERE), Err(EngineError::UnknownBlock(_))));
    // What was taken back is still known.
    assert!(engine.fork_choice(head(blocks[4].seal())).unwrap().is_valid());
    assert_eq!(canonical(&engine)[1..], hashes(&blocks));
}

#[test]
fn a_reorg_is_told_with_both_branches() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let trunk = factory.chain(factory.genesis(), 1, 2);
    let left = factory.chain(trunk[1].seal(), 2, 3);
    let right = factory.chain(trunk[1].seal(), 3, 2);
    for branch in [&trunk, &left, &right] {
        insert(&engine, branch);
    }
    let mut updates = engine.view().subscribe();
    engine.fork_choice(head(left[2].seal())).unwrap();
    engine.fork_choice(head(right[1].seal())).unwrap();
    let first = updates.try_recv().unwrap();
    assert!(matches!(&first, ChainUpdate::Committed { new } if new.len() == 5));
    let second = updates.try_recv().unwrap();
    let hashes_of = |blocks: &[std::sync::Arc<lockstep_storage::ExecutedBlock<Ethereum>>]| {
        blocks.iter().map(|block| block.block.hash()).collect::<Vec<_>>()
    };
    assert_eq!(hashes_of(second.dropped()), hashes(&left));
    assert_eq!(hashes_of(second.committed()), hashes(&right));
    assert_eq!(second.head().unwrap().hash, right[1].seal());
}

#[test]
fn finality_prunes_other_branches_and_cannot_be_rewound() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let left = factory.chain(factory.genesis(), 1, 4);
    let right = factory.chain(factory.genesis(), 2, 2);
    let above = factory.chain(left[1].seal(), 3, 1);
    insert(&engine, &left);
    insert(&engine, &right);
    insert(&engine, &above);
    let view = engine.view();
    assert!(view.snapshot().executed(&right[1].seal()).is_some());
    engine
        .fork_choice(ForkchoiceState {
            head_block_hash: left[3].seal(),
            safe_block_hash: left[1].seal(),
            finalized_block_hash: left[1].seal(),
        })
        .unwrap();
    until("pruning", || view.snapshot().executed(&right[1].seal()).is_none());
    assert!(view.snapshot().executed(&right[0].seal()).is_none());
    assert!(view.snapshot().executed(&above[0].seal()).is_some());
    assert!(matches!(engine.rewind(left[0].seal()), Err(EngineError::Finalized { .. })));
    engine.rewind(left[1].seal()).unwrap();
    assert!(engine.fork_choice(head(above[0].seal())).unwrap().is_valid());
}

#[test]
fn blocks_beside_the_chain_are_limited() {
    let factory = Factory::new();
    let config = EngineConfig { max_side_blocks: 4, ..Default::default() };
    let engine = factory.world.engine(config);
    let siblings: Vec<_> =
        (0..6).map(|salt| factory.block(factory.genesis(), salt, Vec::new())).collect();
    assert!(insert(&engine, &siblings).is_valid());
    let view = engine.view();
    let known = |block: &EthereumBlock| view.snapshot().executed(&block.seal()).is_some();
    assert_eq!(siblings.iter().filter(|block| known(block)).count(), 4);
    assert!(known(&siblings[5]) && !known(&siblings[0]));
    // A chain that nobody chooses cannot make room for itself.
    let engine = factory.world.engine(EngineConfig { max_side_blocks: 4, ..Default::default() });
    let chain = factory.chain(factory.genesis(), 9, 5);
    assert!(insert(&engine, &chain[..4]).is_valid());
    let error = engine.insert(chain[4].clone()).unwrap_err();
    assert!(matches!(error, EngineError::TreeFull { limit: 4 }), "{error}");
    engine.fork_choice(head(chain[3].seal())).unwrap();
    assert!(engine.insert(chain[4].clone()).unwrap().is_valid());
}

#[test]
fn finality_only_rises() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let left = factory.chain(factory.genesis(), 1, 5);
    let above = factory.chain(left[2].seal(), 2, 3);
    let below = factory.block(left[0].seal(), 3, Vec::new());
    insert(&engine, &left);
    insert(&engine, &above);
    let choose = |at: &EthereumBlock, safe: B256, finalized: B256| {
        engine.fork_choice(ForkchoiceState {
            head_block_hash: at.seal(),
            safe_block_hash: safe,
            finalized_block_hash: finalized,
        })
    };
    let checkpoints = || {
        let snapshot = engine.view().snapshot();
        [snapshot.safe(), snapshot.finalized()].map(|block| block.map(|block| block.number))
    };
    choose(&left[3], left[3].seal(), left[1].seal()).unwrap();
    assert_eq!(checkpoints(), [Some(4), Some(2)]);
    // Zero says nothing.
    choose(&left[4], B256::ZERO, B256::ZERO).unwrap();
    assert_eq!(checkpoints(), [Some(4), Some(2)]);
    // An older block is no longer what is finalized.
    choose(&left[4], left[4].seal(), left[0].seal()).unwrap();
    assert_eq!(checkpoints(), [Some(5), Some(2)]);
    // The safe block is not on this chain.
    choose(&above[2], B256::ZERO, B256::ZERO).unwrap();
    assert_eq!(checkpoints(), [None, Some(2)]);
    // The finalized one must be.
    if engine.insert(below.clone()).unwrap().is_valid() {
        match choose(&below, B256::ZERO, B256::ZERO) {
            Ok(status) => assert!(status.is_syncing(), "{status}"),
            Err(error) => {
                let is_right = matches!(error, EngineError::Finalized { number: 1, finalized: 2 });
                assert!(is_right, "{error}");
            }
        }
    }
    assert_eq!(engine.view().head().hash(), above[2].seal());
    assert_eq!(checkpoints(), [None, Some(2)]);
}

#[test]
fn checkpoints_move_without_a_word_about_the_head() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let blocks = factory.chain(factory.genesis(), 1, 4);
    let other = factory.chain(factory.genesis(), 2, 1);
    insert(&engine, &blocks);
    insert(&engine, &other);
    engine.fork_choice(head(blocks[3].seal())).unwrap();
    engine.set_checkpoints(blocks[2].seal(), blocks[0].seal()).unwrap();
    let snapshot = engine.view().snapshot();
    assert_eq!(snapshot.head().seal(), blocks[3].seal());
    assert_eq!(snapshot.safe().unwrap().hash, blocks[2].seal());
    assert_eq!(snapshot.finalized().unwrap().hash, blocks[0].seal());
    // Safe may move down again, finalized may not.
    engine.set_checkpoints(blocks[1].seal(), factory.genesis()).unwrap();
    let snapshot = engine.view().snapshot();
    assert_eq!(snapshot.safe().unwrap().hash, blocks[1].seal());
    assert_eq!(snapshot.finalized().unwrap().hash, blocks[0].seal());
    let refused = engine.set_checkpoints(other[0].seal(), B256::ZERO);
    assert!(matches!(refused, Err(EngineError::ForkChoice(_))));
}

/// Makes another block the head while a block is built.
#[derive(Debug)]
struct Meddler {
    engine: OnceLock<Engine<Ethereum>>,
    to: B256,
}

impl PayloadBuilder<Ethereum> for Meddler {
    fn build(&self, _: &mut BlockBuilder<'_, Ethereum>) -> Result<(), BuildError> {
        self.engine.get().unwrap().fork_choice(head(self.to)).unwrap();
        Ok(())
    }
}

#[test]
fn a_produced_block_does_not_undo_a_fork_choice_made_meanwhile() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let left = factory.chain(factory.genesis(), 1, 1);
    let right = factory.chain(factory.genesis(), 2, 1);
    insert(&engine, &left);
    insert(&engine, &right);
    engine.fork_choice(head(left[0].seal())).unwrap();
    let meddler = Arc::new(Meddler { engine: OnceLock::new(), to: right[0].seal() });
    meddler.engine.set(engine.clone()).unwrap();
    engine.set_builder(meddler);
    let refused = engine.produce(&crate::world::attributes(1_000, 1));
    let is_right = matches!(refused, Err(EngineError::HeadMoved { parent, head })
        if parent == left[0].seal() && head.hash == right[0].seal());
    assert!(is_right);
    assert_eq!(engine.view().head().seal(), right[0].seal());
    engine.set_builder(Arc::new(NoTransactions));
    engine.produce(&crate::world::attributes(1_000, 1)).unwrap();
    assert_eq!(engine.view().head().parent_hash, right[0].seal());
}

/// Who derived blocks takes them back, and nobody else.
#[test]
fn what_is_safe_is_not_rewound_by_who_looked_before() {
    let factory = Factory::new();
    let engine = factory.world.engine(EngineConfig::default());
    let chain = factory.chain(factory.genesis(), 1, 5);
    insert(&engine, &chain);
    engine.fork_choice(head(chain[4].seal())).unwrap();
    let looked_at = chain[4].seal();
    // The head stays, and what is below it becomes safe.
    engine.set_checkpoints(chain[2].seal(), B256::ZERO).unwrap();
    let refused = engine.rewind_from(looked_at, chain[1].seal());
    assert!(matches!(refused, Err(EngineError::Safe { .. })), "{refused:?}");
    assert_eq!(engine.view().head().seal(), looked_at);
    assert_eq!(engine.rewind_from(looked_at, chain[2].seal()).unwrap().hash, chain[2].seal());
}
