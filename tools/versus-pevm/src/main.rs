//! Our executors and pevm's over the same blocks, in one process and in turns.
//!
//! What is measured, and what is not, is in `README.md` beside this crate.

mod agree;
mod load;
mod measure;
mod ours;
mod peer;
mod peer_workloads;
mod report;
mod workload;

/// pevm's own workloads.
#[allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "it is pevm's code, which its tests use more of"
)]
#[path = "../pevm/crates/pevm/tests/common/mod.rs"]
mod common;
#[allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "it is pevm's code, which its tests use more of"
)]
#[path = "../pevm/crates/pevm/tests/erc20/mod.rs"]
mod erc20;
#[allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "it is pevm's code, which its tests use more of"
)]
#[path = "../pevm/crates/pevm/tests/uniswap/mod.rs"]
mod uniswap;

use crate::{
    load::Set,
    measure::{Contender, Measured},
    ours::Ours,
    peer::Peer,
    report::{BlockReport, Report, SetReport},
};
use clap::Parser;
use core::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use eyre::{Result, WrapErr};
use std::{path::PathBuf, process::ExitCode};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(all(feature = "mimalloc", not(feature = "jemalloc")))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(all(feature = "rpmalloc", not(any(feature = "jemalloc", feature = "mimalloc"))))]
#[global_allocator]
static ALLOCATOR: rpmalloc::RpMalloc = rpmalloc::RpMalloc;

/// The allocator of both sides.
const ALLOCATOR_NAME: &str = if cfg!(feature = "jemalloc") {
    "jemalloc"
} else if cfg!(feature = "mimalloc") {
    "mimalloc"
} else if cfg!(feature = "rpmalloc") {
    "rpmalloc"
} else {
    "system"
};

/// Measures Lockstep's serial and parallel executor and pevm's over the same blocks.
#[derive(Debug, Parser)]
struct Args {
    /// Folders of mainnet blocks, as `lockstep replay` takes them.
    #[arg(value_name = "PATH")]
    mainnet: Vec<PathBuf>,
    /// Made-up blocks to measure as well; may be given several times.
    #[arg(long, value_enum, value_name = "NAME")]
    workload: Vec<workload::Workload>,
    /// Gas of each made-up block.
    #[arg(long, value_name = "GAS", default_value = "1000000000")]
    gas: NonZeroU64,
    /// Threads of both parallel executors.
    #[arg(long, value_name = "N", default_value = "2")]
    threads: NonZeroUsize,
    /// How often each executor runs each block.
    #[arg(long, value_name = "N", default_value = "21")]
    rounds: NonZeroU32,
    /// Take only mainnet blocks with these numbers; may be given several times.
    #[arg(long, value_name = "NUMBER")]
    block: Vec<u64>,
    /// Run only these executors, and compare nothing: for profilers.
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Contender>,
    /// Print every block.
    #[arg(long)]
    blocks: bool,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let mut sets = Vec::new();
    for path in &args.mainnet {
        sets.push(Set::mainnet(path, &args.block)?);
    }
    for workload in &args.workload {
        sets.push(workload.set(args.gas)?);
    }
    eyre::ensure!(!sets.is_empty(), "nothing to measure: give a PATH or a --workload");
    let mut ours = Ours::new(args.threads)?;
    let mut peer = Peer::new(args.threads);
    let contenders = if args.only.is_empty() { Contender::ALL.to_vec() } else { args.only.clone() };
    let mut report = Report {
        threads: args.threads.get(),
        rounds: args.rounds.get(),
        allocator: ALLOCATOR_NAME,
        keccak_cache: cfg!(feature = "keccak-cache"),
        sets: Vec::new(),
    };
    if !args.json {
        report.print_head();
    }
    for set in sets {
        let mut blocks = Vec::new();
        for load in &set.loads {
            let input = peer::Input::of(load)?;
            let differences = if args.only.is_empty() {
                agree::differences(load, &input, &mut ours, &mut peer)
                    .wrap_err_with(|| format!("{}, block {}", set.name, load.number))?
            } else {
                Vec::new()
            };
            for difference in &differences {
                eprintln!("{}, block {}: {difference}", set.name, load.number);
            }
            let measured =
                measure::in_turns(&contenders, args.rounds, |contender| match contender {
                    Contender::OurSerial => ours.serial(load).map(Measured::Ours),
                    Contender::OurParallel => ours.parallel(load).map(Measured::Ours),
                    Contender::PeerSequential => peer.execute(&input, true).map(Measured::Peer),
                    Contender::PeerParallel => peer.execute(&input, false).map(Measured::Peer),
                })?;
            blocks.push(BlockReport::of(load, differences, &measured));
        }
        let set = SetReport::of(set.name, blocks);
        if !args.json {
            set.print(args.blocks);
        }
        report.sets.push(set);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    let agree = report.sets.iter().flat_map(|set| &set.blocks).all(|block| block.agrees());
    Ok(if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
