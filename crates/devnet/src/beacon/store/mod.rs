//! What a dev beacon keeps on disk, so that it goes on after a kill.
//!
//! A folder holds:
//! - `chain`: which chain this is; written once.
//! - `lock`: locked while a process has the folder open.
//! - `blocks-N.log`: every imported block in order of import, in segments of at most
//!   1024. The last block of the log is the head.
//! - `state-S.ssz`: the state after a finalised block at slot S, and that block.
//! - `blobs-S-ROOT.ssz`: the blobs of the block at slot S.
//!
//! A state is rebuilt from the newest snapshot and the blocks after it. Every record has checksums. A log whose
//! last record is cut short is a log of a process that was killed while it wrote: the
//! record is dropped. Any other damage is an error that names the file.

mod blobs;
mod segment;
mod snapshot;

pub use segment::{Location, RecordHeader};

use super::{
    Preset,
    engine::BlobsBundle,
    types::{BeaconState, SignedBeaconBlock},
};
use crate::ssz::{Ssz, SszError, hash_bytes};
use alloy_primitives::B256;
use segment::Segments;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The version of all file formats here.
const FORMAT: u32 = 1;
/// Snapshots kept: a damaged one leaves the one before.
const KEPT_SNAPSHOTS: usize = 2;

/// How to keep a beacon chain on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// The folder; it is created if missing.
    pub folder: PathBuf,
    /// Whether every block is flushed to the disk before it becomes the head. Without, a killed process
    /// loses nothing, but a machine without power may lose the last blocks.
    pub flush: bool,
}

/// A folder with a beacon chain, held by this process.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    preset: &'static Preset,
    flush: bool,
    segments: Segments,
    _lock: File,
}

/// What a folder held when it was opened.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The newest finalised block with its state that could be read, if there was any.
    pub(crate) snapshot: Option<(SignedBeaconBlock, BeaconState)>,
    /// The headers of all blocks in the log, in order.
    pub(crate) records: Vec<(RecordHeader, Location)>,
}

impl Store {
    /// Opens a folder, or makes it, for the chain with this genesis block.
    ///
    /// # Errors
    /// If it belongs to another chain or process, or is damaged beyond a torn last record.
    pub(crate) fn open(
        options: &StoreOptions,
        genesis_root: B256,
        preset: &'static Preset,
    ) -> Result<(Self, Recovered), StoreError> {
        let folder = options.folder.clone();
        fs::create_dir_all(&folder).map_err(|error| StoreError::io(&folder, error))?;
        let lock = lock(&folder)?;
        check_chain(&folder, genesis_root)?;
        remove_leftovers(&folder)?;
        let snapshot = snapshot::newest(&folder, preset)?;
        let (segments, records) = Segments::open(&folder)?;
        let store = Self { folder, preset, flush: options.flush, segments, _lock: lock };
        Ok((store, Recovered { snapshot, records }))
    }

    /// Appends a block, which thereby becomes the head on the next start.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(crate) fn append(
        &mut self,
        root: B256,
        block: &SignedBeaconBlock,
        blobs: Option<&BlobsBundle>,
    ) -> Result<Location, StoreError> {
        let header = RecordHeader {
            slot: block.message.slot,
            root,
            parent: block.message.parent_root,
            payload_hash: block.message.body.execution_payload.block_hash,
        };
        if let Some(blobs) = blobs {
            let path = blobs::path(&self.folder, header.slot, &root);
            write_atomically(&path, &blobs::encode(blobs), self.flush)?;
        }
        self.segments.append(&header, &block.encode(self.preset), self.flush)
    }

    /// Writes the state after a finalised block, and deletes what is no longer needed: snapshots but the newest
    /// two, and blocks and blobs before `oldest_slot`.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(crate) fn snapshot(
        &mut self,
        block: &SignedBeaconBlock,
        state: &BeaconState,
        oldest_slot: u64,
    ) -> Result<(), StoreError> {
        let bytes = snapshot::encode(block, state, self.preset);
        let path = snapshot::path(&self.folder, block.message.slot);
        write_atomically(&path, &bytes, self.flush)?;
        let snapshots = snapshot::list(&self.folder)?;
        let kept = snapshots.len().saturating_sub(KEPT_SNAPSHOTS);
        for (_, path) in snapshots.iter().take(kept) {
            remove(path)?;
        }
        // Blocks are needed from the older of the kept snapshots on.
        let replayed = snapshots.get(kept).map_or(0, |(slot, _)| *slot);
        self.segments.remove_before(oldest_slot.min(replayed))?;
        for (_, path) in blobs::list(&self.folder)?.iter().filter(|(slot, _)| *slot < oldest_slot) {
            remove(path)?;
        }
        Ok(())
    }

    /// A reader for other threads.
    pub(crate) fn reader(&self) -> StoreReader {
        StoreReader { folder: self.folder.clone(), preset: self.preset }
    }
}

/// Reads blocks and blobs of a folder.
#[derive(Clone, Debug)]
pub struct StoreReader {
    folder: PathBuf,
    preset: &'static Preset,
}

impl StoreReader {
    /// The block at a location; `None` if it was deleted since.
    ///
    /// # Errors
    /// If the disk fails or what it holds is damaged.
    pub fn block(&self, location: Location) -> Result<Option<SignedBeaconBlock>, StoreError> {
        let path = segment::path(&self.folder, location.segment);
        let Some(bytes) = segment::read(&path, location)? else { return Ok(None) };
        let block = SignedBeaconBlock::read(&bytes, self.preset);
        block.map(Some).map_err(|error| StoreError::corrupt(&path, location.offset, error))
    }

    /// The blobs of a block; `None` if it has none or they were deleted.
    ///
    /// # Errors
    /// If the disk fails or what it holds is damaged.
    pub fn blobs(&self, slot: u64, root: &B256) -> Result<Option<BlobsBundle>, StoreError> {
        let path = blobs::path(&self.folder, slot, root);
        let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
        blobs::decode(&bytes)
            .map(Some)
            .ok_or_else(|| StoreError::damaged(&path, 0, "its checksum or lengths are wrong"))
    }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| StoreError::io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::InUse { folder: folder.into() }),
        Err(fs::TryLockError::Error(error)) => Err(StoreError::io(&path, error)),
    }
}

fn check_chain(folder: &Path, genesis_root: B256) -> Result<(), StoreError> {
    let path = folder.join("chain");
    let expected =
        [b"LSBEACON".as_slice(), &FORMAT.to_le_bytes(), genesis_root.as_slice()].concat();
    let Some(found) = read_if_there(&path)? else {
        return write_atomically(&path, &expected, true);
    };
    if found == expected {
        return Ok(());
    }
    if found.len() == expected.len() && found.starts_with(b"LSBEACON") {
        let format = found
            .get(8..)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if format != FORMAT {
            return Err(StoreError::Format { folder: folder.into(), found: format, known: FORMAT });
        }
        let found = B256::from_slice(found.get(12..).unwrap_or_default());
        return Err(StoreError::OtherChain {
            folder: folder.into(),
            expected: genesis_root,
            found,
        });
    }
    Err(StoreError::damaged(&path, 0, "it does not say which chain this is"))
}

/// Deletes files that a killed process had not finished.
fn remove_leftovers(folder: &Path) -> Result<(), StoreError> {
    for (name, path) in entries(folder)? {
        if name.ends_with(".tmp") {
            remove(&path)?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries: Vec<_> = entries
        .map_err(|error| StoreError::io(folder, error))?
        .into_iter()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect();
    entries.sort();
    Ok(entries)
}

/// The files named `{prefix}{number}{anything}{suffix}`, by ascending number.
fn numbered(folder: &Path, prefix: &str, suffix: &str) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let number = |name: &str| {
        let middle = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
        middle.split('-').next()?.parse().ok()
    };
    let entries = entries(folder)?.into_iter();
    let mut found: Vec<(u64, PathBuf)> =
        entries.filter_map(|(name, path)| Some((number(&name)?, path))).collect();
    found.sort();
    Ok(found)
}

fn write_atomically(path: &Path, bytes: &[u8], flush: bool) -> Result<(), StoreError> {
    let temporary = path.with_extension("tmp");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        if flush {
            file.sync_all()?;
        }
        fs::rename(&temporary, path)?;
        match path.parent().filter(|_| flush) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|error| StoreError::io(path, error))
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(path, error)),
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, error)),
        _ => Ok(()),
    }
}

/// The content of a file that ends with its checksum.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (content, checksum) = bytes.split_last_chunk::<32>()?;
    (hash_bytes(content) == *checksum).then_some(content)
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused: free space, check rights, then start again.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// Another process has the folder open: stop it, or choose another folder.
    #[error("{folder} is in use by another process", folder = folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder is of another version of this program: use that, or an empty folder.
    #[error("{folder} has format {found}; this program knows format {known}", folder = folder.display())]
    Format {
        /// The folder.
        folder: PathBuf,
        /// The version found.
        found: u32,
        /// The version known.
        known: u32,
    },
    /// The folder is of another chain: use the settings it was made with, or another folder.
    #[error("{folder} holds the chain of genesis block {found}, not of {expected}", folder = folder.display())]
    OtherChain {
        /// The folder.
        folder: PathBuf,
        /// The genesis block wanted.
        expected: B256,
        /// The genesis block found.
        found: B256,
    },
    /// A file is damaged: restore the folder, or start with an empty one.
    #[error("{path} is damaged at byte {offset}: {reason}", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
}

impl StoreError {
    fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.into(), error }
    }

    fn corrupt(path: &Path, offset: u64, error: SszError) -> Self {
        Self::damaged(path, offset, &error.to_string())
    }

    fn damaged(path: &Path, offset: u64, reason: &str) -> Self {
        Self::Corrupt { path: path.into(), offset, reason: reason.to_owned() }
    }
}
