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

    pub(super) fn close(self) -> (Found, File) {
        let Self { file, path, number, newest_block, .. } = self;
        (Found { path, number, newest_block, fork_choice: None }, file)
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

/// Looks through a file that was found, and cuts off an end that was not written whole: `None` if
/// not even the header is whole. Only a file that was not synced can have such an end.
pub(super) fn scan(
    folder: &Path,
    number: u64,
    chain: u32,
    may_lack_end: bool,
) -> Result<Option<Found>, StorageError> {
    let path = folder.join(file_name(number));
    let failed = |operation, source| StorageError::Io { operation, path: path.clone(), source };
    let length = fs::metadata(&path).map_err(|error| failed("measure", error))?.len();
    let mut newest_block = None;
    let mut fork_choice = None;
    let Read { whole, damage } = read_whole(&path, number, chain, |record| {
        match record {
            Record::ForkChoice(choice) => fork_choice = Some(choice),
            Record::Block { number, .. } => {
                newest_block = Some(newest_block.map_or(number, |old: u64| old.max(number)));
            }
        }
        Ok(())
    })?;
    if let Some(damage) = damage {
        let was_not_written = || {
            let file = File::open(&path)?;
            Ok(damage.is_cut || is_unwritten(&file, whole, length)?)
        };
        if !may_lack_end || !was_not_written().map_err(|error| failed("read", error))? {
            return Err(corrupt(&path, whole, &damage));
        }
        if !damage.is_cut {
            let (lost, path) = (length - whole, path.display());
            tracing::warn!(%path, at = whole, lost, "a failure of power cut off the log");
        }
        if whole == 0 {
            fs::remove_file(&path).map_err(|error| failed("remove", error))?;
            return Ok(None);
        }
        let file = OpenOptions::new().write(true).open(&path);
        let cut = file.and_then(|file| file.set_len(whole));
        cut.map_err(|error| failed("truncate", error))?;
    }
    Ok(Some(Found { path, number, newest_block, fork_choice }))
}

/// Passes every record to `visit`.
pub(super) fn read(
    path: &Path,
    number: u64,
    chain: u32,
    visit: impl FnMut(Record) -> Result<(), Malformed>,
) -> Result<(), StorageError> {
    let Read { whole, damage } = read_whole(path, number, chain, visit)?;
    damage.map_or(Ok(()), |damage| Err(corrupt(path, whole, &damage)))
}

/// How far a file could be read.
struct Read {
    /// Where the last whole record ends; zero if the header is not whole.
    whole: u64,
    /// What is wrong there; `None` at the end of the file.
    damage: Option<Damage>,
}

struct Damage {
    reason: Malformed,
    /// The file ends before the record or header does.
    is_cut: bool,
}

fn corrupt(path: &Path, at: u64, damage: &Damage) -> StorageError {
    let Damage { reason, .. } = damage;
    let reason = format!(
        "at byte {at}: {reason}. The database is not affected: move this file away to go on \
         without the blocks and fork choices in it, which the consensus layer sends again"
    );
    StorageError::Corrupt { path: path.into(), reason }
}

/// What a disk writes as a whole.
const SECTOR_BYTES: u64 = 512;

/// Whether a file looks as after a failure of power from `at` on: long enough, but its last sectors,
/// or all that follows, never reached the disk and are zero.
fn is_unwritten(file: &File, at: u64, length: u64) -> io::Result<bool> {
    let mut written = at;
    let mut position = at;
    let mut buffer = vec![0; 1 << 16];
    while position < length {
        let part = usize::try_from(length - position).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..part).unwrap_or_default();
        file.read_exact_at(part, position)?;
        if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
            written = position + last as u64 + 1;
        }
        position += part.len() as u64;
    }
    Ok(written == at || written.next_multiple_of(SECTOR_BYTES) < length)
}

/// Passes every whole record to `visit`, up to the first that is not.
fn read_whole(
    path: &Path,
    number: u64,
    chain: u32,
    mut visit: impl FnMut(Record) -> Result<(), Malformed>,
) -> Result<Read, StorageError> {
    let failed = |source| StorageError::Io { operation: "read", path: path.into(), source };
    let damaged =
        |whole, reason| Ok(Read { whole, damage: Some(Damage { reason, is_cut: false }) });
    let cut = |whole, reason| Ok(Read { whole, damage: Some(Damage { reason, is_cut: true }) });
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length < HEADER_BYTES as u64 {
        return cut(0, "its header is cut off");
    }
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, 0).map_err(failed)?;
    if let Err(reason) = check_header(&header, number, chain) {
        return damaged(0, reason);
    }
    let mut at = HEADER_BYTES as u64;
    for index in 0.. {
        let begin = at + FRAME_BYTES as u64;
        if at == length {
            break;
        }
        if begin > length {
            return cut(at, "the record is cut off");
        }
        let mut frame = [0; FRAME_BYTES];
        file.read_exact_at(&mut frame, at).map_err(failed)?;
        let frame = match Frame::decode(&frame, number, index) {
            Ok(frame) => frame,
            Err(reason) => return damaged(at, reason),
        };
        let end = begin + frame.length as u64;
        if end > length {
            return cut(at, "the record is cut off");
        }
        let mut content = vec![0; frame.length];
        file.read_exact_at(&mut content, begin).map_err(failed)?;
        if let Err(reason) = frame.content(&content).and_then(&mut visit) {
            return damaged(at, reason);
        }
        at = end;
    }
    Ok(Read { whole: at, damage: None })
}
