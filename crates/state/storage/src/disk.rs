//! A chain on disk.

mod append;
mod cache;
mod changes;
mod check;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod genesis;
mod lock;
mod log;
mod measure;
mod open;
mod rows;
mod snapshot;
mod stats;
mod unwind;
mod view;

use crate::{
    ExecutedBlock, ForkChoice, LogEntry, LoggedEntry, Options, Snapshot, Storage, StorageError,
    db::{Environment, Identity},
    files::StaticFiles,
};
use alloy_primitives::B256;
use cache::Cache;
use changes::ChangeSet;
use lock::FolderLock;
use lockstep_chain::Chain;
use lockstep_execution::{Bytecode, Execute};
use log::Log;
use measure::Measure;
use parking_lot::Mutex;
use snapshot::DiskSnapshot;
use std::{
    marker::PhantomData,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

pub use check::{CheckOptions, CheckProgress, CheckReport, Problem};
pub use stats::{LogStats, StorageStats, TableStats};

/// The version of the format that this crate writes. `docs/storage.md` describes it.
pub const FORMAT_VERSION: u32 = 1;

/// Keeps a chain in a folder: an MDBX database, static files, and the log of what is not yet in
/// them.
///
/// One process at a time may use a folder; within it, use one value from any number of threads.
/// The folder is free again when the storage and every [`Snapshot`] of it are gone.
#[derive(Debug)]
pub struct DiskStorage<C: Chain> {
    shared: Arc<Shared>,
    /// Held while blocks are appended or taken back.
    writer: Mutex<()>,
    log: Log,
    chain: PhantomData<fn() -> C>,
}

/// What storage and snapshots share.
#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    environment: Environment,
    files: StaticFiles,
    identity: Identity,
    options: Options,
    /// Counts unwinds. A snapshot from before an unwind cannot read what was taken back.
    unwinds: AtomicU64,
    changes: Cache<(u64, B256), Arc<ChangeSet>>,
    codes: Cache<B256, Bytecode>,
    measure: Measure,
    /// Held until the last use of the folder, which may be a snapshot's. Dropped last.
    _lock: FolderLock,
}

impl<C: Chain> DiskStorage<C> {
    /// The EIP-155 id of the chain in the folder.
    pub fn chain_id(&self) -> u64 {
        self.shared.identity.chain_id
    }

    fn disk_snapshot(&self) -> Result<DiskSnapshot<C>, StorageError> {
        DiskSnapshot::new(Arc::clone(&self.shared))
    }
}

impl<C: Execute> Storage<C> for DiskStorage<C> {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot<C>>, StorageError> {
        Ok(Arc::new(self.disk_snapshot()?))
    }

    fn append(
        &self,
        blocks: &[Arc<ExecutedBlock<C>>],
        fork_choice: ForkChoice,
    ) -> Result<(), StorageError> {
        let _writing = self.writer.lock();
        let before = self.log.mark();
        let tip_before = append::append(&self.shared, blocks, fork_choice)?;
        self.log.rotate(before, tip_before.number);
        Ok(())
    }

    fn unwind(&self, number: u64) -> Result<(), StorageError> {
        let _writing = self.writer.lock();
        unwind::unwind::<C>(&self.shared, number)
    }

    fn log(&self, entry: &LogEntry<C>) -> Result<(), StorageError> {
        self.log.write(entry)
    }

    fn logged(&self) -> Result<Vec<LoggedEntry<C>>, StorageError> {
        let snapshot = self.disk_snapshot()?;
        let mut entries = self.log.earlier_entries::<C>()?;
        let mut failure = None;
        entries.retain(|entry| match entry {
            LoggedEntry::ForkChoice(_) => true,
            LoggedEntry::Block(block) => match snapshot.number(&block.seal()) {
                Ok(persisted) => persisted.is_none(),
                Err(error) => {
                    failure = Some(error);
                    true
                }
            },
        });
        failure.map_or(Ok(entries), Err)
    }
}
