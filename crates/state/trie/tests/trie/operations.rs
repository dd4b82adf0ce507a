//! Insert, update and remove on a trie that is all in memory.

use crate::{
    generators::{Operation, fixed_keys, operations, ragged_key},
    reference::{Content, alloy_root, yellow_paper_root},
};
use alloy_primitives::{B256, b256};
use lockstep_trie::{EMPTY_ROOT_HASH, MAX_KEY_NIBBLES, Nibbles, NoSource, SparseTrie};
use proptest::prelude::*;

/// Applies `operations` and compares root and content with `truth` on the way.
fn check_against(operations: &[Operation], truth: fn(&Content) -> B256) {
    let (mut trie, mut content) = (SparseTrie::empty(), Content::new());
    for operation in operations {
        operation.apply(&mut trie, &NoSource).unwrap();
        operation.apply_to_model(&mut content);
        if matches!(operation, Operation::Root) {
            assert_eq!(trie.root(), truth(&content));
        }
    }
    assert_eq!(trie.root(), truth(&content));
    for operation in operations {
        if let Operation::Insert(key, _) | Operation::Remove(key) = operation {
            assert_eq!(trie.get(key, &NoSource).unwrap(), content.get(key).map(Vec::as_slice));
        }
    }
    for key in content.keys() {
        assert!(trie.remove(key, &NoSource).unwrap());
        assert!(!trie.remove(key, &NoSource).unwrap());
    }
    assert_eq!(trie.root(), EMPTY_ROOT_HASH);
    assert_eq!(trie.node_count(), 0, "nodes leaked");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_sequence_of_operations_ends_in_the_root_of_a_full_rebuild(
        operations in fixed_keys().prop_flat_map(|key| operations(key, 1..120)),
    ) {
        check_against(&operations, alloy_root);
    }

    #[test]
    fn keys_that_are_prefixes_of_others_follow_the_yellow_paper(
        operations in operations(ragged_key().boxed(), 1..80),
    ) {
        check_against(&operations, yellow_paper_root);
    }
}

/// From `ethereum/tests`, `TrieTests/trieanyorder.json` and `trietest.json`.
#[test]
fn the_official_examples_have_their_roots() {
    let cases: [(&[(&str, &str)], B256); 6] = [
        (
            &[("doe", "reindeer"), ("dog", "puppy"), ("dogglesworth", "cat")],
            b256!("8aad789dff2f538bca5d8ea56e8abe10f4c7ba3a5dea95fea4cd6e7c3a1168d3"),
        ),
        (
            &[("do", "verb"), ("horse", "stallion"), ("doge", "coin"), ("dog", "puppy")],
            b256!("5991bb8c6514148a29db676a14ac506cd2cd5775ace63c30a4fe457715e9ac84"),
        ),
        (
            &[("foo", "bar"), ("food", "bass")],
            b256!("17beaa1648bafa633cda809c90c04af50fc8aed3cb40d16efbddee6fdf63c4c3"),
        ),
        (
            &[("be", "e"), ("dog", "puppy"), ("bed", "d")],
            b256!("3f67c7a47520f79faa29255d2d3c084a7a6df0453116ed7232ff10277a8be68b"),
        ),
        (
            &[("test", "test"), ("te", "testy")],
            b256!("8452568af70d8d140f58d941338542f645fcca50094b20f3c3d8c3df49337928"),
        ),
        (
            &[
                ("do", "verb"),
                ("ether", "wookiedoo"),
                ("horse", "stallion"),
                ("shaman", "horse"),
                ("doge", "coin"),
                ("ether", ""),
                ("dog", "puppy"),
                ("shaman", ""),
            ],
            b256!("5991bb8c6514148a29db676a14ac506cd2cd5775ace63c30a4fe457715e9ac84"),
        ),
    ];
    for (pairs, root) in cases {
        let mut trie = SparseTrie::empty();
        for (key, value) in pairs {
            trie.insert(&Nibbles::unpack(key), value.as_bytes(), &NoSource).unwrap();
        }
        assert_eq!(trie.root(), root, "{pairs:?}");
    }
}

#[test]
fn writing_the_same_value_again_changes_nothing() {
    let mut trie = SparseTrie::empty();
    for byte in 0..=255u8 {
        trie.insert(&Nibbles::unpack([byte; 32]), &[byte; 40], &NoSource).unwrap();
    }
    let root = trie.root();
    trie.insert(&Nibbles::unpack([7; 32]), &[7; 40], &NoSource).unwrap();
    let mut new_nodes = 0;
    assert_eq!(trie.commit(|_, _, _| new_nodes += 1), root);
    assert_eq!(new_nodes, 0);
}

#[test]
fn an_update_hashes_only_the_path_of_its_key() {
    let mut trie = SparseTrie::empty();
    for byte in 0..=255u8 {
        trie.insert(&Nibbles::unpack([byte; 32]), &[byte; 40], &NoSource).unwrap();
    }
    trie.root();
    trie.insert(&Nibbles::unpack([7; 32]), b"new", &NoSource).unwrap();
    let mut depths = Vec::new();
    trie.commit(|path, _, _| depths.push(path.len()));
    assert_eq!(depths, [2, 1, 0]);
}

/// A branch at every depth, in a thread whose stack would not survive recursion.
#[test]
fn the_deepest_trie_needs_no_stack() {
    let run = || {
        let mut trie = SparseTrie::empty();
        let mut keys = vec![Nibbles::unpack([0; 32])];
        for depth in 0..MAX_KEY_NIBBLES {
            let mut nibbles = [0; MAX_KEY_NIBBLES];
            nibbles[depth] = 1;
            keys.push(Nibbles::from_nibbles(nibbles));
        }
        for key in &keys {
            trie.insert(key, &[1; 32], &NoSource).unwrap();
        }
        let content = keys.iter().map(|key| (*key, vec![1; 32])).collect();
        assert_eq!(trie.root(), alloy_root(&content));
        let proof = trie.prove(&keys[0], &NoSource).unwrap();
        assert_eq!(proof.len(), MAX_KEY_NIBBLES + 1);
        for key in &keys {
            assert!(trie.remove(key, &NoSource).unwrap());
        }
        assert_eq!(trie.root(), EMPTY_ROOT_HASH);
    };
    let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(run).unwrap();
    thread.join().unwrap();
}
