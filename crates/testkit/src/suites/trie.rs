//! Trie tests: the root after insertions and deletions, and the order of keys.

use crate::model::trie::TrieTest;
use alloy_primitives::{B256, keccak256};
use lockstep_trie::{MAX_KEY_NIBBLES, Nibbles, NoSource, RootBuilder, SparseTrie};
use std::collections::BTreeMap;

/// Runs one test; `secure` tries hash their keys.
///
/// # Errors
/// What differed.
pub fn run(test: &TrieTest, secure: bool) -> Result<(), String> {
    match test {
        TrieTest::Root { changes, root } => {
            let changes = changes
                .bytes()?
                .into_iter()
                .map(|(key, value)| Ok((path(&key, secure)?, value)))
                .collect::<Result<Vec<_>, String>>()?;
            expect_root("built in one pass", built_root(&changes)?, *root)?;
            expect_root("changed step by step", changed_root(&changes)?, *root)
        }
        TrieTest::Order { keys, tests } => expect_order(keys, tests),
    }
}

fn expect_root(how: &str, got: B256, expected: B256) -> Result<(), String> {
    if got == expected {
        Ok(())
    } else {
        Err(format!("root {how}: expected {expected}, got {got}"))
    }
}

fn path(key: &[u8], secure: bool) -> Result<Nibbles, String> {
    if secure {
        return Ok(Nibbles::unpack(keccak256(key)));
    }
    if key.len() * 2 > MAX_KEY_NIBBLES {
        return Err(format!("a key of {} bytes: the limit is {}", key.len(), MAX_KEY_NIBBLES / 2));
    }
    Ok(Nibbles::unpack(key))
}

type Change = (Nibbles, Option<Vec<u8>>);

fn built_root(changes: &[Change]) -> Result<B256, String> {
    let mut leaves = BTreeMap::new();
    for (key, value) in changes {
        match value.as_deref() {
            None | Some([]) => leaves.remove(key),
            Some(value) => leaves.insert(*key, value),
        };
    }
    let mut builder = RootBuilder::new();
    for (key, value) in leaves {
        builder.push(&key, value).map_err(|error| error.to_string())?;
    }
    Ok(builder.root())
}

fn changed_root(changes: &[Change]) -> Result<B256, String> {
    let mut trie = SparseTrie::default();
    for (key, value) in changes {
        match value.as_deref() {
            None | Some([]) => trie.remove(key, &NoSource).map(drop),
            Some(value) => trie.insert(key, value, &NoSource).map(drop),
        }
        .map_err(|error| error.to_string())?;
    }
    Ok(trie.root())
}

/// The neighbours of each key, in the order in which a trie is walked.
fn expect_order(keys: &[String], tests: &[[String; 3]]) -> Result<(), String> {
    let paths = keys
        .iter()
        .map(|key| Ok((path(key.as_bytes(), false)?, key)))
        .collect::<Result<BTreeMap<_, _>, String>>()?;
    let mut builder = RootBuilder::new();
    for key in paths.keys() {
        builder.push(key, &[1]).map_err(|error| error.to_string())?;
    }
    for [key, previous, next] in tests {
        let at = path(key.as_bytes(), false)?;
        let before = paths.range(..at).next_back().map_or("", |(_, key)| key);
        let after = paths.range(at..).find(|(key, _)| **key != at).map_or("", |(_, key)| key);
        if (before, after) != (previous.as_str(), next.as_str()) {
            return Err(format!(
                "neighbours of {key:?}: expected {previous:?} and {next:?}, got {before:?} and {after:?}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_json(json: &str) -> Result<(), String> {
        run(&serde_json::from_str(json).unwrap(), false)
    }

    #[test]
    fn roots_hold_for_ordered_and_unordered_changes() {
        let root = "0x5991bb8c6514148a29db676a14ac506cd2cd5775ace63c30a4fe457715e9ac84";
        let ordered = r#"[["do", "verb"], ["ether", "wookiedoo"], ["horse", "stallion"],
            ["doge", "coin"], ["ether", null], ["dog", "puppy"]]"#;
        let any_order = r#"{"do": "verb", "horse": "stallion", "doge": "coin", "dog": "puppy"}"#;
        for changes in [ordered, any_order] {
            assert_eq!(run_json(&format!(r#"{{"in": {changes}, "root": "{root}"}}"#)), Ok(()));
        }
        let other = any_order.replace("coin", "coins");
        assert!(run_json(&format!(r#"{{"in": {other}, "root": "{root}"}}"#)).is_err());
    }

    #[test]
    fn neighbours_are_found() {
        let json =
            r#"{"in": ["cat", "doge"], "tests": [["cat", "", "doge"], ["d", "cat", "doge"]]}"#;
        assert_eq!(run_json(json), Ok(()));
        assert!(run_json(&json.replace(r#""", "doge""#, r#""", "cat""#)).is_err());
    }

    #[test]
    fn keys_longer_than_a_hash_are_refused() {
        let json = format!(r#"{{"in": [["{}", "x"]], "root": "{}"}}"#, "k".repeat(33), B256::ZERO);
        assert!(run_json(&json).unwrap_err().contains("limit"));
    }
}
