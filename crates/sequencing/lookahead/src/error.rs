//! What goes wrong, and who must act.

use crate::Slot;
use alloy_primitives::{Address, B256};
use lockstep_derive::Severity;
use lockstep_providers::ClientError;
use lockstep_ssz::SszError;

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

/// Bytes that are not a state of the fork whose layout is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The bytes are no encoding of it.
    #[error("{field}: {error}")]
    Encoding {
        /// The state's field.
        field: &'static str,
        /// What is wrong.
        error: SszError,
    },
    /// A slot's proposer is none of the state's validators.
    #[error("validator {index} shall propose slot {slot}, and there are {count}")]
    Proposer {
        /// The slot.
        slot: Slot,
        /// The proposer's index.
        index: u64,
        /// How many validators there are.
        count: u64,
    },
    /// The state's slot is so late that its look-ahead ends beyond 64 bits.
    #[error("slot {0} is too far in the future")]
    Slot(Slot),
}

/// Why a proof does not hold: the errors of the contract `Lookahead`, under their names there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The header is not that of the block.
    #[error("the header is of block {found}, expected {expected}")]
    WrongHeader {
        /// The block's root, as L1 has it.
        expected: B256,
        /// The header's root.
        found: B256,
    },
    /// The slots are in neither the state's epoch nor the next.
    #[error("slot {slot} is not in the look-ahead, slots {first} to {end}")]
    SlotOutsideLookahead {
        /// The first slot in question.
        slot: Slot,
        /// The first slot of the look-ahead.
        first: Slot,
        /// The first slot behind it.
        end: Slot,
    },
    /// Chunks of the look-ahead are too few or too many.
    #[error("{found} chunks of the look-ahead, expected {expected}")]
    LookaheadLength {
        /// Chunks of two epochs.
        expected: usize,
        /// Chunks found.
        found: usize,
    },
    /// The look-ahead is not the state's.
    #[error("the look-ahead is not that of state {state_root}")]
    WrongLookahead {
        /// The state.
        state_root: B256,
    },
    /// There are not as many branches as keys.
    #[error("{keys} keys with {branches} branches")]
    KeyBranches {
        /// Keys found.
        keys: usize,
        /// Branches found.
        branches: usize,
    },
    /// There are no keys.
    #[error("there are no keys")]
    NoKeys,
    /// No list of validators has a place for this index.
    #[error("{0} is not the index of a validator")]
    ValidatorIndex(u64),
    /// A key is not that of the proposer.
    #[error("the key of validator {index} is not that of state {state_root}")]
    WrongKey {
        /// The proposer's index.
        index: u64,
        /// The state.
        state_root: B256,
    },
}

/// Why a schedule cannot be had, or a slot's proposer not proven.
#[derive(Debug, thiserror::Error)]
pub enum LookaheadError {
    /// A node did not answer, or not the truth.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Proposers or delegations cannot be.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The beacon node's duties are not those of the slots of an epoch.
    #[error("the beacon node gave duties of epoch {epoch} {reason}")]
    Duties {
        /// The epoch.
        epoch: u64,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The L1 node has no block yet.
    #[error("the L1 node has no head")]
    NoHead,
    /// The L1 node's head is far later than the time that was given.
    #[error("L1's head is of slot {head}, long after epoch {epoch}: is the clock right?")]
    HeadAhead {
        /// The slot of the head.
        head: Slot,
        /// The epoch of the time that was given.
        epoch: u64,
    },
    /// L1's chain changed while it was read.
    #[error("block {head} is no longer the head of L1")]
    Reorganised {
        /// What was the head.
        head: B256,
    },
    /// The two nodes do not follow the same chain, or one of them is behind.
    #[error(
        "the last block before the epoch is {beacon} to the beacon node and {l1} to the L1 node"
    )]
    ChainsDiffer {
        /// The beacon block's root, as the beacon node says.
        beacon: B256,
        /// The beacon block's root, as the L1 block says that comes after it.
        l1: B256,
    },
    /// There is no registry at the address.
    #[error("there is no registry at {address} after L1 block {block}")]
    NoRegistry {
        /// The address.
        address: Address,
        /// The L1 block.
        block: B256,
    },
    /// More proposers than there are in three epochs.
    #[error("delegations of {found} proposers were asked for, the limit is {limit}")]
    ProposerCount {
        /// How many.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The L1 block carries no root of a beacon block (EIP-4788).
    #[error("L1 block {block} has no parent beacon block root")]
    NoBeaconRoot {
        /// The block's hash.
        block: B256,
    },
    /// The beacon node gave no state that could be read.
    #[error("the state of slot {slot} that the beacon node gave cannot be read: {error}")]
    State {
        /// The slot.
        slot: Slot,
        /// What is wrong.
        error: StateError,
    },
    /// The beacon node gave another state than that of the block.
    #[error(
        "the state of slot {slot} that the beacon node gave has root {found}, expected {expected}"
    )]
    WrongState {
        /// The slot.
        slot: Slot,
        /// The root in the block's header.
        expected: B256,
        /// The root of what was given.
        found: B256,
    },
    /// What was kept of an epoch cannot be read.
    #[error("{bytes} bytes that are no evidence of who owns the slots of an epoch")]
    Evidence {
        /// How many they are.
        bytes: usize,
    },
    /// The slots cannot be proven with this state.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl LookaheadError {
    /// Who must act.
    ///
    /// Nobody, if the next answer of a node may be another ([`Severity::Temporary`]); who asked for something by its hash,
    /// if L1 has another chain by now ([`Severity::Reset`]: ask for the head again); the operator, if settings, or what was
    /// asked for, do not fit the chain ([`Severity::Critical`]).
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Client(error) => error.severity(),
            Self::Duties { .. }
            | Self::NoHead
            | Self::HeadAhead { .. }
            | Self::Reorganised { .. }
            | Self::ChainsDiffer { .. }
            | Self::State { .. }
            | Self::WrongState { .. } => Severity::Temporary,
            Self::Rule(_)
            | Self::NoRegistry { .. }
            | Self::ProposerCount { .. }
            | Self::NoBeaconRoot { .. }
            | Self::Evidence { .. }
            | Self::Proof(_) => Severity::Critical,
        }
    }
}
