//! What the batcher reports to Prometheus.

use crate::{Backlog, ClosedChannel, DataKind, DataLimits, ErrorClass, Inclusion, L2Status, Phase};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::fmt;

/// What is counted of transactions on their way into L1.
pub trait TransactionMetrics {
    /// A pool took a transaction with so many bytes of data for the first time.
    fn sent(&self, kind: DataKind, bytes: usize);

    /// A transaction was sent again, as it was or for a higher fee.
    fn resent(&self, kind: DataKind);

    /// A pool did not take a transaction.
    fn refused(&self, kind: DataKind);

    /// A transaction is in an L1 block.
    fn included(&self, kind: DataKind, inclusion: &Inclusion);

    /// A transaction waits because it would have to offer more than may be paid.
    fn capped(&self);
}

/// The batcher's metrics, one set per chain. Registered once, so a recorder must be installed before
/// the batcher is made.
pub(crate) struct Metrics {
    chain: String,
    pending_blocks: Gauge,
    pending_bytes: Gauge,
    open_channels: Gauge,
    pending_transactions: Gauge,
    input_bytes: Counter,
    compressed_bytes: Counter,
    compression_ratio: Histogram,
    channel_blocks: Histogram,
    capped: Counter,
    safe_head: Gauge,
    unsafe_head: Gauge,
    posted_head: Gauge,
    phase: Gauge,
    limit: Gauge,
    balance: Gauge,
    replaced: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new(chain_id: u64) -> Self {
        let chain = chain_id.to_string();
        let label = || [("chain", chain.clone())];
        Self {
            pending_blocks: gauge!("lockstep_batcher_pending_blocks", &label()),
            pending_bytes: gauge!("lockstep_batcher_pending_bytes", &label()),
            open_channels: gauge!("lockstep_batcher_open_channels", &label()),
            pending_transactions: gauge!("lockstep_batcher_pending_transactions", &label()),
            input_bytes: counter!("lockstep_batcher_input_bytes", &label()),
            compressed_bytes: counter!("lockstep_batcher_compressed_bytes", &label()),
            compression_ratio: histogram!("lockstep_batcher_compression_ratio", &label()),
            channel_blocks: histogram!("lockstep_batcher_channel_blocks", &label()),
            capped: counter!("lockstep_batcher_fee_cap_hits", &label()),
            safe_head: gauge!("lockstep_batcher_safe_head", &label()),
            unsafe_head: gauge!("lockstep_batcher_unsafe_head", &label()),
            posted_head: gauge!("lockstep_batcher_posted_head", &label()),
            phase: gauge!("lockstep_batcher_posting", &label()),
            limit: gauge!("lockstep_batcher_block_limit_bytes", &label()),
            balance: gauge!("lockstep_batcher_balance_ether", &label()),
            replaced: counter!("lockstep_batcher_replaced_blocks", &label()),
            chain,
        }
    }

    pub(crate) fn backlog(&self, backlog: &Backlog) {
        self.pending_blocks.set(backlog.blocks as f64);
        self.pending_bytes.set(backlog.bytes as f64);
        self.open_channels.set(backlog.channels as f64);
        self.pending_transactions.set(backlog.transactions as f64);
    }

    pub(crate) fn heads(&self, status: &L2Status, posted: u64) {
        self.safe_head.set(status.safe_head.number as f64);
        self.unsafe_head.set(status.unsafe_head.number as f64);
        self.posted_head.set(posted as f64);
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.phase.set(f64::from(u8::from(phase == Phase::Posting)));
    }

    pub(crate) fn limits(&self, limits: &DataLimits) {
        self.limit.set(limits.block_bytes as f64);
    }

    /// What the account has, in wei.
    pub(crate) fn balance(&self, wei: u128) {
        self.balance.set(wei as f64 / 1e18);
    }

    /// A step came to nothing.
    pub(crate) fn failed(&self, class: ErrorClass) {
        let (chain, class) = (self.chain.clone(), class.name());
        counter!("lockstep_batcher_errors", "class" => class, "chain" => chain).increment(1);
    }

    pub(crate) fn closed(&self, channel: &ClosedChannel) {
        let (input, output) = (channel.input_bytes, channel.data.len());
        self.input_bytes.increment(input as u64);
        self.compressed_bytes.increment(output as u64);
        if input > 0 {
            self.compression_ratio.record(output as f64 / input as f64);
        }
        self.channel_blocks.record(channel.blocks() as f64);
        let (chain, reason) = (self.chain.clone(), channel.reason.name());
        counter!("lockstep_batcher_channels", "reason" => reason, "chain" => chain).increment(1);
    }

    /// Blocks of the rollup were replaced by others.
    pub(crate) fn replaced(&self, blocks: u64) {
        self.replaced.increment(blocks);
    }

    pub(crate) fn reset(&self, reason: &'static str) {
        let chain = self.chain.clone();
        counter!("lockstep_batcher_resets", "reason" => reason, "chain" => chain).increment(1);
    }

    fn count(&self, name: &'static str, kind: DataKind, by: u64) {
        let chain = self.chain.clone();
        counter!(name, "kind" => kind.name(), "chain" => chain).increment(by);
    }
}

impl TransactionMetrics for Metrics {
    fn sent(&self, kind: DataKind, bytes: usize) {
        self.count("lockstep_batcher_transactions", kind, 1);
        self.count("lockstep_batcher_output_bytes", kind, bytes as u64);
    }

    fn resent(&self, kind: DataKind) {
        self.count("lockstep_batcher_resubmissions", kind, 1);
    }

    fn refused(&self, kind: DataKind) {
        self.count("lockstep_batcher_refusals", kind, 1);
    }

    fn included(&self, kind: DataKind, inclusion: &Inclusion) {
        self.count("lockstep_batcher_inclusions", kind, 1);
        // In gwei: wei do not fit into a counter for long.
        let fee = u64::try_from(inclusion.fee / 1_000_000_000).unwrap_or(u64::MAX);
        self.count("lockstep_batcher_fees_gwei", kind, fee);
    }

    fn capped(&self) {
        self.capped.increment(1);
    }
}
