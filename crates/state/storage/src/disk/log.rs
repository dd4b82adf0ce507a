//! The log: what was acknowledged and is not yet in the database.
//!
//! A segment file is a header and records. A record is written by one call and so survives the
//! end of the process; nothing waits for the disk. Each append begins a new segment, and syncs the
//! one that it closes. A segment goes when all its blocks are [`KEPT_BLOCKS`] below the tip: until
//! then some of them may be beside the stored chain, acknowledged, and chosen yet. Segments of
//! earlier lives are only read.

mod format;
#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod segment;

use crate::{
    ForkChoice, LogEntry, LoggedEntry, Options, StorageError, SyncPolicy, WriteOperation,
    db::{Identity, Position},
};
use format::{Record, encode_record};
use lockstep_chain::Chain;
use parking_lot::Mutex;
use segment::{Found, LogFile};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Blocks stay in the log until they are this far below what was the tip before the newest append.
/// No reorg that is still likely is deeper.
const KEPT_BLOCKS: u64 = 64;

/// The newest segments may have lost their ends in a failure of power: the one that is written, and
/// the one that is closed and about to be synced.
const UNSYNCED_SEGMENTS: usize = 2;

/// The longest record, in bytes.
const MAX_RECORD_BYTES: usize = 1 << 30;

/// The log in a folder.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    chain: u32,
    options: Options,
    inner: Mutex<Inner>,
    /// The fork choice that earlier lives ended with.
    earlier_fork_choice: Option<ForkChoice>,
}

#[derive(Debug)]
struct Inner {
    current: LogFile,
    /// Older segments, of this life and earlier ones.
    older: Vec<Found>,
    /// The newest fork choice that was logged or carried over.
    fork_choice: Option<ForkChoice>,
    /// The first segment of this life.
    first_of_life: u64,
}

impl Log {
    /// Reads what earlier lives left, and begins a segment.
    pub(super) fn open(
        folder: &Path,
        identity: &Identity,
        position: &Position,
        options: &Options,
    ) -> Result<Self, StorageError> {
        let failed =
            |operation, source| StorageError::Io { operation, path: folder.into(), source };
        fs::create_dir_all(folder).map_err(|error| failed("create", error))?;
        let chain = u32::from_le_bytes(*identity.genesis.hash.first_chunk().unwrap_or(&[0; 4]));
        let mut older = Vec::new();
        let mut fork_choice = None;
        let numbers = segment::list(folder)?;
        let synced = numbers.len().saturating_sub(UNSYNCED_SEGMENTS);
        for (index, number) in numbers.iter().enumerate() {
            let may_lack_end = index >= synced;
            let found = segment::scan(folder, *number, chain, may_lack_end)?;
            let Some(mut found) = found else { continue };
            if may_lack_end && options.sync == SyncPolicy::EveryAppend {
                let synced = File::open(&found.path).and_then(|file| file.sync_data());
                synced.map_err(|error| failed("sync", error))?;
            }
            fork_choice = found.fork_choice.take().or(fork_choice);
            older.push(found);
        }
        let number = numbers.last().map_or(0, |last| last + 1);
        let log = Self {
            folder: folder.into(),
            chain,
            options: options.clone(),
            inner: Mutex::new(Inner {
                current: LogFile::create(folder, number, chain)?,
                older,
                fork_choice,
                first_of_life: number,
            }),
            earlier_fork_choice: fork_choice,
        };
        if let Some(choice) = fork_choice {
            log.write_record(&mut log.inner.lock(), &Record::ForkChoice(choice))?;
        }
        // A choice that is not persisted may be of a branch far below the tip of the stored chain.
        // Its blocks go with the next append.
        if fork_choice.is_none_or(|choice| choice == position.fork_choice) {
            log.remove_persisted(number, position.tip.number);
        }
        Ok(log)
    }

    /// Writes an entry down.
    pub(super) fn write<C: Chain>(&self, entry: &LogEntry<C>) -> Result<(), StorageError> {
        let record = match entry {
            LogEntry::Block(block) => Record::Block {
                number: block.number(),
                hash: block.hash(),
                rlp: alloy_rlp::encode(&*block.block).into(),
            },
            LogEntry::ForkChoice(choice) => Record::ForkChoice(*choice),
        };
        let mut inner = self.inner.lock();
        self.write_record(&mut inner, &record)?;
        match record {
            Record::Block { number, .. } => {
                let newest = inner.current.newest_block.map_or(number, |old| old.max(number));
                inner.current.newest_block = Some(newest);
            }
            Record::ForkChoice(choice) => inner.fork_choice = Some(choice),
        }
        Ok(())
    }

    fn write_record(&self, inner: &mut Inner, record: &Record) -> Result<(), StorageError> {
        let current = &mut inner.current;
        let frame = encode_record(record, current.number, current.records).ok_or_else(|| {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "the log entry is too long");
            StorageError::Io { operation: "write", path: current.path.clone(), source }
        })?;
        let operation = WriteOperation::Write(frame.len());
        let admitted = self.options.gate.admit(operation, &current.path);
        current.append(&frame, admitted)
    }

    /// The segment that is written now. What an append may remove is older than its beginning:
    /// what is logged while it is under way may be of a branch that it does not know of.
    pub(super) fn mark(&self) -> u64 {
        self.inner.lock().current.number
    }

    /// Begins a new segment after an append, and removes what is not needed: segments older than
    /// `mark`, taken before the append, with no block near `tip`, the newest before it.
    ///
    /// The chain is right without this, so failures are only reported.
    pub(super) fn rotate(&self, mark: u64, tip: u64) {
        match self.begin_segment() {
            Ok(Some(closed)) if self.options.sync == SyncPolicy::EveryAppend => {
                if let Err(error) = self.sync(&closed) {
                    tracing::warn!(%error, "a failure of power may cut off the log");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the log goes on in its old segment"),
        }
        self.remove_persisted(mark, tip);
    }

    /// Waits until a closed segment is on the disk, and its name in the folder.
    fn sync(&self, closed: &File) -> Result<(), StorageError> {
        let admitted = self.options.gate.admit(WriteOperation::Sync, &self.folder);
        admitted
            .map_err(|(_, error)| error)
            .and_then(|()| closed.sync_data())
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(|source| StorageError::Io {
                operation: "sync",
                path: self.folder.clone(),
                source,
            })
    }

    /// Returns the file that was closed, if one was.
    fn begin_segment(&self) -> Result<Option<File>, StorageError> {
        let mut inner = self.inner.lock();
        if inner.current.newest_block.is_none() && !inner.current.is_broken {
            return Ok(None);
        }
        let number = inner.current.number + 1;
        let new = LogFile::create(&self.folder, number, self.chain)?;
        let old = std::mem::replace(&mut inner.current, new);
        if let Some(choice) = inner.fork_choice
            && let Err(error) = self.write_record(&mut inner, &Record::ForkChoice(choice))
        {
            // The new segment lacks the fork choice, so the old one must go on.
            let new = std::mem::replace(&mut inner.current, old);
            let _ = fs::remove_file(&new.path);
            return Err(error);
        }
        let (found, file) = old.close();
        inner.older.push(found);
        Ok(Some(file))
    }

    fn remove_persisted(&self, mark: u64, tip: u64) {
        let removed: Vec<Found> = {
            let mut inner = self.inner.lock();
            let is_old = |newest: u64| newest.saturating_add(KEPT_BLOCKS) <= tip;
            let is_persisted =
                |found: &mut Found| found.number < mark && found.newest_block.is_none_or(is_old);
            inner.older.extract_if(.., is_persisted).collect()
        };
        for found in removed {
            if let Err(error) = fs::remove_file(&found.path) {
                tracing::warn!(path = %found.path.display(), %error, "a log file remains");
            }
        }
    }

    /// What earlier lives left, oldest first.
    pub(super) fn earlier_entries<C: Chain>(&self) -> Result<Vec<LoggedEntry<C>>, StorageError> {
        let paths: Vec<(u64, PathBuf)> = {
            let inner = self.inner.lock();
            let is_earlier = |found: &&Found| found.number < inner.first_of_life;
            inner.older.iter().filter(is_earlier).map(|f| (f.number, f.path.clone())).collect()
        };
        let mut entries = Vec::new();
        for (number, path) in paths {
            segment::read(&path, number, self.chain, |record| {
                entries.push(match record {
                    Record::ForkChoice(choice) => LoggedEntry::ForkChoice(choice),
                    Record::Block { hash, rlp, .. } => {
                        LoggedEntry::Block(format::decode_logged::<C>(hash, &rlp)?)
                    }
                });
                Ok(())
            })?;
        }
        let last = entries.iter().rev().find_map(|entry| match entry {
            LoggedEntry::ForkChoice(choice) => Some(*choice),
            LoggedEntry::Block(_) => None,
        });
        // Its file may be gone, and those that remain name older ones.
        if let Some(choice) = self.earlier_fork_choice
            && last != Some(choice)
        {
            entries.push(LoggedEntry::ForkChoice(choice));
        }
        Ok(entries)
    }

    /// Files and bytes.
    pub(super) fn size(&self) -> Result<(u64, u64), StorageError> {
        let mut bytes = 0;
        let numbers = segment::list(&self.folder)?;
        for number in &numbers {
            let path = self.folder.join(segment::file_name(*number));
            match fs::metadata(&path) {
                Ok(metadata) => bytes += metadata.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(StorageError::Io { operation: "measure", path, source }),
            }
        }
        Ok((numbers.len() as u64, bytes))
    }
}
