//! Blocks are executed once more before their slot is sealed.

use super::{Shared, Union, settle};
use crate::{
    blocks::{GENESIS_TIME, SLOT_SECONDS},
    union::{APP, Wish, chain},
    world::World,
};
use lockstep_engine::EngineError;
use lockstep_gateway::{Audits, SealSettings};
use std::{
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
