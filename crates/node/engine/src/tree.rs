//! The blocks in memory, and which of them are canonical.

use alloy_consensus::BlockHeader;
use alloy_eips::BlockNumHash;
use alloy_primitives::{
    B256, Sealed,
    map::{B256Map, B256Set},
};
use lockstep_chain::Chain;
use lockstep_storage::{ExecutedBlock, ForkChoice};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

/// The canonical chain at one moment, as far as it is in memory.
#[derive(Debug)]
pub(crate) struct Canonical<C: Chain> {
    /// The newest block that is in storage and on this chain. It is the parent of the first of
    /// `blocks`, or the head.
    pub(crate) base: BlockNumHash,
    /// Consecutive blocks that end at the head, oldest first. Empty if the head is in storage
    /// only, as right after a start.
    pub(crate) blocks: Vec<Arc<ExecutedBlock<C>>>,
    pub(crate) head: Sealed<C::Header>,
    pub(crate) safe: Option<BlockNumHash>,
    pub(crate) finalized: Option<BlockNumHash>,
}

impl<C: Chain> Canonical<C> {
    /// The canonical block with this number, if it is in memory.
    pub(crate) fn block(&self, number: u64) -> Option<&Arc<ExecutedBlock<C>>> {
        let position = number.checked_sub(self.base.number)?.checked_sub(1)?;
        self.blocks.get(usize::try_from(position).ok()?)
    }

    /// The hash of the canonical block with this number, if that needs no storage.
    pub(crate) fn hash(&self, number: u64) -> Option<B256> {
        if number == self.base.number {
            return Some(self.base.hash);
        }
        self.block(number).map(|block| block.block.hash())
    }

    /// Whether this block in memory, or the base, is canonical.
    pub(crate) fn contains(&self, block: BlockNumHash) -> bool {
        self.hash(block.number) == Some(block.hash)
    }

    /// Number and hash of the head.
    pub(crate) fn head_num_hash(&self) -> BlockNumHash {
        BlockNumHash::new(self.head.number(), self.head.seal())
    }

    /// What the consensus layer chose.
    pub(crate) fn fork_choice(&self) -> ForkChoice {
        let hash = |block: Option<BlockNumHash>| block.map_or(B256::ZERO, |block| block.hash);
        ForkChoice {
            head: self.head.seal(),
            safe: hash(self.safe),
            finalized: hash(self.finalized),
        }
    }
}

/// All executed blocks in memory, on the canonical chain and beside it.
#[derive(Debug)]
pub(crate) struct Tree<C: Chain> {
    pub(crate) blocks: B256Map<Arc<ExecutedBlock<C>>>,
    pub(crate) canonical: Arc<Canonical<C>>,
    /// The order in which blocks came, which is the order in which side blocks make room.
    arrivals: VecDeque<B256>,
}

/// The way from the canonical chain to a block in memory.
#[derive(Debug)]
pub(crate) struct Branch<C: Chain> {
    /// Where it leaves the canonical chain.
    pub(crate) fork: BlockNumHash,
    /// The blocks above the fork, oldest first; empty if the block is canonical itself.
    pub(crate) blocks: Vec<Arc<ExecutedBlock<C>>>,
}

impl<C: Chain> Tree<C> {
    pub(crate) fn new(canonical: Canonical<C>) -> Self {
        Self {
            blocks: B256Map::default(),
            canonical: Arc::new(canonical),
            arrivals: VecDeque::new(),
        }
    }

    pub(crate) fn insert(&mut self, block: Arc<ExecutedBlock<C>>) {
        let hash = block.block.hash();
        if self.blocks.insert(hash, block).is_none() {
            self.arrivals.push_back(hash);
        }
    }

    /// The way from the canonical chain to `head`; `None` if `head` is not in memory. The fork may
    /// lie below what is in memory of the canonical chain.
    pub(crate) fn branch(&self, head: &B256) -> Option<Branch<C>> {
        let mut blocks = Vec::new();
        let mut block = self.blocks.get(head)?;
        let fork = loop {
            let at = block.num_hash();
            if self.canonical.contains(at) {
                break at;
            }
            blocks.push(block.clone());
            let parent = block.block.parent_hash();
            match self.blocks.get(&parent) {
                Some(next) => block = next,
                None => break BlockNumHash::new(at.number.saturating_sub(1), parent),
            }
        };
        blocks.reverse();
        Some(Branch { fork, blocks })
    }

    /// The blocks from the one with this hash down to the first that is not in memory, newest
    /// first.
    pub(crate) fn lineage(&self, hash: &B256) -> Vec<Arc<ExecutedBlock<C>>> {
        let next = |block: &&Arc<ExecutedBlock<C>>| self.blocks.get(&block.block.parent_hash());
        std::iter::successors(self.blocks.get(hash), next).cloned().collect()
    }

    /// The number of blocks beside the canonical chain.
    pub(crate) fn side_blocks(&self) -> usize {
        self.blocks.len().saturating_sub(self.canonical.blocks.len())
    }

    /// Makes room beside the canonical chain by dropping the branch tips that came first, but
    /// none on the way to `keep`. Returns whether there are at most `limit` side blocks then.
    pub(crate) fn shrink(&mut self, limit: usize, keep: &B256) -> bool {
        let excess = self.side_blocks().saturating_sub(limit);
        if excess == 0 {
            return true;
        }
        let kept: B256Set = self.lineage(keep).iter().map(|block| block.block.hash()).collect();
        let mut children = B256Map::<usize>::default();
        for block in self.blocks.values() {
            *children.entry(block.block.parent_hash()).or_default() += 1;
        }
        let can_go = |hash: &B256| {
            let block = self.blocks.get(hash);
            block.is_some_and(|block| !self.canonical.contains(block.num_hash()))
                && !kept.contains(hash)
        };
        let arrivals = || self.arrivals.iter().enumerate();
        let positions: B256Map<usize> = arrivals().map(|(at, hash)| (*hash, at)).collect();
        let mut tips: BTreeSet<(usize, B256)> = arrivals()
            .filter(|(_, hash)| !children.contains_key(*hash) && can_go(hash))
            .map(|(at, hash)| (at, *hash))
            .collect();
        let mut removed = B256Set::default();
        while removed.len() < excess {
            let Some((_, oldest)) = tips.pop_first() else { break };
            removed.insert(oldest);
            let Some(parent) = self.blocks.get(&oldest).map(|it| it.block.parent_hash()) else {
                continue;
            };
            let left = children.entry(parent).or_default();
            *left = left.saturating_sub(1);
            // It may be a tip now.
            if *left == 0
                && can_go(&parent)
                && let Some(at) = positions.get(&parent)
            {
                tips.insert((*at, parent));
            }
        }
        self.remove(&removed);
        removed.len() == excess
    }

    /// Drops canonical blocks up to `number`, which are in storage now.
    pub(crate) fn drop_persisted(&mut self, number: u64) {
        let canonical = &self.canonical;
        let persisted = canonical.blocks.partition_point(|block| block.block.number() <= number);
        let (gone, kept) = canonical.blocks.split_at(persisted);
        let Some(base) = gone.last().map(|block| block.num_hash()) else { return };
        let next = Canonical {
            base,
            blocks: kept.to_vec(),
            head: canonical.head.clone(),
            safe: canonical.safe,
            finalized: canonical.finalized,
        };
        let gone: B256Set = gone.iter().map(|block| block.block.hash()).collect();
        self.canonical = Arc::new(next);
        self.remove(&gone);
    }

    /// Drops every block that neither leads to the finalized block nor descends from it.
    pub(crate) fn drop_below_finalized(&mut self) {
        let Some(finalized) = self.canonical.finalized else { return };
        let mut side: Vec<BlockNumHash> = self
            .blocks
            .values()
            .map(|block| block.num_hash())
            .filter(|block| !self.canonical.contains(*block))
            .collect();
        side.sort_by_key(|block| block.number);
        let mut dropped = B256Set::default();
        for block in side {
            let Some(parent) = self.blocks.get(&block.hash).map(|it| it.block.parent_hash()) else {
                continue;
            };
            let forks_too_low = block.number <= finalized.number
                || (block.number == finalized.number + 1 && parent != finalized.hash);
            if forks_too_low || dropped.contains(&parent) {
                dropped.insert(block.hash);
            }
        }
        self.remove(&dropped);
    }

    fn remove(&mut self, hashes: &B256Set) {
        if hashes.is_empty() {
            return;
        }
        self.blocks.retain(|hash, _| !hashes.contains(hash));
        self.arrivals.retain(|hash| !hashes.contains(hash));
    }
}
