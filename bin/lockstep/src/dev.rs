//! `lockstep dev`: a development network in one process.

use crate::service::{self, ServiceArgs, Stop, SystemClock, loopback, print_event};
use clap::{Args as ClapArgs, ValueEnum};
use eyre::{Result, ensure};
use lockstep_chain::{Chain, EthereumHardfork};
use lockstep_devnet::{
    Clock, DataAvailability, Devnet, DevnetConfig, EmbeddedL1, L1Source, MNEMONIC, dev_l1_genesis,
    dev_server,
};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Fork {
    Prague,
    Osaka,
}

/// How the rollup's blocks get into the L1.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Data {
    Blobs,
    Calldata,
    /// What is cheaper.
    Auto,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Keep the network in this folder, and go on with the one that is there [default: in memory].
    #[arg(long, value_name = "DIR")]
    datadir: Option<PathBuf>,
    /// Seconds per slot of the L1.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    slot_time: u64,
    /// How many rollups there are. Several are a union: contracts on one call those on others.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    rollups: u16,
    /// How often users of a union are shown what was executed, in milliseconds; 0: at once.
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    update_interval: u64,
    /// Seconds from one block of a rollup to the next.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    block_time: u64,
    /// The fork that the L1 begins with.
    #[arg(long, value_enum, default_value_t = Fork::Osaka)]
    fork: Fork,
    /// The mnemonic of the funded accounts.
    #[arg(long, value_name = "WORDS", default_value = MNEMONIC)]
    mnemonic: String,
    /// How many accounts are funded.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    accounts: u32,
    /// The port of the L1's JSON-RPC (HTTP and WebSocket); 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8545)]
    http_port: u16,
    /// The port of the L1's Beacon API; 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = 5052)]
    beacon_port: u16,
    /// The port of the first rollup's JSON-RPC (HTTP and WebSocket), the next one's is higher by two; 0
    /// picks free ones.
    #[arg(long, value_name = "PORT", default_value_t = 9545)]
    rollup_http_port: u16,
    /// The port of the JSON-RPC (HTTP and WebSocket) of the node that derives the first rollup from the L1
    /// alone, the next one's is higher by two; 0 picks free ones.
    #[arg(long, value_name = "PORT", default_value_t = 9546)]
    follower_http_port: u16,
    /// How the rollup's blocks are posted to the L1.
    #[arg(long, value_enum, default_value_t = Data::Blobs)]
    data_availability: Data,
    /// Use the L1 at this URL instead of an embedded one.
    #[arg(long, value_name = "URL", requires = "l1_beacon")]
    l1: Option<String>,
    /// The Beacon API of the L1 at `--l1`, from which the rollup's blobs are read.
    #[arg(long, value_name = "URL", requires = "l1")]
    l1_beacon: Option<String>,
    /// Print the genesis file of the L1 in geth's format, and exit. With `--datadir`, that of the
    /// network in the folder.
    #[arg(long)]
    print_genesis: bool,
    /// Print events as lines of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<bool> {
    if args.print_genesis {
        return print_genesis(args).map(|()| true);
    }
    service::run(&args.service, |stop| serve(args, stop))
}

async fn serve(args: &Args, stop: Stop) -> Result<()> {
    let mut devnet = tokio::select! {
        started = Devnet::start(config(args), Arc::new(SystemClock)) => started?,
        () = stop.wait() => return Ok(()),
    };
    let ready = ready(args, &devnet);
    if args.json {
        print_event(&ready)?
    } else {
        print_ready(&ready)
    }
    let failed = tokio::select! {
        failed = devnet.failed() => failed,
        () = stop.wait() => Ok(()),
    };
    let stopped = devnet.shutdown().await;
    let printed = if args.json { print_event(&json!({ "event": "stopped" })) } else { Ok(()) };
    failed?;
    stopped?;
    printed
}

impl Fork {
    const fn hardfork(self) -> EthereumHardfork {
        match self {
            Self::Prague => EthereumHardfork::Prague,
            Self::Osaka => EthereumHardfork::Osaka,
        }
    }
}

fn config(args: &Args) -> DevnetConfig {
    let ipc = args.datadir.as_ref().map(|folder| folder.join("l1.ipc"));
    let foreign = args.l1.as_ref().zip(args.l1_beacon.as_ref());
    let l1 = match foreign {
        Some((url, beacon)) => L1Source::Foreign { url: url.clone(), beacon: beacon.clone() },
        None => L1Source::Embedded(EmbeddedL1 {
            fork: args.fork.hardfork(),
            slot_time_s: args.slot_time,
            server: dev_server(args.http_port, ipc),
            beacon_address: loopback(args.beacon_port),
        }),
    };
    DevnetConfig {
        data_dir: args.datadir.clone(),
        l1,
        mnemonic: args.mnemonic.clone(),
        accounts: args.accounts,
        rollups: args.rollups.into(),
        rollup_block_time_s: args.block_time,
        update_interval: Duration::from_millis(args.update_interval),
        rollup_server: dev_server(args.rollup_http_port, None),
        follower_server: dev_server(args.follower_http_port, None),
        data_availability: match args.data_availability {
            Data::Blobs => DataAvailability::Blobs,
            Data::Calldata => DataAvailability::Calldata,
            Data::Auto => DataAvailability::Auto,
        },
        ..Default::default()
    }
}

/// What users of the network must know.
fn ready(args: &Args, devnet: &Devnet) -> Value {
    let http = |address: Option<SocketAddr>| address.map(|address| format!("http://{address}"));
    let ws = |address: Option<SocketAddr>| address.map(|address| format!("ws://{address}"));
    let l1 = match devnet.l1() {
        Some(node) => json!({
            "chainId": node.context().chain().chain_id(),
            "http": http(node.rpc_address()),
            "ws": ws(node.rpc_address()),
            "ipc": args.datadir.as_ref().map(|folder| folder.join("l1.ipc")),
            "beacon": http(devnet.beacon_address()),
            "genesis": args.datadir.as_ref().map(|folder| folder.join("l1/genesis.json")),
        }),
        None => json!({ "http": args.l1, "beacon": args.l1_beacon }),
    };
    let operators = devnet.operators();
    let rollups = devnet.rollups().iter().map(|rollup| {
        let (sequencer, follower) = (rollup.sequencer(), rollup.follower());
        let contracts = rollup.contracts();
        json!({
            "name": rollup.name(),
            "chainId": sequencer.context().chain().chain_id(),
            "http": http(sequencer.rpc_address()),
            "ws": ws(sequencer.rpc_address()),
            "follower": {
                "http": http(follower.rpc_address()),
                "ws": ws(follower.rpc_address()),
            },
            "rollupConfig": rollup.file(),
            "contracts": {
                "portal": contracts.portal,
                "systemConfig": contracts.system_config,
                "outputOracle": contracts.output_oracle,
                "batchInbox": rollup.config().batch_inbox_address,
            },
            "batcher": operators.batcher.address,
            "proposer": operators.proposer.address,
        })
    });
    let union = devnet.union().map(|union| {
        json!({
            "inbox": union.inbox,
            "registry": union.registry,
            "lookahead": union.lookahead,
            "vault": union.vault,
        })
    });
    let accounts: Vec<Value> = devnet
        .accounts()
        .iter()
        .map(|account| {
            let address = account.address.to_checksum(None);
            json!({ "address": address, "privateKey": account.signer.to_bytes() })
        })
        .collect();
    json!({
        "event": "ready",
        "l1": l1,
        "rollups": rollups.collect::<Vec<_>>(),
        "union": union,
        "accounts": accounts,
    })
}

fn print_ready(ready: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let field = |path: &str| ready.pointer(path).map_or_else(String::new, text);
    println!("L1     {}  beacon {}", field("/l1/http"), field("/l1/beacon"));
    for rollup in ready.get("rollups").and_then(Value::as_array).into_iter().flatten() {
        let field = |path: &str| rollup.pointer(path).map_or_else(String::new, text);
        println!(
            "{:<6} {}  derived again {}",
            field("/name"),
            field("/http"),
            field("/follower/http")
        );
        println!("       portal on L1 {}", field("/contracts/portal"));
    }
    println!();
    println!("Accounts with 10,000 ether on each chain. Everybody knows their keys:");
    for account in ready.get("accounts").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| account.get(name).map(text).unwrap_or_default();
        println!("  {}  {}", field("address"), field("privateKey"));
    }
    println!();
    println!(
        "Try: cast balance --rpc-url {} {}",
        field("/rollups/0/http"),
        field("/accounts/0/address")
    );
    println!("Stop with Ctrl-C.");
}

fn print_genesis(args: &Args) -> Result<()> {
    ensure!(args.l1.is_none(), "--print-genesis is for the embedded L1, not for one at --l1");
    let stored = match &args.datadir {
        Some(folder) => lockstep_devnet::stored_l1_genesis(folder)?,
        None => None,
    };
    let genesis = match stored {
        Some(genesis) => genesis,
        None => dev_l1_genesis(&config(args), SystemClock.unix_time().as_secs())?,
    };
    println!("{}", serde_json::to_string_pretty(&genesis)?);
    Ok(())
}
