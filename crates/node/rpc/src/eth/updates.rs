//! What updates added to the block that is being built, for subscribers.

use super::{incomplete, transactions::in_pending_block};
use crate::{Context, RpcChain, RpcError, RpcResult};
use alloy_consensus::BlockHeader;
use alloy_primitives::{B256, U64};
use lockstep_engine::PendingBlock;
use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use std::ops::Range;

/// What one update added.
#[derive(Debug)]
pub(crate) struct Update {
    /// What the block stands on.
    pub(crate) parent: B256,
    /// The positions of the transactions in the block.
    pub(crate) added: Range<usize>,
    /// What subscribers are told: written once for all of them.
    pub(crate) json: Box<RawValue>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<T> {
    number: U64,
    parent_hash: B256,
    timestamp: U64,
    /// The position of the first of the transactions. What was told from there on before is not in the block.
    first_index: U64,
    transactions: Vec<T>,
    receipts: Vec<Value>,
}

impl Update {
    /// That these transactions of the block are new.
    pub(crate) fn new<C: RpcChain>(
        context: &Context<C>,
        pending: &PendingBlock<C>,
        added: Range<usize>,
    ) -> RpcResult<Self> {
        let header = &pending.block.block.header;
        let (chain, parent) = (context.view.chain(), pending.block.parent_hash());
        let transactions =
            added.clone().filter_map(|index| in_pending_block(context, pending, index));
        let told = Told {
            number: U64::from(header.number()),
            parent_hash: parent,
            timestamp: U64::from(header.timestamp()),
            first_index: U64::from(added.start),
            transactions: transactions.collect(),
            receipts: incomplete::receipts(
                chain,
                &pending.block,
                &pending.receipts,
                added.clone(),
            )?,
        };
        let json = to_raw_value(&told).map_err(|error| RpcError::Internal(error.to_string()))?;
        Ok(Self { parent, added, json })
    }
}
