//! The look-ahead of a real beacon chain, held against the union's contracts on our executor.
//!
//! Validators register and delegate by their keys' signatures, a source reads duties and storage, a prover hashes states; and
//! what they say is what the contracts answer.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

#[path = "../common/mod.rs"]
mod common;
mod contracts;
mod nodes;
mod proofs;
mod scene;
