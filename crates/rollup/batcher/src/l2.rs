//! What the batcher needs from an L2 node.

use crate::{BatchBlock, SourceError};
use alloy_eips::BlockNumHash;

/// Where an L2 node stands (`optimism_syncStatus`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L2Status {
    /// The newest block.
    pub unsafe_head: BlockNumHash,
    /// The newest block that was derived from L1.
    pub safe_head: BlockNumHash,
    /// The L1 block that derivation is at. All before it has been derived from completely.
    pub current_l1: BlockNumHash,
}

/// The L2 node as the batcher uses it. All calls block.
pub trait L2Blocks {
    /// Where the node stands.
    ///
    /// # Errors
    /// If the node does not answer.
    fn status(&mut self) -> Result<L2Status, SourceError>;

    /// Block `number` of the node's canonical chain, if it has one.
    ///
    /// # Errors
    /// If the node does not answer, or with a block that is not one.
    fn block(&mut self, number: u64) -> Result<Option<BatchBlock>, SourceError>;
}

impl<T: L2Blocks + ?Sized> L2Blocks for Box<T> {
    fn status(&mut self) -> Result<L2Status, SourceError> {
        (**self).status()
    }

    fn block(&mut self, number: u64) -> Result<Option<BatchBlock>, SourceError> {
        (**self).block(number)
    }
}
