//! A rollup's node in this process.

use super::{MemberStatus, RollupStatus};
use lockstep_batcher::SourceError;
use lockstep_chain::Rollup;
use lockstep_engine::ChainView;
use lockstep_follower::StatusReader;
use lockstep_protocol::RollupConfig;
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

impl RollupStatus for LocalMember {
    fn status(&mut self) -> Result<MemberStatus, SourceError> {
        // Read first: what was derived up to there must be in the chain.
        let derived_up_to = self.status.read().derived_up_to.map(|block| block.id());
        let safe_head = self.view.snapshot().safe().unwrap_or(self.config.genesis.l2);
        Ok(MemberStatus { safe_head, derived_up_to })
    }
}
