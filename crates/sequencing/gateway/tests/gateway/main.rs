//! A gateway over the engines and pools of a union in memory, on an L1 that the tests make.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]

mod blocks;
mod faults;
mod filling;
mod handover;
mod handover_l1;
#[allow(dead_code, reason = "shared with the tests of the poster, which use all of it")]
#[path = "../poster/l1.rs"]
mod inbox_l1;
mod l1;
mod limits;
mod recovery;
#[path = "../poster/rng.rs"]
mod rng;
mod sealing;
mod storage;
mod union;
mod world;
