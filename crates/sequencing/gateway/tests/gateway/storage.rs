//! A chain in memory that outlives its engine, and whose log can be made to fail.

use lockstep_chain::Rollup;
use lockstep_storage::{
    ExecutedBlock, ForkChoice, GenesisBlock, LogEntry, LoggedEntry, MemoryStorage, Snapshot,
    Storage, StorageError,
};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

#[derive(Debug)]
pub(crate) struct Kept {
    inner: MemoryStorage<Rollup>,
    log: Mutex<Vec<LogEntry<Rollup>>>,
    /// No block can be written down.
    pub(crate) fails_blocks: AtomicBool,
    /// No choice of a head can be written down.
    pub(crate) fails_choices: AtomicBool,
}

impl Kept {
    pub(crate) fn new(genesis: &GenesisBlock<Rollup>) -> Self {
        Self {
            inner: MemoryStorage::new(genesis),
            log: Mutex::default(),
            fails_blocks: AtomicBool::default(),
            fails_choices: AtomicBool::default(),
        }
    }

    /// The power fails: so many of the newest blocks are lost, and what was written after the first of them.
    pub(crate) fn lose(&self, blocks: u64) {
        let mut log = self.log.lock();
        for _ in 0..blocks {
            while log.pop().is_some_and(|entry| !matches!(entry, LogEntry::Block(_))) {}
        }
    }

    pub(crate) fn repair(&self) {
        self.fails_blocks.store(false, Ordering::SeqCst);
        self.fails_choices.store(false, Ordering::SeqCst);
    }
}

impl Storage<Rollup> for Kept {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot<Rollup>>, StorageError> {
        self.inner.snapshot()
    }

    fn append(
        &self,
        blocks: &[Arc<ExecutedBlock<Rollup>>],
        fork_choice: ForkChoice,
    ) -> Result<(), StorageError> {
        self.inner.append(blocks, fork_choice)?;
        // What is stored is not in the log any more.
        let stored = blocks.last().map_or(0, |last| last.block.number());
        self.log.lock().retain(|entry| match entry {
            LogEntry::Block(block) => block.block.header.number > stored,
            LogEntry::ForkChoice(_) => true,
        });
        Ok(())
    }

    fn unwind(&self, number: u64) -> Result<(), StorageError> {
        self.inner.unwind(number)
    }

    fn log(&self, entry: &LogEntry<Rollup>) -> Result<(), StorageError> {
        let fails = match entry {
            LogEntry::Block(_) => &self.fails_blocks,
            LogEntry::ForkChoice(_) => &self.fails_choices,
        };
        if fails.load(Ordering::SeqCst) {
            return Err(StorageError::Io {
                operation: "write",
                path: "test".into(),
                source: std::io::ErrorKind::StorageFull.into(),
            });
        }
        self.log.lock().push(entry.clone());
        Ok(())
    }

    fn logged(&self) -> Result<Vec<LoggedEntry<Rollup>>, StorageError> {
        let entries = self.log.lock();
        let entries = entries.iter().map(|entry| match entry {
            LogEntry::Block(block) => LoggedEntry::Block(block.block.clone()),
            LogEntry::ForkChoice(choice) => LoggedEntry::ForkChoice(*choice),
        });
        Ok(entries.collect())
    }
}
