//! VM tests: one call frame, the format that preceded state tests.

use super::{account::Accounts, state::Env};
use crate::fields::{HexBytes, Number, Quantity};
use alloy_primitives::{Address, B256};
use serde::Deserialize;

/// A VM test.
#[derive(Clone, Debug, Deserialize)]
pub struct VmTest {
    /// The block around the call.
    pub env: Env,
    /// The call.
    pub exec: Exec,
    /// The state before.
    pub pre: Accounts,
    /// The state after; absent if the call fails.
    pub post: Option<Accounts>,
    /// The gas left after the call.
    pub gas: Option<Number>,
    /// Keccak-256 of the RLP of all logs.
    pub logs: Option<B256>,
    /// What the call returns.
    pub out: Option<HexBytes>,
}

/// The call of a [`VmTest`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names of the call's fields")]
pub struct Exec {
    pub address: Address,
    pub caller: Address,
    pub origin: Address,
    pub code: HexBytes,
    pub data: HexBytes,
    pub gas: Number,
    pub gas_price: Quantity,
    pub value: Quantity,
}
