//! The Engine API over HTTP, as a consensus client sees it.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod client;
mod fixtures;
mod methods;
