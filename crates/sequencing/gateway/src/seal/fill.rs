//! Which slots may have users' transactions.

use super::{MAX_BLOCKS, Sealer, ledger::State};
use alloy_primitives::Address;
use lockstep_lookahead::{Ownership, Slot};
use metrics::gauge;

/// Batches that wait for L1, and bytes of them, before no more users' transactions are taken.
const MAX_UNPOSTED: usize = 8_192;
const MAX_UNPOSTED_BYTES: usize = 512 << 20;

/// Batches that L1 has for good and that a rollup has not derived, before no more users' transactions are taken: nine days, with
/// slots of 12 seconds.
const MAX_UNDERIVED: usize = 65_536;

/// Slots without a batch between the inbox's newest one and a slot, about which it is asked who owns them.
const MAX_GAP: u64 = 128;

/// For so many slots it may take until what proves the owner of a slot is kept. Beacon nodes have its state for longer.
const MAX_UNPROVEN_SLOTS: u64 = 16;

/// Why a slot gets no users' transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// It is not known yet what L1 has.
    #[error("it is not known yet what L1 has")]
    Unsettled,
    /// The slot is another gateway's.
    #[error("the slot is another gateway's")]
    OfAnother,
    /// The slot is nobody's.
    #[error("the slot is nobody's")]
    OfNobody,
    /// Who owns the slot is not known.
    #[error("it is not known whose slot it is")]
    Unknown,
    /// The slot has a batch, or a later one has.
    #[error("the slot has its batch")]
    Sealed,
    /// The blocks of a slot before could not be sealed yet.
    #[error("a slot before has no batch yet")]
    Unsealed,
    /// The slot is left to the blocks of a rollup that come late for the sequencing window.
    #[error("the slot is left to a rollup whose blocks come late")]
    Late,
    /// Another gateway may still post the batch of a slot before.
    #[error("another gateway's batch of a slot before may still come")]
    Awaiting,
    /// L1 has taken no batch for half of the time for which the inbox would, or too many wait.
    #[error("L1 does not take the batches of slots before")]
    Unposted,
    /// A rollup's node has not derived what L1 has had for days, so that nothing of it can be forgotten.
    #[error("a rollup's node does not derive what L1 has")]
    Underived,
    /// Nothing is kept yet that proves who owns a slot before, whose batch L1 does not have.
    #[error("the owner of a slot before cannot be proven to L1")]
    Unproven,
    /// The poster cannot post, and an operator must mend that.
    #[error("posting fails for good")]
    Failing,
    /// A block was not what others will find. Report it, and start the gateway anew.
    #[error("a block that was made here is not what others will find")]
    NotReproduced,
}

impl Sealer {
    /// Whether the blocks of a slot may have users' transactions: the slot is this gateway's, its batch can be made and
    /// posted, and no other batch can come between.
    ///
    /// # Errors
    /// Why they may not.
    pub fn may_fill(&mut self, slot: Slot) -> Result<(), Closed> {
        let ledger = self.ledger.clone();
        let outcome = ledger.with(|state| self.judge(state, slot));
        let closed = outcome.err();
        if closed != self.closed {
            gauge!("lockstep_gateway_open").set(f64::from(u8::from(closed.is_none())));
            match closed {
                Some(
                    reason @ (Closed::Unsealed
                    | Closed::Unknown
                    | Closed::Unposted
                    | Closed::Underived
                    | Closed::Unproven
                    | Closed::Failing
                    | Closed::NotReproduced),
                ) => {
                    tracing::warn!(target: "lockstep_gateway", slot, %reason, "takes no users' transactions");
                }
                Some(reason) => {
                    tracing::debug!(target: "lockstep_gateway", slot, %reason, "takes no users' transactions");
                }
                None => {
                    tracing::info!(target: "lockstep_gateway", slot, "takes users' transactions");
                }
            }
            self.closed = closed;
        }
        outcome
    }

    /// Whose a slot is; `None` if that is not known.
    pub(crate) fn owner(&self, slot: Slot) -> Option<Option<Address>> {
        self.ledger.with(|state| state.owner(slot))
    }

    /// Whether a slot has its batch, or can have none since a later one has.
    pub(crate) fn has_batch(&self, slot: Slot) -> bool {
        self.ledger.with(|state| state.tip.as_ref().is_some_and(|tip| slot < tip.next_slot))
    }

    fn judge(&self, state: &State, slot: Slot) -> Result<(), Closed> {
        let (Some(tip), Some(seen)) = (&state.tip, &state.seen) else {
            return Err(Closed::Unsettled);
        };
        if state.proposed.is_some() || state.is_doubtful || !self.is_scanned {
            return Err(Closed::Unsettled);
        }
        if state.failure.is_some() {
            return Err(Closed::Failing);
        }
        if self.distrust.is_closed() {
            return Err(Closed::NotReproduced);
        }
        match state.owners.get(&slot) {
            Some(Ownership::Owned(owner)) if owner.gateway == self.key.address => {}
            Some(Ownership::Owned(_)) => return Err(Closed::OfAnother),
            Some(Ownership::Nobody) => return Err(Closed::OfNobody),
            Some(Ownership::Undecided | Ownership::Unknown) | None => return Err(Closed::Unknown),
        }
        if slot < tip.next_slot || self.signed_up_to.is_some_and(|signed| slot <= signed) {
            return Err(Closed::Sealed);
        }
        if self.first_filled().is_some_and(|filled| filled < slot)
            || (!self.is_for_late(slot) && self.backlog(slot) > MAX_BLOCKS / 2)
        {
            return Err(Closed::Unsealed);
        }
        if self.is_for_late(slot) || self.awaits_late(state) {
            return Err(Closed::Late);
        }
        if state.unproven.is_some_and(|first| slot.saturating_sub(first) > MAX_UNPROVEN_SLOTS) {
            return Err(Closed::Unproven);
        }
        let posted = state.posted();
        if posted > MAX_UNDERIVED {
            return Err(Closed::Underived);
        }
        let unposted: Vec<_> = state.batches.iter().skip(posted).collect();
        let bytes: usize = unposted.iter().map(|batch| batch.bytes()).sum();
        let oldest = unposted.iter().find(|batch| batch.is_filled).map_or(slot, |it| it.slot);
        let is_late = slot.saturating_sub(oldest) > seen.inbox.open_slots() / 2;
        if is_late || unposted.len() > MAX_UNPOSTED || bytes > MAX_UNPOSTED_BYTES {
            return Err(Closed::Unposted);
        }
        if self.awaits_another(state, seen.inbox.next_slot, slot) {
            return Err(Closed::Awaiting);
        }
        Ok(())
    }

    /// Whether a slot from `first` on, and before `slot`, may still get a batch that is not in the ledger.
    pub(super) fn awaits_another(&self, state: &State, first: Slot, slot: Slot) -> bool {
        let mut batches = state.batches.iter().map(|batch| batch.slot).peekable();
        let mut asked = 0;
        for other in first..slot {
            while batches.next_if(|batch| *batch < other).is_some() {}
            if batches.next_if_eq(&other).is_some() {
                continue;
            }
            asked += 1;
            let is_mine = |owner: Option<Address>| owner.is_none_or(|it| it == self.key.address);
            if asked > MAX_GAP || !state.owner(other).is_some_and(is_mine) {
                return true;
            }
        }
        false
    }
}
