//! Proofs by our trie, as the contracts' own tests read them. `UPDATE_GOLDEN=1` writes them anew.

use alloy_primitives::{B256, Bytes, U256, hex, keccak256, map::U256Map};
use lockstep_trie::{Nibbles, NoSource, SparseTrie};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// The trie with these keys, all of them with the same value.
fn trie(leaves: impl IntoIterator<Item = (B256, Vec<u8>)>) -> SparseTrie {
    let mut trie = SparseTrie::default();
    for (key, value) in leaves {
        trie.insert(&Nibbles::unpack(key), &value, &NoSource).unwrap();
    }
    trie
}

fn storage_trie(storage: &U256Map<U256>) -> SparseTrie {
    let encode = |value: &U256| {
        // Values of storage are RLP in themselves; all that occur here are small.
        assert!(*value < U256::from(0x80));
        vec![value.to::<u8>()]
    };
    trie(storage.iter().map(|(slot, value)| (keccak256(B256::from(*slot)), encode(value))))
}

pub(crate) fn storage_root(storage: &U256Map<U256>) -> B256 {
    storage_trie(storage).root()
}

pub(crate) fn storage_proof(storage: &U256Map<U256>, slot: B256) -> Vec<Bytes> {
    storage_trie(storage).prove(&Nibbles::unpack(keccak256(slot)), &NoSource).unwrap()
}

/// Proofs of `keys` in the trie with `leaves`; an empty value says that the key is absent.
fn proofs(leaves: &[(B256, Vec<u8>)], keys: &[B256]) -> Vec<Value> {
    let mut trie = trie(leaves.iter().cloned());
    let root = trie.root();
    let prove = |key: &B256| {
        let value = leaves.iter().find(|(leaf, _)| leaf == key);
        json!({
            "root": root,
            "key": key,
            "value": hex::encode_prefixed(value.map_or(&[][..], |(_, value)| value)),
            "nodes": trie.prove(&Nibbles::unpack(key), &NoSource).unwrap(),
        })
    };
    keys.iter().map(prove).collect()
}

/// Tries of many sizes with random keys, and tries whose keys share so much that leaves and branches
/// are embedded in their parents.
fn vectors() -> Vec<Value> {
    let random = |tag: &str, i: u32| keccak256(format!("{tag} {i}"));
    let mut all = Vec::new();
    for size in [1, 2, 3, 16, 17, 100, 1_000] {
        let leaves: Vec<_> = (0..size).map(|i| (random("key", i), vec![1])).collect();
        let present = leaves.iter().map(|(key, _)| *key).take(4);
        let absent = (0..2).map(|i| random("absent", i));
        all.extend(proofs(&leaves, &present.chain(absent).collect::<Vec<_>>()));
    }
    for shared in [20, 27, 29, 31] {
        let key = |i: u32| {
            let mut key = B256::repeat_byte(0x5a);
            key[shared..].copy_from_slice(&random("tail", i)[shared..]);
            key
        };
        let leaves: Vec<_> = (0..12).map(|i| (key(i), vec![0x7f; 1 + (i as usize) % 5])).collect();
        let keys: Vec<_> = (0..4).map(key).chain([key(100), B256::ZERO]).collect();
        all.extend(proofs(&leaves, &keys));
    }
    all
}

#[test]
fn the_contracts_tests_have_our_proofs() {
    let proofs = vectors();
    let document = json!({ "count": proofs.len(), "proofs": proofs });
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../contracts/test/vectors/proofs.json");
    #[expect(clippy::disallowed_methods, reason = "golden files are written on demand")]
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        fs::write(&golden, &text).unwrap();
    }
    let found = fs::read_to_string(&golden).unwrap();
    assert!(found == text, "{} is not what our trie proves: UPDATE_GOLDEN=1", golden.display());
}
