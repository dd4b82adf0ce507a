//! What the poster reports to Prometheus.

use super::ResetReason;
use alloy_primitives::ChainId;
use lockstep_batcher::{DataKind, ErrorClass, Inclusion, TransactionMetrics};
use metrics::{counter, gauge};

/// The poster's metrics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metrics;

impl Metrics {
    pub(super) fn failed(self, class: ErrorClass) {
        counter!("lockstep_gateway_post_errors_total", "class" => class.name()).increment(1);
    }

    pub(super) fn reset(self, reason: ResetReason) {
        counter!("lockstep_gateway_post_resets_total", "reason" => reason.name()).increment(1);
    }

    pub(super) fn phase(self, is_posting: bool) {
        gauge!("lockstep_gateway_posting").set(f64::from(u8::from(is_posting)));
    }

    pub(super) fn pending(self, transactions: usize) {
        gauge!("lockstep_gateway_post_pending_transactions").set(transactions as f64);
    }

    /// The slot whose batch cannot be posted; no such slot counts as slot 0, which has no batch.
    pub(super) fn blocked(self, slot: Option<u64>) {
        gauge!("lockstep_gateway_post_blocked_slot").set(slot.unwrap_or_default() as f64);
    }

    pub(super) fn inbox(self, next_slot: u64) {
        gauge!("lockstep_gateway_inbox_next_slot").set(next_slot as f64);
    }

    pub(super) fn member(self, chain: ChainId, safe_head: u64) {
        gauge!("lockstep_gateway_safe_head", "chain" => chain.to_string()).set(safe_head as f64);
    }

    /// What the account that pays has, in wei.
    pub(super) fn balance(self, wei: u128) {
        gauge!("lockstep_gateway_post_balance_ether").set(wei as f64 / 1e18);
    }
}

impl TransactionMetrics for Metrics {
    fn sent(&self, _kind: DataKind, bytes: usize) {
        counter!("lockstep_gateway_post_transactions_total").increment(1);
        counter!("lockstep_gateway_post_bytes_total").increment(bytes as u64);
    }

    fn resent(&self, _kind: DataKind) {
        counter!("lockstep_gateway_post_resubmissions_total").increment(1);
    }

    fn refused(&self, _kind: DataKind) {
        counter!("lockstep_gateway_post_refusals_total").increment(1);
    }

    fn included(&self, _kind: DataKind, inclusion: &Inclusion) {
        counter!("lockstep_gateway_post_inclusions_total").increment(1);
        // In gwei: wei do not fit into a counter for long.
        let fee = u64::try_from(inclusion.fee / 1_000_000_000).unwrap_or(u64::MAX);
        counter!("lockstep_gateway_post_fees_gwei_total").increment(fee);
    }

    fn capped(&self) {
        counter!("lockstep_gateway_post_fee_cap_hits_total").increment(1);
    }
}
