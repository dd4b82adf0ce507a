//! What the rollup's node tells of itself and of its L1.

use crate::{L1Heads, L1Origin};
use alloy_eips::BlockNumHash;
use alloy_genesis::Genesis;
use lockstep_rpc::{L1Status, RollupNode};
use parking_lot::RwLock;
use serde_json::{Value, json};
use std::sync::Arc;

/// What the rollup's node tells of itself and of its L1. Copies share what is known of the L1.
#[derive(Clone, Debug)]
pub(crate) struct RollupInfo {
    config: Value,
    l1: Arc<RwLock<L1Status>>,
}

impl RollupInfo {
    /// The rollup with this genesis, whose first block `first` is, on the L1 with this chain id.
    pub(crate) fn new(
        genesis: &Genesis,
        first: BlockNumHash,
        block_time_s: u64,
        l1_chain_id: u64,
        origin: &L1Origin,
    ) -> Self {
        let config = json!({
            "genesis": {
                "l1": { "hash": origin.hash, "number": origin.number },
                "l2": { "hash": first.hash, "number": first.number },
                "l2_time": genesis.timestamp,
            },
            "block_time": block_time_s,
            "l1_chain_id": l1_chain_id,
            "l2_chain_id": genesis.config.chain_id,
            "regolith_time": 0,
            "canyon_time": 0,
            "delta_time": 0,
            "ecotone_time": 0,
            "fjord_time": 0,
            "granite_time": 0,
            "holocene_time": 0,
            "isthmus_time": 0,
            "chain_op_config": genesis.config.extra_fields.get("optimism"),
        });
        Self { config, l1: Arc::default() }
    }

    /// Takes note of where the L1 stands, and of the origin of the newest block.
    pub(crate) fn update(&self, heads: &L1Heads) {
        let L1Heads { head, safe, finalized } = *heads;
        *self.l1.write() = L1Status { current: head, head, safe, finalized };
    }
}

impl RollupNode for RollupInfo {
    fn l1_status(&self) -> L1Status {
        *self.l1.read()
    }

    fn rollup_config(&self) -> Value {
        self.config.clone()
    }
}
