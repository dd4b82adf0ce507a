//! Sending one transaction, and paying more for it.

use crate::{
    BatcherError, BlobProofs, BlobProver, DataKind, FeePolicy, Fees, L1Head, L1Submit, SendOutcome,
    SubmissionPolicy, TransactionMetrics,
    entry::{Entry, Taken},
    transaction::{Account, Call, Payload},
};
use alloy_primitives::{B256, Bytes};
use std::time::Duration;

/// Signed versions of one transaction that are remembered. One that was forgotten and is included
/// nevertheless looks like a nonce that somebody else used.
const MAX_ATTEMPTS: usize = 32;

/// Replacements of one transaction within one step.
const MAX_REPLACEMENTS_PER_STEP: usize = 4;

/// What [`crate::Outbox::send_due`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Transactions that pools took for the first time.
    pub accepted: usize,
    /// Transactions that were sent again: as they were, or for a higher fee.
    pub again: usize,
    /// A pool holds transactions of the other kind that are not ours.
    pub is_reserved: bool,
}

/// What sending one transaction needs to know.
pub(crate) struct Sender<'a> {
    pub(crate) account: &'a Account,
    pub(crate) prover: &'a dyn BlobProver,
    pub(crate) fees: &'a FeePolicy,
    pub(crate) policy: &'a SubmissionPolicy,
    pub(crate) proofs: BlobProofs,
    pub(crate) head: &'a L1Head,
    pub(crate) now: Duration,
    pub(crate) metrics: &'a dyn TransactionMetrics,
    /// No other transaction of ours must be included before.
    pub(crate) is_first: bool,
    /// What transactions carry is not needed any more; only their nonces must be used.
    pub(crate) is_settling: bool,
}

impl Sender<'_> {
    /// Sends the newest attempt, and replacements as long as the pool asks for them. Whether a pool
    /// has the transaction now.
    pub(crate) fn send<T>(
        &self,
        l1: &mut impl L1Submit,
        entry: &mut Entry<T>,
        sent: &mut Sent,
    ) -> Result<bool, BatcherError> {
        entry.payload.set_proofs(self.proofs, self.prover)?;
        self.follow_market(entry)?;
        for _ in 0..=MAX_REPLACEMENTS_PER_STEP {
            let Some(attempt) = entry.attempts.last() else { return Ok(false) };
            let hash = attempt.hash;
            let outcome = match l1.send(&attempt.raw(&entry.payload)) {
                Ok(outcome) => outcome,
                Err(error) => {
                    // It may have arrived all the same.
                    entry.taken = Taken::Perhaps;
                    return Err(BatcherError::L1(error));
                }
            };
            match outcome {
                SendOutcome::Accepted => return Ok(self.accepted(entry, sent)),
                SendOutcome::AlreadyKnown => {
                    // The pool has had it for so long, and it is not included: it pays too little.
                    if entry.taken == Taken::Yes && self.is_first && self.raise(entry)? {
                        continue;
                    }
                    return Ok(self.accepted(entry, sent));
                }
                SendOutcome::ReplacementUnderpriced => {
                    entry.taken = Taken::Perhaps;
                    if !self.replace(entry)? {
                        self.wait(entry, self.policy.resubmit_after);
                        return Ok(true);
                    }
                }
                SendOutcome::Underpriced => {
                    // It offers what the market does, and this pool asks for more.
                    let is_old = self.head.block.number > entry.priced_at;
                    if is_old && !self.raise(entry)? {
                        self.wait(entry, self.policy.resubmit_after);
                    }
                    return Ok(false);
                }
                other => return self.not_taken(entry, hash, other, sent),
            }
        }
        // The pool wants still more: at the next step.
        Ok(true)
    }

    fn accepted<T>(&self, entry: &mut Entry<T>, sent: &mut Sent) -> bool {
        let nonce = entry.nonce;
        if entry.taken != Taken::No {
            sent.again += 1;
            self.metrics.resent(entry.payload.kind());
            tracing::debug!(nonce, attempts = entry.attempts.len(), "transaction sent again");
        } else {
            sent.accepted += 1;
            self.metrics.sent(entry.payload.kind(), entry.payload.bytes());
            tracing::debug!(nonce, kind = entry.payload.kind().name(), "transaction sent");
        }
        entry.taken = Taken::Yes;
        self.wait(entry, self.policy.resubmit_after);
        true
    }

    fn not_taken<T>(
        &self,
        entry: &mut Entry<T>,
        hash: B256,
        outcome: SendOutcome,
        sent: &mut Sent,
    ) -> Result<bool, BatcherError> {
        let nonce = entry.nonce;
        self.wait(entry, self.policy.resubmit_after);
        self.metrics.refused(entry.payload.kind());
        match outcome {
            SendOutcome::AlreadyReserved => {
                sent.is_reserved = true;
                if self.is_settling || entry.payload.part.is_none() {
                    self.change_kind(entry)?;
                }
                Ok(false)
            }
            SendOutcome::InsufficientFunds(reason) => {
                Err(BatcherError::InsufficientFunds { account: self.account.address, reason })
            }
            SendOutcome::PoolFull(reason) => {
                tracing::warn!(nonce, reason, "the L1 node's pool has no room");
                Ok(false)
            }
            SendOutcome::Refused(reason) => Err(BatcherError::Refused { hash, nonce, reason }),
            // The next poll finds out by what.
            _ => Ok(true),
        }
    }

    /// Makes the transaction one of the other kind that does nothing.
    fn change_kind<T>(&self, entry: &mut Entry<T>) -> Result<(), BatcherError> {
        let to = self.account.address;
        let payload = match entry.payload.kind() {
            DataKind::Blobs => Payload::calldata(to, None, Bytes::new()),
            DataKind::Calldata => {
                let sidecar = self.prover.sidecar(vec![Default::default()], self.proofs)?;
                Payload::blobs(to, None, sidecar, Call::default())
            }
        };
        let fees = self.fees.first(self.head, payload.kind());
        entry.payload = payload;
        self.offer(entry, fees)?;
        entry.send_at = Duration::ZERO;
        Ok(())
    }

    /// Offers what the market does, if it rose. A pool that evicts, refuses or forgets what pays too
    /// little may say so in any words, or say nothing.
    fn follow_market<T>(&self, entry: &mut Entry<T>) -> Result<(), BatcherError> {
        // What waits behind others and is in the pool needs no better offer yet.
        if entry.taken == Taken::Yes && !self.is_first {
            return Ok(());
        }
        let Some(last) = entry.attempts.last() else { return Ok(()) };
        match self.fees.at_market(&last.fees, self.head, entry.payload.kind()) {
            Some(fees) => self.offer(entry, fees),
            None => Ok(()),
        }
    }

    /// Offers more for what waited too long: at most once for each L1 block, since only a block shows
    /// that the last offer was not enough.
    fn raise<T>(&self, entry: &mut Entry<T>) -> Result<bool, BatcherError> {
        let Some(last) = entry.attempts.last() else { return Ok(false) };
        if self.head.block.number <= entry.priced_at {
            return Ok(false);
        }
        if !self.fees.is_worth_more(&last.fees, self.head, entry.payload.kind()) {
            tracing::warn!(
                nonce = entry.nonce,
                max_fee = last.fees.max_fee,
                max_tip = last.fees.max_tip,
                max_blob_fee = last.fees.max_blob_fee,
                "transaction waits although it offers several times what the market does"
            );
            return Ok(false);
        }
        self.replace(entry)
    }

    /// Offers more, if the policy allows it.
    fn replace<T>(&self, entry: &mut Entry<T>) -> Result<bool, BatcherError> {
        let Some(last) = entry.attempts.last() else { return Ok(false) };
        let kind = entry.payload.kind();
        let Some(fees) = self.fees.replacement(&last.fees, self.head, kind) else {
            tracing::warn!(
                nonce = entry.nonce,
                max_fee = last.fees.max_fee,
                max_blob_fee = last.fees.max_blob_fee,
                "transaction waits for fees below the most that may be paid"
            );
            self.metrics.capped();
            return Ok(false);
        };
        self.offer(entry, fees)?;
        Ok(true)
    }

    /// Signs another attempt, and remembers it and the newest ones before it.
    fn offer<T>(&self, entry: &mut Entry<T>, fees: Fees) -> Result<(), BatcherError> {
        let attempt = entry.payload.sign(self.account, entry.nonce, fees)?;
        if entry.attempts.len() >= MAX_ATTEMPTS {
            entry.attempts.remove(0);
        }
        entry.attempts.push(attempt);
        entry.priced_at = self.head.block.number;
        Ok(())
    }

    fn wait<T>(&self, entry: &mut Entry<T>, time: Duration) {
        entry.send_at = self.now.saturating_add(time);
    }
}
