//! Which slot's batch comes next.

use super::{Blocked, Poster, member};
use crate::PosterError;
use lockstep_batcher::L1Head;
use lockstep_lookahead::{Owner, Ownership, Slot};
use std::time::Duration;

/// Slots that are looked at for one that is owned, when all are empty.
const MAX_SLOTS_BACK: usize = 256;

/// What is to be posted next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The batch of this slot.
    pub(super) post: Option<(Slot, Owner)>,
    /// Nothing after the slot can be posted before its batch, which cannot be posted now.
    pub(super) blocked: Option<(Slot, Blocked)>,
}

/// Slots whose blocks are all there.
struct Due {
    /// The slot of the oldest block.
    first: Slot,
    last: Slot,
    /// The first whose blocks hold anything.
    filled: Option<Slot>,
}

impl Poster {
    /// The slot whose batch is due: the first whose blocks hold transactions; if there is none, the newest
    /// that is over, with the empty blocks of the slots before it.
    pub(super) fn plan(&mut self, head: &L1Head, now: Duration) -> Result<Plan, PosterError> {
        let Some(due) = self.due(head, now) else { return Ok(Plan::default()) };
        let current = self.union.slot_at(head.timestamp).unwrap_or_default() + 1;
        let oldest_open = current.saturating_sub(self.base.window_slots);
        let mut plan = Plan::default();
        let mut end = due.last;
        if let Some(slot) = due.filled {
            match self.judge(slot, oldest_open, now)? {
                Ok(owner) => return Ok(Plan { post: Some((slot, owner)), blocked: None }),
                Err(reason) => plan.blocked = Some((slot, reason)),
            }
            // What comes before it can be posted, and brings it no nearer to its end.
            let Some(before) = slot.checked_sub(1) else { return Ok(plan) };
            end = before;
        }
        for slot in (due.first.max(oldest_open)..=end).rev().take(MAX_SLOTS_BACK) {
            if let Ok(owner) = self.judge(slot, oldest_open, now)? {
                plan.post = Some((slot, owner));
                break;
            }
        }
        Ok(plan)
    }

    /// Whether this gateway can post the batch of a slot now.
    fn judge(
        &mut self,
        slot: Slot,
        oldest_open: Slot,
        now: Duration,
    ) -> Result<Result<Owner, Blocked>, PosterError> {
        let next_slot = self.next_slot();
        if slot < next_slot {
            return Ok(Err(Blocked::Passed { next_slot }));
        }
        if slot < oldest_open {
            return Ok(Err(Blocked::Closed { window_slots: self.base.window_slots }));
        }
        Ok(match self.owners.ownership(slot, now.as_secs())? {
            Ownership::Owned(owner) if owner.gateway == self.gateway.address => Ok(owner),
            Ownership::Owned(owner) => Err(Blocked::OfAnother(owner.gateway)),
            Ownership::Nobody => Err(Blocked::OfNobody),
            Ownership::Undecided | Ownership::Unknown => Err(Blocked::Unknown),
        })
    }

    /// The slots that are over and whose blocks are there.
    fn due(&self, head: &L1Head, now: Duration) -> Option<Due> {
        let over = self.union.slot_at(now.as_secs())?.checked_sub(1)?;
        // The inbox takes no batch of a slot that has not begun by the time of its L1 block.
        let next_l1 = self.union.slot_at(head.timestamp)?.saturating_add(1);
        let (grace, max_bytes) = (self.settings.grace, self.settings.max_member_bytes);
        let mut last = over.min(next_l1);
        for member in self.placed() {
            last = last.min(member.complete_slot(&self.union, now, grace, max_bytes)?);
        }
        let (mut first, mut filled): (Option<Slot>, Option<Slot>) = (None, None);
        let earlier = |slot: Slot, known: Option<Slot>| known.is_none_or(|known| slot < known);
        for member in self.placed() {
            let slots = member.queue().iter().map_while(|block| {
                let slot = self.union.slot_at(block.block.timestamp)?;
                (slot <= last).then_some((slot, member::is_empty(block)))
            });
            for (slot, is_empty) in slots {
                if earlier(slot, first) {
                    first = Some(slot);
                }
                if !is_empty {
                    if earlier(slot, filled) {
                        filled = Some(slot);
                    }
                    break;
                }
            }
        }
        Some(Due { first: first?, last, filled })
    }
}
