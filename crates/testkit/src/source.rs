//! Read fixture files from directories and archives, one at a time and within limits.

mod archive;
mod meter;

use crate::Error;
use core::ops::ControlFlow;
use meter::{Counted, Counter};
use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// How much a walk over fixtures may read. The defaults hold every official release.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one file, and of one archive entry once decompressed.
    pub file_bytes: u64,
    /// Bytes of one archive once decompressed; stops decompression bombs.
    pub archive_bytes: u64,
    /// Files and directories of one walk, entries of one archive.
    pub entries: u64,
    /// Directories inside one another.
    pub depth: usize,
    /// Base-2 logarithm of the zstd window in bytes.
    pub window_log: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 512 << 20,
            archive_bytes: 64 << 30,
            entries: 1_000_000,
            depth: 32,
            window_log: 27,
        }
    }
}

/// One file in memory.
#[derive(Clone, Debug)]
pub struct File {
    /// The path it was reached by; inside an archive, the archive's path and then the entry's.
    pub name: String,
    /// The content.
    pub bytes: Vec<u8>,
    /// Bytes read from the disk so far by the walk that found the file; see [`size_on_disk`].
    pub read_bytes: u64,
}

/// What takes files as they are read. An error is about one file or archive; the walk continues
/// with the next one unless the visitor breaks it.
pub type Visitor<'a> = dyn FnMut(Result<File, Error>) -> ControlFlow<()> + 'a;

/// Visits `path` (a file or an archive) or every file below it (a directory), in the order of
/// their names, skipping what `wanted` does not want. Archives are streamed, never unpacked.
///
/// Hidden files and directories, and links to directories, are not followed.
pub fn visit(
    path: &Path,
    limits: &Limits,
    wanted: &dyn Fn(&str) -> bool,
    visitor: &mut Visitor<'_>,
) -> ControlFlow<()> {
    let mut walk = Walk { limits, wanted, visitor, entries: 0, read_bytes: Counter::default() };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => walk.directory(path, 0),
        Ok(_) if is_archive(path) || wanted(&path.to_string_lossy()) => walk.file(path),
        Ok(_) => walk.report(Err(Error::Format {
            file: path.display().to_string(),
            reason: "neither .json nor .tar nor .tar.zst".into(),
        })),
        Err(source) => walk.report(Err(Error::Io { path: path.into(), source })),
    }
}

/// Whether the name is that of an archive that can be streamed.
pub fn is_archive(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with(".tar") || name.ends_with(".tar.zst")
}

/// Reads all of `reader`.
///
/// # Errors
/// [`Error::Limit`] if there are more than `limit` bytes, [`Error::Io`] if reading fails.
pub fn read_within(mut reader: impl Read, name: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    match reader.by_ref().take(limit.saturating_add(1)).read_to_end(&mut bytes) {
        Ok(read) if read as u64 > limit => Err(too_large(&name.display().to_string(), limit)),
        Ok(_) => Ok(bytes),
        Err(source) => Err(Error::Io { path: name.into(), source }),
    }
}

/// Opens a file, decompressing it if its name ends in `.zst`.
///
/// # Errors
/// [`Error::Io`] if it cannot be opened.
pub fn open(path: &Path, limits: &Limits) -> Result<Box<dyn Read>, Error> {
    open_counted(path, limits, Counter::default())
}

fn open_counted(path: &Path, limits: &Limits, counter: Counter) -> Result<Box<dyn Read>, Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    let file = Counted::new(fs::File::open(path).map_err(failed)?, counter);
    if path.extension().is_some_and(|extension| extension == "zst") {
        let mut decoder = zstd::Decoder::new(file).map_err(failed)?;
        decoder.window_log_max(limits.window_log).map_err(failed)?;
        return Ok(Box::new(decoder));
    }
    Ok(Box::new(io::BufReader::new(file)))
}

/// The bytes that a walk over `path` reads from the disk at most; what cannot be read counts as
/// nothing.
pub fn size_on_disk(path: &Path, limits: &Limits) -> u64 {
    size_below(path, limits.depth)
}

fn size_below(path: &Path, depth: usize) -> u64 {
    match (fs::symlink_metadata(path), fs::read_dir(path)) {
        (Ok(metadata), Ok(children)) if metadata.is_dir() && depth > 0 => {
            children.flatten().map(|child| size_below(&child.path(), depth - 1)).sum()
        }
        (Ok(_), Err(_)) => fs::metadata(path).map_or(0, |metadata| metadata.len()),
        _ => 0,
    }
}

fn too_large(file: &str, limit: u64) -> Error {
    Error::Limit { file: file.into(), what: "size in bytes", limit }
}

struct Walk<'a> {
    limits: &'a Limits,
    wanted: &'a dyn Fn(&str) -> bool,
    visitor: &'a mut Visitor<'a>,
    entries: u64,
    read_bytes: Counter,
}

impl Walk<'_> {
    fn report(&mut self, file: Result<File, Error>) -> ControlFlow<()> {
        (self.visitor)(file)
    }

    fn directory(&mut self, path: &Path, depth: usize) -> ControlFlow<()> {
        let limit = |what, limit| Error::Limit { file: path.display().to_string(), what, limit };
        if depth > self.limits.depth {
            return self.report(Err(limit("directories inside one another", depth as u64 - 1)));
        }
        let mut children =
            match fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
                Ok(children) => children,
                Err(source) => return self.report(Err(Error::Io { path: path.into(), source })),
            };
        children.sort_by_key(fs::DirEntry::file_name);
        for child in children {
            self.entries += 1;
            if self.entries > self.limits.entries {
                self.report(Err(limit("files and directories", self.limits.entries)))?;
                return ControlFlow::Break(());
            }
            if is_hidden(&child.file_name().to_string_lossy()) {
                continue;
            }
            let path = child.path();
            match child.file_type() {
                Ok(kind) if kind.is_dir() => self.directory(&path, depth + 1)?,
                Ok(_) if !path.is_file() => {}
                Ok(_) if is_archive(&path) || (self.wanted)(&path.to_string_lossy()) => {
                    self.file(&path)?;
                }
                Ok(_) => {}
                Err(source) => self.report(Err(Error::Io { path, source }))?,
            }
        }
        ControlFlow::Continue(())
    }

    fn file(&mut self, path: &Path) -> ControlFlow<()> {
        let name = path.display().to_string();
        let reader = match open_counted(path, self.limits, self.read_bytes.clone()) {
            Ok(reader) => reader,
            Err(error) => return self.report(Err(error)),
        };
        if is_archive(path) {
            let archive = archive::Archive { name: &name, read_bytes: &self.read_bytes };
            return archive.visit(reader, self.limits, self.wanted, self.visitor);
        }
        let file = read_within(reader, path, self.limits.file_bytes);
        let read_bytes = self.read_bytes.get();
        self.report(file.map(|bytes| File { name, bytes, read_bytes }))
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}
