//! The folder of a chain, from its first moment on.

use crate::world::{ethereum, first_block, genesis_file};
use alloy_genesis::Genesis;
use lockstep_chain::Ethereum;
use lockstep_execution::MemoryState;
use lockstep_node::{open_folder, stored_genesis};
use lockstep_storage::{DiskStorage, GenesisBlock, Options, Storage, StorageError};
use std::{fs, path::Path};

fn open(folder: &Path) -> Result<DiskStorage<Ethereum>, StorageError> {
    open_folder(folder, &ethereum(), &genesis_file(), &first_block(), Options::default())
}

/// A chain that began at another time, as the next start of a development network would make it.
fn later() -> (Genesis, GenesisBlock<Ethereum>) {
    let mut genesis = genesis_file();
    genesis.timestamp += 60;
    let header = ethereum().genesis_header(&genesis);
    let first = GenesisBlock::new(header, MemoryState::from_genesis(&genesis)).unwrap();
    (genesis, first)
}

#[test]
fn the_genesis_is_known_before_the_chain_is_created() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing can be created where the database is to be.
    fs::write(folder.path().join("db"), []).unwrap();
    assert!(matches!(open(folder.path()), Err(StorageError::Io { .. })));
    assert_eq!(stored_genesis(folder.path()).unwrap(), Some(genesis_file()));
    fs::remove_file(folder.path().join("db")).unwrap();
    let storage = open(folder.path()).unwrap();
    assert_eq!(storage.snapshot().unwrap().tip().hash, first_block::<Ethereum>().block().seal());
}

#[test]
fn a_folder_with_a_genesis_and_no_chain_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    for part in ["db", "static", "log"] {
        fs::remove_dir_all(folder.path().join(part)).unwrap();
    }
    assert_eq!(open(folder.path()).unwrap().snapshot().unwrap().tip().number, 0);
}

#[test]
fn the_genesis_of_a_chain_that_is_there_is_not_replaced_by_anothers() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let (genesis, first) = later();
    let refused = open_folder(folder.path(), &ethereum(), &genesis, &first, Options::default());
    assert!(matches!(refused, Err(StorageError::Unusable { .. })), "{refused:?}");
    assert_eq!(stored_genesis(folder.path()).unwrap(), Some(genesis_file()));
    open(folder.path()).unwrap();
}

/// Forks that lie ahead are added to genesis files.
#[test]
fn the_genesis_follows_the_one_that_is_given() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let mut genesis = genesis_file();
    genesis.config.prague_time = Some(u64::MAX);
    let chain = Ethereum::from_genesis(&genesis).unwrap();
    open_folder(folder.path(), &chain, &genesis, &first_block(), Options::default()).unwrap();
    assert_eq!(stored_genesis(folder.path()).unwrap(), Some(genesis));
}
