//! One process per folder.

use crate::StorageError;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

/// A folder that no other process uses, until this is dropped or the process ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    file: File,
}

impl Drop for FolderLock {
    /// Closing the file is not enough while a process that was just forked still has a copy.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl FolderLock {
    /// Takes the folder, or says which process has it.
    pub(super) fn take(folder: &Path) -> Result<Self, StorageError> {
        let path = folder.join("LOCK");
        let failed = |operation, source| StorageError::Io { operation, path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(|error| failed("open", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _ = file.take(32).read_to_string(&mut owner);
                let owner = owner.trim();
                return Err(StorageError::Unusable {
                    path: folder.into(),
                    reason: format!("process {owner} uses it; stop that process first"),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", error)),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        // The process id is for people; the lock holds without it, also on a full disk.
        if let Err(error) = written {
            tracing::debug!(%error, "the process id was not written to the lock file");
        }
        Ok(Self { file })
    }
}
