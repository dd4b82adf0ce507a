//! `lockstep bench gigagas`: the serial and the parallel executor on the same made-up blocks.

use crate::{
    executors::{Choice, Executors, Fates, ParallelArgs, Runs, Task},
    output::{print_json, say},
    progress,
    timing::Timing,
};
use clap::Args as ClapArgs;
use core::num::NonZeroU32;
use eyre::{Result, WrapErr};
use indicatif::ProgressBar;
use lockstep_execution::validate_output;
use lockstep_testkit::{
    gigagas::{GeneratedBlock, Generator, Settings, Workload},
    mainnet::Mismatch,
};
use serde::Serialize;
use std::{convert::Infallible, fmt::Display, time::Duration};

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// What the blocks consist of: transfers, erc20, uniswap, mixed, conflict or relay; several with
    /// commas between them [default: each of them].
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    workload: Vec<Workload>,
    /// Gas that the transactions of a block use, from a million to ten billion.
    #[arg(long, value_name = "GAS", default_value = "1000000000")]
    gas: u64,
    /// Blocks of each workload, one on top of the other.
    #[arg(long, value_name = "N", default_value = "1")]
    blocks: NonZeroU32,
    /// Execute every block this many times with each executor, after once to warm up.
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZeroU32,
    /// What the choices of accounts and amounts follow from.
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    #[command(flatten)]
    parallel: ParallelArgs,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
}

/// What came of one workload.
#[derive(Debug, Default, Serialize)]
struct Measured {
    workload: &'static str,
    blocks: u32,
    transactions: usize,
    gas: u64,
    serial: Timing,
    parallel: Timing,
    serial_us_per_transaction: f64,
    parallel_us_per_transaction: f64,
    /// How many times as fast the parallel executor is.
    speedup: f64,
    /// In the parallel executor, in all rounds.
    transactions_in_parallel: Fates,
    mismatches: Vec<Mismatch>,
}

#[derive(Debug, Serialize)]
struct Report {
    threads: usize,
    rounds: u32,
    seed: u64,
    workloads: Vec<Measured>,
}

/// Runs the command; whether both executors made the same of every block.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let workloads =
        if args.workload.is_empty() { Workload::ALL.to_vec() } else { args.workload.clone() };
    let settings: Result<Vec<Settings>, _> =
        workloads.iter().map(|workload| Settings::new(*workload, args.gas, args.seed)).collect();
    let settings = settings.wrap_err("--gas")?;
    let executors = Executors::start(Choice::Both, args.parallel).wrap_err("--threads")?;
    // Making a block and warming up count as a round each.
    let steps = u64::from(args.blocks.get()) * (u64::from(args.rounds.get()) + 2);
    let bar = progress::bar(!args.json, steps.saturating_mul(settings.len() as u64));
    if !args.json {
        bar.suspend(|| print_head(args, &executors));
    }
    let mut measured = Vec::new();
    for settings in settings {
        let result = measure(settings, args, &executors, &bar)?;
        if !args.json {
            bar.suspend(|| print(&result));
        }
        measured.push(result);
    }
    bar.finish_and_clear();
    let holds = measured.iter().all(|result| result.mismatches.is_empty());
    if args.json {
        let (threads, rounds) = (executors.threads(), args.rounds.get());
        print_json(&Report { threads, rounds, seed: args.seed, workloads: measured })?;
    }
    Ok(holds)
}

/// Makes and executes the blocks of one workload, until there are no more or the results of one differ.
fn measure(
    settings: Settings,
    args: &Args,
    executors: &Executors,
    bar: &ProgressBar,
) -> Result<Measured> {
    let workload = settings.workload();
    let mut result = Measured { workload: workload.name(), ..Default::default() };
    bar.set_message(format!("making {workload}"));
    let mut generator = Generator::new(settings);
    let fates_before = executors.fates();
    for _ in 0..args.blocks.get() {
        bar.set_message(format!("making {workload}"));
        let made = generator.next_block()?;
        bar.inc(1);
        bar.set_message(format!("executing {workload}"));
        result.blocks += 1;
        result.transactions += made.senders.len();
        result.gas += made.output.gas_used;
        match measure_block(&generator, &made, args.rounds, executors, bar) {
            Ok((serial, parallel)) => {
                result.serial = result.serial.and(serial, result.gas);
                result.parallel = result.parallel.and(parallel, result.gas);
            }
            Err(difference) => {
                result.mismatches.push(difference);
                break;
            }
        }
    }
    result.transactions_in_parallel = executors.fates().since(fates_before);
    let per_transaction = |time: Timing| time.median_us / result.transactions.max(1) as f64;
    result.serial_us_per_transaction = per_transaction(result.serial);
    result.parallel_us_per_transaction = per_transaction(result.parallel);
    result.speedup = result.parallel.speedup_over(result.serial);
    Ok(result)
}

/// The times of both executors, in alternation; or where their results differ.
fn measure_block(
    generator: &Generator,
    made: &GeneratedBlock,
    rounds: NonZeroU32,
    executors: &Executors,
    bar: &ProgressBar,
) -> Result<(Timing, Timing), Mismatch> {
    let (chain, state) = (generator.chain(), generator.state());
    let task = Task { chain, block: &made.block, senders: &made.senders, state };
    let mut times = [Vec::new(), Vec::new()];
    let hints = executors.find_hints(&task);
    for round in 0..=rounds.get() {
        let runs = executors.run(&task, hints.as_ref(), round % 2 == 0);
        if let Some(difference) = runs.difference() {
            return Err(difference);
        }
        if round > 0 {
            let [serial, parallel] = &mut times;
            serial.extend(time(&runs.serial));
            parallel.extend(time(&runs.parallel));
        } else if let Some(difference) = is_wrong(generator, made, &runs) {
            return Err(difference);
        }
        bar.inc(1);
    }
    let gas = made.output.gas_used;
    let [serial, parallel] = times.map(|times| Timing::of(times, gas).unwrap_or_default());
    Ok((serial, parallel))
}

fn time<R>(run: &Option<(R, Duration)>) -> Option<Duration> {
    run.as_ref().map(|(_, time)| *time)
}

/// Where what the executors agree on is not what the header states.
fn is_wrong(
    generator: &Generator,
    made: &GeneratedBlock,
    runs: &Runs<Infallible>,
) -> Option<Mismatch> {
    let stated = |got: &dyn Display| Mismatch {
        field: format!("block {}", made.block.header.number),
        transaction: None,
        expected: "what the header states".into(),
        got: got.to_string(),
    };
    match &runs.serial.as_ref()?.0 {
        Err(error) => Some(stated(error)),
        Ok(output) => validate_output(generator.chain(), &made.block.header, output)
            .err()
            .map(|error| stated(&error)),
    }
}

fn print_head(args: &Args, executors: &Executors) {
    say!(
        "gas per block: {}, blocks: {}, rounds: {}, threads: {}",
        args.gas,
        args.blocks,
        args.rounds,
        executors.threads()
    );
    say!(
        "{:<10} {:>9} {:>14} {:>14} {:>9} {:>12} {:>12} {:>7}",
        "workload",
        "txs",
        "serial",
        "parallel",
        "speed-up",
        "serial",
        "parallel",
        "again"
    );
}

fn print(result: &Measured) {
    let speed = |timing: Timing| format!("{:.1} Mgas/s", timing.mgas_per_s);
    let per_transaction = |us: f64| format!("{us:.2} µs/tx");
    say!(
        "{:<10} {:>9} {:>14} {:>14} {:>9} {:>12} {:>12} {:>7}",
        result.workload,
        result.transactions,
        speed(result.serial),
        speed(result.parallel),
        format!("{:.2}×", result.speedup),
        per_transaction(result.serial_us_per_transaction),
        per_transaction(result.parallel_us_per_transaction),
        result.transactions_in_parallel.again,
    );
    for mismatch in &result.mismatches {
        say!("           MISMATCH in block {}: {mismatch}", result.blocks);
    }
}
