//! What happens on the chain, told to all subscribers at once.

use crate::{Context, RpcChain, RpcResult, eth::Update};
use alloy_consensus::{Header, transaction::TxHashRef};
use alloy_primitives::{B256, Sealed};
use lockstep_engine::ChainUpdate;
use lockstep_storage::RecoveredBlock;
use parking_lot::Mutex;
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
    /// The block that is being built, as far as it was told.
    open: Mutex<Option<OpenBlock>>,
}

/// How much was told of a block that was not complete then.
#[derive(Clone, Copy, Debug)]
struct OpenBlock {
    number: u64,
    parent: B256,
    /// How many of its transactions were told, and the last of them.
    told: usize,
    last: Option<B256>,
}

impl OpenBlock {
    /// The block with its first `told` transactions.
    fn of<C: RpcChain>(block: &RecoveredBlock<C>, told: usize) -> Self {
        let last = told.checked_sub(1).and_then(|at| hash_at(block, at));
        Self { number: block.number(), parent: block.parent_hash(), told, last }
    }

    fn is<C: RpcChain>(&self, block: &RecoveredBlock<C>) -> bool {
        self.number == block.number() && self.parent == block.parent_hash()
    }

    /// Which transactions of the block were not told: all, if what was told is not how it begins.
    fn untold<C: RpcChain>(&self, block: &RecoveredBlock<C>) -> Range<usize> {
        let last = self.told.checked_sub(1).and_then(|at| hash_at(block, at));
        let begin = if self.last.is_some() && last == self.last { self.told } else { 0 };
        begin..block.transactions().len()
    }
}

fn hash_at<C: RpcChain>(block: &RecoveredBlock<C>, at: usize) -> Option<B256> {
    block.transactions().get(at).map(|transaction| *transaction.tx_hash())
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
            open: Mutex::default(),
        }
    }

    pub(crate) fn subscribe_to_updates(&self) -> broadcast::Receiver<Arc<Update>> {
        self.updates.subscribe()
    }

    /// Tells what is new in the block that is being built, after what was left to tell of the one before. To be called
    /// when either the block or the chain has changed: the last update of a block may be gone before anybody looks.
    fn tell_updates(&self, context: &Context<C>) {
        let mut open = self.open.lock();
        let pending = context.pending_block();
        if let Some(known) = *open
            && !pending.as_ref().is_some_and(|pending| known.is(&pending.block))
        {
            let is_told = self.tell_end(context, &known);
            // Without another block, this one may still become complete.
            if is_told || pending.is_some() {
                *open = None;
            }
        }
        let Some(pending) = pending else { return };
        let block = &pending.block;
        let known = open.unwrap_or_else(|| OpenBlock::of(block, 0));
        let added = known.untold(block);
        if open.is_some() && added.is_empty() {
            return;
        }
        *open = Some(OpenBlock::of(block, added.end));
        let hashes = block.transactions().iter().skip(added.start);
        context.waiters.wake(hashes.map(TxHashRef::tx_hash));
        self.publish_update(|| Update::new(context, &pending, added));
    }

    /// Tells that a block is complete, if it is.
    fn tell_end(&self, context: &Context<C>, known: &OpenBlock) -> bool {
        let snapshot = context.view.snapshot();
        let found = snapshot.block(known.number).and_then(|block| {
            let Some(block) = block.filter(|block| known.is(block)) else { return Ok(None) };
            Ok(snapshot.receipts(known.number)?.map(|receipts| (block, receipts)))
        });
        match found {
            Ok(Some((block, receipts))) => {
                let added = known.untold(&block);
                self.publish_update(|| Update::complete(context, block, receipts, added));
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::error!(target: "lockstep_rpc", %error, "the end of a block could not be told");
                true
            }
        }
    }

    fn publish_update(&self, update: impl FnOnce() -> RpcResult<Update>) {
        if self.updates.receiver_count() == 0 {
            return;
        }
        match update() {
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
                    context.feed.tell_updates(&context);
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

/// Tells what is new in the block under construction, and wakes those that wait for it.
pub(crate) fn follow_pending<C: RpcChain>(context: &Arc<Context<C>>) {
    let Some(mut changes) = context.pending.as_ref().map(|pending| pending.changes()) else {
        return;
    };
    let context: Weak<Context<C>> = Arc::downgrade(context);
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            let Some(context) = context.upgrade() else { break };
            context.feed.tell_updates(&context);
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
