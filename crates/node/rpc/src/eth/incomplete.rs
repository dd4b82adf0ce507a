//! How a block is told that is not complete.
//!
//! Its hash is not known, nor are the roots that follow from its end: they are null, as is the block's hash in its
//! receipts and their logs. Gas used and bloom are those of the transactions so far.

use super::blocks::{Found, RpcBlock};
use crate::{RpcChain, RpcError, RpcResult};
use alloy_consensus::{Header, TxReceipt};
use alloy_primitives::{B256, Bloom, Sealed};
use alloy_rpc_types_eth::TransactionInfo;
use lockstep_storage::RecoveredBlock;
use serde::Serialize;
use serde_json::Value;
use std::ops::Range;

/// Fields of a header that only a complete block has.
const UNKNOWN: [&str; 6] =
    ["hash", "nonce", "stateRoot", "transactionsRoot", "receiptsRoot", "withdrawalsRoot"];

/// Something that is told in another way as long as its block is not complete.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Told<T> {
    /// Of a complete block.
    Complete(T),
    /// Of one that is not.
    Incomplete(Value),
}

fn to_json(value: &impl Serialize) -> RpcResult<Value> {
    serde_json::to_value(value).map_err(|error| RpcError::Internal(error.to_string()))
}

fn set_null(value: &mut Value, field: &str) {
    if let Some(value) = value.get_mut(field) {
        value.take();
    }
}

/// The header as far as it is known, with a hash that means nothing.
fn header_so_far<C: RpcChain>(
    block: &RecoveredBlock<C>,
    receipts: &[C::Receipt],
) -> Sealed<Header> {
    let mut header: Header = block.block.header.clone();
    header.gas_used = receipts.last().map_or(0, TxReceipt::cumulative_gas_used);
    header.logs_bloom = receipts.iter().fold(Bloom::ZERO, |sum, receipt| sum | receipt.bloom());
    Sealed::new_unchecked(header, B256::ZERO)
}

/// A header in JSON.
pub(super) fn header<C: RpcChain>(found: &Found<C>) -> RpcResult<Value> {
    let receipts = found.receipts.as_deref().map(Vec::as_slice).unwrap_or_default();
    let header = header_so_far(&found.block, receipts);
    let mut told = to_json(&super::blocks::rpc_header(&found.block, header))?;
    UNKNOWN.iter().for_each(|field| set_null(&mut told, field));
    Ok(told)
}

/// A block in JSON, with whole transactions if `full`, with their hashes otherwise.
pub(super) fn block<C: RpcChain>(chain: &C, found: &Found<C>, full: bool) -> RpcResult<Value> {
    let receipts = found.receipts.as_deref().map(Vec::as_slice).unwrap_or_default();
    let info = |_: &RecoveredBlock<C>, _| TransactionInfo::default();
    let transactions =
        super::blocks::rpc_transactions(chain, &found.block, Some(receipts), full, info);
    let header = super::blocks::rpc_header(&found.block, header_so_far(&found.block, receipts));
    let block: RpcBlock<C> =
        RpcBlock::<C> { header, uncles: Vec::new(), transactions, withdrawals: None };
    let mut told = to_json(&block)?;
    UNKNOWN.iter().for_each(|field| set_null(&mut told, field));
    Ok(told)
}

/// Receipts of a block in JSON.
pub(super) fn receipts<C: RpcChain>(
    chain: &C,
    block: &RecoveredBlock<C>,
    receipts: &[C::Receipt],
    range: Range<usize>,
) -> RpcResult<Vec<Value>> {
    let told = chain.rpc_receipts(&block.block, &block.senders, receipts, range);
    let told = told.iter().map(|receipt| {
        let mut told = to_json(receipt)?;
        set_null(&mut told, "blockHash");
        if let Some(Value::Array(logs)) = told.get_mut("logs") {
            logs.iter_mut().for_each(|log| set_null(log, "blockHash"));
        }
        Ok(told)
    });
    told.collect()
}
