//! What goes wrong.

use crate::Slot;
use alloy_primitives::{Address, B256};

/// Proposers or delegations that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Epochs of this length do not exist.
    #[error("an epoch of {found} slots: it must have 2 to 64, a power of two")]
    SlotsPerEpoch {
        /// The length, in slots.
        found: u64,
    },
    /// A schedule is of one to three whole epochs.
    #[error(
        "proposers of {found} slots, of {slots_per_epoch} per epoch: they must be of one to three epochs"
    )]
    SlotCount {
        /// How many proposers there are.
        found: u64,
        /// The length of an epoch, in slots.
        slots_per_epoch: u64,
    },
    /// The slots of the epoch are beyond 64 bits.
    #[error("epoch {found} is too far in the future")]
    Epoch {
        /// The epoch.
        found: u64,
    },
    /// A delegation that `Registry` would not have recorded.
    #[error("key {key} cannot have delegated slots {first_slot} to {last_slot} to {gateway}")]
    Delegation {
        /// The root of the proposer's key.
        key: B256,
        /// The first slot.
        first_slot: Slot,
        /// The last slot.
        last_slot: Slot,
        /// The gateway.
        gateway: Address,
    },
    /// More delegations than are kept.
    #[error("more than {limit} delegations")]
    DelegationCount {
        /// How many may be.
        limit: usize,
    },
}
