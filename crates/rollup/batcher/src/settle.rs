//! Waiting until the safe head tells what is left to post.

use crate::{
    Batcher, BatcherError, DataAvailability, DataKind, L1Head, L1Submit, L2Blocks, L2Status,
    NonceAt, batcher::Settle, outbox::Polled,
};
use std::time::Duration;

/// At most so many nonces (as a power of two) are used up at once before transactions that wait for
/// them.
const MAX_MISSING_LOG2: u32 = 4;

impl<L1: L1Submit, L2: L2Blocks> Batcher<L1, L2> {
    /// Whether nothing is on its way any more and the L2 node has derived from all that was. Then the
    /// batcher posts from the safe head on.
    ///
    /// Transactions that wait for too long, and are not known here, are replaced by ones that do
    /// nothing. So neither a restart nor a nonce that was lost stops the batcher for good.
    pub(crate) fn settle(
        &mut self,
        head: &L1Head,
        polled: &Polled,
        status: &L2Status,
        now: Duration,
    ) -> Result<bool, BatcherError> {
        let Settle::Settling { since, settled_at } = self.phase else { return Ok(true) };
        let since = since.unwrap_or(now);
        let account = self.account();
        let pending = self.l1.nonce(account, NonceAt::Pending).map_err(BatcherError::L1)?;
        let latest = polled.latest;
        if self.outbox.pending() > 0 || pending > latest {
            self.phase = Settle::Settling { since: Some(since), settled_at: None };
            let is_known =
                latest >= self.outbox.first_nonce() && pending <= self.outbox.next_nonce();
            if !is_known && now.saturating_sub(since) >= self.config.submission.patience {
                tracing::warn!(latest, pending, "unknown transactions are cancelled");
                if self.outbox.pending() == 0 {
                    self.outbox.restart_at(latest);
                }
                self.outbox.fill(latest, pending, self.cancel_kind(), head)?;
            }
            return Ok(false);
        }
        if self.is_gap_due {
            // The pool's transactions wait behind nonces that are missing. Nobody says how many, so
            // each time it happens again twice as many are used up.
            let missing = 1 << self.reserved.saturating_sub(1).min(MAX_MISSING_LOG2);
            tracing::warn!(latest, missing, "nonces before unknown transactions are used up");
            self.outbox.restart_at(latest);
            self.outbox.fill(latest, latest + missing, self.cancel_kind().other(), head)?;
            self.is_gap_due = false;
            return Ok(false);
        }
        let settled_at = settled_at.unwrap_or(head.block.number);
        if status.current_l1.number <= settled_at {
            self.phase = Settle::Settling { since: Some(since), settled_at: Some(settled_at) };
            return Ok(false);
        }
        if self.drops.is_pausing(now) {
            return Ok(false);
        }
        self.outbox.restart_at(latest);
        self.begin_after(status.safe_head);
        self.phase = Settle::Posting;
        tracing::info!(
            chain = self.rollup.l2_chain_id,
            nonce = latest,
            safe_head = status.safe_head.number,
            unsafe_head = status.unsafe_head.number,
            "posting begins"
        );
        Ok(true)
    }

    /// The likelier kind of a transaction that is not known.
    const fn cancel_kind(&self) -> DataKind {
        match self.config.data_availability {
            DataAvailability::Calldata => DataKind::Calldata,
            DataAvailability::Blobs | DataAvailability::Auto => DataKind::Blobs,
        }
    }
}
