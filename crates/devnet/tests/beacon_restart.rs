//! Stopping, killing and starting again.

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail this way"
)]

mod common;

use alloy_primitives::B256;
use common::{FakeEngine, config, genesis, open, run, start};
use lockstep_devnet::{
    beacon::{
        BeaconConfig, BeaconError, BlockId, DevBeacon, Preset, Replacement, StoreError,
        StoreOptions,
    },
    ssz::Ssz,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn stored(folder: &Path, preset: &'static Preset) -> BeaconConfig {
    let mut config = config(preset);
    config.store = Some(StoreOptions { folder: folder.into(), flush: false });
    config.limits.snapshot_interval = 40;
    config
}

fn try_open(
    config: BeaconConfig,
    engine: &FakeEngine,
) -> Result<DevBeacon<FakeEngine>, BeaconError> {
    DevBeacon::open(config, engine.clone(), &genesis(), genesis().hash_slow())
}

fn files(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix))
        .collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_chain_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let config = stored(folder.path(), &Preset::MINIMAL);
    let (mut beacon, engine) = start(config.clone());
    // A twin that never stops: stopping must not change anything.
    let (mut twin, _) = start(common::config(&Preset::MINIMAL));
    for slots in [1, 5, 30, 7, 100, 64, 3] {
        run(&mut beacon, slots);
        run(&mut twin, slots);
        let (head, finalized) = (beacon.view().head(), beacon.view().finalized());
        drop(beacon);
        beacon = open(config.clone(), &engine);
        let again = beacon.view().head();
        assert_eq!(again.root, head.root);
        assert_eq!(again.state.encode(&Preset::MINIMAL), head.state.encode(&Preset::MINIMAL));
        assert_eq!(again.root, twin.view().head().root);
        assert_eq!(beacon.view().finalized(), finalized);
        assert_eq!(engine.state().head_block_hash, head.payload_hash());
    }
    // Old blocks come from disk.
    for slot in 1..=beacon.slot() {
        let found = beacon.view().block(BlockId::Slot(slot)).unwrap().unwrap();
        assert_eq!(found.block.message.root(&Preset::MINIMAL), found.root);
        assert!(found.canonical);
    }
    assert!(files(folder.path(), "state-").len() <= 2, "old snapshots are deleted");
}

#[test]
fn an_engine_that_lost_blocks_gets_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = stored(folder.path(), &Preset::MINIMAL);
    let (mut beacon, engine) = start(config.clone());
    run(&mut beacon, 150);
    let head = beacon.view().head();
    for kept in [149, 120, 80, 1, 0] {
        drop(beacon);
        engine.forget_above(kept);
        beacon = open(config.clone(), &engine);
        assert_eq!(beacon.view().head().root, head.root);
        assert_eq!(engine.state().head_block_hash, head.payload_hash());
        assert_eq!(engine.known(), 151, "all blocks and genesis, after {kept} were kept");
    }
    run(&mut beacon, 10);
}

#[test]
fn an_engine_of_another_chain_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = stored(folder.path(), &Preset::MINIMAL);
    let (mut beacon, _) = start(config.clone());
    run(&mut beacon, 20);
    drop(beacon);
    let mut other = genesis();
    other.gas_limit += 1;
    let error = try_open(config, &FakeEngine::new(&other)).unwrap_err();
    assert!(matches!(error, BeaconError::EngineBehind { slot: 1, .. }), "{error}");
}

#[test]
fn a_chain_that_reorganised_comes_back_on_its_last_branch() {
    let folder = tempfile::tempdir().unwrap();
    let config = stored(folder.path(), &Preset::MINIMAL);
    let (mut beacon, engine) = start(config.clone());
    run(&mut beacon, 60);
    for depth in [1, 5, 9] {
        beacon.reorg(depth, Replacement::SameSlots).unwrap();
        run(&mut beacon, 2);
        beacon.reorg(2, Replacement::OneBlock).unwrap();
        let head = beacon.view().head();
        let canonical: Vec<_> =
            (0..=head.slot()).map(|slot| beacon.view().root(BlockId::Slot(slot))).collect();
        drop(beacon);
        beacon = open(config.clone(), &engine);
        assert_eq!(beacon.view().head().root, head.root);
        let again: Vec<_> =
            (0..=head.slot()).map(|slot| beacon.view().root(BlockId::Slot(slot))).collect();
        assert_eq!(again, canonical);
    }
}

/// A kill may cut the log at any byte: what is whole before the cut comes back, and the chain goes on.
#[test]
fn a_log_cut_at_any_byte_opens() {
    let (folder, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut beacon, _) = start(stored(folder.path(), &Preset::MINIMAL));
    run(&mut beacon, 6);
    let roots: Vec<B256> =
        (0..=6).map(|slot| beacon.view().root(BlockId::Slot(slot)).unwrap()).collect();
    drop(beacon);
    let log = fs::read(&files(folder.path(), "blocks-")[0]).unwrap();
    let mut seen = vec![false; 7];
    for cut in (0..=log.len()).step_by(29).chain([log.len()]) {
        let target = copied.path().join(cut.to_string());
        copy(folder.path(), &target);
        fs::write(&files(&target, "blocks-")[0], &log[..cut]).unwrap();
        let engine = FakeEngine::new(&genesis());
        let mut beacon = open(stored(&target, &Preset::MINIMAL), &engine);
        let head = beacon.view().head();
        assert_eq!(head.root, roots[head.slot() as usize]);
        seen[head.slot() as usize] = true;
        run(&mut beacon, 2);
        drop(beacon);
        let again = open(stored(&target, &Preset::MINIMAL), &engine);
        assert_eq!(again.view().head().slot(), head.slot() + 2);
        drop(again);
        fs::remove_dir_all(&target).unwrap();
    }
    assert!(seen.into_iter().all(|seen| seen), "every number of blocks has been cut to");
}

/// Every flipped bit is either named, or in a torn tail that is dropped; nothing wrong is served.
#[test]
fn flipped_bits_are_named_and_never_served() {
    let (folder, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut beacon, _) = start(stored(folder.path(), &Preset::MINIMAL));
    run(&mut beacon, 4);
    let roots: Vec<B256> =
        (0..=4).map(|slot| beacon.view().root(BlockId::Slot(slot)).unwrap()).collect();
    drop(beacon);
    let log = fs::read(&files(folder.path(), "blocks-")[0]).unwrap();
    let mut named = 0;
    for (round, place) in (0..log.len()).step_by(37).enumerate() {
        let target = copied.path().join(place.to_string());
        copy(folder.path(), &target);
        let mut damaged = log.clone();
        damaged[place] ^= 1 << (round % 8);
        fs::write(&files(&target, "blocks-")[0], damaged).unwrap();
        match try_open(stored(&target, &Preset::MINIMAL), &FakeEngine::new(&genesis())) {
            Ok(beacon) => {
                let head = beacon.view().head();
                assert_eq!(head.slot(), 3, "only the last record may be dropped");
                assert_eq!(head.root, roots[3]);
            }
            Err(BeaconError::Store(error @ StoreError::Corrupt { .. })) => {
                assert!(error.to_string().contains("blocks-0000000000.log"), "{error}");
                named += 1;
            }
            Err(error) => panic!("byte {place}: {error}"),
        }
        fs::remove_dir_all(&target).unwrap();
    }
    assert!(named > 0);
}

#[test]
fn a_damaged_snapshot_is_skipped_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = stored(folder.path(), &Preset::MINIMAL);
    let (mut beacon, engine) = start(config.clone());
    run(&mut beacon, 200);
    let head = beacon.view().head();
    drop(beacon);
    let snapshots = files(folder.path(), "state-");
    assert_eq!(snapshots.len(), 2);
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    flip(&snapshots[1]);
    let beacon = open(config.clone(), &engine);
    assert_eq!(beacon.view().head().root, head.root);
    drop(beacon);
    flip(&snapshots[0]);
    let error = try_open(config, &engine).unwrap_err();
    assert!(error.to_string().contains("state-"), "{error}");
}

#[test]
fn a_folder_has_one_user_and_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let config = stored(folder.path(), &Preset::MINIMAL);
    let (beacon, engine) = start(config.clone());
    let error = try_open(config.clone(), &engine).unwrap_err();
    assert!(matches!(error, BeaconError::Store(StoreError::InUse { .. })), "{error}");
    drop(beacon);
    let mut other = config.clone();
    other.validators.count = 32;
    let error = try_open(other, &engine).unwrap_err();
    assert!(matches!(error, BeaconError::Store(StoreError::OtherChain { .. })), "{error}");
    fs::write(folder.path().join("chain"), b"LSBEACON").unwrap();
    let error = try_open(config, &engine).unwrap_err();
    assert!(matches!(error, BeaconError::Store(StoreError::Corrupt { .. })), "{error}");
}

#[test]
fn what_is_kept_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = stored(folder.path(), &Preset::MINIMAL);
    config.limits.history = 1500;
    config.limits.states = 100;
    let (mut beacon, engine) = start(config.clone());
    run(&mut beacon, 5000);
    let view = beacon.view();
    assert!(view.block(BlockId::Slot(5000 - 1500 + 10)).unwrap().is_some());
    assert!(view.block(BlockId::Slot(5000 - 1500 - 10)).unwrap().is_none());
    assert!(view.block(BlockId::Genesis).unwrap().is_some());
    assert!(view.state(BlockId::Slot(4950)).is_some());
    assert!(view.state(BlockId::Slot(4800)).is_none());
    // Segments hold 1024 blocks: the 1500 that are kept, and at most one more segment.
    assert!(files(folder.path(), "blocks-").len() <= 3);
    let head = view.head().root;
    drop((view, beacon));
    assert_eq!(open(config, &engine).view().head().root, head);
}
