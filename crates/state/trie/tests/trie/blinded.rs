//! Tries of which nodes are missing, supplied late, wrong, or recorded as a witness.

use crate::{
    generators::{Operation, content, fixed_keys, operations, ragged_key},
    reference::{Content, list, string, yellow_paper_root},
};
use alloy_primitives::{B256, Bytes, keccak256};
use core::cell::RefCell;
use lockstep_trie::{
    NoSource, NodeError, NodePath, NodeSet, NodeSource, Recorder, SparseTrie, TrieError,
};
use proptest::{prelude::*, sample::Index};
use std::{collections::BTreeMap, convert::Infallible};

/// The root and all nodes of a trie with this content.
fn store(content: &Content) -> (B256, NodeSet) {
    let mut trie = SparseTrie::empty();
    for (key, value) in content {
        trie.insert(key, value, &NoSource).unwrap();
    }
    let mut nodes = NodeSet::new();
    let root = trie.commit(|_, hash, rlp| {
        assert_eq!(nodes.insert(Bytes::copy_from_slice(rlp)), hash);
    });
    (root, nodes)
}

fn after(content: &Content, operations: &[Operation]) -> Content {
    let mut content = content.clone();
    for operation in operations {
        operation.apply_to_model(&mut content);
    }
    content
}

/// Some content, and operations on it.
fn scenario() -> impl Strategy<Value = (Content, Vec<Operation>)> {
    prop_oneof![2 => fixed_keys(), 1 => Just(ragged_key().boxed())]
        .prop_flat_map(|key| (content(key.clone(), 0..60), operations(key, 1..30)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    /// Starts without any node and adds exactly those that are reported missing.
    #[test]
    fn supplying_each_missing_node_leads_to_the_full_root((content, operations) in scenario()) {
        let (root, all) = store(&content);
        let (mut known, mut trie) = (NodeSet::new(), SparseTrie::from_root(root));
        let mut done = content;
        for operation in &operations {
            while let Err(error) = operation.apply(&mut trie, &known) {
                let TrieError::MissingNode { hash, .. } = error else { panic!("{error}") };
                prop_assert!(!known.contains(&hash), "reported a node that was there");
                prop_assert_eq!(trie.clone().root(), yellow_paper_root(&done));
                known.insert(all.get(&hash).expect("reported a node that is not there").clone());
            }
            operation.apply_to_model(&mut done);
        }
        prop_assert_eq!(trie.root(), yellow_paper_root(&done));
    }

    #[test]
    fn a_witness_suffices_to_repeat_the_operations_and_has_nothing_to_spare(
        (content, operations) in scenario(),
        dropped in any::<Index>(),
    ) {
        let (root, all) = store(&content);
        let replay = |source: &dyn NodeSource<Error = Infallible>| {
            let mut trie = SparseTrie::from_root(root);
            operations.iter().try_for_each(|operation| operation.apply(&mut trie, &source))?;
            Ok::<_, TrieError<Infallible>>(trie.root())
        };
        let recorder = Recorder::new(&all);
        let after = yellow_paper_root(&after(&content, &operations));
        prop_assert_eq!(replay(&recorder), Ok(after));
        let mut witness = recorder.into_nodes();
        prop_assert_eq!(replay(&witness), Ok(after));

        if !witness.is_empty() {
            let missing = *witness.iter().nth(dropped.index(witness.len())).unwrap().0;
            witness.remove(&missing);
            let error = replay(&witness).unwrap_err();
            let is_reported = matches!(error, TrieError::MissingNode { hash, .. } if hash == missing);
            prop_assert!(is_reported, "{}", error);
        }
    }

    /// What `commit` reports, added to a database, is the whole new trie.
    #[test]
    fn committed_nodes_are_complete((content, operations) in scenario()) {
        let (root, mut database) = store(&content);
        let mut trie = SparseTrie::from_root(root);
        for operation in &operations {
            operation.apply(&mut trie, &database).unwrap();
            if matches!(operation, Operation::Root) {
                continue;
            }
            let mut new = Vec::new();
            trie.commit(|_, _, rlp| new.push(Bytes::copy_from_slice(rlp)));
            database.extend(new);
        }
        let content = after(&content, &operations);
        let mut reopened = SparseTrie::from_root(trie.root());
        for (key, value) in &content {
            prop_assert_eq!(reopened.get(key, &database).unwrap(), Some(value.as_slice()));
        }
    }

    /// Paths given to the source are right: a source keyed by path alone serves as well.
    #[test]
    fn nodes_are_asked_for_at_their_path((content, operations) in scenario()) {
        let mut trie = SparseTrie::empty();
        for (key, value) in &content {
            trie.insert(key, value, &NoSource).unwrap();
        }
        let owner = B256::repeat_byte(7);
        let mut source = ByPath { owner, nodes: BTreeMap::new() };
        let root = trie.commit(|path, _, rlp| {
            source.nodes.insert(path.to_vec(), Bytes::copy_from_slice(rlp));
        });
        let mut trie = SparseTrie::from_root(root).with_owner(owner);
        for operation in &operations {
            operation.apply(&mut trie, &source).unwrap();
        }
        prop_assert_eq!(trie.root(), yellow_paper_root(&after(&content, &operations)));
    }
}

struct ByPath {
    owner: B256,
    nodes: BTreeMap<Vec<u8>, Bytes>,
}

impl NodeSource for ByPath {
    type Error = Infallible;

    fn node(&self, at: &NodePath, _hash: B256) -> Result<Option<Bytes>, Self::Error> {
        assert_eq!(at.owner, Some(self.owner));
        Ok(self.nodes.get(&at.path.to_vec()).cloned())
    }
}

/// Says one node whatever the question.
struct Always(RefCell<Bytes>);

impl NodeSource for Always {
    type Error = Infallible;

    fn node(&self, _at: &NodePath, _hash: B256) -> Result<Option<Bytes>, Self::Error> {
        Ok(Some(self.0.borrow().clone()))
    }
}

fn key(nibbles: &[u8]) -> lockstep_trie::Nibbles {
    lockstep_trie::Nibbles::from_nibbles(nibbles)
}

#[test]
fn a_node_with_another_hash_is_refused_and_forgotten() {
    let (root, nodes) = store(&[(key(&[1; 8]), vec![1; 40])].into());
    let honest = nodes.get(&root).unwrap().clone();
    let mut lie = honest.to_vec();
    *lie.last_mut().unwrap() ^= 1;
    let source = Always(RefCell::new(lie.clone().into()));
    let mut trie = SparseTrie::from_root(root);
    let error = trie.get(&key(&[1; 8]), &source).unwrap_err();
    let at = Box::default();
    assert_eq!(error, TrieError::HashMismatch { at, expected: root, got: keccak256(&lie) });

    let recorder = Recorder::new(&source);
    trie.get(&key(&[1; 8]), &recorder).unwrap_err();
    assert!(recorder.into_nodes().is_empty(), "a refused node is part of the witness");

    source.0.replace(honest);
    assert_eq!(trie.get(&key(&[1; 8]), &source).unwrap(), Some(&[1; 40][..]));
}

/// Collapsing a branch that the root commits to must not lengthen a path beyond any key.
#[test]
fn a_root_that_commits_to_a_path_longer_than_any_key_is_refused() {
    let long_leaf = list(&[string(&[[0x20].as_slice(), &[0; 32]].concat()), string(&[1; 40])]);
    let short_leaf = list(&[string(&[0x31]), string(&[1])]);
    let mut children = vec![string(&[]); 17];
    children[0] = string(keccak256(&long_leaf).as_slice());
    children[1] = short_leaf;
    let branch = list(&children);
    let root = keccak256(&branch);
    let nodes = NodeSet::from_iter([branch.into(), long_leaf.into()]);
    let mut trie = SparseTrie::from_root(root);
    let error = trie.remove(&key(&[1, 1]), &nodes).unwrap_err();
    let at = NodePath { owner: None, path: key(&[0]) }.into();
    assert_eq!(error, TrieError::InvalidNode { at, error: NodeError::TooDeep });
    assert_eq!(trie.root(), root);
    assert_eq!(trie.get(&key(&[1, 1]), &nodes).unwrap(), Some(&[1][..]));
}

#[test]
fn a_root_that_commits_to_a_branch_where_every_key_has_ended_is_refused() {
    let mut children = vec![string(&[]); 17];
    children[..2].fill(string(&[7; 32]));
    let branch = list(&children);
    let path = string(&[0; 33]);
    let extension = list(&[path, string(keccak256(&branch).as_slice())]);
    let root = keccak256(&extension);
    let nodes = NodeSet::from_iter([branch.into(), extension.into()]);
    let error = SparseTrie::from_root(root).get(&key(&[0; 64]), &nodes).unwrap_err();
    let at = NodePath { owner: None, path: key(&[0; 64]) }.into();
    assert_eq!(error, TrieError::InvalidNode { at, error: NodeError::TooDeep });
}

#[test]
fn an_extension_to_a_leaf_behind_a_hash_is_refused() {
    let leaf = list(&[string(&[0x35]), string(&[1; 40])]);
    let extension = list(&[string(&[0x11]), string(keccak256(&leaf).as_slice())]);
    let root = keccak256(&extension);
    let nodes = NodeSet::from_iter([extension.into(), leaf.into()]);
    let error = SparseTrie::from_root(root).get(&key(&[1, 5]), &nodes).unwrap_err();
    let at = NodePath { owner: None, path: key(&[1]) }.into();
    assert_eq!(error, TrieError::InvalidNode { at, error: NodeError::ExtensionChild });
}

#[test]
fn a_short_node_behind_a_hash_is_refused_unless_it_is_the_root() {
    let leaf = list(&[string(&[0x35]), string(&[1])]);
    let root = keccak256(&leaf);
    let nodes = NodeSet::from_iter([leaf.clone().into()]);
    assert_eq!(SparseTrie::from_root(root).get(&key(&[5]), &nodes).unwrap(), Some(&[1][..]));

    let mut children = vec![string(&[]); 17];
    children[0] = string(root.as_slice());
    children[16] = string(&[1]);
    let branch = list(&children);
    let root = keccak256(&branch);
    let nodes = NodeSet::from_iter([branch.into(), leaf.into()]);
    let error = SparseTrie::from_root(root).get(&key(&[0, 5]), &nodes).unwrap_err();
    assert!(matches!(error, TrieError::InvalidNode { error: NodeError::HashedLength(3), .. }));
}
