//! What the pool reports to Prometheus.

use crate::table::{SubPool, Usages};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::{fmt, time::Duration};

/// The pool's metrics, one set per chain. Registered once, so a recorder must be installed before
/// the pool is made.
pub(crate) struct Metrics {
    chain: String,
    sub_pools: [(SubPool, Gauge, Gauge); 3],
    adds: Counter,
    evictions: Counter,
    expirations: Counter,
    reinjections: Counter,
    lost: Counter,
    add_seconds: Histogram,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new(chain_id: u64) -> Self {
        let chain = chain_id.to_string();
        let label = || ("chain", chain.clone());
        let sub_pools = SubPool::ALL.map(|pool| {
            let name = pool.name();
            (
                pool,
                gauge!("lockstep_pool_transactions", "subpool" => name, "chain" => chain.clone()),
                gauge!("lockstep_pool_bytes", "subpool" => name, "chain" => chain.clone()),
            )
        });
        Self {
            sub_pools,
            adds: counter!("lockstep_pool_adds", &[label()]),
            evictions: counter!("lockstep_pool_evictions", &[label()]),
            expirations: counter!("lockstep_pool_expirations", &[label()]),
            reinjections: counter!("lockstep_pool_reinjections", &[label()]),
            lost: counter!("lockstep_pool_reinjections_lost", &[label()]),
            add_seconds: histogram!("lockstep_pool_add_seconds", &[label()]),
            chain,
        }
    }

    pub(crate) fn added(&self, took: Duration) {
        self.adds.increment(1);
        self.add_seconds.record(took);
    }

    pub(crate) fn rejected(&self, reason: &'static str) {
        let chain = self.chain.clone();
        counter!("lockstep_pool_rejects", "reason" => reason, "chain" => chain).increment(1);
    }

    pub(crate) fn evicted(&self, count: usize) {
        self.evictions.increment(count as u64);
    }

    pub(crate) fn expired(&self, count: usize) {
        self.expirations.increment(count as u64);
    }

    /// Transactions of dropped blocks that are back, and those that could not come back.
    pub(crate) fn reinjected(&self, count: usize, lost: usize) {
        self.reinjections.increment(count as u64);
        self.lost.increment(lost as u64);
    }

    pub(crate) fn usage(&self, usages: &Usages) {
        for (pool, transactions, bytes) in &self.sub_pools {
            let usage = usages.of(*pool);
            transactions.set(usage.transactions as f64);
            bytes.set(usage.bytes as f64);
        }
    }
}
