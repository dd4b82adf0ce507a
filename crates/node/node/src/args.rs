//! The command-line arguments of a node, for a program of one's own to take up among its own.

use crate::{NodeBuilder, NodeChain, NodeError};
use alloy_genesis::Genesis;
use lockstep_rpc::{
    RpcSettings, ServerSettings,
    engine_api::{EngineServerSettings, JwtSecret, UnixClock},
};
use lockstep_storage::{GenesisBlock, Options, StorageError};
use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
};

/// Where the secret is, beside the chain, if `--jwt-secret` does not say.
const JWT_FILE: &str = "jwt.hex";

/// More threads than this are used only if that is said.
const MAX_DEFAULT_THREADS: usize = 16;

/// The socket for IPC, beside the chain.
const IPC_FILE: &str = "lockstep.ipc";

/// Where the chain is kept, what is served, and to whom: the arguments of `lockstep node`.
/// [`NodeBuilder::args`] acts on them.
#[derive(Clone, Debug, clap::Args)]
pub struct NodeArgs {
    /// The folder of the chain.
    #[arg(long, value_name = "DIR")]
    pub datadir: PathBuf,
    /// The port of JSON-RPC (HTTP and WebSocket); 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8545)]
    pub http_port: u16,
    /// The namespaces that are served there, or `*` for all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "eth,net,web3")]
    pub http_api: Vec<String>,
    /// Names under which JSON-RPC may be reached beside IP addresses, or `*`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "localhost")]
    pub http_hosts: Vec<String>,
    /// Origins whose web pages may use JSON-RPC, or `*`.
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    pub http_origins: Vec<String>,
    /// The port of the Engine API, for the consensus client; 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8551)]
    pub authrpc_port: u16,
    /// The secret shared with the consensus client, 64 hexadecimal digits
    /// [default: jwt.hex in the datadir, made if it is not there].
    #[arg(long, value_name = "FILE")]
    pub jwt_secret: Option<PathBuf>,
    /// Threads that execute a block together; 1 executes it serially [default: the processors, at most 16].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub execution_threads: Option<u16>,
}

impl NodeArgs {
    /// The socket on which IPC is served.
    pub fn ipc_path(&self) -> PathBuf {
        self.datadir.join(IPC_FILE)
    }

    /// What JSON-RPC answers with that does not come from the chain.
    pub fn rpc(&self, genesis: &Genesis) -> RpcSettings {
        RpcSettings {
            network_id: genesis.config.chain_id,
            data_dir: Some(self.datadir.clone()),
            // A configuration that was read is one that can be written.
            chain_config: serde_json::to_value(&genesis.config).ok(),
            ..Default::default()
        }
    }

    /// Threads that execute a block together.
    pub fn execution_threads(&self) -> usize {
        let processors = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let default = || processors().min(MAX_DEFAULT_THREADS);
        self.execution_threads.map_or_else(default, usize::from)
    }

    /// Where JSON-RPC is served, and to whom.
    pub fn server(&self) -> ServerSettings {
        ServerSettings {
            address: Some(loopback(self.http_port)),
            http: self.http_api.clone(),
            websocket: self.http_api.clone(),
            ipc_path: Some(self.ipc_path()),
            ipc: vec!["*".to_owned()],
            origins: self.http_origins.clone(),
            hosts: self.http_hosts.clone(),
        }
    }

    /// Where the Engine API is served, and to whom. Makes the secret in the datadir if need be.
    ///
    /// # Errors
    /// [`NodeError::JwtSecret`] when there is no secret to be had.
    pub fn engine_api(&self, clock: UnixClock) -> Result<EngineServerSettings, NodeError> {
        let path = self.jwt_secret.clone().unwrap_or_else(|| self.datadir.join(JWT_FILE));
        let secret = self.secret(&path).map_err(|reason| NodeError::JwtSecret { path, reason })?;
        Ok(EngineServerSettings { address: loopback(self.authrpc_port), secret, clock })
    }

    fn secret(&self, path: &Path) -> Result<JwtSecret, crate::PartError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(text.trim().parse()?),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.jwt_secret.is_none() => {
                let secret = JwtSecret::new(random()?);
                write_private(path, &secret.to_hex())?;
                Ok(secret)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl<C: NodeChain> NodeBuilder<C> {
    /// Keeps the chain, and serves it to users and to a consensus client, as arguments on the command
    /// line say. `clock` tells the Unix time in seconds, against which the tokens of the consensus
    /// client are checked.
    ///
    /// # Errors
    /// As [`Self::folder`] and [`NodeArgs::engine_api`].
    pub fn args(
        self,
        args: &NodeArgs,
        genesis: &Genesis,
        first: &GenesisBlock<C>,
        clock: UnixClock,
    ) -> Result<Self, NodeError> {
        let builder = self.args_without_engine_api(args, genesis, first)?;
        Ok(builder.engine_api(args.engine_api(clock)?))
    }

    /// As [`Self::args`], for a chain that no consensus client drives.
    ///
    /// # Errors
    /// As [`Self::folder`].
    pub fn args_without_engine_api(
        self,
        args: &NodeArgs,
        genesis: &Genesis,
        first: &GenesisBlock<C>,
    ) -> Result<Self, NodeError> {
        let folder = &args.datadir;
        fs::create_dir_all(folder).map_err(|source| StorageError::Io {
            operation: "create",
            path: folder.clone(),
            source,
        })?;
        Ok(self
            .folder(folder, genesis, first, Options::default())?
            .execution_threads(args.execution_threads())
            .rpc(args.rpc(genesis), args.server()))
    }
}

/// Servers listen on this machine alone.
const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The system's randomness.
fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, content: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    // Complete or not there at all, whenever the process ends.
    let draft = path.with_extension("draft");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&draft)?.write_all(content.as_bytes())?;
    fs::rename(&draft, path)
}
