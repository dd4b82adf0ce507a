//! The executors that commands compare.

use crate::timing::stopwatch;
use alloy_primitives::Address;
use clap::{Args as ClapArgs, ValueEnum};
use eyre::Result;
use lockstep_chain::{Block, Ethereum, EthereumReceipt};
use lockstep_execution::{
    BlockHints, BlockOutput, ExecuteOptions, ExecutionError, Hints, StateReader, execute_block,
};
use lockstep_parallel::{ParallelExecutor, Statistics};
use lockstep_testkit::{difference::difference_of_results, executors, mainnet::Mismatch};
use serde::Serialize;
use std::{fmt, num::NonZeroUsize, thread, time::Duration};

/// More threads are not started.
const MAX_THREADS: u16 = 1_024;

#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct ThreadArgs {
    /// Threads of the parallel executor, with the one that calls it [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_THREADS)))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct ParallelArgs {
    #[command(flatten)]
    threads: ThreadArgs,
    /// Tell the parallel executor beforehand what each block reads and writes (EIP-7928), or which of its transactions
    /// need others; an execution that is not measured finds that out.
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) hints: Option<HintKind>,
}

/// What the parallel executor is told of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HintKind {
    /// What it reads and writes.
    AccessList,
    /// Which transactions need others.
    Dependencies,
}

/// What became of transactions in the parallel executor, in all executions together.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Fates {
    ahead: u64,
    pub(crate) again: u64,
    in_order: u64,
    payments: u64,
}

impl fmt::Display for Fates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ahead, again, in_order, payments } = self;
        write!(f, "{ahead} ahead, {again} again, {in_order} in order, {payments} payments")
    }
}

impl Fates {
    /// Without those from before.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            ahead: self.ahead - before.ahead,
            again: self.again - before.again,
            in_order: self.in_order - before.in_order,
            payments: self.payments - before.payments,
        }
    }
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
    hints: Option<HintKind>,
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

impl<S: StateReader> Task<'_, S> {
    fn execute(&self, options: ExecuteOptions<'_>) -> Run<S::Error> {
        let Task { chain, block, senders, state } = self;
        stopwatch(|| execute_block(*chain, block, senders, *state, options))
    }
}

impl Executors {
    /// Starts what the choice needs.
    ///
    /// # Errors
    /// If threads cannot be started.
    pub(crate) fn start(choice: Choice, args: ParallelArgs) -> Result<Self> {
        let (threads, hints) = (args.threads.count(), args.hints);
        let parallel = match choice {
            Choice::Serial => None,
            Choice::Parallel | Choice::Both => Some(ParallelExecutor::new(threads)?),
        };
        Ok(Self { runs_serial: choice != Choice::Parallel, parallel, threads, hints })
    }

    /// Threads of the parallel executor.
    pub(crate) const fn threads(&self) -> usize {
        self.threads
    }

    /// What became of transactions in the parallel executor so far.
    pub(crate) fn fates(&self) -> Fates {
        let statistics = self.parallel.as_ref().map(ParallelExecutor::statistics);
        let Statistics { ahead, again, in_order, transfers } = statistics.unwrap_or_default();
        Fates { ahead, again, in_order, payments: transfers }
    }

    /// What the parallel executor is to be told of a block, if it is valid.
    pub(crate) fn find_hints<S: StateReader>(&self, task: &Task<'_, S>) -> Option<BlockHints> {
        self.hints?;
        let options = ExecuteOptions { record_hints: true, ..Default::default() };
        task.execute(options).0.ok()?.hints
    }

    /// Executes the block with each executor, the serial one first if `serial_first`: whoever is second finds
    /// the state in the processor's caches.
    pub(crate) fn run<S: StateReader + Sync>(
        &self,
        task: &Task<'_, S>,
        hints: Option<&BlockHints>,
        serial_first: bool,
    ) -> Runs<S::Error> {
        let Task { chain, block, senders, state } = task;
        let hints = match (self.hints, hints) {
            (Some(HintKind::AccessList), Some(known)) => Hints::AccessList(&known.access_list),
            (Some(HintKind::Dependencies), Some(known)) => Hints::Dependencies(&known.dependencies),
            _ => Hints::None,
        };
        let serial = || self.runs_serial.then(|| task.execute(ExecuteOptions::default()));
        let parallel = || {
            let executor = self.parallel.as_ref()?;
            let options = ExecuteOptions { hints, ..Default::default() };
            Some(stopwatch(|| executor.execute_block(*chain, block, senders, *state, options)))
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
