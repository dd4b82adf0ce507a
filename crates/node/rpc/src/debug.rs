//! The `debug` namespace.

use crate::{
    Args, Context, RpcChain, RpcError, RpcResult,
    eth::{self, blocks::find, call_target},
    register::Registrar,
    replay::{Replayable, TraceEnd, limited, limited_on},
};
use alloy_consensus::{ReceiptWithBloom, TxReceipt};
use alloy_eips::{BlockId, eip2718::Encodable2718};
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_debug::ExecutionWitness;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use alloy_rpc_types_trace::geth::{
    GethDebugTracingCallOptions, GethDebugTracingOptions, GethTrace, TraceResult,
};
use jsonrpsee::{Methods, core::RegisterMethodError};
use lockstep_chain::decode_block;
use lockstep_inspect::{InspectError, Overrides, ReplayBlock};
use lockstep_storage::RecoveredBlock;
use serde_json::Value;
use std::sync::Arc;

/// All methods of the namespace.
pub(crate) fn methods<C: RpcChain>(
    context: &Arc<Context<C>>,
) -> Result<Methods, RegisterMethodError> {
    Registrar::new(context)
        .read("debug_getRawHeader", |context, args| {
            Ok(raw(&alloy_rlp::encode(&complete_block(context, args)?.block.header)))
        })
        .read("debug_getRawBlock", |context, args| {
            Ok(raw(&alloy_rlp::encode(complete_block(context, args)?.block.inner())))
        })
        .read("debug_getRawTransactions", |context, args| {
            let id = args.required_block()?;
            let block = block(context, id)?;
            let transactions = block.transactions().iter();
            Ok(transactions.map(|each| raw(&each.encoded_2718())).collect::<Vec<_>>())
        })
        .read("debug_getRawReceipts", raw_receipts)
        .read("debug_getRawTransaction", |context, args| {
            let hash: B256 = args.required()?;
            let transaction = eth::raw_transaction(context, &hash)?;
            transaction.ok_or(RpcError::NotFound("transaction"))
        })
        // Blocks that were found invalid are not kept.
        .read("debug_getBadBlocks", |_, _| Ok(Vec::<Value>::new()))
        .read("debug_chainConfig", |context, _| Ok(context.settings.chain_config.clone()))
        .read("debug_codeByHash", code_by_hash)
        .work("debug_traceTransaction", trace_transaction)
        .work("debug_traceBlockByNumber", trace_block_by_id)
        .work("debug_traceBlockByHash", |context, args| {
            let hash: B256 = args.required()?;
            trace_named_block(context, BlockId::hash(hash), args)
        })
        .work("debug_traceBlock", trace_raw_block)
        .work("debug_traceCall", trace_call)
        .work("debug_executionWitness", |context, args| {
            let id = args.required_block()?;
            execution_witness(context, id)
        })
        .work("debug_executionWitnessByBlockHash", |context, args| {
            let hash: B256 = args.required()?;
            execution_witness(context, BlockId::hash(hash))
        })
        .finish()
}

fn raw(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn unknown(id: BlockId) -> RpcError {
    match id {
        BlockId::Hash(hash) => RpcError::refused(format!("block {} not found", hash.block_hash)),
        BlockId::Number(number) => RpcError::refused(format!("block #{number} not found")),
    }
}

fn block<C: RpcChain>(context: &Context<C>, id: BlockId) -> RpcResult<Arc<RecoveredBlock<C>>> {
    let now = context.now();
    let found = find(context, &now.snapshot, id, false)?;
    found.map(|found| found.block).ok_or_else(|| unknown(id))
}

fn complete_block<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Arc<RecoveredBlock<C>>> {
    let id = args.required_block()?;
    context.refuse_pending(id, "header")?;
    block(context, id)
}

fn raw_receipts<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Vec<Bytes>> {
    let id = args.required_block()?;
    let now = context.now();
    let found = find(context, &now.snapshot, id, true)?.ok_or_else(|| unknown(id))?;
    let receipts = found.receipts.ok_or_else(|| unknown(id))?;
    let encode = |receipt: &C::Receipt| {
        let logs_bloom = receipt.bloom();
        Bytes::from(ReceiptWithBloom { receipt, logs_bloom }.encoded_2718())
    };
    Ok(receipts.iter().map(encode).collect())
}

fn code_by_hash<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<Bytes>> {
    let hash: B256 = args.required()?;
    let state = context.state_of(&context.now(), args.block()?)?;
    match state.code(&hash) {
        Ok(code) => Ok(Some(code.original_bytes())),
        Err(lockstep_storage::StorageError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn trace_transaction<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<GethTrace> {
    let hash: B256 = args.required()?;
    let options: GethDebugTracingOptions = args.optional()?.unwrap_or_default();
    let now = context.now();
    let (found, index) =
        Replayable::find_transaction(&now, &hash)?.ok_or(RpcError::NotFound("transaction"))?;
    let wanted = lockstep_inspect::trace_timeout(&options).map_err(eth::call_error)?;
    limited(context, &TraceEnd::new(context, args, wanted), |limits| {
        let (chain, state) = (context.view.chain(), &*found.parent_state);
        lockstep_inspect::trace_transaction(chain, found.replay(), state, index, &options, limits)
    })
}

fn trace_block_by_id<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Vec<TraceResult>> {
    let id = args.required_block()?;
    trace_named_block(context, id, args)
}

fn trace_named_block<C: RpcChain>(
    context: &Context<C>,
    id: BlockId,
    args: &mut Args<'_>,
) -> RpcResult<Vec<TraceResult>> {
    let options: GethDebugTracingOptions = args.optional()?.unwrap_or_default();
    let now = context.now();
    let found = Replayable::find(context, &now, id)?.ok_or_else(|| unknown(id))?;
    let wanted = lockstep_inspect::trace_timeout(&options).map_err(eth::call_error)?;
    trace_block(context, &found, &options, &TraceEnd::new(context, args, wanted))
}

fn trace_block<C: RpcChain>(
    context: &Context<C>,
    found: &Replayable<C>,
    options: &GethDebugTracingOptions,
    end: &TraceEnd,
) -> RpcResult<Vec<TraceResult>> {
    limited(context, end, |limits| {
        let (chain, state) = (context.view.chain(), &*found.parent_state);
        lockstep_inspect::trace_block(chain, found.replay(), state, options, limits)
    })
}

/// Traces a block that is given as RLP and whose parent is known.
fn trace_raw_block<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Vec<TraceResult>> {
    let rlp: Bytes = args.required()?;
    let options: GethDebugTracingOptions = args.optional()?.unwrap_or_default();
    let wanted = lockstep_inspect::trace_timeout(&options).map_err(eth::call_error)?;
    // Finding out who signed takes time, too.
    let end = TraceEnd::new(context, args, wanted);
    let malformed = |error: String| RpcError::invalid(format!("could not decode block: {error}"));
    let block = decode_block::<C>(&rlp).map_err(|error| malformed(error.to_string()))?;
    let chain = context.view.chain();
    let senders = chain.recover_senders(&block).map_err(|error| malformed(error.to_string()))?;
    let block = alloy_primitives::Sealed::new_unchecked(block.clone(), block.header.hash_slow());
    let found = Replayable::new(&context.now(), Arc::new(RecoveredBlock { block, senders }))?;
    trace_block(context, &found, &options, &end)
}

/// Everything that is needed to run a block without the state.
fn execution_witness<C: RpcChain>(
    context: &Context<C>,
    id: BlockId,
) -> RpcResult<ExecutionWitness> {
    context.refuse_pending(id, "execution witness")?;
    let now = context.now();
    let found = Replayable::find(context, &now, id)?.ok_or_else(|| unknown(id))?;
    let parent = BlockId::hash(found.block.parent_hash());
    let parent = call_target(context, &now, parent)?.header;
    let header_of = |number: u64| {
        let header = now.snapshot.header(number);
        let header = header.map_err(|error| InspectError::State(Box::new(error)))?;
        Ok(header.map(|header| header.into_inner()))
    };
    let (chain, state) = (context.view.chain(), &*found.parent_state);
    lockstep_inspect::execution_witness(chain, found.replay(), state, &parent, header_of)
        .map_err(eth::call_error)
}

fn trace_call<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<GethTrace> {
    let request: TransactionRequest = args.required()?;
    let id = args.block()?;
    let options: GethDebugTracingCallOptions = args.optional()?.unwrap_or_default();
    let state: Option<StateOverride> = options.state_overrides;
    let header: Option<BlockOverrides> = options.block_overrides;
    let overrides = Overrides { state, block: header };
    let tracing = options.tracing_options;
    let wanted = lockstep_inspect::trace_timeout(&tracing).map_err(eth::call_error)?;
    let now = context.now();
    let chain = context.view.chain();
    let index = options.tx_index.map(|index| usize::try_from(index).unwrap_or(usize::MAX));
    if let Some(index) = index {
        let found = Replayable::find(context, &now, id)?.ok_or_else(|| unknown(id))?;
        let replay: ReplayBlock<'_, C> = found.replay();
        let header = &found.block.block.header;
        return limited(context, &TraceEnd::new(context, args, wanted), |limits| {
            let state = &*found.parent_state;
            let state = lockstep_inspect::state_before(chain, replay, state, index, limits)?;
            lockstep_inspect::trace_call(
                chain, header, state, &request, &overrides, &tracing, limits,
            )
        });
    }
    let target = call_target(context, &now, id)?;
    limited_on(context, &target, &TraceEnd::new(context, args, wanted), |limits| {
        let (header, state) = (&target.header, &*target.state);
        lockstep_inspect::trace_call(chain, header, state, &request, &overrides, &tracing, limits)
    })
}
