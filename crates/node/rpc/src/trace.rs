//! The `trace` namespace.

use crate::{
    Args, Context, RpcChain, RpcError, RpcResult,
    context::Current,
    eth::call_target,
    register::Registrar,
    replay::{Replayable, TraceEnd, limited, limited_on},
};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, Bytes, U64, map::HashSet};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::{
    filter::TraceFilter,
    parity::{LocalizedTransactionTrace, TraceResults, TraceResultsWithTransactionHash, TraceType},
};
use jsonrpsee::{Methods, core::RegisterMethodError};
use lockstep_inspect::Overrides;
use std::sync::Arc;

/// The most calls in one `trace_callMany`.
const MAX_CALLS: usize = 1_000;

/// All methods of the namespace.
pub(crate) fn methods<C: RpcChain>(
    context: &Arc<Context<C>>,
) -> Result<Methods, RegisterMethodError> {
    Registrar::new(context)
        .work("trace_block", block)
        .work("trace_transaction", |context, args| {
            let hash: B256 = args.required()?;
            transaction(context, args, &hash)
        })
        .work("trace_get", get)
        .work("trace_filter", filter)
        .work("trace_call", call)
        .work("trace_callMany", call_many)
        .work("trace_rawTransaction", raw_transaction)
        .work("trace_replayTransaction", replay_transaction)
        .work("trace_replayBlockTransactions", replay_block)
        .finish()
}

type Traces = Vec<LocalizedTransactionTrace>;
type Types = HashSet<TraceType>;

fn block<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Option<Traces>> {
    let id = args.required_block()?;
    block_traces(context, &context.now(), id, &TraceEnd::new(context, args, None))
}

/// The traces of a block; none of the first one, which ran nothing.
fn block_traces<C: RpcChain>(
    context: &Context<C>,
    now: &Current<C>,
    id: BlockId,
    end: &TraceEnd,
) -> RpcResult<Option<Traces>> {
    let located = crate::context::locate(&now.snapshot, id)?;
    let is_complete = !id.is_pending() || context.pending_block().is_none();
    if is_complete && located.is_some_and(|located| located.block.number == 0) {
        return Ok(Some(Vec::new()));
    }
    let Some(found) = Replayable::find(context, now, id)? else { return Ok(None) };
    let traces = limited(context, end, |limits| {
        let (chain, state) = (context.view.chain(), &*found.parent_state);
        lockstep_inspect::block_traces(chain, found.replay(), state, limits)
    })?;
    let without_hash = |trace| LocalizedTransactionTrace { block_hash: None, ..trace };
    if found.is_pending {
        return Ok(Some(traces.into_iter().map(without_hash).collect()));
    }
    Ok(Some(traces))
}

fn transaction<C: RpcChain>(
    context: &Context<C>,
    args: &Args<'_>,
    hash: &B256,
) -> RpcResult<Option<Traces>> {
    let now = context.now();
    let Some((found, index)) = Replayable::find_transaction(&now, hash)? else { return Ok(None) };
    let traces = limited(context, &TraceEnd::new(context, args, None), |limits| {
        let (chain, state) = (context.view.chain(), &*found.parent_state);
        lockstep_inspect::transaction_traces(chain, found.replay(), state, index, limits)
    })?;
    Ok(Some(traces))
}

fn get<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<LocalizedTransactionTrace>> {
    let hash: B256 = args.required()?;
    let address: Vec<U64> = args.required()?;
    let traces = transaction(context, args, &hash)?.unwrap_or_default();
    Ok(traces.into_iter().find(|trace| {
        let at = &trace.trace.trace_address;
        at.len() == address.len() && at.iter().zip(&address).all(|(at, asked)| asked == at)
    }))
}

fn filter<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Traces> {
    let filter: TraceFilter = args.required()?;
    let now = context.now();
    let head = now.snapshot.head().number;
    let (from, to) = (filter.from_block.unwrap_or(0), filter.to_block.unwrap_or(head).min(head));
    if from > to {
        return Err(RpcError::invalid("invalid block range: fromBlock is after toBlock"));
    }
    let (blocks, limit) = (to - from + 1, context.settings.limits.trace_blocks);
    if blocks > limit {
        return Err(RpcError::Limit { what: "block range of traces", asked: blocks, limit });
    }
    let matcher = filter.matcher();
    let mut skip = filter.after.unwrap_or(0);
    let count =
        filter.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let mut found = Vec::new();
    let end = TraceEnd::new(context, args, None);
    for number in from..=to {
        let id = BlockId::Number(BlockNumberOrTag::Number(number));
        for trace in block_traces(context, &now, id, &end)?.unwrap_or_default() {
            if found.len() >= count {
                return Ok(found);
            }
            if matcher.matches(&trace.trace) {
                if skip > 0 {
                    skip -= 1;
                } else {
                    found.push(trace);
                }
            }
        }
    }
    Ok(found)
}

fn call<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<TraceResults> {
    let request: TransactionRequest = args.required()?;
    let types: Types = args.required()?;
    let id = args.block()?;
    let state = args.optional()?;
    let block = args.optional()?;
    let overrides = Overrides { state, block };
    let target = call_target(context, &context.now(), id)?;
    limited_on(context, &target, &TraceEnd::new(context, args, None), |limits| {
        let (chain, state) = (context.view.chain(), &*target.state);
        let header = &target.header;
        lockstep_inspect::trace_call_parity(
            chain, header, state, &request, &types, &overrides, limits,
        )
    })
}

fn call_many<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Vec<TraceResults>> {
    let calls: Vec<(TransactionRequest, Types)> = args.required()?;
    if calls.len() > MAX_CALLS {
        let (asked, limit) = (calls.len() as u64, MAX_CALLS as u64);
        return Err(RpcError::Limit { what: "calls in one request", asked, limit });
    }
    let target = call_target(context, &context.now(), args.block()?)?;
    limited_on(context, &target, &TraceEnd::new(context, args, None), |limits| {
        let (chain, state) = (context.view.chain(), &*target.state);
        lockstep_inspect::trace_call_many(chain, &target.header, state, &calls, limits)
    })
}

fn raw_transaction<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<TraceResults> {
    use alloy_eips::eip2718::Decodable2718;
    let bytes: Bytes = args.required()?;
    let types: Types = args.required()?;
    let id = args.block()?;
    let wrong = |error: String| RpcError::invalid(format!("invalid argument 0: {error}"));
    let transaction =
        C::Transaction::decode_2718_exact(&bytes).map_err(|error| wrong(error.to_string()))?;
    let sender = transaction.recover_signer().map_err(|error| wrong(error.to_string()))?;
    let target = call_target(context, &context.now(), id)?;
    limited_on(context, &target, &TraceEnd::new(context, args, None), |limits| {
        let (chain, state) = (context.view.chain(), &*target.state);
        let header = &target.header;
        lockstep_inspect::trace_raw_transaction(
            chain,
            header,
            state,
            &transaction,
            sender,
            &types,
            limits,
        )
    })
}

fn replay_transaction<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<TraceResults> {
    let hash: B256 = args.required()?;
    let types: Types = args.required()?;
    let now = context.now();
    let (found, index) =
        Replayable::find_transaction(&now, &hash)?.ok_or(RpcError::NotFound("transaction"))?;
    limited(context, &TraceEnd::new(context, args, None), |limits| {
        let (chain, state) = (context.view.chain(), &*found.parent_state);
        lockstep_inspect::replay_transaction(chain, found.replay(), state, index, &types, limits)
    })
}

fn replay_block<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<Vec<TraceResultsWithTransactionHash>>> {
    let id = args.required_block()?;
    let types: Types = args.required()?;
    let Some(found) = Replayable::find(context, &context.now(), id)? else { return Ok(None) };
    let results = limited(context, &TraceEnd::new(context, args, None), |limits| {
        let (chain, state) = (context.view.chain(), &*found.parent_state);
        lockstep_inspect::replay_block_transactions(chain, found.replay(), state, &types, limits)
    })?;
    Ok(Some(results))
}
