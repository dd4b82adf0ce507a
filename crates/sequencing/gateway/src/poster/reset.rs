//! Beginning anew from what L1 says.

use super::{InboxState, Phase, Poster};
use lockstep_lookahead::Slot;
use std::time::Duration;

/// Why the poster began anew from what L1 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// The inbox has a batch that is not among the sealed ones, or a reorganisation of L1 took back more than is
    /// remembered.
    OtherBatch,
    /// The inbox refused a batch.
    Reverted,
    /// A batch was derived from, but its blocks did not become safe.
    BatchDropped,
    /// Batches were given up, of which L1 may get some all the same.
    GivenUp,
    /// A rollup's safe head went back.
    SafeHeadWentBack,
    /// Another transaction of the account used a nonce, or a reorganisation of L1 took back more than is
    /// remembered.
    Nonce,
    /// A pool holds transactions of the account, of another kind, that the poster does not know.
    Reserved,
}

impl ResetReason {
    /// The name, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherBatch => "other_batch",
            Self::Reverted => "reverted",
            Self::BatchDropped => "batch_dropped",
            Self::GivenUp => "given_up",
            Self::SafeHeadWentBack => "safe_head_went_back",
            Self::Nonce => "nonce",
            Self::Reserved => "reserved",
        }
    }
}

impl Poster {
    /// Begins anew, once everything that is on its way has settled.
    pub(super) fn reset(&mut self, reason: ResetReason, inbox: &InboxState, now: Duration) {
        let patience = self.settings.outbox.submission.patience;
        let slots: Vec<Slot> = self.posted.iter().map(|posted| posted.slot).collect();
        let pending = self.outbox.pending();
        // What is dropped needs another look at L1; what is refused its slot's window does not wait for.
        let pause = match reason {
            ResetReason::BatchDropped => Some(patience),
            ResetReason::Reverted => Some(Duration::from_secs(self.settings.outbox.l1_block_time)),
            _ => None,
        };
        let in_a_row = pause.map(|pause| self.drops.add(inbox.next_slot, now, pause));
        match reason {
            // As often as another gateway's batch was not handed over.
            ResetReason::OtherBatch => tracing::info!(
                target: "lockstep_gateway",
                newest_batch = %inbox.head, next_slot = inbox.next_slot, ?slots, pending,
                "the inbox has a batch of another gateway; going on after it"
            ),
            ResetReason::Reverted => tracing::error!(
                target: "lockstep_gateway",
                ?slots, pending, in_a_row,
                "the inbox refused a union batch; beginning anew from the safe heads"
            ),
            ResetReason::BatchDropped => tracing::error!(
                target: "lockstep_gateway",
                ?slots, pending, in_a_row,
                "derivation dropped a union batch; beginning anew from the safe heads"
            ),
            _ => tracing::warn!(
                target: "lockstep_gateway",
                reason = reason.name(), ?slots, pending,
                "beginning anew from the safe heads"
            ),
        }
        self.metrics.reset(reason);
        // What these leave of the batches is not known; after the others all may still be posted.
        let is_doubtful =
            !matches!(reason, ResetReason::Nonce | ResetReason::Reserved | ResetReason::Reverted);
        self.ledger.begin_anew(is_doubtful);
        self.posted.clear();
        self.doubted.clear();
        self.outbox.drop_unsent();
        self.phase = Phase::Settling { since: Some(now) };
    }
}
