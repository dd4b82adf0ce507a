//! What operators see of storage.

use metrics::{counter, gauge, histogram};
use std::time::Duration;

/// Records the metrics of storage, labelled by chain id.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    chain: String,
}

impl Measure {
    pub(super) fn new(chain_id: u64) -> Self {
        Self { chain: chain_id.to_string() }
    }

    fn label(&self) -> [(&'static str, String); 1] {
        [("chain", self.chain.clone())]
    }

    pub(super) fn appended(&self, blocks: usize, static_bytes: u64, tip: u64) {
        counter!("lockstep_storage_appended_blocks_total", &self.label()).increment(blocks as u64);
        counter!("lockstep_storage_static_bytes_total", &self.label()).increment(static_bytes);
        self.tip(tip);
    }

    pub(super) fn append_took(&self, took: Duration) {
        histogram!("lockstep_storage_append_seconds", &self.label()).record(took.as_secs_f64());
    }

    pub(super) fn unwound(&self, blocks: u64, tip: u64) {
        counter!("lockstep_storage_unwound_blocks_total", &self.label()).increment(blocks);
        self.tip(tip);
    }

    fn tip(&self, number: u64) {
        gauge!("lockstep_storage_tip", &self.label()).set(number as f64);
    }
}
