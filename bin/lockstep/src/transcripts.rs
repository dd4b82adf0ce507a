//! `lockstep conformance --rpc`: the official JSON-RPC transcripts against our node.

use crate::{import::import_blocks, progress, service::loopback};
use alloy_rpc_types_engine::ForkchoiceState;
use eyre::{Context, Result, ensure, eyre};
use lockstep_chain::{Ethereum, genesis};
use lockstep_execution::MemoryState;
use lockstep_node::{Node, NodeBuilder};
use lockstep_rpc::{RpcSettings, ServerSettings};
use lockstep_storage::{GenesisBlock, Options, SyncPolicy};
use lockstep_testkit::{
    Report,
    source::Limits,
    transcripts::{self, Transcripts},
};
use regex_lite::Regex;
use std::path::Path;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Imports the chain of the transcripts in `path` into a new node, and replays them all.
pub(crate) fn run(path: &Path, filter: Option<&Regex>, bar: bool) -> Result<Report> {
    let loaded = Transcripts::load(path, &Limits::default())?;
    let folder = TempDir::new().wrap_err("a folder for the chain")?;
    let bar = progress::bar(bar, loaded.transcripts.len() as u64);
    let runtime = Runtime::new().wrap_err("cannot start threads")?;
    let node = runtime.block_on(start(&loaded, folder.path()))?;
    let address = node.rpc_address().ok_or_else(|| eyre!("the node serves nothing"))?;
    let url = format!("http://{address}/");
    let report = transcripts::run(&url, &loaded.transcripts, filter, &mut |done| {
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    runtime.block_on(node.shutdown())?;
    Ok(report)
}

async fn start(loaded: &Transcripts, folder: &Path) -> Result<Node<Ethereum>> {
    let genesis = genesis::parse(&loaded.genesis).wrap_err("genesis.json")?;
    let chain = Ethereum::from_genesis(&genesis).wrap_err("genesis.json")?;
    let first: GenesisBlock<Ethereum> =
        GenesisBlock::new(chain.genesis_header(&genesis), MemoryState::from_genesis(&genesis))?;
    let settings = RpcSettings { network_id: genesis.config.chain_id, ..RpcSettings::default() };
    let server = ServerSettings {
        address: Some(loopback(0)),
        http: vec!["*".to_owned()],
        ..ServerSettings::default()
    };
    let options = Options { sync: SyncPolicy::Never, ..Options::default() };
    let node = NodeBuilder::new(chain, &first)
        .folder(folder, &genesis, &first, options)?
        .rpc(settings, server)
        .launch()
        .await?;
    let engine = node.context().engine();
    import_blocks(engine, &loaded.chain, &mut |_, _| {}).wrap_err("chain.rlp")?;
    let head = loaded.head()?;
    let choice = ForkchoiceState {
        head_block_hash: head,
        safe_block_hash: head,
        finalized_block_hash: head,
    };
    let status = engine.fork_choice(choice)?;
    ensure!(status.is_valid(), "headfcu.json: {:?}", status.status);
    Ok(node)
}
