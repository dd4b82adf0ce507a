//! What is acknowledged comes back after a restart.

use crate::world::World;
use lockstep_chain::{Ethereum, EthereumHardfork};
use lockstep_pool::{JournalReport, Origin, PoolConfig, PoolError, Pooled};
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
    drop(pool);
    let pool = world.pool();
    let report = pool.open_journal(&path).unwrap();
    assert_eq!(report, JournalReport { loaded: 2, ..Default::default() });
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
