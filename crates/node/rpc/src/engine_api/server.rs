//! The server for the consensus client: a listener of its own, closed to whoever does not know the
//! secret.

use super::{JwtSecret, UnixClock};
use crate::{
    ServerError,
    server::{
        all_ended,
        http::{ACCEPT_PAUSE, UNREAD, serve_stream},
        stream::Impatient,
    },
};
use hyper::{body::Incoming, header};
use jsonrpsee::{
    Methods,
    server::{
        BatchRequestConfig, HttpBody, HttpRequest, HttpResponse, ServerBuilder, ServerConfig,
        ServerHandle, StopHandle, TowerService, stop_channel,
    },
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::{Service, layer::util::Identity};

/// A payload with all its blobs as hexadecimal digits, and room to spare.
const MAX_REQUEST_BYTES: u32 = 128 << 20;
const MAX_RESPONSE_BYTES: u32 = 256 << 20;
const MAX_BATCH_REQUESTS: u32 = 100;
const MAX_CONNECTIONS: u32 = 64;

/// A connection over which no valid token has come for so long is closed: it takes the place of the
/// consensus client's.
const UNKNOWN: Duration = Duration::from_secs(10);

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
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (stop, handle) = stop_channel();
        let service = ServerBuilder::new()
            .set_config(config)
            .to_service_builder()
            .build(methods, stop.clone());
        tokio::spawn(accept(listener, Gate { secret, clock, service }, stop));
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

    /// Stops and waits until all connections have ended, for 10 s at most.
    pub async fn stopped(self) {
        self.stop();
        all_ended(self.handle.clone()).await;
    }
}

/// Accepts connections until the server is stopped.
async fn accept(listener: TcpListener, gate: Gate, stop: StopHandle) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let stopped = stop.clone().shutdown();
    tokio::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Ok(place) = places.clone().try_acquire_owned()
                    && stream.set_nodelay(true).is_ok()
                {
                    tokio::spawn(serve(stream, place, gate.clone(), stop.clone()));
                }
            }
            Err(error) => {
                tracing::warn!(target: "lockstep_rpc", %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a connection, as long as its client shows that it knows the secret.
async fn serve(stream: TcpStream, _place: OwnedSemaphorePermit, gate: Gate, stop: StopHandle) {
    let is_known = Arc::new(AtomicBool::new(false));
    let served = serve_stream(Impatient::new(stream, UNREAD), stop, {
        let is_known = is_known.clone();
        move |request| gate.clone().answer(request, is_known.clone())
    });
    let unknown = async {
        tokio::time::sleep(UNKNOWN).await;
        if is_known.load(Ordering::Relaxed) {
            std::future::pending().await
        }
    };
    tokio::select! {
        () = served => {}
        () = unknown => {
            tracing::debug!(target: "lockstep_rpc", "a connection without a valid token was closed");
        }
    }
}

/// Lets requests with a valid token pass.
#[derive(Clone, Debug)]
struct Gate {
    secret: JwtSecret,
    clock: UnixClock,
    service: TowerService<Identity, Identity>,
}

impl Gate {
    async fn answer(
        mut self,
        request: HttpRequest<Incoming>,
        is_known: Arc<AtomicBool>,
    ) -> Result<HttpResponse, Box<dyn std::error::Error + Send + Sync>> {
        let value = request.headers().get(header::AUTHORIZATION);
        let value = value.and_then(|value| value.to_str().ok());
        if let Err(error) = self.secret.verify_header(value, (self.clock)()) {
            tracing::warn!(target: "lockstep_rpc", %error, "refused a call of the Engine API");
            return Ok(unauthorized(&error.to_string()));
        }
        is_known.store(true, Ordering::Relaxed);
        self.service.call(request).await
    }
}

/// The answer to a call without a valid token, after which the connection is closed.
fn unauthorized(reason: &str) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(reason.to_owned()));
    *response.status_mut() = hyper::StatusCode::UNAUTHORIZED;
    let close = header::HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}
