//! The rollups of a union that run in one process, for calls that go on from one to another.

use crate::PendingBlocks;
use alloy_consensus::BlockHeader;
use alloy_primitives::ChainId;
use lockstep_chain::{Chain, Rollup};
use lockstep_engine::{ChainSnapshot, ChainView, PendingPeer, PendingPeers};
use lockstep_inspect::{PeerBlock, PeerState, PeerStateError, Peers};
use lockstep_storage::{State, StorageError};
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};

/// The rollups of a union that run in this process.
///
/// All nodes of the union are given the same one ([`crate::Parts::peers`]), before they start, and each
/// is added when it has.
#[derive(Debug, Default)]
pub struct UnionMembers {
    by_chain: RwLock<BTreeMap<ChainId, Member>>,
}

#[derive(Clone, Debug)]
struct Member {
    view: ChainView<Rollup>,
    pending: Option<Arc<dyn PendingBlocks<Rollup>>>,
}

impl UnionMembers {
    /// Lets calls on other rollups reach this one; `pending` is its block under construction.
    pub fn add(&self, view: ChainView<Rollup>, pending: Option<Arc<dyn PendingBlocks<Rollup>>>) {
        let chain = view.chain().chain_id();
        self.by_chain.write().insert(chain, Member { view, pending });
    }

    /// Lets go of a rollup whose node stops: its storage is not closed before.
    pub fn remove(&self, chain: ChainId) {
        self.by_chain.write().remove(&chain);
    }
}

impl Peers for UnionMembers {
    fn block(&self, chain: ChainId, timestamp: u64) -> Result<Option<PeerBlock>, PeerStateError> {
        let Some(member) = self.by_chain.read().get(&chain).cloned() else { return Ok(None) };
        member.block(timestamp).map_err(PeerStateError::new)
    }
}

/// The rollups of a union as they were when a block under construction was shown: a call on it must not
/// see one rollup before a super transaction, and the other after it.
#[derive(Debug)]
pub(crate) struct PeersThen {
    pending: Arc<PendingPeers>,
    /// Tells of those that had no block then.
    others: Arc<dyn Peers>,
}

impl PeersThen {
    pub(crate) const fn new(pending: Arc<PendingPeers>, others: Arc<dyn Peers>) -> Self {
        Self { pending, others }
    }
}

impl Peers for PeersThen {
    fn block(&self, chain: ChainId, timestamp: u64) -> Result<Option<PeerBlock>, PeerStateError> {
        match self.pending.get(&chain).filter(|it| it.header.timestamp <= timestamp) {
            Some(PendingPeer { chain, header, state }) => {
                let (chain, header, state) = (chain.clone(), header.clone(), state.clone());
                Ok(Some(PeerBlock { chain, header, state: PeerState::new(state) }))
            }
            None => self.others.block(chain, timestamp),
        }
    }
}

impl Member {
    fn block(&self, timestamp: u64) -> Result<Option<PeerBlock>, StorageError> {
        let snapshot = self.view.snapshot();
        let head = snapshot.head();
        let pending = self.pending.as_ref().and_then(|pending| pending.pending());
        // What is shown as pending may have become the head meanwhile.
        let pending = pending.filter(|pending| {
            let block = &pending.block;
            block.number() > head.number() && block.block.header.timestamp <= timestamp
        });
        if let Some(pending) = pending {
            let header = pending.block.block.header.clone();
            return Ok(Some(self.peer_block(header, pending.state)));
        }
        let Some(number) = newest_at(&snapshot, timestamp)? else { return Ok(None) };
        let Some(header) = snapshot.header(number)? else { return Ok(None) };
        let state = snapshot.state_by_hash(&header.seal())?;
        Ok(Some(self.peer_block(header.into_inner(), state)))
    }

    fn peer_block(&self, header: alloy_consensus::Header, state: Arc<dyn State>) -> PeerBlock {
        PeerBlock { chain: self.view.chain().clone(), header, state: PeerState::new(state) }
    }
}

/// The number of the newest block that is not later than `timestamp`; `None` if all are. Reads at most
/// 64 headers.
fn newest_at(
    snapshot: &ChainSnapshot<Rollup>,
    timestamp: u64,
) -> Result<Option<u64>, StorageError> {
    let head = snapshot.head();
    if head.timestamp() <= timestamp {
        return Ok(Some(head.number()));
    }
    // Of the blocks before `high` those below `low` are known not to be later.
    let (mut low, mut high) = (0, head.number());
    while low < high {
        let middle = low + (high - low) / 2;
        let header = snapshot.header(middle)?;
        // A header that is gone was that of an old block.
        if header.is_none_or(|header| header.timestamp() <= timestamp) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low.checked_sub(1))
}
