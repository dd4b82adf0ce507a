//! Opening folders, and what is said about their content.

use crate::{
    compare::{assert_holds, assert_sound},
    forge::{Forge, options},
};
use alloy_primitives::{B256, Sealed};
use lockstep_chain::Ethereum;
use lockstep_execution::{Bytecode, MemoryState};
use lockstep_storage::{CheckOptions, DiskStorage, GenesisBlock, Storage, StorageError};
use std::fs;

fn refusal(opened: Result<DiskStorage<Ethereum>, StorageError>) -> String {
    match opened {
        Err(error @ StorageError::Unusable { .. }) => error.to_string(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_folder_in_use_is_refused_with_the_process_that_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(1);
    let open = || DiskStorage::open(folder.path(), &forge.chain, &forge.genesis, options());
    let disk = open().unwrap();
    let snapshot = disk.snapshot().unwrap();
    assert!(refusal(open()).contains(&format!("process {} uses it", std::process::id())));
    drop(disk);
    assert!(open().is_err(), "a snapshot still reads it");
    drop(snapshot);
    assert!(open().is_ok());
}

#[test]
fn a_folder_with_another_chain_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::new();
    drop(forge.disk(folder.path(), options()));
    let mut header = forge.genesis.block().header.clone();
    header.timestamp = 1;
    let other = GenesisBlock::<Ethereum>::new(header, forge.genesis.state().clone()).unwrap();
    let opened = DiskStorage::open(folder.path(), &forge.chain, &other, options());
    assert!(refusal(opened).contains("it holds chain 1337 with genesis block 0"));
    let opened = DiskStorage::open(folder.path(), &Ethereum::mainnet(), &forge.genesis, options());
    assert!(refusal(opened).contains("expected chain 1 "));
}

#[test]
fn a_folder_without_a_chain_is_refused_where_one_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let holds_none = || {
        let opened = DiskStorage::<Ethereum>::open_existing(folder.path(), options());
        matches!(opened, Err(StorageError::NoChain { .. }))
    };
    assert!(holds_none());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "looking leaves no trace");
    // A chain whose creation was cut off, in the database.
    let forge = Forge::new();
    drop(forge.disk(folder.path(), options()));
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    assert!(holds_none());
}

#[test]
fn static_files_that_lost_their_database_are_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(2);
    let disk = forge.disk(folder.path(), options());
    disk.append(&forge.executed(1, 2), forge.fork_choice(2)).unwrap();
    drop(disk);
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    let opened = DiskStorage::open(folder.path(), &forge.chain, &forge.genesis, options());
    assert!(refusal(opened).contains("no database to them"));
    let opened = DiskStorage::open_existing(folder.path(), options());
    assert!(refusal(opened).contains("no database to them"));
}

#[test]
fn a_chain_that_was_being_created_is_created_again() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(2);
    drop(forge.disk(folder.path(), options()));
    fs::remove_dir_all(folder.path().join("db")).unwrap();
    let disk = forge.disk(folder.path(), options());
    disk.append(&forge.executed(1, 2), forge.fork_choice(2)).unwrap();
    assert_holds(&disk, &forge);
}

#[test]
fn a_genesis_state_that_is_not_its_headers_is_refused() {
    let header = Forge::new().genesis.block().header.clone();
    let genesis = GenesisBlock::<Ethereum>::new(header, MemoryState::default());
    assert!(matches!(genesis, Err(StorageError::GenesisState { .. })));
}

/// As a rollup that began as another kind of chain.
#[test]
fn a_chain_may_begin_at_any_number() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::new();
    let mut block = (**forge.genesis.block()).clone();
    block.header.number = 1_000_003;
    let block = Sealed::new_unchecked(block, B256::repeat_byte(9));
    let genesis = GenesisBlock::from_block(block, forge.genesis.state().clone()).unwrap();
    for _ in 0..2 {
        let disk = DiskStorage::open(folder.path(), &forge.chain, &genesis, options()).unwrap();
        let snapshot = disk.snapshot().unwrap();
        assert_eq!(snapshot.tip().number, 1_000_003);
        assert_eq!(snapshot.earliest_state(), 1_000_003);
        assert!(snapshot.block(1_000_003).unwrap().is_some());
        assert!(snapshot.block(0).unwrap().is_none());
    }
}

#[test]
fn stats_and_checks_count_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(20);
    let disk = forge.disk(folder.path(), options());
    disk.append(&forge.executed(1, 20), forge.fork_choice(20)).unwrap();
    let stats = disk.stats().unwrap();
    let entries = |name: &str| {
        let table = stats.tables.iter().find(|table| table.name == name);
        table.map(|table| table.entries).unwrap()
    };
    let state = forge.state(20);
    let accounts = state.accounts().count() as u64;
    let slots = state.accounts().map(|(_, account)| account.storage.len() as u64).sum();
    let transactions: usize =
        forge.blocks.iter().map(|made| made.executed.block.transactions().len()).sum();
    assert_eq!(stats.tip, 20);
    assert_eq!((entries("accounts"), entries("hashed_accounts")), (accounts, accounts));
    assert_eq!((entries("storage"), entries("hashed_storage")), (slots, slots));
    assert_eq!(entries("blocks"), 21);
    assert_eq!(entries("transactions"), transactions as u64);
    // 21 blocks in segments of five.
    assert!(stats.files.iter().all(|files| files.segments == 5 && files.bytes > 0));
    assert_eq!(stats.log.segments, 1);

    let mut stages = Vec::new();
    let report = disk
        .check(&forge.chain, CheckOptions::default(), &mut |progress| {
            assert!(progress.done <= progress.total);
            stages.push(progress.stage);
        })
        .unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!((report.blocks, report.accounts, report.slots), (21, accounts, slots));
    assert_eq!(report.transactions, transactions as u64);
    assert_eq!(report.nodes, entries("account_nodes") + entries("storage_nodes"));
    stages.dedup();
    assert_eq!(stages, ["blocks", "accounts", "slots", "state root", "trie nodes"]);
}

/// Forged signatures recover to somebody else than who was said to have sent.
#[test]
fn a_thorough_check_recovers_senders() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(1);
    let disk = forge.disk(folder.path(), options());
    disk.append(&forge.executed(1, 1), forge.fork_choice(1)).unwrap();
    assert_sound(&disk, &forge);
    let options = CheckOptions { recover_senders: true };
    let report = disk.check(&forge.chain, options, &mut |_| ()).unwrap();
    assert_eq!(report.problem_count, 1);
    assert_eq!(report.problems[0].to_string(), "block 1: its senders are wrong");
}

/// A code that looks like a delegation (EIP-7702) and is none.
#[test]
fn malformed_delegations_are_plain_code() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::new();
    let raw = alloy_primitives::Bytes::from_static(&[0xef, 0x01, 0x00, 1, 2]);
    let mut state = forge.genesis.state().clone();
    let address = alloy_primitives::Address::repeat_byte(0xee);
    state.set_account(address, 1, Default::default(), Bytecode::new_legacy(raw.clone()));
    let mut header = forge.genesis.block().header.clone();
    header.state_root = state.state_root();
    let genesis = GenesisBlock::<Ethereum>::new(header, state).unwrap();
    let disk = DiskStorage::open(folder.path(), &forge.chain, &genesis, options()).unwrap();
    let state = disk.snapshot().unwrap().state(0).unwrap();
    let account = state.account(&address).unwrap().unwrap();
    assert_eq!(state.code(&account.code_hash).unwrap().original_bytes(), raw);
}
