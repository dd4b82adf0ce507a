//! A gateway that is killed at any point keeps what it has shown.

use crate::{
    union::{chain, raw},
    world::{Random, Running, Shown, World, cut, length, now_shown},
};
use lockstep_pool::Origin;
use parking_lot::Mutex;
use std::sync::{Arc, atomic::Ordering};

/// What the clock's hook sees from one update to the next.
#[derive(Debug, Default)]
struct Watched {
    shown: Vec<Shown>,
    calls: u64,
    /// How long the log was at the update before.
    length: u64,
    /// Where the log may have ended when the gateway was killed, in bytes.
    torn: Option<(u64, u64)>,
}

/// Runs rounds until the clock was asked `kill_at` times; then nothing is shown any more, and the log ends
/// somewhere after what was shown last.
fn run_until_killed(
    world: &mut World,
    running: &mut Running,
    random: &mut Random,
    kill_at: u64,
) -> (Vec<Shown>, Option<(u64, u64)>) {
    let watched = Watched { length: length(&world.log()), ..Watched::default() };
    let watched = Arc::new(Mutex::new(watched));
    while watched.lock().torn.is_none() {
        let mut later = Vec::new();
        for _ in 0..random.below(10) {
            let (user, wish) = world.wish(random);
            later.push(world.sign(user, &wish));
        }
        let (seen, shown) = (watched.clone(), running.shown.clone());
        let (pools, bell, log) = (running.pools.clone(), running.bell.clone(), world.log());
        world.clock.set(move || {
            let mut seen = seen.lock();
            let now = length(&log);
            seen.calls += 1;
            if seen.calls >= kill_at {
                if seen.torn.is_none() {
                    // A round that was begun since has begun the log anew.
                    let before = if now < seen.length { 0 } else { seen.length };
                    seen.torn = Some((before, now));
                }
                bell.stop();
                return;
            }
            seen.shown.extend(now_shown(&shown));
            seen.length = now;
            if let Some((home, raw)) = later.pop() {
                pools[&home].add_raw(&raw, Origin::User).unwrap();
            }
        });
        if world.round(running).unwrap().is_some() && watched.lock().torn.is_some() {
            // It was killed between two rounds, or had just made the blocks.
            watched.lock().torn = Some((length(&world.log()), length(&world.log())));
        }
        // What the hook did not come to send.
        for (home, transaction) in world.sent.iter().rev().take(10).rev() {
            let _ = running.pools[home].add_raw(&raw(transaction), Origin::User);
        }
    }
    world.clock.set(|| {});
    let mut watched = watched.lock();
    (std::mem::take(&mut watched.shown), watched.torn)
}

/// Kills a gateway `kills` times, each time somewhere else.
fn kill_often(rollups: usize, kills: usize, seed: u64) -> usize {
    let mut world = World::new(rollups, 5);
    let mut random = Random(seed);
    let mut shown = Vec::new();
    let mut done = 0;
    for _ in 0..kills {
        let mut running = world.start();
        let kill_at = 1 + random.below(40);
        let (seen, torn) = run_until_killed(&mut world, &mut running, &mut random, kill_at);
        shown.extend(seen);
        let (least, most) = torn.unwrap();
        drop(running);
        cut(&world.log(), least + random.below(most - least + 1));
        done += 1;
    }
    let mut running = world.start();
    for _ in 0..4 {
        world.round(&mut running).unwrap().unwrap();
    }
    running.assert_kept(&shown);
    running.assert_agreement();
    running.assert_executes_alone(&world);
    assert!(shown.iter().filter(|seen| seen.transactions().len() > 1).count() > kills);
    done
}

#[test]
fn what_was_shown_survives_two_hundred_kills() {
    let kills: usize = (0..20).map(|seed| kill_often(2 + seed as usize % 2, 10, seed)).sum();
    assert_eq!(kills, 200);
}

#[test]
#[ignore = "some minutes"]
fn what_was_shown_survives_thousands_of_kills() {
    for seed in 100..300 {
        kill_often(2 + seed as usize % 3, 20, seed);
    }
}

/// Killed while it made the blocks heads: some rollups have theirs, others do not, and nothing may be added.
#[test]
fn blocks_of_which_some_are_complete_are_completed_as_they_were() {
    for seed in 0..24 {
        let mut world = World::new(3, 5);
        let mut random = Random(1_000 + seed);
        let mut running = world.start();
        let mut shown = Vec::new();
        for turn in 0..3_usize {
            for _ in 0..8 {
                let (user, wish) = world.wish(&mut random);
                world.send(&running.pools, user, &wish);
            }
            let failing = world.storages[usize::try_from(random.below(3)).unwrap()].clone();
            let fails_choice = random.below(3) > 0;
            let seen = Arc::new(Mutex::new(Vec::new()));
            let (kept, users) = (seen.clone(), running.shown.clone());
            world.clock.set(move || {
                kept.lock().extend(now_shown(&users));
                let fails =
                    if fails_choice { &failing.fails_choices } else { &failing.fails_blocks };
                fails.store(true, Ordering::SeqCst);
            });
            let error = world.round(&mut running).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("write"), "{text}");
            world.clock.set(|| {});
            // It does not go on either while the process lives.
            world.round(&mut running).unwrap_err();
            drop(running);
            shown.extend(seen.lock().drain(..));
            world.storages.iter().for_each(|storage| storage.repair());
            // Meanwhile others send more.
            for _ in 0..4 {
                let (user, wish) = world.wish(&mut random);
                world.sign(user, &wish);
            }
            if random.below(2) == 0 {
                world.clock.pass(std::time::Duration::from_secs(2));
            }
            running = world.start();
            world.round(&mut running).unwrap().unwrap();
            running.assert_agreement();
            running.assert_kept(&shown);
            assert_eq!(running.snapshot(chain(0)).head().number, 2 * turn as u64 + 1);
            world.round(&mut running).unwrap().unwrap();
        }
        running.assert_kept(&shown);
        running.assert_agreement();
        running.assert_executes_alone(&world);
    }
}
