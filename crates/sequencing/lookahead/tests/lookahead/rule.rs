//! Schedules, held against a model that tries all proofs that the contracts take.

use alloy_primitives::{Address, B256, FixedBytes, b256, hex};
use lockstep_lookahead::{
    Delegation, Delegations, Handover, MAX_DELEGATIONS, MAX_EPOCHS, MAX_SLOTS_PER_EPOCH, Owner,
    Ownership, RuleError, Schedule, Slot, key_root,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Proposers of epochs from the one before the first of a schedule to the one after its last, and what they delegated.
#[derive(Clone, Debug)]
struct World {
    slots_per_epoch: u64,
    first_epoch: u64,
    epochs: u64,
    /// From epoch `first_epoch - 1` on, or from 0.
    keys: Vec<B256>,
    delegated: Vec<(B256, Delegation)>,
}

impl World {
    fn first_known(&self) -> Slot {
        self.first_epoch.saturating_sub(1) * self.slots_per_epoch
    }

    fn slots(&self) -> std::ops::Range<Slot> {
        let first = self.first_epoch * self.slots_per_epoch;
        first..first + self.epochs * self.slots_per_epoch
    }

    fn key(&self, slot: Slot) -> B256 {
        self.keys[(slot - self.first_known()) as usize]
    }

    fn delegations(&self) -> Delegations {
        let mut delegations = Delegations::default();
        for (key, delegation) in &self.delegated {
            delegations.insert(*key, *delegation).unwrap();
        }
        delegations
    }

    fn schedule(&self) -> Schedule {
        let keys = self.slots().map(|slot| self.key(slot)).collect();
        Schedule::new(self.slots_per_epoch, self.first_epoch, keys, &self.delegations()).unwrap()
    }

    /// `Registry.gatewayAt`, by looking at every delegation.
    fn gateway_at(&self, key: B256, slot: Slot) -> Option<Address> {
        let holds = |(of, delegation): &&(B256, Delegation)| {
            *of == key && delegation.first_slot <= slot && slot <= delegation.last_slot
        };
        self.delegated.iter().find(holds).map(|(_, delegation)| delegation.gateway)
    }

    /// `Inbox.ownerOf`, with a proof of `count` proposers from the state of an epoch; `None` where it reverts.
    fn owner_of(&self, slot: Slot, state_epoch: u64, count: u64) -> Option<Owner> {
        let first = state_epoch * self.slots_per_epoch;
        let end = first + 2 * self.slots_per_epoch;
        if count == 0 || slot < first || slot >= end || count > end - slot {
            return None;
        }
        for i in 0..count {
            let gateway = self.gateway_at(self.key(slot + i), slot + i);
            match (gateway, i == count - 1) {
                (None, true) | (Some(_), false) => return None,
                (Some(gateway), true) => return Some(Owner { gateway, by_slot: slot + i }),
                (None, false) => {}
            }
        }
        None
    }

    /// What all proofs together say of a slot.
    fn owners(&self, slot: Slot) -> Vec<Owner> {
        let epoch = slot / self.slots_per_epoch;
        let mut owners: Vec<Owner> = Vec::new();
        for state_epoch in epoch.saturating_sub(1)..=epoch {
            for count in 0..=2 * self.slots_per_epoch {
                let owner = self.owner_of(slot, state_epoch, count);
                owners.extend(owner.filter(|owner| !owners.contains(owner)));
            }
        }
        owners
    }
}

fn world() -> impl Strategy<Value = World> {
    let spans = proptest::collection::vec((0_u64..12, 1_u64..12, 1_u8..4), 0..4);
    let shape = (1_u32..4, 0_u64..4, 1..=MAX_EPOCHS, 1_usize..12);
    (shape, proptest::collection::vec(any::<u8>(), 64), proptest::collection::vec(spans, 12))
        .prop_map(|((exponent, first_epoch, epochs, validators), choices, spans)| {
            let slots_per_epoch = 1_u64 << exponent;
            let key = |index: usize| B256::repeat_byte(index as u8 + 1);
            let known = (epochs + 2) * slots_per_epoch;
            let choice = |slot: u64| usize::from(choices[slot as usize % 64]) % validators;
            let keys = (0..known).map(|slot| key(choice(slot))).collect();
            let mut delegated = Vec::new();
            for (index, spans) in spans.iter().enumerate() {
                let mut next = first_epoch * slots_per_epoch;
                for (gap, length, gateway) in spans {
                    let (first_slot, last_slot) = (next + gap, next + gap + length - 1);
                    let gateway = Address::repeat_byte(*gateway);
                    delegated.push((key(index), Delegation { first_slot, last_slot, gateway }));
                    next = last_slot + 1;
                }
            }
            World { slots_per_epoch, first_epoch, epochs, keys, delegated }
        })
}

proptest! {
    #[test]
    fn a_schedule_says_what_every_proof_says(world in world()) {
        let schedule = world.schedule();
        let known = world.slots();
        for slot in known.clone() {
            let owners = world.owners(slot);
            prop_assert!(owners.len() <= 1, "{slot}: {owners:?}");
            let epoch_end = (slot / world.slots_per_epoch + 2) * world.slots_per_epoch;
            let of_known = owners.iter().filter(|owner| owner.by_slot < known.end);
            match schedule.ownership(slot) {
                Ownership::Owned(owner) => prop_assert_eq!(vec![owner], owners),
                Ownership::Nobody => {
                    prop_assert!(owners.is_empty(), "{slot}: {owners:?}");
                    prop_assert!(epoch_end <= known.end);
                }
                Ownership::Undecided => {
                    prop_assert_eq!(of_known.count(), 0);
                    prop_assert!(epoch_end > known.end);
                }
                Ownership::Unknown => prop_assert!(false, "{slot} is known"),
            }
            prop_assert_eq!(schedule.proposer(slot), Some(world.key(slot)));
        }
        for slot in [known.start.wrapping_sub(1), known.end, u64::MAX] {
            prop_assert_eq!(schedule.ownership(slot), Ownership::Unknown);
            prop_assert_eq!(schedule.owner(slot), None);
            prop_assert_eq!(schedule.proposer(slot), None);
        }
    }

    /// What is known of slots stays true when more epochs are known.
    #[test]
    fn further_epochs_take_nothing_back(world in world()) {
        let schedule = world.schedule();
        for epochs in 1..=world.epochs {
            let before = World { epochs, ..world.clone() }.schedule();
            prop_assert_eq!(schedule.first_revised(&before), None);
        }
    }

    #[test]
    fn what_is_revised_is_told(world in world(), place in any::<prop::sample::Index>()) {
        let slot = world.slots().start + place.index(world.slots().count()) as u64;
        let mut other = world.clone();
        other.keys[(slot - world.first_known()) as usize] = B256::repeat_byte(0xee);
        let (before, now) = (world.schedule(), other.schedule());
        let differs = |slot: &Slot| {
            before.ownership(*slot) != Ownership::Undecided
                && before.ownership(*slot) != now.ownership(*slot)
        };
        prop_assert_eq!(now.first_revised(&before), world.slots().find(differs));
    }

    #[test]
    fn turns_and_handovers_follow_from_owners(world in world(), gateway in 1_u8..4, from in 0_u64..40) {
        let schedule = world.schedule();
        let gateway = Address::repeat_byte(gateway);
        let owned = |slot: &Slot| schedule.owner(*slot).is_some_and(|owner| owner.gateway == gateway);
        let next = world.slots().filter(|slot| *slot >= from).find(|slot| owned(slot));
        prop_assert_eq!(schedule.next_owned_by(gateway, from), next);

        // Walking over the handovers gives the owner of every slot that has been decided.
        let handovers: Vec<Handover> = schedule.handovers().collect();
        let mut current = schedule.owner(world.slots().start).map(|owner| owner.gateway);
        for slot in world.slots() {
            if schedule.ownership(slot) == Ownership::Undecided {
                prop_assert!(handovers.iter().all(|handover| handover.slot < slot));
                break;
            }
            if let Some(handover) = handovers.iter().find(|handover| handover.slot == slot) {
                prop_assert_eq!(handover.from, current);
                prop_assert_ne!(handover.from, handover.to);
                current = handover.to;
            }
            prop_assert_eq!(schedule.owner(slot).map(|owner| owner.gateway), current);
        }
    }

    #[test]
    fn delegations_are_found_in_any_order_of_insertion(world in world(), rotate in 0_usize..20) {
        let mut delegations = Delegations::default();
        let count = world.delegated.len().max(1);
        let (behind, before) = world.delegated.split_at((rotate % count).min(world.delegated.len()));
        for (key, delegation) in before.iter().chain(behind) {
            delegations.insert(*key, *delegation).unwrap();
        }
        prop_assert_eq!(&delegations, &world.delegations());
        let keys: BTreeSet<B256> = world.keys.iter().copied().collect();
        for key in keys {
            for slot in 0..80 {
                prop_assert_eq!(delegations.gateway_at(&key, slot), world.gateway_at(key, slot));
            }
        }
    }
}

const KEY: B256 = B256::repeat_byte(1);
const GATEWAY: Address = Address::repeat_byte(2);

fn span(first_slot: Slot, last_slot: Slot, gateway: Address) -> Delegation {
    Delegation { first_slot, last_slot, gateway }
}

#[test]
fn the_last_slot_of_an_epoch_looks_as_far_as_the_first() {
    // Epochs 2 and 3 of four slots; the proposer of slot 15 alone opted in.
    let mut keys = vec![B256::ZERO; 8];
    keys[7] = KEY;
    let mut delegations = Delegations::default();
    delegations.insert(KEY, span(15, 15, GATEWAY)).unwrap();
    let schedule = Schedule::new(4, 2, keys, &delegations).unwrap();
    let owner = Some(Owner { gateway: GATEWAY, by_slot: 15 });
    assert!((8..16).all(|slot| schedule.owner(slot) == owner));
    assert_eq!(schedule.next_owned_by(GATEWAY, 11), Some(11));
    assert_eq!(schedule.next_owned_by(GATEWAY, 16), None);
    assert_eq!(schedule.handovers().count(), 0);

    // One epoch earlier, they are beyond the look-ahead of slots 4 to 7, and of no others.
    let mut keys = vec![B256::ZERO; 12];
    keys[11] = KEY;
    let schedule = Schedule::new(4, 1, keys, &delegations).unwrap();
    assert!((4..8).all(|slot| schedule.ownership(slot) == Ownership::Nobody));
    assert!((8..16).all(|slot| schedule.owner(slot) == owner));
    let handover = Handover { slot: 8, from: None, to: Some(GATEWAY) };
    assert_eq!(schedule.handovers().collect::<Vec<_>>(), [handover]);
}

#[test]
fn a_proposer_that_opted_in_for_other_slots_is_passed_over() {
    let mut delegations = Delegations::default();
    delegations.insert(KEY, span(9, 9, GATEWAY)).unwrap();
    delegations.insert(KEY, span(11, 20, Address::repeat_byte(3))).unwrap();
    let schedule = Schedule::new(4, 2, vec![KEY; 8], &delegations).unwrap();
    let owner = |slot| schedule.owner(slot).unwrap();
    assert_eq!(owner(8), Owner { gateway: GATEWAY, by_slot: 9 });
    assert_eq!(owner(10), Owner { gateway: Address::repeat_byte(3), by_slot: 11 });
}

#[test]
fn without_anyone_who_opted_in_slots_have_no_owner() {
    let schedule = Schedule::new(4, 0, vec![KEY; 12], &Delegations::default()).unwrap();
    for slot in 0..8 {
        assert_eq!(schedule.ownership(slot), Ownership::Nobody);
    }
    for slot in 8..12 {
        assert_eq!(schedule.ownership(slot), Ownership::Undecided);
    }
}

#[test]
fn schedules_of_other_sizes_are_refused() {
    let new = |slots_per_epoch, first_epoch, count| {
        Schedule::new(slots_per_epoch, first_epoch, vec![KEY; count], &Delegations::default())
            .map(drop)
    };
    for found in [0, 1, 3, 48, 128, u64::MAX] {
        assert_eq!(new(found, 0, 8), Err(RuleError::SlotsPerEpoch { found }));
    }
    for found in [0, 1, 7, 9, 16] {
        let error = RuleError::SlotCount { found: found as u64, slots_per_epoch: 4 };
        assert_eq!(new(4, 0, found), Err(error));
    }
    assert_eq!(new(MAX_SLOTS_PER_EPOCH, 0, 192), Ok(()));
    for found in [u64::MAX, u64::MAX / 4, u64::MAX / 4 - 1] {
        assert_eq!(new(4, found, 8), Err(RuleError::Epoch { found }));
    }
    assert_eq!(new(4, u64::MAX / 4 - 3, 8), Ok(()));
}

#[test]
fn delegations_that_no_registry_holds_are_refused() {
    let mut delegations = Delegations::default();
    delegations.insert(KEY, span(10, 20, GATEWAY)).unwrap();
    for wrong in [
        span(30, 40, Address::ZERO),
        span(30, 29, GATEWAY),
        span(20, 30, GATEWAY),
        span(5, 10, GATEWAY),
        span(12, 13, GATEWAY),
        span(5, 25, GATEWAY),
        span(10, 20, Address::repeat_byte(3)),
    ] {
        let error = delegations.insert(KEY, wrong).unwrap_err();
        assert!(matches!(error, RuleError::Delegation { .. }), "{wrong:?}: {error}");
    }
    let before = delegations.clone();
    delegations.insert(KEY, span(10, 20, GATEWAY)).unwrap();
    assert_eq!(delegations, before);
    for slot in 30..30 + MAX_DELEGATIONS as u64 - 1 {
        delegations.insert(KEY, span(slot, slot, GATEWAY)).unwrap();
    }
    let error = delegations.insert(KEY, span(0, 1, GATEWAY)).unwrap_err();
    assert_eq!(error, RuleError::DelegationCount { limit: MAX_DELEGATIONS });
}

/// Truth: the first interop validator's key and, with another implementation of SHA-256, its root.
#[test]
fn keys_are_named_by_their_roots() {
    let key = hex!(
        "a99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c"
    );
    let root = b256!("0x89e40bff069e391ca393901da3287bbe35dc429265927abe3c3f06bec8e0b9cd");
    assert_eq!(key_root(&FixedBytes::new(key)), root);
}
