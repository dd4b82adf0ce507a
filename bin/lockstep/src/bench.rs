//! `lockstep bench`: measure executors.

mod gigagas;

use clap::{Args as ClapArgs, Subcommand};
use eyre::Result;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// Execute made-up blocks of a billion gas serially and in parallel, compare the results, and measure.
    Gigagas(gigagas::Args),
}

/// Runs the command; whether everything held.
pub(crate) fn run(args: &Args) -> Result<bool> {
    match &args.subject {
        Subject::Gigagas(args) => gigagas::run(args),
    }
}
