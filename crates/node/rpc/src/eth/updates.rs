//! What updates added to the block that is being built, for subscribers.

use super::{blocks::Found, incomplete, transactions::in_block};
use crate::{Context, RpcChain, RpcError, RpcResult};
use alloy_consensus::BlockHeader;
use alloy_primitives::{B256, U64};
use lockstep_engine::PendingBlock;
use lockstep_storage::RecoveredBlock;
use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use std::{ops::Range, sync::Arc};

/// What one update added, or the end of the block.
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
    /// Absent as long as the block is not complete.
    hash: Option<B256>,
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
        let (block, receipts) = (pending.block.clone(), pending.receipts.clone());
        let found = Found { block, receipts: Some(receipts), is_pending: true };
        Self::of(context, &found, added)
    }

    /// That the block is complete, and that these of its transactions are new.
    pub(crate) fn complete<C: RpcChain>(
        context: &Context<C>,
        block: Arc<RecoveredBlock<C>>,
        receipts: Arc<Vec<C::Receipt>>,
        added: Range<usize>,
    ) -> RpcResult<Self> {
        let found = Found { block, receipts: Some(receipts), is_pending: false };
        Self::of(context, &found, added)
    }

    fn of<C: RpcChain>(
        context: &Context<C>,
        found: &Found<C>,
        added: Range<usize>,
    ) -> RpcResult<Self> {
        let internal = |error: serde_json::Error| RpcError::Internal(error.to_string());
        let (chain, block) = (context.view.chain(), &found.block);
        let (header, parent) = (&block.block.header, block.parent_hash());
        let transactions = added.clone().filter_map(|index| in_block(context, found, index));
        let receipts = found.receipts.as_deref().map(Vec::as_slice).unwrap_or_default();
        let receipts = if found.is_pending {
            incomplete::receipts(chain, block, receipts, added.clone())?
        } else {
            let told = chain.rpc_receipts(&block.block, &block.senders, receipts, added.clone());
            let told = told.iter().map(|receipt| serde_json::to_value(receipt).map_err(internal));
            told.collect::<RpcResult<_>>()?
        };
        let told = Told {
            number: U64::from(header.number()),
            hash: (!found.is_pending).then(|| block.hash()),
            parent_hash: parent,
            timestamp: U64::from(header.timestamp()),
            first_index: U64::from(added.start),
            transactions: transactions.collect(),
            receipts,
        };
        let json = to_raw_value(&told).map_err(internal)?;
        Ok(Self { parent, added, json })
    }
}
