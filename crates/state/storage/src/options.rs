//! How a chain is kept on disk.

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

/// What is forced onto the disk, and when.
///
/// Whatever the choice, a process that ends at any instant loses nothing that was appended or
/// logged, and what is found after a failure of power is either consistent or refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Each append and unwind waits until everything is on the disk. A failure of power loses
    /// nothing that was appended.
    #[default]
    EveryAppend,
    /// The operating system writes when it likes. After a failure of power the chain may be
    /// refused as damaged: for chains that can be made again.
    Never,
}

/// Settings of a [`DiskStorage`](crate::DiskStorage).
#[derive(Clone)]
pub struct Options {
    /// What is forced onto the disk.
    pub sync: SyncPolicy,
    /// The number of blocks per static file, at least 1. Fixed when the folder is created.
    pub segment_blocks: u64,
    /// The greatest size of the database file, in bytes. Only address space is reserved.
    pub max_database_bytes: usize,
    /// The most blocks that one database transaction takes back, at least 1: an unwind of more takes
    /// several, so that its memory does not grow with its depth.
    pub unwind_blocks: u64,
    /// The memory for decoded change sets and codes that are read often, in bytes, each.
    pub cache_bytes: usize,
    /// Asked before anything is written. Tests refuse to see what a full disk does.
    pub gate: Arc<dyn WriteGate>,
    /// A clock that never goes back, for metrics. Without one, durations are not recorded.
    pub clock: Option<fn() -> Duration>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("sync", &self.sync)
            .field("segment_blocks", &self.segment_blocks)
            .field("max_database_bytes", &self.max_database_bytes)
            .field("unwind_blocks", &self.unwind_blocks)
            .field("cache_bytes", &self.cache_bytes)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync: SyncPolicy::default(),
            segment_blocks: 65_536,
            max_database_bytes: 4 << 40,
            unwind_blocks: 256,
            cache_bytes: 64 << 20,
            gate: Arc::new(OpenGate),
            clock: None,
        }
    }
}

/// What storage is about to do to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOperation {
    /// Write this many bytes to a static file or the log.
    Write(usize),
    /// Wait until a file is on the disk.
    Sync,
    /// Commit a database transaction.
    Commit,
}

/// Decides whether the disk takes a write: the seam through which tests make it fail.
pub trait WriteGate: Send + Sync {
    /// Lets the operation happen, or says how it fails.
    ///
    /// # Errors
    /// How many bytes are written before the write fails, and why it does.
    fn admit(&self, operation: WriteOperation, path: &Path) -> Result<(), (usize, io::Error)>;
}

/// Lets everything happen.
#[derive(Clone, Copy, Debug, Default)]
struct OpenGate;

impl WriteGate for OpenGate {
    fn admit(&self, _: WriteOperation, _: &Path) -> Result<(), (usize, io::Error)> {
        Ok(())
    }
}
