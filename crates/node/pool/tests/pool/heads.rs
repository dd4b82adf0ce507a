//! New heads: inclusion, reorgs, base fees, state changes, time.

use crate::world::{ETHER, World, transfer};
use alloy_consensus::TxEip1559;
use alloy_primitives::{TxKind, U256};
use lockstep_chain::EthereumHardfork;
use lockstep_pool::{EthereumPooledTransaction, Origin, Pool, PoolConfig, Pooled};

fn world() -> World {
    World::new(EthereumHardfork::Prague)
}

fn block(tx: &EthereumPooledTransaction) -> Vec<lockstep_chain::EthereumTransaction> {
    vec![lockstep_chain::Ethereum::consensus(tx)]
}

#[test]
fn an_included_transaction_leaves() {
    let world = world();
    let pool = world.pool();
    let tx = world.transfer(0, 0, 100);
    pool.add(tx.clone(), Origin::Local).unwrap();
    let later = pool.add(world.transfer(0, 1, 100), Origin::Local).unwrap();
    let tip = world.child(&world.genesis, block(&tx), 0, 1);
    pool.advance(tip.head(), &[tip.block()], &[]);
    assert_eq!(pool.pending_hashes(), [later]);
    assert_eq!(pool.next_nonce(world.address(0)), Some(2));
}

#[test]
fn a_reorg_returns_dropped_transactions_to_the_pool() {
    let world = world();
    let pool = world.pool();
    let own = world.transfer(0, 0, 100);
    let own_hash = pool.add(own.clone(), Origin::Local).unwrap();
    // Known from the block alone.
    let foreign = world.transfer(1, 0, 100);
    let mut both = block(&own);
    both.extend(block(&foreign));
    let old = world.child(&world.genesis, both, 0, 1);
    pool.advance(old.head(), &[old.block()], &[]);
    assert_eq!(pool.status().pending, 0);
    let new = world.child(&world.genesis, vec![], 0, 2);
    pool.advance(new.head(), &[new.block()], &[old.block()]);
    assert_eq!(pool.status().pending, 2);
    assert_eq!(pool.get(&own_hash).unwrap().origin, Origin::Local);
    assert_eq!(pool.get(foreign.tx_hash()).unwrap().origin, Origin::External);
}

#[test]
fn a_reorg_keeps_out_what_the_new_branch_includes_or_outdates() {
    let world = world();
    let pool = world.pool();
    let (same, other) = (world.transfer(0, 0, 100), world.transfer(1, 0, 100));
    let rival = world.transfer(1, 0, 200);
    let mut both = block(&same);
    both.extend(block(&other));
    let old = world.child(&world.genesis, both, 0, 1);
    pool.advance(old.head(), &[old.block()], &[]);
    let mut new = block(&same);
    new.extend(block(&rival));
    let new = world.child(&world.genesis, new, 0, 2);
    pool.advance(new.head(), &[new.block()], &[old.block()]);
    assert_eq!((pool.status().pending, pool.status().queued), (0, 0));
}

#[test]
fn a_base_fee_moves_transactions_to_and_fro() {
    let world = world();
    let pool = world.pool();
    // The next base fee is 9; after three full blocks it is 12.
    let hash = pool.add(world.transfer(0, 0, 10), Origin::External).unwrap();
    assert_eq!(pool.status().pending, 1);
    let mut tip = world.genesis.clone();
    for _ in 0..3 {
        tip = world.child(&tip, vec![], 30_000_000, 1);
        pool.advance(tip.head(), &[tip.block()], &[]);
    }
    assert_eq!((pool.status().pending, pool.status().queued), (0, 1));
    // It is still next in line, for whoever builds a cheaper block.
    assert_eq!(pool.next_nonce(world.address(0)), Some(1));
    assert_eq!(pool.best(10, None).count(), 1);
    let mut events = pool.subscribe();
    for _ in 0..6 {
        tip = world.child(&tip, vec![], 0, 1);
        pool.advance(tip.head(), &[tip.block()], &[]);
    }
    assert_eq!(pool.pending_hashes(), [hash]);
    assert!(events.try_recv().is_err(), "it was announced when it first was pending");
}

#[test]
fn a_spent_balance_demotes_and_a_gift_promotes() {
    let world = world();
    let cost = U256::from(21_000u64 * 100 + 1);
    let tip = world.genesis_with(|state| {
        let code = lockstep_execution::Bytecode::default();
        state.set_account(world.address(0), 0, cost * U256::from(3), code);
    });
    let pool = Pool::new(world.chain.clone(), PoolConfig::default(), tip.head());
    for nonce in 1..3 {
        pool.add(world.transfer(0, nonce, 100), Origin::External).unwrap();
    }
    // The first nonce goes to a transaction that this pool never saw, and that spends more.
    let value = cost - U256::from(21_000u64 * 9);
    let spends = world.signed(0, TxEip1559 { value, ..transfer(0, 100, 0) });
    let tip = world.child(&tip, block(&spends), 0, 1);
    pool.advance(tip.head(), &[tip.block()], &[]);
    assert_eq!((pool.status().pending, pool.status().queued), (2, 0));
    let spends = world.signed(0, TxEip1559 { value: U256::from(100), ..transfer(1, 100, 100) });
    let tip = world.child(&tip, block(&spends), 0, 1);
    pool.advance(tip.head(), &[tip.block()], &[]);
    assert_eq!((pool.status().pending, pool.status().queued), (0, 1));
    let gift = TxEip1559 {
        to: TxKind::Call(world.address(0)),
        value: U256::from(1_000),
        ..transfer(0, 100, 100)
    };
    let tip = world.child(&tip, block(&world.signed(1, gift)), 0, 1);
    pool.advance(tip.head(), &[tip.block()], &[]);
    assert_eq!((pool.status().pending, pool.status().queued), (1, 0));
}

#[test]
fn external_transactions_expire_and_own_ones_do_not() {
    let world = world();
    let pool = world.pool_with(PoolConfig { queued_lifetime_blocks: 2, ..Default::default() });
    pool.add(world.transfer(0, 1, 100), Origin::External).unwrap();
    let own = pool.add(world.transfer(1, 1, 100), Origin::Local).unwrap();
    let pending = pool.add(world.transfer(2, 0, 100), Origin::External).unwrap();
    let mut tip = world.genesis.clone();
    for expected in [3, 3, 2, 2] {
        tip = world.child(&tip, vec![], 0, 1);
        pool.advance(tip.head(), &[tip.block()], &[]);
        assert_eq!(pool.status().pending + pool.status().queued, expected);
    }
    assert!(pool.contains(&own) && pool.contains(&pending));
}

/// Blocks that do not lead from the old head to the new one: nothing that was known of accounts
/// can be relied upon.
#[test]
fn a_jump_reads_every_sender_anew() {
    let world = world();
    let pool = world.pool();
    pool.add(world.transfer(0, 0, 100), Origin::External).unwrap();
    pool.add(world.transfer(0, 1, 100), Origin::External).unwrap();
    let skipped = world.child(&world.genesis, block(&world.transfer(0, 0, 100)), 0, 1);
    let tip = world.child(&skipped, vec![], 0, 1);
    pool.advance(tip.head(), &[tip.block()], &[]);
    assert_eq!((pool.status().pending, pool.status().queued), (1, 0));
}

#[test]
fn an_unreadable_account_waits_for_the_next_head() {
    let world = world();
    let pool = world.pool();
    pool.add(world.transfer(0, 1, 100), Origin::External).unwrap();
    pool.add(world.transfer(0, 2, 100), Origin::External).unwrap();
    let tip = world.child(&world.genesis, block(&world.transfer(0, 0, 100)), 0, 1);
    tip.state.unreadable.lock().unwrap().insert(world.address(0));
    pool.advance(tip.head(), &[tip.block()], &[]);
    assert_eq!((pool.status().pending, pool.status().queued), (0, 2));
    let tip = world.child(&tip, vec![], 0, 1);
    pool.advance(tip.head(), &[tip.block()], &[]);
    assert_eq!((pool.status().pending, pool.status().queued), (2, 0));
    assert_eq!(tip.state.memory.get(&world.address(1)).unwrap().info.balance, U256::from(ETHER));
}
