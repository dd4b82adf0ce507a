//! A rollup of the union, as far as posting goes.

use super::{MemberStatus, RollupStatus};
use crate::PosterError;
use alloy_primitives::ChainId;
use lockstep_protocol::RollupConfig;
use std::sync::Arc;

/// A rollup whose blocks a [`Poster`](crate::Poster) posts.
#[derive(Debug)]
pub struct PosterMember {
    /// Its configuration.
    pub config: Arc<RollupConfig>,
    /// Its node.
    pub node: Box<dyn RollupStatus>,
}

/// A rollup, and where it stood when it was asked last.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) chain: ChainId,
    node: Box<dyn RollupStatus>,
    pub(super) status: Option<MemberStatus>,
}

impl Member {
    pub(super) fn new(PosterMember { config, node }: PosterMember) -> Self {
        Self { chain: config.l2_chain_id, node, status: None }
    }

    /// Asks where it stands. If it does not answer, that is not known.
    pub(super) fn ask(&mut self) -> Result<(), PosterError> {
        self.status = None;
        let failed = |source| PosterError::Member { chain: self.chain, source };
        self.status = Some(self.node.status().map_err(failed)?);
        Ok(())
    }

    /// The number of the newest block that it has derived.
    pub(super) fn safe(&self) -> Option<u64> {
        Some(self.status?.safe_head.number)
    }
}
