//! Follow a rollup: derive its blocks from L1 and feed them to the engine.
//!
//! What L1 says enters through a provider ([`L1Watch`], `BlobProvider`) and the derivation pipeline.
//! Each block that is derived is compared with the one that the engine holds on the safe head: if
//! it is the same it becomes safe, otherwise it is executed and takes the other's place. What was
//! derived from a final L1 block becomes final. [`Follower::step`] does one piece of this at a time;
//! how far it is can be read from [`StatusReader`].
//!
//! # Assumptions
//! - The engine's chain is the rollup of the configuration, and its genesis is the configured one.
//! - The L1 provider checks what it is told (hashes, receipts); which chain is canonical it believes.
//!
//! # Invariants
//! - The safe chain follows from L1 and the configuration alone; a block that the engine had before
//!   is only spared its execution.
//! - A failure that may pass loses nothing that was derived.
//! - Before Holocene an invalid block takes the whole span batch with it that it is in: safe is only
//!   what cannot be taken back so.
//! - Somebody else may drive the engine, too (a sequencer): if it takes back what was derived,
//!   derivation begins anew.
//! - A final block was derived from an L1 block that L1 called final, and was still canonical then.
//! - No clock, no thread: [`Follower::step`] and [`Follower::watch_l1`] are called by a driver.
//!
//! # Metrics
//! All are labelled with the rollup's `chain` id.
//! - `lockstep_follower_l1_head`, `lockstep_follower_l1_origin`, `lockstep_follower_l1_distance`: the
//!   newest L1 block, the one up to which the rollup is derived, and how many lie between them.
//! - `lockstep_follower_unsafe_block`, `lockstep_follower_safe_block`,
//!   `lockstep_follower_finalized_block`: the rollup's newest block, safe block and final block.
//! - `lockstep_follower_blocks_total` by `outcome`: `agreed` (the engine had it), `built`, `replaced`
//!   (the engine had another), `unexecutable` (invalid: replaced by its deposits, or left out).
//! - `lockstep_follower_errors_total` by `class` (`temporary`, `reset`, `critical`), and
//!   `lockstep_follower_resets_total`: how often derivation began anew.
//! - `lockstep_follower_dropped` by `reason`: what derivation dropped since it last began.
//!
//! # Limits
//! - 4,096 L1 blocks are remembered while L1 does not finalize; beyond, what is final is said later.
//! - What derivation holds is limited by `lockstep_derive`.
//! - A step takes back at most `EngineConfig::max_reorg_depth` stored blocks; where more must go, it
//!   takes several.

mod chain;
mod consolidate;
mod error;
mod finality;
mod follower;
mod measure;
mod restarts;
mod status;

pub use chain::{RollupChain, RollupChainError};
pub use error::FollowerError;
pub use follower::{Follower, Progress};
pub use status::{FollowerStatus, L1Heads, L1Watch, StatusReader};
