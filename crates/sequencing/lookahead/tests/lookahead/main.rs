//! The rule against a naive model.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their fakes"
)]

mod rule;
