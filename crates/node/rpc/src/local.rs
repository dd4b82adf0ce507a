//! Keys that the node signs with on demand. For development chains.

use alloy_primitives::{Address, B256, Signature};
use std::fmt;

/// Signs for accounts whose keys the node holds.
pub trait LocalSigner: fmt::Debug + Send + Sync {
    /// The accounts, in the order in which `eth_accounts` lists them.
    fn accounts(&self) -> Vec<Address>;

    /// A signature over a hash; `None` if the key is not held.
    fn sign_hash(&self, account: &Address, hash: &B256) -> Option<Signature>;
}
