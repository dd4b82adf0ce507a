//! Finds the method of a request and runs it.

use jsonrpsee::{
    ConnectionId, MethodCallback, Methods,
    core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT},
    server::{BoundedSubscriptions, IdProvider, MethodResponse, MethodSink, SubscriptionState},
    types::{
        ErrorObject, Id, InvalidRequest, Params, Request,
        error::{ErrorCode, reject_too_big_batch_request, reject_too_many_subscriptions},
    },
};
use serde_json::value::RawValue;
use std::{borrow::Cow, sync::Arc};

/// What a connection needs to carry subscriptions.
#[derive(Clone, Debug)]
pub(super) struct Subscriptions {
    pub(super) connection: ConnectionId,
    pub(super) sink: MethodSink,
    pub(super) limit: BoundedSubscriptions,
    pub(super) ids: Arc<dyn IdProvider>,
}

/// Runs methods.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    methods: Methods,
    response_bytes: usize,
    subscriptions: Option<Subscriptions>,
}

impl Dispatch {
    /// For connections that carry nothing but answers.
    pub(super) const fn calls_only(methods: Methods, response_bytes: usize) -> Self {
        Self { methods, response_bytes, subscriptions: None }
    }

    /// For connections that carry subscriptions.
    pub(super) const fn with_subscriptions(
        methods: Methods,
        response_bytes: usize,
        subscriptions: Subscriptions,
    ) -> Self {
        Self { methods, response_bytes, subscriptions: Some(subscriptions) }
    }
}

/// An answer that is there, or is on its way.
enum Answer<F> {
    Ready(MethodResponse),
    Coming(F),
}

/// What the ecosystem calls a subscription over a connection that has none.
fn no_subscriptions() -> ErrorObject<'static> {
    ErrorObject::owned(-32601, "notifications not supported", None::<()>)
}

impl RpcServiceT for Dispatch {
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Request { id, method, params, extensions, .. } = request;
        let params = Params::new(params.as_ref().map(|params| params.get()));
        let limit = self.response_bytes;
        let connection = self
            .subscriptions
            .as_ref()
            .map_or(ConnectionId(0), |subscriptions| subscriptions.connection);
        let answer = match (self.methods.method(&method), &self.subscriptions) {
            (None, _) => {
                let name: String = method.chars().take(128).collect();
                let message = format!("the method {name} does not exist/is not available");
                let code = ErrorCode::MethodNotFound.code();
                Answer::Ready(MethodResponse::error(
                    id,
                    ErrorObject::owned(code, message, None::<()>),
                ))
            }
            (Some(MethodCallback::Sync(run)), _) => {
                Answer::Ready(run(id, params, limit, extensions))
            }
            (Some(MethodCallback::Async(run)), _) => {
                let (id, params) = (id.into_owned(), params.into_owned());
                Answer::Coming(run(id, params, connection, limit, extensions))
            }
            (Some(MethodCallback::Subscription(run)), Some(subscriptions)) => {
                match subscriptions.limit.acquire() {
                    Some(subscription_permit) => {
                        let state = SubscriptionState {
                            conn_id: connection,
                            id_provider: &*subscriptions.ids,
                            subscription_permit,
                        };
                        let sink = subscriptions.sink.clone();
                        Answer::Coming(run(id.into_owned(), params, sink, state, extensions))
                    }
                    None => {
                        let error = reject_too_many_subscriptions(subscriptions.limit.max());
                        Answer::Ready(MethodResponse::error(id, error))
                    }
                }
            }
            (Some(MethodCallback::Unsubscription(run)), Some(_)) => {
                Answer::Ready(run(id, params, connection, limit, extensions))
            }
            (Some(_), None) => Answer::Ready(MethodResponse::error(id, no_subscriptions())),
        };
        async move {
            match answer {
                Answer::Ready(response) => response,
                Answer::Coming(future) => future.await,
            }
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        // The layer above takes batches apart.
        drop(batch);
        async { MethodResponse::error(Id::Null, ErrorObject::from(ErrorCode::InternalError)) }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        drop(notification);
        async { MethodResponse::notification() }
    }
}

type NotificationParams<'a> = Option<Cow<'a, RawValue>>;

/// Answers one message: a request, a notification, or a batch of them.
pub(super) async fn answer<S>(message: &[u8], max_batch: usize, service: &S) -> MethodResponse
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        >,
{
    if message.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        return answer_one(message, service).await;
    }
    let Ok(entries) = serde_json::from_slice::<Vec<&RawValue>>(message) else {
        return MethodResponse::error(Id::Null, ErrorObject::from(ErrorCode::ParseError));
    };
    if entries.len() > max_batch {
        return MethodResponse::error(Id::Null, reject_too_big_batch_request(max_batch));
    }
    let entries = entries.into_iter().map(|entry| {
        let entry = entry.get();
        if let Ok(request) = serde_json::from_str::<Request<'_>>(entry) {
            return Ok(BatchEntry::Call(request));
        }
        if let Ok(notification) = serde_json::from_str::<
            jsonrpsee::types::Notification<'_, NotificationParams<'_>>,
        >(entry)
        {
            return Ok(BatchEntry::Notification(notification));
        }
        let id =
            serde_json::from_str::<InvalidRequest<'_>>(entry).map_or(Id::Null, |wrong| wrong.id);
        Err(BatchEntryErr::new(id, ErrorCode::InvalidRequest.into()))
    });
    service.batch(Batch::from(entries.collect())).await
}

async fn answer_one<S>(message: &[u8], service: &S) -> MethodResponse
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        >,
{
    if let Ok(request) = serde_json::from_slice::<Request<'_>>(message) {
        return service.call(request).await;
    }
    if let Ok(notification) = serde_json::from_slice::<
        jsonrpsee::types::Notification<'_, NotificationParams<'_>>,
    >(message)
    {
        return service.notification(notification).await;
    }
    let (id, code) = match serde_json::from_slice::<InvalidRequest<'_>>(message) {
        Ok(wrong) => (wrong.id, ErrorCode::InvalidRequest),
        Err(_) if serde_json::from_slice::<serde::de::IgnoredAny>(message).is_ok() => {
            (Id::Null, ErrorCode::InvalidRequest)
        }
        Err(_) => (Id::Null, ErrorCode::ParseError),
    };
    MethodResponse::error(id, ErrorObject::from(code))
}
