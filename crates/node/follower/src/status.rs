//! How far the follower is, for those who ask while it works.

use alloy_eips::BlockNumberOrTag;
use lockstep_derive::L1Provider;
use lockstep_protocol::BlockInfo;
use lockstep_providers::{ClientError, L1Client};
use parking_lot::RwLock;
use std::sync::Arc;

/// Where L1 stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1Heads {
    /// The newest block.
    pub head: BlockInfo,
    /// The newest safe block; `None` before there is one.
    pub safe: Option<BlockInfo>,
    /// The newest finalized block; `None` before there is one.
    pub finalized: Option<BlockInfo>,
}

/// An L1 that says where it stands.
pub trait L1Watch: L1Provider {
    /// The newest, safe and finalized block.
    ///
    /// # Errors
    /// When the L1 does not answer.
    fn heads(&mut self) -> Result<L1Heads, Self::Error>;
}

impl L1Watch for L1Client {
    fn heads(&mut self) -> Result<L1Heads, ClientError> {
        let head = self.block(BlockNumberOrTag::Latest)?;
        let no_head = || ClientError::Malformed {
            endpoint: self.endpoint().clone(),
            method: "eth_getBlockByNumber",
            reason: "there is no latest block".to_owned(),
        };
        Ok(L1Heads {
            head: head.ok_or_else(no_head)?,
            safe: self.block(BlockNumberOrTag::Safe)?,
            finalized: self.block(BlockNumberOrTag::Finalized)?,
        })
    }
}

/// What a follower knows of L1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowerStatus {
    /// The L1 block up to which the rollup has been derived; `None` before the first, and while
    /// derivation begins anew.
    pub derived_up_to: Option<BlockInfo>,
    /// Where L1 stands; `None` before it was asked.
    pub l1: Option<L1Heads>,
    /// Whether L1 had no further block when it was last asked for one, so that the rollup has been
    /// derived from all of [`Self::derived_up_to`], too.
    pub is_idle: bool,
}

/// Reads a follower's status from anywhere. Copies read the same.
#[derive(Clone, Debug, Default)]
pub struct StatusReader {
    status: Arc<RwLock<FollowerStatus>>,
}

impl StatusReader {
    /// The status now.
    pub fn read(&self) -> FollowerStatus {
        *self.status.read()
    }

    pub(crate) fn derived_up_to(&self, l1: BlockInfo) {
        let mut status = self.status.write();
        status.derived_up_to = Some(l1);
        status.is_idle = false;
    }

    pub(crate) fn is_idle(&self) {
        self.status.write().is_idle = true;
    }

    pub(crate) fn begins_anew(&self) {
        let mut status = self.status.write();
        status.derived_up_to = None;
        status.is_idle = false;
    }

    pub(crate) fn l1_is_at(&self, heads: L1Heads) {
        self.status.write().l1 = Some(heads);
    }
}
