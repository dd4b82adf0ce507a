//! `debug_executionWitness`, in the forms that nodes give it.

use alloy_primitives::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// The most nodes or codes of one block. A block has room for the gas of some ten thousand.
const MAX_PREIMAGES: usize = 1 << 20;

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

/// A list, or as nodes had it first, a map from the hash. The hashes are not believed. At most
/// [`MAX_PREIMAGES`].
#[derive(Debug, Default)]
struct Preimages(Vec<Bytes>);

impl<'de> Deserialize<'de> for Preimages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PreimagesVisitor)
    }
}

struct PreimagesVisitor;

impl<'de> Visitor<'de> for PreimagesVisitor {
    type Value = Preimages;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of bytes, a map of bytes by their hash, or null")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Preimages, A::Error> {
        let mut preimages = Preimages::default();
        while let Some(bytes) = list.next_element()? {
            preimages.push::<A::Error>(bytes)?;
        }
        Ok(preimages)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Preimages, A::Error> {
        let mut preimages = Preimages::default();
        while let Some((_, bytes)) = map.next_entry::<IgnoredAny, Bytes>()? {
            preimages.push::<A::Error>(bytes)?;
        }
        Ok(preimages)
    }

    fn visit_unit<E>(self) -> Result<Preimages, E> {
        Ok(Preimages::default())
    }
}

impl Preimages {
    fn push<E: serde::de::Error>(&mut self, bytes: Bytes) -> Result<(), E> {
        if self.0.len() == MAX_PREIMAGES {
            return Err(E::custom(format!("more than {MAX_PREIMAGES} pre-images")));
        }
        self.0.push(bytes);
        Ok(())
    }
}

impl From<RpcWitness> for WitnessNodes {
    fn from(witness: RpcWitness) -> Self {
        Self { nodes: witness.state.0, codes: witness.codes.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;

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
        for wrong in ["7", r#"["0xz"]"#, r#"[7]"#, r#"{"a":7}"#, r#""0x80""#, r#"["0x80""#] {
            let json = format!(r#"{{"state":{wrong}}}"#);
            assert!(serde_json::from_str::<RpcWitness>(&json).is_err(), "{wrong}");
        }
    }

    #[test]
    fn more_preimages_than_a_block_has_are_refused() {
        let list = |count| format!(r#"{{"state":[{}"0x"]}}"#, r#""0x","#.repeat(count - 1));
        let read = |count| serde_json::from_str::<RpcWitness>(&list(count));
        assert_eq!(read(MAX_PREIMAGES).unwrap().state.0.len(), MAX_PREIMAGES);
        assert!(read(MAX_PREIMAGES + 1).unwrap_err().to_string().contains("more than"));
    }
}
