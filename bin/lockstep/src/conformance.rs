//! `lockstep conformance`: run official fixtures and report.

use crate::{
    executors::{Choice, ThreadArgs},
    output::{print_json, say},
    progress, transcripts,
};
use clap::Args as ClapArgs;
use core::num::NonZeroUsize;
use eyre::{Context, Result, ensure};
use lockstep_testkit::{
    Report,
    conformance::{self, Options},
    source::{self, Limits},
};
use regex_lite::Regex;
use std::{path::PathBuf, thread};

/// Failures printed in full; the rest are in the JSON report.
const SHOWN_FAILURES: usize = 50;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Directories, .json files, or .tar and .tar.zst archives of fixtures.
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// The paths hold JSON-RPC transcripts with their chain; replay them against a node.
    #[arg(long)]
    rpc: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Run only the cases whose `file::case` matches this regular expression.
    #[arg(long, value_name = "RE")]
    filter: Option<String>,
    /// Worker threads [default: one per core].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Who executes the blocks of blockchain and engine tests. All other tests have the serial executor.
    #[arg(long, value_name = "WHO", value_enum, default_value_t = Choice::Serial, conflicts_with = "rpc")]
    executor: Choice,
    #[command(flatten)]
    threads: ThreadArgs,
}

/// Runs the command; whether everything passed.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let filter = args.filter.as_deref().map(Regex::new).transpose().wrap_err("--filter")?;
    for path in &args.paths {
        ensure!(path.exists(), "{} does not exist", path.display());
    }
    if args.rpc {
        return run_transcripts(args, filter.as_ref());
    }
    let jobs = args.jobs.unwrap_or_else(all_cores).get();
    let executors = (0..jobs).map(|_| args.executor.for_tests(args.threads));
    let executors = executors.collect::<Result<_>>().wrap_err("--threads")?;
    let options = Options { executors, filter, limits: Limits::default() };
    let sizes = args.paths.iter().map(|path| source::size_on_disk(path, &options.limits));
    let bar = progress::bar(!args.json, sizes.sum());
    let report = conformance::run(&args.paths, &options, &mut |so_far| {
        bar.set_position(so_far.read_bytes);
        bar.set_message(format!(
            "{} files, {} cases, {} failed",
            so_far.files, so_far.cases, so_far.failed
        ));
    });
    bar.finish_and_clear();
    tell(args, &report)
}

/// Replays the transcripts of each path against a node of their chain.
fn run_transcripts(args: &Args, filter: Option<&Regex>) -> Result<bool> {
    let mut success = true;
    for path in &args.paths {
        let report = transcripts::run(path, filter, !args.json)
            .wrap_err_with(|| path.display().to_string())?;
        success &= tell(args, &report)?;
    }
    Ok(success)
}

/// Prints a report; whether it has no failure.
fn tell(args: &Args, report: &Report) -> Result<bool> {
    if args.json {
        print_json(report)?;
    } else {
        print(report);
    }
    Ok(report.is_success())
}

fn all_cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn print(report: &Report) {
    for failure in report.failures.iter().take(SHOWN_FAILURES) {
        say!("FAILED {}\n       {}", failure.case, failure.reason);
    }
    if report.failures.len() > SHOWN_FAILURES {
        say!("… and {} more; see --json", report.failures.len() - SHOWN_FAILURES);
    }
    say!("{:<12} {:>9} {:>7} {:>7}", "suite", "passed", "failed", "skipped");
    for (suite, counts) in &report.by_suite {
        say!("{suite:<12} {:>9} {:>7} {:>7}", counts.passed, counts.failed, counts.skipped);
    }
    let total = report.counts;
    say!("{:<12} {:>9} {:>7} {:>7}", "total", total.passed, total.failed, total.skipped);
    for skip in &report.skips {
        say!("skipped {}: {}", skip.count, skip.reason);
    }
}
