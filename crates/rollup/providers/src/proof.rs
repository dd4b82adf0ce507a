//! `eth_getProof` (EIP-1186), and whether it holds.

use crate::{bounded::Bounded, l2::MAX_PROVEN_SLOTS};
use alloy_primitives::{Address, B256, Bytes, U64, U256, keccak256};
use lockstep_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, Nibbles, TrieAccount, verify_proof};
use serde::Deserialize;

/// The most nodes on one path: a nibble each, and the leaf.
const MAX_PATH_NODES: usize = 65;

/// The answer to `eth_getProof`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RpcProof {
    address: Address,
    balance: U256,
    code_hash: B256,
    nonce: U64,
    storage_hash: B256,
    account_proof: Bounded<Bytes, MAX_PATH_NODES>,
    storage_proof: Bounded<RpcSlotProof, MAX_PROVEN_SLOTS>,
}

#[derive(Debug, Deserialize)]
struct RpcSlotProof {
    #[serde(default)]
    value: U256,
    proof: Bounded<Bytes, MAX_PATH_NODES>,
}

/// The trie nodes on the paths to an account and to some of its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The root of the account's storage; the empty root if there is no such account.
    pub storage_root: B256,
    /// The nodes, from the state root on. They prove the account's content or its absence.
    pub account_nodes: Vec<Bytes>,
    /// The nodes on the path to each slot, from the storage root on.
    pub slot_nodes: Vec<Vec<Bytes>>,
}

impl RpcProof {
    /// What is proven of `address` under `state_root`.
    pub(crate) fn verify(
        self,
        state_root: B256,
        address: Address,
        slots: usize,
    ) -> Result<AccountProof, String> {
        if self.address != address {
            return Err(format!("one of {}", self.address));
        }
        if self.storage_proof.0.len() != slots {
            return Err(format!("{} proofs of slots", self.storage_proof.0.len()));
        }
        let account = TrieAccount {
            nonce: self.nonce.to(),
            balance: self.balance,
            storage_root: self.storage_hash,
            code_hash: self.code_hash,
        };
        let key = Nibbles::unpack(keccak256(address));
        let value = alloy_rlp::encode(account);
        let exists = verify_proof(state_root, &key, Some(&value), &self.account_proof.0);
        let storage_root = match exists {
            Ok(()) => self.storage_hash,
            Err(reason) if self.is_empty() => {
                verify_proof(state_root, &key, None, &self.account_proof.0)
                    .map_err(|_| reason.to_string())?;
                EMPTY_ROOT_HASH
            }
            Err(reason) => return Err(reason.to_string()),
        };
        let slot_nodes: Vec<Vec<Bytes>> =
            self.storage_proof.0.into_iter().map(|slot| slot.proof.0).collect();
        for nodes in &slot_nodes {
            if let Some(first) = nodes.first()
                && keccak256(first) != storage_root
            {
                return Err("nodes of another storage".to_owned());
            }
        }
        Ok(AccountProof { storage_root, account_nodes: self.account_proof.0, slot_nodes })
    }

    /// The values of some slots of `address` under `state_root`.
    pub(crate) fn verify_values(
        self,
        state_root: B256,
        address: Address,
        slots: &[B256],
    ) -> Result<Vec<U256>, String> {
        let values: Vec<U256> = self.storage_proof.0.iter().map(|slot| slot.value).collect();
        let proof = self.verify(state_root, address, slots.len())?;
        for ((slot, value), nodes) in slots.iter().zip(&values).zip(&proof.slot_nodes) {
            let key = Nibbles::unpack(keccak256(slot));
            let encoded = (!value.is_zero()).then(|| alloy_rlp::encode(value));
            verify_proof(proof.storage_root, &key, encoded.as_deref(), nodes)
                .map_err(|reason| format!("slot {slot}: {reason}"))?;
        }
        Ok(values)
    }

    /// Whether the answer may be about an account that does not exist. Nodes differ in what hashes
    /// they give to those.
    fn is_empty(&self) -> bool {
        self.nonce.is_zero()
            && self.balance.is_zero()
            && [KECCAK_EMPTY, B256::ZERO].contains(&self.code_hash)
            && [EMPTY_ROOT_HASH, B256::ZERO].contains(&self.storage_hash)
    }
}
