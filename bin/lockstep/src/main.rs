//! The Lockstep command line.

mod chain;
mod conformance;
mod db;
mod dev;
mod import;
mod node;
mod open_files;
mod progress;
mod replay;
mod service;
mod transcripts;
mod verify;

use alloy_consensus as _;
use alloy_primitives as _;
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
    /// Run Ethereum's official test fixtures.
    Conformance(conformance::Args),
    /// Look after the chains on disk while no node uses them.
    Db(db::Args),
    /// Run a development network: an L1 with its beacon chain, and a rollup.
    Dev(dev::Args),
    /// Execute the blocks of a file onto a chain.
    Import(import::Args),
    /// Run an L1 node under a consensus client.
    Node(node::Args),
    /// Execute real blocks, check what their headers commit to, and measure.
    Replay(replay::Args),
    /// Execute blocks of a rollup with nothing but hashes.
    Verify(verify::Args),
}

/// Something did not hold that should have.
const EXIT_FAILED: u8 = 1;

/// The command was wrong, or its input could not be read.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Conformance(args) => conformance::run(&args),
        Command::Db(args) => db::run(&args),
        Command::Dev(args) => dev::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Node(args) => node::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Verify(args) => verify::run(&args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}
