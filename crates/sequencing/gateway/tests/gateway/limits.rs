//! What a slot, a block and a round take, whatever is in the pools.

use crate::{
    union::{APP, BURNER, GAS_LIMIT, SLOT_S, SPENDER, Wish, chain, through},
    world::{Running, World},
};
use alloy_primitives::{B256, Bytes, ChainId, keccak256};
use lockstep_batcher::{UnionBlock, build_union_batch};
use lockstep_protocol::{Compression, MAX_BLOB_DATA_BYTES};
use lockstep_union::proxy_of;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// A call of the peer's app with so many bytes that cannot be compressed, a multiple of 32.
fn call_with(home: ChainId, peer: ChainId, bytes: usize, seed: u8) -> Wish {
    let noise = (0..bytes / 32).flat_map(|n| keccak256([seed, n as u8, (n >> 8) as u8]).0);
    let input = [through(&[proxy_of(peer, APP)]).to_vec(), noise.collect()].concat();
    Wish { input: Bytes::from(input), gas_limit: 8_000_000, ..Wish::new(home, APP) }
}

fn slot_of(running: &Running, chain: ChainId, number: u64, world: &World) -> u64 {
    let union = world.plans[0].config.union.clone().unwrap();
    let header = running.snapshot(chain).header(number).unwrap().unwrap();
    union.slot_at(header.timestamp).unwrap()
}

/// The bytes of the batches of all slots that are over.
fn batches(world: &World, running: &Running) -> BTreeMap<u64, usize> {
    let union = world.plans[0].config.union.clone().unwrap();
    let mut slots: BTreeMap<u64, BTreeMap<ChainId, Vec<UnionBlock>>> = BTreeMap::new();
    for plan in &world.plans {
        let (id, genesis) = (plan.config.l2_chain_id, &plan.config.genesis);
        let snapshot = running.snapshot(id);
        for number in 1..=snapshot.head().number {
            let block = snapshot.block(number).unwrap().unwrap();
            let slot = union.slot_at(block.block.header.timestamp).unwrap();
            let block = UnionBlock::from_block(&block.block, genesis).unwrap();
            slots.entry(slot).or_default().entry(id).or_default().push(block);
        }
    }
    let encoded = slots.into_iter().map(|(slot, blocks)| {
        let batch = build_union_batch(slot, &union, &blocks).unwrap();
        (slot, batch.encode(Compression::Brotli { quality: 1 }).unwrap().len())
    });
    encoded.collect()
}

/// A block holds far more than a slot's batch, which nobody can split.
#[test]
fn the_blocks_of_a_slot_hold_what_its_batch_can_carry() {
    let mut world = World::new(2, 8);
    world.settings.max_blobs = 1;
    let mut running = world.start();
    let (a, b) = (chain(0), chain(1));
    // Each is in the batch three times: as the user's transaction, and in the parts of both.
    let calls: Vec<B256> = (0..4)
        .map(|user| world.send(&running.pools, user, &call_with(a, b, 24_000, user as u8)))
        .collect();
    let data = |user| Wish { to: BURNER, ..call_with(b, a, 24_000, user) };
    let ordinary: Vec<B256> =
        (4..8).map(|user| world.send(&running.pools, user, &data(user as u8))).collect();
    for round in 0..8 * SLOT_S {
        world.round(&mut running).unwrap().unwrap();
        // What a slot holds is known, too, to a gateway that was started in the middle of it.
        if round % 2 == 0 {
            drop(running);
            running = world.start();
        }
    }
    let calls = calls.iter().map(|hash| running.find(a, hash).unwrap());
    let ordinary = ordinary.iter().map(|hash| running.find(b, hash).unwrap());
    let of_calls: Vec<u64> = calls.map(|it| slot_of(&running, a, it.0, &world)).collect();
    let of_ordinary: Vec<u64> = ordinary.map(|it| slot_of(&running, b, it.0, &world)).collect();
    let used: std::collections::BTreeSet<u64> =
        of_calls.iter().chain(&of_ordinary).copied().collect();
    assert!(used.len() > 3, "{of_calls:?} {of_ordinary:?}");
    let batches = batches(&world, &running);
    assert!(batches.values().all(|bytes| *bytes <= MAX_BLOB_DATA_BYTES), "{batches:?}");
    assert!(batches.values().any(|bytes| *bytes > MAX_BLOB_DATA_BYTES / 2), "{batches:?}");
    running.assert_agreement();
    running.assert_executes_alone(&world);
}

#[test]
fn what_no_batch_can_carry_leaves_the_pool() {
    let mut world = World::new(2, 2);
    world.settings.max_blobs = 1;
    let mut running = world.start();
    let (a, b) = (chain(0), chain(1));
    let large = world.send(&running.pools, 0, &call_with(a, b, 60_000, 0));
    let small = world.send(&running.pools, 1, &call_with(a, b, 3_200, 1));
    let report = world.round(&mut running).unwrap().unwrap();
    assert_eq!(report.super_transactions, 1);
    assert!(running.find(a, &small).is_some());
    assert!(running.find(a, &large).is_none() && !running.pools[&a].contains(&large));
    running.assert_executes_alone(&world);
}

/// Followers refuse a batch with transactions in the first block of a fork.
#[test]
fn a_block_that_takes_none_from_the_pool_is_in_nobodys_super_transaction() {
    let mut world = World::with_late_fork(2, 4, Some(1));
    let mut running = world.start();
    let (a, b) = (chain(0), chain(1));
    let wishes = [
        Wish::new(b, APP),
        Wish::through(b, &[proxy_of(a, APP)]),
        Wish::through(a, &[proxy_of(b, APP)]),
        Wish::new(a, APP),
    ];
    let sent: Vec<(ChainId, B256)> = (0..)
        .zip(&wishes)
        .map(|(user, wish)| (wish.home, world.send(&running.pools, user, wish)))
        .collect();
    let report = world.round(&mut running).unwrap().unwrap();
    assert_eq!(report.super_transactions, 0);
    for chain in [a, b] {
        let first = running.snapshot(chain).block(1).unwrap().unwrap();
        assert!(first.transactions().iter().all(|transaction| transaction.is_deposit()));
        assert!(first.transactions().len() > 1, "the fork's own deposits");
    }
    let report = world.round(&mut running).unwrap().unwrap();
    assert_eq!(report.super_transactions, 2);
    for (home, hash) in sent {
        assert_eq!(running.find(home, &hash).unwrap().0, 2);
    }
    running.assert_agreement();
    running.assert_executes_alone(&world);
}

/// Their gas limit is the block's, of which the attributes have used some: they would be first in every block, and
/// pay for none.
#[test]
fn transactions_that_fit_into_no_block_close_none() {
    const MANY: usize = 70;
    let mut world = World::new(1, MANY as u64 + 1);
    let mut running = world.start();
    let a = chain(0);
    let wish = Wish { gas_limit: GAS_LIMIT, tip: 9, ..Wish::new(a, APP) };
    let too_large: Vec<B256> =
        (0..MANY).map(|user| world.send(&running.pools, user, &wish)).collect();
    let ordinary = world.send(&running.pools, MANY, &Wish::new(a, APP));
    world.round(&mut running).unwrap().unwrap();
    assert_eq!(running.find(a, &ordinary).unwrap().0, 1);
    assert!(too_large.iter().all(|hash| !running.pools[&a].contains(hash)));
}

/// They fit into an empty block, and one of them after the other gets one.
#[test]
fn transactions_that_need_a_whole_block_keep_small_ones_out_of_none() {
    const MANY: usize = 70;
    let mut world = World::new(1, MANY as u64 + 1);
    let mut running = world.start();
    let a = chain(0);
    // Something that pays more takes so much that none of them fits.
    let first = Wish { gas_limit: 3_000_000, tip: 10, ..Wish::new(a, BURNER) };
    let whole = Wish { gas_limit: 29_000_000, tip: 9, ..Wish::new(a, APP) };
    world.send(&running.pools, 0, &first);
    for user in 1..MANY {
        world.send(&running.pools, user, &whole);
    }
    let ordinary = world.send(&running.pools, MANY, &Wish::new(a, APP));
    world.round(&mut running).unwrap().unwrap();
    assert_eq!(running.find(a, &ordinary).unwrap().0, 1);
}

/// Whoever spends much before they call a rollup that is not there pays nothing.
#[test]
fn what_is_executed_for_nothing_has_a_limit() {
    const SPENDERS: usize = 20;
    let mut world = World::new(2, SPENDERS as u64 + 2);
    let mut running = world.start_some(1);
    let (a, absent) = (chain(0), chain(1));
    let spend = Wish {
        gas_limit: 14_000_000,
        tip: 9,
        to: SPENDER,
        ..Wish::through(a, &[proxy_of(absent, APP)])
    };
    for user in 0..SPENDERS {
        world.send(&running.pools, user, &spend);
    }
    let ordinary = world.send(&running.pools, SPENDERS, &Wish::new(a, APP));
    let transfer = Wish { gas_limit: 21_000, ..Wish::new(a, alloy_primitives::Address::ZERO) };
    let transfer = world.send(&running.pools, SPENDERS + 1, &transfer);
    let report = world.round(&mut running).unwrap().unwrap();
    assert!(report.wasted_gas > GAS_LIMIT, "{report:?}");
    for hash in [ordinary, transfer] {
        assert_eq!(running.find(a, &hash).unwrap().0, 1);
    }
    for _ in 0..10 {
        let report = world.round(&mut running).unwrap().unwrap();
        assert!(report.wasted_gas < 2 * GAS_LIMIT + GAS_LIMIT / 64, "{report:?}");
    }
}

/// Somebody fills the peer's blocks.
#[test]
fn a_super_transaction_that_is_always_executed_in_vain_leaves_the_pool() {
    let mut world = World::new(2, 2);
    let mut running = world.start();
    let (a, b) = (chain(0), chain(1));
    let wish = Wish { gas_limit: 20_000_000, ..Wish::through(a, &[proxy_of(b, APP)]) };
    let hash = world.send(&running.pools, 0, &wish);
    let mut rounds = 0;
    while running.pools[&a].contains(&hash) {
        world.send(&running.pools, 1, &Wish { gas_limit: 28_000_000, ..Wish::new(b, BURNER) });
        world.round(&mut running).unwrap().unwrap();
        assert!(running.find(a, &hash).is_none());
        rounds += 1;
        assert!(rounds <= 64, "it is never given up");
    }
    assert_eq!(rounds, 64);
}

/// A rollup may be away for longer than anybody is patient; and nobody pays for the others' waiting.
#[test]
fn a_super_transaction_waits_for_a_rollup_without_blocks() {
    let mut world = World::new(2, 1);
    let mut running = world.start_some(1);
    let a = chain(0);
    let hash = world.send(&running.pools, 0, &Wish::through(a, &[proxy_of(chain(1), APP)]));
    let report = world.round(&mut running).unwrap().unwrap();
    assert!(report.wasted_gas > 0, "it was executed up to the call");
    for _ in 0..80 {
        let report = world.round(&mut running).unwrap().unwrap();
        assert_eq!(report.wasted_gas, 0, "it is not executed again");
    }
    assert!(running.pools[&a].contains(&hash));
    drop(running);
    running = world.start();
    world.catch_up(&mut running);
    assert!(running.find(a, &hash).is_some());
    running.assert_agreement();
}

/// What is taken is charged for by itself: finding out whom it calls is no loss.
#[test]
fn super_transactions_that_are_taken_are_no_waste() {
    let mut world = World::new(2, 3);
    let mut running = world.start();
    let (a, b) = (chain(0), chain(1));
    for user in 0..3 {
        world.send(&running.pools, user, &Wish::through(a, &[proxy_of(b, APP)]));
    }
    let report = world.round(&mut running).unwrap().unwrap();
    assert_eq!((report.super_transactions, report.wasted_gas), (3, 0));
}

/// Whoever waits for an update does not wait for everything that is in the pools.
#[test]
fn users_are_shown_something_while_much_is_executed() {
    let mut world = World::new(1, 4);
    let mut running = world.start();
    let a = chain(0);
    let burn = Wish { gas_limit: 7_000_000, ..Wish::new(a, BURNER) };
    for user in 0..4 {
        world.send(&running.pools, user, &burn);
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (kept, shown) = (seen.clone(), running.shown.clone());
    world.clock.set(move || {
        let counts = crate::world::now_shown(&shown).iter().map(|it| it.transactions().len()).max();
        kept.lock().extend(counts);
    });
    world.round(&mut running).unwrap().unwrap();
    let seen = seen.lock();
    for count in 1..=5 {
        assert!(seen.contains(&count), "{count} transactions were never shown: {seen:?}");
    }
}
