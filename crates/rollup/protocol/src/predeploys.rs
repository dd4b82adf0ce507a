//! Contracts that every rollup has from its first block on (OP specification: predeploys).

use alloy_primitives::{Address, address};

/// Where withdrawals are sent.
pub const L2_TO_L1_MESSAGE_PASSER: Address = address!("4200000000000000000000000000000000000016");
/// Messages between L1 and the rollup.
pub const L2_CROSS_DOMAIN_MESSENGER: Address = address!("4200000000000000000000000000000000000007");
/// Tokens between L1 and the rollup.
pub const L2_STANDARD_BRIDGE: Address = address!("4200000000000000000000000000000000000010");
/// Prices of gas and of data.
pub const GAS_PRICE_ORACLE: Address = address!("420000000000000000000000000000000000000F");
/// Who receives the tips.
pub const SEQUENCER_FEE_VAULT: Address = address!("4200000000000000000000000000000000000011");
/// Who receives the base fees.
pub const BASE_FEE_VAULT: Address = address!("4200000000000000000000000000000000000019");
/// Who receives the L1 fees.
pub const L1_FEE_VAULT: Address = address!("420000000000000000000000000000000000001A");
/// Who receives the operator fees (Isthmus).
pub const OPERATOR_FEE_VAULT: Address = address!("420000000000000000000000000000000000001B");
/// Where messages of other rollups are checked (Interop).
pub const CROSS_L2_INBOX: Address = address!("4200000000000000000000000000000000000022");
/// Messages between rollups (Interop).
pub const L2_TO_L2_CROSS_DOMAIN_MESSENGER: Address =
    address!("4200000000000000000000000000000000000023");
