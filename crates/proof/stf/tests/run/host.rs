//! One who knows L1 and the rollup, and gives no more of them than is hinted at.

use alloy_primitives::{B256, Bytes, keccak256};
use lockstep_preimage::{Hint, PreimageError, PreimageKey, PreimageOracle, PreimageSet};
use lockstep_trie::{Nibbles, NoSource, NodePath, NodeSet, NodeSource, SparseTrie, StateTrie};
use std::{cell::RefCell, collections::HashMap, convert::Infallible};

/// Gives what is under the local keys, and what was hinted at.
#[derive(Default)]
pub(crate) struct Host {
    /// What is given for each hint that is not about the state.
    announced: HashMap<Hint, Vec<(PreimageKey, Bytes)>>,
    /// All nodes of all states.
    pub(crate) nodes: NodeSet,
    /// All codes.
    pub(crate) codes: HashMap<B256, Bytes>,
    /// The state roots, by the hash of the block after which they are.
    pub(crate) roots: HashMap<B256, B256>,
    pub(crate) given: RefCell<PreimageSet>,
    /// The key whose answer is wrong in its first byte.
    pub(crate) lie: Option<PreimageKey>,
    /// Whether it says that it has checked the elements of blobs.
    pub(crate) attests_blobs: bool,
}

impl Host {
    /// Gives these bytes by their hash when `hint` comes.
    pub(crate) fn announce(&mut self, hint: Hint, preimages: impl IntoIterator<Item = Bytes>) {
        let keyed = |bytes: Bytes| (PreimageKey::keccak256(keccak256(&bytes)), bytes);
        self.announce_keyed(hint, preimages.into_iter().map(keyed));
    }

    pub(crate) fn announce_keyed(
        &mut self,
        hint: Hint,
        preimages: impl IntoIterator<Item = (PreimageKey, Bytes)>,
    ) {
        self.announced.entry(hint).or_default().extend(preimages);
    }

    /// Puts items into an ordered trie, to be given when `hint` comes, and returns its root.
    pub(crate) fn announce_list(
        &mut self,
        items: impl IntoIterator<Item = Vec<u8>>,
    ) -> (B256, Vec<Bytes>) {
        let mut trie = SparseTrie::empty();
        for (index, item) in items.into_iter().enumerate() {
            let key = Nibbles::unpack(alloy_rlp::encode(index));
            trie.insert(&key, &item, &NoSource).expect("nothing is blinded");
        }
        let mut nodes = Vec::new();
        let root = trie.commit(|_, _, rlp| nodes.push(Bytes::copy_from_slice(rlp)));
        (root, nodes)
    }

    /// Forgets what was given, and says something else under the local keys.
    pub(crate) fn boot(&mut self, local: Vec<(PreimageKey, Bytes)>) {
        let mut given = PreimageSet::new();
        for (key, value) in local {
            given.insert(key, value).expect("local keys are no hashes");
        }
        self.given = RefCell::new(given);
    }

    fn give(&self, preimages: impl IntoIterator<Item = Bytes>) {
        let mut given = self.given.borrow_mut();
        for preimage in preimages {
            given.insert_keccak256(preimage);
        }
    }

    fn prove(&self, block: &B256, address: &[u8], slots: &[B256]) {
        let mut trie = StateTrie::from_root(self.roots[block]);
        let slots: Vec<B256> = slots.iter().map(keccak256).collect();
        let proof =
            trie.prove(keccak256(address), &slots, &self.nodes).expect("all nodes are here");
        self.give(proof.proof);
        self.give(proof.storage.into_iter().flat_map(|slot| slot.proof));
    }
}

impl PreimageOracle for Host {
    type Error = PreimageError<Infallible>;

    fn get(&self, key: PreimageKey) -> Result<Bytes, Self::Error> {
        let answer = self.given.borrow().get(key)?;
        if self.lie == Some(key) {
            let (first, rest) = answer.split_first().expect("no lie is told of nothing");
            return Ok([&[first ^ 1], rest].concat().into());
        }
        Ok(answer)
    }

    fn hint(&self, hint: &Hint) -> Result<(), Self::Error> {
        match hint {
            Hint::L2AccountProof { block, address } => self.prove(block, address.as_slice(), &[]),
            Hint::L2StorageProof { block, address, slot } => {
                self.prove(block, address.as_slice(), &[*slot]);
            }
            Hint::L2Code(hash) => self.give(self.codes.get(hash).cloned()),
            Hint::L2StateNode(hash) => {
                let Ok(node) = self.nodes.node(&NodePath::default(), *hash);
                self.give(node);
            }
            Hint::L2BlockWitness(_) => {}
            other => {
                let preimages = self.announced.get(other);
                let preimages =
                    preimages.unwrap_or_else(|| panic!("nothing to give for {other:?}"));
                for (key, preimage) in preimages {
                    let mut given = self.given.borrow_mut();
                    given.insert(*key, preimage.clone()).expect("the host knows hashes");
                }
            }
        }
        Ok(())
    }

    fn attests_blobs(&self) -> bool {
        self.attests_blobs
    }
}
