//! What a WebSocket client may have under way: requests that are not answered and answers that are
//! not sent.
//!
//! The library that serves WebSockets begins a task for each message that it reads, and puts the
//! answers into a queue that counts messages, not bytes. So the limits stand around it: the socket
//! is not read while too much is under way, and no request begins while too many bytes wait for the
//! client to take them.

use jsonrpsee::{
    core::middleware::{Batch, BatchEntry, Notification, RpcServiceT},
    server::MethodResponse,
    types::Request,
};
use parking_lot::Mutex;
use std::{
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
#[derive(Debug, Default)]
pub(super) struct Load {
    requests: AtomicUsize,
    /// Of the requests under way.
    request_bytes: AtomicUsize,
    /// Of answers that are not written. What else is written (notifications, frames) is taken for
    /// answers, so this may be too little, but not too much.
    unsent_bytes: AtomicUsize,
    reader: Mutex<Option<Waker>>,
    sent: Notify,
}

impl Load {
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

    /// Notes that bytes were written to the client.
    pub(super) fn wrote(&self, bytes: usize) {
        if self.unsent_bytes.load(Ordering::Acquire) == 0 {
            return;
        }
        let left = |unsent: usize| Some(unsent.saturating_sub(bytes));
        let _ = self.unsent_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, left);
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
    /// Notes the answer, which is on its way now.
    fn answered(self, response: MethodResponse) -> MethodResponse {
        if !response.is_notification() {
            let bytes = response.as_json().get().len();
            self.load.unsent_bytes.fetch_add(bytes, Ordering::AcqRel);
        }
        response
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

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (service, load) = (self.service.clone(), self.load.clone());
        let under_way = load.begin(params_bytes(&request));
        async move {
            load.sent().await;
            under_way.answered(service.call(request).await)
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (service, load) = (self.service.clone(), self.load.clone());
        let under_way = load.begin(batch_bytes(&batch));
        async move {
            load.sent().await;
            under_way.answered(service.batch(batch).await)
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

    #[tokio::test]
    async fn nothing_is_read_while_too_many_requests_are_under_way() {
        let load = Arc::new(Load::default());
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
        let load = Arc::new(Load::default());
        load.unsent_bytes.store(MAX_BYTES + 1, Ordering::Release);
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
