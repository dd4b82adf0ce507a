//! A node with nothing but an Engine API, and a client of it.

use alloy_primitives::B256;
use lockstep_chain::Ethereum;
use lockstep_engine::{Engine, EngineConfig, NoTransactions, PoolBuilder, pool_head};
use lockstep_pool::{Pool, PoolConfig};
use lockstep_rpc::engine_api::{
    ClientVersion, EngineServer, EngineServerSettings, JwtSecret, engine_methods,
};
use lockstep_storage::{GenesisBlock, MemoryStorage};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};
use tokio::runtime::Runtime;

/// What the server's clock shows.
pub(crate) const NOW: u64 = 1_700_000_000;

/// A node with nothing but an Engine API.
pub(crate) struct Node {
    pub(crate) engine: Engine<Ethereum>,
    pub(crate) pool: Pool<Ethereum>,
    pub(crate) storage: Arc<MemoryStorage<Ethereum>>,
    pub(crate) server: EngineServer,
    pub(crate) genesis: B256,
}

pub(crate) fn secret() -> JwtSecret {
    JwtSecret::new([7; 32])
}

impl Node {
    pub(crate) fn start(
        runtime: &Runtime,
        chain: &Ethereum,
        genesis: &GenesisBlock<Ethereum>,
        config: EngineConfig,
    ) -> Self {
        let storage = Arc::new(MemoryStorage::new(genesis));
        let builder = Arc::new(NoTransactions);
        let engine = Engine::open(chain.clone(), storage.clone(), builder, config).unwrap();
        let head = pool_head(&engine.view().snapshot()).unwrap();
        let pool = Pool::new(chain.clone(), PoolConfig::default(), head);
        engine.set_builder(Arc::new(PoolBuilder::new(pool.clone())));
        engine.connect_pool(&pool).unwrap();
        let client = ClientVersion {
            code: "LK".into(),
            name: "Lockstep".into(),
            version: "v0".into(),
            commit: "00000000".into(),
        };
        let methods = engine_methods(engine.clone(), pool.clone(), client).unwrap();
        let settings = EngineServerSettings {
            address: "127.0.0.1:0".parse().unwrap(),
            secret: secret(),
            clock: || NOW,
        };
        let server = runtime.block_on(EngineServer::start(methods, settings)).unwrap();
        Self { engine, pool, storage, server, genesis: genesis.block().seal() }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.server.address(), Some(secret().token(NOW)))
    }
}

/// Speaks JSON-RPC over one HTTP connection.
pub(crate) struct Client {
    stream: RefCell<BufReader<TcpStream>>,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, token: Option<String>) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: RefCell::new(BufReader::new(stream)), token }
    }

    /// Sends a body; returns status and body of the answer.
    pub(crate) fn post(&self, body: &str) -> (u16, String) {
        let authorization =
            self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{body}",
            authorization.unwrap_or_default(),
            body.len(),
        );
        let mut stream = self.stream.borrow_mut();
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let (mut length, mut is_chunked) = (0, false);
        loop {
            line.clear();
            stream.read_line(&mut line).unwrap();
            let header = line.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            is_chunked |= header == "transfer-encoding: chunked";
        }
        assert!(!is_chunked, "answers come with their length");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    /// Calls a method: its result, or its error code and text.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Result<Value, (i64, String)> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let (status, body) = self.post(&request.to_string());
        assert_eq!(status, 200, "{body}");
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        match answer.get("error") {
            Some(error) => Err((error["code"].as_i64().unwrap(), error.to_string())),
            None => Ok(answer["result"].take()),
        }
    }
}

/// A runtime for the servers of a test.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
