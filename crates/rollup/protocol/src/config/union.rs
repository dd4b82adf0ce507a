//! What a rollup of a union knows of the union.

use alloc::collections::BTreeSet;
use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// The union that a rollup belongs to: key `union` of `rollup.json`. All rollups of the union have the
/// same, and with it whatever a follower must know of the other rollups to judge a union batch as their
/// followers do.
///
/// Fields that are not known are refused: the rules may depend on them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnionConfig {
    /// The L1 contract that takes union batches.
    pub inbox: Address,
    /// The chain ids of the rollups, this one's among them.
    pub chains: BTreeSet<u64>,
    /// Seconds from one slot to the next.
    pub slot_seconds: u64,
    /// When slot 0 begins, in seconds: the genesis time of L1's beacon chain.
    pub genesis_time: u64,
    /// Seconds from one block to the next, on every rollup.
    pub block_time: u64,
    /// L1 blocks after which an epoch without batches is filled with deposits alone, on every rollup.
    pub seq_window_size: u64,
    /// Activation of Isthmus, on every rollup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isthmus_time: Option<u64>,
    /// Activation of Jovian, on every rollup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jovian_time: Option<u64>,
}

impl UnionConfig {
    /// The slot that `timestamp`, in seconds, is in; `None` before slot 0.
    pub const fn slot_at(&self, timestamp: u64) -> Option<u64> {
        match timestamp.checked_sub(self.genesis_time) {
            Some(seconds) => seconds.checked_div(self.slot_seconds),
            None => None,
        }
    }

    /// When `slot` begins, in seconds. Times that do not fit are the latest that does.
    pub const fn slot_start(&self, slot: u64) -> u64 {
        self.genesis_time.saturating_add(slot.saturating_mul(self.slot_seconds))
    }
}
