//! `lockstep verify`: execute blocks of a rollup with nothing but hashes.

mod joint;
mod offline;
mod online;
mod range;
mod report;
mod transcript;

pub(crate) use online::read_config as read_rollup_config;

use crate::{
    output::{print_json, say},
    progress,
    timing::stopwatch,
};
use clap::Args as ClapArgs;
use core::time::Duration;
use eyre::{Result, ensure};
use lockstep_stf::{StatelessBlock, execute_stateless};
use lockstep_testkit::{
    Error,
    source::Limits,
    witness::{self, WitnessBlock},
};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Blocks with their witness: files `NAME.fixture.json` with `NAME.preimages.hex.zst` beside them,
    /// or folders of such.
    #[arg(
        long = "fixture",
        required_unless_present = "from",
        num_args = 1..,
        value_name = "PATH"
    )]
    fixtures: Vec<PathBuf>,
    #[command(flatten)]
    range: range::RangeArgs,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
}

/// What came of one block.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockResult {
    file: String,
    number: u64,
    expected_hash: String,
    /// `None` if the block could not be made.
    hash: Option<String>,
    reproduced: bool,
    /// Why it could not be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The header that was made, if it is not the expected one.
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<serde_json::Value>,
    transactions: usize,
    gas: u64,
    preimages: usize,
    time_us: f64,
    mgas_per_s: f64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    blocks: Vec<BlockResult>,
    unreadable: Vec<String>,
    summary: Summary,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    blocks: usize,
    reproduced: usize,
    unreadable: usize,
    gas: u64,
    time_us: f64,
    mgas_per_s: f64,
}

/// Runs the command; whether every block has its hash.
pub(crate) fn run(args: &Args) -> Result<bool> {
    if args.fixtures.is_empty() {
        return range::run(&args.range, args.json);
    }
    let mut verification = Verification::default();
    let mut paths = BTreeSet::new();
    for path in &args.fixtures {
        match witness::find(path) {
            Ok(found) => paths.extend(found),
            Err(error) => verification.add(Err(error)),
        }
    }
    let bar = progress::bar(!args.json, paths.len() as u64);
    for path in &paths {
        bar.set_message(path.display().to_string());
        let result = WitnessBlock::load(path, &Limits::default());
        let result = result.map(|block| verify(path, &block));
        if let (Ok(block), false) = (&result, args.json) {
            bar.suspend(|| block.print());
        }
        verification.add(result);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let summary = verification.summarise();
    if args.json {
        print_json(&verification)?;
    } else {
        verification.unreadable.iter().for_each(|error| say!("UNREADABLE {error}"));
        summary.print();
    }
    ensure!(summary.unreadable == 0, "{} blocks could not be read", summary.unreadable);
    Ok(summary.reproduced == summary.blocks)
}

/// Executes one block.
fn verify(path: &Path, block: &WitnessBlock) -> BlockResult {
    let WitnessBlock { chain, parent, attributes, hash, preimages } = block;
    let (made, time) =
        stopwatch(|| execute_stateless(chain, parent.clone(), attributes, preimages));
    let time_us = Duration::as_secs_f64(&time) * 1e6;
    let mut result = BlockResult {
        file: path.display().to_string(),
        number: block.number(),
        expected_hash: hash.to_string(),
        hash: None,
        reproduced: false,
        error: None,
        header: None,
        transactions: attributes.transactions.as_ref().map_or(0, Vec::len),
        gas: 0,
        preimages: preimages.len(),
        time_us,
        mgas_per_s: 0.0,
    };
    match made {
        Ok(StatelessBlock { block: made, .. }) => {
            result.hash = Some(made.hash().to_string());
            result.reproduced = made.hash() == *hash;
            result.header =
                (!result.reproduced).then(|| serde_json::to_value(&made.header).ok()).flatten();
            result.gas = made.header.gas_used;
            result.mgas_per_s = mgas_per_s(result.gas, time_us);
        }
        Err(error) => result.error = Some(error.to_string()),
    }
    result
}

fn mgas_per_s(gas: u64, time_us: f64) -> f64 {
    if time_us > 0.0 { gas as f64 / time_us } else { 0.0 }
}

impl Verification {
    fn add(&mut self, result: Result<BlockResult, Error>) {
        match result {
            Ok(block) => self.blocks.push(block),
            Err(error) => self.unreadable.push(error.to_string()),
        }
    }

    fn summarise(&mut self) -> Summary {
        let made = || self.blocks.iter().filter(|block| block.hash.is_some());
        let (gas, time_us) =
            (made().map(|it| it.gas).sum(), made().fold(0.0, |sum, it| sum + it.time_us));
        self.summary = Summary {
            blocks: self.blocks.len(),
            reproduced: self.blocks.iter().filter(|block| block.reproduced).count(),
            unreadable: self.unreadable.len(),
            gas,
            time_us,
            mgas_per_s: mgas_per_s(gas, time_us),
        };
        self.summary
    }
}

impl BlockResult {
    fn print(&self) {
        let Self { number, transactions, gas, preimages, time_us, mgas_per_s, .. } = self;
        if self.reproduced {
            let time = time_us / 1e3;
            return say!(
                "block {number} reproduced: {} ({transactions} transactions, {gas} gas, {preimages} \
                 pre-images, {time:.3} ms, {mgas_per_s:.1} Mgas/s)",
                self.expected_hash,
            );
        }
        say!("block {number} NOT REPRODUCED: expected {}", self.expected_hash);
        match (&self.error, &self.hash, &self.header) {
            (Some(error), _, _) => say!("  {error}"),
            (_, Some(hash), Some(header)) => say!("  got {hash}: {header}"),
            _ => {}
        }
    }
}

impl Summary {
    fn print(&self) {
        let Self { blocks, reproduced, gas, time_us, mgas_per_s, .. } = self;
        let time = time_us / 1e6;
        say!(
            "{reproduced} of {blocks} blocks reproduced: {gas} gas in {time:.3} s, \
             {mgas_per_s:.1} Mgas/s"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn args(fixtures: &[&Path]) -> Args {
        Args {
            fixtures: fixtures.iter().map(|path| path.to_path_buf()).collect(),
            range: range::RangeArgs::default(),
            json: true,
        }
    }

    #[test]
    fn real_blocks_are_reproduced_and_a_wrong_hash_is_not() {
        let Some(fixtures) = lockstep_testkit::fixtures::folder() else { return };
        let folder = fixtures.join("op-blocks/blocks");
        assert!(run(&args(&[&folder])).expect("all is readable"));

        let copies = tempfile::tempdir().expect("a temporary folder");
        let name = "block-26207960";
        for suffix in [".fixture.json", ".preimages.hex.zst"] {
            let file = format!("{name}{suffix}");
            fs::copy(folder.join(&file), copies.path().join(&file)).expect("it is copied");
        }
        let fixture = copies.path().join(format!("{name}.fixture.json"));
        assert!(run(&args(&[&fixture])).expect("it is readable"));
        let json = fs::read_to_string(&fixture).expect("it was copied");
        for (from, to) in [
            ("\"timestamp\": \"0x67f6a95c\"", "\"timestamp\": \"0x67f6a95d\""),
            ("\"timestamp\": \"0x67f6a95c\"", "\"timestamp\": \"0x1\""),
            ("0xdb32d9ddfa5f", "0xdb32d9ddfa50"),
        ] {
            fs::remove_file(&fixture).expect("it was copied");
            assert!(json.contains(from), "{from}");
            fs::write(&fixture, json.replace(from, to)).expect("it is written");
            assert!(!run(&args(&[&fixture])).expect("it is readable"), "{from} → {to}");
        }
        fs::remove_file(copies.path().join(format!("{name}.preimages.hex.zst")))
            .expect("it was copied");
        let error = run(&args(&[copies.path()])).expect_err("the pre-images are missing");
        assert!(error.to_string().contains("1 blocks could not be read"), "{error}");
    }

    #[test]
    fn a_path_without_blocks_is_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(run(&args(&[folder.path()])).is_err());
        assert!(run(&args(&[&folder.path().join("absent.fixture.json")])).is_err());
    }
}
