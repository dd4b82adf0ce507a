//! A disk that refuses: nothing has changed, and it works again when the disk does.

use crate::{
    compare::{assert_holds, assert_sound},
    forge::{Forge, options},
};
use lockstep_storage::{
    ErrorClass, Options, Storage, StorageError, SyncPolicy, WriteGate, WriteOperation,
};
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

/// Fails one operation.
pub(crate) struct Faulty {
    left: AtomicI64,
    written: AtomicUsize,
}

impl Faulty {
    pub(crate) fn new() -> Self {
        Self { left: AtomicI64::new(i64::MAX), written: AtomicUsize::new(0) }
    }

    /// After `operations` more, the next one fails, with this many bytes written.
    pub(crate) fn fail_after(&self, operations: i64, written: usize) {
        self.left.store(operations, Ordering::SeqCst);
        self.written.store(written, Ordering::SeqCst);
    }

    pub(crate) fn never_fail(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }
}

impl WriteGate for Faulty {
    fn admit(&self, _: WriteOperation, _: &Path) -> Result<(), (usize, io::Error)> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            let full = io::Error::new(io::ErrorKind::StorageFull, "no space left on device");
            return Err((self.written.load(Ordering::SeqCst), full));
        }
        Ok(())
    }
}

#[test]
fn an_append_that_fails_anywhere_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut forge = Forge::with_blocks(12);
    let gate = Arc::new(Faulty::new());
    let with_gate =
        || Options { gate: Arc::clone(&gate) as _, sync: SyncPolicy::EveryAppend, ..options() };
    let mut disk = forge.disk(folder.path(), with_gate());
    disk.append(&forge.executed(1, 3), forge.fork_choice(3)).unwrap();
    let before = forge.prefix(3);
    for written in [0, 1, 50, usize::MAX] {
        let mut failures = 0;
        loop {
            gate.fail_after(failures, written);
            // Over the end of a segment, so that new files are made.
            let appended = disk.append(&forge.executed(4, 8), forge.fork_choice(8));
            gate.never_fail();
            let Err(error) = appended else { break };
            assert_eq!(error.class(), ErrorClass::Temporary, "{error}");
            assert_holds(&disk, &before);
            if failures % 5 == 0 {
                drop(disk);
                disk = forge.disk(folder.path(), with_gate());
                assert_sound(&disk, &before);
            }
            failures += 1;
        }
        // Two writes and two syncs per file, the headers of new files, and the commit.
        assert!(failures > 40, "only {failures} operations could fail");
        disk.unwind(3).unwrap();
    }
    disk.append(&forge.executed(4, 12), forge.fork_choice(12)).unwrap();
    assert_holds(&disk, &forge);
    assert_sound(&disk, &forge);

    gate.fail_after(0, 0);
    assert!(matches!(disk.unwind(2), Err(StorageError::Io { .. })));
    gate.never_fail();
    assert_holds(&disk, &forge);
    disk.unwind(2).unwrap();
    forge.rewind(2);
    assert_holds(&disk, &forge);
}

#[test]
fn an_unwind_that_fails_between_two_steps_leaves_a_shorter_chain() {
    const BLOCKS: u64 = 23;
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(BLOCKS);
    let gate = Arc::new(Faulty::new());
    let open = || {
        let gate = Arc::clone(&gate) as _;
        forge.disk(folder.path(), Options { gate, unwind_blocks: 4, ..options() })
    };
    let mut disk = open();
    disk.append(&forge.executed(1, BLOCKS), forge.fork_choice(BLOCKS)).unwrap();
    for steps in 0..5 {
        let snapshot = disk.snapshot().unwrap();
        gate.fail_after(steps, 0);
        assert_eq!(disk.unwind(2).unwrap_err().class(), ErrorClass::Temporary);
        gate.never_fail();
        assert_eq!(snapshot.tip().number, BLOCKS, "a snapshot sees no step");
        drop(snapshot);
        let left = BLOCKS - 4 * steps as u64;
        assert_holds(&disk, &forge.prefix(left));
        drop(disk);
        disk = open();
        assert_sound(&disk, &forge.prefix(left));
        if left < BLOCKS {
            disk.append(&forge.executed(left + 1, BLOCKS), forge.fork_choice(BLOCKS)).unwrap();
        }
        assert_holds(&disk, &forge);
    }
    disk.unwind(2).unwrap();
    assert_holds(&disk, &forge.prefix(2));
    assert_sound(&disk, &forge.prefix(2));
}
