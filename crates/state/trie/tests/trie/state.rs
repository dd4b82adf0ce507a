//! Accounts and their storage over many blocks.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::root::{state_root_unhashed, storage_root_unhashed};
use lockstep_trie::{
    EMPTY_ROOT_HASH, KECCAK_EMPTY, Nibbles, NoSource, NodePath, NodeSet, Recorder, StateTrie,
    TrieAccount, TrieError, verify_multiproof, verify_proof,
};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Write {
    Account { address: Address, nonce: u64, balance: U256 },
    Remove(Address),
    Slot { address: Address, slot: B256, value: U256 },
    Clear(Address),
}

/// The truth: all accounts and slots, not hashed.
type Model = BTreeMap<Address, (u64, U256, BTreeMap<B256, U256>)>;

fn address() -> impl Strategy<Value = Address> {
    (0u8..24).prop_map(Address::with_last_byte)
}

fn slot() -> impl Strategy<Value = B256> {
    (0u8..24).prop_map(B256::with_last_byte)
}

fn write() -> impl Strategy<Value = Write> {
    let value =
        prop_oneof![1 => Just(U256::ZERO), 2 => any::<u64>().prop_map(|x| U256::from(x) << 150)];
    prop_oneof![
        3 => (address(), any::<u64>(), any::<u64>())
            .prop_map(|(address, nonce, x)| Write::Account { address, nonce, balance: U256::from(x) }),
        1 => address().prop_map(Write::Remove),
        6 => (address(), slot(), value)
            .prop_map(|(address, slot, value)| Write::Slot { address, slot, value }),
        1 => address().prop_map(Write::Clear),
    ]
}

fn blocks() -> impl Strategy<Value = Vec<Vec<Write>>> {
    vec(vec(write(), 0..40), 1..6)
}

/// Applies a write to both. Creates the account a slot belongs to, as the EVM would.
fn apply(write: &Write, state: &mut StateTrie, model: &mut Model) {
    match *write {
        Write::Account { address, nonce, balance } => {
            state.set_account(keccak256(address), nonce, balance, KECCAK_EMPTY);
            let account = model.entry(address).or_default();
            (account.0, account.1) = (nonce, balance);
        }
        Write::Remove(address) => {
            state.remove_account(keccak256(address));
            model.remove(&address);
        }
        Write::Slot { address, slot, value } => {
            let account = model.entry(address).or_insert_with(|| {
                state.set_account(keccak256(address), 1, U256::ZERO, KECCAK_EMPTY);
                (1, U256::ZERO, BTreeMap::new())
            });
            state.set_slot(keccak256(address), keccak256(slot), value);
            account.2.insert(slot, value);
        }
        Write::Clear(address) => {
            state.clear_storage(keccak256(address));
            if let Some(account) = model.get_mut(&address) {
                account.2.clear();
            }
        }
    }
}

fn account(model: &Model, address: Address) -> Option<TrieAccount> {
    let (nonce, balance, slots) = model.get(&address)?;
    let present = slots.iter().filter(|(_, value)| !value.is_zero());
    let storage_root = storage_root_unhashed(present.map(|(slot, value)| (*slot, *value)));
    Some(TrieAccount::new(*nonce, *balance, storage_root, KECCAK_EMPTY))
}

fn root(model: &Model) -> B256 {
    state_root_unhashed(model.keys().map(|address| (*address, account(model, *address).unwrap())))
}

/// Runs blocks from the empty state, and returns the last state with all nodes it ever had.
fn run(blocks: &[Vec<Write>]) -> (Model, B256, NodeSet) {
    let (mut state, mut model, mut nodes) = (StateTrie::empty(), Model::new(), NodeSet::new());
    let mut last = EMPTY_ROOT_HASH;
    for write in blocks.iter().map(|block| block.iter()) {
        write.for_each(|write| apply(write, &mut state, &mut model));
        last = state
            .commit(&NoSource, |_, hash, rlp| {
                assert_eq!(nodes.insert(Bytes::copy_from_slice(rlp)), hash);
            })
            .unwrap();
        assert_eq!(last, root(&model));
    }
    (model, last, nodes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_block_has_the_root_of_a_full_rebuild(blocks in blocks()) {
        run(&blocks);
    }

    #[test]
    fn reads_see_what_was_written(blocks in blocks(), pending in vec(write(), 0..40)) {
        let (mut model, root, nodes) = run(&blocks);
        let mut state = StateTrie::from_root(root);
        for write in &pending {
            apply(write, &mut state, &mut model);
        }
        for address in (0..24).map(Address::with_last_byte) {
            let read = state.account(keccak256(address), &nodes).unwrap();
            prop_assert_eq!(
                read.map(|account| (account.nonce, account.balance)),
                model.get(&address).map(|account| (account.0, account.1))
            );
            for slot in (0..24).map(B256::with_last_byte) {
                let read = state.slot(keccak256(address), keccak256(slot), &nodes).unwrap();
                let truth = model.get(&address).and_then(|account| account.2.get(&slot));
                prop_assert_eq!(read, truth.copied().unwrap_or_default());
            }
        }
    }

    /// A witness of a block, found node by node, suffices to repeat the block.
    #[test]
    fn a_block_can_be_repeated_on_its_witness(blocks in blocks(), block in vec(write(), 1..40)) {
        let (model, pre_root, all) = run(&blocks);
        let mut after = model.clone();
        let write_all = |state: &mut StateTrie, model: &mut Model| {
            block.iter().for_each(|write| apply(write, state, model));
        };

        let recorder = Recorder::new(&all);
        let mut state = StateTrie::from_root(pre_root);
        write_all(&mut state, &mut after);
        let post_root = state.root(&recorder).unwrap();
        prop_assert_eq!(post_root, root(&after));
        let witness = recorder.into_nodes();
        let mut state = StateTrie::from_root(pre_root);
        write_all(&mut state, &mut model.clone());
        prop_assert_eq!(state.root(&witness).unwrap(), post_root);

        let mut known = NodeSet::new();
        let mut state = StateTrie::from_root(pre_root);
        write_all(&mut state, &mut { model });
        let patient_root = loop {
            match state.root(&known) {
                Ok(root) => break root,
                Err(TrieError::MissingNode { hash, .. }) => known.insert(all.get(&hash).unwrap().clone()),
                Err(error) => panic!("{error}"),
            };
        };
        prop_assert_eq!(patient_root, post_root);
        prop_assert_eq!(known, witness);
    }

    #[test]
    fn accounts_and_slots_are_proven(blocks in blocks(), address in address(), slot in slot()) {
        let (model, root, nodes) = run(&blocks);
        let mut state = StateTrie::from_root(root);
        let (hashed_address, hashed_slot) = (keccak256(address), keccak256(slot));
        let proof = state.prove(hashed_address, &[hashed_slot], &nodes).unwrap();
        prop_assert_eq!(&proof.account, &account(&model, address));
        let leaf = proof.account.as_ref().map(alloy_rlp::encode);
        let address_key = Nibbles::unpack(hashed_address);
        verify_proof(root, &address_key, leaf.as_deref(), &proof.proof).unwrap();

        let value = model.get(&address).and_then(|account| account.2.get(&slot)).copied();
        prop_assert_eq!(proof.storage[0].value, value.unwrap_or_default());
        let value = value.filter(|value| !value.is_zero()).map(alloy_rlp::encode);
        let storage_root = proof.account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
        let slot_key = Nibbles::unpack(hashed_slot);
        verify_proof(storage_root, &slot_key, value.as_deref(), &proof.storage[0].proof).unwrap();

        let mut multiproof = NodeSet::new();
        state.multiproof(hashed_address, &[hashed_slot], &nodes, &mut multiproof).unwrap();
        verify_multiproof(root, [(&address_key, leaf.as_deref())], &multiproof).unwrap();
        verify_multiproof(storage_root, [(&slot_key, value.as_deref())], &multiproof).unwrap();
    }
}

#[test]
fn storage_without_an_account_is_an_error_that_can_be_mended() {
    let (address, slot) = (keccak256([1]), keccak256([2]));
    let mut state = StateTrie::empty();
    state.set_slot(address, slot, U256::ONE);
    let mut nodes = NodeSet::new();
    let mut keep = |_: &NodePath, hash, rlp: &[u8]| {
        assert_eq!(nodes.insert(Bytes::copy_from_slice(rlp)), hash);
    };
    let error = state.commit(&NoSource, &mut keep).unwrap_err();
    assert_eq!(error, TrieError::StorageWithoutAccount(address));
    state.set_account(address, 1, U256::ZERO, KECCAK_EMPTY);
    let root = state.commit(&NoSource, &mut keep).unwrap();
    let mut reopened = StateTrie::from_root(root);
    assert_eq!(reopened.slot(address, slot, &nodes).unwrap(), U256::ONE);
    state.remove_account(address);
    assert_eq!(state.root(&NoSource), Ok(EMPTY_ROOT_HASH));
}

#[test]
fn a_leaf_that_is_no_account_is_reported() {
    let key = Nibbles::unpack([1; 32]);
    let mut trie = lockstep_trie::SparseTrie::empty();
    trie.insert(&key, b"no account", &NoSource).unwrap();
    let mut nodes = NodeSet::new();
    let root = trie.commit(|_, hash, rlp| {
        assert_eq!(nodes.insert(Bytes::copy_from_slice(rlp)), hash);
    });
    let error = StateTrie::from_root(root).account(B256::repeat_byte(1), &nodes).unwrap_err();
    assert!(matches!(error, TrieError::InvalidValue { .. }), "{error}");
}
