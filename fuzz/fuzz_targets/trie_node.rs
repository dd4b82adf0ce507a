//! Tries made of hostile nodes, and operations on tries with known content: nothing panics, an error
//! leaves a trie as it was, and a trie built step by step has the root of one built at once.
//!
//! Input: a number of nodes and then operations, in the form that `Input` reads. Whatever the input, a
//! node can refer to one that follows it: `a0`, 31 times `ff` and `k` in a node stands for the hash of
//! the node `k + 1` places further on, which no fuzzer would guess.

#![no_main]

use alloy_primitives::{B256, Bytes, keccak256};
use libfuzzer_sys::fuzz_target;
use lockstep_trie::{
    Nibbles, NoSource, NodeSet, NodeSource, RootBuilder, SparseTrie, TrieError, decode_node,
    verify_multiproof, verify_proof,
};
use std::collections::BTreeMap;

const MAX_NODES: u8 = 32;
const MAX_OPERATIONS: usize = 256;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let nodes = input.nodes();
    let operations = input.operations();
    for rlp in &nodes {
        if let Ok(node) = decode_node(rlp) {
            let mut encoded = Vec::new();
            node.encode(&mut encoded);
            assert_eq!(encoded, rlp[..], "a node that encodes to other bytes");
        }
    }
    on_hostile_nodes(&nodes, &operations);
    on_known_content(&operations);
});

/// The nodes are the whole world; the first one is the root.
fn on_hostile_nodes(nodes: &[Bytes], operations: &[Operation]) {
    let root = nodes.first().map_or(B256::ZERO, keccak256);
    let source: NodeSet = nodes.iter().cloned().collect();
    let mut trie = SparseTrie::from_root(root);
    for Operation { key, value } in operations {
        let _ = verify_proof(root, key, (!value.is_empty()).then_some(value), nodes);
        let _ = verify_multiproof(root, [(key, Some(value.as_slice()))], &source);
        let before = trie.root();
        let found = trie.get(key, &source).map(|value| value.map(<[u8]>::to_vec));
        assert_eq!(trie.root(), before, "reading changed the trie");
        let _ = trie.prove(key, &source);
        let mut multiproof = NodeSet::new();
        let _ = trie.multiproof([key], &source, &mut multiproof);
        let changed = apply(&mut trie, key, value, &source);
        if changed.is_err() {
            assert_eq!(trie.root(), before, "an error changed the trie");
            assert_eq!(trie.get(key, &source).map(|value| value.map(<[u8]>::to_vec)), found);
        } else {
            let expected = (!value.is_empty()).then_some(value.as_slice());
            assert_eq!(trie.get(key, &source), Ok(expected), "a write that is not read");
        }
    }
    let root = trie.commit(|_, hash, rlp| assert_eq!(keccak256(rlp), hash));
    assert_eq!(trie.root(), root);
}

/// The trie begins empty, so its content is known.
fn on_known_content(operations: &[Operation]) {
    let mut trie = SparseTrie::empty();
    let mut content = BTreeMap::new();
    for Operation { key, value } in operations {
        apply(&mut trie, key, value, &NoSource).expect("nothing is blinded");
        if value.is_empty() {
            content.remove(key);
        } else {
            content.insert(*key, value.clone());
        }
    }
    let mut builder = RootBuilder::new();
    for (key, value) in &content {
        builder.push(key, value).expect("the keys are in order");
    }
    let root = trie.root();
    assert_eq!(root, builder.root(), "step by step gives another root than at once");

    let mut nodes = NodeSet::new();
    trie.multiproof(content.keys(), &NoSource, &mut nodes).expect("nothing is blinded");
    for Operation { key, .. } in operations {
        let proof = trie.prove(key, &NoSource).expect("nothing is blinded");
        let value = content.get(key).map(Vec::as_slice);
        verify_proof(root, key, value, &proof).expect("our own proof");
    }
    let claims = content.iter().map(|(key, value)| (key, Some(value.as_slice())));
    verify_multiproof(root, claims, &nodes).expect("our own multiproof");
}

/// An empty value removes.
fn apply<S: NodeSource>(
    trie: &mut SparseTrie,
    key: &Nibbles,
    value: &[u8],
    source: &S,
) -> Result<(), TrieError<S::Error>> {
    if value.is_empty() {
        trie.remove(key, source).map(|_| ())
    } else {
        trie.insert(key, value, source)
    }
}

struct Operation {
    key: Nibbles,
    value: Vec<u8>,
}

/// Bytes read from the front; what is not there reads as zero.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A count, then each node behind two bytes of length; the last node is bound first.
    fn nodes(&mut self) -> Vec<Bytes> {
        let count = self.byte().min(MAX_NODES);
        let mut nodes: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                let len = u16::from_be_bytes([self.byte(), self.byte()]);
                self.take(len.into()).to_vec()
            })
            .collect();
        for index in (0..nodes.len()).rev() {
            let (node, following) =
                nodes[index..].split_first_mut().expect("the index is in range");
            for at in 0..node.len().saturating_sub(32) {
                if node[at] == 0xa0
                    && node[at + 1..at + 32] == [0xff; 31]
                    && let Some(child) = following.get(usize::from(node[at + 32]))
                {
                    let hash = keccak256(child);
                    node[at + 1..at + 33].copy_from_slice(hash.as_slice());
                }
            }
        }
        nodes.into_iter().map(Bytes::from).collect()
    }

    /// Each a key and a value behind a byte of length, to the end of the input. The key's high bit
    /// makes its length odd; the value is repeated to be longer than what nodes embed.
    fn operations(&mut self) -> Vec<Operation> {
        let mut operations = Vec::new();
        while !self.0.is_empty() && operations.len() < MAX_OPERATIONS {
            let form = self.byte();
            let key = Nibbles::unpack(self.take(usize::from(form & 0x1f) + 1));
            let odd = form & 0x80 != 0;
            let key = if odd { key.slice(..key.len().saturating_sub(1)) } else { key };
            let form = self.byte();
            let repeat = if form & 0x80 == 0 { 1 } else { 20 };
            let value = self.take(usize::from(form & 0x0f)).repeat(repeat);
            operations.push(Operation { key, value });
        }
        operations
    }
}
