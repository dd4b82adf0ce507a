//! Two independent truths: `alloy-trie`'s hash builder, which knows no value at a branch, and
//! appendix D of the Yellow Paper, transcribed without any regard for speed.

use alloy_primitives::{B256, keccak256};
use alloy_rlp::{Encodable, Header};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles};
use std::collections::BTreeMap;

pub(crate) type Content = BTreeMap<Nibbles, Vec<u8>>;

/// The root by `alloy-trie`. No key may be a prefix of another.
pub(crate) fn alloy_root(content: &Content) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in content {
        builder.add_leaf(*key, value);
    }
    builder.root()
}

/// The root by the book.
pub(crate) fn yellow_paper_root(content: &Content) -> B256 {
    if content.is_empty() {
        return EMPTY_ROOT_HASH;
    }
    let pairs: Vec<_> = content.iter().map(|(key, value)| (key.to_vec(), value.clone())).collect();
    keccak256(structural_composition(&pairs, 0))
}

/// `c(J, i)`: the node for pairs that share their first `i` nibbles.
fn structural_composition(pairs: &[(Vec<u8>, Vec<u8>)], i: usize) -> Vec<u8> {
    if let [(key, value)] = pairs {
        return list(&[string(&hex_prefix(&key[i..], true)), string(value)]);
    }
    let (first, last) = (&pairs[0].0, &pairs[pairs.len() - 1].0);
    let shared = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    if shared > i {
        let below = node_cap(pairs, shared);
        return list(&[string(&hex_prefix(&first[i..shared], false)), below]);
    }
    let mut items: Vec<_> = (0..16)
        .map(|nibble| {
            let below: Vec<_> =
                pairs.iter().filter(|(key, _)| key.get(i) == Some(&nibble)).cloned().collect();
            if below.is_empty() { string(&[]) } else { node_cap(&below, i + 1) }
        })
        .collect();
    let value = pairs.iter().find(|(key, _)| key.len() == i).map(|(_, value)| value.clone());
    items.push(string(&value.unwrap_or_default()));
    list(&items)
}

/// `n(J, i)`: the node itself when it is short, its hash otherwise.
fn node_cap(pairs: &[(Vec<u8>, Vec<u8>)], i: usize) -> Vec<u8> {
    let node = structural_composition(pairs, i);
    if node.len() < 32 { node } else { string(keccak256(node).as_slice()) }
}

fn hex_prefix(nibbles: &[u8], is_leaf: bool) -> Vec<u8> {
    let flag = if is_leaf { 2 } else { 0 };
    let padded: Vec<u8> = if nibbles.len() % 2 == 1 {
        [&[flag + 1], nibbles].concat()
    } else {
        [&[flag, 0], nibbles].concat()
    };
    padded.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    alloy_rlp::encode(bytes)
}

pub(crate) fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let payload = items.concat();
    let mut out = Vec::with_capacity(payload.length() + 3);
    Header { list: true, payload_length: payload.len() }.encode(&mut out);
    out.extend(payload);
    out
}
