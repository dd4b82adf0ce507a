//! Subscriptions.

use crate::{
    Args, Context, RpcChain, RpcError, RpcResult,
    eth::{Update, node::syncing, transactions::rpc_pooled},
    feed::ChainEvent,
    logs::{block_logs, check_size},
    register::Registrar,
    server::Load,
};
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, Log};
use jsonrpsee::{
    core::{
        SubscriptionError,
        server::{PendingSubscriptionSink, SubscriptionSink, TrySendError},
    },
    types::Params,
};
use lockstep_engine::PendingBlock;
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use std::{ops::Range, sync::Arc};
use tokio::sync::broadcast::{Receiver, error::RecvError};

pub(super) fn register<C: RpcChain>(registrar: &mut Registrar<C>) {
    let added = registrar.module().register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        |params, pending, context, extensions| {
            subscribe(params, pending, context, extensions.get().cloned())
        },
    );
    let error = added.err();
    registrar.note(error);
}

/// What a client subscribes to.
#[derive(Debug)]
enum Topic {
    NewHeads,
    Logs(Box<Filter>),
    PendingTransactions { full: bool },
    Syncing,
    Updates,
}

fn parse(params: &Params<'_>) -> RpcResult<Topic> {
    let mut args = Args::new(params)?;
    let name: String = args.required()?;
    let topic = match name.as_str() {
        "newHeads" => Topic::NewHeads,
        "logs" => {
            let filter: Filter = args.optional()?.unwrap_or_default();
            check_size(&filter)?;
            Topic::Logs(Box::new(filter))
        }
        "newPendingTransactions" => {
            Topic::PendingTransactions { full: args.optional()?.unwrap_or(false) }
        }
        "syncing" => Topic::Syncing,
        "updates" => Topic::Updates,
        _ => {
            let name: String = name.chars().take(64).collect();
            return Err(RpcError::invalid(format!("no {name:?} subscription in eth namespace")));
        }
    };
    args.optional::<Value>()?;
    Ok(topic)
}

/// Counts a subscription for as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!("lockstep_rpc_subscriptions").increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("lockstep_rpc_subscriptions").decrement(1.0);
    }
}

/// Why a subscription ended before the client wanted it to.
type Ended = Result<(), SubscriptionError>;

async fn subscribe<C: RpcChain>(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    context: Arc<Context<C>>,
    load: Option<Arc<Load>>,
) -> Ended {
    let topic = match parse(&params) {
        Ok(topic) => topic,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    drop(params);
    let entries = if let Topic::Logs(filter) = &topic { crate::logs::entries(filter) } else { 0 };
    let _share = match context.filters.entries().take(entries) {
        Ok(share) => share,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    let Ok(_place) = context.subscriptions.try_acquire() else {
        let limit = context.settings.limits.subscriptions as u64;
        pending.reject(RpcError::Limit { what: "subscriptions", asked: limit + 1, limit }).await;
        return Ok(());
    };
    if matches!(topic, Topic::Updates) && context.pending.is_none() {
        let message =
            "this node builds no blocks, so there are no updates; ask one whose gateway does";
        pending.reject(RpcError::refused(message)).await;
        return Ok(());
    }
    // Whatever happens after the client has its answer is told, so listening begins before.
    match topic {
        Topic::PendingTransactions { full } => {
            let events = context.pool.subscribe();
            let Ok(sink) = pending.accept().await else { return Ok(()) };
            pending_transactions(&context, events, Subscriber { sink, load }, full).await
        }
        Topic::Updates => {
            let events = context.feed.subscribe_to_updates();
            let Ok(sink) = pending.accept().await else { return Ok(()) };
            updates(&context, events, Subscriber { sink, load }).await
        }
        topic => {
            let events = context.feed.subscribe();
            let Ok(sink) = pending.accept().await else { return Ok(()) };
            chain_events(&context, events, Subscriber { sink, load }, &topic).await
        }
    }
}

/// What a notification has around its result, in bytes, at least.
const ENVELOPE_BYTES: usize = 100;

/// A client that subscribed.
struct Subscriber {
    sink: SubscriptionSink,
    /// What waits for it; not known where notifications do not leave the process.
    load: Option<Arc<Load>>,
}

impl Subscriber {
    /// Completes when the client is gone or wants to hear no more.
    async fn closed(&self) {
        self.sink.closed().await;
    }

    /// Sends a message, or ends the subscription: a client that does not read must not cost
    /// memory.
    fn send(&mut self, message: Box<RawValue>) -> Result<bool, SubscriptionError> {
        let bytes = message.get().len() + ENVELOPE_BYTES;
        if self.load.as_ref().is_some_and(|load| !load.add_notification(bytes)) {
            return too_slow();
        }
        let sent = self.sink.try_send(message);
        if sent.is_err()
            && let Some(load) = &self.load
        {
            load.wrote(bytes);
        }
        match sent {
            Ok(()) => Ok(true),
            Err(TrySendError::Closed(_)) => Ok(false),
            Err(TrySendError::Full(_)) => too_slow(),
        }
    }

    fn send_json(&mut self, message: &impl Serialize) -> Result<bool, SubscriptionError> {
        let json = serde_json::value::to_raw_value(message)?;
        self.send(json)
    }
}

fn too_slow() -> Result<bool, SubscriptionError> {
    metrics::counter!("lockstep_rpc_slow_clients").increment(1);
    Err("the client does not read fast enough; the subscription was closed".into())
}

async fn chain_events<C: RpcChain>(
    context: &Arc<Context<C>>,
    mut events: crate::feed::Events<C>,
    mut client: Subscriber,
    topic: &Topic,
) -> Ended {
    let _counted = Counted::new();
    let mut is_syncing = Value::Bool(false);
    loop {
        let event = tokio::select! {
            () = client.closed() => return Ok(()),
            event = events.next() => event?,
        };
        let is_open = match topic {
            Topic::NewHeads => send_heads(&mut client, &event)?,
            Topic::Logs(filter) => send_logs(&mut client, filter, &event)?,
            Topic::Syncing => {
                let status = syncing(context);
                let changed = status.is_boolean() != is_syncing.is_boolean();
                is_syncing = status;
                !changed || client.send_json(&is_syncing)?
            }
            Topic::PendingTransactions { .. } | Topic::Updates => true,
        };
        if !is_open {
            return Ok(());
        }
    }
}

fn send_heads<C: RpcChain>(
    client: &mut Subscriber,
    event: &ChainEvent<C>,
) -> Result<bool, SubscriptionError> {
    for head in &event.heads {
        if !client.send(head.clone())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes back the logs of blocks that left the chain, the newest block first, and tells those of
/// the blocks that took their place.
fn send_logs<C: RpcChain>(
    client: &mut Subscriber,
    filter: &Filter,
    event: &ChainEvent<C>,
) -> Result<bool, SubscriptionError> {
    let dropped = event.update.dropped().iter().rev().map(|block| (block, true));
    let committed = event.update.committed().iter().map(|block| (block, false));
    for (block, removed) in dropped.chain(committed) {
        if !filter.matches_bloom(block.block.block.header.logs_bloom) {
            continue;
        }
        let mut logs: Vec<Log> = Vec::new();
        block_logs(filter, &block.block, &block.receipts, removed, usize::MAX, &mut logs)?;
        for log in &logs {
            if !client.send_json(log)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Tells what each update added to the block that is being built; the first time, all that is in it.
async fn updates<C: RpcChain>(
    context: &Arc<Context<C>>,
    mut events: Receiver<Arc<Update>>,
    mut client: Subscriber,
) -> Ended {
    let _counted = Counted::new();
    // The block that the client knows, and how many of its transactions.
    let mut known: Option<(B256, usize)> = None;
    loop {
        let update = tokio::select! {
            () = client.closed() => return Ok(()),
            event = events.recv() => match event {
                Ok(update) => update,
                Err(RecvError::Lagged(missed)) => {
                    return Err(format!("the subscription fell behind by {missed} updates").into());
                }
                Err(RecvError::Closed) => return Ok(()),
            },
        };
        let Range { start, end } = update.added;
        let goes_on = start == 0 || known == Some((update.parent, start));
        let json = if goes_on { Some(update.json.clone()) } else { whole(context, &update)? };
        let Some(json) = json else { continue };
        known = Some((update.parent, end));
        if !client.send(json)? {
            return Ok(());
        }
    }
}

/// The block as it was after an update, unless it is gone by now.
fn whole<C: RpcChain>(context: &Context<C>, update: &Update) -> RpcResult<Option<Box<RawValue>>> {
    let pending = context.pending_block();
    let is_same = |pending: &PendingBlock<C>| {
        pending.block.parent_hash() == update.parent
            && pending.block.transactions().len() >= update.added.end
    };
    let Some(pending) = pending.filter(is_same) else { return Ok(None) };
    Ok(Some(Update::new(context, &pending, 0..update.added.end)?.json))
}

async fn pending_transactions<C: RpcChain>(
    context: &Arc<Context<C>>,
    mut events: Receiver<Arc<lockstep_pool::PoolTransaction<C>>>,
    mut client: Subscriber,
    full: bool,
) -> Ended {
    let _counted = Counted::new();
    loop {
        let transaction = tokio::select! {
            () = client.closed() => return Ok(()),
            event = events.recv() => match event {
                Ok(transaction) => transaction,
                Err(RecvError::Lagged(missed)) => {
                    return Err(format!("the subscription fell behind by {missed} transactions").into());
                }
                Err(RecvError::Closed) => return Ok(()),
            },
        };
        let is_open = if full {
            client.send_json(&rpc_pooled(context.view.chain(), &transaction))?
        } else {
            client.send_json(&transaction.hash)?
        };
        if !is_open {
            return Ok(());
        }
    }
}
