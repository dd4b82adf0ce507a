//! The server for the consensus client: a listener of its own, closed to whoever does not know the
//! secret.

use super::{JwtSecret, UnixClock};
use crate::ServerError;
use jsonrpsee::{
    Methods,
    server::{
        BatchRequestConfig, HttpBody, HttpRequest, HttpResponse, ServerBuilder, ServerConfig,
        ServerHandle,
    },
};
use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};
use tower::{Layer, Service, ServiceBuilder};

/// A payload with all its blobs as hexadecimal digits, and room to spare.
const MAX_REQUEST_BYTES: u32 = 128 << 20;
const MAX_RESPONSE_BYTES: u32 = 256 << 20;
const MAX_BATCH_REQUESTS: u32 = 100;
const MAX_CONNECTIONS: u32 = 64;

/// Where the server listens, and who may use it.
#[derive(Clone, Debug)]
pub struct EngineServerSettings {
    /// Where HTTP and WebSocket are served.
    pub address: SocketAddr,
    /// The secret that the consensus client knows.
    pub secret: JwtSecret,
    /// Tells the time, against which tokens are checked.
    pub clock: UnixClock,
}

/// A running server. It stops when this is dropped or [`Self::stop`] is called.
#[derive(Debug)]
pub struct EngineServer {
    address: SocketAddr,
    handle: ServerHandle,
}

impl EngineServer {
    /// Begins to serve. `methods` are those of [`engine_methods`](super::engine_methods) and, as
    /// consensus clients expect, `eth`'s. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ServerError::Listen`] when the address is not to be had.
    pub async fn start(
        methods: Methods,
        settings: EngineServerSettings,
    ) -> Result<Self, ServerError> {
        let EngineServerSettings { address, secret, clock } = settings;
        let listen = |source| ServerError::Listen { address, source };
        let config = ServerConfig::builder()
            .max_request_body_size(MAX_REQUEST_BYTES)
            .max_response_body_size(MAX_RESPONSE_BYTES)
            .max_connections(MAX_CONNECTIONS)
            .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH_REQUESTS))
            .build();
        let server = ServerBuilder::new()
            .set_config(config)
            .set_http_middleware(ServiceBuilder::new().layer(Guard { secret, clock }))
            .build(address)
            .await
            .map_err(listen)?;
        let address = server.local_addr().map_err(listen)?;
        let handle = server.start(methods);
        tracing::info!(target: "lockstep_rpc", %address, "Engine API server started");
        Ok(Self { address, handle })
    }

    /// Where it listens; useful if the port was chosen by the system.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops to accept connections and ends those that are open, after their running requests.
    pub fn stop(&self) {
        // It may have been stopped before.
        let _ = self.handle.stop();
    }

    /// Stops and waits until all connections have ended.
    pub async fn stopped(self) {
        self.stop();
        self.handle.clone().stopped().await;
    }
}

/// Lets requests with a valid token pass.
#[derive(Clone, Debug)]
struct Guard {
    secret: JwtSecret,
    clock: UnixClock,
}

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { guard: self.clone(), inner }
    }
}

#[derive(Clone, Debug)]
struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S, B> Service<HttpRequest<B>> for Guarded<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let value = request.headers().get("authorization");
        let value = value.and_then(|value| value.to_str().ok());
        match self.guard.secret.verify_header(value, (self.guard.clock)()) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(error) => {
                tracing::warn!(target: "lockstep_rpc", %error, "refused a call of the Engine API");
                Box::pin(async move { Ok(unauthorized(&error.to_string())) })
            }
        }
    }
}

fn unauthorized(reason: &str) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(reason.to_owned()));
    *response.status_mut() = hyper::StatusCode::UNAUTHORIZED;
    response
}
