//! `lockstep replay`: execute real blocks, check what their headers commit to, measure.

mod table;

use crate::output::print_json;
use crate::progress;
use clap::Args as ClapArgs;
use core::{num::NonZeroU32, ops::ControlFlow, time::Duration};
use eyre::{Result, ensure};
use lockstep_testkit::{
    Error,
    mainnet::{self, Fixture, Limits, Mismatch, Note, refusal},
};
use serde::Serialize;
use std::{path::PathBuf, time::Instant};

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
}

/// What came of one block.
#[derive(Debug, Serialize)]
struct BlockResult {
    number: u64,
    fork: String,
    transactions: usize,
    gas: u64,
    /// `None` if the block was not executed.
    time: Option<Timing>,
    mismatches: Vec<Mismatch>,
    notes: Vec<Note>,
}

/// How long the execution took.
#[derive(Clone, Copy, Debug, Serialize)]
struct Timing {
    median_us: f64,
    min_us: f64,
    /// Million gas per second, at the median.
    mgas_per_s: f64,
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
    mismatches: usize,
    unreadable: usize,
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
    let sizes = args.paths.iter().map(|path| mainnet::size_on_disk(path, &limits));
    let bar = progress::bar(!args.json, sizes.sum());
    let mut replay = Replay::default();
    let mut read_before = 0;
    if !args.json {
        bar.suspend(table::print_head);
    }
    for path in &args.paths {
        let _ = mainnet::visit(path, &limits, &mut |fixture| {
            if let Ok(fixture) = &fixture {
                bar.set_position(read_before + fixture.read_bytes());
                bar.set_message(format!("block {}", fixture.number()));
            }
            let result = fixture.map(|fixture| run_block(&fixture, args.repeat));
            if !args.json {
                bar.suspend(|| table::print(&result));
            }
            replay.add(result);
            ControlFlow::Continue(())
        });
        read_before += mainnet::size_on_disk(path, &limits);
    }
    bar.finish_and_clear();
    replay.summary.finish();
    if args.json {
        print_json(&replay)?;
    } else {
        table::print_summary(&replay.summary);
    }
    ensure!(replay.unreadable.is_empty(), "{} files could not be read", replay.unreadable.len());
    Ok(replay.summary.mismatches == 0)
}

/// Checks and executes one block.
fn run_block(fixture: &Fixture, repeat: NonZeroU32) -> BlockResult {
    let mut mismatches = fixture.check_block();
    let mut times = Vec::new();
    if fixture.is_complete() {
        for repetition in 0..repeat.get() {
            let (output, time) = stopwatch(|| fixture.execute());
            match output {
                Ok(output) => {
                    times.push(time);
                    if repetition == 0 {
                        mismatches.extend(fixture.check_output(&output));
                    }
                }
                Err(error) => {
                    mismatches.push(refusal(&error));
                    break;
                }
            }
        }
    }
    let gas = fixture.gas_used();
    BlockResult {
        number: fixture.number(),
        fork: fixture.fork().to_string(),
        transactions: fixture.transactions(),
        gas,
        time: Timing::of(times, gas),
        mismatches,
        notes: fixture.notes(),
    }
}

/// The only clock of commands that measure.
#[expect(clippy::disallowed_methods, reason = "measuring is what the commands are for")]
pub(crate) fn stopwatch<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = run();
    (result, start.elapsed())
}

impl Timing {
    fn of(mut times: Vec<Duration>, gas: u64) -> Option<Self> {
        times.sort();
        let us = |time: &Duration| time.as_secs_f64() * 1e6;
        let median_us = us(times.get(times.len() / 2)?);
        let min_us = us(times.first()?);
        Some(Self { median_us, min_us, mgas_per_s: mgas_per_s(gas, median_us) })
    }
}

fn mgas_per_s(gas: u64, time_us: f64) -> f64 {
    if time_us > 0.0 { gas as f64 / time_us } else { 0.0 }
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
    }

    fn finish(&mut self) {
        self.mgas_per_s = mgas_per_s(self.gas, self.time_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timing_is_the_median_and_the_shortest() {
        let times = [30, 10, 20].map(Duration::from_micros).to_vec();
        let timing = Timing::of(times, 40).unwrap();
        assert_eq!((timing.median_us.round(), timing.min_us.round()), (20.0, 10.0));
        assert_eq!(timing.mgas_per_s.round(), 2.0);
    }

    #[test]
    fn a_block_that_was_not_executed_has_no_timing() {
        assert!(Timing::of(Vec::new(), 1).is_none());
    }
}
