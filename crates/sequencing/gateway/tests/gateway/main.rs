//! A gateway over the engines and pools of a union in memory, on an L1 that the tests make.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]

mod faults;
mod filling;
mod l1;
mod limits;
mod recovery;
mod storage;
mod union;
mod world;
