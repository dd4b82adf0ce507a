//! Proofs and multiproofs: made, verified, and tampered with.

use crate::{
    generators::{content, fixed_keys, ragged_key},
    reference::Content,
};
use alloy_primitives::{B256, Bytes};
use lockstep_trie::{
    EMPTY_ROOT_HASH, Nibbles, NoSource, NodeSet, ProofError, SparseTrie, verify_multiproof,
    verify_proof,
};
use proptest::{collection::vec, prelude::*, sample::Index};

fn build(content: &Content) -> SparseTrie {
    let mut trie = SparseTrie::empty();
    for (key, value) in content {
        trie.insert(key, value, &NoSource).unwrap();
    }
    trie
}

/// Some content, and a key that may be in it.
fn scenario() -> impl Strategy<Value = (Content, Nibbles)> {
    fixed_keys().prop_flat_map(|key| (content(key.clone(), 0..60), key)).prop_perturb(pick_present)
}

/// Every other time replaces the key by one that is present.
fn pick_present((content, key): (Content, Nibbles), mut rng: impl Rng) -> (Content, Nibbles) {
    let index = rng.random_range(0..content.len() * 2 + 1);
    let key = content.keys().nth(index).copied().unwrap_or(key);
    (content, key)
}

proptest! {
    #[test]
    fn proofs_of_values_and_of_absence_verify_here_and_in_alloy((content, key) in scenario()) {
        let mut trie = build(&content);
        let proof = trie.prove(&key, &NoSource).unwrap();
        let root = trie.root();
        let value = content.get(&key);
        verify_proof(root, &key, value.map(Vec::as_slice), &proof).unwrap();
        // alloy-trie expects a root node shorter than 32 bytes to be embedded, in nothing.
        if proof.first().is_none_or(|node| node.len() >= 32) {
            alloy_trie::proof::verify_proof(root, key, value.cloned(), &proof).unwrap();
        }
    }

    #[test]
    fn proofs_hold_where_keys_are_prefixes(
        content in content(ragged_key().boxed(), 0..40),
        key in ragged_key(),
    ) {
        let mut trie = build(&content);
        let root = trie.root();
        for key in content.keys().chain([&key]) {
            let value = content.get(key).map(Vec::as_slice);
            let proof = trie.prove(key, &NoSource).unwrap();
            verify_proof(root, key, value, &proof).unwrap();
        }
    }

    #[test]
    fn no_change_to_a_proof_goes_unnoticed(
        (content, key) in scenario(),
        (node, byte, flip) in (any::<Index>(), any::<Index>(), 1u8..),
    ) {
        let mut trie = build(&content);
        let root = trie.root();
        let proof = trie.prove(&key, &NoSource).unwrap();
        let value = content.get(&key).map(Vec::as_slice);
        let is_refused = |root, value, proof: &[Bytes]| {
            verify_proof(root, &key, value, proof).is_err()
        };
        prop_assert!(is_refused(root, Some(b"another"), &proof));
        let opposite = value.is_none().then_some(&b"x"[..]);
        prop_assert!(is_refused(root, opposite, &proof));
        prop_assert!(is_refused(B256::repeat_byte(1), value, &proof));

        let mut surplus = proof.clone();
        surplus.push(Bytes::from_static(&[0xc2, 0x31, 0x01]));
        prop_assert!(is_refused(root, value, &surplus));

        if !proof.is_empty() {
            prop_assert!(is_refused(root, value, &proof[..proof.len() - 1]));
            let node = node.index(proof.len());
            let mut bytes = proof[node].to_vec();
            let byte = byte.index(bytes.len());
            bytes[byte] ^= flip;
            let mut tampered = proof;
            tampered[node] = bytes.into();
            prop_assert!(is_refused(root, value, &tampered));
        }
    }

    #[test]
    fn a_multiproof_proves_its_keys_and_lacks_no_node(
        (content, keys) in fixed_keys()
            .prop_flat_map(|key| (content(key.clone(), 1..60), vec(key, 0..10))),
        dropped in any::<Index>(),
    ) {
        let keys: Vec<_> = content.keys().step_by(5).copied().chain(keys).collect();
        let claims = || keys.iter().map(|key| (key, content.get(key).map(Vec::as_slice)));
        let mut trie = build(&content);
        let root = trie.root();
        let mut nodes = NodeSet::new();
        trie.multiproof(&keys, &NoSource, &mut nodes).unwrap();
        verify_multiproof(root, claims(), &nodes).unwrap();

        let wrong = claims().map(|(key, value)| (key, value.is_none().then_some(&b"x"[..])));
        let error = verify_multiproof(root, wrong, &nodes).unwrap_err();
        let is_value = matches!(error, ProofError::Value { .. });
        prop_assert!(is_value, "{}", error);
        let hash = *nodes.iter().nth(dropped.index(nodes.len())).unwrap().0;
        nodes.remove(&hash);
        prop_assert!(matches!(verify_multiproof(root, claims(), &nodes), Err(ProofError::Trie(_))));
    }

    #[test]
    fn verifying_garbage_never_panics(
        proof in vec(vec(any::<u8>(), 0..80), 0..4),
        key in ragged_key(),
    ) {
        let proof: Vec<Bytes> = proof.into_iter().map(Bytes::from).collect();
        let root = proof.first().map_or(EMPTY_ROOT_HASH, alloy_primitives::keccak256);
        let _ = verify_proof(root, &key, None, &proof);
    }
}

#[test]
fn the_empty_trie_proves_absence_only() {
    let key = Nibbles::unpack([1; 32]);
    assert_eq!(SparseTrie::empty().prove(&key, &NoSource).unwrap(), Vec::<Bytes>::new());
    let empty_node = Bytes::from_static(&[0x80]);
    for proof in [vec![], vec![empty_node.clone()]] {
        verify_proof(EMPTY_ROOT_HASH, &key, None, &proof).unwrap();
        verify_proof(EMPTY_ROOT_HASH, &key, Some(b"x"), &proof).unwrap_err();
    }
    let twice = [empty_node.clone(), empty_node];
    assert_eq!(verify_proof(EMPTY_ROOT_HASH, &key, None, &twice), Err(ProofError::Surplus(1)));
}
