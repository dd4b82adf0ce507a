//! A node is what its parts make of it.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod args;
mod commitment;
mod folder;
mod parts;
mod precompiles;
mod union;
mod world;
