//! `debug_executionWitness`, in the forms that nodes give it.

use alloy_primitives::{B256, Bytes};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Trie nodes and codes that a block reads, each known by its keccak-256 hash alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WitnessNodes {
    /// Nodes of the state and of storages.
    pub nodes: Vec<Bytes>,
    /// Codes of contracts.
    pub codes: Vec<Bytes>,
}

/// Headers and keys are not read: the first are fetched by hash, the second are not needed.
#[derive(Debug, Deserialize)]
pub(crate) struct RpcWitness {
    #[serde(default)]
    state: Preimages,
    #[serde(default)]
    codes: Preimages,
}

/// A list, or as nodes had it first, a map from the hash. The hashes are not believed.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Preimages {
    List(Vec<Bytes>),
    Map(BTreeMap<B256, Bytes>),
    None(()),
}

impl Default for Preimages {
    fn default() -> Self {
        Self::None(())
    }
}

impl From<Preimages> for Vec<Bytes> {
    fn from(preimages: Preimages) -> Self {
        match preimages {
            Preimages::List(list) => list,
            Preimages::Map(map) => map.into_values().collect(),
            Preimages::None(()) => Self::new(),
        }
    }
}

impl From<RpcWitness> for WitnessNodes {
    fn from(witness: RpcWitness) -> Self {
        Self { nodes: witness.state.into(), codes: witness.codes.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_maps_are_read() {
        let nodes =
            |json| WitnessNodes::from(serde_json::from_str::<RpcWitness>(json).expect("a witness"));
        let expected = WitnessNodes {
            nodes: vec![Bytes::from_static(&[0x80])],
            codes: vec![Bytes::from_static(&[0])],
        };
        let list = r#"{"state":["0x80"],"codes":["0x00"],"keys":["0x01"],"headers":["0x02"]}"#;
        assert_eq!(nodes(list), expected);
        let zero = B256::ZERO;
        let map =
            format!(r#"{{"state":{{"{zero}":"0x80"}},"codes":{{"{zero}":"0x00"}},"keys":{{}}}}"#);
        assert_eq!(nodes(&map), expected);
        assert_eq!(nodes(r#"{"state":null,"codes":null}"#), WitnessNodes::default());
        assert!(serde_json::from_str::<RpcWitness>(r#"{"state":7}"#).is_err());
    }
}
