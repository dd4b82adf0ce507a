//! The poster against a simulated L1 and simulated rollups: whatever happens, what the rollups' blocks hold is posted
//! in the end, once and in order, and can be derived from what was posted. A failing seed replays exactly.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a test")]

mod blocks;
mod l1;
mod rng;
mod rollups;
mod scenarios;
mod world;
