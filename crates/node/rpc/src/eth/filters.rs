//! Filters that are installed and polled, and `eth_getLogs`.

use crate::{
    Args, Context, RpcChain, RpcError, RpcResult,
    deadline::Deadline,
    eth::transactions::rpc_pooled,
    filters::{Changes, Kind},
    logs,
    register::{Registrar, run_handler, work_handler},
};
use alloy_eips::{BlockNumHash, BlockNumberOrTag};
use alloy_primitives::{B256, U128};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use serde::Serialize;
use std::sync::Arc;

/// Ranges up to this many blocks are looked through where the request was received.
const MAX_INLINE_BLOCKS: u64 = 32;

pub(super) fn register<C: RpcChain>(registrar: &mut Registrar<C>) {
    registrar
        .task("eth_getLogs", |context, params| async move {
            if is_small(&context, &params) {
                return run_handler(&context, &params, get_logs);
            }
            work_handler(context, params, get_logs).await
        })
        .read("eth_newFilter", new_filter)
        .read("eth_newBlockFilter", |context, args| {
            args.end()?;
            install(context, Kind::Blocks)
        })
        .read("eth_newPendingTransactionFilter", |context, args| {
            let full = args.optional()?.unwrap_or(false);
            args.end()?;
            install(context, Kind::Pending { full })
        })
        .read("eth_uninstallFilter", |context, args| {
            let id: U128 = args.required()?;
            args.end()?;
            Ok(context.filters.uninstall(&id))
        })
        .work("eth_getFilterChanges", changes)
        .work("eth_getFilterLogs", |context, args| {
            let id: U128 = args.required()?;
            let filter = context.filters.log_filter(&id)?;
            matching(context, &filter, args.deadline())
        });
}

/// Whether a request looks at so few blocks that handing it to a worker costs more.
fn is_small<C: RpcChain>(context: &Context<C>, params: &jsonrpsee::types::Params<'_>) -> bool {
    let Ok(filter) = Args::new(params).and_then(|mut args| args.required::<Filter>()) else {
        // The handler says what is wrong with it.
        return true;
    };
    let snapshot = context.view.snapshot();
    match logs::wanted_blocks(&snapshot, &filter, &context.settings.limits) {
        Ok(logs::Wanted::Range(range)) => range.end() - range.start() < MAX_INLINE_BLOCKS,
        _ => true,
    }
}

fn get_logs<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Vec<Log>> {
    let filter: Filter = args.required()?;
    matching(context, &filter, args.deadline())
}

fn matching<C: RpcChain>(
    context: &Context<C>,
    filter: &Filter,
    deadline: Option<&Deadline>,
) -> RpcResult<Vec<Log>> {
    let now = context.now();
    check_pending(context, filter)?;
    let limits = &context.settings.limits;
    let wanted = logs::wanted_blocks(&now.snapshot, filter, limits)?;
    logs::query(&now.snapshot, filter, wanted, limits.log_results, deadline)
}

/// Refuses filters for the block under construction: their logs would have no place.
fn check_pending<C: RpcChain>(context: &Context<C>, filter: &Filter) -> RpcResult<()> {
    let FilterBlockOption::Range { from_block, to_block } = filter.block_option else {
        return Ok(());
    };
    for tag in [from_block, to_block].into_iter().flatten() {
        context.refuse_pending(tag.into(), "logs that could be told apart")?;
    }
    Ok(())
}

fn install<C: RpcChain>(context: &Context<C>, kind: Kind) -> RpcResult<U128> {
    let head = context.view.head();
    context.filters.install(kind, BlockNumHash::new(head.number, head.seal()))
}

fn new_filter<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<U128> {
    let filter: Filter = args.required()?;
    // Nothing may be installed for a client that is told of an error.
    args.end()?;
    logs::check_size(&filter)?;
    check_range(&filter)?;
    install(context, Kind::Logs(Arc::new(filter)))
}

/// Refuses filters for new blocks that no new block can match, as go-ethereum does.
fn check_range(filter: &Filter) -> RpcResult<()> {
    let is_valid = match filter.block_option {
        FilterBlockOption::AtBlockHash(_) => false,
        FilterBlockOption::Range {
            from_block: Some(BlockNumberOrTag::Number(from)),
            to_block: Some(BlockNumberOrTag::Number(to)),
        } => from <= to,
        FilterBlockOption::Range { .. } => true,
    };
    if is_valid { Ok(()) } else { Err(RpcError::invalid("invalid block range params")) }
}

/// The answer of `eth_getFilterChanges`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum RpcChanges<T> {
    Logs(Vec<Log>),
    Hashes(Vec<B256>),
    Transactions(Vec<T>),
}

fn changes<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<RpcChanges<C::RpcTransaction>> {
    let id: U128 = args.required()?;
    let now = || context.view.snapshot();
    let (kind, changes) = context.filters.poll(&id, now, &context.settings.limits)?;
    Ok(match changes {
        Changes::Logs(logs) => RpcChanges::Logs(logs),
        Changes::Hashes(hashes) => RpcChanges::Hashes(hashes),
        Changes::Transactions(transactions) if matches!(kind, Kind::Pending { full: true }) => {
            let chain = context.view.chain();
            let full = transactions.iter().map(|transaction| rpc_pooled(chain, transaction));
            RpcChanges::Transactions(full.collect())
        }
        Changes::Transactions(transactions) => {
            RpcChanges::Hashes(transactions.iter().map(|transaction| transaction.hash).collect())
        }
    })
}
