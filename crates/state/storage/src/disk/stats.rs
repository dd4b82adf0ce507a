//! How much there is.

use super::DiskStorage;
use crate::{StorageError, db::Table, files::FileStats};
use lockstep_chain::Chain;
use serde::Serialize;

/// The size of a chain on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StorageStats {
    /// The number of the newest block.
    pub tip: u64,
    /// The part of the database file that is in use, in bytes; more than its tables need where
    /// pages are free.
    pub database_bytes: u64,
    /// The tables of the database.
    pub tables: Vec<TableStats>,
    /// The static files by what they hold.
    pub files: Vec<FileStats>,
    /// The log.
    pub log: LogStats,
}

/// The size of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableStats {
    /// Its name.
    pub name: &'static str,
    /// The number of rows.
    pub entries: u64,
    /// The height of the tree of pages.
    pub depth: u32,
    /// The size of its pages, in bytes.
    pub bytes: u64,
}

/// The size of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogStats {
    /// The number of files.
    pub segments: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

impl<C: Chain> DiskStorage<C> {
    /// How much there is of everything. Reads no data.
    ///
    /// # Errors
    /// When the disk or the database refuses.
    pub fn stats(&self) -> Result<StorageStats, StorageError> {
        let snapshot = self.disk_snapshot()?;
        let table = |table: Table| {
            let stat = snapshot.moment.first().stat(table)?;
            let pages = stat.branch_pages() + stat.leaf_pages() + stat.overflow_pages();
            Ok(TableStats {
                name: table.name(),
                entries: stat.entries() as u64,
                depth: stat.depth(),
                bytes: pages as u64 * u64::from(stat.page_size()),
            })
        };
        let (segments, bytes) = self.log.size()?;
        Ok(StorageStats {
            tip: crate::Snapshot::tip(&snapshot).number,
            database_bytes: self.shared.environment.used_bytes()?,
            tables: Table::ALL.into_iter().map(table).collect::<Result<_, StorageError>>()?,
            files: self.shared.files.stats()?,
            log: LogStats { segments, bytes },
        })
    }
}
