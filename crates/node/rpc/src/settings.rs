//! What an operator may set.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// The bounds of what one client may ask for, and of what all clients together may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body or WebSocket message, in bytes.
    pub request_bytes: u32,
    /// The largest response, in bytes. A batch counts as one response.
    pub response_bytes: u32,
    /// The most requests in a batch.
    pub batch_requests: u32,
    /// The most open connections (HTTP and WebSocket together, IPC apart).
    pub connections: usize,
    /// The most subscriptions on one connection.
    pub subscriptions_per_connection: u32,
    /// The most subscriptions of all connections together.
    pub subscriptions: usize,
    /// How many messages wait for a client that does not read. A subscription that does not fit
    /// is closed with an error notification.
    pub client_buffer: u32,
    /// How many bytes of answers and notifications wait for the clients of all WebSockets
    /// together; IPC has as much again.
    pub waiting_bytes: usize,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How many requests that execute transactions run at a time.
    pub executing: usize,
    /// How many of them wait for their turn.
    pub executing_queue: usize,
    /// The gas that a call may use; larger requests are cut down to it.
    pub call_gas: u64,
    /// How long a trace may take.
    pub trace_timeout: Duration,
    /// The most blocks that `trace_filter` runs again.
    pub trace_blocks: u64,
    /// The most blocks that `eth_getLogs` looks through.
    pub log_blocks: u64,
    /// The most logs in one answer.
    pub log_results: usize,
    /// The most filters that are installed at a time.
    pub filters: usize,
    /// A filter that is not polled for so long is forgotten.
    pub filter_idle: Duration,
    /// The most blocks of `eth_feeHistory`.
    pub fee_history_blocks: u64,
    /// The most slots in `eth_getProof` and `eth_getStorageValues`.
    pub slots: usize,
    /// How far behind the head a proof may be asked for: older tries must be rebuilt first.
    pub proof_blocks: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u32 = 1024 * 1024;
        Self {
            request_bytes: 15 * MIB,
            response_bytes: 160 * MIB,
            batch_requests: 1_000,
            connections: 1_000,
            subscriptions_per_connection: 1_024,
            subscriptions: 50_000,
            client_buffer: 1_024,
            waiting_bytes: 256 << 20,
            request_timeout: Duration::from_secs(60),
            executing: std::thread::available_parallelism().map_or(2, |cores| cores.get() * 2),
            executing_queue: 1_024,
            call_gas: 50_000_000,
            trace_timeout: Duration::from_secs(30),
            trace_blocks: 100,
            log_blocks: 100_000,
            log_results: 20_000,
            filters: 10_000,
            filter_idle: Duration::from_secs(300),
            fee_history_blocks: 1_024,
            slots: 1_024,
            proof_blocks: 100_000,
        }
    }
}

/// What the methods answer with that does not come from the chain.
#[derive(Clone, Debug)]
pub struct RpcSettings {
    /// `web3_clientVersion`.
    pub client_version: String,
    /// `net_version`; usually the chain id.
    pub network_id: u64,
    /// `admin_datadir`.
    pub data_dir: Option<PathBuf>,
    /// The genesis file's `config`, for `debug_chainConfig` and `admin_nodeInfo`.
    pub chain_config: Option<serde_json::Value>,
    /// The tip that is suggested when recent blocks tell nothing, in wei.
    pub default_tip: u64,
    /// The largest tip that is ever suggested, in wei.
    pub max_suggested_tip: u64,
    /// All limits.
    pub limits: Limits,
}

impl Default for RpcSettings {
    fn default() -> Self {
        Self {
            client_version: concat!("lockstep/v", env!("CARGO_PKG_VERSION")).into(),
            network_id: 1,
            data_dir: None,
            chain_config: None,
            default_tip: 1_000_000_000,
            max_suggested_tip: 500_000_000_000,
            limits: Limits::default(),
        }
    }
}

/// Where the server listens, and to whom.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Where HTTP and WebSocket are served; `None` for neither.
    pub address: Option<SocketAddr>,
    /// The namespaces served over HTTP; empty to refuse HTTP.
    pub http: Vec<String>,
    /// The namespaces served over WebSocket; empty to refuse WebSocket.
    pub websocket: Vec<String>,
    /// The socket on which IPC is served; `None` for none.
    pub ipc_path: Option<PathBuf>,
    /// The namespaces served over IPC.
    pub ipc: Vec<String>,
    /// The origins whose web pages may read answers; `*` for all. Also the origins that may open
    /// a WebSocket from a browser.
    pub origins: Vec<String>,
    /// The names under which the server may be reached, against DNS rebinding; `*` for all. IP
    /// addresses always may.
    pub hosts: Vec<String>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        let public = || ["eth", "net", "web3"].map(String::from).to_vec();
        Self {
            address: None,
            http: public(),
            websocket: public(),
            ipc_path: None,
            ipc: vec!["*".into()],
            origins: Vec::new(),
            hosts: vec!["localhost".into()],
        }
    }
}
