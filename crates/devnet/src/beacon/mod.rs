//! The dev beacon: an embedded consensus side of an L1.
//!
//! [`DevBeacon`] drives an [`ExecutionEngine`] as a consensus client does: each slot it asks for a payload, has it validated, and
//! puts it into a beacon block with a real state and real roots. Time comes in through [`DevBeacon::next_slot`]; a
//! [`BeaconRunner`] calls it by a clock. What is known leaves through a [`BeaconView`], and over HTTP
//! through [`beacon_api`].
//!
//! ```
//! use alloy_consensus::Header;
//! use lockstep_devnet::beacon::{
//!     BeaconConfig, BeaconError, BeaconSpec, DevBeacon, ExecutionEngine,
//! };
//!
//! /// Makes two epochs of blocks, and tells who proposes in the last one's epoch and the next.
//! fn foretell<E: ExecutionEngine>(engine: E, genesis: &Header) -> Result<Vec<u64>, BeaconError> {
//!     let spec = BeaconSpec::dev(genesis.timestamp, 1337);
//!     let mut beacon =
//!         DevBeacon::open(BeaconConfig::new(spec), engine, genesis, genesis.hash_slow())?;
//!     for _ in 0..64 {
//!         beacon.next_slot()?;
//!     }
//!     Ok(beacon.view().head().state.proposer_lookahead.iter().collect())
//! }
//! ```
//!
//! # Assumptions
//! The engine is honest and in this process, or behind a connection that the caller answers for. All validators are ours,
//! and their keys are known to everybody.
//!
//! # Invariants
//! - The state after a block depends on the state before and on the block alone ([`transition`] says which of the
//!   consensus rules it follows and which it leaves out).
//! - A block is in the log before it is the engine's head. The last block of the log is the head after a kill.
//! - What is final is never replaced. The finalised block of the engine never goes back.
//! - States have Fulu's shape from genesis on, also on a chain that is still at Electra.
//!
//! # Limits
//! [`BeaconLimits`] bounds states, blocks, blobs and events that are kept; [`GenesisValidators::MAX`] the validators;
//! [`MAX_SKIP`] and [`MAX_MINE`] what one control does. [`beacon_api`] bounds requests and listeners.

mod api;
mod chain;
mod dev_beacon;
mod engine;
mod events;
mod genesis;
mod keys;
mod produce;
mod recover;
mod runner;
mod spec;
mod store;
pub mod transition;
pub mod types;
mod view;

pub use api::{beacon_api, serve_beacon_api};
pub use chain::ImportedBlock;
pub use dev_beacon::{BeaconConfig, BeaconError, BeaconLimits, DevBeacon, Replacement};
pub use engine::{BlobsBundle, BuiltPayload, EngineError, ExecutionEngine, PayloadError};
pub use events::{AttributesEvent, BeaconEvent};
pub use genesis::{GenesisValidators, genesis_state};
pub use keys::{Domain, Signing, ValidatorKeys, signing_root, verify_signature};
pub use lockstep_ssz::Preset;
pub use runner::{
    BeaconControls, BeaconRunner, Clock, Control, ControlError, Controlled, MAX_MINE, MAX_SKIP,
};
pub use spec::{BeaconFork, BeaconSpec, BlobLimit};
pub use store::{Location, RecordHeader, StoreError, StoreOptions, StoreReader};
pub use transition::{Transition, TransitionError};
pub use types::{Checkpoint, FAR_FUTURE_EPOCH};
pub use view::{BeaconView, BlockId, FoundBlock, FoundState};
