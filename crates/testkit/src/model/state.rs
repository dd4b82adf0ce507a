//! State tests: one transaction on a state, under several forks.

use super::{account::Accounts, blockchain::Config, transaction::StateTransaction};
use crate::fields::{HexBytes, Number, Quantity, Word};
use alloy_primitives::{Address, B256};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A state test, as in `GeneralStateTests` and EEST's `state_tests`.
#[derive(Clone, Debug, Deserialize)]
pub struct StateTest {
    /// The block that the transaction stands in.
    pub env: Env,
    /// The state before.
    pub pre: Accounts,
    /// The transaction, with alternatives for some of its fields.
    pub transaction: StateTransaction,
    /// By fork, what is to come of each combination of alternatives.
    pub post: BTreeMap<String, Vec<Post>>,
    /// Chain id and blob parameters, where they are not the usual ones.
    pub config: Option<Config>,
}

/// The fields of the header that execution can see.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names of the header's fields")]
pub struct Env {
    pub current_coinbase: Address,
    #[serde(default)]
    pub current_difficulty: Quantity,
    pub current_gas_limit: Number,
    pub current_number: Number,
    pub current_timestamp: Number,
    pub current_base_fee: Option<Number>,
    pub current_random: Option<Word>,
    pub current_excess_blob_gas: Option<Number>,
    pub parent_excess_blob_gas: Option<Number>,
    pub parent_blob_gas_used: Option<Number>,
    pub current_beacon_root: Option<B256>,
}

/// What is to come of one transaction under one fork.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Post {
    /// Which alternatives to take.
    pub indexes: Indexes,
    /// The state root after.
    pub hash: B256,
    /// Keccak-256 of the RLP of all logs.
    pub logs: B256,
    /// The signed transaction.
    pub txbytes: Option<HexBytes>,
    /// Set if the transaction must be refused.
    pub expect_exception: Option<String>,
    /// The whole state after.
    pub state: Option<Accounts>,
}

/// Positions in the lists of a [`StateTransaction`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[expect(missing_docs, reason = "the names of the lists")]
pub struct Indexes {
    pub data: usize,
    pub gas: usize,
    pub value: usize,
}
