//! A sequencer's chain, derived by others from L1 alone.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect fails"
)]

mod l1;
mod world;

use lockstep_derive::Severity;
use lockstep_follower::Progress;
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
