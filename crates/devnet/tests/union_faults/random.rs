//! Everything at once, for many slots.

use crate::{
    classes::{FOR_ALL, FOR_ONE, Scene, for_one, is_full},
    followers::BlobAnswer,
    model::Content,
    owner::Calls,
    world::{World, ZLIB},
};

/// What happened in a run.
#[derive(Debug, Default)]
struct Tally {
    honest: usize,
    dropped: usize,
    in_part: usize,
    reorgs: usize,
    lost_blobs: usize,
    halts: usize,
}

/// Lets an owner do what it likes for so many slots.
fn run(rollups: usize, seed: u64, slots: u64) -> Tally {
    let mut world = World::new(rollups, seed);
    let mut tally = Tally::default();
    while world.l1.slot() < slots {
        match world.dice.below(16) {
            0..6 => {
                let calls = [Calls::None, Calls::Single, Calls::Nested];
                let calls = calls[world.dice.below(3) as usize];
                world.post_honest(calls);
                tally.honest += 1;
            }
            6..9 => {
                let honest = world.make(Calls::Nested);
                if !is_full(&honest, &world.union) {
                    // A rollup is behind the others.
                    world.post(&honest.batch.encode(ZLIB).unwrap(), honest.content);
                    continue;
                }
                let at = world.dice.below(FOR_ALL.len() as u64) as usize;
                let data = {
                    let World { union, dice, .. } = &mut world;
                    (FOR_ALL[at].2)(&mut Scene { honest: &honest, union, dice })
                };
                world.post(&data, Content::DROPPED);
                tally.dropped += 1;
            }
            9 => {
                world.post_honest(Calls::None);
                let honest = world.make(Calls::None);
                let at = world.dice.below(FOR_ONE.len() as u64) as usize;
                let rollup = world.dice.below(rollups as u64) as usize;
                let (data, content) = for_one(&honest, &world.union, rollup, FOR_ONE[at].1);
                world.post(&data, content);
                tally.in_part += 1;
            }
            10 => world.next_slot(),
            11 | 12 => {
                let depth = (1 + world.dice.below(6)).min(world.l1.slot() - 1).max(1);
                // From some block on L1 takes other transactions.
                let first = world.l1.slot() - world.dice.below(depth + 1) + 1;
                world.l1.clear_from(first);
                world.reorg(depth);
                tally.reorgs += 1;
            }
            13 => {
                let signed = world.sign_honest(Calls::Nested);
                world.plan(&signed, world.l1.slot() + 1);
                let answers = [BlobAnswer::Missing, BlobAnswer::Forged];
                world.answers.set(answers[world.dice.below(2) as usize]);
                for _ in 0..=world.dice.below(3) {
                    world.l1.next_slot();
                    world.run();
                }
                world.answers.set(BlobAnswer::True);
                world.follow();
                tally.lost_blobs += 1;
            }
            14 => {
                let rollup = world.dice.below(rollups as u64) as usize;
                if !world.halted.remove(&rollup) {
                    world.halted.insert(rollup);
                }
                world.follow();
                tally.halts += 1;
            }
            _ => {
                let (rollup, value) = (world.dice.below(rollups as u64), world.dice.below(1_000));
                world.deposit(rollup as usize, value);
            }
        }
    }
    world.halted.clear();
    world.follow();
    world.post_honest(Calls::Nested);
    assert!(world.joint().unwrap().is_some(), "all can be compared in the end");
    world.end();
    tally
}

#[test]
fn owners_may_do_what_they_like() {
    let tally = run(2, 100, 36);
    let Tally { honest, dropped, in_part, reorgs, lost_blobs, halts } = tally;
    let all = [honest, dropped, in_part, reorgs, lost_blobs, halts];
    assert!(all.iter().all(|count| *count > 0), "{tally:?}");
}

#[test]
#[ignore = "takes minutes"]
fn owners_may_do_what_they_like_for_long() {
    for seed in 0..8 {
        run(2 + seed as usize % 3, 1_000 + seed, 400);
    }
}
