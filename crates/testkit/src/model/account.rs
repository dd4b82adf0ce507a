//! Accounts of a state.

use crate::fields::{HexBytes, Number, Quantity};
use alloy_primitives::Address;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A whole state.
pub type Accounts = BTreeMap<Address, AccountFields>;

/// One account. A field that is absent is zero or empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names of the account's fields")]
pub struct AccountFields {
    pub balance: Quantity,
    pub nonce: Number,
    pub code: HexBytes,
    pub storage: BTreeMap<Quantity, Quantity>,
}
