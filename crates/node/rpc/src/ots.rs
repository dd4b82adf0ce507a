//! The `ots` namespace: what the Otterscan explorer asks for.

use crate::{
    Args, Context, RpcChain, RpcError, RpcResult,
    chain::transaction_info,
    context::Current,
    eth::{blocks::find, blocks::rpc_block, call_error},
    register::Registrar,
    replay::{Replayable, TraceEnd, limited},
};
use alloy_consensus::Transaction;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U64};
use alloy_rpc_types_trace::otterscan::{InternalOperation, TraceEntry};
use jsonrpsee::{Methods, core::RegisterMethodError};
use lockstep_inspect::{InspectError, ReplayBlock};
use lockstep_storage::{RecoveredBlock, State};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The version of the namespace that is implemented.
const API_LEVEL: u64 = 8;

/// The most transactions on a page.
const MAX_PAGE: u64 = 100;

/// All methods of the namespace.
pub(crate) fn methods<C: RpcChain>(
    context: &Arc<Context<C>>,
) -> Result<Methods, RegisterMethodError> {
    Registrar::new(context)
        .read("ots_getApiLevel", |_, _| Ok(API_LEVEL))
        .read("ots_hasCode", has_code)
        .work("ots_getBlockDetails", |context, args| {
            let number: BlockNumberOrTag = args.required()?;
            block_details(context, BlockId::Number(number))
        })
        .work("ots_getBlockDetailsByHash", |context, args| {
            let hash: B256 = args.required()?;
            block_details(context, BlockId::hash(hash))
        })
        .work("ots_getBlockTransactions", block_transactions)
        .work("ots_getTransactionError", transaction_error)
        .work("ots_traceTransaction", trace_transaction)
        .work("ots_getInternalOperations", internal_operations)
        .work("ots_getContractCreator", contract_creator)
        .work("ots_getTransactionBySenderAndNonce", by_sender_and_nonce)
        .work("ots_searchTransactionsBefore", |context, args| search(context, args, true))
        .work("ots_searchTransactionsAfter", |context, args| search(context, args, false))
        .finish()
}

fn has_code<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<bool> {
    let address: Address = args.required()?;
    let state = context.state_of(&context.now(), args.block()?)?;
    let account = state.account(&address)?;
    Ok(account.is_some_and(|account| account.code_hash != KECCAK256_EMPTY))
}

fn to_json(value: &impl Serialize) -> RpcResult<Value> {
    serde_json::to_value(value).map_err(|error| RpcError::Internal(error.to_string()))
}

fn replay_of<C: RpcChain>(block: &RecoveredBlock<C>) -> ReplayBlock<'_, C> {
    ReplayBlock { block: block.block.inner(), hash: block.hash(), senders: &block.senders }
}

/// A block without its transactions and bloom, but with their number.
fn slim(mut block: Value, transactions: usize) -> Value {
    if let Some(fields) = block.as_object_mut() {
        fields.remove("transactions");
        fields.insert("logsBloom".into(), Value::Null);
        fields.insert("transactionCount".into(), json!(transactions));
    }
    block
}

fn block_details<C: RpcChain>(context: &Context<C>, id: BlockId) -> RpcResult<Option<Value>> {
    let now = context.now();
    let chain = context.view.chain();
    let Some(found) = find(context, &now.snapshot, id, true)? else { return Ok(None) };
    let receipts = found.receipts.as_deref().map(Vec::as_slice).unwrap_or_default();
    let block = to_json(&rpc_block(chain, &found.block, None, false))?;
    let replay = replay_of(&found.block);
    Ok(Some(json!({
        "block": slim(block, found.block.transactions().len()),
        "issuance": lockstep_inspect::issuance(chain, replay),
        "totalFees": lockstep_inspect::total_fees(replay, receipts),
    })))
}

/// A receipt as Otterscan wants it on a page: without logs.
fn page_receipt<C: RpcChain>(receipt: &C::RpcReceipt, timestamp: u64) -> RpcResult<Value> {
    let mut receipt = to_json(receipt)?;
    if let Some(fields) = receipt.as_object_mut() {
        fields.insert("logs".into(), Value::Null);
        fields.insert("logsBloom".into(), Value::Null);
        fields.insert("timestamp".into(), json!(timestamp));
    }
    Ok(receipt)
}

/// A transaction of which only the selector of the input is shown.
fn page_transaction(transaction: &impl Serialize) -> RpcResult<Value> {
    const SELECTOR: usize = 2 + 2 * 4;
    let mut transaction = to_json(transaction)?;
    if let Some(Value::String(input)) = transaction.get_mut("input") {
        input.truncate(SELECTOR);
    }
    Ok(transaction)
}

fn block_transactions<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<Value>> {
    let number: BlockNumberOrTag = args.required()?;
    let (page, size) = (args.quantity()?, args.quantity()?);
    check_page(size)?;
    let now = context.now();
    let chain = context.view.chain();
    let id = BlockId::Number(number);
    let Some(found) = find(context, &now.snapshot, id, true)? else { return Ok(None) };
    let receipts = found.receipts.as_deref().map(Vec::as_slice).unwrap_or_default();
    let all = found.block.transactions().len();
    // Pages count from the newest transaction.
    let end = all.saturating_sub(usize::try_from(page.saturating_mul(size)).unwrap_or(usize::MAX));
    let begin = end.saturating_sub(usize::try_from(size).unwrap_or(usize::MAX));
    let mut block = to_json(&rpc_block(chain, &found.block, Some(receipts), true))?;
    let transactions = block.get_mut("transactions").map(Value::take).unwrap_or_default();
    let transactions = transactions.as_array().and_then(|all| all.get(begin..end));
    let transactions = transactions.unwrap_or_default().iter().map(page_transaction);
    let transactions = transactions.collect::<RpcResult<Vec<_>>>()?;
    let mut block = slim(block, all);
    if let Some(fields) = block.as_object_mut() {
        fields.insert("transactions".into(), transactions.into());
    }
    let timestamp = found.block.block.header.timestamp;
    let (block_told, senders) = (&found.block.block, &found.block.senders);
    let told = chain.rpc_receipts(block_told, senders, receipts, begin..end);
    let told = told.iter().map(|receipt| page_receipt::<C>(receipt, timestamp));
    let told = told.collect::<RpcResult<Vec<_>>>()?;
    Ok(Some(json!({ "fullblock": block, "receipts": told })))
}

fn check_page(size: u64) -> RpcResult<()> {
    if size > MAX_PAGE {
        return Err(RpcError::Limit { what: "page size", asked: size, limit: MAX_PAGE });
    }
    Ok(())
}

fn replayable<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<(Replayable<C>, usize)>> {
    let hash: B256 = args.required()?;
    Replayable::find_transaction(&context.now(), &hash)
}

fn transaction_error<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<Bytes>> {
    let Some((found, index)) = replayable(context, args)? else { return Ok(None) };
    let (chain, state) = (context.view.chain(), &*found.parent_state);
    limited(context, &TraceEnd::new(context, args, None), |limits| {
        lockstep_inspect::transaction_error(chain, found.replay(), state, index, limits)
    })
    .map(Some)
}

fn trace_transaction<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<Vec<TraceEntry>>> {
    let Some((found, index)) = replayable(context, args)? else { return Ok(None) };
    let (chain, state) = (context.view.chain(), &*found.parent_state);
    limited(context, &TraceEnd::new(context, args, None), |limits| {
        lockstep_inspect::otterscan_trace(chain, found.replay(), state, index, limits)
    })
    .map(Some)
}

fn internal_operations<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Vec<InternalOperation>> {
    let Some((found, index)) = replayable(context, args)? else { return Ok(Vec::new()) };
    let (chain, state) = (context.view.chain(), &*found.parent_state);
    limited(context, &TraceEnd::new(context, args, None), |limits| {
        lockstep_inspect::internal_operations(chain, found.replay(), state, index, limits)
    })
}

fn state_error(error: lockstep_storage::StorageError) -> InspectError {
    InspectError::State(Box::new(error))
}

fn contract_creator<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<Value>> {
    let address: Address = args.required()?;
    let now = context.now();
    let newest = now.snapshot.head().number;
    let state_after = |number: u64| now.snapshot.state(number).map_err(state_error);
    let first = lockstep_inspect::first_block_with_code(&address, newest, state_after)
        .map_err(call_error)?;
    let Some(number) = first.filter(|number| *number > 0) else { return Ok(None) };
    let id = BlockId::Number(BlockNumberOrTag::Number(number));
    let Some(found) = Replayable::find(context, &now, id)? else { return Ok(None) };
    let creation = limited(context, &TraceEnd::new(context, args, None), |limits| {
        let (chain, state) = (context.view.chain(), &*found.parent_state);
        lockstep_inspect::contract_creation(chain, found.replay(), state, address, limits)
    })?;
    Ok(creation.map(|creation| json!({ "hash": creation.hash, "creator": creation.creator })))
}

fn nonce_after<C: RpcChain>(now: &Current<C>, number: u64, sender: &Address) -> RpcResult<u64> {
    let state: Arc<dyn State> = now.snapshot.state(number)?;
    Ok(state.account(sender)?.map_or(0, |account| account.nonce))
}

fn by_sender_and_nonce<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<B256>> {
    let sender: Address = args.required()?;
    let nonce = args.quantity()?;
    let now = context.now();
    let (mut low, mut high) = (now.snapshot.earliest_state()?, now.snapshot.head().number);
    if nonce_after(&now, high, &sender)? <= nonce {
        return Ok(None);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if nonce_after(&now, middle, &sender)? > nonce { high = middle } else { low = middle + 1 }
    }
    let block = now.snapshot.block(low)?;
    Ok(block
        .and_then(|block| lockstep_inspect::transaction_by_nonce(replay_of(&block), sender, nonce)))
}

/// A page of the transactions from or to an account, the newest first, before or after a block.
///
/// Calls inside of transactions do not count. The search ends with an error when it takes longer
/// than a trace may.
fn search<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
    before: bool,
) -> RpcResult<Value> {
    let address: Address = args.required()?;
    let (from, size) = (args.quantity()?, args.quantity()?);
    check_page(size)?;
    let now = context.now();
    let head = now.snapshot.head().number;
    let timeout = context.settings.limits.trace_timeout;
    let end = TraceEnd::new(context, args, None);
    // Zero stands for the newest (before) or the first block (after).
    let numbers: Box<dyn Iterator<Item = u64>> = match (before, from) {
        (true, 0) => Box::new((0..=head).rev()),
        (true, from) => Box::new((0..from.min(head + 1)).rev()),
        (false, 0) => Box::new(0..=head),
        (false, from) => Box::new(from.saturating_add(1)..=head),
    };
    let mut page = Vec::new();
    let mut is_complete = true;
    for number in numbers {
        if end.has_come() {
            return Err(RpcError::Timeout { seconds: timeout.as_secs() });
        }
        if page.len() as u64 >= size {
            is_complete = false;
            break;
        }
        let Some(block) = now.snapshot.block(number)? else { continue };
        let mut of_block = matching(context, &now, &block, &address)?;
        if before {
            of_block.reverse();
        }
        page.extend(of_block);
    }
    if !before {
        page.reverse();
    }
    let (transactions, receipts): (Vec<Value>, Vec<Value>) = page.into_iter().unzip();
    let (is_first, is_last) =
        if before { (from == 0, is_complete) } else { (is_complete, from == 0) };
    Ok(json!({
        "txs": transactions,
        "receipts": receipts,
        "firstPage": is_first,
        "lastPage": is_last,
    }))
}

/// The transactions of a block from or to an account, with their receipts.
fn matching<C: RpcChain>(
    context: &Context<C>,
    now: &Current<C>,
    block: &RecoveredBlock<C>,
    address: &Address,
) -> RpcResult<Vec<(Value, Value)>> {
    let is_match = |transaction: &C::Transaction, sender: &Address| {
        let created = lockstep_inspect::created_address(transaction, *sender);
        sender == address || transaction.to() == Some(*address) || created == Some(*address)
    };
    let all = block.transactions().iter().zip(&block.senders).enumerate();
    let matching: Vec<usize> = all
        .filter_map(|(index, (transaction, sender))| is_match(transaction, sender).then_some(index))
        .collect();
    if matching.is_empty() {
        return Ok(Vec::new());
    }
    let receipts = now.snapshot.receipts(block.number())?.ok_or(RpcError::UnknownBlock)?;
    let chain = context.view.chain();
    let mut found = Vec::with_capacity(matching.len());
    for index in matching {
        let (Some(transaction), Some(sender)) =
            (block.transactions().get(index), block.senders.get(index))
        else {
            continue;
        };
        let info = transaction_info(block, index);
        let told = chain.rpc_transaction(transaction.clone(), *sender, info, receipts.get(index));
        let only = index..index + 1;
        let receipt = chain.rpc_receipts(&block.block, &block.senders, &receipts, only).pop();
        let Some(receipt) = receipt else { continue };
        let mut receipt = to_json(&receipt)?;
        if let Some(fields) = receipt.as_object_mut() {
            fields.insert("timestamp".into(), json!(U64::from(block.block.header.timestamp)));
        }
        found.push((to_json(&told)?, receipt));
    }
    Ok(found)
}
