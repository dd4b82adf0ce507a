//! Make proofs and multiproofs.

use crate::{
    error::TrieError,
    node::NodeRef,
    source::{NodeSet, NodeSource},
    sparse::SparseTrie,
    state::StateTrie,
};
use alloc::vec::Vec;
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_trie::{Nibbles, TrieAccount};

impl SparseTrie {
    /// The nodes on the path of `key` from the root on, embedded ones being part of their
    /// parents: a proof of its value or, when it has none, of its absence. Empty for the empty
    /// trie.
    ///
    /// # Errors
    ///
    /// A [`TrieError`] when a node on the path is missing or wrong.
    pub fn prove<S: NodeSource>(
        &mut self,
        key: &Nibbles,
        source: &S,
    ) -> Result<Vec<Bytes>, TrieError<S::Error>> {
        let mut proof = Vec::new();
        self.visit_path(key, source, |_, rlp| proof.push(rlp()))?;
        Ok(proof)
    }

    /// Adds the proofs of all `keys` to `nodes`, each node once.
    ///
    /// # Errors
    ///
    /// A [`TrieError`] when a node on a path is missing or wrong; `nodes` then holds the proofs
    /// of the keys before.
    pub fn multiproof<'a, S: NodeSource>(
        &mut self,
        keys: impl IntoIterator<Item = &'a Nibbles>,
        source: &S,
        nodes: &mut NodeSet,
    ) -> Result<(), TrieError<S::Error>> {
        for key in keys {
            self.visit_path(key, source, |hash, rlp| {
                if !nodes.contains(&hash) {
                    nodes.insert_hashed(hash, rlp());
                }
            })?;
        }
        Ok(())
    }

    /// Calls `visit` with the hash, and a way to get the RLP, of every node on the path of `key`
    /// that is not embedded.
    fn visit_path<S: NodeSource>(
        &mut self,
        key: &Nibbles,
        source: &S,
        mut visit: impl FnMut(B256, &dyn Fn() -> Bytes),
    ) -> Result<(), TrieError<S::Error>> {
        self.root();
        self.descend(key, source)?;
        for (index, step) in self.walk.iter().enumerate() {
            let rlp = || {
                let mut rlp = Vec::new();
                self.encode(step.node, &mut rlp);
                Bytes::from(rlp)
            };
            match self.nodes.get(step.node).reference {
                Some(NodeRef::Hash(hash)) => visit(hash, &rlp),
                Some(NodeRef::Embedded(root)) if index == 0 => {
                    visit(keccak256(root.as_rlp()), &rlp);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The answer to `eth_getProof` (EIP-1186), in hashed keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The account, or `None` when the proof is one of absence.
    pub account: Option<TrieAccount>,
    /// The nodes from the state root to the account.
    pub proof: Vec<Bytes>,
    /// One proof per slot asked for, in that order.
    pub storage: Vec<SlotProof>,
}

/// A storage slot and its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// The keccak-256 hash of the slot.
    pub hashed_slot: B256,
    /// Its value, zero when the proof is one of absence.
    pub value: U256,
    /// The nodes from the storage root to the slot.
    pub proof: Vec<Bytes>,
}

impl StateTrie {
    /// Proves an account and some of its slots, after applying all writes as
    /// [`StateTrie::root`] does.
    ///
    /// # Errors
    ///
    /// A [`TrieError`] when a node on a path is missing or wrong.
    pub fn prove<S: NodeSource>(
        &mut self,
        hashed_address: B256,
        hashed_slots: &[B256],
        source: &S,
    ) -> Result<AccountProof, TrieError<S::Error>> {
        self.root(source)?;
        let account = self.account(hashed_address, source)?;
        let proof = self.accounts.prove(&Nibbles::unpack(hashed_address), source)?;
        let mut storage = Vec::with_capacity(hashed_slots.len());
        for hashed_slot in hashed_slots.iter().copied() {
            let value = self.slot(hashed_address, hashed_slot, source)?;
            let key = Nibbles::unpack(hashed_slot);
            let proof = self.storage(hashed_address, source)?.prove(&key, source)?;
            storage.push(SlotProof { hashed_slot, value, proof });
        }
        Ok(AccountProof { account, proof, storage })
    }

    /// Adds the proofs of an account and some of its slots to `nodes`, each node once, after
    /// applying all writes as [`StateTrie::root`] does.
    ///
    /// # Errors
    ///
    /// A [`TrieError`] when a node on a path is missing or wrong.
    pub fn multiproof<S: NodeSource>(
        &mut self,
        hashed_address: B256,
        hashed_slots: &[B256],
        source: &S,
        nodes: &mut NodeSet,
    ) -> Result<(), TrieError<S::Error>> {
        self.root(source)?;
        self.accounts.multiproof([&Nibbles::unpack(hashed_address)], source, nodes)?;
        for hashed_slot in hashed_slots {
            let key = Nibbles::unpack(hashed_slot);
            self.storage(hashed_address, source)?.multiproof([&key], source, nodes)?;
        }
        Ok(())
    }
}
