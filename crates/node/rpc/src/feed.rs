//! What happens on the chain, told to all subscribers at once.

use crate::{Context, RpcChain, eth::Update};
use alloy_consensus::{Header, transaction::TxHashRef};
use alloy_primitives::{B256, Sealed};
use lockstep_engine::{ChainUpdate, PendingBlock};
use serde_json::value::RawValue;
use std::{
    ops::Range,
    sync::{Arc, Weak},
};
use tokio::sync::broadcast::{self, error::RecvError};

/// How many changes of the chain wait for a subscriber. One that is further behind is closed.
const MAX_WAITING_EVENTS: usize = 1_024;

/// How many updates of the block that is being built wait for a subscriber. One that is further behind is closed.
const MAX_WAITING_UPDATES: usize = 16;

/// A change of the chain, shared by all subscribers.
#[derive(Debug)]
pub(crate) struct ChainEvent<C: RpcChain> {
    pub(crate) update: ChainUpdate<C>,
    /// The new heads in JSON, oldest first: written once for all subscribers.
    pub(crate) heads: Vec<Box<RawValue>>,
}

/// Hands changes of the chain to subscribers.
#[derive(Debug)]
pub(crate) struct Feed<C: RpcChain> {
    /// `None` says that changes were missed, and a subscriber cannot know what it did not see.
    sender: broadcast::Sender<Option<Arc<ChainEvent<C>>>>,
    updates: broadcast::Sender<Arc<Update>>,
}

/// Receives changes of the chain.
#[derive(Debug)]
pub(crate) struct Events<C: RpcChain> {
    receiver: broadcast::Receiver<Option<Arc<ChainEvent<C>>>>,
}

/// Why no further change comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FeedEnd {
    /// The node stops.
    #[error("the node is shutting down")]
    Closed,
    /// Changes were missed.
    #[error("the subscription fell behind and missed changes of the chain; subscribe again")]
    Missed,
}

impl<C: RpcChain> Feed<C> {
    pub(crate) fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(MAX_WAITING_EVENTS),
            updates: broadcast::Sender::new(MAX_WAITING_UPDATES),
        }
    }

    pub(crate) fn subscribe_to_updates(&self) -> broadcast::Receiver<Arc<Update>> {
        self.updates.subscribe()
    }

    fn publish_update(&self, context: &Context<C>, pending: &PendingBlock<C>, added: Range<usize>) {
        if self.updates.receiver_count() == 0 {
            return;
        }
        match Update::new(context, pending, added) {
            // Without a receiver nobody wants to know.
            Ok(update) => drop(self.updates.send(Arc::new(update))),
            Err(error) => {
                tracing::error!(target: "lockstep_rpc", %error, "an update could not be told");
            }
        }
    }

    pub(crate) fn subscribe(&self) -> Events<C> {
        Events { receiver: self.sender.subscribe() }
    }

    fn publish(&self, update: ChainUpdate<C>) {
        if self.sender.receiver_count() == 0 {
            return;
        }
        let heads = update.committed().iter().filter_map(|block| {
            let header = rpc_header(block.block.sealed_header());
            serde_json::value::to_raw_value(&header).ok()
        });
        let heads = heads.collect();
        // Without a receiver nobody wants to know.
        let _ = self.sender.send(Some(Arc::new(ChainEvent { update, heads })));
    }
}

impl<C: RpcChain> Events<C> {
    /// The next change.
    pub(crate) async fn next(&mut self) -> Result<Arc<ChainEvent<C>>, FeedEnd> {
        match self.receiver.recv().await {
            Ok(Some(event)) => Ok(event),
            Ok(None) | Err(RecvError::Lagged(_)) => Err(FeedEnd::Missed),
            Err(RecvError::Closed) => Err(FeedEnd::Closed),
        }
    }
}

/// A header as subscribers get it.
pub(crate) fn rpc_header(header: Sealed<Header>) -> alloy_rpc_types_eth::Header {
    alloy_rpc_types_eth::Header::from_sealed(header)
}

/// Forwards changes of the chain until the context is dropped.
pub(crate) fn follow_chain<C: RpcChain>(context: &Arc<Context<C>>) {
    let mut updates = context.view.subscribe();
    let context: Weak<Context<C>> = Arc::downgrade(context);
    tokio::spawn(async move {
        loop {
            let received = updates.recv().await;
            let Some(context) = context.upgrade() else { break };
            context.forget_current();
            match received {
                Ok(update) => {
                    context.filters.remember_dropped(update.dropped());
                    let committed = update.committed().iter();
                    let transactions = committed.flat_map(|block| block.block.transactions());
                    context.waiters.wake(transactions.map(TxHashRef::tx_hash));
                    context.feed.publish(update);
                }
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(
                        target: "lockstep_rpc",
                        missed,
                        "subscriptions were closed: changes of the chain came too fast"
                    );
                    let _ = context.feed.sender.send(None);
                    context.waiters.wake_all();
                }
                Err(RecvError::Closed) => {
                    context.waiters.close();
                    break;
                }
            }
        }
    });
}

/// Wakes those that wait for a transaction when it is in the block under construction.
pub(crate) fn follow_pending<C: RpcChain>(context: &Arc<Context<C>>) {
    let Some(mut changes) = context.pending.as_ref().map(|pending| pending.changes()) else {
        return;
    };
    let context: Weak<Context<C>> = Arc::downgrade(context);
    tokio::spawn(async move {
        // How many transactions were looked at, and the last of them.
        let mut seen: (usize, Option<B256>) = (0, None);
        while changes.changed().await.is_ok() {
            let Some(context) = context.upgrade() else { break };
            let Some(pending) = context.pending_block() else { continue };
            let hash = |at: usize| pending.block.transactions().get(at).map(|tx| *tx.tx_hash());
            let goes_on = seen.1.is_some() && seen.0.checked_sub(1).and_then(hash) == seen.1;
            let known = if goes_on { seen.0 } else { 0 };
            let transactions = pending.block.transactions();
            context.waiters.wake(transactions.iter().skip(known).map(TxHashRef::tx_hash));
            context.feed.publish_update(&context, &pending, known..transactions.len());
            seen = (transactions.len(), transactions.len().checked_sub(1).and_then(hash));
        }
    });
}

/// Remembers transactions that enter the pool for the filters that are polled.
pub(crate) fn follow_pool<C: RpcChain>(context: &Arc<Context<C>>) {
    let mut events = context.pool.subscribe();
    let context: Weak<Context<C>> = Arc::downgrade(context);
    tokio::spawn(async move {
        loop {
            let received = events.recv().await;
            let Some(context) = context.upgrade() else { break };
            match received {
                Ok(transaction) => context.filters.remember_pending(&transaction),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            }
        }
    });
}
