//! A sequencer's chain, derived by others from L1 alone.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect fails"
)]

mod l1;
mod world;

use alloy_primitives::Bytes;
use lockstep_chain::{OpHardfork, Rollup};
use lockstep_derive::Severity;
use lockstep_engine::{Engine, EngineConfig};
use lockstep_follower::Progress;
use lockstep_protocol::Batch;
use world::{World, hashes, run, step};

#[test]
fn a_follower_ends_with_the_sequencers_blocks() {
    let mut world = World::new();
    world.run(20);
    let engine = world.engine(world.storage());
    let mut follower = world.follower(&engine);
    run(&mut follower);
    let derived = hashes(&engine);
    assert!(derived.len() > 110);
    assert_eq!(derived, hashes(&world.sequencer));
    assert_eq!(engine.view().snapshot().safe().unwrap().hash, *derived.last().unwrap());
    assert_eq!(follower.status().read().derived_up_to, Some(world.l1.chain().head()));
}

#[test]
fn blocks_that_are_there_become_safe_without_being_made_again() {
    let mut world = World::new();
    world.run(5);
    world.sequence();
    let before = hashes(&world.sequencer);
    let posted = before.len() - 7;
    let mut follower = world.follower(&world.sequencer.clone());
    let mut updates = world.sequencer.view().subscribe();
    run(&mut follower);
    assert_eq!(hashes(&world.sequencer), before);
    assert!(updates.try_recv().is_err(), "the canonical chain changed");
    let safe = world.sequencer.view().snapshot().safe().unwrap();
    assert_eq!(safe.hash, before[posted]);
}

#[test]
fn an_l1_reorg_of_any_depth_takes_the_follower_along() {
    let mut world = World::new();
    world.run(3);
    let engine = world.engine(world.storage());
    let mut follower = world.follower(&engine);
    run(&mut follower);
    for depth in [1, 2, 3, 5, 8] {
        world.run(depth);
        run(&mut follower);
        assert_eq!(hashes(&engine), hashes(&world.sequencer), "before a reorg of {depth}");
        world.reorg(depth);
        world.run(depth + 2);
        run(&mut follower);
        assert_eq!(hashes(&engine), hashes(&world.sequencer), "after a reorg of {depth}");
    }
}

#[test]
fn what_cannot_be_executed_is_replaced_by_its_deposits() {
    let mut world = World::new();
    world.run(2);
    world.sequence();
    let head = world.sequencer.view().head().number;
    let first = head - 5;
    let mut batches: Vec<_> = (first..=head).map(|at| world.batch(at)).collect();
    batches[2].transactions = vec![world.impossible()];
    world.post_blocks(&batches);
    world.l1.chain().mine();
    let engine = world.engine(world.storage());
    let mut follower = world.follower(&engine);
    run(&mut follower);
    let snapshot = engine.view().snapshot();
    // The two blocks before it stand, it became one of deposits alone, and the rest was dropped.
    assert_eq!(snapshot.head().number, first + 2);
    let before = usize::try_from(first + 2).unwrap();
    assert_eq!(hashes(&engine)[..before], hashes(&world.sequencer)[..before]);
    let block = snapshot.block(first + 2).unwrap().unwrap();
    assert!(block.transactions().iter().all(op_alloy_consensus::OpTxEnvelope::is_deposit));
    assert_eq!(snapshot.safe().unwrap().number, first + 2);
}

/// Posts the sequencer's next blocks as one span, the third of them with nothing but `transaction`.
/// Returns the number of the first.
fn post_with(world: &mut World, transaction: Bytes) -> u64 {
    world.sequence();
    let head = world.sequencer.view().head().number;
    let first = world.unposted;
    let mut batches: Vec<_> = (first..=head).map(|at| world.batch(at)).collect();
    batches[2].transactions = vec![transaction];
    world.post_blocks(&batches);
    world.l1.chain().mine();
    first
}

fn has_only_deposits(engine: &Engine<Rollup>, number: u64) -> bool {
    let block = engine.view().snapshot().block(number).unwrap().unwrap();
    block.transactions().iter().all(op_alloy_consensus::OpTxEnvelope::is_deposit)
}

#[test]
fn what_is_no_transaction_is_replaced_by_deposits() {
    for malformed in [vec![1], vec![2, 0xc0], vec![0xf8, 0xff]] {
        let mut world = World::new();
        world.run(2);
        world.sequence();
        let first = world.unposted;
        let mut batches: Vec<_> = (first..first + 3).map(|at| world.batch(at)).collect();
        batches[1].transactions = vec![malformed.into()];
        // A span batch cannot even hold such bytes.
        let batches: Vec<_> = batches.into_iter().map(Batch::Single).collect();
        world.l1.chain().post_batches(&world.config, &batches);
        world.l1.chain().mine();
        let engine = world.engine(world.storage());
        run(&mut world.follower(&engine));
        let snapshot = engine.view().snapshot();
        let heads = (snapshot.head().number, snapshot.safe().unwrap().number);
        assert_eq!(heads, (first + 1, first + 1));
        assert!(has_only_deposits(&engine, first + 1));
        // Another follower finds what was replaced, and leaves it where it is.
        let mut updates = engine.view().subscribe();
        run(&mut world.follower(&engine));
        assert!(updates.try_recv().is_err(), "the canonical chain changed");
    }
}

#[test]
fn the_l1_block_decides_whether_an_invalid_block_is_replaced() {
    // The rollup's blocks are of before Holocene, the L1 block that they are posted in is not.
    let mut world = World::at(|fork| match fork {
        fork if fork < OpHardfork::Holocene => Some(0),
        OpHardfork::Holocene => Some(36),
        _ => None,
    });
    world.run(2);
    let impossible = world.impossible();
    let first = post_with(&mut world, impossible);
    let engine = world.engine(world.storage());
    run(&mut world.follower(&engine));
    let snapshot = engine.view().snapshot();
    assert_eq!((snapshot.head().number, snapshot.safe().unwrap().number), (first + 2, first + 2));
    assert!(snapshot.head().timestamp < world.config.holocene_time.unwrap());
    assert!(has_only_deposits(&engine, first + 2));
}

#[test]
fn before_holocene_an_invalid_block_takes_its_span_with_it() {
    let mut world = World::at(|fork| (fork <= OpHardfork::Granite).then_some(0));
    world.run(2);
    let impossible = world.impossible();
    let first = post_with(&mut world, impossible);
    let engine = world.engine(world.storage());
    let mut follower = world.follower(&engine);
    run(&mut follower);
    assert_eq!(engine.view().snapshot().safe().unwrap().number, first - 1);
    // Other blocks for the same places are taken, although some were valid before the invalid one.
    let head = world.sequencer.view().head().number;
    let mut batches: Vec<_> = (first..=head).map(|at| world.batch(at)).collect();
    let differs = (0..2).find(|at| !batches[*at].transactions.is_empty()).unwrap();
    batches[differs].transactions.clear();
    batches.truncate(2);
    world.l1.chain().post(&world.config, &batches, true);
    world.l1.chain().mine();
    run(&mut follower);
    let snapshot = engine.view().snapshot();
    assert_eq!((snapshot.head().number, snapshot.safe().unwrap().number), (first + 1, first + 1));
    assert!(has_only_deposits(&engine, first + u64::try_from(differs).unwrap()));
}

#[test]
fn an_unsafe_chain_of_any_length_is_replaced() {
    let mut world = World::new();
    world.run(2);
    for _ in 0..5 {
        world.sequence();
        world.l1.chain().mine();
    }
    let head = world.sequencer.view().head().number;
    let first = world.unposted;
    let differs = (first..=head).find(|at| !world.batch(*at).transactions.is_empty()).unwrap();
    let mut batches: Vec<_> = (first..=differs).map(|at| world.batch(at)).collect();
    batches.last_mut().unwrap().transactions.clear();
    world.post_blocks(&batches);
    world.l1.chain().mine();
    let before = hashes(&world.sequencer);
    world.restart_sequencer(EngineConfig { max_reorg_depth: 4, ..EngineConfig::default() });
    assert!(head - differs > 20);
    run(&mut world.follower(&world.sequencer.clone()));
    let after = hashes(&world.sequencer);
    let at = usize::try_from(differs).unwrap();
    assert_eq!((after.len(), &after[..at]), (at + 1, &before[..at]));
    assert!(has_only_deposits(&world.sequencer, differs));
}

#[test]
fn a_deep_l1_reorg_is_followed_in_steps() {
    let mut world = World::new();
    world.run(6);
    run(&mut world.follower(&world.sequencer.clone()));
    world.restart_sequencer(EngineConfig { max_reorg_depth: 4, ..EngineConfig::default() });
    let before = world.sequencer.view().head().number;
    world.l1.chain().reorg(5);
    for _ in 0..5 {
        world.l1.chain().mine();
    }
    let mut follower = world.follower(&world.sequencer.clone());
    // Begins anew in the middle of what it takes back, and gets there.
    let mut heads = vec![before];
    while step(&mut follower).unwrap() == Progress::Worked {
        heads.push(world.sequencer.view().head().number);
    }
    heads.dedup();
    assert!(heads.len() > 5, "{heads:?}");
    let snapshot = world.sequencer.view().snapshot();
    assert!(snapshot.head().number < 2 * 6, "{heads:?}");
}

#[test]
fn what_somebody_else_takes_back_is_derived_anew() {
    let mut world = World::new();
    world.run(4);
    let engine = world.engine(world.storage());
    let mut follower = world.follower(&engine);
    run(&mut follower);
    let derived = hashes(&engine);
    let status = follower.status();
    assert!(status.read().derived_up_to.is_some());
    engine.rewind(derived[derived.len() - 4]).unwrap();
    assert_eq!(step(&mut follower).unwrap(), Progress::Worked);
    assert_eq!(follower.restarts(), 1);
    // The safe head is low again: what L1 said above it is not derived.
    assert_eq!(step(&mut follower).unwrap(), Progress::Worked);
    assert!(engine.view().snapshot().safe().is_none_or(|safe| safe.number < 20));
    assert_eq!(status.read().derived_up_to, None);
    run(&mut follower);
    assert_eq!(hashes(&engine), derived);
    assert_eq!(follower.restarts(), 0);
}

#[test]
fn beginning_anew_in_vain_is_counted() {
    let mut world = World::new();
    world.run(4);
    let engine = world.engine(world.storage());
    let mut follower = world.follower(&engine);
    world.l1.chain().lose(3, true);
    let mut counts = Vec::new();
    while counts.len() < 4 {
        let before = follower.restarts();
        assert_eq!(step(&mut follower).unwrap(), Progress::Worked);
        if follower.restarts() != before {
            counts.push(follower.restarts());
        }
    }
    // What came before the lost block was progress, once.
    assert_eq!(counts[1..], [2, 3, 4], "{counts:?}");
    world.l1.chain().lose(3, false);
    run(&mut follower);
    assert_eq!(hashes(&engine), hashes(&world.sequencer));
    assert_eq!(follower.restarts(), 0);
}

#[test]
fn a_sequencer_that_posted_something_else_is_put_right() {
    let mut world = World::new();
    world.run(2);
    world.sequence();
    let head = world.sequencer.view().head().number;
    let differs = (head - 5..=head).find(|at| !world.batch(*at).transactions.is_empty()).unwrap();
    let count = usize::try_from(differs - (head - 5)).unwrap() + 1;
    let mut batches: Vec<_> = (head - 5..=differs).map(|at| world.batch(at)).collect();
    batches[count - 1].transactions.clear();
    world.post_blocks(&batches);
    world.l1.chain().mine();
    let before = hashes(&world.sequencer);
    let mut follower = world.follower(&world.sequencer.clone());
    run(&mut follower);
    let after = hashes(&world.sequencer);
    let at = usize::try_from(differs).unwrap();
    assert_eq!(after.len(), at + 1);
    assert_eq!(after[..at], before[..at]);
    assert_ne!(after[at], before[at]);
}

#[test]
fn what_was_derived_from_final_blocks_is_final() {
    let mut world = World::new();
    world.run(6);
    let engine = world.engine(world.storage());
    let mut follower = world.follower(&engine);
    run(&mut follower);
    follower.watch_l1().unwrap();
    assert_eq!(engine.view().snapshot().finalized(), None);
    // The blocks before L1 block 3 were posted in it.
    world.l1.chain().finalized = Some(3);
    follower.watch_l1().unwrap();
    let finalized = engine.view().snapshot().finalized().unwrap();
    assert_eq!(finalized.number, 3 * 6 - 1);
    assert_eq!(finalized.hash, hashes(&world.sequencer)[3 * 6 - 1]);
}

#[test]
fn a_restart_goes_on_with_what_the_engine_has() {
    let mut world = World::new();
    world.run(4);
    let storage = world.storage();
    let engine = world.engine(storage.clone());
    run(&mut world.follower(&engine));
    engine.shutdown().unwrap();
    world.run(4);
    let engine = world.engine(storage);
    let had = hashes(&engine).len();
    assert!(had > 20);
    run(&mut world.follower(&engine));
    assert_eq!(hashes(&engine), hashes(&world.sequencer));
    assert!(hashes(&engine).len() > had);
}

#[test]
fn an_l1_that_fails_at_any_call_costs_nothing_but_time() {
    let mut world = World::new();
    world.run(3);
    let mut failures = 0;
    for call in 0.. {
        let engine = world.engine(world.storage());
        let mut follower = world.follower(&engine);
        world.l1.chain().fail_at = Some(call);
        loop {
            match step(&mut follower) {
                Ok(Progress::Worked) => {}
                Ok(Progress::Idle) => break,
                Err(error) => {
                    assert_eq!(error.severity(), Severity::Temporary);
                    failures += 1;
                }
            }
        }
        assert_eq!(hashes(&engine), hashes(&world.sequencer), "failed at call {call}");
        // The call did not happen any more.
        if world.l1.chain().fail_at.take().is_some() {
            break;
        }
    }
    assert!(failures > 20);
}
