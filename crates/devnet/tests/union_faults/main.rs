//! A union on a real L1, whose slots belong to an owner that does what it likes; and what its followers make of that.
//!
//! The L1 is a node under the dev beacon with the union's contracts; its blocks have what the test says. Each rollup has
//! followers that know nothing but their own rollup and L1's JSON-RPC and Beacon API. After every L1 block they are
//! held against a model of the rules ([`model`]) which reads the events of L1, and nothing that a follower says.

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail this way"
)]

mod classes;
mod followers;
mod l1;
mod model;
mod owner;
#[path = "../common/proof.rs"]
mod proof;
mod random;
mod scenarios;
mod world;
