//! The parser of nodes: total, strict, and the inverse of the encoder.

use crate::{
    generators::{long_key, ragged_key, value},
    reference::{list, string},
};
use alloy_primitives::B256;
use alloy_rlp::Error as RlpError;
use lockstep_trie::{Nibbles, Node, NodeError, NodeRef, decode_node};
use proptest::{array::uniform16, collection::vec, prelude::*, sample::Index};

/// A reference to nothing, to a hash, or to a tiny leaf.
fn reference() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => Just(string(&[])),
        1 => any::<[u8; 32]>().prop_map(|hash| string(&hash)),
        1 => (0u8..16).prop_map(|nibble| list(&[string(&[0x30 | nibble]), string(&[nibble])])),
    ]
}

fn node() -> impl Strategy<Value = Vec<u8>> {
    let key = || prop_oneof![long_key().boxed(), ragged_key().boxed()];
    let leaf = (key(), value()).prop_map(|(key, value)| encode(&Node::Leaf { key, value: &value }));
    let extension = (key(), any::<[u8; 32]>())
        .prop_filter("an extension extends", |(key, _)| !key.is_empty() && key.len() < 64)
        .prop_map(|(key, hash)| {
            encode(&Node::Extension { key, child: NodeRef::Hash(B256::new(hash)) })
        });
    let branch = (uniform16(reference()), prop_oneof![Just(vec![]).boxed(), value().boxed()])
        .prop_filter("a branch forks", |(children, value)| {
            let present = children.iter().filter(|child| child.len() > 1).count();
            present + usize::from(!value.is_empty()) >= 2
        })
        .prop_map(|(children, value)| {
            let mut items = children.to_vec();
            items.push(string(&value));
            list(&items)
        });
    prop_oneof![leaf, extension, branch]
}

fn encode(node: &Node<'_>) -> Vec<u8> {
    let mut rlp = Vec::new();
    node.encode(&mut rlp);
    rlp
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_node_survives_encoding(rlp in node()) {
        prop_assert_eq!(encode(&decode_node(&rlp).unwrap()), rlp);
    }

    #[test]
    fn whatever_is_accepted_is_canonical(
        rlp in node(),
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
        cut in any::<Index>(),
    ) {
        let mut rlp = rlp;
        for (position, byte) in changes {
            let position = position.index(rlp.len());
            rlp[position] = byte;
        }
        for rlp in [&rlp[..], &rlp[..cut.index(rlp.len())]] {
            if let Ok(node) = decode_node(rlp) {
                prop_assert_eq!(encode(&node), rlp);
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(rlp in vec(any::<u8>(), 0..600)) {
        if let Ok(node) = decode_node(&rlp) {
            prop_assert_eq!(encode(&node), rlp);
        }
    }
}

fn branch(children: &[(usize, Vec<u8>)], value: &[u8]) -> Vec<u8> {
    let mut items = vec![string(&[]); 17];
    for (nibble, child) in children {
        items[*nibble] = child.clone();
    }
    items[16] = string(value);
    list(&items)
}

#[test]
fn each_rule_has_its_error() {
    let hash = string(&[7; 32]);
    let tiny_leaf = list(&[string(&[0x31]), string(&[1])]);
    let too_long = list(&[string(&[0x31]), string(&[1; 30])]);
    let tiny_branch = branch(&[(0, tiny_leaf.clone()), (1, tiny_leaf.clone())], &[]);
    let nested_extension = list(&[string(&[0x11]), tiny_branch.clone()]);
    let mut trailing = list(&[string(&[0x31]), string(&[1])]);
    trailing.push(0);
    let cases = [
        (vec![], NodeError::Rlp(RlpError::InputTooShort)),
        (vec![0x80], NodeError::Rlp(RlpError::UnexpectedString)),
        (vec![0xc5, 0x31], NodeError::Rlp(RlpError::InputTooShort)),
        (vec![0xff; 9], NodeError::Rlp(RlpError::InputTooShort)),
        (vec![0xf8, 0x02, 0x31, 0x01], NodeError::Rlp(RlpError::NonCanonicalSize)),
        (vec![0xc3, 0x81, 0x31, 0x01], NodeError::Rlp(RlpError::NonCanonicalSingleByte)),
        (trailing, NodeError::TrailingBytes(1)),
        (vec![0xc0], NodeError::ItemCount(0)),
        (list(&vec![string(&[1]); 3]), NodeError::ItemCount(3)),
        (list(&vec![string(&[]); 18]), NodeError::ItemCount(18)),
        (list(&[string(&[0x40]), string(&[1])]), NodeError::PathFlag(4)),
        (list(&[string(&[0x21]), string(&[1])]), NodeError::PathPadding(1)),
        (list(&[string(&[]), string(&[1])]), NodeError::PathMissing),
        (list(&[list(&[]), string(&[1])]), NodeError::Rlp(RlpError::UnexpectedList)),
        (list(&[string(&[0x31; 33]), string(&[1])]), NodeError::TooDeep),
        (list(&[string(&[0x20; 34]), string(&[1])]), NodeError::TooDeep),
        (list(&[string(&[0x00]), hash.clone()]), NodeError::EmptyExtension),
        (list(&[string(&[0x11]), string(&[])]), NodeError::ExtensionChild),
        (list(&[string(&[0x11]), tiny_leaf]), NodeError::ExtensionChild),
        (list(&[string(&[0x11]), nested_extension]), NodeError::ExtensionChild),
        (list(&[string(&[0x11]), string(&[7; 31])]), NodeError::ChildLength(31)),
        (list(&[string(&[0x31]), string(&[])]), NodeError::EmptyLeaf),
        (list(&[string(&[0x31]), list(&[])]), NodeError::Rlp(RlpError::UnexpectedList)),
        (branch(&[], &[]), NodeError::SparseBranch(0)),
        (branch(&[(3, hash)], &[]), NodeError::SparseBranch(1)),
        (branch(&[], &[1]), NodeError::SparseBranch(1)),
        (branch(&[(0, too_long.clone())], &[1]), NodeError::EmbeddedLength(too_long.len())),
        (branch(&[(0, list(&[]))], &[1]), NodeError::ItemCount(0)),
        (list(&[string(&[[0x00].as_slice(), &[0; 32]].concat()), tiny_branch]), NodeError::TooDeep),
    ];
    for (rlp, error) in cases {
        assert_eq!(decode_node(&rlp), Err(error), "{rlp:02x?}");
    }
}

#[test]
fn the_longest_paths_are_accepted() {
    for key in [[0xab; 32].as_slice(), &[0xcd; 31]].map(Nibbles::unpack) {
        let rlp = encode(&Node::Leaf { key, value: &[1] });
        assert_eq!(decode_node(&rlp), Ok(Node::Leaf { key, value: &[1] }));
    }
}
