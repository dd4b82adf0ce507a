//! Waiting until L1 and the rollups tell what is left to post.

use super::{InboxState, Phase, Poster};
use crate::PosterError;
use alloy_primitives::B256;
use lockstep_batcher::{DataKind, L1Head, L1Submit, NonceAt, Polled};
use std::{collections::BTreeMap, time::Duration};

/// At most so many nonces (as a power of two) are used up at once before transactions that wait for
/// them.
const MAX_MISSING_LOG2: u32 = 4;

impl Poster {
    /// Whether nothing is on its way any more, and the rollups have derived all batches that the inbox took. Then
    /// the poster goes on from their safe heads.
    ///
    /// Transactions that wait for too long, and are not known here, are replaced by ones that do nothing; and
    /// rollups that do not derive for too long are left out until they do. So neither stops the poster for good.
    pub(super) fn settle(
        &mut self,
        head: &L1Head,
        polled: &Polled,
        inbox: &InboxState,
        now: Duration,
    ) -> Result<bool, PosterError> {
        let patience = self.settings.outbox.submission.patience;
        let Phase::Settling { since, idle_since } = self.phase else { return Ok(true) };
        let since = since.unwrap_or(now);
        let account = self.outbox.account();
        let pending = self.l1.nonce(account, NonceAt::Pending).map_err(PosterError::L1)?;
        let latest = polled.latest;
        if self.outbox.pending() > 0 || pending > latest {
            self.phase = Phase::Settling { since: Some(since), idle_since: None };
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
        let idle_since = idle_since.unwrap_or(now);
        self.phase = Phase::Settling { since: Some(since), idle_since: Some(idle_since) };
        if self.drops.is_pausing(now) {
            return Ok(false);
        }
        self.members.iter_mut().for_each(super::member::Member::unplace);
        self.place(head, inbox)?;
        let placed = self.placed().count();
        let is_patient = now.saturating_sub(idle_since) < patience;
        if placed == 0 || (placed < self.members.len() && is_patient) {
            return Ok(false);
        }
        self.outbox.restart_at(latest);
        self.base = *inbox;
        self.phase = Phase::Posting;
        tracing::info!(
            target: "lockstep_gateway",
            nonce = latest,
            next_slot = inbox.next_slot,
            newest_batch = %inbox.head,
            rollups = placed,
            "posting of batches begins"
        );
        Ok(true)
    }

    /// Places the rollups that have derived all batches that the inbox has after `head`.
    pub(super) fn place(&mut self, head: &L1Head, inbox: &InboxState) -> Result<(), PosterError> {
        let mut known = BTreeMap::<B256, Option<InboxState>>::new();
        known.insert(head.block.hash, Some(*inbox));
        for member in self.members.iter_mut().filter(|member| !member.is_placed()) {
            let Some(derived) = member.status().and_then(|status| status.derived_up_to) else {
                continue;
            };
            let state = match known.get(&derived.hash) {
                Some(state) => *state,
                None => {
                    let state = self.l1.inbox(derived.hash).map_err(PosterError::L1)?;
                    known.insert(derived.hash, state);
                    state
                }
            };
            if state.as_ref() == Some(inbox) {
                member.place();
            }
        }
        Ok(())
    }
}
