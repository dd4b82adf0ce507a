//! What was dropped, and why.

use alloc::collections::VecDeque;

/// How many dropped things are remembered one by one.
const MAX_RECENT: usize = 64;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why data was dropped: each rule of derivation that drops something has its own reason.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Dropped {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Dropped {
            /// All reasons, in the order of the pipeline.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// A short name for metrics: lower-case words and underscores.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// A log of the system config contract is no change that is known.
    SystemConfigUpdate = "system_config_update",
    /// A deposit from the address whose deposits are parts of super transactions (unions).
    PortDeposit = "port_deposit",
    /// A log of the union's inbox is no batch that was posted, or names no blobs of its block.
    UnionEvent = "union_event",
    /// A union batch that cannot be decoded, or is too large.
    UnionEncoding = "union_encoding",
    /// A union batch that says to be for another slot than the inbox took it for.
    UnionSlot = "union_slot",
    /// A union batch with blocks of a rollup that is not of the union.
    UnionChain = "union_chain",
    /// A union batch in which the blocks of a rollup are no span batch.
    UnionSpan = "union_span",
    /// A union batch with a part that cannot be decoded, or is of another slot.
    UnionPart = "union_part",
    /// A union batch with a part where there is no block or transaction for it.
    UnionPlacement = "union_placement",
    /// A union batch with a block behind its slot, or one before its slot that is not empty.
    UnionSlotTime = "union_slot_time",
    /// A union batch with a block whose L1 origin is not below the batch on its L1, no longer within the
    /// sequencing window, younger than the block, or too far from it.
    UnionOrigin = "union_origin",
    /// A union batch with a transaction or a part where a fork allows none: in the first block of Jovian,
    /// and set-code transactions before Isthmus.
    UnionFork = "union_fork",
    /// A union batch whose parts do not agree with each other.
    UnionAgreement = "union_agreement",
    /// A transaction to the batch inbox is not from the batcher.
    Sender = "sender",
    /// A transaction to the batch inbox has a type that may not carry batches.
    TransactionType = "transaction_type",
    /// A blob of the batcher is not in the blob encoding.
    Blob = "blob",
    /// The data of a batcher transaction is no sequence of frames.
    Frames = "frames",
    /// A frame is out of order (Holocene), or its channel was abandoned for a new one.
    FrameOrder = "frame_order",
    /// A frame does not fit into its channel: it is a duplicate, or lies behind the end.
    ChannelFrame = "channel_frame",
    /// A frame belongs to a channel that timed out, or to none.
    ChannelMissing = "channel_missing",
    /// A channel was not complete in time.
    ChannelTimeout = "channel_timeout",
    /// A channel was pushed out because all channels together, or this one, are too large.
    ChannelSize = "channel_size",
    /// A channel was replaced by a new one before it was complete (Holocene).
    ChannelReplaced = "channel_replaced",
    /// Data that was on its way when Holocene began.
    HoloceneActivation = "holocene_activation",
    /// A channel is in no known compression, or in one that is not allowed yet.
    Compression = "compression",
    /// What follows in a channel is no batch.
    BatchEncoding = "batch_encoding",
    /// A span batch whose transactions cannot be put together.
    SpanTransactions = "span_transactions",
    /// A span batch before Delta.
    SpanBeforeDelta = "span_before_delta",
    /// A batch came before derivation reached the L1 origin of the safe head.
    BeforeOrigin = "before_origin",
    /// A batch for a block that is already there.
    Past = "past",
    /// A batch that leaves a gap (Holocene).
    Future = "future",
    /// A span batch that needs L1 blocks that are not there when it is included (Holocene).
    Undecided = "undecided",
    /// A batch whose first block is not a whole number of blocks away from the safe head.
    Misaligned = "misaligned",
    /// A batch that builds on another block.
    ParentHash = "parent_hash",
    /// A batch that was included after its sequencing window.
    SequencingWindow = "sequencing_window",
    /// A batch whose L1 origin is older than that of its parent.
    EpochTooOld = "epoch_too_old",
    /// A batch whose L1 origin skips L1 blocks.
    EpochTooNew = "epoch_too_new",
    /// A batch for another L1 chain.
    EpochHash = "epoch_hash",
    /// A block that would be older than its L1 origin.
    BeforeEpoch = "before_epoch",
    /// A block with transactions that is too far from its L1 origin in time.
    SequencerDrift = "sequencer_drift",
    /// An empty block that kept an L1 origin although the next one was there to be adopted.
    SequencerDriftEmpty = "sequencer_drift_empty",
    /// The first block of a fork has transactions where it may not.
    ActivationBlock = "activation_block",
    /// An empty transaction.
    EmptyTransaction = "empty_transaction",
    /// A deposit in a batch.
    DepositTransaction = "deposit_transaction",
    /// A set-code transaction before Isthmus.
    SetCodeTransaction = "set_code_transaction",
    /// A span batch that differs from the safe chain where it overlaps it.
    Overlap = "overlap",
    /// Batches of a span whose parent was exchanged.
    SpanAbandoned = "span_abandoned",
    /// A batch for the future, which the queue has no room for (before Holocene).
    QueueFull = "queue_full",
    /// The rest of a channel after an invalid batch or payload (Holocene).
    ChannelFlushed = "channel_flushed",
}

/// Something that was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropEvent {
    /// Why.
    pub reason: Dropped,
    /// The number of the L1 block that derivation was at.
    pub origin: u64,
}

/// How much was dropped, by reason, since the pipeline was made.
#[derive(Clone, Debug)]
pub struct Counters {
    counts: [u64; Dropped::ALL.len()],
    recent: VecDeque<DropEvent>,
}

impl Default for Counters {
    fn default() -> Self {
        Self { counts: [0; Dropped::ALL.len()], recent: VecDeque::new() }
    }
}

impl Counters {
    /// How often something was dropped for this reason.
    pub fn get(&self, reason: Dropped) -> u64 {
        self.counts.get(reason as usize).copied().unwrap_or_default()
    }

    /// All reasons with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Dropped, u64)> + '_ {
        Dropped::ALL.iter().copied().zip(self.counts.iter().copied())
    }

    /// How much was dropped altogether.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The last 64 things that were dropped, oldest first, for logs.
    pub fn recent(&self) -> impl Iterator<Item = &DropEvent> + '_ {
        self.recent.iter()
    }

    /// Counts something that was dropped at L1 block `origin`.
    pub(crate) fn record(&mut self, reason: Dropped, origin: u64) {
        self.record_many(reason, 1, origin);
    }

    /// The same for several things at once; nothing is recorded for none.
    pub(crate) fn record_many(&mut self, reason: Dropped, times: usize, origin: u64) {
        let Some(count) = self.counts.get_mut(reason as usize).filter(|_| times > 0) else {
            return;
        };
        *count = count.saturating_add(u64::try_from(times).unwrap_or(u64::MAX));
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(DropEvent { reason, origin });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter_and_name() {
        let mut counters = Counters::default();
        for (index, reason) in Dropped::ALL.iter().enumerate() {
            counters.record_many(*reason, index + 1, 7);
        }
        for (index, reason) in Dropped::ALL.iter().enumerate() {
            assert_eq!(counters.get(*reason), index as u64 + 1);
            let same = Dropped::ALL.iter().filter(|other| other.name() == reason.name()).count();
            assert_eq!(same, 1, "{reason:?}");
        }
        let count = Dropped::ALL.len() as u64;
        assert_eq!(counters.total(), count * (count + 1) / 2);
    }

    #[test]
    fn only_the_last_events_are_remembered() {
        let mut counters = Counters::default();
        for origin in 0..1_000 {
            counters.record(Dropped::Frames, origin);
        }
        counters.record_many(Dropped::Blob, 0, 1_000);
        let origins: alloc::vec::Vec<u64> = counters.recent().map(|event| event.origin).collect();
        assert_eq!(origins, (1_000 - MAX_RECENT as u64..1_000).collect::<alloc::vec::Vec<_>>());
    }
}
