//! What the nodes that make blocks know of L1 before they have derived it.

use alloy_eips::BlockNumHash;
use alloy_primitives::ChainId;
use lockstep_gateway::Ledger;
use lockstep_rpc::Confirmations;
use parking_lot::RwLock;
use std::sync::Arc;

/// A rollup whose blocks L1 gets in the batches of its union.
#[derive(Debug)]
pub(crate) struct PostedInBatches {
    pub(crate) chain: ChainId,
    pub(crate) ledger: Arc<Ledger>,
}

impl Confirmations for PostedInBatches {
    fn posted(&self) -> Option<BlockNumHash> {
        self.ledger.posted(self.chain)
    }
}

/// A rollup whose blocks L1 gets in the channels of its batcher.
#[derive(Debug, Default)]
pub(crate) struct PostedInChannels(RwLock<Option<BlockNumHash>>);

impl PostedInChannels {
    /// The newest block that L1 has by now, as far as that is known.
    pub(crate) fn set(&self, posted: Option<BlockNumHash>) {
        *self.0.write() = posted;
    }
}

impl Confirmations for PostedInChannels {
    fn posted(&self) -> Option<BlockNumHash> {
        *self.0.read()
    }
}
