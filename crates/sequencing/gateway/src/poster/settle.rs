//! Waiting until L1 and the rollups tell what is left to post.

use super::{InboxState, Phase, Poster};
use crate::{PosterError, seal::Base};
use alloy_primitives::B256;
use lockstep_batcher::{DataKind, L1Head, L1Submit, NonceAt, Polled};
use std::{collections::BTreeMap, time::Duration};

/// At most so many nonces (as a power of two) are used up at once before transactions that wait for
/// them.
const MAX_MISSING_LOG2: u32 = 4;

impl Poster {
    /// Whether nothing is on its way any more, all rollups have derived all batches that the inbox took, and the gateway
    /// goes on from their safe heads.
    ///
    /// Transactions that wait for too long, and are not known here, are replaced by ones that do nothing. A rollup that
    /// is behind is waited for: what its peers have called on it must be posted with it.
    pub(super) fn settle(
        &mut self,
        head: &L1Head,
        polled: &Polled,
        inbox: &InboxState,
        now: Duration,
    ) -> Result<bool, PosterError> {
        let patience = self.settings.outbox.submission.patience;
        let since = match self.phase {
            Phase::Posting => return Ok(true),
            // If it is neither waited for nor taken over, rollups took back what it said.
            Phase::Proposed if self.ledger.is_proposed() || self.ledger.is_settled() => {
                return Ok(self.begin(polled.latest, inbox));
            }
            Phase::Proposed => now,
            Phase::Settling { since } => since.unwrap_or(now),
        };
        self.phase = Phase::Settling { since: Some(since) };
        let account = self.outbox.account();
        let pending = self.l1.nonce(account, NonceAt::Pending).map_err(PosterError::L1)?;
        let latest = polled.latest;
        if self.outbox.pending() > 0 || pending > latest {
            let is_known =
                latest >= self.outbox.first_nonce() && pending <= self.outbox.next_nonce();
            if !is_known && now.saturating_sub(since) >= patience {
                tracing::warn!(target: "lockstep_gateway", latest, pending, "unknown transactions are cancelled");
                if self.outbox.pending() == 0 {
                    self.outbox.restart_at(latest);
                }
                self.outbox.fill(latest, pending, DataKind::Blobs, head)?;
            }
            return Ok(false);
        }
        if self.is_gap_due {
            let missing = 1 << self.reserved.saturating_sub(1).min(MAX_MISSING_LOG2);
            tracing::warn!(
                target: "lockstep_gateway",
                latest, missing,
                "nonces before unknown transactions are used up"
            );
            self.outbox.restart_at(latest);
            self.outbox.fill(latest, latest + missing, DataKind::Calldata, head)?;
            self.is_gap_due = false;
            return Ok(false);
        }
        if self.drops.is_pausing(now) || !self.have_derived(head, inbox)? {
            return Ok(false);
        }
        let safe = self.members.iter().filter_map(|it| Some((it.chain, it.status?.safe_head)));
        let (head, next_slot, cursors) = (inbox.head, inbox.next_slot, safe.collect());
        self.ledger.propose(Base { head, next_slot, cursors });
        self.phase = Phase::Proposed;
        Ok(self.begin(latest, inbox))
    }

    /// Begins to post once the gateway has taken over what L1 has.
    fn begin(&mut self, latest: u64, inbox: &InboxState) -> bool {
        if !self.ledger.is_settled() {
            return false;
        }
        self.outbox.restart_at(latest);
        self.phase = Phase::Posting;
        tracing::info!(
            target: "lockstep_gateway",
            nonce = latest,
            next_slot = inbox.next_slot,
            newest_batch = %inbox.head,
            "posting of batches begins"
        );
        true
    }

    /// Whether all rollups have derived all batches that the inbox has after `head`.
    fn have_derived(&mut self, head: &L1Head, inbox: &InboxState) -> Result<bool, PosterError> {
        let mut known = BTreeMap::<B256, Option<InboxState>>::new();
        known.insert(head.block.hash, Some(*inbox));
        for member in &self.members {
            let Some(derived) = member.status.and_then(|status| status.derived_up_to) else {
                return Ok(false);
            };
            let state = match known.get(&derived.hash) {
                Some(state) => *state,
                None => {
                    let state = self.l1.inbox(derived.hash).map_err(PosterError::L1)?;
                    known.insert(derived.hash, state);
                    state
                }
            };
            if state.as_ref() != Some(inbox) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
