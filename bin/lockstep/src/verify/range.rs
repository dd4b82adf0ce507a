//! `lockstep verify --from … --to …`: derive a range of blocks from L1 and execute it, online or again
//! from a stored witness.

use super::{
    joint, offline, online,
    report::{Part, Report, Verified},
    transcript::Transcript,
};
use crate::output::print_json;
use crate::progress;
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use clap::Args as ClapArgs;
use eyre::{OptionExt, Result, ensure};
use indicatif::ProgressBar;
use lockstep_chain::Chain;
use lockstep_host::{BlockRange, Host, L1Blocks, Outcome, Store};
use lockstep_protocol::RollupConfig;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

#[derive(Clone, Debug, Default, ClapArgs)]
pub(super) struct RangeArgs {
    /// The block that is taken for granted: the blocks after it are verified.
    #[arg(long, value_name = "N", requires = "to", conflicts_with = "fixtures")]
    pub(super) from: Option<u64>,
    /// The last block to verify.
    #[arg(long, value_name = "M", requires = "from")]
    pub(super) to: Option<u64>,
    /// JSON-RPC of an L1 node.
    #[arg(long, value_name = "URL", requires = "from")]
    pub(super) l1: Option<String>,
    /// Beacon API of that L1; the second and later ones are asked for blobs that the first lacks.
    #[arg(long = "l1-beacon", value_name = "URL", requires = "from")]
    pub(super) l1_beacon: Vec<String>,
    /// JSON-RPC of a node of the rollup, with the states of the range. Given several times, for rollups of one
    /// union, each is verified, and what they have said to each other is compared.
    #[arg(long, value_name = "URL", requires = "from")]
    pub(super) l2: Vec<String>,
    /// The output root that block N must have; without it, that is taken on trust. Of several rollups, one
    /// for each, in order.
    #[arg(long, value_name = "OUTPUT_ROOT", requires = "from")]
    pub(super) agreed: Vec<B256>,
    /// The hash of the L1 block up to which L1 is read; without it, it is taken on trust that the block
    /// up to which it was read is canonical.
    #[arg(long, value_name = "HASH", requires = "from")]
    pub(super) l1_head: Option<B256>,
    /// The rollup's configuration (`rollup.json`); without it, that of the public chain, or what the
    /// node tells (`optimism_rollupConfig`). Of several rollups, one for each, in order.
    #[arg(long, value_name = "FILE", requires = "from")]
    pub(super) rollup_config: Vec<PathBuf>,
    /// The genesis file of L1, if it is no public chain; without it, L1's node is asked.
    #[arg(long, value_name = "FILE", requires = "from")]
    pub(super) l1_genesis: Option<PathBuf>,
    /// Keep in this folder what the run needed, a file for each part of the range; of several rollups, in a
    /// folder for each, named after its chain id.
    #[arg(long, value_name = "DIR", requires = "from")]
    pub(super) witness_dir: Option<PathBuf>,
    /// Keep in this folder what the nodes gave, and do not ask for it again, in this run or later ones.
    #[arg(long, value_name = "DIR", requires = "from")]
    pub(super) cache_dir: Option<PathBuf>,
    /// Ask nobody: repeat the run with what is in the witness folder.
    #[arg(long, requires = "witness_dir",
          conflicts_with_all = ["l1", "l1_beacon", "l2", "cache_dir"])]
    pub(super) offline: bool,
    /// Verify the range in parts of this many blocks.
    #[arg(long, value_name = "BLOCKS", default_value = "100", requires = "from",
          value_parser = clap::value_parser!(u64).range(1..=lockstep_host::MAX_RANGE))]
    pub(super) split: u64,
    /// Whether witnesses are kept in a folder named after the chain id.
    #[arg(skip)]
    pub(super) by_chain: bool,
}

/// The parts so far.
pub(super) struct Parts<'a> {
    args: &'a RangeArgs,
    bar: &'a ProgressBar,
    json: bool,
    parts: Vec<Part>,
    first: Option<Outcome>,
    previous: Option<Outcome>,
    transcripts: BTreeMap<u64, Transcript>,
    /// Up to the newest L1 block that any part has read. Those of all others are its ancestors.
    newest_l1: Option<(BlockNumHash, L1Blocks)>,
}

/// Runs the command; whether every part of the range is verified.
pub(super) fn run(args: &RangeArgs, json: bool) -> Result<bool> {
    if let Some(members) = joint::members(args)? {
        return joint::run(&members, json);
    }
    let Verified { report, .. } = verify(args, json)?;
    if json {
        print_json(&report)?;
    } else {
        report.print();
    }
    Ok(report.verified)
}

/// Verifies the range of one rollup.
pub(super) fn verify(args: &RangeArgs, json: bool) -> Result<Verified> {
    let from = args.from.ok_or_eyre("--fixture or --from and --to are needed")?;
    let range = BlockRange { agreed: from, claimed: args.to.ok_or_eyre("--to is needed")? };
    ensure!(range.agreed < range.claimed, "there is nothing after {from} up to {}", range.claimed);
    let bar = progress::bar(!json, range.blocks());
    let mut parts = Parts::new(args, &bar, json);
    if args.offline {
        offline::verify(args, range, &mut parts)?;
    } else {
        online::verify(args, range, &mut parts)?;
    }
    let verified = parts.verified(range)?;
    bar.finish_and_clear();
    Ok(verified)
}

impl<'a> Parts<'a> {
    const fn new(args: &'a RangeArgs, bar: &'a ProgressBar, json: bool) -> Self {
        Self {
            args,
            bar,
            json,
            parts: Vec::new(),
            first: None,
            previous: None,
            transcripts: BTreeMap::new(),
            newest_l1: None,
        }
    }

    /// Says what is done.
    pub(super) fn begin(&self, what: String) {
        self.bar.set_message(what);
    }

    /// A host that moves the progress on.
    pub(super) fn with_progress<S: Store>(&self, host: Host<S>) -> Host<S> {
        let bar = self.bar.clone();
        host.with_progress(Box::new(move |_| bar.inc(1)))
    }

    /// Takes in what came of the next part; whether it is verified.
    pub(super) fn add<S: Store>(
        &mut self,
        host: &Host<S>,
        outcome: Outcome,
        transcripts: BTreeMap<u64, Transcript>,
        time: Duration,
        witness: Option<PathBuf>,
    ) -> Result<bool> {
        let l1 = host.l1_blocks(outcome.boot.l1_head)?;
        match &self.previous {
            Some(previous) => check_successor(previous, &outcome)?,
            None => check_agreed(self.args.agreed.first().copied(), &outcome)?,
        }
        self.add_l1(l1)?;
        self.transcripts = transcripts;
        let part = Part::new(&outcome, time, witness);
        if !self.json {
            self.bar.suspend(|| part.print());
        }
        let verified = part.verified;
        self.parts.push(part);
        self.first.get_or_insert_with(|| outcome.clone());
        self.previous = Some(outcome);
        Ok(verified)
    }

    /// All parts must be about one L1 chain.
    fn add_l1(&mut self, l1: L1Blocks) -> Result<()> {
        let head =
            l1.head().ok_or_eyre("the program has not read the L1 block that it began at")?;
        if let Some((newest, newest_l1)) = &self.newest_l1 {
            ensure!(
                newest_l1.is_one_chain_with(&l1),
                "L1 blocks {} ({}) and {} ({}) are not of one chain: L1 was reorganised meanwhile",
                newest.number,
                newest.hash,
                head.number,
                head.hash
            );
        }
        if self.newest_l1.as_ref().is_none_or(|(newest, _)| newest.number < head.number) {
            self.newest_l1 = Some((head, l1));
        }
        Ok(())
    }

    fn verified(self, range: BlockRange) -> Result<Verified> {
        let first = self.first.ok_or_eyre("nothing was verified")?;
        let (newest_l1, l1) = self.newest_l1.ok_or_eyre("nothing was verified")?;
        if let Some(expected) = self.args.l1_head {
            ensure!(
                newest_l1.hash == expected,
                "L1 was read up to block {} ({}), not up to {expected}",
                newest_l1.number,
                newest_l1.hash
            );
        }
        let verified = self.parts.last().is_some_and(|part| part.to == range.claimed)
            && self.parts.iter().all(|part| part.verified);
        let report = Report {
            from: range.agreed,
            to: range.claimed,
            offline: self.args.offline,
            chain_id: first.boot.rollup_config.l2_chain_id,
            taken_on_trust: taken_on_trust(self.args, &first, newest_l1),
            parts: self.parts,
            transcripts: self.transcripts,
            verified,
        };
        Ok(Verified { report, config: first.boot.rollup_config, l1 })
    }
}

/// The first part must begin with what is agreed.
fn check_agreed(expected: Option<B256>, first: &Outcome) -> Result<()> {
    let found = first.boot.agreed_l2_output_root;
    ensure!(
        expected.is_none_or(|expected| expected == found),
        "block {} has output root {found} here, not the one that is agreed",
        first.agreed.number
    );
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
    ensure!(
        previous.boot.l1_chain == next.boot.l1_chain,
        "the parts before and after block {} are of L1 chains with other rules",
        next.agreed.number
    );
    Ok(())
}

/// What the verdict depends on that nothing was held against.
fn taken_on_trust(args: &RangeArgs, first: &Outcome, newest_l1: BlockNumHash) -> Vec<String> {
    let boot = &first.boot;
    let mut trusted = Vec::new();
    if args.agreed.is_empty() {
        let (number, root) = (first.agreed.number, boot.agreed_l2_output_root);
        trusted.push(format!("that block {number} has output root {root} (--agreed)"));
    }
    if args.l1_head.is_none() {
        let BlockNumHash { number, hash } = newest_l1;
        trusted.push(format!("that L1 block {number}, {hash}, is canonical (--l1-head)"));
    }
    let is_public = RollupConfig::of_chain(boot.rollup_config.l2_chain_id).is_some();
    let by_whom = if args.offline { "the witness" } else { "the rollup's node" };
    if args.rollup_config.is_empty() && !is_public {
        trusted.push(format!("the configuration that {by_whom} gives (--rollup-config)"));
    }
    let l1_is_public = online::is_public_l1(boot.l1_chain.chain_id());
    let by_whom = if args.offline { "the witness" } else { "the L1 node" };
    if args.l1_genesis.is_none() && !l1_is_public {
        trusted.push(format!("the configuration of L1 that {by_whom} gives (--l1-genesis)"));
    }
    trusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};
    use lockstep_chain::Ethereum;
    use lockstep_host::Witness;
    use lockstep_stf::{BootInfo, Verdict};

    #[test]
    fn the_command_line_asks_for_what_is_needed() {
        crate::Cli::command().debug_assert();
        let is_accepted = |line: &str| {
            let words = ["lockstep", "verify"].into_iter().chain(line.split_whitespace());
            crate::Cli::try_parse_from(words).is_ok()
        };
        let hash = B256::repeat_byte(1);
        for line in [
            "--fixture a b",
            "--from 1 --to 2 --l1 u --l1-beacon v --l1-beacon w --l2 x --json",
            "--from 1 --to 2 --l1 u --l1-beacon v --l2 x --witness-dir d --split 7",
            "--from 1 --to 2 --l1 u --l1-beacon v --l2 x --cache-dir d",
            "--from 1 --to 2 --l1 u --l1-beacon v --l2 x --l2 y --witness-dir d",
            "--from 1 --to 2 --witness-dir d --offline",
            &format!("--from 1 --to 2 --witness-dir d --offline --agreed {hash} --l1-head {hash}"),
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
            "--from 1 --to 2 --witness-dir d --offline --cache-dir c",
            "--from 1 --to 2 --witness-dir d --offline --agreed 7",
            "--from 1 --to 2 --l1 u --split 0",
        ] {
            assert!(!is_accepted(line), "{line}");
        }
    }

    fn outcome(agreed: u64, claimed: u64) -> Outcome {
        let root = |number: u64| B256::repeat_byte(number as u8);
        let boot = BootInfo {
            l1_head: root(200),
            agreed_l2_output_root: root(agreed),
            claimed_l2_output_root: root(claimed),
            claimed_l2_block: claimed,
            rollup_config: RollupConfig::of_chain(10).expect("it is public"),
            l1_chain: Ethereum::mainnet(),
        };
        let block = |number| BlockNumHash { number, hash: B256::ZERO };
        let verdict = Verdict { holds: true, head: block(claimed), output_root: root(claimed) };
        Outcome { boot, agreed: block(agreed), verdict }
    }

    #[test]
    fn a_part_follows_another_only_if_it_is_about_the_same_chains() {
        let first = outcome(1, 2);
        assert!(check_successor(&first, &outcome(2, 3)).is_ok());
        assert!(check_successor(&first, &outcome(1, 3)).is_err());
        let mut other = outcome(2, 3);
        other.boot.rollup_config.block_time += 1;
        assert!(check_successor(&first, &other).is_err());
        let mut other = outcome(2, 3);
        other.boot.l1_chain = Ethereum::sepolia();
        let error = check_successor(&first, &other).expect_err("another L1").to_string();
        assert!(error.contains("L1 chains with other rules"), "{error}");
    }

    #[test]
    fn a_range_that_was_read_from_another_l1_than_the_one_given_is_refused() {
        let (bar, hash) = (ProgressBar::hidden(), B256::repeat_byte(9));
        let nothing = Host::of_witness(Witness::default()).expect("it fits");
        let report = |l1_head| {
            let args = RangeArgs { l1_head, ..RangeArgs::default() };
            let mut parts = Parts::new(&args, &bar, true);
            let none = nothing.l1_blocks(hash).expect("it is in memory");
            parts.first = Some(outcome(1, 2));
            parts.parts = vec![Part::new(&outcome(1, 2), Duration::ZERO, None)];
            parts.newest_l1 = Some((BlockNumHash { number: 7, hash }, none));
            parts.verified(BlockRange { agreed: 1, claimed: 2 })
        };
        assert!(report(None).is_ok_and(|it| it.report.verified));
        assert!(report(Some(hash)).is_ok_and(|it| it.report.verified));
        let error = report(Some(B256::ZERO)).expect_err("another block").to_string();
        assert!(error.contains("L1 was read up to block 7"), "{error}");
    }

    #[test]
    fn what_is_pinned_is_not_taken_on_trust() {
        let mut first = outcome(1, 2);
        let l1 = BlockNumHash { number: 7, hash: B256::repeat_byte(9) };
        let root = first.boot.agreed_l2_output_root;
        assert!(check_agreed(None, &first).is_ok() && check_agreed(Some(root), &first).is_ok());
        assert!(check_agreed(Some(B256::ZERO), &first).is_err());

        let args = RangeArgs::default();
        assert_eq!(taken_on_trust(&args, &first, l1).len(), 2, "a public chain");
        let pinned = RangeArgs { agreed: vec![root], l1_head: Some(l1.hash), ..args };
        assert!(taken_on_trust(&pinned, &first, l1).is_empty());
        first.boot.rollup_config.l2_chain_id = 123_456_789;
        let offline = RangeArgs { offline: true, ..pinned };
        let trusted = taken_on_trust(&offline, &first, l1);
        assert_eq!(trusted, ["the configuration that the witness gives (--rollup-config)"]);
        let config = vec!["rollup.json".into()];
        let known = RangeArgs { rollup_config: config, ..offline };
        assert!(taken_on_trust(&known, &first, l1).is_empty());
    }
}
