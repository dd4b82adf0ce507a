//! Keep a chain on disk: state, history, blocks, and the log of what is not yet there.
//!
//! [`ExecutedBlock`]s go in; [`Snapshot`]s come out, with the [`State`] after any retained block.
//! [`OverlayState`] puts blocks that are only in memory on top.

mod block;
mod error;
mod nodes;
mod state;
mod storage;

pub use block::{ExecutedBlock, RecoveredBlock};
pub use error::{ErrorClass, StorageError};
pub use nodes::{TrieNodes, TrieNodesBuilder};
pub use state::{OverlayState, State};
pub use storage::{ForkChoice, LogEntry, LoggedEntry, Snapshot, Storage, TransactionLocation};
