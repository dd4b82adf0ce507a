//! One pair of a data and an index file.

use super::format::{ENTRY_BYTES, FileHeader, HEADER_BYTES, Kind, decode_entry, decode_row};
use crate::StorageError;
use alloy_primitives::B256;
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// A segment that is open for reading and writing.
#[derive(Debug)]
pub(super) struct Segment {
    header: FileHeader,
    pub(super) data: NamedFile,
    pub(super) index: NamedFile,
}

/// A file, with its name for errors.
#[derive(Debug)]
pub(super) struct NamedFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

impl NamedFile {
    fn open(path: PathBuf, create: bool) -> Result<Self, StorageError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(false);
        match options.open(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StorageError::Corrupt { path, reason: "the file is missing".into() })
            }
            Err(source) => Err(StorageError::Io { operation: "open", path, source }),
        }
    }

    pub(super) fn failed(&self, operation: &'static str, source: io::Error) -> StorageError {
        StorageError::Io { operation, path: self.path.clone(), source }
    }

    pub(super) fn corrupt(&self, reason: impl Into<String>) -> StorageError {
        StorageError::Corrupt { path: self.path.clone(), reason: reason.into() }
    }

    pub(super) fn length(&self) -> Result<u64, StorageError> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(|error| self.failed("measure", error))?.len())
    }

    /// Reads what must be there: a file that ends early is damaged.
    fn read(&self, offset: u64, length: usize, number: u64) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; length];
        match self.file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.corrupt(format!("block {number}: the file ends too early")))
            }
            Err(error) => Err(self.failed("read", error)),
        }
    }
}

impl Segment {
    /// Opens both files; a file that is new or empty is given its header by the first write.
    pub(super) fn open(
        folder: &Path,
        segment: u64,
        header: FileHeader,
        create: bool,
    ) -> Result<Self, StorageError> {
        let open = |extension: &str| {
            NamedFile::open(folder.join(file_name(header.kind, segment, extension)), create)
        };
        let opened = Self { header, data: open("dat")?, index: open("idx")? };
        if !create {
            for file in [&opened.data, &opened.index] {
                let bytes = file.read(0, HEADER_BYTES as usize, header.first)?;
                header.check(&bytes).map_err(|reason| file.corrupt(reason))?;
            }
        }
        Ok(opened)
    }

    pub(super) const fn header(&self) -> &FileHeader {
        &self.header
    }

    /// Where the row of block `number`, of this segment, begins and ends in the data file.
    pub(super) fn place(&self, number: u64) -> Result<(u64, u64), StorageError> {
        let FileHeader { kind, first, .. } = self.header;
        let row = number.saturating_sub(first);
        let entry = HEADER_BYTES + row * ENTRY_BYTES;
        let decode = |number, bytes: &[u8]| {
            decode_entry(kind, number, bytes)
                .map_err(|reason| self.index.corrupt(format!("block {number}: {reason}")))
        };
        let (begin, end) = if row == 0 {
            let bytes = self.index.read(entry, ENTRY_BYTES as usize, number)?;
            (HEADER_BYTES, decode(number, &bytes)?)
        } else {
            let bytes = self.index.read(entry - ENTRY_BYTES, 2 * ENTRY_BYTES as usize, number)?;
            let (before, own) = bytes.split_at(ENTRY_BYTES as usize);
            (decode(number - 1, before)?, decode(number, own)?)
        };
        if begin > end {
            return Err(self.index.corrupt(format!("block {number}: it ends before it begins")));
        }
        Ok((begin, end))
    }

    /// The content of the row of block `number`, of this segment.
    pub(super) fn read(&self, number: u64, hash: &B256) -> Result<Vec<u8>, StorageError> {
        let kind: Kind = self.header.kind;
        let (begin, end) = self.place(number)?;
        let length = end - begin;
        if end > self.data.length()? {
            let reason = format!("block {number}: the file ends too early");
            return Err(self.data.corrupt(reason));
        }
        let row = self.data.read(begin, length as usize, number)?;
        decode_row(kind, number, hash, &row)
            .map_err(|reason| self.data.corrupt(format!("block {number}: {reason}")))
    }
}

/// The name of a file of a segment.
pub(super) fn file_name(kind: Kind, segment: u64, extension: &str) -> String {
    format!("{}-{segment:08}.{extension}", kind.name())
}
