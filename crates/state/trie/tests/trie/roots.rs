//! Roots of whole tries in one pass.

use crate::{
    generators::{content, fixed_keys, ragged_key},
    reference::{alloy_root, yellow_paper_root},
};
use alloy_primitives::{Address, B256, U256};
use lockstep_trie::{
    EMPTY_ROOT_HASH, LeafError, Nibbles, RootBuilder, TrieAccount, ordered_root, state_root,
    storage_root,
};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;

fn built(content: &BTreeMap<Nibbles, Vec<u8>>) -> B256 {
    let mut builder = RootBuilder::new();
    for (key, value) in content {
        builder.push(key, value).unwrap();
    }
    builder.root()
}

#[test]
fn ordered_roots_equal_those_of_alloy_for_every_count() {
    let items: Vec<Vec<u8>> =
        (0..=300usize).map(|index| vec![index as u8; index * 7 % 60 + 1]).collect();
    for count in 0..=items.len() {
        let ours = ordered_root(&items[..count], |item, out| out.extend_from_slice(item));
        assert_eq!(ours, alloy_trie::root::ordered_trie_root_encoded(&items[..count]), "{count}");
    }
}

#[test]
fn a_builder_refuses_leaves_out_of_order_and_goes_on() {
    let [low, high] = [[1u8], [2]].map(Nibbles::unpack);
    let mut builder = RootBuilder::new();
    builder.push(&high, b"high").unwrap();
    assert_eq!(builder.push(&low, b"low"), Err(LeafError::Order { last: high, key: low }));
    assert_eq!(builder.push(&high, b"high"), Err(LeafError::Order { last: high, key: high }));
    assert_eq!(builder.push(&low, b""), Err(LeafError::EmptyValue(low)));
    assert_eq!(builder.root(), alloy_root(&[(high, b"high".to_vec())].into()));
    assert_eq!(RootBuilder::new().root(), EMPTY_ROOT_HASH);
}

proptest! {
    #[test]
    fn a_builder_agrees_with_alloy(
        content in fixed_keys().prop_flat_map(|key| content(key, 0..200)),
    ) {
        prop_assert_eq!(built(&content), alloy_root(&content));
    }

    #[test]
    fn a_builder_follows_the_yellow_paper_where_keys_are_prefixes(
        content in content(ragged_key().boxed(), 0..60),
    ) {
        prop_assert_eq!(built(&content), yellow_paper_root(&content));
    }

    #[test]
    fn the_last_of_repeated_accounts_and_slots_counts(
        accounts in vec((0u8..40, any::<u64>(), vec((0u8..20, 0u64..3), 0..30)), 0..60),
    ) {
        let mut truth = BTreeMap::new();
        let mut ours = Vec::new();
        for (address, nonce, slots) in accounts {
            let slots = slots.into_iter().map(|(slot, value)| {
                (B256::with_last_byte(slot), U256::from(value) << (value * 90))
            });
            let root = storage_root(slots.clone());
            let last: BTreeMap<_, _> = slots.collect();
            let present = last.into_iter().filter(|(_, value)| !value.is_zero());
            prop_assert_eq!(root, alloy_trie::root::storage_root_unhashed(present));
            let account = TrieAccount { nonce, storage_root: root, ..Default::default() };
            truth.insert(Address::with_last_byte(address), account);
            ours.push((Address::with_last_byte(address), account));
        }
        prop_assert_eq!(state_root(ours), alloy_trie::root::state_root_unhashed(truth));
    }
}
