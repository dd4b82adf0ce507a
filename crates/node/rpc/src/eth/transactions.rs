//! Transactions, wherever they are.

use crate::{
    Args, Context, RpcChain, RpcResult,
    chain::transaction_info,
    eth::{
        blocks::{Found, find},
        incomplete::{self, Told},
    },
    register::Registrar,
};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718};
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::TransactionInfo;
use lockstep_engine::PendingBlock;
use lockstep_pool::{Origin, PoolTransaction};
use serde_json::Value;
use std::sync::Arc;

pub(super) fn register<C: RpcChain>(registrar: &mut Registrar<C>) {
    registrar
        .read("eth_getTransactionByHash", by_hash)
        .read("eth_getTransactionByBlockHashAndIndex", |context, args| {
            let hash: B256 = args.required()?;
            by_index(context, BlockId::hash(hash), args.quantity()?)
        })
        .read("eth_getTransactionByBlockNumberAndIndex", |context, args| {
            let number: BlockNumberOrTag = args.required()?;
            by_index(context, BlockId::Number(number), args.quantity()?)
        })
        .read("eth_getRawTransactionByHash", raw_by_hash)
        .read("eth_getRawTransactionByBlockHashAndIndex", |context, args| {
            let hash: B256 = args.required()?;
            raw_by_index(context, BlockId::hash(hash), args.quantity()?)
        })
        .read("eth_getRawTransactionByBlockNumberAndIndex", |context, args| {
            let number: BlockNumberOrTag = args.required()?;
            raw_by_index(context, BlockId::Number(number), args.quantity()?)
        })
        .read("eth_getTransactionReceipt", |context, args| {
            // Of complete blocks alone: who has a receipt asks `latest` for what came of it.
            mined_receipt(context, &args.required()?)
        })
        .read("eth_pendingTransactions", pending);
}

fn by_hash<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<C::RpcTransaction>> {
    let hash: B256 = args.required()?;
    if let Some(mined) = mined(context, &hash)? {
        return Ok(Some(mined));
    }
    match pooled(context, &hash) {
        Some(pooled) => Ok(Some(rpc_pooled(context.view.chain(), &pooled))),
        None if let Some(pending) = in_pending(context, &hash) => Ok(Some(pending)),
        // It may have gone from the pool into a block between the two.
        None => mined(context, &hash),
    }
}

fn mined<C: RpcChain>(context: &Context<C>, hash: &B256) -> RpcResult<Option<C::RpcTransaction>> {
    let now = context.now();
    let Some((block, index)) = now.snapshot.transaction(hash)? else { return Ok(None) };
    let receipts = if C::NEEDS_RECEIPTS { now.snapshot.receipts(block.number())? } else { None };
    Ok(in_block(context, &Found { block, receipts, is_pending: false }, index))
}

/// A transaction of the block under construction: it may be in no pool any more.
fn in_pending<C: RpcChain>(context: &Context<C>, hash: &B256) -> Option<C::RpcTransaction> {
    let pending = context.pending_block()?;
    in_pending_block(context, &pending, pending.transaction_index(hash)?)
}

/// A transaction of a block that is not complete.
fn in_pending_block<C: RpcChain>(
    context: &Context<C>,
    pending: &PendingBlock<C>,
    index: usize,
) -> Option<C::RpcTransaction> {
    let (block, receipts) = (pending.block.clone(), Some(pending.receipts.clone()));
    in_block(context, &Found { block, receipts, is_pending: true }, index)
}

/// A transaction of the pool that may be shown.
fn pooled<C: RpcChain>(context: &Context<C>, hash: &B256) -> Option<Arc<PoolTransaction<C>>> {
    context.pool.get(hash).filter(|pooled| pooled.origin != Origin::Private)
}

/// A transaction of the pool in JSON.
pub(crate) fn rpc_pooled<C: RpcChain>(chain: &C, pooled: &PoolTransaction<C>) -> C::RpcTransaction {
    chain.rpc_transaction(pooled.consensus(), pooled.sender, TransactionInfo::default(), None)
}

/// A transaction of a block.
pub(super) fn in_block<C: RpcChain>(
    context: &Context<C>,
    found: &Found<C>,
    index: usize,
) -> Option<C::RpcTransaction> {
    let block = &found.block;
    let transaction = block.transactions().get(index)?.clone();
    let sender = *block.senders.get(index)?;
    let info =
        if found.is_pending { TransactionInfo::default() } else { transaction_info(block, index) };
    let receipt = found.receipts.as_deref().and_then(|receipts| receipts.get(index));
    Some(context.view.chain().rpc_transaction(transaction, sender, info, receipt))
}

fn by_index<C: RpcChain>(
    context: &Context<C>,
    id: BlockId,
    index: u64,
) -> RpcResult<Option<C::RpcTransaction>> {
    let now = context.now();
    let Some(found) = find(context, &now.snapshot, id, C::NEEDS_RECEIPTS)? else {
        return Ok(None);
    };
    Ok(in_block(context, &found, usize::try_from(index).unwrap_or(usize::MAX)))
}

fn raw_by_hash<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Option<Bytes>> {
    let hash: B256 = args.required()?;
    raw(context, &hash)
}

/// The encoding of a transaction of the chain, or as peers exchange it of one in the pool.
pub(crate) fn raw<C: RpcChain>(context: &Context<C>, hash: &B256) -> RpcResult<Option<Bytes>> {
    let mined = || -> RpcResult<Option<Bytes>> {
        let now = context.now();
        let Some((block, index)) = now.snapshot.transaction(hash)? else { return Ok(None) };
        let transaction = block.transactions().get(index);
        Ok(transaction.map(|transaction| transaction.encoded_2718().into()))
    };
    if let Some(mined) = mined()? {
        return Ok(Some(mined));
    }
    match pooled(context, hash) {
        Some(pooled) => Ok(Some(pooled.tx.encoded_2718().into())),
        // It may have gone from the pool into a block between the two.
        None => mined(),
    }
}

fn raw_by_index<C: RpcChain>(
    context: &Context<C>,
    id: BlockId,
    index: u64,
) -> RpcResult<Option<Bytes>> {
    let now = context.now();
    let Some(found) = find(context, &now.snapshot, id, false)? else { return Ok(None) };
    let transaction = found.block.transactions().get(usize::try_from(index).unwrap_or(usize::MAX));
    Ok(transaction.map(|transaction| transaction.encoded_2718().into()))
}

/// The receipt of a transaction in a block, be it one that is not complete yet, for who waits for it.
pub(crate) fn receipt<C: RpcChain>(
    context: &Context<C>,
    hash: &B256,
) -> RpcResult<Option<Told<C::RpcReceipt>>> {
    if let Some(receipt) = mined_receipt(context, hash)? {
        return Ok(Some(Told::Complete(receipt)));
    }
    if context.pending.is_none() {
        return Ok(None);
    }
    if let Some(receipt) = pending_receipt(context, hash)? {
        return Ok(Some(Told::Incomplete(receipt)));
    }
    // The block may have become complete between the two.
    Ok(mined_receipt(context, hash)?.map(Told::Complete))
}

/// The receipt of a transaction on the canonical chain.
fn mined_receipt<C: RpcChain>(
    context: &Context<C>,
    hash: &B256,
) -> RpcResult<Option<C::RpcReceipt>> {
    let now = context.now();
    let Some((block, index)) = now.snapshot.transaction(hash)? else { return Ok(None) };
    let Some(receipts) = now.snapshot.receipts(block.number())? else { return Ok(None) };
    let chain = context.view.chain();
    Ok(chain.rpc_receipts(&block.block, &block.senders, &receipts, index..index + 1).pop())
}

/// The receipt of a transaction in the block that is being built.
fn pending_receipt<C: RpcChain>(context: &Context<C>, hash: &B256) -> RpcResult<Option<Value>> {
    let Some(pending) = context.pending_block() else { return Ok(None) };
    let Some(index) = pending.transaction_index(hash) else { return Ok(None) };
    let (chain, range) = (context.view.chain(), index..index + 1);
    Ok(incomplete::receipts(chain, &pending.block, &pending.receipts, range)?.pop())
}

/// Transactions in the pool from accounts that the node holds the keys of.
fn pending<C: RpcChain>(
    context: &Context<C>,
    _: &mut Args<'_>,
) -> RpcResult<Vec<C::RpcTransaction>> {
    let chain = context.view.chain();
    let accounts = context.signer.iter().flat_map(|signer| signer.accounts());
    let pooled = accounts.flat_map(|account| {
        let content = context.pool.content_from(account);
        content.pending.into_values().flat_map(|by_nonce| by_nonce.into_values())
    });
    Ok(pooled.map(|pooled: Arc<PoolTransaction<C>>| rpc_pooled(chain, &pooled)).collect())
}
