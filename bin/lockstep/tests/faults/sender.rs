//! An account that sends one transaction after the other.

use crate::client::{CallError, Client};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, keccak256};
use alloy_signer::SignerSync;
use lockstep_devnet::{ACCOUNTS, DevAccount, MNEMONIC, accounts};
use serde_json::{Value, json};

const GWEI: u128 = 1_000_000_000;

/// The contract of a union's rollups that makes proxies.
const GATE: Address = address!("42000000000000000000000000000000000000E0");

/// Gas for a super transaction that sends ether.
const CROSSING_GAS: u64 = 500_000;

/// An account on one chain.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    account: DevAccount,
    chain_id: u64,
    nonce: u64,
    /// The proxy of an account on another rollup; each third transaction goes there.
    proxy: Option<Address>,
}

/// Where users were told that a transaction stands, before its block was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block: u64,
    pub(crate) index: u64,
}

impl Place {
    /// From a transaction or its receipt.
    pub(crate) fn of(value: &Value) -> Self {
        Self { block: quantity(&value["blockNumber"]), index: quantity(&value["transactionIndex"]) }
    }
}

impl Sender {
    /// One for each account of the development chains, which go on after what the node knows.
    pub(crate) fn all(client: &Client) -> Vec<Self> {
        let chain_id = quantity(&client.ask("eth_chainId", json!([])));
        let accounts = accounts(MNEMONIC, ACCOUNTS).unwrap();
        let begin = |account: DevAccount| {
            let mut sender = Self { account, chain_id, nonce: 0, proxy: None };
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

    /// As [`Self::send`], and waits until users are shown the transaction in a block, complete or not.
    pub(crate) fn send_and_see(&mut self, client: &Client) -> Result<(B256, Place), CallError> {
        let (hash, encoded) = self.next_transaction();
        let receipt = client.call("eth_sendRawTransactionSync", json!([encoded]))?;
        assert_eq!(receipt["transactionHash"], json!(hash));
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        self.nonce += 1;
        Ok((hash, Place::of(&receipt)))
    }

    /// From here on sends ether to the peer, too. The first one makes the proxy that this needs.
    pub(crate) fn cross_to(&mut self, peer: u64, client: &Client) -> Result<(), CallError> {
        let receiver = Address::repeat_byte(0xce);
        let call = |function: &str| {
            let arguments = [U256::from(peer).into(), receiver.into_word()].concat();
            Bytes::from([&keccak256(function)[..4], &arguments[..]].concat())
        };
        let asked = json!([{ "to": GATE, "data": call("proxyOf(uint256,address)") }, "latest"]);
        let proxy: B256 = serde_json::from_value(client.call("eth_call", asked)?).unwrap();
        let proxy = Address::from_word(proxy);
        if client.call("eth_getCode", json!([proxy, "pending"]))? == "0x" {
            let deploy = TxEip1559 {
                gas_limit: CROSSING_GAS,
                to: TxKind::Call(GATE),
                input: call("deployProxy(uint256,address)"),
                ..Default::default()
            };
            let (_, encoded) = self.sign(deploy);
            client.call("eth_sendRawTransactionSync", json!([encoded]))?;
            self.nonce += 1;
        }
        self.proxy = Some(proxy);
        Ok(())
    }

    fn next_transaction(&self) -> (B256, Bytes) {
        let somebody = Address::from_word(B256::from(U256::from(0xf00d + self.nonce % 97)));
        let (to, gas_limit) = match self.proxy {
            Some(proxy) if self.nonce.is_multiple_of(3) => (proxy, CROSSING_GAS),
            _ => (somebody, 21_000),
        };
        let to = TxKind::Call(to);
        self.sign(TxEip1559 { gas_limit, to, value: U256::ONE, ..Default::default() })
    }

    fn sign(&self, tx: TxEip1559) -> (B256, Bytes) {
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            max_fee_per_gas: 1_000 * GWEI,
            max_priority_fee_per_gas: GWEI,
            ..tx
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
