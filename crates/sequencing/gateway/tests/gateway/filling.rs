//! Blocks as they fill: what is shown, and what becomes of it.

use crate::{
    union::{APP, BURNER, GAS_LIMIT, Wish, chain},
    world::{Random, Shown, World, now_shown},
};
use alloy_consensus::{Block, BlockBody, TxReceipt};
use alloy_primitives::{Address, Bytes, U256};
use lockstep_chain::Rollup;
use lockstep_execution::{ExecuteOptions, StateReader, execute_block};
use lockstep_pool::Origin;
use lockstep_union::proxy_of;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

/// The state that was shown is the one after exactly the transactions that were shown.
fn assert_state(world: &World, running: &crate::world::Running, seen: &Shown) {
    let plan = world.plans.iter().find(|plan| plan.config.l2_chain_id == seen.chain).unwrap();
    let shown = &seen.block.block;
    let state = running.snapshot(seen.chain).state_by_hash(&shown.parent_hash()).unwrap();
    let body = BlockBody { transactions: shown.transactions().to_vec(), ..Default::default() };
    let header = shown.block.header.clone();
    let block: lockstep_chain::Block<Rollup> = Block { header, body };
    let output =
        execute_block(&plan.chain, &block, &shown.senders, state, ExecuteOptions::default());
    let output = output.unwrap();
    assert_eq!(output.receipts, **seen.block.receipts);
    for change in output.changes.accounts() {
        let found = seen.block.state.account(&change.address()).unwrap();
        let found = found.map(|info| (info.nonce, info.balance, info.code_hash));
        let after = change.after().map(|info| (info.nonce, info.balance, info.code_hash));
        assert_eq!(found, after, "{}", change.address());
    }
    let word = |slot: u64| seen.block.state.storage(&APP, &U256::from(slot)).unwrap();
    assert!(word(1) <= word(0));
}

/// Random transactions of many users through some rounds.
fn run(rollups: usize, interval: Duration, rounds: usize, seed: u64) {
    let mut world = World::new(rollups, 6);
    world.settings.update_interval = interval;
    let mut running = world.start();
    let mut random = Random(seed);
    let seen: Arc<Mutex<Vec<Shown>>> = Arc::default();
    let mut included = 0;
    for _ in 0..rounds {
        // Half of them before the round, and half while it runs.
        for _ in 0..6 {
            let (user, wish) = world.wish(&mut random);
            world.send(&running.pools, user, &wish);
        }
        let mut later = Vec::new();
        for _ in 0..6 {
            let (user, wish) = world.wish(&mut random);
            later.push(world.sign(user, &wish));
        }
        let (shown, pools, bell) =
            (running.shown.clone(), running.pools.clone(), running.bell.clone());
        let kept = seen.clone();
        world.clock.set(move || {
            kept.lock().extend(now_shown(&shown));
            if let Some((home, raw)) = later.pop() {
                pools[&home].add_raw(&raw, Origin::User).unwrap();
            }
            bell.ring();
        });
        let report = world.round(&mut running).unwrap().unwrap();
        assert_eq!(report.blocks.len(), rollups);
        for (chain, hash) in &report.blocks {
            let head = running.snapshot(*chain).head().clone();
            assert_eq!((head.seal(), head.timestamp), (*hash, report.timestamp));
        }
        included += report.super_transactions;
        assert!(running.now_shown().is_empty(), "nothing is pending between rounds");
        running.assert_agreement();
    }
    world.clock.set(|| {});
    (0..3).for_each(|_| drop(world.round(&mut running).unwrap().unwrap()));
    let seen = seen.lock();
    assert!(seen.iter().filter(|seen| seen.transactions().len() > 1).count() > rounds);
    running.assert_kept(&seen);
    seen.iter().for_each(|seen| assert_state(&world, &running, seen));
    for (home, transaction) in &world.sent {
        let hash = transaction.tx_hash();
        assert!(running.find(*home, &hash).is_some(), "{hash} of {home} is in no block");
    }
    assert!(included >= rounds, "{included} super transactions in {rounds} rounds");
    running.assert_agreement();
    running.assert_executes_alone(&world);
}

#[test]
fn what_is_shown_becomes_the_block_on_two_rollups() {
    run(2, crate::world::TICK, 10, 1);
}

#[test]
fn what_is_shown_becomes_the_block_on_four_rollups() {
    run(4, crate::world::TICK, 6, 2);
}

#[test]
fn without_an_interval_transactions_are_shown_as_they_come() {
    run(3, Duration::ZERO, 6, 3);
}

/// What a user wants of a rollup with much to execute: mostly calls, a few of which call another rollup.
fn busy_wish(random: &mut Random, home: usize) -> Wish {
    let (here, there) = (chain(home), chain(1 - home));
    let nobody = Address::repeat_byte(100 + u8::try_from(random.below(70)).unwrap());
    let mut wish = match random.below(20) {
        // Each changes the slot that the others read.
        0..3 => Wish::through(here, &[nobody]),
        3 => Wish { input: vec![1].into(), ..Wish::new(here, BURNER) },
        4 => Wish::through(here, &[proxy_of(there, APP)]),
        5..8 => Wish { value: 1, ..Wish::new(here, nobody) },
        _ => Wish { input: vec![2; 40].into(), value: 1, ..Wish::new(here, nobody) },
    };
    wish.tip = 1 + u128::from(random.below(5));
    wish
}

/// Threads that execute ahead what a block is offered have no say in what becomes of it.
#[test]
fn large_batches_fill_the_same_blocks_with_any_number_of_threads() {
    const USERS: u64 = 40;
    let filled = |threads| {
        let mut world = World::new(2, USERS);
        world.execution_threads = threads;
        let mut running = world.start();
        let mut random = Random(11);
        let mut blocks = Vec::new();
        for _ in 0..3 {
            for _ in 0..300 {
                let home = usize::try_from(random.below(2)).unwrap();
                let user = usize::try_from(random.below(USERS)).unwrap();
                let wish = busy_wish(&mut random, home);
                world.send(&running.pools, user, &wish);
            }
            let report = world.round(&mut running).unwrap().unwrap();
            assert!(report.super_transactions > 0);
            blocks.push((report.blocks, report.gas_used, report.super_transactions));
        }
        running.assert_agreement();
        running.assert_executes_alone(&world);
        blocks
    };
    let alone = filled(1);
    for threads in [4, 7] {
        assert_eq!(filled(threads), alone, "{threads} threads");
    }
}

/// A super transaction and what its sender sends after it are in one block, in the order of their nonces.
#[test]
fn ordinary_transactions_wait_behind_a_super_transaction_of_their_sender() {
    let mut world = World::new(2, 1);
    let mut running = world.start();
    let (a, b) = (chain(0), chain(1));
    let wishes = [Wish::through(a, &[proxy_of(b, APP)]), Wish::new(a, APP), Wish::new(a, APP)];
    let hashes = wishes.map(|wish| world.send(&running.pools, 0, &wish));
    let report = world.round(&mut running).unwrap().unwrap();
    assert_eq!(report.super_transactions, 1, "also in slot 0, as the first of its rollups");
    let found = hashes.map(|hash| running.find(a, &hash).unwrap());
    assert!(found.iter().all(|(number, receipt)| *number == 1 && receipt.status()));
    assert_eq!(running.slot(a, APP, U256::ZERO), U256::from(3));
    assert_eq!(running.slot(a, APP, U256::ONE), U256::ONE, "the peer answered");
    assert_eq!(running.slot(b, APP, U256::ZERO), U256::ONE);
}

/// Super transactions to a rollup that is not there wait, and hold up nobody but their senders.
#[test]
fn transactions_that_always_fail_hold_nobody_up() {
    let mut world = World::new(2, 4);
    let mut running = world.start_some(1);
    let (a, b) = (chain(0), chain(1));
    let mut waiting = Vec::new();
    for user in 0..3 {
        let call = Wish { tip: 9, ..Wish::through(a, &[proxy_of(b, APP)]) };
        waiting.push(world.send(&running.pools, user, &call));
        waiting.push(world.send(&running.pools, user, &Wish { tip: 9, ..Wish::new(a, APP) }));
    }
    let hashes: Vec<_> =
        (0..20).map(|_| world.send(&running.pools, 3, &Wish::new(a, APP))).collect();
    for _ in 0..3 {
        world.round(&mut running).unwrap().unwrap();
    }
    assert!(hashes.iter().all(|hash| running.find(a, hash).is_some_and(|found| found.0 == 1)));
    assert!(waiting.iter().all(|hash| running.find(a, hash).is_none()));
    drop(running);

    let mut running = world.start();
    world.catch_up(&mut running);
    assert!(waiting.iter().all(|hash| running.find(a, hash).unwrap().1.status()));
    running.assert_agreement();
}

/// A full block takes no more, also if what waits is a super transaction; the next block does.
#[test]
fn what_finds_no_room_goes_into_the_next_block() {
    let mut world = World::new(2, 5);
    let mut running = world.start();
    let (a, b) = (chain(0), chain(1));
    let burn = |on| Wish { gas_limit: 14_000_000, tip: 9, ..Wish::new(on, BURNER) };
    for user in 0..4 {
        world.send(&running.pools, user, &burn(b));
    }
    let call = Wish { gas_limit: 17_000_000, ..Wish::through(a, &[proxy_of(b, APP)]) };
    let called = world.send(&running.pools, 4, &call);
    let behind = world.send(&running.pools, 4, &Wish::new(a, APP));
    let report = world.round(&mut running).unwrap().unwrap();
    assert_eq!(report.super_transactions, 0, "the peer's block has not so much gas left");
    assert_eq!(running.find(a, &called).map(|found| found.0), None);
    assert!(report.gas_used > GAS_LIMIT * 9 / 10);
    for _ in 0..2 {
        world.round(&mut running).unwrap().unwrap();
    }
    let (number, receipt) = running.find(a, &called).unwrap();
    assert!(number > 1 && receipt.status());
    assert_eq!(running.find(a, &behind).unwrap().0, number);
    running.assert_agreement();
    running.assert_executes_alone(&world);
}

/// Who replaces a transaction that is in the open block comes too late; what follows is taken.
#[test]
fn a_late_replacement_does_not_hold_up_its_sender() {
    let mut world = World::new(1, 1);
    let mut running = world.start();
    let a = chain(0);
    let first = world.send(&running.pools, 0, &Wish::new(a, APP));
    let replacement = Wish { tip: 50, ..Wish::new(a, APP) }.sign(&world.users[0], 0);
    let next = world.sign(0, &Wish::new(a, APP));
    let mut late = vec![next.1, crate::union::raw(&replacement)];
    let (pools, mut calls) = (running.pools.clone(), 0);
    world.clock.set(move || {
        calls += 1;
        if calls > 5
            && let Some(raw) = late.pop()
        {
            pools[&a].add_raw(&raw, Origin::User).unwrap();
        }
    });
    world.round(&mut running).unwrap().unwrap();
    assert_eq!(running.find(a, &first).unwrap().0, 1);
    let second = world.sent[1].1.tx_hash();
    assert_eq!(running.find(a, &second).unwrap().0, 1, "it follows in the same block");
}

/// Super transactions that wait for a rollup keep no other from being tried, however many there are.
#[test]
fn many_that_wait_for_a_rollup_do_not_keep_others_out() {
    let mut world = World::new(3, 101);
    let mut running = world.start_some(2);
    let (a, b, absent) = (chain(0), chain(1), chain(2));
    for user in 0..100 {
        let call = Wish { tip: 9, ..Wish::through(a, &[proxy_of(absent, APP)]) };
        world.send(&running.pools, user, &call);
    }
    world.round(&mut running).unwrap().unwrap();
    world.round(&mut running).unwrap().unwrap();
    let works = world.send(&running.pools, 100, &Wish::through(a, &[proxy_of(b, APP)]));
    let report = world.round(&mut running).unwrap().unwrap();
    assert_eq!(report.super_transactions, 1);
    assert_eq!(running.find(a, &works).unwrap().0, 3);
    drop(running);

    let mut running = world.start();
    world.catch_up(&mut running);
    assert_eq!(running.slot(absent, APP, U256::ZERO), U256::from(100));
    running.assert_agreement();
}

/// `cargo test -- --ignored --nocapture measure` prints the time between updates of the first rounds, in which
/// many transactions wait for a rollup that is not there.
#[test]
#[ignore = "it measures"]
fn measure_updates_beside_waiting_transactions() {
    const WAITING: usize = 20_000;
    let mut world = World::new(2, WAITING as u64);
    let mut running = world.start_some(1);
    let call = Wish { tip: 9, ..Wish::through(chain(0), &[proxy_of(chain(1), APP)]) };
    for user in 0..WAITING {
        world.send(&running.pools, user, &call);
    }
    for _ in 0..3 {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let times = calls.clone();
        #[expect(clippy::disallowed_methods, reason = "it measures")]
        world.clock.set(move || times.lock().push(std::time::Instant::now()));
        world.round(&mut running).unwrap().unwrap();
        let calls = calls.lock();
        println!("{:?}", calls.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>());
    }
}

/// Calldata that leads nowhere is a failed call of the app, and nothing else.
#[test]
fn a_call_to_an_account_without_code_is_an_ordinary_transaction() {
    let mut world = World::new(2, 1);
    let mut running = world.start();
    let a = chain(0);
    let wish = Wish { input: Bytes::from(vec![0x11; 32]), ..Wish::new(a, APP) };
    let hash = world.send(&running.pools, 0, &wish);
    let report = world.round(&mut running).unwrap().unwrap();
    assert_eq!(report.super_transactions, 0);
    assert!(running.find(a, &hash).unwrap().1.status());
}
