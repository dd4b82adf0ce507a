//! With nodes.

use super::{
    offline::file_name,
    range::{Parts, RangeArgs},
    transcript,
};
use crate::{chain::read_file, timing::stopwatch};
use eyre::{OptionExt, Result, WrapErr, ensure};
use lockstep_chain::{Chain, Ethereum};
use lockstep_host::{BlockRange, DirectoryStore, Host, MemoryStore, Sources, Store, write_witness};
use lockstep_protocol::RollupConfig;
use lockstep_providers::{
    BeaconClient, Endpoint, L1Client, L2Client, Pause, Retry, RpcClient, Timeouts,
};
use std::{path::Path, sync::Arc, time::Duration};

/// How often an exchange with a node is tried, and the first pause in between.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What the cache folder may hold, in bytes.
const MAX_CACHE_BYTES: u64 = 64 << 30;

/// Verifies part after part with nodes, up to the first that fails.
pub(super) fn verify(args: &RangeArgs, range: BlockRange, parts: &mut Parts<'_>) -> Result<()> {
    let sources = sources(args)?;
    let chain_id = sources.l2.config().l2_chain_id;
    let genesis = args.l1_genesis.as_deref().map(read_file).transpose()?;
    let cache = args.cache_dir.as_ref().map(|folder| DirectoryStore::open(folder, MAX_CACHE_BYTES));
    let cache = cache.transpose()?.map(|cache| Arc::new(cache) as Arc<dyn Store>);
    for part in range.split(args.split) {
        let blocks = format!("blocks {} to {}", part.agreed + 1, part.claimed);
        parts.begin(blocks.clone());
        let store = cache.clone().unwrap_or_else(|| Arc::new(MemoryStore::default()));
        let host = parts.with_progress(Host::online(store, sources.clone()));
        let genesis = genesis.clone().map(Into::into);
        let (outcome, time) = stopwatch(|| match args.l1_head {
            Some(_) => {
                host.prepare(part, args.l1_head, genesis)?;
                host.repeat()
            }
            None => host.verify(part, genesis),
        });
        let outcome = outcome.wrap_err(blocks)?;
        let transcripts = transcript::read(&host, &outcome)?;
        let folder = args.witness_dir.clone().map(|folder| match args.by_chain {
            true => folder.join(chain_id.to_string()),
            false => folder,
        });
        let path = folder.map(|folder| folder.join(file_name(part)));
        if let Some(path) = &path {
            write_witness(path, &host.witness()?)?;
        }
        if !parts.add(&host, outcome, transcripts, time, path)? {
            break;
        }
    }
    Ok(())
}

/// Whether the rules of an L1 with this chain id are known.
pub(super) fn is_public_l1(chain_id: u64) -> bool {
    let public = [Ethereum::mainnet(), Ethereum::sepolia(), Ethereum::hoodi()];
    public.iter().any(|chain| chain.chain_id() == chain_id)
}

fn sources(args: &RangeArgs) -> Result<Sources> {
    let l1 = args.l1.as_ref().ok_or_eyre("--l1 is needed, or --offline")?;
    let l2 = args.l2.first().ok_or_eyre("--l2 is needed, or --offline")?;
    ensure!(!args.l1_beacon.is_empty(), "--l1-beacon is needed, or --offline");
    let pause: Pause = Arc::new(|pause| {
        #[expect(clippy::disallowed_methods, reason = "a busy server is given time")]
        std::thread::sleep(pause);
        true
    });
    let retry = Retry::with_pauses(ATTEMPTS, FIRST_PAUSE, pause);
    let rpc = |option: &str, url: &str| -> Result<RpcClient> {
        let client = RpcClient::http(url, Timeouts::default());
        Ok(client.wrap_err_with(|| format!("{option} {url}"))?.with_retry(retry.clone()))
    };
    let (l1, l2) = (rpc("--l1", l1)?, rpc("--l2", l2)?);
    let config = match args.rollup_config.first() {
        Some(path) => read_config(path)?,
        None => find_config(&l2).wrap_err("--l2 must be a node of the rollup")?,
    };
    Ok(Sources {
        l1: L1Client::new(l1),
        beacon: BeaconClient::http(&args.l1_beacon, Timeouts::default(), retry)?,
        l2: L2Client::new(l2, Arc::new(config)),
    })
}

/// The configuration of a public chain, or what the node says.
fn find_config(l2: &RpcClient) -> Result<RollupConfig> {
    let unknown = L2Client::new(l2.clone(), Arc::default());
    let chain_id = unknown.chain_id()?;
    if let Some(config) = RollupConfig::of_chain(chain_id) {
        return Ok(config);
    }
    let endpoint: &Endpoint = l2.endpoint();
    L2Client::fetch_config(l2).wrap_err_with(|| {
        format!(
            "chain {chain_id} is no public rollup, and {endpoint} does not tell its configuration: \
             give --rollup-config"
        )
    })
}

/// Reads a `rollup.json`.
pub(crate) fn read_config(path: impl AsRef<Path>) -> Result<RollupConfig> {
    let path = path.as_ref();
    RollupConfig::from_json(&read_file(path)?).wrap_err_with(|| path.display().to_string())
}
