//! What operators see of the engine.

use lockstep_parallel::{CacheStatistics, Statistics};
use metrics::{counter, gauge, histogram};
use std::time::Duration;
use tokio::time::Instant;

/// Records the engine's metrics, labelled by chain id.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    chain: String,
}

impl Measure {
    pub(crate) fn new(chain_id: u64) -> Self {
        Self { chain: chain_id.to_string() }
    }

    fn label(&self) -> [(&'static str, String); 1] {
        [("chain", self.chain.clone())]
    }

    /// A block was added that uses so much gas.
    pub(crate) fn gas(&self, gas: u64) {
        counter!("lockstep_engine_gas_total", &self.label()).increment(gas);
    }

    /// A block was executed and added.
    pub(crate) fn executed(&self, took: Duration, gas: u64) {
        self.gas(gas);
        histogram!("lockstep_engine_insert_seconds", &self.label()).record(took.as_secs_f64());
        let seconds = took.as_secs_f64();
        if seconds > 0.0 {
            gauge!("lockstep_engine_gas_per_second", &self.label()).set(gas as f64 / seconds);
        }
    }

    /// What has become of the transactions so far of all blocks, imported and built.
    pub(crate) fn execution(&self, statistics: &Statistics) {
        let Statistics { ahead, again, in_order, transfers } = *statistics;
        let counts =
            [("ahead", ahead), ("again", again), ("in_order", in_order), ("transfer", transfers)];
        for (how, count) in counts {
            let labels = [("chain", self.chain.clone()), ("how", how.to_owned())];
            counter!("lockstep_engine_transactions_total", &labels).absolute(count);
        }
    }

    /// How the cache of the newest state has done so far.
    pub(crate) fn cache(&self, statistics: &CacheStatistics) {
        let CacheStatistics { hits, misses, accounts, slots, codes } = *statistics;
        counter!("lockstep_engine_cache_hits_total", &self.label()).absolute(hits);
        counter!("lockstep_engine_cache_misses_total", &self.label()).absolute(misses);
        for (kind, entries) in [("accounts", accounts), ("slots", slots), ("codes", codes)] {
            let labels = [("chain", self.chain.clone()), ("kind", kind.to_owned())];
            gauge!("lockstep_engine_cache_entries", &labels).set(entries as f64);
        }
    }

    pub(crate) fn invalid(&self) {
        counter!("lockstep_engine_invalid_blocks_total", &self.label()).increment(1);
    }

    pub(crate) fn fork_choice(&self, took: Duration) {
        histogram!("lockstep_engine_fork_choice_seconds", &self.label()).record(took.as_secs_f64());
    }

    pub(crate) fn reorg(&self, depth: usize) {
        histogram!("lockstep_engine_reorg_depth_blocks", &self.label()).record(depth as f64);
    }

    pub(crate) fn tree(&self, blocks: usize, unpersisted: usize) {
        gauge!("lockstep_engine_tree_blocks", &self.label()).set(blocks as f64);
        gauge!("lockstep_engine_unpersisted_blocks", &self.label()).set(unpersisted as f64);
    }

    pub(crate) fn persisted(&self, took: Duration, blocks: usize) {
        histogram!("lockstep_engine_persistence_seconds", &self.label()).record(took.as_secs_f64());
        counter!("lockstep_engine_persisted_blocks_total", &self.label()).increment(blocks as u64);
    }

    pub(crate) fn persistence_failed(&self) {
        counter!("lockstep_engine_persistence_failures_total", &self.label()).increment(1);
    }

    pub(crate) fn built(&self, took: Duration, transactions: usize) {
        histogram!("lockstep_engine_build_seconds", &self.label()).record(took.as_secs_f64());
        histogram!("lockstep_engine_built_transactions", &self.label()).record(transactions as f64);
    }
}

/// Time from here on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
