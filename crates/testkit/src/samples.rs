//! Small fixtures for unit tests, in the official formats.

use crate::{model::account::Accounts, world::memory_state};
use alloy_consensus::{BlockBody, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::hex;
use lockstep_chain::{Block, Ethereum};

/// The first block of a chain that has Shanghai's rules from the beginning.
pub(crate) fn shanghai_genesis(pre: &str) -> Header {
    let accounts: Accounts = serde_json::from_str(pre).unwrap();
    Header {
        state_root: memory_state(&accounts).state_root(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        withdrawals_root: Some(EMPTY_ROOT_HASH),
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(1_000),
        ..Default::default()
    }
}

/// The header as fixtures spell it.
pub(crate) fn header_json(header: &Header) -> String {
    let mut fields = serde_json::to_value(header).unwrap();
    let object = fields.as_object_mut().unwrap();
    object.insert("hash".into(), header.hash_slow().to_string().into());
    fields.to_string()
}

/// A block without transactions, ommers and withdrawals.
pub(crate) fn empty_block_rlp(header: &Header) -> String {
    let body = BlockBody { withdrawals: Some(Withdrawals::default()), ..Default::default() };
    let block = Block::<Ethereum> { header: header.clone(), body };
    hex::encode_prefixed(alloy_rlp::encode(block))
}
