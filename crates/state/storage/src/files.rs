//! The static files of a chain on disk: what never changes once it is written.

mod format;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod pending;
mod segment;
mod store;

pub(crate) use format::Kind;
pub(crate) use pending::Pending;
pub use store::FileStats;
pub(crate) use store::{StaticFiles, has_blocks_after_first};
