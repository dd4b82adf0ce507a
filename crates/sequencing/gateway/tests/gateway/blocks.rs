//! What the simulated inbox is told of the union.

use crate::{l1, union};
use alloy_primitives::Address;
use lockstep_protocol::UnionConfig;

pub(crate) const L1_CHAIN_ID: u64 = 1_337;
pub(crate) const SLOT_SECONDS: u64 = union::SLOT_S;
pub(crate) const GENESIS_TIME: u64 = l1::GENESIS_TIME;

pub(crate) fn union() -> UnionConfig {
    UnionConfig {
        inbox: Address::repeat_byte(0x1b),
        chains: Default::default(),
        slot_seconds: SLOT_SECONDS,
        genesis_time: GENESIS_TIME,
        ..Default::default()
    }
}
