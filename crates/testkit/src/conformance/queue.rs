//! Hand out files and their cases to worker threads.
//!
//! A worker takes a file apart and puts its cases where every worker finds them, so that a file
//! with a few long cases occupies all cores. Cases go before files, which bounds memory.

use crate::{Error, cases::Case, executors::Executors, report::CaseResult, source::File};
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// Files waiting to be taken apart.
const MAX_FILES: usize = 64;

/// Bytes of these files, unless a single one is larger.
const MAX_BYTES: u64 = 1 << 30;

/// A file to take apart, with its place in the order of files.
#[derive(Debug)]
pub(super) struct FileJob {
    index: u64,
    pub(super) file: Result<File, Error>,
}

/// A file all of whose cases have run.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) index: u64,
    pub(super) read_bytes: u64,
    pub(super) cases: Result<Vec<CaseResult>, Error>,
}

/// What a worker does next.
#[derive(Debug)]
pub(super) enum Task {
    /// Take a file apart and hand its cases to [`Queue::push_cases`].
    File(FileJob),
    /// Run a case.
    Case(CaseJob),
}

/// A case to run, and the file that waits for it.
#[derive(Debug)]
pub(super) struct CaseJob {
    case: Case,
    position: usize,
    file: Arc<OpenFile>,
}

/// A file some of whose cases have still to run.
#[derive(Debug)]
struct OpenFile {
    index: u64,
    read_bytes: u64,
    results: Mutex<Results>,
}

#[derive(Debug)]
struct Results {
    missing: usize,
    cases: Vec<Option<CaseResult>>,
}

impl CaseJob {
    /// Runs the case; returns the file if this was its last.
    pub(super) fn run(self, executors: &Executors) -> Option<Done> {
        let result = self.case.run(executors);
        let mut results = lock(&self.file.results);
        if let Some(slot) = results.cases.get_mut(self.position) {
            *slot = Some(result);
        }
        results.missing -= 1;
        if results.missing > 0 {
            return None;
        }
        let cases = results.cases.drain(..).flatten().collect();
        Some(Done { index: self.file.index, read_bytes: self.file.read_bytes, cases: Ok(cases) })
    }
}

/// Files and cases that wait for a worker.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    files: VecDeque<FileJob>,
    cases: VecDeque<CaseJob>,
    /// Bytes of `files`, and of the files being taken apart.
    bytes: u64,
    /// Files being taken apart, from which cases will come.
    open: usize,
    next_index: u64,
    is_closed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn size(file: &Result<File, Error>) -> u64 {
    file.as_ref().map_or(0, |file| file.bytes.len() as u64)
}

impl Queue {
    /// Adds a file; waits until there is room.
    pub(super) fn push_file(&self, file: Result<File, Error>) {
        let bytes = size(&file);
        let is_full = |waiting: &mut Waiting| {
            waiting.files.len() >= MAX_FILES
                || (waiting.bytes > 0 && waiting.bytes.saturating_add(bytes) > MAX_BYTES)
        };
        let waiting = self.changed.wait_while(lock(&self.waiting), is_full);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        waiting.bytes = waiting.bytes.saturating_add(bytes);
        let index = waiting.next_index;
        waiting.next_index += 1;
        waiting.files.push_back(FileJob { index, file });
        drop(waiting);
        self.changed.notify_all();
    }

    /// No file will follow.
    pub(super) fn close(&self) {
        lock(&self.waiting).is_closed = true;
        self.changed.notify_all();
    }

    /// The next task; `None` when everything is done or under way.
    pub(super) fn next(&self) -> Option<Task> {
        let mut waiting = lock(&self.waiting);
        loop {
            if let Some(case) = waiting.cases.pop_front() {
                return Some(Task::Case(case));
            }
            if let Some(job) = waiting.files.pop_front() {
                waiting.open += 1;
                drop(waiting);
                self.changed.notify_all();
                return Some(Task::File(job));
            }
            if waiting.is_closed && waiting.open == 0 {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds the cases of a file that was taken apart; returns the file if there are none.
    pub(super) fn push_cases(&self, job: FileJob, cases: Result<Vec<Case>, Error>) -> Option<Done> {
        let FileJob { index, file } = job;
        let bytes = size(&file);
        let read_bytes = file.as_ref().map_or(0, |file| file.read_bytes);
        let cases = file.and(cases);
        let done = match cases {
            Ok(cases) if !cases.is_empty() => {
                self.open_cases(index, read_bytes, cases);
                None
            }
            cases => Some(Done { index, read_bytes, cases: cases.map(|_| Vec::new()) }),
        };
        let mut waiting = lock(&self.waiting);
        waiting.open -= 1;
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        drop(waiting);
        self.changed.notify_all();
        done
    }

    fn open_cases(&self, index: u64, read_bytes: u64, cases: Vec<Case>) {
        let results = Results { missing: cases.len(), cases: cases.iter().map(|_| None).collect() };
        let file = Arc::new(OpenFile { index, read_bytes, results: Mutex::new(results) });
        let jobs = cases.into_iter().enumerate();
        let jobs = jobs.map(|(position, case)| CaseJob { case, position, file: file.clone() });
        lock(&self.waiting).cases.extend(jobs);
    }
}
