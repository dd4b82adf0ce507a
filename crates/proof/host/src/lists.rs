//! The tries that headers commit to lists with.

use crate::Entry;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::Bytes;
use lockstep_trie::{EMPTY_ROOT_HASH, Nibbles, NoSource, SparseTrie};

/// All nodes of the ordered trie of these items.
pub(crate) fn list_nodes<T: Encodable2718>(items: &[T]) -> Vec<Entry> {
    let mut trie = SparseTrie::empty();
    for (index, item) in items.iter().enumerate() {
        let key = Nibbles::unpack(alloy_rlp::encode(index));
        trie.insert(&key, &item.encoded_2718(), &NoSource)
            .expect("all nodes of a new trie are there");
    }
    let mut nodes = Vec::new();
    let root =
        trie.commit(|_, hash, rlp| nodes.push(Entry::hashed(hash, Bytes::copy_from_slice(rlp))));
    if root == EMPTY_ROOT_HASH {
        nodes.push(Entry::keccak256(Bytes::from_static(&[alloy_rlp::EMPTY_STRING_CODE])));
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction, TxEnvelope, TxLegacy};
    use alloy_primitives::{Signature, U256, keccak256};
    use lockstep_trie::NodeSet;

    fn transactions(count: u64) -> Vec<TxEnvelope> {
        let signature = Signature::new(U256::from(1), U256::from(1), false);
        let one = |nonce| TxLegacy { nonce, ..TxLegacy::default() }.into_signed(signature).into();
        (0..count).map(one).collect()
    }

    #[test]
    fn a_list_can_be_read_back_from_its_nodes() {
        for count in [0, 1, 2, 16, 127, 128, 129, 300] {
            let items = transactions(count);
            let root = lockstep_trie::ordered_root(&items, |item, out| item.encode_2718(out));
            let entries = list_nodes(&items);
            for entry in &entries {
                assert_eq!(Entry::keccak256(entry.value().clone()), *entry);
            }
            let nodes: NodeSet = entries.iter().map(|entry| entry.value().clone()).collect();
            assert!(entries.iter().any(|entry| keccak256(entry.value()) == root));
            let mut trie = SparseTrie::from_root(root);
            for (index, item) in items.iter().enumerate() {
                let key = Nibbles::unpack(alloy_rlp::encode(index));
                let found = trie.get(&key, &nodes).expect("its nodes are there");
                assert_eq!(found, Some(item.encoded_2718().as_slice()));
            }
        }
    }
}
