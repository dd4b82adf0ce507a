//! The behaviour of the engine: by scenario, against official chains and payloads, and against a
//! naive model.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod audit;
mod chains;
mod factory;
mod fixtures;
mod payloads;
mod persistence;
mod reorgs;
mod restart;
mod rules;
mod transition;
mod world;
