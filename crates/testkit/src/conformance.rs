//! Run official fixtures on all cores.

mod queue;

use crate::{
    Report,
    cases::{Finder, is_fixture_name},
    executors::Executors,
    source::{self, File, Limits},
};
use core::ops::ControlFlow;
use queue::{Done, Queue, Task};
use regex_lite::Regex;
use std::{collections::BTreeMap, path::PathBuf, sync::mpsc, thread};

/// What to run, and with whom.
#[derive(Debug)]
pub struct Options {
    /// Who executes the blocks of blockchain and engine tests, for each worker thread. There are as many of those, and one
    /// at least, with the serial executor.
    pub executors: Vec<Executors>,
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
    /// Bytes read from the disk, of all the paths' [`source::size_on_disk`].
    pub read_bytes: u64,
}

/// Runs every fixture below `paths`; tells `progress` after every file.
///
/// The report does not depend on the number of threads.
pub fn run(paths: &[PathBuf], options: &Options, progress: &mut dyn FnMut(Progress)) -> Report {
    let finder = Finder::new(options.filter.clone());
    let workers = match options.executors.as_slice() {
        [] => &[Executors::Serial],
        executors => executors,
    };
    let queue = Queue::default();
    let (to_collector, done) = mpsc::channel::<Done>();
    thread::scope(|scope| {
        for executors in workers {
            let to_collector = to_collector.clone();
            let (finder, queue) = (&finder, &queue);
            scope.spawn(move || work(finder, queue, executors, &to_collector));
        }
        drop(to_collector);
        let (reader_queue, limits) = (&queue, &options.limits);
        scope.spawn(move || read(paths, limits, reader_queue));
        collect(&done, progress)
    })
}

fn read(paths: &[PathBuf], limits: &Limits, queue: &Queue) {
    let mut read_before = 0;
    for path in paths {
        let _ = source::visit(path, limits, &is_fixture_name, &mut |file| {
            queue.push_file(file.map(|file| File {
                read_bytes: file.read_bytes.saturating_add(read_before),
                ..file
            }));
            ControlFlow::Continue(())
        });
        read_before += source::size_on_disk(path, limits);
    }
    queue.close();
}

fn work(finder: &Finder, queue: &Queue, executors: &Executors, to_collector: &mpsc::Sender<Done>) {
    while let Some(task) = queue.next() {
        let done = match task {
            Task::Case(case) => case.run(executors),
            Task::File(job) => {
                let cases = match &job.file {
                    Ok(file) => finder.cases(file),
                    Err(_) => Ok(Vec::new()),
                };
                queue.push_cases(job, cases)
            }
        };
        // The collector ends only after all workers.
        if let Some(done) = done
            && to_collector.send(done).is_err()
        {
            return;
        }
    }
}

/// Puts the results into the order of the files.
fn collect(done: &mpsc::Receiver<Done>, progress: &mut dyn FnMut(Progress)) -> Report {
    let mut by_index = BTreeMap::new();
    let mut so_far = Progress::default();
    for file in done {
        so_far.files += 1;
        so_far.read_bytes = so_far.read_bytes.max(file.read_bytes);
        match &file.cases {
            Ok(cases) => {
                let failed = cases.iter().filter(|case| case.outcome.is_failed()).count();
                so_far.cases += cases.len() as u64;
                so_far.failed += failed as u64;
            }
            Err(_) => so_far.failed += 1,
        }
        progress(so_far);
        by_index.insert(file.index, file);
    }
    let mut report = Report::default();
    for file in by_index.into_values() {
        match file.cases {
            Ok(cases) => cases.into_iter().for_each(|case| report.add(case)),
            Err(error) => report.add_unreadable(&error),
        }
    }
    report
}
