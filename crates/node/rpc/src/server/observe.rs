//! Counts and times requests, ends those that take too long, and tells of slow ones.

use crate::RpcError;
use jsonrpsee::{
    core::middleware::{Batch, BatchEntry, Notification, RpcServiceT},
    server::{BatchResponseBuilder, MethodResponse},
    types::{ErrorObjectOwned, Id, Request},
};
use metrics::{Counter, Histogram};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A request that takes longer is logged.
const SLOW: Duration = Duration::from_secs(5);

/// The measurements of one method.
#[derive(Clone)]
struct Measures {
    requests: Counter,
    errors: Counter,
    seconds: Histogram,
}

impl Measures {
    fn new(method: &'static str, transport: &'static str) -> Self {
        Self {
            requests: metrics::counter!(
                "lockstep_rpc_requests_total", "method" => method, "transport" => transport
            ),
            errors: metrics::counter!(
                "lockstep_rpc_errors_total", "method" => method, "transport" => transport
            ),
            seconds: metrics::histogram!(
                "lockstep_rpc_request_seconds", "method" => method, "transport" => transport
            ),
        }
    }
}

/// The measurements of all methods. They are made when the server starts, so the metrics recorder
/// must be installed before.
#[derive(Clone)]
pub(super) struct Observed {
    inner: Arc<Inner>,
}

struct Inner {
    methods: HashMap<&'static str, Measures>,
    /// Names are chosen by clients, and must not become labels.
    unknown: Measures,
    timeout: Duration,
    response_bytes: usize,
}

impl std::fmt::Debug for Observed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observed").field("methods", &self.methods.len()).finish_non_exhaustive()
    }
}

impl Inner {
    fn timed_out(&self, id: Id<'_>) -> MethodResponse {
        let error = RpcError::Timeout { seconds: self.timeout.as_secs() };
        MethodResponse::error(id, ErrorObjectOwned::from(error))
    }
}

impl Observed {
    pub(super) fn new(
        names: impl Iterator<Item = &'static str>,
        transport: &'static str,
        timeout: Duration,
        response_bytes: usize,
    ) -> Self {
        let methods = names.map(|name| (name, Measures::new(name, transport))).collect();
        let unknown = Measures::new("unknown", transport);
        Self { inner: Arc::new(Inner { methods, unknown, timeout, response_bytes }) }
    }
}

impl<S> tower::Layer<S> for Observed {
    type Service = Observe<S>;

    fn layer(&self, service: S) -> Observe<S> {
        Observe { service: Arc::new(service), observed: self.inner.clone() }
    }
}

/// Watches over a service.
#[derive(Debug)]
pub(super) struct Observe<S> {
    service: Arc<S>,
    observed: Arc<Inner>,
}

impl<S> Clone for Observe<S> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), observed: self.observed.clone() }
    }
}

impl<S> Observe<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Send
        + Sync
        + 'static,
{
    fn call_until<'a>(
        &self,
        request: Request<'a>,
        begun: Instant,
        end: Instant,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        let observed = self.observed.clone();
        let method = request.method.clone();
        let id = request.id.clone();
        // Methods that answer at once run within this call.
        let answer = self.service.call(request);
        async move {
            let response = match tokio::time::timeout_at(end, answer).await {
                Ok(response) => response,
                Err(_) => observed.timed_out(id),
            };
            let measures = observed.methods.get(&*method).unwrap_or(&observed.unknown);
            let elapsed = begun.elapsed();
            measures.requests.increment(1);
            if response.is_error() {
                measures.errors.increment(1);
            }
            measures.seconds.record(elapsed.as_secs_f64());
            if elapsed >= SLOW {
                tracing::info!(
                    target: "lockstep_rpc",
                    %method,
                    seconds = elapsed.as_secs_f64(),
                    "a request took long"
                );
            }
            response
        }
    }
}

impl<S> RpcServiceT for Observe<S>
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
        let begun = Instant::now();
        self.call_until(request, begun, begun + self.observed.timeout)
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            let mut responses = BatchResponseBuilder::new_with_limit(this.observed.response_bytes);
            let mut notified = false;
            let end = Instant::now() + this.observed.timeout;
            for entry in batch {
                // Methods that answer at once give nobody else a turn.
                tokio::task::yield_now().await;
                let now = Instant::now();
                let response = match entry {
                    Ok(BatchEntry::Call(request)) if now >= end => {
                        this.observed.timed_out(request.id)
                    }
                    Ok(BatchEntry::Call(request)) => this.call_until(request, now, end).await,
                    Ok(BatchEntry::Notification(notification)) => {
                        notified = true;
                        this.notification(notification).await;
                        continue;
                    }
                    Err(error) => {
                        let (error, id) = error.into_parts();
                        MethodResponse::error(id, error)
                    }
                };
                if let Err(too_large) = responses.append(response) {
                    return too_large;
                }
            }
            if responses.is_empty() && notified {
                return MethodResponse::notification();
            }
            MethodResponse::from_batch(responses.finish())
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
