//! What the parts of a running node share.

use crate::NodeChain;
use lockstep_engine::{ChainView, Engine};
use lockstep_pool::Pool;
use std::fmt;
use tokio::sync::watch;

/// A running node, as its parts see it. Cheap to clone.
pub struct NodeContext<C: NodeChain> {
    engine: Engine<C>,
    pool: Pool<C>,
    stopping: watch::Receiver<bool>,
}

impl<C: NodeChain> NodeContext<C> {
    pub(crate) const fn new(
        engine: Engine<C>,
        pool: Pool<C>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { engine, pool, stopping }
    }

    /// The chain definition.
    pub fn chain(&self) -> &C {
        self.engine.chain()
    }

    /// Executes blocks, follows the fork choice, builds payloads.
    pub const fn engine(&self) -> &Engine<C> {
        &self.engine
    }

    /// Reads of the chain.
    pub fn view(&self) -> ChainView<C> {
        self.engine.view()
    }

    /// Transactions that wait.
    pub const fn pool(&self) -> &Pool<C> {
        &self.pool
    }

    /// Completes when the node stops; parts that run for as long as the node does end then.
    pub async fn stopping(&self) {
        let mut stopping = self.stopping.clone();
        // The sender is gone only when the node is.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }
}

impl<C: NodeChain> Clone for NodeContext<C> {
    fn clone(&self) -> Self {
        Self {
            engine: self.engine.clone(),
            pool: self.pool.clone(),
            stopping: self.stopping.clone(),
        }
    }
}

impl<C: NodeChain> fmt::Debug for NodeContext<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeContext").field("chain", self.chain()).finish_non_exhaustive()
    }
}
