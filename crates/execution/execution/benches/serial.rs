//! The serial executor against a bare revm loop over the same transactions.
//!
//! The loop is what revm offers at the least: `transact`, then commit to its plain in-memory
//! database, with every transaction environment made beforehand. The executor does the whole
//! block: it makes the environments, collects receipts and state changes, and keeps what was
//! before. Each run gets its inputs as fresh copies, equally warm in the cache. `LOCKSTEP_FIXTURES=DIR` adds real mainnet blocks to the made-up ones.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

mod workloads;

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use lockstep_chain::{Block, Ethereum, EthereumReceipt};
use lockstep_execution::{BlockOutput, ExecuteOptions, MemoryState, execute_block};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    database::{CacheDB, EmptyDB},
};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use workloads::{BareInput, BlockLoad, SerialInput, Workload};

/// What the executor leaves behind, with its inputs, so that dropping them is not measured.
type SerialOutput = (BlockOutput<EthereumReceipt>, Block<Ethereum>, MemoryState);

/// Pairs of runs for one ratio.
const PAIRS: usize = 201;

/// Runs the transactions as revm's documentation does.
fn bare_loop(workload: &Workload, inputs: Vec<BareInput>) -> Vec<CacheDB<EmptyDB>> {
    let run = |(block, (db, transactions)): (&BlockLoad, BareInput)| {
        let env = block.env.clone();
        let mut evm = Context::mainnet()
            .with_db(db)
            .with_cfg(env.cfg_env)
            .with_block(env.block_env)
            .build_mainnet();
        for transaction in transactions {
            black_box(evm.transact_commit(transaction).expect("the workload is valid"));
        }
        evm.ctx.journaled_state.database
    };
    workload.blocks.iter().zip(inputs).map(run).collect()
}

fn serial(workload: &Workload, inputs: Vec<SerialInput>) -> Vec<SerialOutput> {
    let run = |(load, (block, state)): (&BlockLoad, SerialInput)| {
        let options = ExecuteOptions::default();
        let output = execute_block(&load.chain, &block, &load.senders, &state, options);
        (output.expect("the workload is valid"), block, state)
    };
    workload.blocks.iter().zip(inputs).map(run).collect()
}

fn benches(criterion: &mut Criterion) {
    for workload in workloads::all() {
        let mut group = criterion.benchmark_group(&workload.name);
        group.throughput(Throughput::Elements(workload.gas));
        group.bench_function("bare revm loop", |bencher| {
            let run = |inputs| bare_loop(&workload, inputs);
            bencher.iter_batched(|| workload.bare_inputs(), run, BatchSize::LargeInput);
        });
        group.bench_function("lockstep serial", |bencher| {
            let run = |inputs| serial(&workload, inputs);
            bencher.iter_batched(|| workload.serial_inputs(), run, BatchSize::LargeInput);
        });
        group.finish();
        println!("{}", ratio(&workload));
    }
}

/// The ratio of paired runs: each pair sees the same state of a noisy machine. The ratio of the
/// fastest runs is what an idle machine would show.
fn ratio(workload: &Workload) -> String {
    let mut bare_times = Vec::new();
    let mut our_times = Vec::new();
    for _ in 0..PAIRS {
        let inputs = workload.bare_inputs();
        let (bare, _dbs) = timed(|| bare_loop(workload, inputs));
        let inputs = workload.serial_inputs();
        let (ours, _outputs) = timed(|| serial(workload, inputs));
        bare_times.push(bare.as_secs_f64());
        our_times.push(ours.as_secs_f64());
    }
    let mut ratios: Vec<f64> = our_times.iter().zip(&bare_times).map(|(a, b)| a / b).collect();
    ratios.sort_by(f64::total_cmp);
    let fastest = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    format!(
        "ratio {}: lockstep / bare = {:.3} (median of {PAIRS} pairs), {:.3} (fastest runs)",
        workload.name,
        ratios.get(PAIRS / 2).copied().unwrap_or(f64::NAN),
        fastest(&our_times) / fastest(&bare_times),
    )
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = run();
    (start.elapsed(), result)
}

criterion_group!(serial_against_bare, benches);

fn main() {
    serial_against_bare();
    Criterion::default().configure_from_args().final_summary();
}
