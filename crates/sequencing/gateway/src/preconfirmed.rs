//! What users are shown of a block before it is complete.

use lockstep_chain::Rollup;
use lockstep_engine::PendingBlock;
use lockstep_rpc::PendingBlocks;
use parking_lot::RwLock;
use tokio::sync::watch;

/// The block of one rollup that is being made, as it was at the last update.
#[derive(Debug)]
pub struct Preconfirmed {
    block: RwLock<Option<PendingBlock<Rollup>>>,
    changes: watch::Sender<()>,
}

impl Default for Preconfirmed {
    fn default() -> Self {
        Self { block: RwLock::default(), changes: watch::Sender::new(()) }
    }
}

impl Preconfirmed {
    /// Shows a block, or that there is none.
    pub(crate) fn show(&self, block: Option<PendingBlock<Rollup>>) {
        *self.block.write() = block;
        // Without a receiver nobody wants to know.
        let _ = self.changes.send(());
    }
}

impl PendingBlocks<Rollup> for Preconfirmed {
    fn pending(&self) -> Option<PendingBlock<Rollup>> {
        self.block.read().clone()
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
