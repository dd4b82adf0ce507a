//! A transaction on its way into L1, and what became of its nonce.

use crate::{
    BatcherError, Inclusion, L1Head, L1Submit,
    transaction::{Attempt, Payload},
};
use std::time::Duration;

/// What became of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceState {
    /// Not used on L1.
    Pending,
    /// Used by one of our attempts.
    Included(Inclusion),
    /// Used by a transaction that is none of our attempts.
    Superseded,
}

/// Whether a pool has the newest attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// No attempt was ever sent with success.
    No,
    /// The answer was lost, or a reorg brought the transaction back.
    Perhaps,
    /// The pool said so.
    Yes,
}

/// A transaction of which some attempt will use the nonce.
#[derive(Debug)]
pub struct Entry<T> {
    pub(crate) nonce: u64,
    pub(crate) state: NonceState,
    pub(crate) payload: Payload<T>,
    pub(crate) attempts: Vec<Attempt>,
    /// The number of the newest L1 block when the newest attempt was priced.
    pub(crate) priced_at: u64,
    /// When the newest attempt is sent (again).
    pub(crate) send_at: Duration,
    pub(crate) taken: Taken,
    /// Since which L1 block the nonce is used, and by none of the attempts.
    pub(crate) doubted_since: Option<u64>,
}

impl<T> Entry<T> {
    /// Its nonce.
    pub const fn nonce(&self) -> u64 {
        self.nonce
    }

    /// What became of the nonce.
    pub const fn state(&self) -> NonceState {
        self.state
    }

    /// What it carries; nothing if it only uses up a nonce.
    pub const fn carried(&self) -> Option<&T> {
        self.payload.part.as_ref()
    }

    /// Whether it waits for inclusion.
    pub fn is_pending(&self) -> bool {
        self.state == NonceState::Pending
    }

    /// Where it is included.
    pub const fn inclusion(&self) -> Option<&Inclusion> {
        match &self.state {
            NonceState::Included(inclusion) => Some(inclusion),
            NonceState::Pending | NonceState::Superseded => None,
        }
    }

    pub(crate) fn new(nonce: u64, payload: Payload<T>, attempt: Attempt, head: &L1Head) -> Self {
        Self {
            nonce,
            state: NonceState::Pending,
            payload,
            attempts: vec![attempt],
            priced_at: head.block.number,
            send_at: Duration::ZERO,
            taken: Taken::No,
            doubted_since: None,
        }
    }

    /// The nonce is used: by what was found, or not by us if that lasts.
    pub(crate) fn learn(&mut self, found: Option<Inclusion>, l1_number: u64, doubt_blocks: u64) {
        if let Some(inclusion) = found {
            self.state = NonceState::Included(inclusion);
            self.doubted_since = None;
            return;
        }
        if self.state != NonceState::Superseded {
            self.state = NonceState::Pending;
        }
        let since = *self.doubted_since.get_or_insert(l1_number);
        if l1_number >= since.saturating_add(doubt_blocks) {
            self.state = NonceState::Superseded;
        }
    }

    /// Where one of its attempts is included, if one is.
    pub(crate) fn find(&self, l1: &mut impl L1Submit) -> Result<Option<Inclusion>, BatcherError> {
        for attempt in self.attempts.iter().rev() {
            if let Some(inclusion) = l1.inclusion(attempt.hash).map_err(BatcherError::L1)? {
                return Ok(Some(inclusion));
            }
        }
        Ok(None)
    }

    /// Logs where it is included.
    pub(crate) fn report(&self, inclusion: &Inclusion) {
        let Inclusion { block, succeeded, fee } = inclusion;
        let (nonce, kind) = (self.nonce, self.payload.kind().name());
        if *succeeded {
            tracing::info!(nonce, kind, l1_block = block.number, fee, "transaction included");
        } else {
            tracing::warn!(
                nonce,
                kind,
                l1_block = block.number,
                fee,
                "transaction failed on L1: the inbox is a contract, and refused it"
            );
        }
    }
}
