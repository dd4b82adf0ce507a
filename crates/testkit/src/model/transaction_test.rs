//! Transaction tests: whether an encoded transaction is valid under each fork.

use crate::fields::{HexBytes, Quantity};
use alloy_primitives::{Address, B256};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A transaction test.
#[derive(Clone, Debug, Deserialize)]
pub struct TransactionTest {
    /// The encoded transaction, possibly malformed.
    pub txbytes: HexBytes,
    /// By fork, what is to come of it.
    pub result: BTreeMap<String, Expected>,
}

/// What is to come of the transaction under one fork.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    /// Set if the transaction is invalid.
    pub exception: Option<String>,
    /// Its hash.
    pub hash: Option<B256>,
    /// Who signed it.
    pub sender: Option<Address>,
    /// The gas it costs before its first instruction.
    pub intrinsic_gas: Option<Quantity>,
}
