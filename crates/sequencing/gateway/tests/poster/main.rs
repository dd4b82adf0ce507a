//! Sealer and poster against a simulated L1 and simulated rollups: whatever happens, what users were shown is posted
//! in the end, once and in order, or taken back with a word. A failing seed replays exactly.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a test")]

mod blocks;
mod l1;
mod late;
mod measure;
mod rng;
mod rollups;
mod scenarios;
mod world;
