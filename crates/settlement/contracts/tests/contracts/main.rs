//! The code of the contracts, run by our executor and held against what our other crates say.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod apps;
mod attributes;
mod bridge;
mod fees;
mod gate;
mod genesis;
mod machine;
mod preinstalls;
mod proofs;
mod tokens;
mod union;
mod union_world;
