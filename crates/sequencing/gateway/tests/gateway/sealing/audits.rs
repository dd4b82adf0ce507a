//! Blocks are executed once more before their slot is sealed.

use super::{Shared, Union, settle};
use crate::{
    blocks::{GENESIS_TIME, SLOT_SECONDS},
    union::{APP, Wish, chain},
    world::World,
};
use alloy_primitives::{B256, ChainId};
use lockstep_chain::Chain;
use lockstep_engine::EngineError;
use lockstep_gateway::{Audits, SealSettings};
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Longer than any block takes.
const LONG: Duration = Duration::from_secs(60);

/// Somebody who audits until the test ends.
struct Auditor {
    audits: Arc<Audits>,
    thread: Option<JoinHandle<()>>,
}

impl Auditor {
    fn new(audits: &Arc<Audits>) -> Self {
        let (audits, run) = (audits.clone(), audits.clone());
        Self { audits, thread: Some(std::thread::spawn(move || run.run())) }
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.audits.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}

fn start(inbox: &Shared, world: &World, audits: &Arc<Audits>) -> Union {
    let mut union = inbox.start(world);
    union.running.gateway = union.running.gateway.with_audits(audits.clone());
    union
}

fn rounds(inbox: &Shared, world: &World, union: &mut Union, slots: u64) {
    for _ in 0..slots * SLOT_SECONDS {
        inbox.round(world, union);
        world.send_again(&union.running.pools);
    }
}

#[test]
fn a_block_that_others_would_not_find_ends_promises_and_its_slot() {
    let mut world = World::new(2, 2);
    let (inbox, is_wrong) = (Shared::new(7), Arc::new(AtomicBool::new(false)));
    let wrong = is_wrong.clone();
    let audits = Audits::new(LONG, move |engine, hash| {
        engine.audit(hash)?;
        let block = engine.view().snapshot().block_by_hash(&hash)?;
        let count = block.map_or(0, |block| block.transactions().len());
        if count > 1 && wrong.load(Ordering::SeqCst) {
            return Err(EngineError::NotReproduced { hash, reason: "a bug".to_owned() });
        }
        Ok(())
    });
    let audits = Arc::new(audits);
    let _auditor = Auditor::new(&audits);
    let mut union = start(&inbox, &world, &audits);
    rounds(&inbox, &world, &mut union, 3);
    let before = world.send(&union.running.pools, 0, &Wish::new(chain(0), APP));
    rounds(&inbox, &world, &mut union, 1);
    settle(&inbox, &world, &mut union);
    union.running.find(chain(0), &before).expect("what passes is sealed");
    is_wrong.store(true, Ordering::SeqCst);
    let lost = world.send(&union.running.pools, 1, &Wish::new(chain(0), APP));
    rounds(&inbox, &world, &mut union, 3);
    is_wrong.store(false, Ordering::SeqCst);
    let late = world.send(&union.running.pools, 1, &Wish::new(chain(1), APP));
    let posted = |inbox: &Shared| {
        let blocks = &inbox.0.lock().l1.blocks;
        blocks.iter().map(|block| block.accepted.len()).sum::<usize>()
    };
    let batches = posted(&inbox);
    rounds(&inbox, &world, &mut union, 6);
    for (rollup, hash) in [(0, lost), (1, late)] {
        assert!(union.running.find(chain(rollup), &hash).is_none(), "nothing is promised");
    }
    assert!(posted(&inbox) > batches, "empty blocks are posted");
    assert!(union.running.find(chain(0), &before).is_some(), "what was sealed stays");
    union.running.assert_agreement();
    // A gateway that is started anew goes on.
    drop(union);
    let mut union = inbox.start(&world);
    world.send_again(&union.running.pools);
    rounds(&inbox, &world, &mut union, 3);
    settle(&inbox, &world, &mut union);
    for (rollup, hash) in [(0, lost), (1, late)] {
        assert!(union.running.find(chain(rollup), &hash).is_some());
    }
}

/// What is never posted would be undone for sure.
#[test]
fn slots_are_sealed_when_nobody_audits_them() {
    let mut world = World::new(2, 2);
    let inbox = Shared::new(8);
    let audits = Arc::new(Audits::new(Duration::from_millis(1), |_, _| Ok(())));
    let mut union = start(&inbox, &world, &audits);
    rounds(&inbox, &world, &mut union, 6);
    let hash = world.send(&union.running.pools, 0, &Wish::new(chain(0), APP));
    rounds(&inbox, &world, &mut union, 12);
    union.running.find(chain(0), &hash).expect("it is in a block");
    settle(&inbox, &world, &mut union);
    union.running.find(chain(0), &hash).expect("it is safe");
    let inbox = inbox.0.lock();
    let waits = 1 + SealSettings::default().handover_slots;
    let mut batches = 0;
    for block in &inbox.l1.blocks {
        for accepted in &block.accepted {
            let least = GENESIS_TIME + (accepted.slot + waits) * SLOT_SECONDS;
            assert!(block.timestamp >= least, "slot {} at {}", accepted.slot, block.timestamp);
            batches += 1;
        }
    }
    assert!(batches > 5, "{batches}");
}

/// The number of a rollup's newest block that was sealed.
fn sealed(inbox: &Shared, chain: ChainId) -> u64 {
    let sealed = inbox.0.lock().sealed.0.lock().clone();
    let lasts = sealed.iter().filter_map(|batch| Some(batch.spans.get(&chain)?.last.number));
    lasts.max().unwrap_or_default()
}

fn wrong(hash: B256) -> EngineError {
    EngineError::NotReproduced { hash, reason: "a bug".to_owned() }
}

/// Nothing of users is in it, but what stands on it would be dropped by all who follow.
#[test]
fn an_empty_block_that_others_would_not_find_is_not_sealed_nor_is_anything_with_it() {
    // Whether it never comes out the same, or did not once.
    for stays in [false, true] {
        let world = World::new(2, 2);
        let (inbox, number) = (Shared::new(9), Arc::<Mutex<(u64, u64)>>::default());
        let judged = number.clone();
        let audits = Audits::new(LONG, move |engine, hash| {
            engine.audit(hash)?;
            let block = engine.view().snapshot().block_by_hash(&hash)?;
            let is_second = engine.chain().chain_id() == chain(1);
            let (number, times) = &mut *judged.lock();
            if !is_second || block.is_none_or(|block| block.number() != *number) {
                return Ok(());
            }
            *times += 1;
            if stays || *times == 1 { Err(wrong(hash)) } else { Ok(()) }
        });
        let audits = Arc::new(audits);
        let _auditor = Auditor::new(&audits);
        let mut union = start(&inbox, &world, &audits);
        rounds(&inbox, &world, &mut union, 3);
        let first = union.running.snapshot(chain(1)).head().number + 2 * SLOT_SECONDS;
        number.lock().0 = first;
        rounds(&inbox, &world, &mut union, 10);
        let (_, times) = *number.lock();
        assert!(times > 1, "it was made again");
        assert!(union.running.snapshot(chain(1)).head().number > first + SLOT_SECONDS);
        for rollup in [0, 1] {
            let sealed = sealed(&inbox, chain(rollup));
            assert_eq!(sealed < first, stays, "{rollup}: {sealed}, {first} is wrong");
            assert!(sealed + SLOT_SECONDS >= first, "what was before is sealed");
        }
        if stays {
            assert!(times < 4, "it is not made again and again: {times}");
        }
    }
}

/// As if it had not been killed: what is not sealed yet is judged, and taken back if it is wrong.
#[test]
fn what_was_complete_when_a_gateway_was_killed_is_executed_once_more_after_the_start() {
    let mut world = World::new(2, 2);
    let inbox = Shared::new(10);
    let nobody = Arc::new(Audits::new(Duration::from_millis(1), |_, _| Ok(())));
    let mut union = start(&inbox, &world, &nobody);
    rounds(&inbox, &world, &mut union, 6);
    let lost = world.send(&union.running.pools, 0, &Wish::new(chain(0), APP));
    rounds(&inbox, &world, &mut union, 1);
    union.running.find(chain(0), &lost).expect("it is in a block");
    let mut unsealed = BTreeSet::new();
    for rollup in [0, 1] {
        let snapshot = union.running.snapshot(chain(rollup));
        let numbers = sealed(&inbox, chain(rollup)) + 1..=snapshot.head().number;
        unsealed.extend(numbers.map(|number| snapshot.hash(number).unwrap().unwrap()));
    }
    assert!(unsealed.len() as u64 > 2 * SLOT_SECONDS, "{}", unsealed.len());
    drop(union);
    // Longer than other gateways wait for a batch.
    world.clock.pass(Duration::from_secs(5 * SLOT_SECONDS));
    let judged = Arc::<Mutex<BTreeSet<B256>>>::default();
    let seen = judged.clone();
    let audits = Audits::new(LONG, move |engine, hash| {
        engine.audit(hash)?;
        seen.lock().insert(hash);
        let block = engine.view().snapshot().block_by_hash(&hash)?;
        let is_filled = block.is_some_and(|block| block.transactions().len() > 1);
        if is_filled { Err(wrong(hash)) } else { Ok(()) }
    });
    let audits = Arc::new(audits);
    let _auditor = Auditor::new(&audits);
    let mut union = start(&inbox, &world, &audits);
    rounds(&inbox, &world, &mut union, 3);
    assert!(judged.lock().is_superset(&unsealed), "all are judged");
    assert!(union.running.find(chain(0), &lost).is_none(), "it is taken back");
    let safe = union.running.snapshot(chain(0)).safe().map_or(0, |safe| safe.number);
    rounds(&inbox, &world, &mut union, 12);
    assert!(union.running.snapshot(chain(0)).safe().unwrap().number > safe, "empty blocks go on");
    assert!(union.running.find(chain(0), &lost).is_none(), "nothing is promised");
}
