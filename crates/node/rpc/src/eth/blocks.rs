//! Blocks, their receipts and their ommers.

use super::incomplete::{self, Told};
use crate::{
    Args, Context, RpcChain, RpcResult,
    chain::transaction_info,
    context::{Located, block_of, locate, receipts_of},
    register::Registrar,
};
use alloy_consensus::transaction::TxHashRef;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_network_primitives::BlockTransactions;
use alloy_primitives::{B256, Sealed, U64, U256};
use alloy_rlp::Encodable;
use alloy_rpc_types_eth::{Block, Header, TransactionInfo};
use lockstep_engine::ChainSnapshot;
use lockstep_storage::RecoveredBlock;
use std::sync::Arc;

/// A block in JSON.
pub(crate) type RpcBlock<C> = Block<<C as RpcChain>::RpcTransaction, Header>;

pub(super) fn register<C: RpcChain>(registrar: &mut Registrar<C>) {
    registrar
        .read("eth_getBlockByNumber", |context, args| {
            let number: BlockNumberOrTag = args.required()?;
            block(context, BlockId::Number(number), args.optional()?.unwrap_or(false))
        })
        .read("eth_getBlockByHash", |context, args| {
            let hash: B256 = args.required()?;
            block(context, BlockId::hash(hash), args.optional()?.unwrap_or(false))
        })
        .read("eth_getHeaderByNumber", |context, args| {
            let number: BlockNumberOrTag = args.required()?;
            header(context, BlockId::Number(number))
        })
        .read("eth_getHeaderByHash", |context, args| {
            header(context, BlockId::hash(args.required()?))
        })
        .read("eth_getBlockTransactionCountByNumber", |context, args| {
            let number: BlockNumberOrTag = args.required()?;
            count(context, BlockId::Number(number), |block| block.transactions().len())
        })
        .read("eth_getBlockTransactionCountByHash", |context, args| {
            let hash: B256 = args.required()?;
            count(context, BlockId::hash(hash), |block| block.transactions().len())
        })
        .read("eth_getUncleCountByBlockNumber", |context, args| {
            let number: BlockNumberOrTag = args.required()?;
            count(context, BlockId::Number(number), |block| block.block.body.ommers.len())
        })
        .read("eth_getUncleCountByBlockHash", |context, args| {
            let hash: B256 = args.required()?;
            count(context, BlockId::hash(hash), |block| block.block.body.ommers.len())
        })
        .read("eth_getUncleByBlockNumberAndIndex", |context, args| {
            let number: BlockNumberOrTag = args.required()?;
            ommer(context, BlockId::Number(number), args.quantity()?)
        })
        .read("eth_getUncleByBlockHashAndIndex", |context, args| {
            let hash: B256 = args.required()?;
            ommer(context, BlockId::hash(hash), args.quantity()?)
        })
        .read("eth_getBlockReceipts", receipts);
}

/// The block that a request named, with its receipts if `with_receipts`.
///
/// The block under construction answers to `pending`, if there is one.
pub(crate) struct Found<C: RpcChain> {
    pub(crate) block: Arc<RecoveredBlock<C>>,
    pub(crate) receipts: Option<Arc<Vec<C::Receipt>>>,
    pub(crate) is_pending: bool,
}

pub(crate) fn find<C: RpcChain>(
    context: &Context<C>,
    snapshot: &ChainSnapshot<C>,
    id: BlockId,
    with_receipts: bool,
) -> RpcResult<Option<Found<C>>> {
    if id.is_pending()
        && let Some(pending) = context.pending_block()
    {
        let (block, receipts) = (pending.block, Some(pending.receipts));
        return Ok(Some(Found { block, receipts, is_pending: true }));
    }
    let Some(located) = locate(snapshot, id)? else { return Ok(None) };
    found_at(snapshot, located, with_receipts)
}

fn found_at<C: RpcChain>(
    snapshot: &ChainSnapshot<C>,
    located: Located,
    with_receipts: bool,
) -> RpcResult<Option<Found<C>>> {
    let Some(block) = block_of(snapshot, located)? else { return Ok(None) };
    let receipts = if with_receipts { receipts_of(snapshot, located)? } else { None };
    Ok(Some(Found { block, receipts, is_pending: false }))
}

fn block<C: RpcChain>(
    context: &Context<C>,
    id: BlockId,
    full: bool,
) -> RpcResult<Option<Told<RpcBlock<C>>>> {
    let now = context.now();
    let chain = context.view.chain();
    let Some(found) = find(context, &now.snapshot, id, full && C::NEEDS_RECEIPTS)? else {
        return Ok(None);
    };
    if found.is_pending {
        return incomplete::block(chain, &found, full).map(|told| Some(Told::Incomplete(told)));
    }
    let receipts = found.receipts.as_deref().map(Vec::as_slice);
    Ok(Some(Told::Complete(rpc_block(chain, &found.block, receipts, full))))
}

/// A block in JSON, with whole transactions if `full`, with their hashes otherwise.
pub(crate) fn rpc_block<C: RpcChain>(
    chain: &C,
    block: &RecoveredBlock<C>,
    receipts: Option<&[C::Receipt]>,
    full: bool,
) -> RpcBlock<C> {
    let transactions = rpc_transactions(chain, block, receipts, full, transaction_info);
    Block {
        header: rpc_header(block, block.sealed_header()),
        uncles: block.block.body.ommers.iter().map(|ommer| ommer.hash_slow()).collect(),
        transactions,
        withdrawals: block.block.body.withdrawals.clone(),
    }
}

/// The transactions of a block in JSON, whole if `full`; `info` says where each of them stands.
pub(super) fn rpc_transactions<C: RpcChain>(
    chain: &C,
    block: &RecoveredBlock<C>,
    receipts: Option<&[C::Receipt]>,
    full: bool,
    info: impl Fn(&RecoveredBlock<C>, usize) -> TransactionInfo,
) -> BlockTransactions<C::RpcTransaction> {
    if !full {
        let hashes = block.transactions().iter().map(|transaction| *transaction.tx_hash());
        return BlockTransactions::Hashes(hashes.collect());
    }
    let all = block.transactions().iter().zip(&block.senders).enumerate();
    let whole = all.map(|(index, (transaction, sender))| {
        let receipt = receipts.and_then(|receipts| receipts.get(index));
        chain.rpc_transaction(transaction.clone(), *sender, info(block, index), receipt)
    });
    BlockTransactions::Full(whole.collect())
}

pub(super) fn rpc_header<C: RpcChain>(
    block: &RecoveredBlock<C>,
    header: Sealed<alloy_consensus::Header>,
) -> Header {
    let size = Some(U256::from(block.block.length()));
    Header::from_consensus(header, None, size)
}

fn header<C: RpcChain>(context: &Context<C>, id: BlockId) -> RpcResult<Option<Told<Header>>> {
    let now = context.now();
    let Some(found) = find(context, &now.snapshot, id, false)? else { return Ok(None) };
    if found.is_pending {
        return incomplete::header(&found).map(|told| Some(Told::Incomplete(told)));
    }
    let header = rpc_header(&found.block, found.block.sealed_header());
    Ok(Some(Told::Complete(header)))
}

fn count<C: RpcChain>(
    context: &Context<C>,
    id: BlockId,
    of: fn(&RecoveredBlock<C>) -> usize,
) -> RpcResult<Option<U64>> {
    let now = context.now();
    let found = find(context, &now.snapshot, id, false)?;
    Ok(found.map(|found| U64::from(of(&found.block))))
}

fn ommer<C: RpcChain>(
    context: &Context<C>,
    id: BlockId,
    index: u64,
) -> RpcResult<Option<Block<(), Header>>> {
    let now = context.now();
    let Some(found) = find(context, &now.snapshot, id, false)? else { return Ok(None) };
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let ommer = found.block.block.body.ommers.get(index);
    Ok(ommer.map(|ommer| Block::uncle_from_header(ommer.clone())))
}

fn receipts<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<Vec<Told<C::RpcReceipt>>>> {
    let id = args.required_block()?;
    let now = context.now();
    let Some(found) = find(context, &now.snapshot, id, true)? else { return Ok(None) };
    let Some(receipts) = found.receipts else { return Ok(None) };
    let all = 0..receipts.len();
    let chain = context.view.chain();
    if found.is_pending {
        let told = incomplete::receipts(chain, &found.block, &receipts, all)?;
        return Ok(Some(told.into_iter().map(Told::Incomplete).collect()));
    }
    let (block, senders) = (&found.block.block, &found.block.senders);
    let told = chain.rpc_receipts(block, senders, &receipts, all);
    Ok(Some(told.into_iter().map(Told::Complete).collect()))
}
