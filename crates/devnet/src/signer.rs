//! The node signs for the accounts whose keys everybody knows.

use crate::DevAccount;
use alloy_primitives::{Address, B256, Signature, map::AddressMap};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_rpc::LocalSigner;

/// Signs for the accounts of a development network.
#[derive(Clone, Debug)]
pub struct DevSigner {
    order: Vec<Address>,
    signers: AddressMap<PrivateKeySigner>,
}

impl DevSigner {
    /// Signs for these accounts.
    pub fn new(accounts: &[DevAccount]) -> Self {
        Self {
            order: accounts.iter().map(|account| account.address).collect(),
            signers: accounts
                .iter()
                .map(|account| (account.address, account.signer.clone()))
                .collect(),
        }
    }
}

impl LocalSigner for DevSigner {
    fn accounts(&self) -> Vec<Address> {
        self.order.clone()
    }

    fn sign_hash(&self, account: &Address, hash: &B256) -> Option<Signature> {
        self.signers.get(account)?.sign_hash_sync(hash).ok()
    }
}
