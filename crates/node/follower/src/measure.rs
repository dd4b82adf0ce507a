//! What operators see of a follower.

use lockstep_derive::{Counters, Severity};
use lockstep_protocol::BlockInfo;
use metrics::{counter, gauge};

/// Records a follower's metrics, labelled by chain id.
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

    fn block(&self, outcome: &'static str) {
        let labels = [("chain", self.chain.clone()), ("outcome", outcome.to_owned())];
        counter!("lockstep_follower_blocks_total", &labels).increment(1);
    }

    /// The engine had the block that was derived.
    pub(crate) fn agreed(&self) {
        self.block("agreed");
    }

    /// The block that was derived had to be executed.
    pub(crate) fn built(&self) {
        self.block("built");
    }

    /// The engine had another block than the one that was derived.
    pub(crate) fn replaced(&self) {
        self.block("replaced");
    }

    /// What was derived could not be executed.
    pub(crate) fn unexecutable(&self) {
        self.block("unexecutable");
    }

    /// A step, or a question to L1, failed.
    pub(crate) fn error(&self, severity: Severity) {
        let class = match severity {
            Severity::Temporary => "temporary",
            Severity::Reset => "reset",
            Severity::Critical => "critical",
        };
        let labels = [("chain", self.chain.clone()), ("class", class.to_owned())];
        counter!("lockstep_follower_errors_total", &labels).increment(1);
    }

    pub(crate) fn reset(&self) {
        counter!("lockstep_follower_resets_total", &self.label()).increment(1);
    }

    pub(crate) fn origin(&self, number: u64) {
        gauge!("lockstep_follower_l1_origin", &self.label()).set(number as f64);
    }

    /// Where L1 is, and how far behind it derivation is.
    pub(crate) fn l1_head(&self, number: u64, derived_up_to: Option<BlockInfo>) {
        gauge!("lockstep_follower_l1_head", &self.label()).set(number as f64);
        if let Some(derived) = derived_up_to {
            let distance = number.saturating_sub(derived.number);
            gauge!("lockstep_follower_l1_distance", &self.label()).set(distance as f64);
        }
    }

    pub(crate) fn unsafe_head(&self, number: u64) {
        gauge!("lockstep_follower_unsafe_block", &self.label()).set(number as f64);
    }

    pub(crate) fn safe(&self, number: u64) {
        gauge!("lockstep_follower_safe_block", &self.label()).set(number as f64);
    }

    pub(crate) fn finalized(&self, number: u64) {
        gauge!("lockstep_follower_finalized_block", &self.label()).set(number as f64);
    }

    /// What derivation has dropped since it last began, by the rule that dropped it.
    pub(crate) fn dropped(&self, dropped: &Counters) {
        for (reason, count) in dropped.iter().filter(|(_, count)| *count > 0) {
            let labels = [("chain", self.chain.clone()), ("reason", reason.name().to_owned())];
            gauge!("lockstep_follower_dropped", &labels).set(count as f64);
        }
    }
}
