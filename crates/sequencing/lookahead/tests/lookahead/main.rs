//! The rule against a naive model, and the source against nodes that follow a chain, change it, or lie.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their fakes"
)]

mod rule;
mod source;
mod world;
