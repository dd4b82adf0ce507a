//! What a client of WebSocket or IPC may have under way: requests that are not answered, and answers
//! and notifications that are not sent.
//!
//! The library that serves WebSockets begins a task for each message that it reads, and puts what
//! it sends into a queue that counts messages, not bytes. So the limits stand around it: the socket
//! is not read while too much is under way, no request begins while too many bytes wait for the
//! client to take them, and what waits for all clients together has a limit.

use super::budget::Budget;
use crate::{RpcError, error::LIMIT_EXCEEDED};
use jsonrpsee::{
    core::middleware::{Batch, BatchEntry, Notification, RpcServiceT},
    server::MethodResponse,
    types::{ErrorObjectOwned, Id, Request},
};
use parking_lot::Mutex;
use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};
use tokio::sync::Notify;

/// Requests of one connection that are answered at a time. A few more may have been read with them.
pub(super) const MAX_REQUESTS: usize = 64;

/// Bytes of requests under way and of answers on their way, beyond which nothing is read and no
/// request begins.
pub(super) const MAX_BYTES: usize = 16 << 20;

/// What one connection has under way.
#[derive(Debug)]
pub(crate) struct Load {
    budget: Arc<Budget>,
    requests: AtomicUsize,
    /// Of the requests under way.
    request_bytes: AtomicUsize,
    /// Of answers and notifications that are not written. What else is written (frames, answers to
    /// subscribing) is taken for them, so this may be too little, but not too much.
    unsent_bytes: AtomicUsize,
    reader: Mutex<Option<Waker>>,
    sent: Notify,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.budget.give_back(*self.unsent_bytes.get_mut());
    }
}

impl Load {
    /// A connection that has nothing under way, one of those that share `budget`.
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            requests: AtomicUsize::new(0),
            request_bytes: AtomicUsize::new(0),
            unsent_bytes: AtomicUsize::new(0),
            reader: Mutex::new(None),
            sent: Notify::new(),
        }
    }

    /// Makes room for something that is to be sent; `false` if too much waits for all clients.
    fn add_unsent(&self, bytes: usize) -> bool {
        let fits = self.budget.take(bytes, self.unsent_bytes.load(Ordering::Acquire));
        if fits {
            self.unsent_bytes.fetch_add(bytes, Ordering::AcqRel);
        }
        fits
    }

    /// Makes room for a notification; `false` if too much waits, for this client or for all.
    pub(crate) fn add_notification(&self, bytes: usize) -> bool {
        self.unsent_bytes.load(Ordering::Acquire) < MAX_BYTES && self.add_unsent(bytes)
    }

    /// Ready when more may be read.
    pub(super) async fn room(&self) {
        poll_fn(|context| self.poll_room(context)).await;
    }

    fn is_full(&self) -> bool {
        let bytes =
            self.request_bytes.load(Ordering::Acquire) + self.unsent_bytes.load(Ordering::Acquire);
        bytes >= MAX_BYTES || self.requests.load(Ordering::Acquire) >= MAX_REQUESTS
    }

    /// Ready when more may be read.
    pub(super) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        if !self.is_full() {
            return Poll::Ready(());
        }
        *self.reader.lock() = Some(context.waker().clone());
        // Room that came before the waker was there woke nobody.
        if self.is_full() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn wake_reader(&self) {
        if !self.is_full()
            && let Some(waker) = self.reader.lock().take()
        {
            waker.wake();
        }
    }

    /// Notes that bytes were written to the client, or will not be.
    pub(crate) fn wrote(&self, bytes: usize) {
        let left = |unsent: usize| (unsent > 0).then(|| unsent.saturating_sub(bytes));
        let updated = self.unsent_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, left);
        let Ok(before) = updated else { return };
        self.budget.give_back(before.min(bytes));
        if self.unsent_bytes.load(Ordering::Acquire) < MAX_BYTES {
            self.sent.notify_waiters();
        }
        self.wake_reader();
    }

    /// Waits until the client has taken enough of its answers.
    async fn sent(&self) {
        loop {
            let sent = self.sent.notified();
            if self.unsent_bytes.load(Ordering::Acquire) < MAX_BYTES {
                return;
            }
            sent.await;
        }
    }

    fn begin(self: &Arc<Self>, bytes: usize) -> UnderWay {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.request_bytes.fetch_add(bytes, Ordering::AcqRel);
        UnderWay { load: self.clone(), bytes }
    }
}

/// A request under way, until it is dropped.
#[derive(Debug)]
struct UnderWay {
    load: Arc<Load>,
    bytes: usize,
}

impl UnderWay {
    /// Notes the answer, which is on its way now. One that has no room is replaced by an error.
    fn answered(self, id: Id<'_>, response: MethodResponse) -> MethodResponse {
        // Subscribing has answered for itself.
        if response.is_notification() || response.is_subscription() {
            return response;
        }
        if self.load.add_unsent(response.as_json().get().len()) {
            return response;
        }
        metrics::counter!("lockstep_rpc_dropped_answers_total").increment(1);
        let message = "too many answers wait for clients that do not read them; try again";
        let error = RpcError::Refused { code: LIMIT_EXCEEDED, message: message.into() };
        MethodResponse::error(id, ErrorObjectOwned::from(error))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.load.request_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.load.requests.fetch_sub(1, Ordering::AcqRel);
        self.load.wake_reader();
    }
}

fn params_bytes(request: &Request<'_>) -> usize {
    request.params.as_ref().map_or(0, |params| params.get().len())
}

fn batch_bytes(batch: &Batch<'_>) -> usize {
    let entries = batch.iter().map(|entry| match entry {
        Ok(BatchEntry::Call(request)) => params_bytes(request),
        Ok(BatchEntry::Notification(notification)) => {
            notification.params.as_ref().map_or(0, |params| params.get().len())
        }
        Err(_) => 0,
    });
    entries.sum()
}

/// Holds the requests of one connection back while too much of it is under way.
#[derive(Clone, Debug)]
pub(super) struct LoadLayer(pub(super) Arc<Load>);

impl<S> tower::Layer<S> for LoadLayer {
    type Service = Loaded<S>;

    fn layer(&self, service: S) -> Loaded<S> {
        Loaded { service: Arc::new(service), load: self.0.clone() }
    }
}

/// A service behind [`LoadLayer`].
#[derive(Debug)]
pub(super) struct Loaded<S> {
    service: Arc<S>,
    load: Arc<Load>,
}

impl<S> Clone for Loaded<S> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), load: self.load.clone() }
    }
}

impl<S> RpcServiceT for Loaded<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(
        &self,
        mut request: Request<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (service, load) = (self.service.clone(), self.load.clone());
        let under_way = load.begin(params_bytes(&request));
        // Subscriptions take note of what they send.
        request.extensions.insert(load.clone());
        async move {
            load.sent().await;
            let id = request.id.clone();
            under_way.answered(id, service.call(request).await)
        }
    }

    fn batch<'a>(&self, mut batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (service, load) = (self.service.clone(), self.load.clone());
        let under_way = load.begin(batch_bytes(&batch));
        for entry in batch.iter_mut() {
            if let Ok(BatchEntry::Call(request)) = entry {
                request.extensions.insert(load.clone());
            }
        }
        async move {
            load.sent().await;
            under_way.answered(Id::Null, service.batch(batch).await)
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.service.clone();
        async move { service.notification(notification).await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> Arc<Load> {
        Arc::new(Load::new(Arc::new(Budget::new(4 * MAX_BYTES, 4))))
    }

    #[test]
    fn notifications_have_no_room_behind_what_waits_already() {
        let load = load();
        assert!(load.add_notification(MAX_BYTES - 1));
        assert!(load.add_notification(10));
        assert!(!load.add_notification(1));
        load.wrote(10);
        assert!(load.add_notification(1));
    }

    #[test]
    fn a_connection_that_ends_gives_back_what_waited_for_it() {
        let budget = Arc::new(Budget::new(100, 10));
        let (one, other) = (Load::new(budget.clone()), Load::new(budget));
        assert!(one.add_notification(100));
        assert!(!other.add_notification(11));
        // More is written than was noted.
        one.wrote(20);
        one.wrote(100);
        assert!(other.add_notification(100));
        drop(other);
        assert!(one.add_notification(100));
    }

    #[tokio::test]
    async fn nothing_is_read_while_too_many_requests_are_under_way() {
        let load = load();
        let context = Context::from_waker(Waker::noop());
        let mut under_way: Vec<_> = (0..MAX_REQUESTS).map(|_| load.begin(10)).collect();
        assert!(load.poll_room(&context).is_pending());
        under_way.pop();
        assert!(load.poll_room(&context).is_ready());
        let large = load.begin(MAX_BYTES);
        assert!(load.poll_room(&context).is_pending());
        drop(large);
        assert!(load.poll_room(&context).is_ready());
    }

    #[tokio::test]
    async fn no_request_begins_while_answers_wait_for_the_client() {
        let load = load();
        assert!(load.add_unsent(MAX_BYTES + 1));
        let waiting = load.sent();
        tokio::pin!(waiting);
        let context = &mut Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(context).is_pending());
        load.wrote(1);
        assert!(waiting.as_mut().poll(context).is_pending());
        load.wrote(1);
        assert!(waiting.as_mut().poll(context).is_ready());
        assert!(load.poll_room(context).is_ready());
    }
}
