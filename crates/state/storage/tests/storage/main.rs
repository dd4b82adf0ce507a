//! Chains on disk and in memory, held against plain states in memory.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod compare;
mod damage;
mod faults;
mod fixtures;
mod forge;
mod format;
mod kill;
mod log;
mod model;
mod use_of_folder;
