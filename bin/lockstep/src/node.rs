//! `lockstep node`: an L1 node under a consensus client, or a rollup node that derives its chain from L1.

mod rollup;

use crate::{
    chain::{self, L1},
    service::{self, ServiceArgs, Stop, SystemClock, print_event},
};
use alloy_consensus::BlockHeader;
use alloy_primitives::B256;
use clap::Args as ClapArgs;
use eyre::Result;
use lockstep_chain::Ethereum;
use lockstep_devnet::Clock;
use lockstep_execution::MemoryState;
use lockstep_node::{Node, NodeArgs, NodeBuilder, NodeChain};
use lockstep_storage::GenesisBlock;
use serde_json::json;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// A network (mainnet, sepolia, hoodi) or a genesis file in geth's format; for a rollup its
    /// genesis file.
    #[arg(long, value_name = "NAME|FILE", default_value = "mainnet")]
    chain: String,
    #[command(flatten)]
    node: NodeArgs,
    #[command(flatten)]
    rollup: rollup::RollupArgs,
    /// Print events as lines of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<bool> {
    service::run(&args.service, |stop| serve(args, stop))
}

async fn serve(args: &Args, stop: Stop) -> Result<()> {
    match args.rollup.source() {
        Some(source) => keep_running(args, rollup::launch(args, source).await?, stop).await,
        None => keep_running(args, launch_l1(args).await?, stop).await,
    }
}

async fn launch_l1(args: &Args) -> Result<Node<Ethereum>> {
    let L1 { chain, genesis } = chain::find_l1(&args.chain)?;
    let header = chain.genesis_header(&genesis);
    let first: GenesisBlock<Ethereum> =
        GenesisBlock::new(header, MemoryState::from_genesis(&genesis))?;
    let genesis_hash = first.block().seal();
    let node = NodeBuilder::new(chain, &first)
        .args(&args.node, &genesis, &first, || SystemClock.unix_time().as_secs())?
        .launch()
        .await?;
    let next = "start a consensus client with its Engine API and secret";
    ready(args, &node, genesis_hash, next)?;
    Ok(node)
}

async fn keep_running<C: NodeChain>(args: &Args, mut node: Node<C>, stop: Stop) -> Result<()> {
    let failed = tokio::select! {
        failed = node.failed() => failed,
        () = stop.wait() => Ok(()),
    };
    let stopped = node.shutdown().await;
    let printed = if args.json { print_event(&json!({ "event": "stopped" })) } else { Ok(()) };
    failed?;
    stopped?;
    printed
}

/// Tells where the node is, and what is to be done `next`.
fn ready<C: NodeChain>(args: &Args, node: &Node<C>, genesis_hash: B256, next: &str) -> Result<()> {
    let http = |address: Option<_>| address.map(|address| format!("http://{address}"));
    let ready = json!({
        "event": "ready",
        "http": http(node.rpc_address()),
        "ws": node.rpc_address().map(|address| format!("ws://{address}")),
        "ipc": args.node.ipc_path(),
        "authrpc": http(node.engine_api_address()),
        "genesisHash": genesis_hash,
    });
    if args.json {
        return print_event(&ready);
    }
    tracing::info!(
        target: "lockstep",
        head = node.context().view().head().number(),
        %genesis_hash,
        next,
        "the node is ready"
    );
    Ok(())
}
