//! `lockstep replay`: execute real blocks, check what their headers commit to, measure.

mod table;

use crate::{
    executors::{Choice, Executors, Fates, ParallelArgs, Runs, Task},
    output::print_json,
    progress,
    timing::{Timing, mgas_per_s},
};
use clap::Args as ClapArgs;
use core::{num::NonZeroU32, ops::ControlFlow};
use eyre::{Result, WrapErr, ensure};
use lockstep_testkit::{
    Error,
    mainnet::{self, Fixture, Limits, Mismatch, Note, refusal},
};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Folders of block archives, archives, or directories `<number>/block.json`.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
    /// Execute every block this many times, and report the median and the shortest time.
    #[arg(long, value_name = "N", default_value = "1")]
    repeat: NonZeroU32,
    /// Who executes. With `both`, results are compared bit by bit, and the first difference ends the replay.
    #[arg(long, value_name = "WHO", value_enum, default_value_t = Choice::Serial)]
    executor: Choice,
    #[command(flatten)]
    parallel: ParallelArgs,
}

/// What came of one block.
#[derive(Debug, Serialize)]
struct BlockResult {
    number: u64,
    fork: String,
    transactions: usize,
    gas: u64,
    /// Of the serial executor, if it runs; `None` if the block was not executed.
    time: Option<Timing>,
    /// Of the parallel executor, if both run.
    parallel: Option<Timing>,
    mismatches: Vec<Mismatch>,
    notes: Vec<Note>,
    /// The executors do not agree.
    #[serde(skip)]
    is_disputed: bool,
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    blocks: usize,
    executed: usize,
    #[serde(skip)]
    decoded_only: usize,
    transactions: usize,
    gas: u64,
    /// Sum of the medians.
    time_us: f64,
    mgas_per_s: f64,
    /// The same of the parallel executor, and how many times as fast it is, if both run.
    parallel_time_us: Option<f64>,
    speedup: Option<f64>,
    mismatches: usize,
    unreadable: usize,
    /// In the parallel executor, if it runs.
    transactions_in_parallel: Option<Fates>,
}

#[derive(Debug, Default, Serialize)]
struct Replay {
    blocks: Vec<BlockResult>,
    unreadable: Vec<String>,
    summary: Summary,
}

/// Runs the command; whether everything held.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let limits = Limits::default();
    for path in &args.paths {
        ensure!(path.exists(), "{} does not exist", path.display());
    }
    let has_parallel = args.executor != Choice::Serial;
    ensure!(has_parallel || args.parallel.hints.is_none(), "--hints: the serial one needs none");
    let executors = Executors::start(args.executor, args.parallel).wrap_err("--threads")?;
    let sizes = args.paths.iter().map(|path| mainnet::size_on_disk(path, &limits));
    let bar = progress::bar(!args.json, sizes.sum());
    let mut replay = Replay::default();
    let mut read_before = 0;
    if !args.json {
        bar.suspend(|| table::print_head(args.executor));
    }
    for path in &args.paths {
        let walk = mainnet::visit(path, &limits, &mut |fixture| {
            if let Ok(fixture) = &fixture {
                bar.set_position(read_before + fixture.read_bytes());
                bar.set_message(format!("block {}", fixture.number()));
            }
            let result = fixture.map(|fixture| run_block(&fixture, args.repeat, &executors));
            if !args.json {
                bar.suspend(|| table::print(&result));
            }
            let is_disputed = result.as_ref().is_ok_and(|block| block.is_disputed);
            replay.add(result);
            if is_disputed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if walk.is_break() {
            break;
        }
        read_before += mainnet::size_on_disk(path, &limits);
    }
    bar.finish_and_clear();
    replay.summary.finish();
    replay.summary.transactions_in_parallel = has_parallel.then(|| executors.fates());
    if args.json {
        print_json(&replay)?;
    } else {
        table::print_summary(&replay.summary);
    }
    ensure!(replay.unreadable.is_empty(), "{} files could not be read", replay.unreadable.len());
    Ok(replay.summary.mismatches == 0)
}

/// Checks and executes one block, until the executors differ.
fn run_block(fixture: &Fixture, repeat: NonZeroU32, executors: &Executors) -> BlockResult {
    let mut mismatches = fixture.check_block();
    let (mut times, mut parallel_times) = (Vec::new(), Vec::new());
    let mut is_disputed = false;
    let (chain, block) = (fixture.chain(), fixture.block());
    let task = Task { chain, block, senders: fixture.senders(), state: fixture.state() };
    let repetitions = if fixture.is_complete() { repeat.get() } else { 0 };
    let hints = if repetitions > 0 { executors.find_hints(&task) } else { None };
    for repetition in 0..repetitions {
        let runs = executors.run(&task, hints.as_ref(), repetition % 2 == 0);
        if let Some(difference) = runs.difference() {
            mismatches.push(difference);
            is_disputed = true;
            break;
        }
        let Runs { serial, parallel } = runs;
        let (first, second) = if serial.is_some() { (serial, parallel) } else { (parallel, None) };
        match first {
            Some((Ok(output), time)) => {
                times.push(time);
                if repetition == 0 {
                    mismatches.extend(fixture.check_output(&output));
                }
            }
            Some((Err(error), _)) => {
                mismatches.push(refusal(&error));
                break;
            }
            None => {}
        }
        parallel_times.extend(second.map(|(_, time)| time));
    }
    let gas = fixture.gas_used();
    BlockResult {
        number: fixture.number(),
        fork: fixture.fork().to_string(),
        transactions: fixture.transactions(),
        gas,
        time: Timing::of(times, gas),
        parallel: Timing::of(parallel_times, gas),
        mismatches,
        notes: fixture.notes(),
        is_disputed,
    }
}

impl Replay {
    fn add(&mut self, result: Result<BlockResult, Error>) {
        match result {
            Err(error) => self.unreadable.push(error.to_string()),
            Ok(block) => {
                self.summary.add(&block);
                self.blocks.push(block);
            }
        }
        self.summary.unreadable = self.unreadable.len();
    }
}

impl Summary {
    fn add(&mut self, block: &BlockResult) {
        self.blocks += 1;
        self.mismatches += block.mismatches.len();
        let is_decoded_only = |note: &Note| matches!(note, Note::NotExecuted { .. });
        self.decoded_only += usize::from(block.notes.iter().any(is_decoded_only));
        if let Some(time) = block.time {
            self.executed += 1;
            self.transactions += block.transactions;
            self.gas += block.gas;
            self.time_us += time.median_us;
        }
        if let Some(time) = block.parallel {
            *self.parallel_time_us.get_or_insert_default() += time.median_us;
        }
    }

    fn finish(&mut self) {
        self.mgas_per_s = mgas_per_s(self.gas, self.time_us);
        let is_some = |time_us: &f64| *time_us > 0.0;
        self.speedup = self.parallel_time_us.filter(is_some).map(|time_us| self.time_us / time_us);
    }
}
