//! Which batch comes next, and what L1 says of those that were sent.

use super::{Blocked, InboxState, Poster};
use crate::{Lost, PosterError, SealedBatch, seal::Base};
use alloy_primitives::B256;
use lockstep_batcher::{DataKind, L1Head};
use lockstep_lookahead::{Ownership, Slot};
use std::{collections::BTreeMap, sync::Arc};

/// Slots before and after the current one whose owners the gateway is told: those that another gateway's batch is waited
/// for, and those that it makes blocks for while L1 does not answer.
const SLOTS_BEFORE: u64 = 16;
const SLOTS_AHEAD: u64 = 32;

/// For when the gateway was told whose slots are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Published {
    /// The slot then.
    slot: Slot,
    /// A slot that the gateway had asked for.
    asked: Option<Slot>,
}

/// Where the inbox was after an L1 block.
pub(super) struct SeenInbox {
    pub(super) number: u64,
    pub(super) head: B256,
}

impl std::fmt::Debug for SeenInbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} after block {}", self.head, self.number)
    }
}

/// For so many slots more another gateway is left to post its own batches. If both do, one pays for nothing.
const SLOTS_LEFT_TO_OTHERS: u64 = 2;

/// What became of the batch that comes next.
pub(super) enum Next {
    /// There is none, or its time has not come.
    Nothing,
    /// The batch of this slot was taken up.
    Posted(Slot),
    /// The batch of this slot cannot be posted now.
    Blocked(Slot, Blocked),
}

/// The sealed batches, and how many of them the inbox has.
pub(super) struct Chain {
    pub(super) base: Base,
    pub(super) batches: Vec<Arc<SealedBatch>>,
    /// `None` if the inbox has another batch.
    pub(super) taken: Option<usize>,
}

impl Chain {
    pub(super) fn new((base, batches): (Base, Vec<Arc<SealedBatch>>), inbox: &InboxState) -> Self {
        let newest = batches.iter().position(|batch| batch.hash == inbox.head);
        let taken = newest.map(|at| at + 1).or((base.head == inbox.head).then_some(0));
        Self { base, batches, taken }
    }

    /// Whether the inbox has a batch.
    pub(super) fn has(&self, hash: &B256) -> bool {
        self.batches.iter().take(self.taken.unwrap_or_default()).any(|batch| batch.hash == *hash)
    }
}

impl Poster {
    /// Tells the gateway whose slots are, once in each slot: a reorganisation of L1 may give those that were known to others.
    pub(super) fn publish_owners(&mut self) -> Result<(), PosterError> {
        let now_s = self.unix.as_secs();
        let Some(current) = self.union.slot_at(now_s) else { return Ok(()) };
        let asked = self.ledger.asked().filter(|slot| !self.ledger.knows_owner(*slot));
        let due = Published { slot: current, asked };
        if self.published == Some(due) {
            return Ok(());
        }
        let first = current.saturating_sub(SLOTS_BEFORE);
        let mut owners = BTreeMap::new();
        let mut outcome = Ok(());
        let unposted = self.ledger.unposted_slots();
        let earlier = unposted.into_iter().chain(asked).filter(|slot| *slot < first);
        // What is long ago is asked last: it may be known no more.
        for slot in (first..=current + SLOTS_AHEAD).rev().chain(earlier) {
            match self.owners.ownership(slot, now_s) {
                // What was known before is not asked for, and holds.
                Ok(Ownership::Unknown) => {}
                Ok(owner) => drop(owners.insert(slot, owner)),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.ledger.learn_owners(owners, first);
        if outcome.is_ok() {
            self.published = Some(due);
        }
        let (slots, oldest) = self.ledger.to_be_proven(current);
        let unproven = self.owners.secure(&slots, oldest, now_s);
        // What is not known is not secured.
        self.ledger.set_unproven(*unproven.as_ref().unwrap_or(&slots.first().copied()));
        outcome.and(unproven.map(drop))
    }

    /// Sends the next batch, if it is due.
    pub(super) fn post_next(
        &mut self,
        chain: &Chain,
        head: &L1Head,
        slot: Slot,
    ) -> Result<Next, PosterError> {
        let newest = self.posted.back().map(|posted| posted.hash);
        let at = match newest {
            Some(newest) => chain.batches.iter().position(|it| it.hash == newest).map(|at| at + 1),
            None => chain.taken,
        };
        let Some(batch) = at.max(chain.taken).and_then(|at| chain.batches.get(at)) else {
            return Ok(Next::Nothing);
        };
        // The inbox takes the batch of a slot that is over at the time of the L1 block.
        let is_of_another = self.ledger.is_of_another(batch);
        let patience = if is_of_another { SLOTS_LEFT_TO_OTHERS } else { 0 };
        let due = batch.slot.saturating_add(patience);
        if due > slot || !self.outbox.has_room(DataKind::Blobs) {
            return Ok(Next::Nothing);
        }
        let queued = self.queue(&batch.clone(), head)?;
        Ok(match queued {
            Ok(()) => Next::Posted(batch.slot),
            Err(reason) => Next::Blocked(batch.slot, reason),
        })
    }

    /// Tells the gateway which batches L1 has for good, and which it takes no more.
    pub(super) fn tell(&mut self, chain: &Chain, head: &L1Head, inbox: &InboxState, slot: Slot) {
        let Some(taken) = chain.taken else { return };
        if let Some(first) = chain.batches.get(taken)
            && first.slot.saturating_add(inbox.open_slots()) <= slot
        {
            let window_slots = inbox.open_slots();
            self.ledger.lose(first.hash, Lost::Closed { window_slots });
        }
        let number = head.block.number;
        while self.history.pop_back_if(|seen| seen.number >= number).is_some() {}
        self.history.push_back(SeenInbox { number, head: inbox.head });
        let confirmations = self.settings.outbox.submission.confirmations;
        let mut confirmed = None;
        while let Some(seen) =
            self.history.pop_front_if(|seen| seen.number.saturating_add(confirmations) <= number)
        {
            confirmed = Some(seen.head);
        }
        let at = confirmed
            .or(self.confirmed.take())
            .and_then(|hash| chain.batches.iter().take(taken).position(|batch| batch.hash == hash));
        let Some(at) = at else { return };
        let confirmed = chain.batches.iter().take(at + 1);
        let base = confirmed.fold(chain.base.clone(), |base, batch| base.after(batch));
        let is_derived = self.members.iter().all(|member| {
            let cursor = base.cursors.get(&member.chain).map_or(0, |cursor| cursor.number);
            member.safe().is_some_and(|safe| safe >= cursor)
        });
        if is_derived {
            self.ledger.confirm(base.head);
        } else {
            self.ledger.bury(base.head);
            // Later.
            self.confirmed = Some(base.head);
        }
    }
}
