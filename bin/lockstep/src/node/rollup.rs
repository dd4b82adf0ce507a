//! A node that derives a rollup from L1.

use super::{Args, ready};
use crate::{chain, verify::read_rollup_config};
use clap::Args as ClapArgs;
use eyre::{Context, Result, ensure};
use lockstep_chain::Rollup;
use lockstep_execution::MemoryState;
use lockstep_host::find_l1_chain;
use lockstep_node::{FollowedL1, Node, NodeBuilder};
use lockstep_protocol::RollupConfig;
use lockstep_providers::{BeaconClient, L1Client, Retry, RpcClient, Timeouts};
use lockstep_storage::GenesisBlock;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::task;

/// How often L1 is asked for something new.
const POLL: Duration = Duration::from_secs(2);

/// From where a rollup is derived. What L1 says is verified, but for which of its chains is the
/// canonical one.
#[derive(Debug, ClapArgs)]
pub(super) struct RollupArgs {
    /// Follow the rollup with this configuration (`rollup.json`): derive it from L1, without a
    /// consensus client. `--chain` is its genesis file then.
    #[arg(long, value_name = "FILE", requires_all = ["l1", "l1_beacon"],
          conflicts_with_all = ["authrpc_port", "jwt_secret"])]
    rollup_config: Option<PathBuf>,
    /// JSON-RPC of an L1 node.
    #[arg(long, value_name = "URL", requires = "rollup_config")]
    l1: Option<String>,
    /// Beacon API of that L1; the second and later ones are asked for blobs that the first lacks.
    #[arg(long, value_name = "URL", requires = "rollup_config")]
    l1_beacon: Vec<String>,
    /// The genesis file of L1, if it is no public chain; without it, L1's node is asked.
    #[arg(long, value_name = "FILE", requires = "rollup_config")]
    l1_genesis: Option<PathBuf>,
}

/// From where a rollup is derived, if it is one that is run.
pub(super) struct Source<'a> {
    config: &'a PathBuf,
    l1: &'a str,
    beacon: &'a [String],
    l1_genesis: Option<&'a PathBuf>,
}

impl RollupArgs {
    pub(super) fn source(&self) -> Option<Source<'_>> {
        Some(Source {
            config: self.rollup_config.as_ref()?,
            l1: self.l1.as_deref()?,
            beacon: &self.l1_beacon,
            l1_genesis: self.l1_genesis.as_ref(),
        })
    }
}

/// Starts the node.
pub(super) async fn launch(args: &Args, source: Source<'_>) -> Result<Node<Rollup>> {
    let config = Arc::new(read_rollup_config(source.config)?);
    let genesis = chain::read_genesis(&args.chain)?;
    let chain = Rollup::from_genesis(&genesis).wrap_err_with(|| args.chain.clone())?;
    let header = chain.genesis_header(&genesis);
    let first: GenesisBlock<Rollup> =
        GenesisBlock::new(header, MemoryState::from_genesis(&genesis))?;
    let genesis_hash = first.block().seal();
    ensure!(
        genesis_hash == config.genesis.l2.hash,
        "{} begins with block {genesis_hash}, the configuration with {}",
        args.chain,
        config.genesis.l2.hash
    );
    ensure!(
        chain == config.chain(),
        "{} and {} tell of different chain ids, forks or fees",
        args.chain,
        source.config.display()
    );
    let l1 = find_l1(source, &config).await?;
    let node = NodeBuilder::new(chain, &first)
        .args_without_engine_api(&args.node, &genesis, &first)?
        .follow(config, l1)
        .launch()
        .await?;
    ready(args, &node, genesis_hash, "it derives its blocks from L1")?;
    Ok(node)
}

async fn find_l1(
    source: Source<'_>,
    config: &RollupConfig,
) -> Result<FollowedL1<L1Client, BeaconClient>> {
    let blocks = L1Client::new(RpcClient::http(source.l1, Timeouts::default())?);
    let blobs = BeaconClient::http(source.beacon, Timeouts::default(), Retry::default())?;
    let genesis = source.l1_genesis.map(|path| chain::read_file(path)).transpose()?;
    let (client, expected) = (blocks.clone(), config.l1_chain_id);
    let chain = task::spawn_blocking(move || {
        let found = client.chain_id().wrap_err("--l1")?;
        ensure!(
            found == expected,
            "--l1: the node is of chain {found}, the rollup lives on chain {expected}"
        );
        Ok(find_l1_chain(&client, expected, genesis.map(Into::into))?.0)
    });
    Ok(FollowedL1 { chain: Arc::new(chain.await??), blocks, blobs, poll: POLL })
}
