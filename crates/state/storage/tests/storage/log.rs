//! What was acknowledged survives the process.

use crate::{
    compare::assert_holds,
    faults::Faulty,
    forge::{Forge, options},
};
use alloy_primitives::B256;
use lockstep_chain::Ethereum;
use lockstep_storage::{
    DiskStorage, ErrorClass, ForkChoice, LogEntry, LoggedEntry, Options, Storage, StorageError,
    SyncPolicy, WriteGate, WriteOperation,
};
use parking_lot::Mutex;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// An entry, without what is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Block(B256),
    Choice(ForkChoice),
}

fn logged(storage: &DiskStorage<Ethereum>) -> Vec<Entry> {
    let entries = storage.logged().unwrap_or_else(|error| panic!("the log is readable: {error}"));
    let entry = |entry: &LoggedEntry<Ethereum>| match entry {
        LoggedEntry::Block(block) => Entry::Block(block.seal()),
        LoggedEntry::ForkChoice(choice) => Entry::Choice(*choice),
    };
    entries.iter().map(entry).collect()
}

fn log_block(storage: &DiskStorage<Ethereum>, forge: &Forge, number: u64) {
    let block = Arc::clone(&forge.executed(number, number)[0].block);
    storage.log(&LogEntry::Block(block)).expect("the disk has room");
}

fn log_choice(storage: &DiskStorage<Ethereum>, forge: &Forge, number: u64) {
    let choice = LogEntry::ForkChoice(forge.fork_choice(number));
    storage.log(&choice).expect("the disk has room");
}

fn block(forge: &Forge, number: u64) -> Entry {
    Entry::Block(forge.header(number).seal())
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("log")).expect("the log is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths
}

#[test]
fn what_was_logged_and_not_persisted_comes_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(6);
    let disk = forge.disk(folder.path(), options());
    (1..=4).for_each(|number| log_block(&disk, &forge, number));
    log_choice(&disk, &forge, 3);
    assert!(logged(&disk).is_empty(), "this life's entries are not those of earlier ones");
    drop(disk);

    let disk = forge.disk(folder.path(), options());
    let mut expected: Vec<Entry> = (1..=4).map(|number| block(&forge, number)).collect();
    expected.push(Entry::Choice(forge.fork_choice(3)));
    assert_eq!(logged(&disk), expected);
    disk.append(&forge.executed(1, 2), forge.fork_choice(2)).unwrap();
    log_block(&disk, &forge, 5);
    log_choice(&disk, &forge, 5);
    drop(disk);

    let disk = forge.disk(folder.path(), options());
    let expected = [
        block(&forge, 3),
        block(&forge, 4),
        Entry::Choice(forge.fork_choice(3)),
        Entry::Choice(forge.fork_choice(3)),
        block(&forge, 5),
        Entry::Choice(forge.fork_choice(5)),
    ];
    let found = logged(&disk);
    let blocks = |entries: &[Entry]| -> Vec<Entry> {
        entries.iter().filter(|entry| matches!(entry, Entry::Block(_))).cloned().collect()
    };
    assert_eq!(blocks(&found), blocks(&expected));
    assert_eq!(found.last(), expected.last());
    assert_holds(&disk, &forge.prefix(2));
}

#[test]
fn segments_go_when_their_blocks_are_far_below_the_tip_and_the_fork_choice_stays() {
    const KEPT: u64 = 64;
    const NEWEST: u64 = KEPT + 8;
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(NEWEST);
    let mut disk = forge.disk(folder.path(), options());
    let limit = usize::try_from(KEPT).unwrap() + 4;
    for number in 1..=NEWEST {
        log_block(&disk, &forge, number);
        log_choice(&disk, &forge, number);
        // One block behind, as an engine persists.
        if number > 1 {
            disk.append(&forge.executed(number - 1, number - 1), forge.fork_choice(1)).unwrap();
        }
        let files = files(folder.path()).len();
        assert!(files <= limit, "block {number}: {files} files");
    }
    for _ in 0..3 {
        drop(disk);
        disk = forge.disk(folder.path(), options());
        let found = logged(&disk);
        assert!(found.contains(&block(&forge, NEWEST)));
        assert!(!found.contains(&block(&forge, 1)));
        assert_eq!(found.last(), Some(&Entry::Choice(forge.fork_choice(NEWEST))));
        assert!(files(folder.path()).len() <= limit + 3);
    }
}

#[test]
fn a_persisted_fork_choice_is_not_undone_by_an_older_one_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(2);
    let disk = forge.disk(folder.path(), options());
    log_block(&disk, &forge, 1);
    log_block(&disk, &forge, 2);
    log_choice(&disk, &forge, 1);
    // The next segment begins, in which no block comes to be.
    disk.append(&forge.executed(1, 1), forge.fork_choice(1)).unwrap();
    log_choice(&disk, &forge, 2);
    disk.append(&forge.executed(2, 2), forge.fork_choice(2)).unwrap();
    drop(disk);
    for life in 0..3 {
        let disk = forge.disk(folder.path(), options());
        assert_eq!(disk.snapshot().unwrap().fork_choice(), forge.fork_choice(2));
        let found = logged(&disk);
        assert_eq!(found.last(), Some(&Entry::Choice(forge.fork_choice(2))), "life {life}");
    }
}

/// Two blocks and a fork choice in one file, and where each record ends.
fn three_records(folder: &Path) -> (Forge, PathBuf, Vec<u8>, [usize; 4]) {
    let forge = Forge::with_blocks(2);
    let disk = forge.disk(folder, options());
    let path = files(folder)[0].clone();
    let length = || fs::metadata(&path).expect("readable").len() as usize;
    let mut ends = [length(), 0, 0, 0];
    log_block(&disk, &forge, 1);
    ends[1] = length();
    log_choice(&disk, &forge, 1);
    ends[2] = length();
    log_block(&disk, &forge, 2);
    ends[3] = length();
    drop(disk);
    let bytes = fs::read(&path).expect("readable");
    (forge, path, bytes, ends)
}

/// Puts the log back as it was.
fn reset(folder: &Path, path: &Path, bytes: &[u8]) {
    for file in files(folder) {
        fs::remove_file(file).expect("removable");
    }
    fs::write(path, bytes).expect("writable");
}

#[test]
fn a_log_cut_at_any_byte_gives_every_whole_record() {
    let folder = tempfile::tempdir().unwrap();
    let (forge, path, bytes, ends) = three_records(folder.path());
    let all = [block(&forge, 1), Entry::Choice(forge.fork_choice(1)), block(&forge, 2)];
    // Every byte of what stands around the contents, a sample within.
    let is_near_end = |cut: usize| ends.iter().any(|end| end.abs_diff(cut) < 18);
    for cut in (0..=bytes.len()).filter(|cut| is_near_end(*cut) || cut % 31 == 0) {
        reset(folder.path(), &path, &bytes[..cut]);
        let disk = forge.disk(folder.path(), options());
        let whole = ends[1..].iter().filter(|end| **end <= cut).count();
        assert_eq!(logged(&disk), all[..whole], "cut at byte {cut}");
        // What is written next is not lost behind the cut.
        log_block(&disk, &forge, 2);
        drop(disk);
        let disk = forge.disk(folder.path(), options());
        let again = logged(&disk);
        assert_eq!(again[..whole], all[..whole]);
        assert!(again[whole..].contains(&block(&forge, 2)));
    }
}

#[test]
fn a_damaged_log_is_named_and_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let (forge, path, bytes, ends) = three_records(folder.path());
    let is_framing = |at: usize| ends.iter().any(|end| end.abs_diff(at) < 18);
    for at in (0..bytes.len()).filter(|at| is_framing(*at) || at % 31 == 0) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        reset(folder.path(), &path, &damaged);
        let opened = DiskStorage::open(folder.path(), &forge.chain, &forge.genesis, options());
        match opened.err() {
            Some(StorageError::Corrupt { path: named, .. }) => assert_eq!(named, path),
            other => panic!("byte {at}: {other:?}"),
        }
    }
}

#[test]
fn an_entry_that_finds_no_room_is_refused_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(3);
    let gate = Arc::new(Faulty::new());
    let with_gate = Options { gate: Arc::clone(&gate) as _, ..options() };
    let disk = forge.disk(folder.path(), with_gate);
    log_block(&disk, &forge, 1);
    for written in [0, 1, 20, 300] {
        gate.fail_after(0, written);
        let refused = disk.log(&LogEntry::Block(Arc::clone(&forge.executed(2, 2)[0].block)));
        assert_eq!(refused.unwrap_err().class(), ErrorClass::Temporary);
        gate.never_fail();
    }
    log_block(&disk, &forge, 3);
    drop(disk);
    let disk = forge.disk(folder.path(), options());
    assert_eq!(logged(&disk), [block(&forge, 1), block(&forge, 3)]);
}

/// Opens the folder with this log file, as after a failure of power.
fn after_power_failure(folder: &Path, forge: &Forge, path: &Path, bytes: &[u8]) -> Vec<Entry> {
    reset(folder, path, bytes);
    let disk = forge.disk(folder, options());
    let found = logged(&disk);
    // What is written next is not lost behind the cut.
    log_block(&disk, forge, 2);
    drop(disk);
    let disk = forge.disk(folder, options());
    assert!(logged(&disk).contains(&block(forge, 2)));
    found
}

#[test]
fn a_log_whose_end_never_reached_the_disk_gives_every_whole_record() {
    let folder = tempfile::tempdir().unwrap();
    let (forge, path, bytes, ends) = three_records(folder.path());
    let all = [block(&forge, 1), Entry::Choice(forge.fork_choice(1)), block(&forge, 2)];
    // The file has its length, and zeros from the end of a record or from the edge of a sector on.
    let edges = (512..bytes.len()).step_by(512);
    for zeros in edges.chain(ends).chain([0]) {
        let mut damaged = bytes.clone();
        damaged[zeros..].fill(0);
        damaged.extend([0; 4096]);
        let whole = ends[1..].iter().filter(|end| **end <= zeros).count();
        let found = after_power_failure(folder.path(), &forge, &path, &damaged);
        assert_eq!(found, all[..whole], "zeros from byte {zeros}");
    }
}

#[test]
fn only_segments_that_were_not_synced_may_lack_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(5);
    let disk = forge.disk(folder.path(), options());
    for number in 1..=4 {
        log_block(&disk, &forge, number);
        disk.append(&forge.executed(number, number), forge.fork_choice(number)).unwrap();
    }
    log_block(&disk, &forge, 5);
    drop(disk);
    let files = files(folder.path());
    for (index, path) in files.iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        let mut damaged = bytes.clone();
        let end = damaged.len() - 1;
        damaged[end - 40..].fill(0);
        damaged.extend([0; 1024]);
        fs::write(path, damaged).unwrap();
        let opened = DiskStorage::open(folder.path(), &forge.chain, &forge.genesis, options());
        if index + 2 < files.len() {
            let error = opened.unwrap_err();
            assert!(matches!(&error, StorageError::Corrupt { path: at, .. } if at == path));
            assert!(error.to_string().contains("move this file away"), "{error}");
        } else {
            // Opening begins a segment and so closes those there were.
            opened.unwrap();
            return;
        }
        fs::write(path, bytes).unwrap();
    }
    panic!("no segment was unsynced");
}

/// Does something once, in the middle of an append.
#[derive(Default)]
struct DuringAppend(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl WriteGate for DuringAppend {
    fn admit(&self, operation: WriteOperation, _: &Path) -> Result<(), (usize, io::Error)> {
        let hook = match operation {
            WriteOperation::Commit => self.0.lock().take(),
            _ => None,
        };
        if let Some(hook) = hook {
            hook();
        }
        Ok(())
    }
}

#[test]
fn what_is_logged_during_an_append_outlives_it() {
    const STORED: u64 = 6;
    let folder = tempfile::tempdir().unwrap();
    let forge = Arc::new(Forge::with_blocks(STORED + 64));
    let gate = Arc::new(DuringAppend::default());
    let with_gate = Options { gate: Arc::clone(&gate) as _, ..options() };
    let disk = Arc::new(forge.disk(folder.path(), with_gate));
    disk.append(&forge.executed(1, STORED), forge.fork_choice(STORED)).unwrap();
    let hook = {
        let (disk, forge) = (Arc::clone(&disk), Arc::clone(&forge));
        move || {
            (4..=STORED).for_each(|number| log_block(&disk, &forge, number));
            log_choice(&disk, &forge, STORED);
        }
    };
    *gate.0.lock() = Some(Box::new(hook));
    let head = forge.fork_choice(STORED + 64);
    disk.append(&forge.executed(STORED + 1, STORED + 64), head).unwrap();
    assert!(gate.0.lock().is_none());
    // The reorg that was logged goes below what the append wrote; the process ends before more.
    disk.unwind(3).unwrap();
    drop(disk);
    let disk = forge.disk(folder.path(), options());
    let found = logged(&disk);
    for number in 4..=STORED {
        assert!(found.contains(&block(&forge, number)), "block {number}");
    }
    assert_eq!(found.last(), Some(&Entry::Choice(forge.fork_choice(STORED))));
}

/// Counts how often the log is synced.
#[derive(Default)]
struct LogSyncs(AtomicUsize);

impl WriteGate for LogSyncs {
    fn admit(&self, operation: WriteOperation, path: &Path) -> Result<(), (usize, io::Error)> {
        if operation == WriteOperation::Sync && path.ends_with("log") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[test]
fn a_segment_is_synced_when_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(2);
    let gate = Arc::new(LogSyncs::default());
    let sync = SyncPolicy::EveryAppend;
    let disk =
        forge.disk(folder.path(), Options { gate: Arc::clone(&gate) as _, sync, ..options() });
    for number in 1..=2 {
        log_block(&disk, &forge, number);
        disk.append(&forge.executed(number, number), forge.fork_choice(number)).unwrap();
        assert_eq!(gate.0.load(Ordering::SeqCst) as u64, number);
    }
}
