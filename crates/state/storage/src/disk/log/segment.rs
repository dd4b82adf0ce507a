//! One file of the log.

use super::format::{FRAME_BYTES, Frame, HEADER_BYTES, Record, check_header, encode_header};
use crate::{ForkChoice, StorageError, db::Malformed};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// The file that is being written.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    pub(super) path: PathBuf,
    pub(super) number: u64,
    length: u64,
    pub(super) records: u64,
    /// The greatest number of a block here.
    pub(super) newest_block: Option<u64>,
    /// Half a record is at the end and cannot be removed.
    pub(super) is_broken: bool,
}

/// A file that was written before.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) number: u64,
    pub(super) newest_block: Option<u64>,
    pub(super) fork_choice: Option<ForkChoice>,
}

impl LogFile {
    pub(super) fn create(folder: &Path, number: u64, chain: u32) -> Result<Self, StorageError> {
        let path = folder.join(file_name(number));
        let failed = |operation, source| StorageError::Io { operation, path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(&path).map_err(|error| failed("create", error))?;
        let header = encode_header(number, chain);
        file.write_all_at(&header, 0).map_err(|error| failed("write", error))?;
        let length = header.len() as u64;
        Ok(Self { file, path, number, length, records: 0, newest_block: None, is_broken: false })
    }

    /// Writes a record, or nothing.
    pub(super) fn append(
        &mut self,
        frame: &[u8],
        admitted: Result<(), (usize, io::Error)>,
    ) -> Result<(), StorageError> {
        if self.is_broken {
            let source = io::Error::other("an earlier write failed halfway");
            return Err(self.failed(source));
        }
        let written = match admitted {
            Ok(()) => self.file.write_all_at(frame, self.length),
            Err((written, error)) => {
                let part = frame.get(..written).unwrap_or(frame);
                let _ = self.file.write_all_at(part, self.length);
                Err(error)
            }
        };
        if let Err(error) = written {
            self.is_broken = self.file.set_len(self.length).is_err();
            return Err(self.failed(error));
        }
        self.length += frame.len() as u64;
        self.records += 1;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> StorageError {
        StorageError::Io { operation: "write", path: self.path.clone(), source }
    }

    pub(super) fn into_found(self) -> Found {
        let Self { path, number, newest_block, .. } = self;
        Found { path, number, newest_block, fork_choice: None }
    }
}

pub(super) fn file_name(number: u64) -> String {
    format!("{number:08}.log")
}

/// The numbers of the log files in a folder, ascending.
pub(super) fn list(folder: &Path) -> Result<Vec<u64>, StorageError> {
    let failed = |source| StorageError::Io { operation: "list", path: folder.into(), source };
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let number = name.strip_suffix(".log").and_then(|number| number.parse().ok());
        numbers.extend(number.filter(|number| file_name(*number) == name));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Looks through a file that was found, and cuts off the record at its end that was not written
/// whole. Only the last file can have one: `None` if not even its header is whole.
pub(super) fn scan(
    folder: &Path,
    number: u64,
    chain: u32,
    is_last: bool,
) -> Result<Option<Found>, StorageError> {
    let path = folder.join(file_name(number));
    let failed = |operation, source| StorageError::Io { operation, path: path.clone(), source };
    let length = fs::metadata(&path).map_err(|error| failed("measure", error))?.len();
    if is_last && length < HEADER_BYTES as u64 {
        fs::remove_file(&path).map_err(|error| failed("remove", error))?;
        return Ok(None);
    }
    let mut newest_block = None;
    let mut fork_choice = None;
    let whole = read(&path, number, chain, |record| {
        match record {
            Record::ForkChoice(choice) => fork_choice = Some(choice),
            Record::Block { number, .. } => {
                newest_block = Some(newest_block.map_or(number, |old: u64| old.max(number)));
            }
        }
        Ok(())
    })?;
    if whole < length {
        if !is_last {
            let reason = format!("the record at byte {whole} is cut off");
            return Err(StorageError::Corrupt { path, reason });
        }
        let file = OpenOptions::new().write(true).open(&path);
        let cut = file.and_then(|file| file.set_len(whole));
        cut.map_err(|error| failed("truncate", error))?;
    }
    Ok(Some(Found { path, number, newest_block, fork_choice }))
}

/// Passes every whole record to `visit`, and returns where the last one ends.
pub(super) fn read(
    path: &Path,
    number: u64,
    chain: u32,
    mut visit: impl FnMut(Record) -> Result<(), Malformed>,
) -> Result<u64, StorageError> {
    let failed = |source| StorageError::Io { operation: "read", path: path.into(), source };
    let corrupt = |reason| StorageError::Corrupt { path: path.into(), reason };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length < HEADER_BYTES as u64 {
        return Err(corrupt("its header is cut off".into()));
    }
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0).map_err(failed)?;
    check_header(&header, number, chain).map_err(|reason| corrupt(reason.into()))?;
    let mut at = HEADER_BYTES as u64;
    for index in 0.. {
        let begin = at + FRAME_BYTES as u64;
        if begin > length {
            break;
        }
        let damaged = |reason| corrupt(format!("the record at byte {at}: {reason}"));
        let mut frame = [0; FRAME_BYTES];
        file.read_exact_at(&mut frame, at).map_err(failed)?;
        let frame = Frame::decode(&frame, number, index).map_err(damaged)?;
        let end = begin + frame.length as u64;
        if end > length {
            break;
        }
        let mut content = vec![0; frame.length];
        file.read_exact_at(&mut content, begin).map_err(failed)?;
        let record = frame.content(&content).map_err(damaged)?;
        visit(record).map_err(damaged)?;
        at = end;
    }
    Ok(at)
}
