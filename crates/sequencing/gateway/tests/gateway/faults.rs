//! Rollups that cannot go on for a while, and an L1 that takes back what they stand on.

use crate::{
    union::{APP, SLOT_S, Wish, chain},
    world::World,
};
use alloy_consensus::TxReceipt;
use alloy_primitives::U256;
use lockstep_gateway::{Clock, GatewayError};
use lockstep_union::{PORT, Part, proxy_of};
use std::collections::{BTreeMap, BTreeSet};

/// The third rollup's L1 shows nothing that it could stand on.
#[test]
fn a_rollup_that_is_halted_catches_up_while_its_peers_go_on() {
    let mut world = World::new(3, 3);
    let mut running = world.start();
    let (a, b, halted) = (chain(0), chain(1), chain(2));
    world.round(&mut running).unwrap().unwrap();
    let number = |running: &crate::world::Running, chain| running.snapshot(chain).head().number;

    world.l1[2].lose_headers(true);
    let waits = world.send(&running.pools, 0, &Wish::through(a, &[proxy_of(halted, APP)]));
    let at_home = world.send(&running.pools, 0, &Wish::new(halted, APP));
    let works = world.send(&running.pools, 1, &Wish::through(a, &[proxy_of(b, APP)]));
    for _ in 0..5 {
        let report = world.round(&mut running).unwrap().unwrap();
        assert_eq!(report.blocks.keys().copied().collect::<Vec<_>>(), [a, b]);
    }
    assert_eq!(number(&running, halted), 1);
    assert_eq!(number(&running, a), 6);
    assert_eq!(running.find(a, &works).unwrap().0, 2);
    assert!(running.find(a, &waits).is_none());

    world.l1[2].lose_headers(false);
    let mut rounds = 0;
    while number(&running, halted) < number(&running, a) {
        rounds += 1;
        let before = number(&running, a);
        let report = world.round(&mut running).unwrap().unwrap();
        if report.blocks.contains_key(&halted) && number(&running, a) == before {
            let head = running.snapshot(halted).block(number(&running, halted)).unwrap().unwrap();
            assert_eq!(head.transactions().len(), 1, "a block that was missed is empty");
        }
        assert!(rounds < 30, "it never catches up");
    }
    for _ in 0..2 {
        world.round(&mut running).unwrap().unwrap();
    }
    assert!(running.find(a, &waits).unwrap().1.status());
    assert!(running.find(halted, &at_home).is_some());
    assert_eq!(running.slot(halted, APP, U256::ZERO), U256::from(2));
    running.assert_agreement();
    running.assert_executes_alone(&world);
}

/// Rollups that are left out know of super transactions that the others do not.
#[test]
fn super_transactions_of_a_slot_have_numbers_of_their_own_whoever_is_left_out() {
    let mut world = World::new(4, 2);
    let mut running = world.start();
    let [a, b, c, d] = [0, 1, 2, 3].map(chain);
    for round in 0..2 * SLOT_S {
        let (from, to) = if round % 2 == 0 { (c, d) } else { (a, b) };
        for left_out in [2, 3] {
            world.l1[left_out].lose_headers(round % 2 == 1);
        }
        world.send(&running.pools, 0, &Wish::through(from, &[proxy_of(to, APP)]));
        world.round(&mut running).unwrap().unwrap();
    }
    let mut homes = BTreeMap::<_, BTreeSet<_>>::new();
    for chain in [a, c] {
        let snapshot = running.snapshot(chain);
        for number in 1..=snapshot.head().number {
            let block = snapshot.block(number).unwrap().unwrap();
            let deposits = block.transactions().iter().filter_map(|it| it.as_deposit());
            for deposit in deposits.filter(|deposit| deposit.from == PORT) {
                let part = Part::decode(&mut &deposit.input[..], 100).unwrap();
                homes.entry(part.id).or_default().insert(part.home);
            }
        }
    }
    assert!(homes.len() > 4, "{homes:?}");
    assert!(homes.values().all(|homes| homes.len() == 1), "{homes:?}");
    let all: BTreeSet<_> = homes.values().flatten().copied().collect();
    assert_eq!(all, [a, c].into());
}

/// A rollup that catches up does so between the blocks of the others, whatever it has missed.
#[test]
fn peers_of_a_rollup_that_catches_up_are_not_late() {
    let world = World::new(2, 1);
    let mut running = world.start();
    let (a, halted) = (chain(0), chain(1));
    world.l1[1].lose_headers(true);
    for _ in 0..100 {
        world.round(&mut running).unwrap().unwrap();
    }
    world.l1[1].lose_headers(false);
    let mut rounds = 0;
    while running.snapshot(halted).head().number < running.snapshot(a).head().number {
        world.round(&mut running).unwrap().unwrap();
        let (head, now) = (running.snapshot(a).head().timestamp, world.clock.seconds());
        assert!(head + 2 >= now, "a block of {head} at {now}");
        rounds += 1;
        assert!(rounds < 1_000, "it never catches up");
    }
    running.assert_agreement();
}

/// L1 takes back the origins of some blocks: rollups that have called each other go back together.
#[test]
fn an_l1_reorg_leaves_no_super_transaction_on_one_rollup_alone() {
    let mut world = World::new(3, 3);
    let mut running = world.start();
    let (a, b) = (chain(0), chain(1));
    for round in 0..8 {
        let peer = if round % 2 == 0 { proxy_of(b, APP) } else { proxy_of(chain(2), APP) };
        world.send(&running.pools, round % 3, &Wish::through(a, &[peer]));
        world.round(&mut running).unwrap().unwrap();
    }
    running.assert_agreement();
    // Only the first rollup is told at first.
    let known = world.l1[0].blocks.lock().len() as u64 - 1;
    world.l1[1].be_silent(true);
    world.l1[2].be_silent(true);
    world.l1[0].grow(2, known, 1);
    world.round(&mut running).unwrap().unwrap();
    running.assert_transcripts();
    assert!(running.snapshot(a).head().number < 9);
    world.l1[1].be_silent(false);
    world.l1[2].be_silent(false);
    world.catch_up(&mut running);
    running.assert_agreement();
    running.assert_executes_alone(&world);
}

/// Whoever took blocks back was killed before its peers did: the next gateway finds that they disagree.
#[test]
fn a_rollup_that_lost_its_blocks_before_a_start_takes_its_peers_back() {
    let mut world = World::new(3, 3);
    let mut running = world.start();
    let (a, b, c) = (chain(0), chain(1), chain(2));
    let mut hashes = Vec::new();
    for round in 0..6 {
        let peer = if round == 3 { b } else { c };
        let from = if round == 3 { a } else { b };
        hashes.push(world.send(
            &running.pools,
            round % 3,
            &Wish::through(from, &[proxy_of(peer, APP)]),
        ));
        world.round(&mut running).unwrap().unwrap();
    }
    let to = running.snapshot(a).hash(2).unwrap().unwrap();
    running.engines[&a].rewind(to).unwrap();
    drop(running);
    let mut running = world.start();
    world.round(&mut running).unwrap().unwrap();
    running.assert_transcripts();
    // The fourth block of `b` was called by the first rollup; with it go those after it, and what they called.
    let at = |running: &crate::world::Running, chain| running.snapshot(chain).head().number;
    assert!(at(&running, a) <= 3 && at(&running, b) <= 4 && at(&running, c) <= 5);
    world.send_again(&running.pools);
    world.catch_up(&mut running);
    running.assert_agreement();
    assert!(
        hashes
            .iter()
            .zip([b, b, b, a, b, b])
            .all(|(hash, home)| running.find(home, hash).is_some())
    );
}

/// Another block stands where the round's was to be: the round is given up, and the next one goes on from there.
#[test]
fn a_round_whose_block_was_made_by_another_is_given_up() {
    let mut world = World::new(2, 2);
    let mut running = world.start();
    let (a, b) = (chain(0), chain(1));
    world.send(&running.pools, 0, &Wish::through(a, &[proxy_of(b, APP)]));
    let mut other = world.sequencer(0, &running);
    let mut calls = 0;
    world.clock.set(move || {
        calls += 1;
        if calls == 7 {
            other.next_block().unwrap();
        }
    });
    let error = world.round(&mut running).unwrap_err();
    assert!(matches!(error, GatewayError::ParentGone { chain, .. } if chain == a), "{error}");
    world.clock.set(|| {});
    assert!(running.now_shown().is_empty());
    assert_eq!(running.snapshot(b).head().number, 0, "its peer has not gone on alone");
    world.catch_up(&mut running);
    running.assert_agreement();
    assert_eq!(running.slot(b, APP, U256::ZERO), U256::ONE);
}

/// Each rollup asks L1 by itself; one that is not answered for seconds must not hold up the others, nor each round.
#[test]
fn an_l1_that_hangs_does_not_end_promises() {
    let mut world = World::new(3, 3);
    let mut running = world.start();
    for _ in 0..3 {
        world.round(&mut running).unwrap().unwrap();
    }
    world.l1.iter().for_each(|l1| l1.hang(Some(world.clock.clone())));
    let begin = world.clock.seconds();
    let mut sent = Vec::new();
    for turn in 0..60 {
        sent.push(world.send(&running.pools, turn % 3, &Wish::new(chain(turn % 3), APP)));
        world.round(&mut running).unwrap().unwrap();
    }
    let included = sent.iter().enumerate();
    let included = included.filter(|(turn, hash)| running.find(chain(turn % 3), hash).is_some());
    let (included, took) = (included.count(), world.clock.seconds() - begin);
    // Blocks of slots that are over when they are made are empty; what waits then is in a later one.
    assert!(included >= 50, "{included} of {} in {took} s", sent.len());
    assert!(took < 120, "{took} s");
    world.l1.iter().for_each(|l1| l1.hang(None));
    world.catch_up(&mut running);
    running.assert_agreement();
}

/// The clock is set back while a block is open: it is complete after two block times, and not after an hour.
#[test]
fn a_clock_that_is_set_back_does_not_keep_a_block_open() {
    let mut world = World::new(2, 1);
    let mut running = world.start();
    for _ in 0..3 {
        world.round(&mut running).unwrap().unwrap();
    }
    let hash = world.send(&running.pools, 0, &Wish::new(chain(0), APP));
    world.clock.set_back(std::time::Duration::from_secs(3_600));
    let before = world.clock.monotonic();
    world.round(&mut running).unwrap().unwrap();
    assert_eq!(running.find(chain(0), &hash).unwrap().0, 4);
    assert!((world.clock.monotonic() - before).as_secs() <= 3);
}
