//! The database file, and the tables in it.

use super::{Reader, Writer, transaction::Tx};
use crate::{Options, StorageError, SyncPolicy};
use signet_libmdbx::{
    Database, DatabaseFlags, EnvironmentFlags, Geometry, MdbxError, Mode, SyncMode, sys::PageSize,
};
use std::{
    fmt, fs, io,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Snapshots that may be open at the same time.
pub(crate) const MAX_SNAPSHOTS: u64 = 8_192;

/// Further transactions of snapshots that several threads read.
pub(super) const MAX_FURTHER_READERS: usize = 2_048;

/// How much the database file grows at once, in bytes.
const GROWTH_STEP: isize = 16 << 20;

/// The tables. Numbers enter into checksums, so they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    Meta,
    Accounts,
    Storage,
    HashedAccounts,
    HashedStorage,
    AccountNodes,
    StorageNodes,
    Codes,
    Blocks,
    BlockNumbers,
    Transactions,
    AccountHistory,
    StorageHistory,
}

impl Table {
    pub(crate) const ALL: [Self; 13] = [
        Self::Meta,
        Self::Accounts,
        Self::Storage,
        Self::HashedAccounts,
        Self::HashedStorage,
        Self::AccountNodes,
        Self::StorageNodes,
        Self::Codes,
        Self::Blocks,
        Self::BlockNumbers,
        Self::Transactions,
        Self::AccountHistory,
        Self::StorageHistory,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Accounts => "accounts",
            Self::Storage => "storage",
            Self::HashedAccounts => "hashed_accounts",
            Self::HashedStorage => "hashed_storage",
            Self::AccountNodes => "account_nodes",
            Self::StorageNodes => "storage_nodes",
            Self::Codes => "codes",
            Self::Blocks => "blocks",
            Self::BlockNumbers => "block_numbers",
            Self::Transactions => "transactions",
            Self::AccountHistory => "account_history",
            Self::StorageHistory => "storage_history",
        }
    }

    /// Whether values carry a checksum. A trie node is checked by its hash.
    pub(crate) const fn is_checksummed(self) -> bool {
        !matches!(self, Self::AccountNodes | Self::StorageNodes)
    }
}

/// An open database.
#[derive(Clone)]
pub(crate) struct Environment {
    mdbx: signet_libmdbx::Environment,
    tables: Arc<[Database; Table::ALL.len()]>,
    path: Arc<PathBuf>,
    further_readers: Arc<AtomicUsize>,
}

/// A reader beside a snapshot's first.
pub(super) struct FurtherReader {
    reader: Reader,
    _counted: Counted,
}

/// Counts one until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// `None` if there are `most` already.
    fn new(count: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let more = |count| (count < most).then_some(count + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(Arc::clone(count)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for FurtherReader {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Environment {
    /// Opens the database in `folder`, or creates it with empty tables.
    pub(crate) fn open(folder: &Path, options: &Options) -> Result<Self, StorageError> {
        fs::create_dir_all(folder).map_err(|source| StorageError::Io {
            operation: "create",
            path: folder.into(),
            source,
        })?;
        let sync_mode = match options.sync {
            SyncPolicy::EveryAppend => SyncMode::Durable,
            SyncPolicy::Never => SyncMode::SafeNoSync,
        };
        let mut builder = signet_libmdbx::Environment::builder();
        builder
            .set_max_dbs(Table::ALL.len())
            .set_max_readers(MAX_SNAPSHOTS + MAX_FURTHER_READERS as u64)
            .set_flags(EnvironmentFlags {
                mode: Mode::ReadWrite { sync_mode },
                no_rdahead: true,
                coalesce: true,
                ..Default::default()
            })
            .set_geometry(Geometry {
                size: Some(0..options.max_database_bytes),
                growth_step: Some(GROWTH_STEP),
                shrink_threshold: Some(4 * GROWTH_STEP),
                page_size: Some(PageSize::Set(4_096)),
            });
        let path = folder.join("mdbx.dat");
        let failed = |error| database_error("open", &path, error);
        let mdbx = builder.open(folder).map_err(failed)?;
        let tx = mdbx.begin_rw_unsync().map_err(failed)?;
        let mut tables = [Database::freelist_db(); Table::ALL.len()];
        for (slot, table) in tables.iter_mut().zip(Table::ALL) {
            let name = Some(table.name());
            *slot = tx.create_db(name, DatabaseFlags::empty()).map_err(failed)?;
        }
        tx.commit().map_err(failed)?;
        Ok(Self {
            mdbx,
            tables: Arc::new(tables),
            path: Arc::new(path),
            further_readers: Arc::default(),
        })
    }

    /// Everything as it is now, to be read from any thread.
    pub(crate) fn read(&self) -> Result<Reader, StorageError> {
        let tx = self.mdbx.begin_ro_sync();
        Ok(Tx::new(tx.map_err(|error| self.error("begin to read", error))?, self.clone()))
    }

    /// As it is now, for a snapshot that has a reader; `None` if there are too many, or the database refuses.
    pub(super) fn read_further(&self) -> Option<FurtherReader> {
        let counted = Counted::new(&self.further_readers, MAX_FURTHER_READERS)?;
        Some(FurtherReader { reader: self.read().ok()?, _counted: counted })
    }

    /// The one writer. Everything it does happens when it commits, or not at all.
    pub(crate) fn write(&self) -> Result<Writer, StorageError> {
        let tx = self.mdbx.begin_rw_unsync();
        Ok(Tx::new(tx.map_err(|error| self.error("begin to write", error))?, self.clone()))
    }

    pub(crate) fn database(&self, table: Table) -> Database {
        *self.tables.get(table as usize).expect("there is a handle for every table")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn error(&self, operation: &'static str, error: MdbxError) -> StorageError {
        database_error(operation, &self.path, error)
    }

    /// The size of the file that is in use, in bytes.
    pub(crate) fn used_bytes(&self) -> Result<u64, StorageError> {
        let failed = |error| self.error("measure", error);
        let page_bytes = self.mdbx.stat().map_err(failed)?.page_size();
        let pages = self.mdbx.info().map_err(failed)?.last_pgno() as u64 + 1;
        Ok(pages * u64::from(page_bytes))
    }
}

/// What the operating system refused is told apart from what the database found wrong.
fn database_error(operation: &'static str, path: &Path, error: MdbxError) -> StorageError {
    let io = |source| StorageError::Io { operation, path: path.into(), source };
    match error {
        MdbxError::Other(code) if code > 0 => io(io::Error::from_raw_os_error(code)),
        MdbxError::MapFull => io(io::Error::new(
            io::ErrorKind::StorageFull,
            "the database has reached its greatest size (see Options::max_database_bytes)",
        )),
        MdbxError::UnableExtendMapSize => io(io::Error::new(
            io::ErrorKind::StorageFull,
            "the database file cannot grow; is the disk full?",
        )),
        MdbxError::ReadersFull => io(io::Error::new(
            io::ErrorKind::WouldBlock,
            format!("{MAX_SNAPSHOTS} snapshots are open already"),
        )),
        MdbxError::Corrupted
        | MdbxError::PageNotFound
        | MdbxError::Invalid
        | MdbxError::WannaRecovery
        | MdbxError::VersionMismatch => {
            StorageError::Corrupt { path: path.into(), reason: error.to_string() }
        }
        error => StorageError::Database { operation, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::database_error;
    use crate::ErrorClass;
    use signet_libmdbx::MdbxError;
    use std::path::Path;

    #[test]
    fn a_database_that_finds_no_room_may_find_some_later() {
        let class = |error| database_error("commit", Path::new("test"), error).class();
        // ENOSPC, EFBIG, EDQUOT.
        for code in [28, 27, 122] {
            assert_eq!(class(MdbxError::Other(code)), ErrorClass::Temporary, "{code}");
        }
        assert_eq!(class(MdbxError::MapFull), ErrorClass::Temporary);
        assert_eq!(class(MdbxError::UnableExtendMapSize), ErrorClass::Temporary);
        assert_eq!(class(MdbxError::Other(5)), ErrorClass::Critical, "EIO");
        assert_eq!(class(MdbxError::Corrupted), ErrorClass::Critical);
    }
}
