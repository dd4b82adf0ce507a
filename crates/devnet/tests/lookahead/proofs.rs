//! What source and prover say, and what the contracts answer.

use crate::scene::Scene;
use alloy_primitives::{Address, B256, keccak256};
use lockstep_devnet::{
    beacon::Preset,
    ssz::{Ssz, is_valid_branch},
};
use lockstep_gateway::SlotOwners;
use lockstep_lookahead::{
    Anchor, Layout, LookaheadError, Owner, Ownership, Proof, ProofError, ProvenState, StateError,
    key_root,
};
use lockstep_providers::ClientError;
use proptest::{prelude::*, sample::Index};

fn anchor(scene: &mut Scene) -> Anchor {
    let block = scene.next_l1_block();
    scene.prover(|_, body| body).anchor(&block).unwrap()
}

#[test]
fn owners_are_those_that_the_inbox_finds() {
    for (preset, slots, share) in
        [(&Preset::MINIMAL, 29, 4), (&Preset::MINIMAL, 40, 11), (&Preset::MAINNET, 75, 5)]
    {
        let mut scene = Scene::new(preset, slots, share);
        let now = scene.l1.time(scene.head_slot());
        let mut source = scene.source();
        source.refresh(now).unwrap();
        let schedule = source.schedule().unwrap().clone();
        let anchor = anchor(&mut scene);
        assert_eq!(anchor.slots(), schedule.slots());
        let end = schedule.slots().end;
        let (mut owned, mut passed_over) = (0, 0);
        for slot in schedule.slots() {
            let whole = anchor.prove(slot..=end - 1).unwrap();
            match schedule.ownership(slot) {
                Ownership::Owned(owner) => {
                    let proof = anchor.prove(slot..=owner.by_slot).unwrap();
                    assert_eq!(scene.l1.owner_of(slot, &proof), Some(owner), "{slot}");
                    // Neither fewer proposers show it nor more.
                    if owner.by_slot > slot {
                        let proof = anchor.prove(slot..=owner.by_slot - 1).unwrap();
                        assert_eq!(scene.l1.owner_of(slot, &proof), None, "{slot}");
                        passed_over += 1;
                    }
                    if owner.by_slot < end - 1 {
                        assert_eq!(scene.l1.owner_of(slot, &whole), None, "{slot}");
                    }
                    owned += 1;
                }
                Ownership::Nobody | Ownership::Undecided => {
                    for last in slot..end {
                        let proof = anchor.prove(slot..=last).unwrap();
                        assert_eq!(scene.l1.owner_of(slot, &proof), None, "{slot}");
                    }
                }
                Ownership::Unknown => panic!("{slot} is of the schedule"),
            }
            let key = schedule.proposer(slot).unwrap();
            let by_itself = schedule.owner(slot).filter(|owner| owner.by_slot == slot);
            let gateway = by_itself.map(|owner| owner.gateway);
            assert_eq!(scene.l1.gateway_at(key, slot), gateway, "{slot}");
        }
        assert!(owned > 3 && passed_over > 1, "{}: {owned}, {passed_over}", preset.name);
    }
}

/// The owners of slots that are over, as who posts their batches must prove them, also after a restart that was epochs later.
#[test]
fn a_poster_proves_the_owners_of_past_slots() {
    for (preset, slots, share) in [(&Preset::MINIMAL, 29, 4), (&Preset::MAINNET, 105, 5)] {
        let mut scene = Scene::new(preset, slots, share);
        let head = scene.head_slot();
        let now = scene.l1.time(head);
        let mut owners = scene.owners();
        scene.keep_beacon_roots();
        let (mut proven, mut before_schedule) = (0, 0);
        let epoch = |slot: u64| slot / preset.slots_per_epoch;
        for slot in (2 * preset.slots_per_epoch..=head).rev() {
            let Ownership::Owned(owner) = owners.ownership(slot, now).unwrap() else { continue };
            let proof = owners.prove(slot, owner).unwrap().expect("L1 has blocks of the epoch");
            assert_eq!(scene.l1.owner_of(slot, &proof), Some(owner), "{slot}");
            proven += 1;
            before_schedule += usize::from(epoch(slot) < epoch(head));
        }
        assert!(proven > 5 && before_schedule > 3, "{}: {proven}", preset.name);
        // A slot whose epoch has no L1 block yet behind its first one cannot be proven.
        let slot = preset.slots_per_epoch * (epoch(head) + 1);
        let owner = Owner { gateway: Address::ZERO, by_slot: slot };
        assert!(owners.prove(slot, owner).unwrap().is_none());
    }
}

/// The beacon chain keeps 1,024 states. What a gateway kept of those before proves the owners of all slots that it owned.
#[test]
fn owners_are_proven_after_more_slots_than_states_are_kept() {
    for (preset, slots) in [(&Preset::MINIMAL, 29), (&Preset::MAINNET, 105)] {
        let mut scene = Scene::new(preset, slots, 4);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("owners");
        let (head, now) = (scene.head_slot(), scene.l1.time(scene.head_slot()));
        let mut owners = scene.owners().with_file(file.clone()).unwrap();
        let first = 2 * preset.slots_per_epoch;
        let mut owned = Vec::new();
        for slot in first..=head {
            if let Ownership::Owned(owner) = owners.ownership(slot, now).unwrap() {
                owned.push((slot, owner));
            }
        }
        let wanted = owned.iter().map(|(slot, _)| *slot).collect();
        assert_eq!(owners.secure(&wanted, first, now).unwrap(), None);
        drop(owners);

        scene.stand_still(1_100);
        let now = scene.l1.time(scene.head_slot());
        let mut forgetful = scene.owners();
        let mut owners = scene.owners().with_file(file).unwrap();
        scene.keep_beacon_roots();
        let (slot, owner) = owned[owned.len() / 2];
        assert!(forgetful.prove(slot, owner).is_err());
        assert_eq!(owners.secure(&wanted, first, now).unwrap(), None);
        for (slot, owner) in &owned {
            let found = owners.ownership(*slot, now).unwrap();
            assert_eq!(found, Ownership::Owned(*owner), "{slot}");
            let proof = owners.prove(*slot, *owner).unwrap().expect("it was kept");
            assert_eq!(scene.l1.owner_of(*slot, &proof), Some(*owner), "{slot}");
        }
        assert!(owned.len() > 5, "{owned:?}");
    }
}

/// A record of the file of owners: its mark, the length of its body, the beginning of that one's hash, and the body.
const RECORD: usize = 8 + 4 + 8;

/// Changes a bit in the body of the record that holds it, and gives that the right checksum if it `is_sealed`.
fn change(file: &[u8], at: usize, is_sealed: bool) -> Vec<u8> {
    let (mut changed, mut begin) = (file.to_vec(), 16);
    loop {
        let length = u32::from_le_bytes(file[begin + 8..begin + 12].try_into().unwrap()) as usize;
        let body = begin + RECORD..begin + RECORD + length;
        if body.contains(&at) {
            changed[at] ^= 1;
            if is_sealed {
                let hash = keccak256(&changed[body]);
                changed[begin + 12..begin + RECORD].copy_from_slice(&hash[..8]);
            }
            return changed;
        }
        begin = body.end;
    }
}

/// Nothing in the file is believed: not whom slots are said to be delegated to, nor which L1 block proves it.
#[test]
fn a_damaged_file_of_owners_costs_nothing_that_can_be_had_again() {
    let mut scene = Scene::new(&Preset::MINIMAL, 29, 4);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("owners");
    let (head, now) = (scene.head_slot(), scene.l1.time(scene.head_slot()));
    let mut owners = scene.owners().with_file(file.clone()).unwrap();
    let first = 2 * scene.preset.slots_per_epoch;
    let owned: Vec<_> = (first..=head)
        .filter_map(|slot| match owners.ownership(slot, now).unwrap() {
            Ownership::Owned(owner) => Some((slot, owner)),
            _ => None,
        })
        .collect();
    let wanted = owned.iter().map(|(slot, _)| *slot).collect();
    assert_eq!(owners.secure(&wanted, first, now).unwrap(), None);
    drop(owners);
    let whole = std::fs::read(&file).unwrap();
    let find = |what: &[u8]| whole.windows(what.len()).position(|bytes| bytes == what);
    let gateway = find(&owned[0].1.gateway[..]).expect("it says to whom slots are delegated");
    let times = scene.headers.iter().map(|header| header.timestamp.to_be_bytes());
    let time = times.filter_map(|time| find(&time)).min().expect("it says when L1's block was");
    let hash = scene.headers.iter().filter_map(|it| find(&it.hash()[..])).min().expect("its hash");
    let changes = [(gateway, false), (time + 7, false), (time + 7, true), (hash, true)];
    let started = changes.map(|(at, is_sealed)| {
        let file = folder.path().join(format!("{at} {is_sealed}"));
        std::fs::write(&file, change(&whole, at, is_sealed)).unwrap();
        (at, scene.owners().with_file(file.clone()).unwrap(), file)
    });
    scene.keep_beacon_roots();
    for (at, mut owners, file) in started {
        for (slot, owner) in &owned {
            let found = owners.ownership(*slot, now).unwrap();
            assert_eq!(found, Ownership::Owned(*owner), "{slot}, byte {at}");
            let proof = owners.prove(*slot, *owner).unwrap().expect("it is had again");
            assert_eq!(scene.l1.owner_of(*slot, &proof), Some(*owner), "{slot}, byte {at}");
        }
        let damaged = std::fs::read(&file).unwrap();
        assert_eq!(owners.secure(&wanted, first, now).unwrap(), None);
        assert_ne!(std::fs::read(&file).unwrap(), damaged, "it is mended");
    }
}

/// The specification's recursion for a generalised index of a path of positions in containers and lists.
fn generalised_index(path: &[(u64, u64)]) -> u64 {
    path.iter().fold(1, |index, (width, position)| index * width.next_power_of_two() + position)
}

/// Truth: the state as the beacon chain itself keeps it, and the specification's generalised indices.
#[test]
fn proofs_lead_from_keys_to_the_block() {
    for (preset, slots) in [(&Preset::MINIMAL, 21), (&Preset::MAINNET, 40)] {
        let mut scene = Scene::new(preset, slots, 1000);
        let anchor = anchor(&mut scene);
        let head = scene.beacon.view().head();
        let state = &head.state;
        let first = preset.start_slot(preset.epoch(state.slot));
        let proof = anchor.prove(first..=first + 2 * preset.slots_per_epoch - 1).unwrap();
        assert_eq!(anchor.header().root(), head.root);
        assert_eq!(proof.header.stateRoot, state.root(preset));
        let bytes = state.encode(preset);
        let read = ProvenState::read(&bytes, preset).unwrap();
        assert_eq!((read.root(), read.slot()), (state.root(preset), state.slot));

        assert_eq!(proof.keys, anchor.keys());
        assert_eq!(proof.keyBranches[0].len(), 50);
        for (proposer, (key, branch)) in
            state.proposer_lookahead.iter().zip(proof.keys.iter().zip(&proof.keyBranches))
        {
            let pubkey = state.validators.get(proposer as usize).unwrap().pubkey;
            assert_eq!(*key, key_root(&pubkey));
            assert_eq!(*key, pubkey.root(preset));
            // Of a list, its elements are the first of two children.
            let place = generalised_index(&[(38, 11), (2, 0), (1 << 40, proposer), (8, 0)]);
            assert!(is_valid_branch(key, branch, place, &proof.header.stateRoot));
        }
        let vector = state.proposer_lookahead.root(preset);
        let place = generalised_index(&[(38, 37)]);
        assert!(is_valid_branch(&vector, &proof.lookaheadBranch, place, &proof.header.stateRoot));
        assert_eq!(place, u64::from(Layout::FULU.proposer_lookahead));
        assert_eq!(scene.l1.proposers(first, &proof), Some(proof.keys.clone()));

        for (from, to) in [(first, first - 1), (first - 1, first), (first, u64::MAX), (0, 1)] {
            let error = anchor.prove(from..=to).unwrap_err();
            let is_outside =
                matches!(error, LookaheadError::Proof(ProofError::SlotOutsideLookahead { .. }));
            assert!(is_outside, "{error}");
        }
    }
}

/// Changes one thing in a proof.
fn damage(proof: &mut Proof, what: u8, place: Index, bit: u8) {
    let flip = |word: &mut B256| word[usize::from(bit / 8)] ^= 1 << (bit % 8);
    let one = |words: &mut Vec<B256>| match words.len() {
        0 => {}
        length => flip(&mut words[place.index(length)]),
    };
    let keys = proof.keyBranches.len();
    match what {
        0 => proof.header.slot ^= 1 << (bit % 64),
        1 => proof.header.proposerIndex ^= 1 << (bit % 64),
        2 => flip(&mut proof.header.parentRoot),
        3 => flip(&mut proof.header.stateRoot),
        4 => flip(&mut proof.header.bodyRoot),
        5 => one(&mut proof.lookahead),
        6 => one(&mut proof.lookaheadBranch),
        7 => one(&mut proof.keys),
        8 => one(&mut proof.keyBranches[place.index(keys)]),
        9 => drop(proof.lookahead.pop()),
        10 => proof.lookahead.push(B256::ZERO),
        11 => drop(proof.lookaheadBranch.pop()),
        12 => proof.lookaheadBranch.push(B256::ZERO),
        13 => drop(proof.keys.pop()),
        14 => drop(proof.keyBranches.remove(place.index(keys))),
        15 => drop(proof.keyBranches[place.index(keys)].pop()),
        16 => proof.keyBranches[place.index(keys)].push(B256::ZERO),
        17 => proof.keys.swap(0, place.index(keys)),
        18 => proof.keyBranches.swap(0, place.index(keys)),
        _ => (proof.keys, proof.keyBranches) = (Vec::new(), Vec::new()),
    }
}

#[test]
fn the_check_refuses_what_the_contract_refuses() {
    let mut scene = Scene::new(&Preset::MINIMAL, 21, 1000);
    let anchor = anchor(&mut scene);
    let root = scene.beacon.view().head().root;
    let first = anchor.slots().start + 2;
    let whole = anchor.prove(first..=first + 6).unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    let scene = std::cell::RefCell::new(scene);
    let strategy = (0_u8..20, any::<Index>(), any::<u8>(), 0_u64..20);
    runner
        .run(&strategy, |(what, place, bit, shift)| {
            let mut proof = whole.clone();
            damage(&mut proof, what, place, bit);
            let from = if shift < 16 { first } else { first + shift };
            let checked = proof.check(from, root, 8, Layout::FULU).map(<[B256]>::to_vec).ok();
            let answered = scene.borrow_mut().l1.proposers(from, &proof);
            prop_assert_eq!(&checked, &answered);
            prop_assert!(
                checked.is_none() || proof == whole || checked.as_ref() == Some(&whole.keys)
            );
            Ok(())
        })
        .unwrap();
    let answered = scene.borrow_mut().l1.proposers(first, &whole);
    assert_eq!(answered, Some(whole.keys));
}

#[test]
fn a_beacon_node_that_gives_another_state_is_not_believed() {
    let mut scene = Scene::new(&Preset::MINIMAL, 21, 1000);
    let block = scene.next_l1_block();
    let anchor = |tamper| scene.prover(tamper).anchor(&block).unwrap_err();

    let error = anchor(|path, mut body| {
        if path.contains("/debug/beacon/states/") {
            let last = body.len() - 1;
            // A balance or a score: nothing that the proof names.
            body[last] ^= 1;
        }
        body
    });
    assert!(
        matches!(error, LookaheadError::WrongState { .. } | LookaheadError::State { .. }),
        "{error}"
    );
    let error = anchor(|path, mut body| {
        if path.contains("/debug/beacon/states/") {
            body[0] ^= 1;
        }
        body
    });
    assert!(matches!(error, LookaheadError::WrongState { .. }), "{error}");
    let error = anchor(|path, mut body| {
        if path.contains("/debug/beacon/states/") {
            body.truncate(body.len() / 2);
        }
        body
    });
    assert!(matches!(error, LookaheadError::State { .. }), "{error}");
    let error = anchor(|path, body| {
        if path.contains("/headers/") {
            let text = String::from_utf8(body).unwrap();
            return text
                .replacen("\"proposer_index\":\"", "\"proposer_index\":\"1", 1)
                .into_bytes();
        }
        body
    });
    assert!(matches!(error, LookaheadError::Client(ClientError::Untrue { .. })), "{error}");
}

/// Every byte of a state counts, and no bytes make the reader panic.
#[test]
fn damaged_states_have_other_roots_or_none() {
    let scene = Scene::new(&Preset::MINIMAL, 12, 1000);
    let head = scene.beacon.view().head();
    let bytes = head.state.encode(scene.preset);
    let root = head.state.root(scene.preset);
    let read = |bytes: &[u8]| ProvenState::read(bytes, scene.preset);
    assert_eq!(read(&bytes).unwrap().root(), root);
    let mut refused = 0;
    for place in (0..bytes.len()).step_by(37).chain(bytes.len() - 400..bytes.len()) {
        let mut changed = bytes.clone();
        changed[place] ^= 0x81;
        match read(&changed) {
            Ok(state) => assert_ne!(state.root(), root, "byte {place}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "no damage hit an offset or the look-ahead");
    for length in (0..bytes.len()).step_by(101) {
        if let Ok(state) = read(&bytes[..length]) {
            assert_ne!(state.root(), root, "{length} bytes");
        }
    }
    let error = ProvenState::read(&bytes, &Preset::MAINNET).unwrap_err();
    assert!(matches!(error, StateError::Encoding { field: "state", .. }), "{error}");
}

#[test]
fn an_owner_is_who_the_contract_says_from_the_epoch_before_too() {
    let mut scene = Scene::new(&Preset::MINIMAL, 29, 4);
    let mut source = scene.source();
    source.refresh(scene.l1.time(scene.head_slot())).unwrap();
    let schedule = source.schedule().unwrap().clone();
    // The first L1 block of the epoch carries the root of a block of the epoch before.
    let first = schedule.slots().start;
    let time = scene.l1.time(first);
    let block = scene.headers.iter().find(|header| header.timestamp >= time).unwrap().clone();
    let root = block.parent_beacon_block_root.unwrap();
    scene.l1.keep_beacon_root(block.timestamp, root);
    let anchor = scene.prover(|_, body| body).anchor(&block).unwrap();
    assert_eq!(anchor.slots().end, first + scene.preset.slots_per_epoch);
    let mut owned = 0;
    for slot in first..anchor.slots().end {
        let Some(owner) = schedule.owner(slot) else { continue };
        if owner.by_slot < anchor.slots().end {
            let proof = anchor.prove(slot..=owner.by_slot).unwrap();
            let found: Option<Owner> = scene.l1.owner_of(slot, &proof);
            assert_eq!(found, Some(owner), "{slot}");
            owned += 1;
        }
    }
    assert!(owned > 3, "{owned}");
}
