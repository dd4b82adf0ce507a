//! Hold everything that is stored against everything else.

mod blocks;
mod state;
mod tries;

use super::{DiskStorage, snapshot::DiskSnapshot};
use crate::StorageError;
use lockstep_chain::Chain;
use lockstep_execution::{Execute, StateCommitment};
use serde::Serialize;
use std::fmt;

/// Problems that a report lists; further ones are only counted.
const MAX_LISTED_PROBLEMS: usize = 1_000;

/// Items between two calls to report progress.
const PROGRESS_STEP: u64 = 1_024;

/// How thorough a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Recover the sender of every transaction anew, which takes longer than all the rest.
    pub recover_senders: bool,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckProgress {
    /// What is being checked.
    pub stage: &'static str,
    /// How much of it was checked.
    pub done: u64,
    /// How much of it there is.
    pub total: u64,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, table, block or path.
    pub place: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Blocks that were read.
    pub blocks: u64,
    /// Transactions in them.
    pub transactions: u64,
    /// Accounts of the newest state.
    pub accounts: u64,
    /// Slots of the newest state.
    pub slots: u64,
    /// Nodes of its tries.
    pub nodes: u64,
    /// Codes.
    pub codes: u64,
    /// What is wrong, at most a thousand.
    pub problems: Vec<Problem>,
    /// Everything that is wrong, also what is not listed.
    pub problem_count: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub const fn is_sound(&self) -> bool {
        self.problem_count == 0
    }
}

impl<C: Execute> DiskStorage<C> {
    /// Reads everything and holds it against everything else: checksums, links between blocks,
    /// roots of transactions and receipts, indices in both directions, plain against hashed state,
    /// the state root computed anew, and every node of the tries, where tries commit to the state.
    ///
    /// Works on a snapshot, so blocks may be appended meanwhile; an unwind ends it. The log was
    /// checked when the folder was opened.
    ///
    /// # Errors
    /// When the operating system or the database refuses. What is damaged is not an error but in
    /// the report.
    pub fn check(
        &self,
        chain: &C,
        options: CheckOptions,
        progress: &mut dyn FnMut(CheckProgress),
    ) -> Result<CheckReport, StorageError> {
        let snapshot = self.disk_snapshot()?;
        let report = CheckReport::default();
        let mut check = Check { chain, options, snapshot: &snapshot, report, progress };
        check.blocks()?;
        check.state()?;
        if C::Commitment::is_trie() {
            check.state_root()?;
            check.tries()?;
        }
        Ok(check.report)
    }
}

/// A check in progress.
struct Check<'a, C: Chain> {
    chain: &'a C,
    options: CheckOptions,
    snapshot: &'a DiskSnapshot<C>,
    report: CheckReport,
    progress: &'a mut dyn FnMut(CheckProgress),
}

impl<C: Chain> Check<'_, C> {
    fn problem(&mut self, place: impl Into<String>, reason: impl Into<String>) {
        self.report.problem_count += 1;
        if self.report.problems.len() < MAX_LISTED_PROBLEMS {
            let (place, reason) = (place.into(), reason.into());
            self.report.problems.push(Problem { place, reason });
        }
    }

    /// Takes damage into the report; the value is `None` then.
    fn note<T>(&mut self, result: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(StorageError::Corrupt { path, reason }) => {
                self.problem(path.display().to_string(), reason);
                Ok(None)
            }
            Err(StorageError::Missing(what)) => {
                self.problem(what, "it is missing");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Two numbers that must be the same.
    fn expect_count(&mut self, place: &str, found: u64, expected: u64) {
        if found != expected {
            self.problem(place, format!("{found} rows, expected {expected}"));
        }
    }

    fn report_progress(&mut self, stage: &'static str, done: u64, total: u64) {
        if done.is_multiple_of(PROGRESS_STEP) || done == total {
            (self.progress)(CheckProgress { stage, done, total });
        }
    }
}
