//! The server: HTTP and WebSocket on one port, IPC on a socket.

mod access;
mod budget;
mod dispatch;
pub(crate) mod http;
mod ids;
mod ipc;
mod load;
mod observe;
pub(crate) mod stream;

pub(crate) use load::Load;

use crate::{Limits, Modules, ModulesError, ServerSettings};
use jsonrpsee::server::{ServerHandle, stop_channel};
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// A server that stops waits so long for its connections to end.
const STOPPING: Duration = Duration::from_secs(10);

/// Waits until all connections have ended, but not long: a client must not keep a node from
/// stopping.
pub(crate) async fn all_ended(handle: ServerHandle) {
    if tokio::time::timeout(STOPPING, handle.stopped()).await.is_err() {
        tracing::warn!(
            target: "lockstep_rpc",
            seconds = STOPPING.as_secs(),
            "connections that did not end in time were left"
        );
    }
}

/// Why the server does not start. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system answered.
        source: io::Error,
    },
    /// The IPC socket cannot be created.
    #[error("cannot create the IPC socket {path}: {source}")]
    Ipc {
        /// The path of the socket.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// The namespaces are not what the configuration says.
    #[error(transparent)]
    Modules(#[from] ModulesError),
}

/// A running server. It stops when this is dropped or [`Self::stop`] is called.
#[derive(Debug)]
pub struct RpcServer {
    address: Option<SocketAddr>,
    handle: ServerHandle,
    ipc: Option<ipc::Socket>,
}

impl RpcServer {
    /// Begins to serve. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a namespace is not known, or an address or socket is not to be had.
    pub async fn start(
        modules: &Modules,
        settings: &ServerSettings,
        limits: &Limits,
    ) -> Result<Self, ServerError> {
        let (stop, handle) = stop_channel();
        let mut address = None;
        if let Some(wanted) = settings.address {
            let listen = |source| ServerError::Listen { address: wanted, source };
            let listener = TcpListener::bind(wanted).await.map_err(listen)?;
            let bound = listener.local_addr().map_err(listen)?;
            let http = modules.select(&settings.http)?;
            let websocket = modules.select(&settings.websocket)?;
            let service = Arc::new(http::Service::new(http, websocket, settings, limits, &stop));
            tokio::spawn(http::accept(listener, service, stop.clone()));
            tracing::info!(
                target: "lockstep_rpc",
                address = %bound,
                http = %settings.http.join(","),
                websocket = %settings.websocket.join(","),
                "JSON-RPC server started"
            );
            address = Some(bound);
        }
        let mut ipc = None;
        if let Some(path) = &settings.ipc_path {
            let methods = modules.select(&settings.ipc)?;
            let (socket, listener) = ipc::Socket::bind(path.clone())
                .map_err(|source| ServerError::Ipc { path: path.clone(), source })?;
            tokio::spawn(ipc::Server::new(methods, limits).accept(listener, stop.clone()));
            tracing::info!(target: "lockstep_rpc", path = %path.display(), "IPC server started");
            ipc = Some(socket);
        }
        Ok(Self { address, handle, ipc })
    }

    /// Where HTTP and WebSocket are served; useful if the port was chosen by the system.
    pub const fn address(&self) -> Option<SocketAddr> {
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
        drop(self.ipc);
    }
}
