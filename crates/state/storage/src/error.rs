//! Why the chain on disk cannot be read or written.

use alloy_primitives::B256;
use std::{io, path::PathBuf};

/// A failure of storage. [`Self::class`] says who must act.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused.
    #[error("{operation} {path}: {source}")]
    Io {
        /// What was tried: `open`, `write`, `sync`…
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// The database refused.
    #[error("database: {operation}: {reason}")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// What the database answered.
        reason: String,
    },
    /// A file does not hold what was written to it. It is never served; restore it from a backup
    /// or sync anew.
    #[error("{path} is corrupt: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// There is no chain in the folder yet: a node creates it when it starts there.
    #[error("{path} cannot be used: it holds no chain")]
    NoChain {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds another chain, or a format of another version.
    #[error("{path} cannot be used: {reason}")]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What was expected, and what was found.
        reason: String,
    },
    /// The genesis state is not the one that the genesis block commits to.
    #[error("the genesis state has root {root}, its block says {expected}")]
    GenesisState {
        /// The root of the state given.
        root: B256,
        /// The root in the header.
        expected: B256,
    },
    /// The state trie could not be computed from what is stored.
    #[error("state trie: {0}")]
    Trie(String),
    /// A reorganisation took the block back after the snapshot was made. Take a new snapshot.
    #[error("block {number} was taken back since the snapshot was made")]
    Unwound {
        /// The block asked for.
        number: u64,
    },
    /// The trie of an old state differs too much from the newest one to be computed.
    #[error("the trie after block {number} differs from that of {tip} in more than {limit} places")]
    TooFar {
        /// The block asked for.
        number: u64,
        /// The newest stored block.
        tip: u64,
        /// Accounts and slots that may differ.
        limit: usize,
    },
    /// Something that must be there is not.
    #[error("{0} is missing")]
    Missing(String),
    /// Blocks to append do not continue the chain.
    #[error("block {number} does not extend the stored tip {tip}")]
    NotNext {
        /// The block that was to be appended.
        number: u64,
        /// The newest stored block.
        tip: u64,
    },
    /// The state of this block is no longer kept, or the block is not there.
    #[error("the state at block {number} is not retained (retained: {earliest} to {tip})")]
    NotRetained {
        /// The block asked for.
        number: u64,
        /// The oldest block whose state is retained.
        earliest: u64,
        /// The newest stored block.
        tip: u64,
    },
}

/// Who must act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Try again: nothing is wrong with the data.
    Temporary,
    /// Stop and call a person.
    Critical,
}

/// `ENFILE` and `EMFILE`, which have no [`io::ErrorKind`]: the same on Linux, macOS and the BSDs.
const TOO_MANY_FILES: [i32; 2] = [23, 24];

impl StorageError {
    /// Who must act: a full disk, a file that may not grow (`EFBIG`, as under a limit of the file
    /// system or of the process), too many open files or an interrupted call may pass, damage does
    /// not.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge
                | io::ErrorKind::OutOfMemory
                | io::ErrorKind::Interrupted
                | io::ErrorKind::WouldBlock => ErrorClass::Temporary,
                _ if source.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code)) => {
                    ErrorClass::Temporary
                }
                _ => ErrorClass::Critical,
            },
            Self::NotRetained { .. }
            | Self::NotNext { .. }
            | Self::Unwound { .. }
            | Self::TooFar { .. } => ErrorClass::Temporary,
            _ => ErrorClass::Critical,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorClass, StorageError};
    use std::io;

    #[test]
    fn what_may_pass_by_itself_is_temporary() {
        let class = |code| {
            let source = io::Error::from_raw_os_error(code);
            StorageError::Io { operation: "open", path: "test".into(), source }.class()
        };
        // EINTR, ENOMEM, ENFILE, EMFILE, EFBIG, ENOSPC; EIO.
        for code in [4, 12, 23, 24, 27, 28] {
            assert_eq!(class(code), ErrorClass::Temporary, "{code}");
        }
        assert_eq!(class(5), ErrorClass::Critical);
    }
}
