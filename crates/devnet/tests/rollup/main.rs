//! A rollup on the dev L1: sequenced, posted, and derived again by an independent node.

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail this way"
)]

mod proof;
mod scenarios;
mod users;
mod world;
