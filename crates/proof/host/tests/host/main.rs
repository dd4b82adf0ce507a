//! The program on the answers of nodes, again on what was stored, and over pipes.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their fakes"
)]

#[path = "../../../../rollup/providers/tests/providers/fake.rs"]
mod fake;
#[path = "../../../../rollup/providers/tests/providers/fake_l1.rs"]
#[allow(dead_code, reason = "a part is used here")]
mod fake_l1;
#[path = "../../../stf/tests/run/host.rs"]
#[allow(dead_code, reason = "a part is used here")]
mod host;
mod nodes;
mod run;
mod serve;
#[path = "../../../stf/tests/run/world.rs"]
#[allow(dead_code, reason = "a part is used here")]
mod world;
