//! Super transactions over real EVMs: jointly, and each rollup's part alone.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]

mod blocks;
mod calls;
mod hostile;
mod limits;
mod program;
mod random;
mod reads;
mod reference;
mod vectors;
mod world;
