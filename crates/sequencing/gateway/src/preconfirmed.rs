//! What users are shown of a block before it is complete.

use lockstep_chain::{Chain, Rollup};
use lockstep_engine::{PendingBlock, PendingPeer, PendingPeers};
use lockstep_rpc::PendingBlocks;
use parking_lot::RwLock;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// The block of one rollup that is being made, as it was at the last update.
#[derive(Debug)]
pub struct Preconfirmed {
    block: RwLock<Option<PendingBlock<Rollup>>>,
    changes: watch::Sender<()>,
    /// Held while the blocks of all rollups change: whoever has seen one of an update sees the others, too.
    together: OnceLock<Arc<RwLock<()>>>,
}

impl Default for Preconfirmed {
    fn default() -> Self {
        Self {
            block: RwLock::default(),
            changes: watch::Sender::new(()),
            together: OnceLock::new(),
        }
    }
}

/// A block of an update.
pub(crate) struct Update<'u> {
    /// Where it is shown.
    pub(crate) at: &'u Preconfirmed,
    pub(crate) chain: Rollup,
    pub(crate) block: PendingBlock<Rollup>,
    /// Whether it is another than at the update before.
    pub(crate) has_changed: bool,
}

impl Preconfirmed {
    /// Lets the blocks of these rollups change together from now on. What is shown by two gateways stays with
    /// the first.
    pub(crate) fn join<'p>(all: impl Iterator<Item = &'p Self>) {
        let lock = Arc::new(RwLock::new(()));
        for shown in all {
            shown.together.get_or_init(|| lock.clone());
        }
    }

    /// Shows that there is no block.
    pub(crate) fn clear(&self) {
        *self.block.write() = None;
        // Without a receiver nobody wants to know.
        let _ = self.changes.send(());
    }

    /// Shows the blocks of all rollups at once, each with the others as they are then.
    pub(crate) fn show_all(updates: &[Update<'_>]) {
        let peers = updates.iter().map(|update| {
            let Update { chain, block, .. } = update;
            let header = block.block.block.header.clone();
            let peer = PendingPeer { chain: chain.clone(), header, state: block.state.clone() };
            (chain.chain_id(), peer)
        });
        let peers: Arc<PendingPeers> = Arc::new(peers.collect());
        let together = updates.first().and_then(|update| update.at.together.get());
        let guard = together.map(|lock| lock.write());
        for update in updates {
            let mut block = update.block.clone();
            block.peers = peers.clone();
            *update.at.block.write() = Some(block);
        }
        drop(guard);
        for update in updates.iter().filter(|update| update.has_changed) {
            let _ = update.at.changes.send(());
        }
    }
}

impl PendingBlocks<Rollup> for Preconfirmed {
    fn pending(&self) -> Option<PendingBlock<Rollup>> {
        let _together = self.together.get().map(|lock| lock.read());
        self.block.read().clone()
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
