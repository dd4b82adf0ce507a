//! Who has to leave when a sub-pool is over its limits.

use crate::{
    PoolTransaction, Pooled,
    sender::{Rank, Standing},
    table::{SubPool, Table},
};
use alloy_primitives::{Address, B256};
use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

/// A transaction that may be evicted; lowest rank first. It counts only as long as the
/// transaction still has this rank.
type Victim = Reverse<(Rank, B256)>;

/// The order of eviction of each sub-pool, made when it is first needed after a new head. First
/// that of ordinary transactions, then that of privileged ones.
#[derive(Debug, Default)]
pub(crate) struct Evictors {
    pending: [Option<BinaryHeap<Victim>>; 2],
    queued: [Option<BinaryHeap<Victim>>; 2],
    blob: [Option<BinaryHeap<Victim>>; 2],
}

impl Evictors {
    const fn of(&mut self, pool: SubPool, privileged: bool) -> &mut Option<BinaryHeap<Victim>> {
        let [ordinary, own] = match pool {
            SubPool::Pending => &mut self.pending,
            SubPool::Queued => &mut self.queued,
            SubPool::Blob => &mut self.blob,
        };
        if privileged { own } else { ordinary }
    }

    /// To be called with every standing that is new.
    pub(crate) fn note<C: Pooled>(&mut self, tx: &PoolTransaction<C>, standing: &Standing) {
        let pool = SubPool::of(tx, standing);
        if let Some(heap) = self.of(pool, tx.origin.is_privileged()) {
            heap.push(Reverse((standing.rank, tx.hash)));
        }
    }

    /// To be called with every new head: tips depend on its base fee.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl<C: Pooled> Table<C> {
    fn is_over(&self, pool: SubPool) -> bool {
        let (usage, limit) = (self.usages.of(pool), self.limit(pool));
        usage.transactions > limit.transactions || usage.bytes > limit.bytes
    }

    const fn limit(&self, pool: SubPool) -> crate::SubPoolLimit {
        match pool {
            SubPool::Pending => self.config.pending,
            SubPool::Queued => self.config.queued,
            SubPool::Blob => self.config.blobs,
        }
    }

    /// Whether privileged transactions take more of a sub-pool than others must put up with.
    const fn is_overprivileged(&self, pool: SubPool) -> bool {
        let (usage, limit) = (self.usages.privileged(pool), self.limit(pool));
        let percent = self.config.local_share_percent;
        usage.transactions > share(limit.transactions, percent)
            || usage.bytes > share(limit.bytes, percent)
    }

    /// Evicts until every sub-pool is within its limits; returns who left: always the lowest rank,
    /// first of ordinary transactions, or of privileged ones where these take too much.
    pub(crate) fn enforce_limits(&mut self) -> Vec<Arc<PoolTransaction<C>>> {
        let mut evicted = Vec::new();
        // An eviction moves others from pending to queued, so queued is looked at last.
        for pool in [SubPool::Blob, SubPool::Pending, SubPool::Queued] {
            while self.is_over(pool) {
                let privileged = self.is_overprivileged(pool);
                let victim =
                    self.lowest(pool, privileged).or_else(|| self.lowest(pool, !privileged));
                let Some((sender, nonce)) = victim else { break };
                evicted.extend(self.remove(sender, nonce).map(|entry| entry.tx));
            }
        }
        evicted
    }

    fn lowest(&mut self, pool: SubPool, privileged: bool) -> Option<(Address, u64)> {
        let stale_limit = 2 * self.by_hash.len() + 64;
        let heap = self.evictors.of(pool, privileged);
        if heap.as_ref().is_none_or(|heap| heap.len() > stale_limit) {
            let heap = self
                .standings(pool)
                .filter(|(tx, _)| tx.origin.is_privileged() == privileged)
                .map(|(tx, standing)| Reverse((standing.rank, tx.hash)))
                .collect();
            *self.evictors.of(pool, privileged) = Some(heap);
        }
        while let Some(Reverse((rank, hash))) = self.evictors.of(pool, privileged).as_mut()?.pop() {
            if let Some(entry) = self.entry(&hash)
                && let Some(standing) = &entry.standing
                && standing.rank == rank
                && entry.tx.origin.is_privileged() == privileged
                && SubPool::of(&entry.tx, standing) == pool
            {
                return self.by_hash.get(&hash).copied();
            }
        }
        None
    }

    fn standings(
        &self,
        pool: SubPool,
    ) -> impl Iterator<Item = (&Arc<PoolTransaction<C>>, &Standing)> {
        self.senders
            .values()
            .flat_map(|sender| sender.entries.values())
            .filter_map(|entry| Some((&entry.tx, entry.standing.as_ref()?)))
            .filter(move |(tx, standing)| SubPool::of(tx, standing) == pool)
    }
}

/// So many per cent of a limit, which may be `usize::MAX`.
const fn share(limit: usize, percent: usize) -> usize {
    (limit / 100)
        .saturating_mul(percent)
        .saturating_add((limit % 100).saturating_mul(percent) / 100)
}
