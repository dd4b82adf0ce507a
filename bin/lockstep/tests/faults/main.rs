//! What a whole node does when it is killed, its files are damaged, or its disk is full: the real
//! program, on a real disk, driven over HTTP.
//!
//! `LOCKSTEP_KILLS` says how often it is killed (20 if unset), `LOCKSTEP_SEED` which moments are
//! chosen. Both are printed.

#![allow(
    clippy::needless_pass_by_value,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect; it has a clock and an environment"
)]

mod client;
mod damage;
mod driver;
mod folder;
mod full_disk;
mod kill_dev;
mod kill_node;
mod ledger;
mod program;
mod random;
mod sender;
mod signals;
