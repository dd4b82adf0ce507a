//! HTTP and WebSocket connections.

use super::{
    access::{Access, Verdict, allow, plain},
    budget::Budget,
    dispatch::{Dispatch, answer},
    ids::HexIds,
    load::{Load, LoadLayer},
    observe::{Observe, Observed},
    stream::Impatient,
};
use crate::{Limits, ServerSettings};
use hyper::{Method, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::{
    Methods,
    core::{
        http_helpers::{HttpError, read_body},
        middleware::RpcServiceBuilder,
    },
    server::{
        BatchRequestConfig, ConnectionState, HttpRequest, HttpResponse, PingConfig, ServerConfig,
        StopHandle, http as json_http, ws,
    },
};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::Layer;

/// After a failure to accept (too many open files), so long no connection is accepted.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection on which no request begins for so long is closed.
const IDLE: Duration = Duration::from_secs(120);

/// A WebSocket whose client sends nothing, not even the answer to a ping, for so long is closed.
const WEBSOCKET_IDLE: Duration = Duration::from_secs(90);

/// A client that takes none of what it is sent for so long is disconnected.
pub(crate) const UNREAD: Duration = Duration::from_secs(30);

/// Serves requests of all connections.
#[derive(Debug)]
pub(super) struct Service {
    http: Observe<Dispatch>,
    has_http: bool,
    websocket: Methods,
    websocket_observed: Observed,
    websocket_config: ServerConfig,
    access: Access,
    max_batch: usize,
    request_bytes: u32,
    request_timeout: Duration,
    connections: Arc<Semaphore>,
    /// What waits for the clients of WebSockets.
    waiting: Arc<Budget>,
    next_connection: AtomicU32,
    stop: StopHandle,
}

impl Service {
    pub(super) fn new(
        http: Methods,
        websocket: Methods,
        settings: &ServerSettings,
        limits: &Limits,
        stop: &StopHandle,
    ) -> Self {
        let batch = BatchRequestConfig::Limit(limits.batch_requests);
        let ping = PingConfig::new()
            .ping_interval(WEBSOCKET_IDLE / 3)
            .inactive_limit(WEBSOCKET_IDLE)
            .max_failures(1);
        let websocket_config = ServerConfig::builder()
            .max_request_body_size(limits.request_bytes)
            .max_response_body_size(limits.response_bytes)
            .max_subscriptions_per_connection(limits.subscriptions_per_connection)
            .set_message_buffer_capacity(limits.client_buffer.max(1))
            .set_batch_request_config(batch)
            .set_id_provider(HexIds::default())
            .enable_ws_ping(ping)
            .build();
        let response_bytes = limits.response_bytes as usize;
        let timeout = limits.request_timeout;
        let observed = Observed::new(http.method_names(), "http", timeout, response_bytes);
        let has_http = http.method_names().next().is_some();
        Self {
            has_http,
            http: observed.layer(Dispatch::calls_only(http, response_bytes)),
            websocket_observed: Observed::new(
                websocket.method_names(),
                "websocket",
                timeout,
                response_bytes,
            ),
            websocket,
            websocket_config,
            access: Access::new(&settings.hosts, &settings.origins),
            max_batch: limits.batch_requests as usize,
            request_bytes: limits.request_bytes,
            request_timeout: timeout,
            connections: Arc::new(Semaphore::new(limits.connections)),
            waiting: Arc::new(Budget::new(limits.waiting_bytes, limits.connections)),
            next_connection: AtomicU32::new(0),
            stop: stop.clone(),
        }
    }

    async fn serve(
        &self,
        request: HttpRequest<Incoming>,
        connection: &Arc<Connection>,
    ) -> HttpResponse {
        let is_websocket = ws::is_upgrade_request(&request);
        let origin = match self.access.judge(&request, is_websocket) {
            Verdict::Answer(response) => return response,
            Verdict::Serve(origin) => origin,
        };
        let mut response = if is_websocket {
            self.upgrade(request, connection.clone()).await
        } else if self.has_http {
            self.answer(request).await
        } else {
            plain(404, "no namespace is served over HTTP\n")
        };
        if let Some(origin) = origin {
            allow(&mut response, &origin);
        }
        response
    }

    async fn answer(&self, request: HttpRequest<Incoming>) -> HttpResponse {
        if request.method() != Method::POST {
            return plain(405, "requests are sent with POST\n");
        }
        if !json_http::content_type_is_json(&request) {
            return json_http::response::unsupported_content_type();
        }
        let answer = async {
            let (parts, body) = request.into_parts();
            let message = match read_body(&parts.headers, body, self.request_bytes).await {
                Ok((message, _)) => message,
                Err(HttpError::TooLarge) => {
                    return json_http::response::too_large(self.request_bytes);
                }
                Err(HttpError::Malformed) => return json_http::response::malformed(),
                Err(HttpError::Stream(_)) => return plain(400, "the request is not complete\n"),
            };
            let response = answer(&message, self.max_batch, &self.http).await;
            if response.is_notification() {
                return json_http::response::ok_response("");
            }
            json_http::response::from_method_response(response)
        };
        // The service limits the time of each call; this one includes the time that the client
        // takes to send it.
        match tokio::time::timeout(self.request_timeout * 2, answer).await {
            Ok(response) => response,
            Err(_) => plain(408, "the request did not arrive in time\n"),
        }
    }

    async fn upgrade(
        &self,
        request: HttpRequest<Incoming>,
        connection: Arc<Connection>,
    ) -> HttpResponse {
        if self.websocket.method_names().next().is_none() {
            return plain(404, "no namespace is served over WebSocket\n");
        }
        let id = self.next_connection.fetch_add(1, Ordering::Relaxed);
        // The connection itself holds the permit that counts.
        let Ok(permit) = Arc::new(Semaphore::new(1)).try_acquire_owned() else {
            return plain(503, "");
        };
        let state = ConnectionState::new(self.stop.clone(), id, permit);
        let middleware = RpcServiceBuilder::new()
            .layer(LoadLayer(connection.load.clone()))
            .layer(self.websocket_observed.clone());
        let (config, methods) = (self.websocket_config.clone(), self.websocket.clone());
        match ws::connect(request, config, methods, state, middleware).await {
            Ok((response, session)) => {
                tokio::spawn(async move {
                    session.await;
                    drop(connection);
                });
                response
            }
            Err(response) => response,
        }
    }
}

/// One connection, for as long as it is open.
#[derive(Debug)]
struct Connection {
    load: Arc<Load>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn new(waiting: Arc<Budget>, permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("lockstep_rpc_connections").increment(1.0);
        Self { load: Arc::new(Load::new(waiting)), _permit: permit }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        metrics::gauge!("lockstep_rpc_connections").decrement(1.0);
    }
}

/// Accepts connections until the server is stopped.
pub(super) async fn accept(listener: TcpListener, service: Arc<Service>, stop: StopHandle) {
    let stopped = stop.clone().shutdown();
    tokio::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => admit(stream, &service, &stop),
            Err(error) => {
                tracing::warn!(target: "lockstep_rpc", %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a connection, or closes it if there are too many.
fn admit(stream: TcpStream, service: &Arc<Service>, stop: &StopHandle) {
    let Ok(permit) = service.connections.clone().try_acquire_owned() else {
        metrics::counter!("lockstep_rpc_refused_connections_total").increment(1);
        return;
    };
    // Without it small answers wait for the acknowledgement of those before.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let connection = Arc::new(Connection::new(service.waiting.clone(), permit));
    let stream = Impatient::new(stream, UNREAD).with_load(connection.load.clone());
    let (service, stop) = (service.clone(), stop.clone());
    tokio::spawn(serve_stream(stream, stop, move |request| {
        let (service, connection) = (service.clone(), connection.clone());
        async move { Ok::<_, Infallible>(service.serve(request, &connection).await) }
    }));
}

/// Serves the requests of a connection until it ends or the server is stopped.
pub(crate) async fn serve_stream<F, E>(
    stream: Impatient<TcpStream>,
    stop: StopHandle,
    serve: impl Fn(HttpRequest<Incoming>) -> F + Send + 'static,
) where
    F: Future<Output = Result<HttpResponse, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service_fn(serve))
        .with_upgrades();
    tokio::pin!(served);
    let stopped = stop.shutdown();
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopped => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(target: "lockstep_rpc", %error, "a connection ended early");
    }
}
