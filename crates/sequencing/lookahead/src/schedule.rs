//! Who owns which slot.

use crate::{Delegations, RuleError};
use alloy_primitives::{Address, B256};
use std::ops::Range;

/// A slot of L1, counted from the beacon chain's genesis.
pub type Slot = u64;

/// The most slots of an epoch (`Lookahead.MAX_SLOTS_PER_EPOCH`).
pub const MAX_SLOTS_PER_EPOCH: u64 = 64;

/// The most epochs of a schedule: one that is past, the current one and the next.
pub const MAX_EPOCHS: u64 = 3;

/// Who owns a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Who orders the union's transactions in the slot, and signs its batch.
    pub gateway: Address,
    /// The slot by whose proposer it owns the slot: the slot itself, or the first after it whose proposer opted in.
    pub by_slot: Slot,
}

/// What a [`Schedule`] says of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It has an owner. No later schedule of the same chain will say otherwise.
    Owned(Owner),
    /// It has no owner, and will have none: no proposer opted in, as far as a look-ahead goes.
    Nobody,
    /// None of the proposers that are known opted in, and those who decide are not all known yet.
    Undecided,
    /// It is none of the schedule's slots.
    Unknown,
}

/// A slot at which control passes to another gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The first slot of who comes.
    pub slot: Slot,
    /// Who owned the slot before; nobody if it had no owner.
    pub from: Option<Address>,
    /// Who owns the slot; nobody if it has no owner.
    pub to: Option<Address>,
}

/// Who owns the slots of some consecutive epochs.
///
/// The rule is that of `Inbox.ownerOf` with proofs of all beacon states that can be given: a slot belongs to the gateway
/// of its proposer; if that one did not opt in, to the gateway of the next proposer that did, up to the end of the epoch
/// after the slot's; else to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    slots_per_epoch: u64,
    slots: Range<Slot>,
    /// The roots of the proposers' keys, one for each slot.
    keys: Vec<B256>,
    /// One for each slot.
    owners: Vec<Ownership>,
}

impl Schedule {
    /// The schedule of the epochs from `first_epoch` on, given the root of the key of each slot's proposer.
    ///
    /// # Errors
    /// If epochs are not of two to [`MAX_SLOTS_PER_EPOCH`] slots and a power of two, as `Lookahead` wants; if the keys are
    /// not those of one to [`MAX_EPOCHS`] whole epochs; if the last slot is beyond 64 bits.
    pub fn new(
        slots_per_epoch: u64,
        first_epoch: u64,
        keys: Vec<B256>,
        delegations: &Delegations,
    ) -> Result<Self, RuleError> {
        check_epoch_length(slots_per_epoch)?;
        let count = keys.len() as u64;
        let epochs = count / slots_per_epoch;
        if !count.is_multiple_of(slots_per_epoch) || !(1..=MAX_EPOCHS).contains(&epochs) {
            return Err(RuleError::SlotCount { found: count, slots_per_epoch });
        }
        // The look-ahead of the last slot goes one epoch further.
        let end = first_epoch.checked_add(epochs + 1);
        if end.and_then(|end| end.checked_mul(slots_per_epoch)).is_none() {
            return Err(RuleError::Epoch { found: first_epoch });
        }
        let first = first_epoch * slots_per_epoch;
        let slots = first..first + count;
        let gateways: Vec<Option<Address>> =
            slots.clone().zip(&keys).map(|(slot, key)| delegations.gateway_at(key, slot)).collect();
        let owners = owners(slots_per_epoch, &slots, &gateways);
        Ok(Self { slots_per_epoch, slots, keys, owners })
    }

    /// The slots of an epoch.
    pub const fn slots_per_epoch(&self) -> u64 {
        self.slots_per_epoch
    }

    /// The slots of the schedule.
    pub fn slots(&self) -> Range<Slot> {
        self.slots.clone()
    }

    /// The root of the key of who proposes `slot`; `None` outside the schedule.
    pub fn proposer(&self, slot: Slot) -> Option<B256> {
        self.keys.get(self.place(slot)?).copied()
    }

    /// What is known of a slot's owner.
    pub fn ownership(&self, slot: Slot) -> Ownership {
        let owner = self.place(slot).and_then(|place| self.owners.get(place));
        owner.copied().unwrap_or(Ownership::Unknown)
    }

    /// Who owns `slot`; `None` if nobody does, or it is not known ([`Self::ownership`] tells which).
    pub fn owner(&self, slot: Slot) -> Option<Owner> {
        match self.ownership(slot) {
            Ownership::Owned(owner) => Some(owner),
            Ownership::Nobody | Ownership::Undecided | Ownership::Unknown => None,
        }
    }

    /// The first slot from `from` on that belongs to this gateway.
    pub fn next_owned_by(&self, gateway: Address, from: Slot) -> Option<Slot> {
        let slots = from.max(self.slots.start)..self.slots.end;
        slots
            .into_iter()
            .find(|slot| self.owner(*slot).is_some_and(|owner| owner.gateway == gateway))
    }

    /// The slots whose owner is another than that of the slot before, in order, as far as owners are known.
    pub fn handovers(&self) -> impl Iterator<Item = Handover> {
        let decided = self.slots().map(|slot| (slot, self.ownership(slot)));
        let decided = decided.take_while(|(_, owner)| *owner != Ownership::Undecided);
        let mut before = None;
        decided.filter_map(move |(slot, _)| {
            let to = self.owner(slot).map(|owner| owner.gateway);
            let from = before.replace(to)?;
            (from != to).then_some(Handover { slot, from, to })
        })
    }

    /// The first slot of both schedules that `before` knew who owns, and of which this one says otherwise.
    pub fn first_revised(&self, before: &Self) -> Option<Slot> {
        self.slots().find(|slot| match before.ownership(*slot) {
            Ownership::Undecided | Ownership::Unknown => false,
            known => known != self.ownership(*slot),
        })
    }

    fn place(&self, slot: Slot) -> Option<usize> {
        self.slots.contains(&slot).then(|| (slot - self.slots.start) as usize)
    }
}

/// What `Lookahead` wants: two epochs fill a full tree of chunks.
pub(crate) fn check_epoch_length(slots_per_epoch: u64) -> Result<(), RuleError> {
    let fits = (2..=MAX_SLOTS_PER_EPOCH).contains(&slots_per_epoch);
    if fits && slots_per_epoch.is_power_of_two() {
        return Ok(());
    }
    Err(RuleError::SlotsPerEpoch { found: slots_per_epoch })
}

/// The owner of each slot, of whose proposers the gateways are given.
fn owners(
    slots_per_epoch: u64,
    slots: &Range<Slot>,
    gateways: &[Option<Address>],
) -> Vec<Ownership> {
    let mut owners = vec![Ownership::Undecided; gateways.len()];
    let mut next: Option<Owner> = None;
    for (index, (gateway, place)) in gateways.iter().zip(&mut owners).enumerate().rev() {
        let slot = slots.start + index as u64;
        if let Some(gateway) = *gateway {
            next = Some(Owner { gateway, by_slot: slot });
        }
        // The newest state that proves this slot's proposer is of its epoch, and ends with the next one.
        let end = (slot / slots_per_epoch + 2) * slots_per_epoch;
        *place = match next {
            Some(owner) if owner.by_slot < end => Ownership::Owned(owner),
            _ if end <= slots.end => Ownership::Nobody,
            _ => Ownership::Undecided,
        };
    }
    owners
}
