//! The Lockstep command line.

#![deny(
    clippy::print_stdout,
    reason = "`output` prints: a reader may leave, and others write what is printed"
)]

mod bench;
mod chain;
mod clock;
mod conformance;
mod db;
mod dev;
mod executors;
mod failure;
mod fate;
mod import;
mod network;
mod node;
mod open_files;
mod output;
mod progress;
mod replay;
mod send;
mod service;
mod status;
mod timing;
mod trace;
mod transcripts;
mod verify;

use clap::{Parser, Subcommand};
use revm as _;
use std::process::ExitCode;

/// The system's allocator gives pages back to the kernel and takes them again between requests on
/// many threads, which took a third of the time of an `eth_call`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs many Ethereum rollups as if they were one chain.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure executors on made-up blocks.
    Bench(bench::Args),
    /// Run Ethereum's official test fixtures.
    Conformance(conformance::Args),
    /// Look after the chains on disk while no node uses them.
    Db(db::Args),
    /// Run a development network: an L1 with its beacon chain, and a union of rollups, or a single one.
    Dev(dev::Args),
    /// Execute the blocks of a file onto a chain.
    Import(import::Args),
    /// Run an L1 node under a consensus client.
    Node(node::Args),
    /// Execute real blocks, check what their headers commit to, and measure.
    Replay(replay::Args),
    /// Send a transaction to a rollup, and wait until it is as sure as wanted.
    Send(send::Args),
    /// Show who owns the next slots, and how far each rollup is.
    Status(status::Args),
    /// Show the calls of a super transaction, over all rollups that took part.
    Trace(trace::Args),
    /// Execute blocks of a rollup with nothing but hashes.
    Verify(verify::Args),
}

/// Something did not hold that should have.
const EXIT_FAILED: u8 = 1;

/// The command was wrong, or its input could not be read.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Db(args) => db::run(&args),
        Command::Dev(args) => dev::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Node(args) => node::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Verify(args) => verify::run(&args),
    };
    let result = result.and_then(|holds| match output::failure() {
        Some(reason) => Err(eyre::eyre!(reason)),
        None => Ok(holds),
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            failure::tell(&error);
            ExitCode::from(EXIT_USAGE)
        }
    }
}
