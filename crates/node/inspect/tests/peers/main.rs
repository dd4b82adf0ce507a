//! Calls and traces on the rollups of a union.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod calls;
mod traces;
mod world;
