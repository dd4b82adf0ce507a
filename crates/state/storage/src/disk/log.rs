//! The log: what was acknowledged and is not yet in the database.
//!
//! A segment file is a header and records. A record is written by one call and so survives the
//! end of the process; nothing waits for the disk. Each append begins a new segment; a segment
//! goes when all its blocks are [`KEPT_BLOCKS`] below the tip: until then some of them may be
//! beside the stored chain, acknowledged, and chosen yet. Segments of earlier lives are only read.

mod format;
mod segment;

use crate::{
    ForkChoice, LogEntry, LoggedEntry, Options, StorageError, WriteOperation,
    db::{Identity, Position},
};
use format::{Record, encode_record};
use lockstep_chain::Chain;
use parking_lot::Mutex;
use segment::{Found, LogFile};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Blocks stay in the log until they are this far below the tip. No reorg that is still likely, and
/// no append that was under way when the fork choice changed, is deeper.
const KEPT_BLOCKS: u64 = 64;

/// The longest record, in bytes.
const MAX_RECORD_BYTES: usize = 1 << 30;

/// The log in a folder.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    chain: u32,
    options: Options,
    inner: Mutex<Inner>,
    /// The fork choice that earlier lives ended with, if it is not persisted.
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
        for number in &numbers {
            let is_last = numbers.last() == Some(number);
            let Some(mut found) = segment::scan(folder, *number, chain, is_last)? else { continue };
            fork_choice = found.fork_choice.take().or(fork_choice);
            older.push(found);
        }
        let number = numbers.last().map_or(0, |last| last + 1);
        let earlier_fork_choice = fork_choice.filter(|choice| *choice != position.fork_choice);
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
            earlier_fork_choice,
        };
        if let Some(choice) = fork_choice {
            log.write_record(&mut log.inner.lock(), &Record::ForkChoice(choice))?;
        }
        // A choice that is not persisted may be of a branch far below the tip of the stored chain.
        // Its blocks go with the next append.
        if log.earlier_fork_choice.is_none() {
            log.remove_persisted(position.tip.number);
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
            let source = io::Error::new(io::ErrorKind::FileTooLarge, "the log entry is too long");
            StorageError::Io { operation: "write", path: current.path.clone(), source }
        })?;
        let operation = WriteOperation::Write(frame.len());
        let admitted = self.options.gate.admit(operation, &current.path);
        current.append(&frame, admitted)
    }

    /// Begins a new segment once blocks up to `tip` are persisted, and removes what is not needed.
    ///
    /// The chain is right without this, so failures are only reported.
    pub(super) fn rotate(&self, tip: u64) {
        if let Err(error) = self.begin_segment() {
            tracing::warn!(%error, "the log goes on in its old segment");
        }
        self.remove_persisted(tip);
    }

    fn begin_segment(&self) -> Result<(), StorageError> {
        let mut inner = self.inner.lock();
        if inner.current.newest_block.is_none() && !inner.current.is_broken {
            return Ok(());
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
        inner.older.push(old.into_found());
        Ok(())
    }

    fn remove_persisted(&self, tip: u64) {
        let removed: Vec<Found> = {
            let mut inner = self.inner.lock();
            let is_persisted = |found: &mut Found| {
                found.newest_block.is_none_or(|newest| newest.saturating_add(KEPT_BLOCKS) <= tip)
            };
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
