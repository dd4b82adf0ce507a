//! What is acknowledged comes back after a restart.

use crate::world::World;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::U256;
use lockstep_chain::{Ethereum, EthereumHardfork};
use lockstep_execution::Bytecode;
use lockstep_pool::{
    EthereumPooledTransaction, JournalReport, Origin, Pool, PoolConfig, PoolError, Pooled,
};
use std::fs;

fn world() -> World {
    World::new(EthereumHardfork::Prague)
}

#[test]
fn own_transactions_come_back_after_a_restart() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let pool = world.pool();
    assert_eq!(pool.open_journal(&path).unwrap(), JournalReport::default());
    let local = pool.add(world.transfer(0, 0, 100), Origin::Local).unwrap();
    let private = pool.add(world.transfer(1, 3, 100), Origin::Private).unwrap();
    let external = pool.add(world.transfer(2, 0, 100), Origin::External).unwrap();
    let user = pool.add(world.transfer(3, 0, 100), Origin::User).unwrap();
    drop(pool);
    let pool = world.pool();
    let report = pool.open_journal(&path).unwrap();
    assert_eq!(report, JournalReport { loaded: 3, ..Default::default() });
    assert_eq!(pool.get(&user).unwrap().origin, Origin::User);
    assert_eq!(pool.get(&local).unwrap().origin, Origin::Local);
    assert_eq!(pool.get(&private).unwrap().origin, Origin::Private);
    assert!(!pool.contains(&external));
}

#[test]
fn external_transactions_are_kept_if_asked_for() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let config = PoolConfig { journal_external: true, ..Default::default() };
    let pool = world.pool_with(config);
    pool.open_journal(&path).unwrap();
    let hash = pool.add(world.transfer(2, 0, 100), Origin::External).unwrap();
    drop(pool);
    let pool = world.pool_with(config);
    pool.open_journal(&path).unwrap();
    assert_eq!(pool.get(&hash).unwrap().origin, Origin::External);
}

/// The file as it is on disk at each moment, as a kill leaves it: whatever was acknowledged by
/// then is read.
#[test]
fn a_kill_between_any_two_additions_loses_nothing() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let pool = world.pool();
    pool.open_journal(&path).unwrap();
    let mut acknowledged = Vec::new();
    for nonce in 0..8 {
        acknowledged.push(pool.add(world.transfer(0, nonce, 100), Origin::Local).unwrap());
        let copy = folder.path().join(format!("copy {nonce}"));
        fs::copy(&path, &copy).unwrap();
        let revived = world.pool();
        revived.open_journal(&copy).unwrap();
        assert!(acknowledged.iter().all(|hash| revived.contains(hash)));
    }
}

#[test]
fn damage_is_skipped_and_reported() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let pool = world.pool();
    pool.open_journal(&path).unwrap();
    let mut ends = Vec::new();
    for user in 0..4 {
        pool.add(world.transfer(user, 0, 100), Origin::Local).unwrap();
        ends.push(usize::try_from(fs::metadata(&path).unwrap().len()).unwrap());
    }
    drop(pool);
    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[0] + 30] ^= 4;
    bytes.truncate(ends[3] - 5);
    fs::write(&path, &bytes).unwrap();
    let pool = world.pool();
    let report = pool.open_journal(&path).unwrap();
    assert_eq!((report.loaded, report.damaged), (2, 1));
    assert_eq!(report.damaged_bytes, (ends[1] - ends[0]) as u64);
    assert_eq!(report.torn_bytes, (ends[3] - 5 - ends[2]) as u64);
    drop(pool);
    // It was written anew, without the damage.
    let report = world.pool().open_journal(&path).unwrap();
    assert_eq!(report, JournalReport { loaded: 2, ..Default::default() });
}

#[test]
fn what_was_included_is_not_loaded_again() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let pool = world.pool();
    pool.open_journal(&path).unwrap();
    let tx = world.transfer(0, 0, 100);
    pool.add(tx.clone(), Origin::Local).unwrap();
    drop(pool);
    let tip = world.child(&world.genesis, vec![Ethereum::consensus(&tx)], 0, 1);
    let pool = lockstep_pool::Pool::new(world.chain, PoolConfig::default(), tip.head());
    let report = pool.open_journal(&path).unwrap();
    assert_eq!(report, JournalReport { rejected: 1, ..Default::default() });
}

#[test]
fn a_reorg_brings_own_transactions_back_to_the_journal() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let pool = world.pool();
    let tx = world.transfer(0, 0, 100);
    let hash = pool.add(tx.clone(), Origin::Local).unwrap();
    let with = world.child(&world.genesis, vec![Ethereum::consensus(&tx)], 0, 1);
    pool.advance(with.head(), &[with.block()], &[]);
    // From here on the journal knows nothing of it.
    pool.open_journal(&path).unwrap();
    let without = world.child(&world.genesis, vec![], 0, 2);
    pool.advance(without.head(), &[without.block()], &[with.block()]);
    drop(pool);
    let pool = world.pool();
    pool.open_journal(&path).unwrap();
    assert_eq!(pool.get(&hash).unwrap().origin, Origin::Local);
}

/// Included and then dropped, with a restart between the two: the block is not final, so the
/// journal still knows whose the transaction is.
#[test]
fn a_reorg_after_a_restart_loses_no_own_transaction() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let tx = world.transfer(0, 0, 100);
    let with = world.child(&world.genesis, vec![Ethereum::consensus(&tx)], 0, 1);
    let pool = world.pool();
    pool.open_journal(&path).unwrap();
    let hash = pool.add(tx, Origin::User).unwrap();
    pool.advance(with.head(), &[with.block()], &[]);
    drop(pool);
    // The second restart reads what the first one wrote.
    for _ in 0..2 {
        let pool = Pool::new(world.chain.clone(), PoolConfig::default(), with.head());
        pool.open_journal(&path).unwrap();
    }
    let pool = Pool::new(world.chain.clone(), PoolConfig::default(), with.head());
    pool.open_journal(&path).unwrap();
    let without = world.child(&world.genesis, vec![], 0, 2);
    pool.advance(without.head(), &[without.block()], &[with.block()]);
    assert_eq!(pool.get(&hash).unwrap().origin, Origin::User);
}

#[test]
fn what_was_included_long_ago_leaves_the_journal() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let config = PoolConfig { journal_included_blocks: 2, ..Default::default() };
    let pool = world.pool_with(config);
    pool.open_journal(&path).unwrap();
    let tx = world.transfer(0, 0, 100);
    pool.add(tx.clone(), Origin::User).unwrap();
    let mut tip = world.child(&world.genesis, vec![Ethereum::consensus(&tx)], 0, 1);
    pool.advance(tip.head(), &[tip.block()], &[]);
    for (left, salt) in [(1, 2), (1, 3), (0, 4)] {
        tip = world.child(&tip, vec![], 0, salt);
        pool.advance(tip.head(), &[tip.block()], &[]);
        // Written anew from what the pool knows.
        pool.open_journal(&folder.path().join(format!("copy {salt}"))).unwrap();
        let reader = Pool::new(world.chain.clone(), config, tip.head());
        let copy = folder.path().join("read");
        fs::copy(folder.path().join(format!("copy {salt}")), &copy).unwrap();
        let report = reader.open_journal(&copy).unwrap();
        assert_eq!(report, JournalReport { rejected: left, ..Default::default() }, "{salt}");
    }
}

/// A running pool keeps what its sender cannot pay for any more; so does a journal.
#[test]
fn what_cannot_enter_after_a_restart_waits_for_another_head() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let rich = world.pool();
    rich.open_journal(&path).unwrap();
    let hashes: Vec<_> = (0..3)
        .map(|nonce| rich.add(world.transfer(0, nonce, 100), Origin::User).unwrap())
        .collect();
    drop(rich);
    let poor = world.genesis_with(|state| {
        let wei = U256::from(21_000 * 100 + 1);
        state.set_account(world.address(0), 0, wei, Bytecode::default());
    });
    for _ in 0..2 {
        let pool = Pool::new(world.chain.clone(), PoolConfig::default(), poor.head());
        let report = pool.open_journal(&path).unwrap();
        assert_eq!(report, JournalReport { loaded: 1, waiting: 2, ..Default::default() });
    }
    let pool = Pool::new(world.chain.clone(), PoolConfig::default(), poor.head());
    pool.open_journal(&path).unwrap();
    assert!(!pool.contains(&hashes[2]));
    pool.advance(world.genesis.head(), &[], &[]);
    assert_eq!(pool.status().pending, 3);
    assert!(hashes.iter().all(|hash| pool.contains(hash)));
    drop(pool);
    let pool = world.pool();
    let report = pool.open_journal(&path).unwrap();
    assert_eq!((pool.status().pending, report.waiting, report.rejected), (3, 0, 0));
}

#[test]
fn what_waits_too_long_is_given_up() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let pool = world.pool();
    pool.open_journal(&path).unwrap();
    let hash = pool.add(world.transfer(0, 0, 100), Origin::User).unwrap();
    drop(pool);
    let config = PoolConfig { queued_lifetime_blocks: 1, ..Default::default() };
    let poor = world.genesis_with(|state| {
        state.set_account(world.address(0), 0, U256::ZERO, Bytecode::default());
    });
    let pool = Pool::new(world.chain.clone(), config, poor.head());
    assert_eq!(pool.open_journal(&path).unwrap().waiting, 1);
    let mut tip = poor;
    for salt in 0..2 {
        tip = world.child(&tip, vec![], 0, salt);
        pool.advance(tip.head(), &[tip.block()], &[]);
    }
    pool.advance(world.genesis.head(), &[], &[]);
    assert!(!pool.contains(&hash));
}

/// As the file is if the process ended before a transaction with a lower nonce was written, or if
/// that one is a peer's.
#[test]
fn a_blob_transaction_of_the_journal_waits_for_the_one_before_it() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let (first, second) = (one_blob(&world, 0), one_blob(&world, 1));
    let pool = world.pool();
    pool.open_journal(&path).unwrap();
    pool.add(first.clone(), Origin::External).unwrap();
    let hash = pool.add(second, Origin::User).unwrap();
    drop(pool);
    let pool = world.pool();
    let report = pool.open_journal(&path).unwrap();
    assert_eq!(report, JournalReport { waiting: 1, ..Default::default() });
    pool.add(first, Origin::External).unwrap();
    let tip = world.child(&world.genesis, vec![], 0, 1);
    pool.advance(tip.head(), &[tip.block()], &[]);
    assert_eq!(pool.get(&hash).unwrap().origin, Origin::User);
}

fn one_blob(world: &World, nonce: u64) -> EthereumPooledTransaction {
    crate::blobs::sign(world, nonce, 100, crate::blobs::version_0(&[1]))
}

/// Whoever adds at the same time: the journal has each sender's transactions in the order of their
/// nonces, so that reading it needs no second attempt.
#[test]
fn the_journal_has_the_order_of_the_pool() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let pool = world.pool();
    pool.open_journal(&path).unwrap();
    let transactions: Vec<_> = (0..6).map(|nonce| one_blob(&world, nonce)).collect();
    std::thread::scope(|scope| {
        for tx in &transactions {
            let pool = &pool;
            // Each tries until the one before it is there.
            scope.spawn(move || while pool.add(tx.clone(), Origin::User).is_err() {});
        }
    });
    assert_eq!(pool.status().blobs, 6);
    let bytes = fs::read(&path).unwrap();
    let places: Vec<_> = transactions
        .iter()
        .map(|tx| {
            let encoded = tx.encoded_2718();
            // The body is long; its beginning has the nonce.
            let begin = &encoded[..16];
            bytes.windows(begin.len()).position(|window| window == begin).unwrap()
        })
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn after_a_rewrite_the_named_file_grows() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    // Left by a rewrite that was killed.
    fs::write(path.with_added_extension("new"), b"half").unwrap();
    let pool = world.pool();
    pool.open_journal(&path).unwrap();
    let before = fs::metadata(&path).unwrap().len();
    pool.add(world.transfer(0, 0, 100), Origin::User).unwrap();
    assert!(fs::metadata(&path).unwrap().len() > before);
    assert!(!path.with_added_extension("new").exists());
}

#[test]
fn a_journal_is_open_once() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let pool = world.pool();
    pool.open_journal(&path).unwrap();
    let error = world.pool().open_journal(&path).unwrap_err();
    assert!(matches!(error, PoolError::Journal { operation: "lock", .. }), "{error}");
}

#[test]
fn the_file_does_not_grow_without_bound() {
    let (world, folder) = (world(), tempfile::tempdir().unwrap());
    let path = folder.path().join("transactions");
    let pool = world.pool();
    pool.open_journal(&path).unwrap();
    let large = |fee: u128| {
        let tx = alloy_consensus::TxEip1559 {
            input: vec![0; 100_000].into(),
            gas_limit: 2_000_000,
            ..crate::world::transfer(0, fee, fee)
        };
        world.signed(0, tx)
    };
    // Each replaces the one before: 100 kB of live transactions, and 13 MB written.
    let mut fee = 1_000;
    for _ in 0..130 {
        pool.add(large(fee), Origin::Local).unwrap();
        fee += fee / 10 + 1;
    }
    assert!(fs::metadata(&path).unwrap().len() < 6 * 1024 * 1024);
    drop(pool);
    let report = world.pool().open_journal(&path).unwrap();
    assert!(report.loaded > 0);
}
