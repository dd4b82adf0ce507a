//! What happens on the chain, for those who listen.

use super::types::{Checkpoint, Withdrawal};
use crate::ssz::ApiJson;
use alloy_primitives::{Address, B256};
use serde_json::{Value, json};

/// An event, as the Beacon API's `/eth/v1/events` has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeaconEvent {
    /// A block was imported.
    Block {
        /// Its slot.
        slot: u64,
        /// Its root.
        block: B256,
    },
    /// The head changed.
    Head {
        /// The head's slot.
        slot: u64,
        /// The head's root.
        block: B256,
        /// The root of the state after it.
        state: B256,
        /// Whether the head is the first block of its epoch.
        epoch_transition: bool,
        /// The block that fixed the attesters of the epoch before.
        previous_duty_dependent_root: B256,
        /// The block that fixed the attesters of this epoch.
        current_duty_dependent_root: B256,
    },
    /// The head is not a descendant of the head before.
    Reorg {
        /// The new head's slot.
        slot: u64,
        /// How many blocks of the old branch are no longer canonical.
        depth: u64,
        /// The head before.
        old_head_block: B256,
        /// The head now.
        new_head_block: B256,
        /// The state of the head before.
        old_head_state: B256,
        /// The state of the head now.
        new_head_state: B256,
        /// The new head's epoch.
        epoch: u64,
    },
    /// A checkpoint became final.
    Finalized {
        /// The checkpoint.
        checkpoint: Checkpoint,
        /// The state of its block.
        state: B256,
    },
    /// A payload was asked for.
    PayloadAttributes(Box<AttributesEvent>),
}

/// What a payload was asked to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributesEvent {
    /// The fork's name.
    pub version: &'static str,
    /// Who proposes the slot.
    pub proposer_index: u64,
    /// The slot.
    pub proposal_slot: u64,
    /// The number of the block to build on.
    pub parent_block_number: u64,
    /// The root of the beacon block to build on.
    pub parent_block_root: B256,
    /// The hash of the execution block to build on.
    pub parent_block_hash: B256,
    /// When the slot begins: Unix time in seconds.
    pub timestamp: u64,
    /// The slot's randomness.
    pub prev_randao: B256,
    /// Who shall get the fees.
    pub fee_recipient: Address,
    /// The withdrawals.
    pub withdrawals: Vec<Withdrawal>,
}

impl BeaconEvent {
    /// The topics there are.
    pub const TOPICS: [&str; 5] =
        ["head", "block", "finalized_checkpoint", "chain_reorg", "payload_attributes"];

    /// The event's topic.
    pub const fn topic(&self) -> &'static str {
        match self {
            Self::Head { .. } => "head",
            Self::Block { .. } => "block",
            Self::Finalized { .. } => "finalized_checkpoint",
            Self::Reorg { .. } => "chain_reorg",
            Self::PayloadAttributes(_) => "payload_attributes",
        }
    }

    /// The event's content, as the Beacon API writes it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Block { slot, block } => {
                json!({ "slot": slot.to_json(), "block": block, "execution_optimistic": false })
            }
            Self::Head {
                slot,
                block,
                state,
                epoch_transition,
                previous_duty_dependent_root,
                current_duty_dependent_root,
            } => json!({
                "slot": slot.to_json(),
                "block": block,
                "state": state,
                "epoch_transition": epoch_transition,
                "previous_duty_dependent_root": previous_duty_dependent_root,
                "current_duty_dependent_root": current_duty_dependent_root,
                "execution_optimistic": false,
            }),
            Self::Reorg {
                slot,
                depth,
                old_head_block,
                new_head_block,
                old_head_state,
                new_head_state,
                epoch,
            } => json!({
                "slot": slot.to_json(),
                "depth": depth.to_json(),
                "old_head_block": old_head_block,
                "new_head_block": new_head_block,
                "old_head_state": old_head_state,
                "new_head_state": new_head_state,
                "epoch": epoch.to_json(),
                "execution_optimistic": false,
            }),
            Self::Finalized { checkpoint, state } => json!({
                "block": checkpoint.root,
                "state": state,
                "epoch": checkpoint.epoch.to_json(),
                "execution_optimistic": false,
            }),
            Self::PayloadAttributes(event) => event.to_json(),
        }
    }
}

impl AttributesEvent {
    fn to_json(&self) -> Value {
        let withdrawals: Vec<Value> = self.withdrawals.iter().map(Withdrawal::to_json).collect();
        json!({
            "version": self.version,
            "data": {
                "proposer_index": self.proposer_index.to_json(),
                "proposal_slot": self.proposal_slot.to_json(),
                "parent_block_number": self.parent_block_number.to_json(),
                "parent_block_root": self.parent_block_root,
                "parent_block_hash": self.parent_block_hash,
                "payload_attributes": {
                    "timestamp": self.timestamp.to_json(),
                    "prev_randao": self.prev_randao,
                    "suggested_fee_recipient": self.fee_recipient.to_json(),
                    "withdrawals": withdrawals,
                    "parent_beacon_block_root": self.parent_block_root,
                },
            },
        })
    }
}
