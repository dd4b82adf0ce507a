//! Trie tests: roots of insertions and deletions, and the order of keys.

use alloy_primitives::{B256, hex};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A test of roots (`trietest*`, `trieanyorder*`) or of order (`trietestnextprev`).
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum TrieTest {
    /// Apply changes, compare the root.
    Root {
        /// What to insert, replace and delete.
        #[serde(rename = "in")]
        changes: Changes,
        /// The root after all changes.
        root: B256,
    },
    /// Find the neighbours of keys.
    Order {
        /// The keys of the trie.
        #[serde(rename = "in")]
        keys: Vec<String>,
        /// Triples of a key, the key before it and the key after it (empty if none).
        tests: Vec<[String; 3]>,
    },
}

/// Changes in order, or in any.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Changes {
    /// Key and value, in this order; no value deletes.
    Ordered(Vec<(String, Option<String>)>),
    /// The root is the same in whatever order.
    AnyOrder(BTreeMap<String, Option<String>>),
}

/// A key and its new value; none deletes.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

impl Changes {
    /// The changes as bytes, in the order given (or that of the keys).
    ///
    /// # Errors
    /// The text that begins like hex and is not.
    pub fn bytes(&self) -> Result<Vec<Change>, String> {
        let change = |(key, value): (&String, &Option<String>)| {
            Ok((bytes(key)?, value.as_deref().map(bytes).transpose()?))
        };
        match self {
            Self::Ordered(list) => list.iter().map(|(key, value)| change((key, value))).collect(),
            Self::AnyOrder(map) => map.iter().map(change).collect(),
        }
    }
}

/// Text that begins with `0x` is hex; any other stands for its own bytes.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).map_err(|error| format!("{text:.80}: {error}")),
        None => Ok(text.as_bytes().to_vec()),
    }
}
