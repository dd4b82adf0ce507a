//! A node of the rollup, as others see it: its chain, and how far it has derived.

use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use lockstep_batcher::{BatchBlock, L2Blocks, L2Status, SourceError};
use lockstep_chain::Rollup;
use lockstep_engine::{ChainSnapshot, ChainView};
use lockstep_node::FollowedRollup;
use lockstep_protocol::OutputRoot;
use lockstep_storage::StorageError;

/// A node of the rollup in this process.
#[derive(Clone, Debug)]
pub struct LocalRollup {
    /// Its chain.
    pub view: ChainView<Rollup>,
    /// The rollup, and how far the follower of the node is.
    pub rollup: FollowedRollup,
}

/// A safe block, and what it was derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafeBlock {
    /// The block.
    pub block: BlockNumHash,
    /// When it was made, in seconds.
    pub timestamp: u64,
    /// The L1 block up to which the rollup was derived when the block was safe already.
    pub derived_up_to: BlockNumHash,
    /// The output root of the block.
    pub output_root: B256,
}

impl LocalRollup {
    /// The newest safe block; `None` while nothing has been derived since the node began.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub fn safe_block(&self) -> Result<Option<SafeBlock>, StorageError> {
        let Some(derived) = self.rollup.status.read().derived_up_to else { return Ok(None) };
        let snapshot = self.view.snapshot();
        let number = self.safe_head(&snapshot).number;
        let header = snapshot.header(number)?;
        let header = header.ok_or_else(|| StorageError::Missing(format!("block {number}")))?;
        let parts = OutputRoot {
            state_root: header.state_root,
            // Isthmus: this is the storage root of the message passer.
            message_passer_storage_root: header.withdrawals_root.unwrap_or_default(),
            block_hash: header.seal(),
        };
        Ok(Some(SafeBlock {
            block: BlockNumHash::new(number, header.seal()),
            timestamp: header.timestamp,
            derived_up_to: derived.id(),
            output_root: parts.hash(),
        }))
    }

    /// The newest safe block of the chain, which is the first one at the beginning.
    pub(crate) fn safe_head(&self, snapshot: &ChainSnapshot<Rollup>) -> BlockNumHash {
        snapshot.safe().unwrap_or(self.rollup.config.genesis.l2)
    }
}

impl L2Blocks for LocalRollup {
    fn status(&mut self) -> Result<L2Status, SourceError> {
        // Read first: what was derived from before must be in the chain.
        let current_l1 = self.rollup.status.read().derived_up_to.unwrap_or_default().id();
        let snapshot = self.view.snapshot();
        let head = snapshot.head();
        Ok(L2Status {
            unsafe_head: BlockNumHash::new(head.number, head.seal()),
            safe_head: self.safe_head(&snapshot),
            current_l1,
        })
    }

    fn block(&mut self, number: u64) -> Result<Option<BatchBlock>, SourceError> {
        let failed = |error: StorageError| SourceError::new("block", error);
        let Some(block) = self.view.snapshot().block(number).map_err(failed)? else {
            return Ok(None);
        };
        BatchBlock::from_block(block.block.inner(), &self.rollup.config.genesis)
            .map(Some)
            .map_err(|error| SourceError::new("block", error))
    }
}
