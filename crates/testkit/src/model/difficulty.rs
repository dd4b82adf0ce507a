//! Difficulty tests: the difficulty of a block, given its parent.

use crate::fields::{Number, Quantity};
use alloy_primitives::B256;
use serde::Deserialize;

/// One block, its parent and its difficulty.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names of the test's fields")]
pub struct DifficultyTest {
    pub parent_timestamp: Number,
    pub parent_difficulty: Quantity,
    /// The ommers hash of the parent, or how many ommers it has.
    pub parent_uncles: Option<ParentUncles>,
    pub current_timestamp: Number,
    pub current_block_number: Number,
    pub current_difficulty: Quantity,
}

/// What a test says of the parent's ommers.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum ParentUncles {
    /// The hash of their list.
    Hash(B256),
    /// Zero for none.
    Count(Number),
}

impl ParentUncles {
    /// Whether there are any.
    pub fn any(&self) -> bool {
        match self {
            Self::Hash(hash) => *hash != alloy_consensus::EMPTY_OMMER_ROOT_HASH,
            Self::Count(count) => count.0 > 0,
        }
    }
}
