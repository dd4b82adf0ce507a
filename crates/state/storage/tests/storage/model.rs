//! Random chains with reorganisations, against a plain state per block.

use crate::{
    compare::{Universe, assert_holds, assert_sound, assert_state},
    forge::{Action, Forge, action, options, scripted, writer},
};
use alloy_primitives::U256;
use lockstep_storage::{MemoryStorage, Storage, StorageError};
use proptest::{collection::vec, prelude::*};
use std::sync::Arc;

/// What happens to a storage.
#[derive(Clone, Debug)]
enum Step {
    /// Blocks, appended in one go.
    Append(Vec<Vec<Action>>),
    /// Takes back this many blocks, as far as there are.
    Unwind(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => vec(vec(action(), 0..6), 1..4).prop_map(Step::Append),
        2 => (1..6u64).prop_map(Step::Unwind),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn both_storages_hold_exactly_what_was_appended(steps in vec(step(), 1..10)) {
        let folder = tempfile::tempdir().unwrap();
        let mut forge = Forge::new();
        let memory = MemoryStorage::new(&forge.genesis);
        let mut disk = forge.disk(folder.path(), options());
        for step in steps {
            match step {
                Step::Append(blocks) => {
                    let first = forge.tip() + 1;
                    blocks.iter().for_each(|actions| forge.extend(actions));
                    let blocks = forge.executed(first, forge.tip());
                    let choice = forge.fork_choice(forge.tip());
                    disk.append(&blocks, choice).unwrap();
                    memory.append(&blocks, choice).unwrap();
                }
                Step::Unwind(count) => {
                    let number = forge.tip().saturating_sub(count);
                    forge.rewind(number);
                    disk.unwind(number).unwrap();
                    memory.unwind(number).unwrap();
                }
                Step::Reopen => {
                    drop(disk);
                    disk = forge.disk(folder.path(), options());
                }
            }
            let choices = [&disk as &dyn Storage<_>, &memory]
                .map(|storage| storage.snapshot().unwrap().fork_choice());
            prop_assert_eq!(choices[0], choices[1]);
        }
        assert_holds(&disk, &forge);
        assert_holds(&memory, &forge);
        assert_sound(&disk, &forge);
    }
}

#[test]
fn a_long_chain_is_unwound_block_by_block_to_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let mut forge = Forge::with_blocks(60);
    let disk = forge.disk(folder.path(), options());
    for first in (1..=60).step_by(4) {
        disk.append(&forge.executed(first, first + 3), forge.fork_choice(first + 3)).unwrap();
    }
    assert_holds(&disk, &forge);
    for number in (0..60).rev() {
        forge.rewind(number);
        disk.unwind(number).unwrap();
        if number % 7 == 0 {
            assert_holds(&disk, &forge);
            assert_sound(&disk, &forge);
        }
    }
}

#[test]
fn an_old_snapshot_is_unaffected_by_appends() {
    let folder = tempfile::tempdir().unwrap();
    let mut forge = Forge::with_blocks(12);
    let disk = forge.disk(folder.path(), options());
    let memory = MemoryStorage::new(&forge.genesis);
    let storages = [&disk as &dyn Storage<_>, &memory];
    for storage in storages {
        storage.append(&forge.executed(1, 6), forge.fork_choice(6)).unwrap();
    }
    let universe = Universe::of(&forge);
    let snapshots = storages.map(|storage| storage.snapshot().unwrap());
    for storage in storages {
        storage.append(&forge.executed(7, 12), forge.fork_choice(12)).unwrap();
    }
    for snapshot in &snapshots {
        assert_eq!(snapshot.tip().number, 6);
        assert!(snapshot.number(&forge.header(7).seal()).unwrap().is_none());
        for number in 0..=6 {
            let state = Arc::clone(snapshot).state(number).unwrap();
            assert_state(&*state, forge.state(number), &universe, number);
        }
    }
    forge.rewind(6);
}

/// Neither wrong data nor damage is reported: the block is gone.
#[test]
fn an_old_snapshot_says_so_when_its_blocks_were_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut forge = Forge::with_blocks(8);
    let disk = forge.disk(folder.path(), options());
    disk.append(&forge.executed(1, 8), forge.fork_choice(8)).unwrap();
    let old = disk.snapshot().unwrap();
    let old_hash = forge.header(7).seal();
    forge.rewind(3);
    disk.unwind(3).unwrap();
    for replaced in [false, true] {
        if replaced {
            (0..6).for_each(|number| forge.extend(&scripted(number + 50)));
            disk.append(&forge.executed(4, 9), forge.fork_choice(9)).unwrap();
        }
        assert_eq!(old.hash(7).unwrap(), Some(old_hash), "the database pins its own state");
        assert!(matches!(old.block(7), Err(StorageError::Unwound { number: 7 })));
        assert!(matches!(old.receipts(7), Err(StorageError::Unwound { number: 7 })));
        assert!(old.block(3).unwrap().is_some());
    }
    drop(old);
    assert_holds(&disk, &forge);
}

#[test]
fn blocks_that_do_not_continue_the_chain_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(4);
    let disk = forge.disk(folder.path(), options());
    let memory = MemoryStorage::new(&forge.genesis);
    let mut other = Forge::new();
    other.rewind(0);
    (0..2).for_each(|number| other.extend(&scripted(number)));
    for storage in [&disk as &dyn Storage<_>, &memory] {
        storage.append(&forge.executed(1, 2), forge.fork_choice(2)).unwrap();
        let choice = forge.fork_choice(2);
        for blocks in [forge.executed(2, 3), forge.executed(4, 4)] {
            let refused = storage.append(&blocks, choice);
            assert!(matches!(refused, Err(StorageError::NotNext { tip: 2, .. })));
        }
        storage.unwind(1).unwrap();
        let foreign = storage.append(&other.executed(2, 2), choice);
        assert!(matches!(foreign, Err(StorageError::NotNext { number: 2, tip: 1 })));
        assert!(matches!(storage.unwind(2), Err(StorageError::NotRetained { .. })));
    }
}

/// Several threads share one snapshot while blocks are appended.
#[test]
fn readers_on_many_threads_see_their_own_moment() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(30);
    let disk = forge.disk(folder.path(), options());
    disk.append(&forge.executed(1, 10), forge.fork_choice(10)).unwrap();
    let universe = Universe::of(&forge);
    let snapshot = disk.snapshot().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (snapshot, forge, universe) = (&snapshot, &forge, &universe);
            scope.spawn(move || {
                for number in 0..=10 {
                    let number = (number + thread * 3) % 11;
                    let state = Arc::clone(snapshot).state(number).unwrap();
                    assert_state(&*state, forge.state(number), universe, number);
                }
            });
        }
        for number in 11..=30 {
            disk.append(&forge.executed(number, number), forge.fork_choice(number)).unwrap();
        }
    });
    assert_holds(&disk, &forge);
}

/// Before EIP-6780 a contract can be destroyed and created again in one block. A slot that the block
/// had written before is then set anew, here to the value it had.
#[test]
fn a_contract_that_is_destroyed_and_created_again_keeps_what_its_creation_writes() {
    let folder = tempfile::tempdir().unwrap();
    let mut forge = Forge::new();
    forge.extend(&[Action::Create { salt: 0 }, Action::Write { target: 0, slot: 2, value: 3 }]);
    let write = |slot, value| Action::Write { target: 0, slot, value };
    let (destroy, create) = (Action::Destroy { target: 0 }, Action::Create { salt: 0 });
    forge.extend(&[write(1, 5), destroy.clone(), create, write(4, 1)]);
    forge.extend(&[destroy]);
    let disk = forge.disk(folder.path(), options());
    disk.append(&forge.executed(1, 3), forge.fork_choice(3)).unwrap();
    assert_holds(&disk, &forge);
    assert_sound(&disk, &forge);
    let snapshot = disk.snapshot().unwrap();
    // The creation writes 7 to slot 1.
    let expected = [[7, 3, 0], [7, 0, 1], [0, 0, 0]];
    for (number, expected) in (1..).zip(expected) {
        let state = Arc::clone(&snapshot).state(number).unwrap();
        let slots = [1, 2, 4].map(|slot| state.storage(&writer(0), &U256::from(slot)).unwrap());
        assert_eq!(slots, expected.map(U256::from), "after block {number}");
    }
}
