//! The executors that commands compare.

use crate::timing::stopwatch;
use alloy_primitives::Address;
use clap::{Args as ClapArgs, ValueEnum};
use eyre::Result;
use lockstep_chain::{Block, Ethereum, EthereumReceipt};
use lockstep_execution::{BlockOutput, ExecuteOptions, ExecutionError, StateReader, execute_block};
use lockstep_parallel::ParallelExecutor;
use lockstep_testkit::{difference::difference_of_results, executors, mainnet::Mismatch};
use std::{num::NonZeroUsize, thread, time::Duration};

/// More threads are not started.
const MAX_THREADS: u16 = 1_024;

#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct ThreadArgs {
    /// Threads of the parallel executor, with the one that calls it [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_THREADS)))]
    threads: Option<u16>,
}

impl ThreadArgs {
    fn count(self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.map_or_else(cores, usize::from).min(MAX_THREADS.into())
    }
}

/// Which executors run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// The one that the others are held against.
    Serial,
    /// The one that uses several threads.
    Parallel,
    /// Both, whose results are compared bit by bit.
    Both,
}

impl Choice {
    /// Executors for the blocks of tests, which are too small to be worth several threads and get them all the same.
    ///
    /// # Errors
    /// If threads cannot be started.
    pub(crate) fn for_tests(self, threads: ThreadArgs) -> Result<executors::Executors> {
        let start =
            || ParallelExecutor::new(threads.count()).map(ParallelExecutor::always_parallel);
        Ok(match self {
            Self::Serial => executors::Executors::Serial,
            Self::Parallel => executors::Executors::Parallel(start()?),
            Self::Both => executors::Executors::Both(start()?),
        })
    }
}

/// The executors of a command, ready to run.
#[derive(Debug)]
pub(crate) struct Executors {
    runs_serial: bool,
    parallel: Option<ParallelExecutor>,
    threads: usize,
}

/// What one executor made of a block, and how long it took.
pub(crate) type Run<E> = (Result<BlockOutput<EthereumReceipt>, ExecutionError<E>>, Duration);

/// A block with what its execution needs.
#[derive(Debug)]
pub(crate) struct Task<'a, S> {
    pub(crate) chain: &'a Ethereum,
    pub(crate) block: &'a Block<Ethereum>,
    pub(crate) senders: &'a [Address],
    pub(crate) state: &'a S,
}

impl Executors {
    /// Starts what the choice needs.
    ///
    /// # Errors
    /// If threads cannot be started.
    pub(crate) fn start(choice: Choice, threads: ThreadArgs) -> Result<Self> {
        let threads = threads.count();
        let parallel = match choice {
            Choice::Serial => None,
            Choice::Parallel | Choice::Both => Some(ParallelExecutor::new(threads)?),
        };
        Ok(Self { runs_serial: choice != Choice::Parallel, parallel, threads })
    }

    /// Threads of the parallel executor.
    pub(crate) const fn threads(&self) -> usize {
        self.threads
    }

    /// Executes the block with each executor, the serial one first if `serial_first`: whoever is second finds
    /// the state in the processor's caches.
    pub(crate) fn run<S: StateReader + Sync>(
        &self,
        task: &Task<'_, S>,
        serial_first: bool,
    ) -> Runs<S::Error> {
        let Task { chain, block, senders, state } = task;
        let options = ExecuteOptions::default;
        let serial = || {
            let run = || stopwatch(|| execute_block(*chain, block, senders, *state, options()));
            self.runs_serial.then(run)
        };
        let parallel = || {
            let executor = self.parallel.as_ref()?;
            Some(stopwatch(|| executor.execute_block(*chain, block, senders, *state, options())))
        };
        if serial_first {
            let serial = serial();
            Runs { serial, parallel: parallel() }
        } else {
            let parallel = parallel();
            Runs { serial: serial(), parallel }
        }
    }
}

/// What the executors that run made of a block.
#[derive(Debug)]
pub(crate) struct Runs<E> {
    pub(crate) serial: Option<Run<E>>,
    pub(crate) parallel: Option<Run<E>>,
}

impl<E: std::error::Error> Runs<E> {
    /// Where the results of the two differ, if both ran.
    pub(crate) fn difference(&self) -> Option<Mismatch> {
        let (Some((serial, _)), Some((parallel, _))) = (&self.serial, &self.parallel) else {
            return None;
        };
        difference_of_results(serial, parallel)
    }
}
