//! Holds a storage against the chain it must contain.

use crate::forge::Forge;
use alloy_primitives::{Address, U256, keccak256};
use lockstep_chain::Ethereum;
use lockstep_execution::{MemoryState, StateReader};
use lockstep_storage::{CheckOptions, DiskStorage, Snapshot, State, Storage, TransactionLocation};
use lockstep_trie::StateTrie;
use std::{collections::BTreeSet, sync::Arc};

/// Every address and slot that any state of the chain has.
pub(crate) struct Universe {
    addresses: BTreeSet<Address>,
    slots: BTreeSet<(Address, U256)>,
}

impl Universe {
    pub(crate) fn of(forge: &Forge) -> Self {
        let mut universe = Self { addresses: BTreeSet::new(), slots: BTreeSet::new() };
        for number in 0..=forge.tip() {
            for (address, account) in forge.state(number).accounts() {
                universe.addresses.insert(*address);
                universe.slots.extend(account.storage.keys().map(|slot| (*address, *slot)));
            }
        }
        universe.addresses.insert(Address::repeat_byte(0x99));
        universe
    }
}

/// The storage holds exactly the forge's chain.
pub(crate) fn assert_holds(storage: &dyn Storage<Ethereum>, forge: &Forge) {
    let snapshot = storage.snapshot().expect("a snapshot");
    assert_eq!(snapshot.tip().number, forge.tip());
    let universe = Universe::of(forge);
    for number in 0..=forge.tip() {
        assert_block(&*snapshot, forge, number);
        let state = Arc::clone(&snapshot).state(number).expect("the state is retained");
        assert_state(&*state, forge.state(number), &universe, number);
    }
    assert!(snapshot.hash(forge.tip() + 1).expect("readable").is_none());
    assert!(Arc::clone(&snapshot).state(forge.tip() + 1).is_err());
}

pub(crate) fn assert_block(snapshot: &dyn Snapshot<Ethereum>, forge: &Forge, number: u64) {
    let header = forge.header(number);
    assert_eq!(snapshot.hash(number).expect("readable"), Some(header.seal()));
    assert_eq!(snapshot.number(&header.seal()).expect("readable"), Some(number));
    assert_eq!(snapshot.header(number).expect("readable").as_ref(), Some(&header));
    assert_eq!(snapshot.total_difficulty(number).expect("readable"), Some(U256::ZERO));
    let Some(index) = number.checked_sub(1) else { return };
    let executed = &forge.blocks[index as usize].executed;
    let block = snapshot.block(number).expect("readable").expect("the block is there");
    assert_eq!(*block.block, *executed.block.block);
    assert_eq!(block.senders, executed.block.senders);
    let receipts = snapshot.receipts(number).expect("readable").expect("receipts are there");
    assert_eq!(*receipts, *executed.receipts);
    for (index, transaction) in block.transactions().iter().enumerate() {
        let found = snapshot.transaction(transaction.tx_hash()).expect("readable");
        assert_eq!(found, Some(TransactionLocation { block: number, index }));
    }
}

pub(crate) fn assert_state(
    state: &dyn State,
    expected: &MemoryState,
    universe: &Universe,
    number: u64,
) {
    let mut trie = StateTrie::from_root(state.state_root());
    for address in &universe.addresses {
        let account = state.account(address).expect("readable");
        let Ok(wanted) = expected.account(address);
        assert_eq!(account, wanted, "account {address} after block {number}");
        let Ok(has_storage) = expected.has_storage(address);
        assert_eq!(state.has_storage(address).expect("readable"), has_storage, "{address}");
        if let Some(account) = &account {
            let Ok(code) = expected.code(&account.code_hash);
            assert_eq!(state.code(&account.code_hash).expect("readable"), code);
        }
        let leaf = trie.account(keccak256(address), &state).expect("the nodes are there");
        assert_eq!(leaf.map(|leaf| leaf.nonce), account.map(|account| account.nonce));
    }
    for (address, slot) in &universe.slots {
        let value = state.storage(address, slot).expect("readable");
        let Ok(wanted) = expected.storage(address, slot);
        assert_eq!(value, wanted, "slot {slot} of {address} after block {number}");
        let hashed_slot = keccak256(slot.to_be_bytes::<32>());
        let leaf = trie.slot(keccak256(address), hashed_slot, &state).expect("nodes are there");
        assert_eq!(leaf, wanted, "slot {slot} of {address} in the trie after block {number}");
    }
    assert_eq!(state.state_root(), expected.state_root());
}

/// A check finds nothing.
pub(crate) fn assert_sound(storage: &DiskStorage<Ethereum>, forge: &Forge) {
    let report = storage
        .check(&forge.chain, CheckOptions::default(), &mut |_| ())
        .unwrap_or_else(|error| panic!("the check ends: {error}"));
    assert!(report.is_sound(), "problems: {:#?}", report.problems);
}
