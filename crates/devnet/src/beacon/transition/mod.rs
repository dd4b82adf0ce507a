//! The state transition: how slots, epochs and blocks change a beacon state.
//!
//! It follows the consensus specifications (Fulu) where it says so, and the state after a block
//! depends on the state before and the block alone. What is left out, because a dev chain has no
//! use for it: signatures are not verified; rewards, penalties and inactivity scores; validators joining, leaving or
//! being slashed (deposit, withdrawal and consolidation requests stay in the block without effect, and a block with operations
//! that would do it is refused). Balances change by withdrawals alone.

mod blocks;
mod committees;
mod epochs;
mod shuffle;
mod slots;

pub use committees::committee_count;
pub use shuffle::shuffle;

use super::{BeaconSpec, Preset, types::BeaconState};
use crate::ssz::SszError;
use alloy_primitives::B256;
use committees::ShufflingCache;
use std::sync::Arc;

/// `MIN_SEED_LOOKAHEAD`, in epochs.
pub(crate) const MIN_SEED_LOOKAHEAD: u64 = 1;
/// `TIMELY_SOURCE_FLAG_INDEX`, as a flag.
pub(crate) const TIMELY_SOURCE: u8 = 1;
/// `TIMELY_TARGET_FLAG_INDEX`, as a flag.
pub(crate) const TIMELY_TARGET: u8 = 2;
/// `TIMELY_HEAD_FLAG_INDEX`, as a flag.
pub(crate) const TIMELY_HEAD: u8 = 4;
/// `MAX_EFFECTIVE_BALANCE_ELECTRA`, in gwei.
pub(crate) const MAX_EFFECTIVE_BALANCE_ELECTRA: u64 = 2_048_000_000_000;
/// `MIN_ACTIVATION_BALANCE`, in gwei.
pub(crate) const MIN_ACTIVATION_BALANCE: u64 = 32_000_000_000;

/// The rules, for one chain.
#[derive(Clone, Debug)]
pub struct Transition {
    spec: Arc<BeaconSpec>,
    shufflings: ShufflingCache,
}

impl Transition {
    /// The rules for a chain.
    pub fn new(spec: Arc<BeaconSpec>) -> Self {
        Self { spec, shufflings: ShufflingCache::default() }
    }

    /// The chain's configuration.
    pub fn spec(&self) -> &BeaconSpec {
        &self.spec
    }

    /// The chain's preset.
    pub fn preset(&self) -> &'static Preset {
        self.spec.preset
    }

    /// The epoch of a state.
    pub(crate) fn epoch(&self, state: &BeaconState) -> u64 {
        self.preset().epoch(state.slot)
    }
}

/// `get_randao_mix`.
pub(crate) fn randao_mix(state: &BeaconState, epoch: u64, preset: &Preset) -> B256 {
    let index = epoch % preset.epochs_per_historical_vector;
    state.randao_mixes.get(index as usize).unwrap_or_default()
}

/// `get_block_root_at_slot`: the block at a slot before the state's, or the latest before it.
///
/// # Errors
/// If the slot is not before the state's, or too far back.
pub fn block_root_at(
    state: &BeaconState,
    slot: u64,
    preset: &Preset,
) -> Result<B256, TransitionError> {
    let history = preset.slots_per_historical_root;
    let root = (slot < state.slot && state.slot <= slot.saturating_add(history))
        .then(|| state.block_roots.get((slot % history) as usize));
    root.flatten().ok_or(TransitionError::History { slot, state: state.slot })
}

/// Why a block or a slot cannot follow a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The state is beyond the slot.
    #[error("a state of slot {state} cannot be brought to slot {slot}")]
    PastSlot {
        /// The state's slot.
        state: u64,
        /// The slot wanted.
        slot: u64,
    },
    /// A root is wanted that the state does not hold.
    #[error("a state of slot {state} does not know the block at slot {slot}")]
    History {
        /// The slot wanted.
        slot: u64,
        /// The state's slot.
        state: u64,
    },
    /// A block's field contradicts the state.
    #[error("the block's {field} is {found}, but its parent's state asks for {expected}")]
    Block {
        /// Which field.
        field: &'static str,
        /// What the state asks for.
        expected: String,
        /// What the block has.
        found: String,
    },
    /// A vote in a block is not valid.
    #[error("an attestation for slot {slot} is not valid: {reason}")]
    Attestation {
        /// The slot voted on.
        slot: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A block does what a dev chain does not.
    #[error("the block has {0}, which a dev beacon chain does not apply")]
    Unsupported(&'static str),
    /// No validator can propose or attest.
    #[error("no validator is active with a balance in epoch {0}")]
    NoValidators(u64),
    /// A list in the state is full.
    #[error("the state is full: {0}")]
    Full(#[from] SszError),
}

pub(crate) fn expect_field<T: PartialEq + std::fmt::Display>(
    field: &'static str,
    expected: &T,
    found: &T,
) -> Result<(), TransitionError> {
    if expected == found {
        return Ok(());
    }
    Err(TransitionError::Block { field, expected: expected.to_string(), found: found.to_string() })
}
