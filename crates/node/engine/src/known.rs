//! Blocks that are not in the tree: those found invalid, and those whose parent is not known.

use alloy_consensus::BlockHeader;
use alloy_primitives::{
    B256, Sealed,
    map::{B256Map, B256Set},
};
use alloy_rlp::Encodable;
use alloy_rpc_types_engine::{PayloadStatus, PayloadStatusEnum};
use lockstep_chain::{Block, Chain};
use std::{collections::VecDeque, sync::Arc};

/// The most bytes of RLP that blocks without a known parent may take together.
const MAX_WAITING_BYTES: usize = 128 << 20;

/// Why a block is invalid, and what lies below it.
#[derive(Clone, Debug)]
pub(crate) struct Invalid {
    pub(crate) reason: Arc<str>,
    /// The newest valid ancestor; zero if that is a proof-of-work block.
    pub(crate) latest_valid: Option<B256>,
}

impl Invalid {
    /// What the Engine API answers.
    pub(crate) fn status(&self) -> PayloadStatus {
        let validation_error = self.reason.to_string();
        PayloadStatus::new(PayloadStatusEnum::Invalid { validation_error }, self.latest_valid)
    }
}

/// Blocks found invalid. The oldest make room.
#[derive(Debug, Default)]
pub(crate) struct InvalidBlocks {
    blocks: B256Map<Invalid>,
    order: VecDeque<B256>,
    limit: usize,
}

impl InvalidBlocks {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<&Invalid> {
        self.blocks.get(hash)
    }

    pub(crate) fn insert(&mut self, hash: B256, invalid: Invalid) {
        if self.blocks.insert(hash, invalid).is_none() {
            self.order.push_back(hash);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.blocks.remove(&oldest);
            }
        }
    }
}

/// Blocks whose parent is not known. The oldest make room.
#[derive(Debug)]
pub(crate) struct WaitingBlocks<C: Chain> {
    blocks: B256Map<(Sealed<Block<C>>, usize)>,
    by_parent: B256Map<B256Set>,
    order: VecDeque<B256>,
    bytes: usize,
    limit: usize,
}

impl<C: Chain> WaitingBlocks<C> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            blocks: B256Map::default(),
            by_parent: B256Map::default(),
            order: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    pub(crate) fn contains(&self, hash: &B256) -> bool {
        self.blocks.contains_key(hash)
    }

    pub(crate) fn insert(&mut self, block: Sealed<Block<C>>) {
        let hash = block.seal();
        if self.contains(&hash) {
            return;
        }
        let bytes = block.inner().length();
        self.by_parent.entry(block.header.parent_hash()).or_default().insert(hash);
        self.blocks.insert(hash, (block, bytes));
        self.order.push_back(hash);
        self.bytes += bytes;
        while self.order.len() > self.limit || self.bytes > MAX_WAITING_BYTES {
            let Some(oldest) = self.order.front().copied() else { break };
            self.remove(&oldest);
        }
    }

    /// Takes out the blocks whose parent this is.
    pub(crate) fn take_children(&mut self, parent: &B256) -> Vec<Sealed<Block<C>>> {
        let children = self.by_parent.remove(parent).unwrap_or_default();
        children.iter().filter_map(|hash| self.remove(hash)).collect()
    }

    pub(crate) fn remove(&mut self, hash: &B256) -> Option<Sealed<Block<C>>> {
        let (block, bytes) = self.blocks.remove(hash)?;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.order.retain(|other| other != hash);
        let parent = block.header.parent_hash();
        if let Some(siblings) = self.by_parent.get_mut(&parent) {
            siblings.remove(hash);
            if siblings.is_empty() {
                self.by_parent.remove(&parent);
            }
        }
        Some(block)
    }
}
