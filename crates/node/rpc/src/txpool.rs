//! The `txpool` namespace.

use crate::{Args, Context, RpcChain, RpcResult, eth::rpc_pooled, register::Registrar};
use alloy_consensus::Transaction;
use alloy_primitives::{Address, U64};
use jsonrpsee::{Methods, core::RegisterMethodError};
use lockstep_pool::{PoolContent, PoolTransaction};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// All methods of the namespace.
pub(crate) fn methods<C: RpcChain>(
    context: &Arc<Context<C>>,
) -> Result<Methods, RegisterMethodError> {
    Registrar::new(context)
        .read("txpool_status", status)
        .work("txpool_content", |context, _| {
            let chain = context.view.chain();
            Ok(by_sender(context.pool.content(), |pooled| rpc_pooled(chain, pooled)))
        })
        .work("txpool_contentFrom", content_from)
        .work("txpool_inspect", |context, _| Ok(by_sender(context.pool.content(), summary)))
        .finish()
}

/// How many transactions wait.
#[derive(Clone, Copy, Debug, Serialize)]
struct Status {
    pending: U64,
    queued: U64,
}

fn status<C: RpcChain>(context: &Context<C>, _: &mut Args<'_>) -> RpcResult<Status> {
    let status = context.pool.status();
    Ok(Status { pending: U64::from(status.pending), queued: U64::from(status.queued) })
}

/// Transactions by nonce, as JSON keys go.
type ByNonce<T> = BTreeMap<String, T>;

/// What is pending and what is queued.
#[derive(Clone, Debug, Serialize)]
struct Content<T> {
    pending: T,
    queued: T,
}

fn by_sender<C: RpcChain, T>(
    content: PoolContent<C>,
    tell: impl Fn(&PoolTransaction<C>) -> T,
) -> Content<BTreeMap<String, ByNonce<T>>> {
    let tell_all = |senders: lockstep_pool::BySender<C>| {
        let senders = senders.into_iter().map(|(sender, transactions)| {
            let transactions =
                transactions.into_iter().map(|(nonce, pooled)| (nonce.to_string(), tell(&pooled)));
            (sender.to_checksum(None), transactions.collect())
        });
        senders.collect()
    };
    Content { pending: tell_all(content.pending), queued: tell_all(content.queued) }
}

fn content_from<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Content<ByNonce<C::RpcTransaction>>> {
    let sender: Address = args.required()?;
    let chain = context.view.chain();
    let mut content = context.pool.content_from(sender);
    let tell = |senders: &mut lockstep_pool::BySender<C>| {
        let transactions = senders.remove(&sender).unwrap_or_default().into_iter();
        transactions
            .map(|(nonce, pooled)| (nonce.to_string(), rpc_pooled(chain, &pooled)))
            .collect()
    };
    Ok(Content { pending: tell(&mut content.pending), queued: tell(&mut content.queued) })
}

/// go-ethereum's summary of a transaction.
fn summary<C: RpcChain>(pooled: &PoolTransaction<C>) -> String {
    let (value, gas) = (pooled.tx.value(), pooled.tx.gas_limit());
    let price = pooled.tx.max_fee_per_gas();
    match pooled.tx.to() {
        Some(to) => format!("{}: {value} wei + {gas} gas × {price} wei", to.to_checksum(None)),
        None => format!("contract creation: {value} wei + {gas} gas × {price} wei"),
    }
}
