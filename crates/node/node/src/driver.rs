//! Who decides which block is next.

use crate::{NodeChain, NodeContext};
use std::{error::Error, future::Future, pin::Pin};

/// Why a part of the node ended before the node did.
pub type PartError = Box<dyn Error + Send + Sync>;

/// What a part does for as long as the node runs.
pub type Running = Pin<Box<dyn Future<Output = Result<(), PartError>> + Send>>;

/// A part of the node that can be replaced: it tells the engine which block is next, be it by
/// listening to a consensus client, by deriving the chain, or by sequencing it.
pub trait ConsensusDriver<C: NodeChain>: Send + 'static {
    /// Drives the node until [`NodeContext::stopping`]. The node stops when this ends early.
    fn drive(self: Box<Self>, node: NodeContext<C>) -> Running;
}

impl<C, F, R> ConsensusDriver<C> for F
where
    C: NodeChain,
    F: FnOnce(NodeContext<C>) -> R + Send + 'static,
    R: Future<Output = Result<(), PartError>> + Send + 'static,
{
    fn drive(self: Box<Self>, node: NodeContext<C>) -> Running {
        Box::pin(self(node))
    }
}
