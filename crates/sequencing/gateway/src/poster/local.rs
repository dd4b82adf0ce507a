//! A rollup's node in this process.

use super::{MemberBlocks, MemberStatus};
use alloy_eips::BlockNumHash;
use lockstep_batcher::{SourceError, UnionBlock};
use lockstep_chain::Rollup;
use lockstep_engine::ChainView;
use lockstep_follower::StatusReader;
use lockstep_protocol::RollupConfig;
use lockstep_storage::StorageError;
use std::sync::Arc;

/// A rollup's node in this process: its chain, and how far its follower is.
#[derive(Clone, Debug)]
pub struct LocalMember {
    /// Its chain.
    pub view: ChainView<Rollup>,
    /// How far its follower is.
    pub status: StatusReader,
    /// Its configuration.
    pub config: Arc<RollupConfig>,
}

impl MemberBlocks for LocalMember {
    fn status(&mut self) -> Result<MemberStatus, SourceError> {
        // Read first: what was derived up to there must be in the chain.
        let derived_up_to = self.status.read().derived_up_to.map(|block| block.id());
        let snapshot = self.view.snapshot();
        let head = snapshot.head();
        Ok(MemberStatus {
            unsafe_head: BlockNumHash::new(head.number, head.seal()),
            safe_head: snapshot.safe().unwrap_or(self.config.genesis.l2),
            derived_up_to,
        })
    }

    fn block(&mut self, number: u64) -> Result<Option<UnionBlock>, SourceError> {
        let failed = |error: StorageError| SourceError::new("block", error);
        let Some(block) = self.view.snapshot().block(number).map_err(failed)? else {
            return Ok(None);
        };
        UnionBlock::from_block(block.block.inner(), &self.config.genesis)
            .map(Some)
            .map_err(|error| SourceError::new("block", error))
    }
}
