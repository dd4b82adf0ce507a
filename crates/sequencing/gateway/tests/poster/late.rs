//! Rollups whose blocks come late for the sequencing window.

use crate::{
    blocks::{CHAINS, SEQ_WINDOW, SLOT_SECONDS, is_empty},
    l1::{Accepted, Faults},
    scenarios::settings,
    world::Simulation,
};
use lockstep_gateway::{Closed, ResetReason, SealedBatch};
use std::sync::Arc;

/// A rollup is away until its followers go on without it. Users of the other are not taken anything back, and go on; and it comes
/// back itself.
#[test]
fn a_rollup_that_comes_back_after_the_sequencing_window_costs_others_nothing() {
    for away in [SEQ_WINDOW - 20, SEQ_WINDOW + 30] {
        let mut simulation = Simulation::new(away, settings(), Faults::default());
        simulation.run(10, true);
        let now = simulation.now;
        simulation.world.0.lock().rollups.stop(1, now, away * SLOT_SECONDS);
        simulation.run(away, true);
        let before = simulation.given_up().1;
        simulation.run(60, true);
        simulation.finish();
        simulation.assert_nothing_went_silently();
        let (given_up, shown) = simulation.given_up();
        assert!(given_up == 0 && shown > before + 200, "{given_up} of {shown}, {before} before");
        assert!(simulation.closed.contains(&Closed::Late));
        let mut world = simulation.world.0.lock();
        let safe = world.safe_at_tip();
        for chain in &safe.chains {
            let filled = chain.iter().rev().take(200).filter(|block| !is_empty(block)).count();
            assert!(filled > 20, "it goes on: {filled}");
        }
    }
}

/// Its blocks are at the edge of the sequencing window when it is back.
fn with_late_rollup(seed: u64) -> Simulation {
    let away = SEQ_WINDOW + 30;
    let mut simulation = Simulation::new(seed, settings(), Faults::default());
    simulation.run(10, true);
    let now = simulation.now;
    simulation.world.0.lock().rollups.stop(1, now, away * SLOT_SECONDS);
    simulation.run(away, true);
    simulation
}

/// What counts in the very next L1 block alone mostly misses it. The union goes on as if nothing had been.
#[test]
fn a_late_rollups_batch_that_misses_its_block_puts_nothing_in_doubt() {
    let mut missed = 0;
    for seed in 0..8 {
        let mut simulation = with_late_rollup(seed);
        simulation.resets.clear();
        let before = simulation.world.0.lock().safe_at_tip().dropped;
        simulation.world.0.lock().l1.faults.empty_block = 650;
        simulation.run(40, true);
        missed += simulation.world.0.lock().safe_at_tip().dropped - before;
        simulation.finish();
        assert_eq!(simulation.resets, [], "{seed}");
        simulation.assert_nothing_went_silently();
        assert_eq!(simulation.given_up().0, 0, "{seed}");
    }
    assert!(missed > 3, "{missed} batches missed their block");
}

/// Of two gateways one posts what the other has adopted, too; both must know what became of it.
#[test]
fn a_late_rollups_batch_that_was_dropped_is_noticed_whoever_posted_it() {
    let mut simulation = with_late_rollup(1);
    let is_try =
        |batch: &&Arc<SealedBatch>| batch.spans.keys().eq(&CHAINS[1..]) && !batch.is_filled;
    let tries = |simulation: &Simulation| -> Vec<_> {
        simulation.sealed.all().iter().filter(is_try).cloned().collect()
    };
    simulation.world.0.lock().l1.faults.empty_block = 1_000;
    let before = tries(&simulation).len();
    for _ in 0..20 {
        if tries(&simulation).len() > before {
            break;
        }
        simulation.run(1, true);
    }
    let first = tries(&simulation).get(before).cloned().expect("it is tried");
    // It does not come into the next L1 block, nor into the one after it.
    simulation.run(2, true);
    let inbox = simulation.world.0.lock().l1.tip().inbox;
    let others = simulation
        .sealed
        .all()
        .into_iter()
        .filter(|batch| (inbox.next_slot..=first.slot).contains(&batch.slot));
    let others = others.map(|batch| Accepted {
        slot: batch.slot,
        hash: batch.hash,
        is_ours: true,
        data: batch.data.clone(),
    });
    simulation.world.0.lock().posted_by_others = others.collect();
    simulation.run(20, true);
    assert_eq!(simulation.world.0.lock().l1.tip().inbox.head, first.hash, "others have posted it");
    let second = tries(&simulation).get(before + 1).cloned().expect("it is tried again");
    let (first, second) = (first.spans[&CHAINS[1]], second.spans[&CHAINS[1]]);
    assert!(second.parent.number < first.last.number, "{first:?} {second:?}");
    simulation.finish();
    assert!(!simulation.resets.contains(&ResetReason::BatchDropped), "{:?}", simulation.resets);
    simulation.assert_nothing_went_silently();
    assert_eq!(simulation.given_up().0, 0);
}

/// A rollup's node stands still, and L1 has all blocks that it made. So it becomes late and has nothing to be brought to
/// L1: its peers' users are served as before.
#[test]
fn a_rollup_that_stands_still_keeps_nobody_waiting() {
    let mut simulation = Simulation::new(3, settings(), Faults::default());
    simulation.run(10, true);
    let now = simulation.now;
    {
        let mut world = simulation.world.0.lock();
        world.rollups.stop(1, now, 2 * SEQ_WINDOW * SLOT_SECONDS);
        world.stuck = Some((1, world.l1.tip().id.number));
    }
    simulation.run(SEQ_WINDOW, true);
    assert!(simulation.sealer.is_late(CHAINS[1]), "the test is about a late rollup");
    let before = simulation.given_up().1;
    simulation.run(40, true);
    let (given_up, shown) = simulation.given_up();
    assert!(given_up == 0 && shown > before + 40, "{given_up} of {shown}, {before} before");
    simulation.finish();
    simulation.assert_nothing_went_silently();
}
