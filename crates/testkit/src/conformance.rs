//! Run official fixtures on all cores.

use crate::{
    Error, Report,
    cases::{Runner, is_fixture_name},
    report::CaseResult,
    source::{self, File, Limits},
};
use core::{num::NonZeroUsize, ops::ControlFlow};
use regex_lite::Regex;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, PoisonError, mpsc},
    thread,
};

/// Files waiting for a worker, beyond one per worker.
const QUEUE_FILES: usize = 16;

/// Bytes of files in memory at once, unless a single file is larger.
const BUDGET_BYTES: u64 = 1 << 30;

/// What to run, and on how many threads.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads.
    pub jobs: NonZeroUsize,
    /// Run only the cases whose `file::case` matches.
    pub filter: Option<Regex>,
    /// How much to read at most.
    pub limits: Limits,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Files done.
    pub files: u64,
    /// Cases done.
    pub cases: u64,
    /// Failures among them.
    pub failed: u64,
}

/// Runs every fixture below `paths`; tells `progress` after every file.
///
/// The report does not depend on the number of threads.
pub fn run(paths: &[PathBuf], options: &Options, progress: &mut dyn FnMut(Progress)) -> Report {
    let runner = Runner::new(options.filter.clone());
    let budget = Budget::new(BUDGET_BYTES);
    let (to_workers, files) = mpsc::sync_channel::<Job>(QUEUE_FILES);
    let files = Mutex::new(files);
    let (to_collector, done) = mpsc::channel::<Done>();
    thread::scope(|scope| {
        for _ in 0..options.jobs.get() {
            let to_collector = to_collector.clone();
            let (runner, files, budget) = (&runner, &files, &budget);
            scope.spawn(move || work(runner, files, budget, &to_collector));
        }
        drop(to_collector);
        let (reader_budget, limits) = (&budget, &options.limits);
        scope.spawn(move || read(paths, limits, reader_budget, &to_workers));
        collect(&done, progress)
    })
}

/// A file to run, with its place in the order of files.
struct Job {
    index: u64,
    file: Result<File, Error>,
}

/// The results of a file.
struct Done {
    index: u64,
    name: String,
    cases: Result<Vec<CaseResult>, Error>,
}

fn read(
    paths: &[PathBuf],
    limits: &Limits,
    budget: &Budget,
    to_workers: &mpsc::SyncSender<Job>,
) {
    let mut index = 0;
    for path in paths {
        let flow = source::visit(Path::new(path), limits, &is_fixture_name, &mut |file| {
            if let Ok(file) = &file {
                budget.take(file.bytes.len() as u64);
            }
            index += 1;
            match to_workers.send(Job { index, file }) {
                Ok(()) => ControlFlow::Continue(()),
                // The workers are gone, which happens only if the collector gave up.
                Err(_) => ControlFlow::Break(()),
            }
        });
        if flow.is_break() {
            return;
        }
    }
}

fn work(
    runner: &Runner,
    files: &Mutex<mpsc::Receiver<Job>>,
    budget: &Budget,
    to_collector: &mpsc::Sender<Done>,
) {
    loop {
        let next = files.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { index, file }) = next else { return };
        let done = match file {
            Ok(file) => {
                let cases = runner.run(&file);
                budget.give_back(file.bytes.len() as u64);
                Done { index, name: file.name, cases }
            }
            Err(error) => Done { index, name: String::new(), cases: Err(error) },
        };
        if to_collector.send(done).is_err() {
            return;
        }
    }
}

/// Puts the results into the order of the files.
fn collect(done: &mpsc::Receiver<Done>, progress: &mut dyn FnMut(Progress)) -> Report {
    let mut by_index = BTreeMap::new();
    let mut so_far = Progress::default();
    for Done { index, name, cases } in done {
        so_far.files += 1;
        match &cases {
            Ok(cases) => {
                so_far.cases += cases.len() as u64;
                so_far.failed += cases.iter().filter(|case| case.outcome.is_failed()).count() as u64;
            }
            Err(_) => so_far.failed += 1,
        }
        by_index.insert(index, (name, cases));
        progress(so_far);
    }
    let mut report = Report::default();
    for (name, cases) in by_index.into_values() {
        match cases {
            Ok(cases) => cases.into_iter().for_each(|case| report.add(case)),
            Err(error) => report.add_unreadable(&error, &name),
        }
    }
    report
}

/// Bounds the bytes in flight between the reader and the workers.
#[derive(Debug)]
struct Budget {
    bytes: u64,
    in_flight: Mutex<u64>,
    freed: Condvar,
}

impl Budget {
    const fn new(bytes: u64) -> Self {
        Self { bytes, in_flight: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits until `bytes` fit, or nothing else is in flight.
    fn take(&self, bytes: u64) {
        let in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |in_flight: &mut u64| *in_flight > 0 && *in_flight + bytes > self.bytes;
        let mut in_flight =
            self.freed.wait_while(in_flight, is_full).unwrap_or_else(PoisonError::into_inner);
        *in_flight += bytes;
    }

    fn give_back(&self, bytes: u64) {
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) -= bytes;
        self.freed.notify_all();
    }
}
