//! RLP tests: values encode to the given bytes and back, malformed bytes are refused.

use crate::model::rlp::{Item, RlpTest, Value};
use alloy_primitives::{Bytes, hex};
use alloy_rlp::{Encodable, Header, PayloadView};

/// Lists inside one another; more cannot be decoded without a deep stack.
const MAX_DEPTH: usize = 512;

/// Runs one test.
///
/// # Errors
/// What differed.
pub fn run(test: &RlpTest) -> Result<(), String> {
    match &test.value {
        Value::Text(text) if text == "INVALID" => expect_malformed(test),
        Value::Text(text) if text == "VALID" => decode(&test.encoded()?).map(drop),
        value => expect_round_trip(&value.item()?, &test.encoded()?),
    }
}

fn expect_malformed(test: &RlpTest) -> Result<(), String> {
    // Some of the malformed encodings are not even hex.
    match test.encoded().and_then(|encoded| decode(&encoded)) {
        Err(_) => Ok(()),
        Ok(item) => Err(format!("malformed RLP was decoded as {item:?}")),
    }
}

fn expect_round_trip(item: &Item, encoded: &[u8]) -> Result<(), String> {
    let mut got = Vec::new();
    item.encode(&mut got);
    if got != encoded {
        return Err(format!(
            "encoding: expected {}, got {}",
            hex::encode_prefixed(encoded),
            hex::encode_prefixed(&got)
        ));
    }
    let decoded = decode(encoded)?;
    if decoded != *item {
        return Err(format!("decoding: expected {item:?}, got {decoded:?}"));
    }
    Ok(())
}

impl Encodable for Item {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        match self {
            Self::Bytes(bytes) => bytes.encode(out),
            Self::List(items) => alloy_rlp::encode_list(items, out),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.length(),
            Self::List(items) => {
                let payload_length = items.iter().map(Self::length).sum();
                Header { list: true, payload_length }.length_with_payload()
            }
        }
    }
}

/// Decodes exactly one item.
fn decode(mut encoded: &[u8]) -> Result<Item, String> {
    let item = decode_item(&mut encoded, 0)?;
    if encoded.is_empty() { Ok(item) } else { Err(format!("{} bytes left over", encoded.len())) }
}

fn decode_item(encoded: &mut &[u8], depth: usize) -> Result<Item, String> {
    if depth > MAX_DEPTH {
        return Err(format!("lists inside one another: the limit is {MAX_DEPTH}"));
    }
    match Header::decode_raw(encoded).map_err(|error| error.to_string())? {
        PayloadView::String(bytes) => Ok(Item::Bytes(Bytes::copy_from_slice(bytes))),
        PayloadView::List(items) => items
            .into_iter()
            .map(|mut item| decode_item(&mut item, depth + 1))
            .collect::<Result<_, _>>()
            .map(Item::List),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_json(json: &str) -> Result<(), String> {
        run(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn values_of_every_kind_round_trip() {
        for json in [
            r#"{"in": "dog", "out": "0x83646f67"}"#,
            r#"{"in": 0, "out": "0x80"}"#,
            r#"{"in": 1000, "out": "8203e8"}"#,
            r##"{"in": "#256", "out": "0x820100"}"##,
            r#"{"in": [[], ["dog", 1]], "out": "0xc7c0c583646f6701"}"#,
            r#"{"in": "VALID", "out": "0xc0"}"#,
        ] {
            assert_eq!(run_json(json), Ok(()), "{json}");
        }
    }

    #[test]
    fn malformed_encodings_must_be_refused() {
        for out in ["8100", "c2", "", "8001", "nonsense"] {
            assert_eq!(
                run_json(&format!(r#"{{"in": "INVALID", "out": "{out}"}}"#)),
                Ok(()),
                "{out}"
            );
        }
        assert!(run_json(r#"{"in": "INVALID", "out": "0x80"}"#).is_err());
        assert!(run_json(r#"{"in": "dog", "out": "0x83646f66"}"#).is_err());
    }

    #[test]
    fn bottomless_lists_are_refused() {
        let mut encoded = vec![0xc0];
        for _ in 0..2 * MAX_DEPTH {
            let mut outer = Vec::new();
            Header { list: true, payload_length: encoded.len() }.encode(&mut outer);
            outer.extend(&encoded);
            encoded = outer;
        }
        assert!(decode(&encoded).unwrap_err().contains("limit"));
    }
}
