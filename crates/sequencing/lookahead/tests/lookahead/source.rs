//! A source that follows nodes.

use crate::world::{Followed, REGISTRY, SLOTS_PER_EPOCH, World, root_of, time};
use alloy_primitives::{Address, B256};
use lockstep_derive::Severity;
use lockstep_lookahead::{Change, Delegation, LookaheadError, Ownership, Slot};
use lockstep_providers::ClientError;
use serde_json::{Value, json};

const GATEWAY: Address = Address::repeat_byte(0xa1);
const OTHER: Address = Address::repeat_byte(0xa2);

fn delegated(
    validator: u64,
    first_slot: Slot,
    last_slot: Slot,
    gateway: Address,
) -> (B256, Delegation) {
    (root_of(validator), Delegation { first_slot, last_slot, gateway })
}

/// A chain up to a slot; two of six validators opted in from slot 18 on.
fn chain(head: Slot) -> World {
    let mut world = World::new();
    world.record(1, &[delegated(0, 18, 400, GATEWAY), delegated(3, 20, 400, OTHER)]);
    world.mine_to(head, 0);
    world
}

impl Followed {
    fn refresh_at_head(&mut self) -> Change {
        let slot = self.world.lock().head_slot();
        self.source.refresh(time(slot)).unwrap()
    }

    /// The schedule says what the rule says of the world as it is.
    fn assert_true(&self) {
        let schedule = self.source.schedule().unwrap();
        let (world, slots) = (self.world.lock(), schedule.slots());
        for slot in slots.clone() {
            assert_eq!(schedule.proposer(slot), Some(root_of(world.proposer(slot))), "{slot}");
            assert_eq!(schedule.owner(slot), world.owner(slot, slots.end), "{slot}");
        }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.world.lock().asked)
    }
}

#[test]
fn a_schedule_is_of_the_epoch_and_the_next_and_then_of_the_one_before_too() {
    let mut followed = Followed::new(chain(27));
    assert!(followed.source.schedule().is_none());
    assert_eq!(followed.refresh_at_head(), Change::Extended);
    assert_eq!(followed.source.schedule().unwrap().slots(), 24..40);
    followed.assert_true();
    let owned = (24..40).filter(|slot| followed.source.schedule().unwrap().owner(*slot).is_some());
    assert!(owned.count() > 8, "the world is no test");

    followed.world.lock().mine_to(32, 0);
    assert_eq!(followed.refresh_at_head(), Change::Extended);
    assert_eq!(followed.source.schedule().unwrap().slots(), 24..48);
    followed.assert_true();
    followed.world.lock().mine_to(40, 0);
    assert_eq!(followed.refresh_at_head(), Change::Extended);
    assert_eq!(followed.source.schedule().unwrap().slots(), 32..56);
    followed.assert_true();
    // An epoch that was not seen is not there.
    followed.world.lock().mine_to(60, 0);
    followed.refresh_at_head();
    assert_eq!(followed.source.schedule().unwrap().slots(), 56..72);
    followed.assert_true();
}

#[test]
fn within_an_epoch_the_beacon_node_alone_is_asked() {
    let mut followed = Followed::new(chain(25));
    followed.refresh_at_head();
    followed.asked();
    for slot in 26..32 {
        followed.world.lock().mine(slot, 0);
        assert_eq!(followed.refresh_at_head(), Change::None);
        let asked = followed.asked();
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert!(asked.iter().all(|path| path.contains("/duties/")), "{asked:?}");
    }
}

#[test]
fn missed_slots_change_nothing() {
    let mut followed = Followed::new(chain(25));
    followed.refresh_at_head();
    let before = followed.source.schedule().cloned();
    for slot in 26..32 {
        if slot == 29 {
            followed.world.lock().mine(slot, 0);
        }
        assert_eq!(followed.source.refresh(time(slot)).unwrap(), Change::None);
    }
    assert_eq!(followed.source.schedule(), before.as_ref());
    // A whole epoch without a block: the L1's head is from before it.
    assert_eq!(followed.source.refresh(time(33)).unwrap(), Change::Extended);
    followed.assert_true();
    let before = followed.source.schedule().cloned();
    assert_eq!(followed.source.refresh(time(39)).unwrap(), Change::None);
    assert_eq!(followed.source.schedule(), before.as_ref());
    // The first blocks after that change nothing either.
    followed.world.lock().mine(39, 0);
    assert_eq!(followed.source.refresh(time(39)).unwrap(), Change::None);
    assert_eq!(followed.source.schedule(), before.as_ref());
    followed.assert_true();
}

#[test]
fn a_reorganisation_within_an_epoch_changes_nothing() {
    let mut followed = Followed::new(chain(31));
    followed.refresh_at_head();
    let before = followed.source.schedule().cloned();
    followed.world.lock().unwind(25);
    followed.world.lock().mine_to(31, 1);
    assert_eq!(followed.refresh_at_head(), Change::None);
    assert_eq!(followed.source.schedule(), before.as_ref());
}

#[test]
fn a_reorganisation_over_the_beginning_of_an_epoch_replaces_the_schedule() {
    let mut replaced = 0;
    for salt in 1..10 {
        let mut followed = Followed::new(chain(31));
        followed.refresh_at_head();
        followed.world.lock().mine_to(34, 0);
        followed.refresh_at_head();
        let before = followed.source.schedule().unwrap().clone();
        // The last block before slot 32 is another now: it decides who proposes from slot 40 on.
        followed.world.lock().unwind(31);
        followed.world.lock().mine_to(35, salt);
        let change = followed.refresh_at_head();
        followed.assert_true();
        let after = followed.source.schedule().unwrap();
        // The epoch before begins with the same block as ever.
        assert_eq!(after.slots(), 24..48);
        let differs = |slot: &Slot| {
            before.ownership(*slot) != Ownership::Undecided
                && before.ownership(*slot) != after.ownership(*slot)
        };
        match (24..48).find(differs) {
            Some(from) => assert_eq!(change, Change::Replaced { from }),
            None => assert_eq!(change, Change::None),
        }
        replaced += usize::from(change != Change::None);
        // Two epochs deep, and the epoch before is not what it was.
        followed.world.lock().unwind(23);
        followed.world.lock().mine_to(36, salt);
        followed.refresh_at_head();
        assert_eq!(followed.source.schedule().unwrap().slots(), 32..48);
        followed.assert_true();
    }
    assert!(replaced > 3, "only {replaced} of 9 reorganisations changed an owner");
}

#[test]
fn a_delegation_of_a_block_that_was_taken_back_does_not_count() {
    let mut world = World::new();
    world.mine_to(30, 0);
    world.record(
        31,
        &[(0..6).map(|validator| delegated(validator, 47, 400, GATEWAY)).collect::<Vec<_>>()]
            .concat(),
    );
    world.mine_to(40, 0);
    let mut followed = Followed::new(world);
    followed.refresh_at_head();
    let owner = |followed: &Followed| followed.source.schedule().unwrap().ownership(47);
    assert!(matches!(owner(&followed), Ownership::Owned(owner) if owner.by_slot == 47));
    followed.world.lock().unwind(31);
    followed.world.lock().mine_to(41, 1);
    assert_eq!(followed.refresh_at_head(), Change::Replaced { from: 40 });
    assert_eq!(owner(&followed), Ownership::Nobody);
}

#[test]
fn nodes_of_different_chains_are_not_mixed() {
    let mut followed = Followed::new(chain(31));
    followed.refresh_at_head();
    let before = followed.source.schedule().cloned();
    let mut other = followed.world.lock().clone();
    other.unwind(30);
    other.mine_to(35, 1);
    followed.world.lock().mine_to(35, 0);
    followed.world.lock().other_l1 = Some(Box::new(other));
    let error = followed.source.refresh(time(35)).unwrap_err();
    assert!(matches!(error, LookaheadError::ChainsDiffer { .. }), "{error}");
    assert_eq!(error.severity(), Severity::Temporary);
    assert_eq!(followed.source.schedule(), before.as_ref());
    followed.world.lock().other_l1 = None;
    assert_eq!(followed.source.refresh(time(35)).unwrap(), Change::Extended);
    followed.assert_true();
}

#[test]
fn an_l1_node_that_is_behind_is_asked_again_until_it_is_not() {
    let mut world = World::new();
    world.mine_to(30, 0);
    let all: Vec<_> = (0..6).map(|validator| delegated(validator, 47, 400, GATEWAY)).collect();
    world.record(31, &all);
    world.mine_to(33, 0);
    world.l1_is_behind = 3;
    let mut followed = Followed::new(world);
    followed.refresh_at_head();
    assert_eq!(followed.source.schedule().unwrap().owner(47), None);
    assert_eq!(followed.refresh_at_head(), Change::None);
    followed.world.lock().l1_is_behind = 1;
    followed.refresh_at_head();
    followed.assert_true();
    assert!(followed.source.schedule().unwrap().owner(47).is_some());
}

#[test]
fn a_node_without_duties_of_fulu_is_enough_for_the_epoch_and_the_next() {
    let mut world = chain(27);
    world.knows_fulu_duties = false;
    let mut followed = Followed::new(world);
    followed.refresh_at_head();
    assert_eq!(followed.source.schedule().unwrap().slots(), 24..40);
    followed.world.lock().mine_to(32, 0);
    assert_eq!(followed.refresh_at_head(), Change::Extended);
    assert_eq!(followed.source.schedule().unwrap().slots(), 32..48);
    followed.assert_true();
}

#[test]
fn duties_that_cannot_be_are_refused() {
    let wrong: [fn(&mut Value); 9] = [
        |answer| answer["data"] = json!([]),
        |answer| drop(answer["data"].as_array_mut().unwrap().pop()),
        |answer| answer["data"][0] = answer["data"][1].clone(),
        |answer| answer["data"][0]["slot"] = json!("23"),
        |answer| answer["data"][0]["slot"] = json!("18446744073709551615"),
        |answer| answer["data"][0]["slot"] = json!("+24"),
        |answer| answer["data"][0]["pubkey"] = json!("0x00"),
        |answer| answer["dependent_root"] = Value::Null,
        |answer| answer["data"] = json!(vec![answer["data"][0].clone(); 65]),
    ];
    for tamper in wrong {
        let mut followed = Followed::new(chain(27));
        followed.refresh_at_head();
        let before = followed.source.schedule().cloned();
        followed.world.lock().tamper_duties = tamper;
        let error = followed.source.refresh(time(27)).unwrap_err();
        assert!(
            matches!(
                error,
                LookaheadError::Duties { .. }
                    | LookaheadError::Client(ClientError::Malformed { .. })
            ),
            "{error}"
        );
        assert_eq!(error.severity(), Severity::Temporary);
        assert_eq!(followed.source.schedule(), before.as_ref());
    }
}

#[test]
fn a_registry_is_read_with_proofs() {
    let wrong: [fn(&mut Value); 4] = [
        |proof| proof["storageProof"][0]["value"] = json!("0x7"),
        |proof| {
            for slot in proof["storageProof"].as_array_mut().unwrap() {
                slot["value"] = json!("0x0");
            }
        },
        |proof| proof["storageProof"][1]["proof"] = json!([]),
        |proof| drop(proof["storageProof"].as_array_mut().unwrap().pop()),
    ];
    for tamper in wrong {
        let mut world = chain(27);
        world.tamper_proof = tamper;
        let error = Followed::new(world).source.refresh(time(27)).unwrap_err();
        let is_untrue = matches!(error, LookaheadError::Client(ClientError::Untrue { .. }));
        assert!(is_untrue, "{error}");
    }
    let mut world = World::new();
    world.has_registry = false;
    world.mine_to(27, 0);
    world.unwind(1);
    world.mine_to(27, 0);
    let error = Followed::new(world).source.refresh(time(27)).unwrap_err();
    assert!(
        matches!(error, LookaheadError::NoRegistry { address, .. } if address == REGISTRY),
        "{error}"
    );
    assert_eq!(error.severity(), Severity::Critical);
}

#[test]
fn long_lists_of_delegations_are_searched_not_read() {
    let mut world = World::new();
    // Every slot from 18 on, by turns, and no slot whose number 7 divides.
    let gateway = |slot: Slot| if slot.is_multiple_of(2) { GATEWAY } else { OTHER };
    let delegations: Vec<_> = (0..6)
        .flat_map(|validator| (18..700).map(move |slot| (validator, slot)))
        .filter(|(_, slot)| slot % 7 != 0)
        .map(|(validator, slot)| delegated(validator, slot, slot, gateway(slot)))
        .collect();
    world.record(1, &delegations);
    world.mine_to(27, 0);
    let mut followed = Followed::new(world);
    followed.refresh_at_head();
    followed.assert_true();
    let proofs = followed.asked().iter().filter(|method| *method == "eth_getProof").count();
    assert!((3..=12).contains(&proofs), "{proofs} round trips");
    let schedule = followed.source.schedule().unwrap();
    assert_eq!(schedule.owner(26).unwrap().by_slot, 26);
    assert_eq!(schedule.owner(28).unwrap().by_slot, 29);
}

#[test]
fn a_head_long_after_the_given_time_is_no_head_to_go_by() {
    let mut followed = Followed::new(chain(60));
    let error = followed.source.refresh(time(30)).unwrap_err();
    assert!(matches!(error, LookaheadError::HeadAhead { head: 60, epoch: 3 }), "{error}");
    assert!(followed.source.refresh(time(0) - 1).is_err());
    assert_eq!(SLOTS_PER_EPOCH, 8);
}

#[test]
fn the_first_epochs_of_a_chain_have_schedules() {
    let mut followed = Followed::new(World::new());
    assert_eq!(followed.refresh_at_head(), Change::Extended);
    assert_eq!(followed.source.schedule().unwrap().slots(), 0..16);
    for slot in 1..30 {
        followed.world.lock().mine(slot, 0);
        followed.refresh_at_head();
        followed.assert_true();
    }
    assert_eq!(followed.source.schedule().unwrap().slots(), 16..40);
}
