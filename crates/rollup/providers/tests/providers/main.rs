//! The clients against nodes that are truthful, change their minds, stall, or lie.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their fakes"
)]

mod beacon;
mod fake;
mod fake_l1;
mod http;
mod l1;
mod l2;
mod proposers;
mod rpc;
mod server;
