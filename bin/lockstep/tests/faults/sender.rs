//! An account that sends one transaction after the other.

use crate::client::{CallError, Client};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use lockstep_devnet::{ACCOUNTS, DevAccount, MNEMONIC, accounts};
use serde_json::{Value, json};

const GWEI: u128 = 1_000_000_000;

/// An account on one chain.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    account: DevAccount,
    chain_id: u64,
    nonce: u64,
}

impl Sender {
    /// One for each account of the development chains, which go on after what the node knows.
    pub(crate) fn all(client: &Client) -> Vec<Self> {
        let chain_id = quantity(&client.ask("eth_chainId", json!([])));
        let accounts = accounts(MNEMONIC, ACCOUNTS).unwrap();
        let begin = |account: DevAccount| {
            let mut sender = Self { account, chain_id, nonce: 0 };
            sender.refresh(client).unwrap();
            sender
        };
        accounts.into_iter().map(begin).collect()
    }

    pub(crate) const fn address(&self) -> Address {
        self.account.address
    }

    /// Goes on after what the node knows.
    pub(crate) fn refresh(&mut self, client: &Client) -> Result<(), CallError> {
        let params = json!([self.account.address, "pending"]);
        self.nonce = quantity(&client.call("eth_getTransactionCount", params)?);
        Ok(())
    }

    /// Sends a transaction: its hash, once the node has acknowledged it.
    pub(crate) fn send(&mut self, client: &Client) -> Result<B256, CallError> {
        let (hash, encoded) = self.next_transaction();
        let acknowledged = client.call("eth_sendRawTransaction", json!([encoded]))?;
        assert_eq!(acknowledged, json!(hash));
        self.nonce += 1;
        Ok(hash)
    }

    fn next_transaction(&self) -> (B256, Bytes) {
        let to = Address::from_word(B256::from(U256::from(0xf00d + self.nonce % 97)));
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 1_000 * GWEI,
            max_priority_fee_per_gas: GWEI,
            to: TxKind::Call(to),
            value: U256::ONE,
            ..Default::default()
        };
        let signature = self.account.signer.sign_hash_sync(&tx.signature_hash()).unwrap();
        let signed = TxEnvelope::from(tx.into_signed(signature));
        (*signed.tx_hash(), signed.encoded_2718().into())
    }
}

/// A number in hexadecimal.
pub(crate) fn quantity(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is not a quantity"));
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}
