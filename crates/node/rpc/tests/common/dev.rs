//! A development chain with funded keys and a contract that logs.

#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "test code")]

use super::Node;
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address};
use alloy_rpc_types_engine::PayloadAttributes;
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::Ethereum;
use lockstep_rpc::{Limits, LocalSigner};
use lockstep_storage::ExecutedBlock;
use std::{path::PathBuf, sync::Arc};

pub(crate) const CHAIN_ID: u64 = 1337;

/// Logs one topic, which is the first word of its input.
pub(crate) const LOGGER: Address = address!("00000000000000000000000000000000000c0de1");
/// The same code elsewhere.
pub(crate) const OTHER_LOGGER: Address = address!("00000000000000000000000000000000000c0de2");
/// Stores the first word of its input in slot 0.
pub(crate) const KEEPER: Address = address!("00000000000000000000000000000000000c0de3");
/// Runs until its gas is used up.
pub(crate) const LOOPER: Address = address!("00000000000000000000000000000000000c0de4");

/// The key whose account the genesis file funds.
pub(crate) fn key() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(0x42)).unwrap()
}

pub(crate) fn genesis_json() -> String {
    let rich = key().address();
    format!(
        r#"{{
  "config": {{
    "chainId": {CHAIN_ID}, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
    "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
    "berlinBlock": 0, "londonBlock": 0, "terminalTotalDifficulty": 0,
    "terminalTotalDifficultyPassed": true, "shanghaiTime": 0, "cancunTime": 0
  }},
  "timestamp": "0x1", "gasLimit": "0x3938700", "difficulty": "0x0", "extraData": "0x",
  "baseFeePerGas": "0x3b9aca00",
  "alloc": {{
    "{rich}": {{ "balance": "0xd3c21bcecceda1000000" }},
    "{LOGGER}": {{ "balance": "0x0", "code": "0x60003560006000a100" }},
    "{OTHER_LOGGER}": {{ "balance": "0x0", "code": "0x60003560006000a100" }},
    "{KEEPER}": {{ "balance": "0x0", "code": "0x60003560005500", "storage": {{ "0x01": "0x02" }} }},
    "{LOOPER}": {{ "balance": "0x0", "code": "0x5b600056" }}
  }}
}}"#
    )
}

/// Signs with [`key`] on demand.
#[derive(Debug)]
pub(crate) struct DevSigner;

impl LocalSigner for DevSigner {
    fn accounts(&self) -> Vec<Address> {
        vec![key().address()]
    }

    fn sign_hash(&self, account: &Address, hash: &B256) -> Option<Signature> {
        let key = key();
        (key.address() == *account).then(|| key.sign_hash_sync(hash).unwrap())
    }
}

impl Node {
    /// A node on the development chain.
    pub(crate) async fn dev(limits: Limits) -> Self {
        Self::start(genesis_json().as_bytes(), &[], limits).await
    }

    /// The same, with an IPC socket.
    pub(crate) async fn dev_with_ipc(limits: Limits, path: PathBuf) -> Self {
        Self::start_with(genesis_json().as_bytes(), &[], limits, Some(path)).await
    }

    /// The attributes of a child of the head that differs from others by `salt`.
    pub(crate) fn attributes(&self, salt: u8) -> PayloadAttributes {
        self.attributes_on(self.engine.view().head().timestamp, salt)
    }

    pub(crate) fn attributes_on(&self, parent_timestamp: u64, salt: u8) -> PayloadAttributes {
        PayloadAttributes {
            timestamp: parent_timestamp + 12,
            prev_randao: B256::repeat_byte(salt),
            suggested_fee_recipient: Address::repeat_byte(9),
            withdrawals: Some(Vec::new()),
            parent_beacon_block_root: Some(B256::ZERO),
            slot_number: None,
            target_gas_limit: None,
        }
    }

    /// Puts what is in the pool into a block on the head.
    pub(crate) fn mine(&self) -> Arc<ExecutedBlock<Ethereum>> {
        let block = self.engine.produce(&self.attributes(0)).unwrap();
        // The pool hears of it on a thread of its own.
        let is_pooled = |hash: &B256| self.pool.contains(hash);
        while block.block.transactions().iter().any(|each| is_pooled(each.tx_hash())) {
            std::thread::yield_now();
        }
        block
    }

    /// Replaces the newest `depth` blocks by `depth + 1` empty ones.
    pub(crate) fn reorg(&self, depth: u64) -> B256 {
        let snapshot = self.engine.view().snapshot();
        let base = snapshot.head().number - depth;
        let base = snapshot.header(base).unwrap().unwrap();
        let (mut parent, mut timestamp) = (base.seal(), base.timestamp);
        for _ in 0..=depth {
            let attributes = self.attributes_on(timestamp, 0xee);
            let quiet = lockstep_engine::NoTransactions;
            let built = self.engine.build_with(parent, &attributes, &quiet, None).unwrap();
            let block = built.block.block.block.clone();
            let status = self.engine.insert(block).unwrap();
            assert!(status.is_valid(), "{status:?}");
            (parent, timestamp) = (built.block.block.hash(), attributes.timestamp);
        }
        let state = alloy_rpc_types_engine::ForkchoiceState {
            head_block_hash: parent,
            ..Default::default()
        };
        let status = self.engine.fork_choice(state).unwrap();
        assert!(status.is_valid(), "{status:?}");
        parent
    }
}

/// A signed call of `to` with `input`.
pub(crate) fn call(nonce: u64, to: Address, input: impl Into<Bytes>) -> Bytes {
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        value: U256::ZERO,
        input: input.into(),
        ..Default::default()
    };
    let signature = key().sign_hash_sync(&transaction.signature_hash()).unwrap();
    let envelope: EthereumTxEnvelope<TxEip4844> = transaction.into_signed(signature).into();
    envelope.encoded_2718().into()
}

/// A word as call data.
pub(crate) fn word(value: u64) -> Bytes {
    U256::from(value).to_be_bytes_vec().into()
}
