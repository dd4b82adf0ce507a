//! `lockstep verify --from … --to …`: derive a range of blocks from L1 and execute it, online or again
//! from a stored witness.

use crate::{progress, replay::stopwatch};
use clap::Args as ClapArgs;
use eyre::{OptionExt, Result, WrapErr, bail, ensure};
use indicatif::ProgressBar;
use lockstep_host::{
    BlockRange, Host, MemoryStore, Outcome, Sources, Store, read_witness, write_witness,
};
use lockstep_protocol::RollupConfig;
use lockstep_providers::{
    BeaconClient, Endpoint, L1Client, L2Client, Pause, Retry, RpcClient, Timeouts,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How often an exchange with a node is tried, and the first pause in between.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Default, ClapArgs)]
pub(super) struct RangeArgs {
    /// The block that is taken for granted: the blocks after it are verified.
    #[arg(long, value_name = "N", requires = "to", conflicts_with = "fixtures")]
    from: Option<u64>,
    /// The last block to verify.
    #[arg(long, value_name = "M", requires = "from")]
    to: Option<u64>,
    /// JSON-RPC of an L1 node.
    #[arg(long, value_name = "URL", requires = "from")]
    l1: Option<String>,
    /// Beacon API of that L1; the second and later ones are asked for blobs that the first lacks.
    #[arg(long = "l1-beacon", value_name = "URL", requires = "from")]
    l1_beacon: Vec<String>,
    /// JSON-RPC of a node of the rollup, with the states of the range.
    #[arg(long, value_name = "URL", requires = "from")]
    l2: Option<String>,
    /// The rollup's configuration (`rollup.json`); without it, that of the public chain, or what the
    /// node tells (`optimism_rollupConfig`).
    #[arg(long, value_name = "FILE", requires = "from")]
    rollup_config: Option<PathBuf>,
    /// The genesis file of L1, if it is no public chain; without it, L1's node is asked.
    #[arg(long, value_name = "FILE", requires = "from")]
    l1_genesis: Option<PathBuf>,
    /// Keep in this folder what the run needed, a file for each part of the range.
    #[arg(long, value_name = "DIR", requires = "from")]
    witness_dir: Option<PathBuf>,
    /// Ask nobody: repeat the run with what is in the folder.
    #[arg(long, requires = "witness_dir", conflicts_with_all = ["l1", "l1_beacon", "l2"])]
    offline: bool,
    /// Verify the range in parts of this many blocks.
    #[arg(long, value_name = "BLOCKS", default_value = "100", requires = "from",
          value_parser = clap::value_parser!(u64).range(1..=lockstep_host::MAX_RANGE))]
    split: u64,
}

/// What came of a part of the range.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    from: u64,
    to: u64,
    l1_head: String,
    agreed_output_root: String,
    /// What the node (or the stored witness) claims.
    claimed_output_root: String,
    /// What came of derivation and execution.
    output_root: String,
    /// The newest block that L1 tells of.
    derived: u64,
    verified: bool,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    witness: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    from: u64,
    to: u64,
    offline: bool,
    chain_id: u64,
    parts: Vec<Part>,
    verified: bool,
}

/// Runs the command; whether every part of the range is verified.
pub(super) fn run(args: &RangeArgs, json: bool) -> Result<bool> {
    let from = args.from.ok_or_eyre("--fixture or --from and --to are needed")?;
    let range = BlockRange { agreed: from, claimed: args.to.ok_or_eyre("--to is needed")? };
    ensure!(range.agreed < range.claimed, "there is nothing after {from} up to {}", range.claimed);
    let bar = progress::bar(!json, range.blocks());
    let mut report = Report {
        from,
        to: range.claimed,
        offline: args.offline,
        chain_id: 0,
        parts: Vec::new(),
        verified: false,
    };
    let mut previous: Option<Outcome> = None;
    let mut add = |outcome: Outcome, part: Part| -> Result<bool> {
        if let Some(previous) = &previous {
            check_successor(previous, &outcome)?;
        }
        report.chain_id = outcome.boot.rollup_config.l2_chain_id;
        if !json {
            bar.suspend(|| part.print());
        }
        let verified = part.verified;
        report.parts.push(part);
        previous = Some(outcome);
        Ok(verified)
    };
    if args.offline {
        offline(args, range, &bar, &mut add)?;
    } else {
        online(args, range, &bar, &mut add)?;
    }
    bar.finish_and_clear();
    report.verified = report.parts.last().is_some_and(|part| part.to == range.claimed)
        && report.parts.iter().all(|part| part.verified);
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
    }
    Ok(report.verified)
}

/// Verifies part after part with nodes, up to the first that fails.
fn online(
    args: &RangeArgs,
    range: BlockRange,
    bar: &ProgressBar,
    add: &mut dyn FnMut(Outcome, Part) -> Result<bool>,
) -> Result<()> {
    let sources = sources(args)?;
    let genesis = args.l1_genesis.as_ref().map(read_file).transpose()?;
    for part in range.split(args.split) {
        let host = with_bar(Host::online(MemoryStore::default(), sources.clone()), bar);
        bar.set_message(format!("blocks {} to {}", part.agreed + 1, part.claimed));
        let genesis = genesis.clone().map(Into::into);
        let (outcome, time) = stopwatch(|| host.verify(part, genesis));
        let outcome =
            outcome.wrap_err_with(|| format!("blocks {} to {}", part.agreed + 1, part.claimed))?;
        let path = args.witness_dir.as_ref().map(|folder| folder.join(file_name(part)));
        if let Some(path) = &path {
            write_witness(path, &host.witness()?)?;
        }
        let result = Part::new(&outcome, time, path);
        if !add(outcome, result)? {
            break;
        }
    }
    Ok(())
}

/// Repeats part after part with what was stored, up to the first that fails.
fn offline(
    args: &RangeArgs,
    range: BlockRange,
    bar: &ProgressBar,
    add: &mut dyn FnMut(Outcome, Part) -> Result<bool>,
) -> Result<()> {
    let folder = args.witness_dir.as_ref().ok_or_eyre("--witness-dir is needed")?;
    let config = args.rollup_config.as_ref().map(read_config).transpose()?;
    for (part, path) in stored_parts(folder, range)? {
        let entries = read_witness(&path)?;
        let store = MemoryStore::with_entries(entries, MemoryStore::DEFAULT_MAX_BYTES)?;
        let host = with_bar(Host::offline(store), bar);
        bar.set_message(path.display().to_string());
        let (outcome, time) = stopwatch(|| host.repeat());
        let outcome = outcome.wrap_err_with(|| path.display().to_string())?;
        let about = (outcome.agreed.number, outcome.boot.claimed_l2_block);
        ensure!(
            about == (part.agreed, part.claimed),
            "{} is about blocks {} to {}",
            path.display(),
            about.0 + 1,
            about.1
        );
        ensure!(
            config.as_ref().is_none_or(|config| *config == outcome.boot.rollup_config),
            "{} was made with another rollup configuration",
            path.display()
        );
        let result = Part::new(&outcome, time, Some(path));
        if !add(outcome, result)? {
            break;
        }
    }
    Ok(())
}

/// A part must begin with what the part before came to, by the same rules.
fn check_successor(previous: &Outcome, next: &Outcome) -> Result<()> {
    ensure!(
        previous.boot.claimed_l2_output_root == next.boot.agreed_l2_output_root,
        "block {} has output root {} in one part and {} in the next: the chain was reorganised meanwhile",
        next.agreed.number,
        previous.boot.claimed_l2_output_root,
        next.boot.agreed_l2_output_root
    );
    ensure!(
        previous.boot.rollup_config == next.boot.rollup_config,
        "the parts before and after block {} are of rollups with other rules",
        next.agreed.number
    );
    Ok(())
}

fn with_bar<S: Store>(host: Host<S>, bar: &ProgressBar) -> Host<S> {
    let bar = bar.clone();
    host.with_progress(Box::new(move |_| bar.inc(1)))
}

fn sources(args: &RangeArgs) -> Result<Sources> {
    let l1 = args.l1.as_ref().ok_or_eyre("--l1 is needed, or --offline")?;
    let l2 = args.l2.as_ref().ok_or_eyre("--l2 is needed, or --offline")?;
    ensure!(!args.l1_beacon.is_empty(), "--l1-beacon is needed, or --offline");
    let pause: Pause = Arc::new(|pause| {
        #[expect(clippy::disallowed_methods, reason = "a busy server is given time")]
        std::thread::sleep(pause);
        true
    });
    let retry = Retry::with_pauses(ATTEMPTS, FIRST_PAUSE, pause);
    let rpc = |url: &str| -> Result<RpcClient> {
        Ok(RpcClient::http(url, Timeouts::default())?.with_retry(retry.clone()))
    };
    let (l1, l2) = (rpc(l1)?, rpc(l2)?);
    let config = match &args.rollup_config {
        Some(path) => read_config(path)?,
        None => find_config(&l2)?,
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
    let json = read_file(&path)?;
    RollupConfig::from_json(&json).wrap_err_with(|| path.as_ref().display().to_string())
}

fn read_file(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    fs::read(&path).wrap_err_with(|| path.as_ref().display().to_string())
}

fn file_name(part: BlockRange) -> String {
    format!("{}-{}.witness", part.agreed, part.claimed)
}

/// The files that together hold the range, each as long as there is one.
fn stored_parts(folder: &Path, range: BlockRange) -> Result<Vec<(BlockRange, PathBuf)>> {
    let mut by_start: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let entries = fs::read_dir(folder).wrap_err_with(|| folder.display().to_string())?;
    for entry in entries {
        let name = entry.wrap_err_with(|| folder.display().to_string())?.file_name();
        let part = name.to_str().and_then(|name| name.strip_suffix(".witness"));
        let bounds = part.and_then(|part| part.split_once('-'));
        if let Some((Ok(agreed), Ok(claimed))) =
            bounds.map(|(agreed, claimed)| (agreed.parse::<u64>(), claimed.parse::<u64>()))
        {
            by_start.entry(agreed).or_default().push(claimed);
        }
    }
    let mut parts = Vec::new();
    let mut agreed = range.agreed;
    while agreed < range.claimed {
        let ends = by_start.get(&agreed).into_iter().flatten().copied();
        let Some(claimed) = ends.filter(|end| *end > agreed && *end <= range.claimed).max() else {
            bail!(
                "{} has no witness that begins after block {agreed} and ends by {}",
                folder.display(),
                range.claimed
            );
        };
        let part = BlockRange { agreed, claimed };
        parts.push((part, folder.join(file_name(part))));
        agreed = claimed;
    }
    Ok(parts)
}

impl Part {
    fn new(outcome: &Outcome, time: Duration, witness: Option<PathBuf>) -> Self {
        let Outcome { boot, agreed, verdict } = outcome;
        Self {
            from: agreed.number,
            to: boot.claimed_l2_block,
            l1_head: boot.l1_head.to_string(),
            agreed_output_root: boot.agreed_l2_output_root.to_string(),
            claimed_output_root: boot.claimed_l2_output_root.to_string(),
            output_root: verdict.output_root.to_string(),
            derived: verdict.head.number,
            verified: outcome.is_verified(),
            seconds: time.as_secs_f64(),
            witness,
        }
    }

    fn print(&self) {
        let Self { from, to, output_root, claimed_output_root, l1_head, seconds, derived, .. } =
            self;
        let first = from + 1;
        if self.verified {
            println!("blocks {first} to {to} verified: output root {output_root} ({seconds:.1} s)");
            return println!(
                "  after output root {} at L1 block {l1_head}",
                self.agreed_output_root
            );
        }
        println!("blocks {first} to {to} NOT VERIFIED");
        if derived < to {
            println!("  L1 up to block {l1_head} makes blocks up to {derived} only");
        }
        println!("  claimed {claimed_output_root}");
        println!("  derived {output_root} at block {derived}");
    }
}

impl Report {
    fn print(&self) {
        let Self { from, to, chain_id, parts, .. } = self;
        let verdict = if self.verified { "verified" } else { "NOT VERIFIED" };
        let how = if self.offline { "from stored witnesses" } else { "online" };
        println!(
            "chain {chain_id}, blocks {} to {to} {verdict} {how}, in {} parts",
            from + 1,
            parts.len()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path, agreed: u64, claimed: u64) -> Option<Vec<String>> {
        let parts = stored_parts(folder, BlockRange { agreed, claimed }).ok()?;
        Some(parts.into_iter().map(|(part, _)| file_name(part)).collect())
    }

    #[test]
    fn the_command_line_asks_for_what_is_needed() {
        use clap::{CommandFactory, Parser};
        crate::Cli::command().debug_assert();
        let is_accepted = |line: &str| {
            let words = ["lockstep", "verify"].into_iter().chain(line.split_whitespace());
            crate::Cli::try_parse_from(words).is_ok()
        };
        for line in [
            "--fixture a b",
            "--from 1 --to 2 --l1 u --l1-beacon v --l1-beacon w --l2 x --json",
            "--from 1 --to 2 --l1 u --l1-beacon v --l2 x --witness-dir d --split 7",
            "--from 1 --to 2 --witness-dir d --offline",
        ] {
            assert!(is_accepted(line), "{line}");
        }
        for line in [
            "",
            "--from 1",
            "--to 2",
            "--fixture a --from 1 --to 2",
            "--from 1 --to 2 --offline",
            "--from 1 --to 2 --witness-dir d --offline --l1 u",
            "--from 1 --to 2 --l1 u --split 0",
        ] {
            assert!(!is_accepted(line), "{line}");
        }
    }

    #[test]
    fn stored_parts_cover_the_range_without_gaps() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["0-10.witness", "10-20.witness", "0-5.witness", "x.witness", "20-20.witness"] {
            fs::write(folder.path().join(name), b"").expect("it is written");
        }
        let found = |agreed, claimed| names(folder.path(), agreed, claimed);
        let both = ["0-10.witness", "10-20.witness"].map(str::to_owned).to_vec();
        assert_eq!(found(0, 20), Some(both));
        assert_eq!(found(0, 5), Some(vec!["0-5.witness".to_owned()]));
        assert_eq!(found(0, 21), None);
        assert_eq!(found(1, 10), None);
        assert_eq!(names(&folder.path().join("absent"), 0, 1), None);
    }
}
