//! What operators see of the engine.

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

    pub(crate) fn executed(&self, took: Duration, gas: u64) {
        histogram!("lockstep_engine_insert_seconds", &self.label()).record(took.as_secs_f64());
        counter!("lockstep_engine_gas_total", &self.label()).increment(gas);
        let seconds = took.as_secs_f64();
        if seconds > 0.0 {
            gauge!("lockstep_engine_gas_per_second", &self.label()).set(gas as f64 / seconds);
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
