//! Filters that clients poll.
//!
//! A filter remembers the head up to which its client knows the chain, not what happened since:
//! that is found out when the client asks. So a filter costs next to nothing, and one that is
//! polled late answers as one that is polled often. Blocks that left the chain are kept for a
//! while, because their logs must be taken back.

use crate::{
    RpcChain, RpcError, RpcResult,
    logs::{block_logs, entries, range_block},
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
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Blocks that left the chain and are kept so that their logs can be taken back.
const MAX_DROPPED_BLOCKS: usize = 512;

/// Transactions that entered the pool and are kept for filters.
const MAX_PENDING: usize = 16_384;

/// A filter that was polled within this time keeps its place when there are too many.
const MIN_IDLE: Duration = Duration::from_secs(30);

/// The addresses and topics of all log filters and log subscriptions together. Each takes some 300
/// bytes once it is held against a block.
const MAX_ENTRIES: usize = 200_000;

/// Counts the addresses and topics of log filters and log subscriptions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries(Arc<AtomicUsize>);

/// The entries of one filter or subscription, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    all: Entries,
    entries: usize,
}

impl Entries {
    /// # Errors
    /// When there are too many.
    pub(crate) fn take(&self, entries: usize) -> RpcResult<Share> {
        let all = self.0.fetch_add(entries, Ordering::AcqRel) + entries;
        let share = Share { all: self.clone(), entries };
        if all > MAX_ENTRIES {
            let (asked, limit) = (all as u64, MAX_ENTRIES as u64);
            let what = "addresses and topics of all filters and subscriptions";
            return Err(RpcError::Limit { what, asked, limit });
        }
        Ok(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.entries, Ordering::AcqRel);
    }
}

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
    _share: Share,
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

impl<C: RpcChain> Inner<C> {
    /// Forgets the filter that was not polled for longest, if its client may have left.
    fn forget_oldest(&mut self, now: Instant) -> bool {
        let oldest = self.installed.iter().min_by_key(|(_, filter)| filter.polled);
        match oldest.map(|(id, filter)| (*id, filter.polled)) {
            Some((id, polled)) if now.duration_since(polled) >= MIN_IDLE => {
                self.installed.remove(&id).is_some()
            }
            _ => false,
        }
    }
}

/// All installed filters.
#[derive(Debug)]
pub(crate) struct Filters<C: RpcChain> {
    inner: Mutex<Inner<C>>,
    random: RandomState,
    limit: usize,
    idle: Duration,
    entries: Entries,
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
        Self {
            inner: Mutex::new(inner),
            random: RandomState::new(),
            limit,
            idle,
            entries: Entries::default(),
        }
    }

    /// Counts the addresses and topics.
    pub(crate) const fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Installs a filter whose client knows the chain up to `head`.
    ///
    /// # Errors
    /// When too many are installed.
    pub(crate) fn install(&self, kind: Kind, head: BlockNumHash) -> RpcResult<U128> {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        let entries = match &kind {
            Kind::Logs(filter) => entries(filter),
            Kind::Blocks | Kind::Pending { .. } => 0,
        };
        let share = loop {
            let installed = inner.installed.len();
            let refused = if installed < self.limit {
                match self.entries.take(entries) {
                    Ok(share) => break share,
                    Err(refused) => refused,
                }
            } else {
                let (asked, limit) = (installed as u64 + 1, self.limit as u64);
                RpcError::Limit { what: "installed filters", asked, limit }
            };
            if !inner.forget_oldest(now) {
                return Err(refused);
            }
        };
        inner.counter += 1;
        // Whoever guesses an id can read another client's filter.
        let halves = [0_u8, 1].map(|half| self.random.hash_one((inner.counter, half)));
        let id = U128::from_limbs(halves);
        let pending_seen = inner.pending_total;
        let installed =
            Installed { kind, position: head, pending_seen, polled: now, _share: share };
        inner.installed.insert(id, installed);
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

    /// What happened since the filter was last polled; not all of it, if that is more than one
    /// answer holds, and then the next poll tells the rest.
    ///
    /// `now` tells the chain as it is.
    ///
    /// # Errors
    /// When there is no such filter (any more); when storage fails, and then nothing is lost.
    pub(crate) fn poll(
        &self,
        id: &U128,
        now: impl Fn() -> ChainSnapshot<C>,
        limits: &Limits,
    ) -> RpcResult<(Kind, Changes<C>)> {
        loop {
            let (kind, position) = match self.begin_poll(id)? {
                (kind, Begun::Transactions(seen)) => {
                    return Ok((kind, Changes::Transactions(seen)));
                }
                (kind, Begun::From(position)) => (kind, position),
            };
            // After the position was read, so that the chain reaches at least as far.
            let snapshot = now();
            let Some((changes, reached)) = self.changes(&kind, position, &snapshot, limits)? else {
                // What was dropped is not known any more, so the client must begin anew.
                self.uninstall(id);
                return Err(not_found());
            };
            let mut inner = self.inner.lock();
            let filter = inner.installed.get_mut(id).ok_or_else(not_found)?;
            // Otherwise another poll has told this meanwhile.
            if filter.position == position {
                filter.position = reached;
                return Ok((kind, changes));
            }
        }
    }

    fn begin_poll(&self, id: &U128) -> RpcResult<(Kind, Begun<C>)> {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        let pending_total = inner.pending_total;
        let filter = inner.installed.get_mut(id).ok_or_else(not_found)?;
        if now.duration_since(filter.polled) >= self.idle {
            inner.installed.remove(id);
            return Err(not_found());
        }
        filter.polled = now;
        let kind = filter.kind.clone();
        if !matches!(kind, Kind::Pending { .. }) {
            return Ok((kind, Begun::From(filter.position)));
        }
        let unseen = pending_total - filter.pending_seen;
        filter.pending_seen = pending_total;
        let unseen = usize::try_from(unseen).unwrap_or(usize::MAX);
        let skipped = inner.pending.len().saturating_sub(unseen);
        Ok((kind, Begun::Transactions(inner.pending.iter().skip(skipped).cloned().collect())))
    }

    /// The changes from `position` towards the head of `snapshot`, and how far they reach; `None`
    /// if they cannot be told.
    fn changes(
        &self,
        kind: &Kind,
        mut position: BlockNumHash,
        snapshot: &ChainSnapshot<C>,
        limits: &Limits,
    ) -> RpcResult<Option<(Changes<C>, BlockNumHash)>> {
        let mut logs = Vec::new();
        while !snapshot.is_canonical(position)? {
            let Some(dropped) = self.dropped(&position.hash, snapshot) else { return Ok(None) };
            if let Kind::Logs(filter) = kind {
                let (block, receipts) = (&dropped.block, &dropped.receipts);
                if is_in_range(filter, position.number)
                    && filter.matches_bloom(block.block.header.logs_bloom)
                {
                    let fits = add_whole(&mut logs, limits.log_results, |limit, logs| {
                        block_logs(filter, block, receipts, true, limit, logs)
                    })?;
                    if !fits {
                        return Ok(Some((Changes::Logs(logs), position)));
                    }
                }
            }
            let parent = position.number.saturating_sub(1);
            position = BlockNumHash::new(parent, dropped.block.parent_hash());
        }
        let head = BlockNumHash::new(snapshot.head().number, snapshot.head().seal());
        let new = position.number + 1..=head.number;
        let Kind::Logs(filter) = kind else {
            let mut hashes = Vec::new();
            for number in new {
                hashes.extend(snapshot.hash(number)?);
            }
            return Ok(Some((Changes::Hashes(hashes), head)));
        };
        for number in new.filter(|number| is_in_range(filter, *number)) {
            let fits = add_whole(&mut logs, limits.log_results, |limit, logs| {
                range_block(snapshot, filter, number, limit, logs)
            })?;
            if !fits {
                let last = number - 1;
                let hash = snapshot.hash(last)?.ok_or(RpcError::UnknownBlock)?;
                return Ok(Some((Changes::Logs(logs), BlockNumHash::new(last, hash))));
            }
        }
        Ok(Some((Changes::Logs(logs), head)))
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

fn not_found() -> RpcError {
    RpcError::refused("filter not found")
}

/// Where a poll begins, or what it tells.
enum Begun<C: RpcChain> {
    Transactions(Vec<Arc<PoolTransaction<C>>>),
    From(BlockNumHash),
}

/// Adds the logs of a block, all or none of them, and says whether they fit. Those of a first block
/// always do: there would be no progress otherwise.
fn add_whole(
    logs: &mut Vec<Log>,
    limit: usize,
    add: impl FnOnce(usize, &mut Vec<Log>) -> RpcResult<()>,
) -> RpcResult<bool> {
    let before = logs.len();
    match add(if before == 0 { usize::MAX } else { limit }, logs) {
        Ok(()) => Ok(true),
        Err(RpcError::Limit { .. }) => {
            logs.truncate(before);
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Whether a filter that gives block numbers wants this one.
pub(crate) fn is_in_range(filter: &Filter, number: u64) -> bool {
    filter.get_from_block().is_none_or(|from| number >= from)
        && filter.get_to_block().is_none_or(|to| number <= to)
}
