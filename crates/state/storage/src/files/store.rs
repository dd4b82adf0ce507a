//! All static files of a chain.

use super::{
    Kind, Pending,
    format::{ENTRY_BYTES, FileHeader, HEADER_BYTES},
    pending::Part,
    segment::{NamedFile, Segment, file_name},
};
use crate::{Options, StorageError, SyncPolicy, WriteOperation};
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, map::HashMap};
use parking_lot::Mutex;
use serde::Serialize;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Segments that are kept open, two files each.
const MAX_OPEN_SEGMENTS: usize = 256;

/// The static files in a folder.
pub(crate) struct StaticFiles {
    folder: PathBuf,
    genesis: BlockNumHash,
    segment_blocks: u64,
    options: Options,
    open: Mutex<HashMap<(Kind, u64), Arc<Segment>>>,
}

impl std::fmt::Debug for StaticFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticFiles").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// How much static files of one kind hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileStats {
    /// What they hold: `headers`, `bodies`, `senders`, `receipts` or `changes`.
    pub kind: &'static str,
    /// The number of segments, of two files each.
    pub segments: u64,
    /// The size of data and index files, in bytes.
    pub bytes: u64,
}

impl StaticFiles {
    pub(crate) fn new(
        folder: PathBuf,
        genesis: BlockNumHash,
        segment_blocks: u64,
        options: Options,
    ) -> Result<Self, StorageError> {
        fs::create_dir_all(&folder).map_err(|source| StorageError::Io {
            operation: "create",
            path: folder.clone(),
            source,
        })?;
        Ok(Self { folder, genesis, segment_blocks, options, open: Mutex::default() })
    }

    pub(crate) const fn segment_blocks(&self) -> u64 {
        self.segment_blocks
    }

    /// The row of a block, which is there.
    pub(crate) fn read(
        &self,
        kind: Kind,
        number: u64,
        hash: &B256,
    ) -> Result<Vec<u8>, StorageError> {
        self.segment(kind, number / self.segment_blocks, false)?.read(number, hash)
    }

    /// Writes rows behind what is there, all or, as far as readers can tell, nothing.
    pub(crate) fn write(&self, pending: &Pending) -> Result<(), StorageError> {
        let mut has_new_files = false;
        for part in pending.parts() {
            has_new_files |= self.write_part(part)?;
        }
        if has_new_files && self.options.sync == SyncPolicy::EveryAppend {
            self.sync_folder()?;
        }
        Ok(())
    }

    /// Writes to one segment. Returns whether its files are new.
    fn write_part(&self, part: &Part) -> Result<bool, StorageError> {
        let is_new = part.offset == HEADER_BYTES;
        let segment = self.segment(part.kind, part.segment, is_new)?;
        let first = segment.header().first;
        let index_offset = HEADER_BYTES + (part.first - first) * ENTRY_BYTES;
        if is_new {
            let header = segment.header().encode();
            self.write_at(&segment.data, 0, &header)?;
            self.write_at(&segment.index, 0, &header)?;
        }
        self.write_at(&segment.data, part.offset, &part.data)?;
        self.write_at(&segment.index, index_offset, &part.index)?;
        if self.options.sync == SyncPolicy::EveryAppend {
            self.sync(&segment.data)?;
            self.sync(&segment.index)?;
        }
        Ok(is_new)
    }

    fn write_at(&self, file: &NamedFile, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let operation = WriteOperation::Write(bytes.len());
        if let Err((written, error)) = self.options.gate.admit(operation, &file.path) {
            let part = bytes.get(..written).unwrap_or(bytes);
            let _ = file.file.write_all_at(part, offset);
            return Err(file.failed("write", error));
        }
        file.file.write_all_at(bytes, offset).map_err(|error| file.failed("write", error))
    }

    fn sync(&self, file: &NamedFile) -> Result<(), StorageError> {
        let admitted = self.options.gate.admit(WriteOperation::Sync, &file.path);
        let synced = admitted.map_err(|(_, error)| error).and_then(|()| file.file.sync_data());
        synced.map_err(|error| file.failed("sync", error))
    }

    fn sync_folder(&self) -> Result<(), StorageError> {
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| failed("sync", &self.folder, error))
    }

    /// Cuts off everything above `tip`, where the newest data files have these lengths.
    ///
    /// A file that is shorter than it was when the tip was committed is damaged.
    pub(crate) fn truncate(&self, tip: u64, lengths: [u64; 5]) -> Result<(), StorageError> {
        let newest = tip / self.segment_blocks;
        for (path, kind, segment) in list(&self.folder)? {
            if segment > newest {
                self.open.lock().remove(&(kind, segment));
                fs::remove_file(&path).map_err(|error| failed("remove", &path, error))?;
            }
        }
        for (kind, length) in Kind::ALL.into_iter().zip(lengths) {
            let segment = self.segment(kind, newest, false)?;
            let rows = tip - segment.header().first + 1;
            self.cut(&segment.index, HEADER_BYTES + rows * ENTRY_BYTES)?;
            self.cut(&segment.data, length)?;
            let (_, end) = segment.place(tip)?;
            if end != length {
                let reason = format!("block {tip} ends at byte {end}, committed were {length}");
                return Err(segment.index.corrupt(reason));
            }
        }
        Ok(())
    }

    fn cut(&self, file: &NamedFile, length: u64) -> Result<(), StorageError> {
        let found = file.length()?;
        if found < length {
            let reason = format!("it has {found} bytes, committed were {length}");
            return Err(file.corrupt(reason));
        }
        if found > length {
            file.file.set_len(length).map_err(|error| file.failed("truncate", error))?;
        }
        Ok(())
    }

    /// The lengths of the newest data files if `tip` were the newest block.
    pub(crate) fn lengths_at(&self, tip: u64) -> Result<[u64; 5], StorageError> {
        let mut lengths = [0; 5];
        for (length, kind) in lengths.iter_mut().zip(Kind::ALL) {
            let segment = self.segment(kind, tip / self.segment_blocks, false)?;
            (_, *length) = segment.place(tip)?;
        }
        Ok(lengths)
    }

    pub(crate) fn stats(&self) -> Result<Vec<FileStats>, StorageError> {
        let mut all = Kind::ALL.map(|kind| FileStats { kind: kind.name(), segments: 0, bytes: 0 });
        for (path, kind, _) in list(&self.folder)? {
            let metadata = fs::metadata(&path);
            let bytes = metadata.map_err(|error| failed("measure", &path, error))?.len();
            if let Some(stats) = all.get_mut(kind as usize) {
                stats.bytes += bytes;
                stats.segments += u64::from(path.extension().is_some_and(|e| e == "dat"));
            }
        }
        Ok(all.into())
    }

    /// An open segment. `create` makes its files if they are not there.
    fn segment(
        &self,
        kind: Kind,
        segment: u64,
        create: bool,
    ) -> Result<Arc<Segment>, StorageError> {
        let mut open = self.open.lock();
        if let Some(segment) = open.get(&(kind, segment)) {
            return Ok(Arc::clone(segment));
        }
        let header = FileHeader {
            kind,
            segment_blocks: self.segment_blocks,
            first: (segment * self.segment_blocks).max(self.genesis.number),
            chain: u32::from_le_bytes(*self.genesis.hash.first_chunk().unwrap_or(&[0; 4])),
        };
        let opened = Arc::new(Segment::open(&self.folder, segment, header, create)?);
        if open.len() >= MAX_OPEN_SEGMENTS {
            open.clear();
        }
        open.insert((kind, segment), Arc::clone(&opened));
        Ok(opened)
    }
}

/// Whether the static files in a folder, if it is there, have rows of other blocks than the first.
pub(crate) fn has_blocks_after_first(folder: &Path) -> Result<bool, StorageError> {
    if !folder.exists() {
        return Ok(false);
    }
    for (path, ..) in list(folder)? {
        let is_index = path.extension().is_some_and(|extension| extension == "idx");
        let length = fs::metadata(&path).map_err(|error| failed("measure", &path, error));
        if is_index && length?.len() > HEADER_BYTES + ENTRY_BYTES {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every file in a folder that is named like one of ours.
fn list(folder: &Path) -> Result<Vec<(PathBuf, Kind, u64)>, StorageError> {
    let failed = |error| failed("list", folder, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let parsed = name.split_once('-').and_then(|(kind, rest)| {
            let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
            let (segment, extension) = rest.split_once('.')?;
            let segment = segment.parse().ok()?;
            (file_name(kind, segment, extension) == name).then_some((kind, segment))
        });
        if let Some((kind, segment)) = parsed {
            files.push((path, kind, segment));
        }
    }
    files.sort();
    Ok(files)
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> StorageError {
    StorageError::Io { operation, path: path.into(), source }
}
