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

/// The order of eviction of each sub-pool, made when it is first needed after a new head.
#[derive(Debug, Default)]
pub(crate) struct Evictors {
    pending: Option<BinaryHeap<Victim>>,
    queued: Option<BinaryHeap<Victim>>,
    blob: Option<BinaryHeap<Victim>>,
}

impl Evictors {
    const fn of(&mut self, pool: SubPool) -> &mut Option<BinaryHeap<Victim>> {
        match pool {
            SubPool::Pending => &mut self.pending,
            SubPool::Queued => &mut self.queued,
            SubPool::Blob => &mut self.blob,
        }
    }

    /// To be called with every standing that is new.
    pub(crate) fn note<C: Pooled>(&mut self, tx: &PoolTransaction<C>, standing: &Standing) {
        if !tx.origin.is_own()
            && let Some(heap) = self.of(SubPool::of(tx, standing))
        {
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

    /// Evicts until every sub-pool is within its limits; returns who left. External ones go first,
    /// then `added`, and a local user's only if nothing else is left.
    pub(crate) fn enforce_limits(&mut self, added: Option<B256>) -> Vec<Arc<PoolTransaction<C>>> {
        let mut evicted = Vec::new();
        // An eviction moves others from pending to queued, so queued is looked at last.
        for pool in [SubPool::Blob, SubPool::Pending, SubPool::Queued] {
            while self.is_over(pool) {
                let victim = self
                    .lowest_external(pool)
                    .or_else(|| added.and_then(|hash| self.by_hash.get(&hash).copied()))
                    .or_else(|| self.lowest_own(pool));
                let Some((sender, nonce)) = victim else { break };
                evicted.extend(self.remove(sender, nonce).map(|entry| entry.tx));
            }
        }
        evicted
    }

    fn lowest_external(&mut self, pool: SubPool) -> Option<(Address, u64)> {
        let stale_limit = 2 * self.by_hash.len() + 64;
        if self.evictors.of(pool).as_ref().is_none_or(|heap| heap.len() > stale_limit) {
            let heap = self
                .standings(pool)
                .filter(|(tx, _)| !tx.origin.is_own())
                .map(|(tx, standing)| Reverse((standing.rank, tx.hash)))
                .collect();
            *self.evictors.of(pool) = Some(heap);
        }
        while let Some(Reverse((rank, hash))) = self.evictors.of(pool).as_mut()?.pop() {
            if let Some(entry) = self.entry(&hash)
                && let Some(standing) = &entry.standing
                && standing.rank == rank
                && SubPool::of(&entry.tx, standing) == pool
            {
                return self.by_hash.get(&hash).copied();
            }
        }
        None
    }

    fn lowest_own(&self, pool: SubPool) -> Option<(Address, u64)> {
        let lowest = self.standings(pool).min_by_key(|(tx, standing)| (standing.rank, tx.hash));
        lowest.map(|(tx, _)| (tx.sender, tx.nonce()))
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
