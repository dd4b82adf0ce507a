//! `lockstep node`: an L1 node under a consensus client.

use crate::{
    chain::{self, L1},
    service::{self, ServiceArgs, Stop, SystemClock, loopback, print_event},
};
use clap::Args as ClapArgs;
use eyre::{Context, Result};
use lockstep_chain::Ethereum;
use lockstep_devnet::Clock;
use lockstep_execution::MemoryState;
use lockstep_node::{Node, NodeBuilder};
use lockstep_rpc::{
    RpcSettings, ServerSettings,
    engine_api::{EngineServerSettings, JwtSecret},
};
use lockstep_storage::{GenesisBlock, Options};
use serde_json::json;
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Where the secret is, beside the chain, if `--jwt-secret` does not say.
const JWT_FILE: &str = "jwt.hex";

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// A network (mainnet, sepolia, hoodi) or a genesis file in geth's format.
    #[arg(long, value_name = "NAME|FILE", default_value = "mainnet")]
    chain: String,
    /// The folder of the chain.
    #[arg(long, value_name = "DIR")]
    datadir: PathBuf,
    /// The port of JSON-RPC (HTTP and WebSocket); 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8545)]
    http_port: u16,
    /// The namespaces that are served there, or `*` for all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "eth,net,web3")]
    http_api: Vec<String>,
    /// Names under which JSON-RPC may be reached beside IP addresses, or `*`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "localhost")]
    http_hosts: Vec<String>,
    /// Origins whose web pages may use JSON-RPC, or `*`.
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    http_origins: Vec<String>,
    /// The port of the Engine API, for the consensus client; 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8551)]
    authrpc_port: u16,
    /// The secret shared with the consensus client, 64 hexadecimal digits
    /// [default: jwt.hex in the datadir, made if it is not there].
    #[arg(long, value_name = "FILE")]
    jwt_secret: Option<PathBuf>,
    /// Print events as lines of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<bool> {
    service::run(&args.service, |stop| serve(&args, stop))?;
    Ok(true)
}

async fn serve(args: &Args, stop: Stop) -> Result<()> {
    let L1 { chain, genesis } = chain::find_l1(&args.chain)?;
    let header = chain.genesis_header(&genesis);
    let first: GenesisBlock<Ethereum> =
        GenesisBlock::new(header, MemoryState::from_genesis(&genesis))?;
    let settings = RpcSettings {
        network_id: genesis.config.chain_id,
        data_dir: Some(args.datadir.clone()),
        chain_config: Some(serde_json::to_value(&genesis.config)?),
        ..Default::default()
    };
    let engine_api = EngineServerSettings {
        address: loopback(args.authrpc_port),
        secret: jwt_secret(args)?,
        clock: || SystemClock.unix_time().as_secs(),
    };
    let genesis_hash = first.block().seal();
    let mut node = NodeBuilder::new(chain, &first)
        .folder(&args.datadir, &genesis, &first, Options::default())?
        .rpc(settings, server(args))
        .engine_api(engine_api)
        .launch()
        .await?;
    ready(args, &node, genesis_hash)?;
    let failed = tokio::select! {
        failed = node.failed() => failed,
        () = stop.wait() => Ok(()),
    };
    let stopped = node.shutdown().await;
    if args.json {
        print_event(&json!({ "event": "stopped" }))?;
    }
    failed?;
    Ok(stopped?)
}

fn server(args: &Args) -> ServerSettings {
    ServerSettings {
        address: Some(loopback(args.http_port)),
        http: args.http_api.clone(),
        websocket: args.http_api.clone(),
        ipc_path: Some(args.datadir.join("lockstep.ipc")),
        ipc: vec!["*".to_owned()],
        origins: args.http_origins.clone(),
        hosts: args.http_hosts.clone(),
    }
}

fn ready(args: &Args, node: &Node<Ethereum>, genesis_hash: alloy_primitives::B256) -> Result<()> {
    let http = |address: Option<_>| address.map(|address| format!("http://{address}"));
    let ready = json!({
        "event": "ready",
        "http": http(node.rpc_address()),
        "ws": node.rpc_address().map(|address| format!("ws://{address}")),
        "ipc": args.datadir.join("lockstep.ipc"),
        "authrpc": http(node.engine_api_address()),
        "genesisHash": genesis_hash,
    });
    if args.json {
        return print_event(&ready);
    }
    tracing::info!(
        target: "lockstep",
        head = node.context().view().head().number,
        %genesis_hash,
        "the node is ready; start a consensus client with its Engine API and secret"
    );
    Ok(())
}

/// The secret of `--jwt-secret`, or of the datadir, where one is made if need be.
fn jwt_secret(args: &Args) -> Result<JwtSecret> {
    let path = args.jwt_secret.clone().unwrap_or_else(|| args.datadir.join(JWT_FILE));
    let describe = || format!("--jwt-secret {}", path.display());
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().wrap_err_with(describe),
        Err(error) if error.kind() == io::ErrorKind::NotFound && args.jwt_secret.is_none() => {
            let secret = random_hex().wrap_err("cannot make a secret for the Engine API")?;
            write_private(&path, &secret).wrap_err_with(describe)?;
            secret.parse().wrap_err_with(describe)
        }
        Err(error) => Err(error).wrap_err_with(describe),
    }
}

/// 32 bytes of the system's randomness in hexadecimal.
fn random_hex() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(alloy_primitives::hex::encode(bytes))
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, content: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path)?.write_all(content.as_bytes())
}
