//! Filters that clients poll.
//!
//! A filter remembers the head up to which its client knows the chain, not what happened since:
//! that is found out when the client asks. So a filter costs next to nothing, and one that is
//! polled late answers as one that is polled often. Blocks that left the chain are kept for a
//! while, because their logs must be taken back.

use crate::{
    RpcChain, RpcError, RpcResult,
    logs::{block_logs, range_block},
    settings::Limits,
};
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, U128, map::B256Map};
use alloy_rpc_types_eth::{Filter, Log};
use lockstep_engine::ChainSnapshot;
use lockstep_pool::PoolTransaction;
use lockstep_storage::{ExecutedBlock, RecoveredBlock};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Blocks that left the chain and are kept so that their logs can be taken back.
const MAX_DROPPED_BLOCKS: usize = 512;

/// Transactions that entered the pool and are kept for filters.
const MAX_PENDING: usize = 16_384;

/// What a filter reports.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Logs.
    Logs(Arc<Filter>),
    /// Hashes of new blocks.
    Blocks,
    /// Transactions that entered the pool; as objects instead of hashes if `full`.
    Pending {
        /// Whether whole transactions are reported.
        full: bool,
    },
}

#[derive(Debug)]
struct Installed {
    kind: Kind,
    /// The client knows the chain up to here.
    position: BlockNumHash,
    /// The client knows the pool's transactions up to here.
    pending_seen: u64,
    polled: Instant,
}

#[derive(Debug)]
struct Dropped<C: RpcChain> {
    block: Arc<RecoveredBlock<C>>,
    receipts: Arc<Vec<C::Receipt>>,
}

impl<C: RpcChain> Clone for Dropped<C> {
    fn clone(&self) -> Self {
        Self { block: self.block.clone(), receipts: self.receipts.clone() }
    }
}

#[derive(Debug)]
struct Inner<C: RpcChain> {
    installed: HashMap<U128, Installed>,
    dropped: B256Map<Dropped<C>>,
    dropped_order: VecDeque<B256>,
    pending: VecDeque<Arc<PoolTransaction<C>>>,
    /// How many transactions entered the pool so far.
    pending_total: u64,
    counter: u64,
}

/// All installed filters.
#[derive(Debug)]
pub(crate) struct Filters<C: RpcChain> {
    inner: Mutex<Inner<C>>,
    random: RandomState,
    limit: usize,
    idle: Duration,
}

/// What a poll answers.
pub(crate) enum Changes<C: RpcChain> {
    Logs(Vec<Log>),
    Hashes(Vec<B256>),
    Transactions(Vec<Arc<PoolTransaction<C>>>),
}

impl<C: RpcChain> Filters<C> {
    pub(crate) fn new(limit: usize, idle: Duration) -> Self {
        let inner = Inner {
            installed: HashMap::new(),
            dropped: B256Map::default(),
            dropped_order: VecDeque::new(),
            pending: VecDeque::new(),
            pending_total: 0,
            counter: 0,
        };
        Self { inner: Mutex::new(inner), random: RandomState::new(), limit, idle }
    }

    /// Installs a filter whose client knows the chain up to `head`.
    ///
    /// # Errors
    /// When too many are installed.
    pub(crate) fn install(&self, kind: Kind, head: BlockNumHash) -> RpcResult<U128> {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        if inner.installed.len() >= self.limit {
            inner.installed.retain(|_, filter| now.duration_since(filter.polled) < self.idle);
        }
        let installed = inner.installed.len();
        if installed >= self.limit {
            let (asked, limit) = (installed as u64 + 1, self.limit as u64);
            return Err(RpcError::Limit { what: "installed filters", asked, limit });
        }
        inner.counter += 1;
        // Whoever guesses an id can read another client's filter.
        let halves = [0_u8, 1].map(|half| self.random.hash_one((inner.counter, half)));
        let id = U128::from_limbs(halves);
        let pending_seen = inner.pending_total;
        inner.installed.insert(id, Installed { kind, position: head, pending_seen, polled: now });
        Ok(id)
    }

    /// Removes a filter and says whether there was one.
    pub(crate) fn uninstall(&self, id: &U128) -> bool {
        self.inner.lock().installed.remove(id).is_some()
    }

    /// The log filter with this id.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn log_filter(&self, id: &U128) -> RpcResult<Arc<Filter>> {
        let mut inner = self.inner.lock();
        match inner.installed.get_mut(id) {
            Some(Installed { kind: Kind::Logs(filter), polled, .. }) => {
                *polled = Instant::now();
                Ok(filter.clone())
            }
            _ => Err(RpcError::refused("filter not found")),
        }
    }

    /// What happened since the filter was last polled.
    ///
    /// # Errors
    /// When there is no such filter (any more); when storage fails, and then nothing is lost.
    pub(crate) fn poll(
        &self,
        id: &U128,
        snapshot: &ChainSnapshot<C>,
        limits: &Limits,
    ) -> RpcResult<(Kind, Changes<C>)> {
        let not_found = || RpcError::refused("filter not found");
        let now = Instant::now();
        let (kind, position) = {
            let mut inner = self.inner.lock();
            let pending_total = inner.pending_total;
            let filter = inner.installed.get_mut(id).ok_or_else(not_found)?;
            if now.duration_since(filter.polled) >= self.idle {
                inner.installed.remove(id);
                return Err(not_found());
            }
            filter.polled = now;
            if matches!(filter.kind, Kind::Pending { .. }) {
                let kind = filter.kind.clone();
                let unseen = pending_total - filter.pending_seen;
                filter.pending_seen = pending_total;
                let unseen = usize::try_from(unseen).unwrap_or(usize::MAX);
                let skipped = inner.pending.len().saturating_sub(unseen);
                let seen = inner.pending.iter().skip(skipped).cloned().collect();
                return Ok((kind, Changes::Transactions(seen)));
            }
            (filter.kind.clone(), filter.position)
        };
        let changes = match self.changes(&kind, position, snapshot, limits) {
            // What was dropped is not known any more, so the client must begin anew.
            Ok(None) => {
                self.uninstall(id);
                return Err(not_found());
            }
            Ok(Some(changes)) => changes,
            Err(error) => return Err(error),
        };
        let head = BlockNumHash::new(snapshot.head().number, snapshot.head().seal());
        if let Some(filter) = self.inner.lock().installed.get_mut(id) {
            filter.position = head;
        }
        Ok((kind, changes))
    }

    /// The changes from `position` to the head of `snapshot`; `None` if they cannot be told.
    fn changes(
        &self,
        kind: &Kind,
        mut position: BlockNumHash,
        snapshot: &ChainSnapshot<C>,
        limits: &Limits,
    ) -> RpcResult<Option<Changes<C>>> {
        let mut logs = Vec::new();
        while !snapshot.is_canonical(position)? {
            let Some(dropped) = self.dropped(&position.hash, snapshot) else { return Ok(None) };
            if let Kind::Logs(filter) = kind {
                let (block, receipts) = (&dropped.block, &dropped.receipts);
                if filter.matches_bloom(block.block.header.logs_bloom) {
                    block_logs(filter, block, receipts, true, limits.log_results, &mut logs)?;
                }
            }
            let parent = position.number.saturating_sub(1);
            position = BlockNumHash::new(parent, dropped.block.parent_hash());
        }
        let new = position.number + 1..=snapshot.head().number;
        let Kind::Logs(filter) = kind else {
            let mut hashes = Vec::new();
            for number in new {
                hashes.extend(snapshot.hash(number)?);
            }
            return Ok(Some(Changes::Hashes(hashes)));
        };
        for number in new {
            if is_in_range(filter, number) {
                range_block(snapshot, filter, number, limits.log_results, &mut logs)?;
            }
        }
        Ok(Some(Changes::Logs(logs)))
    }

    fn dropped(&self, hash: &B256, snapshot: &ChainSnapshot<C>) -> Option<Dropped<C>> {
        let kept = self.inner.lock().dropped.get(hash).cloned();
        kept.or_else(|| {
            // The notice of it may still be on its way.
            let block = snapshot.executed(hash)?;
            Some(Dropped { block: block.block.clone(), receipts: block.receipts.clone() })
        })
    }

    /// Keeps blocks that left the chain.
    pub(crate) fn remember_dropped(&self, blocks: &[Arc<ExecutedBlock<C>>]) {
        if blocks.is_empty() {
            return;
        }
        let mut inner = self.inner.lock();
        for block in blocks {
            let hash = block.block.hash();
            let kept = Dropped { block: block.block.clone(), receipts: block.receipts.clone() };
            if inner.dropped.insert(hash, kept).is_none() {
                inner.dropped_order.push_back(hash);
            }
        }
        while inner.dropped_order.len() > MAX_DROPPED_BLOCKS {
            if let Some(oldest) = inner.dropped_order.pop_front() {
                inner.dropped.remove(&oldest);
            }
        }
    }

    /// Keeps a transaction that entered the pool.
    pub(crate) fn remember_pending(&self, transaction: &Arc<PoolTransaction<C>>) {
        let mut inner = self.inner.lock();
        inner.pending_total += 1;
        if inner.pending.len() == MAX_PENDING {
            inner.pending.pop_front();
        }
        inner.pending.push_back(transaction.clone());
    }
}

/// Whether a filter that gives block numbers wants this one.
pub(crate) fn is_in_range(filter: &Filter, number: u64) -> bool {
    filter.get_from_block().is_none_or(|from| number >= from)
        && filter.get_to_block().is_none_or(|to| number <= to)
}
