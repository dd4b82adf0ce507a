//! What a conformance run found.

use crate::Error;
use core::fmt;
use serde::Serialize;
use std::collections::BTreeMap;

/// The kinds of official tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// One transaction on a state.
    State,
    /// Blocks imported from their RLP.
    Blockchain,
    /// Blocks delivered as Engine API payloads.
    Engine,
    /// The validity of one encoded transaction.
    Transaction,
    /// Roots and order of Merkle Patricia tries.
    Trie,
    /// RLP encoding and decoding.
    Rlp,
    /// The difficulty of proof-of-work blocks.
    Difficulty,
    /// One call frame in the format that preceded state tests.
    Vm,
    /// Recorded JSON-RPC requests and answers.
    Rpc,
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::State => "state",
            Self::Blockchain => "blockchain",
            Self::Engine => "engine",
            Self::Transaction => "transaction",
            Self::Trie => "trie",
            Self::Rlp => "rlp",
            Self::Difficulty => "difficulty",
            Self::Vm => "vm",
            Self::Rpc => "rpc",
        })
    }
}

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every value was as expected.
    Passed,
    /// What differed, where, expected and got.
    Failed(String),
    /// Why the case says nothing about this program.
    Skipped(String),
}

impl Outcome {
    /// Whether something differed.
    pub const fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// One case and how it ended.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// The suite the case belongs to.
    pub suite: Suite,
    /// `file::case`.
    pub id: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// Numbers of cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Cases that passed.
    pub passed: u64,
    /// Cases that failed.
    pub failed: u64,
    /// Cases that were skipped.
    pub skipped: u64,
}

impl Counts {
    const fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
    }
}

/// A case that failed, or a file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// `file::case`, or the file.
    pub case: String,
    /// The suite; `None` if the file could not be read.
    pub suite: Option<Suite>,
    /// What differed.
    pub reason: String,
}

/// Cases skipped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skip {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// The result of a run. Its JSON form is the output of `lockstep conformance --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// All cases together. A file that cannot be read counts as one failure.
    #[serde(flatten)]
    pub counts: Counts,
    /// Cases by suite.
    pub by_suite: BTreeMap<Suite, Counts>,
    /// What failed, in the order of the files; the first [`Report::MAX_FAILURES`].
    pub failures: Vec<Failure>,
    /// Why cases were skipped, most frequent first.
    pub skips: Vec<Skip>,
}

impl Report {
    /// Failures beyond this many are counted, not described.
    pub const MAX_FAILURES: usize = 10_000;

    /// Adds one case.
    pub fn add(&mut self, case: CaseResult) {
        self.counts.add(&case.outcome);
        self.by_suite.entry(case.suite).or_default().add(&case.outcome);
        match case.outcome {
            Outcome::Passed => {}
            Outcome::Failed(reason) => {
                self.push_failure(Failure { case: case.id, suite: Some(case.suite), reason });
            }
            Outcome::Skipped(reason) => self.push_skip(reason),
        }
    }

    /// Adds a file that could not be read.
    pub fn add_unreadable(&mut self, error: &Error) {
        self.counts.failed += 1;
        let failure = Failure { case: error.place(), suite: None, reason: error.to_string() };
        self.push_failure(failure);
    }

    /// Whether nothing failed.
    pub const fn is_success(&self) -> bool {
        self.counts.failed == 0
    }

    fn push_failure(&mut self, failure: Failure) {
        if self.failures.len() < Self::MAX_FAILURES {
            self.failures.push(failure);
        }
    }

    fn push_skip(&mut self, reason: String) {
        match self.skips.iter_mut().find(|skip| skip.reason == reason) {
            Some(skip) => skip.count += 1,
            None => self.skips.push(Skip { reason, count: 1 }),
        }
        self.skips.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(id: &str, outcome: Outcome) -> CaseResult {
        CaseResult { suite: Suite::State, id: id.into(), outcome }
    }

    #[test]
    fn every_case_is_counted_once() {
        let mut report = Report::default();
        report.add(case("a", Outcome::Passed));
        report.add(case("b", Outcome::Failed("root".into())));
        report.add(case("c", Outcome::Skipped("rare".into())));
        report.add(case("d", Outcome::Skipped("often".into())));
        report.add(case("e", Outcome::Skipped("often".into())));
        assert_eq!(report.counts, Counts { passed: 1, failed: 1, skipped: 3 });
        assert_eq!(report.by_suite.get(&Suite::State), Some(&report.counts));
        assert_eq!(report.skips[0], Skip { reason: "often".into(), count: 2 });
        assert!(!report.is_success());
    }

    #[test]
    fn the_json_form_is_the_documented_one() {
        let mut report = Report::default();
        report.add(case("f::c", Outcome::Failed("why".into())));
        report.add(case("f::d", Outcome::Skipped("because".into())));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "passed": 0, "failed": 1, "skipped": 1,
                "by_suite": {"state": {"passed": 0, "failed": 1, "skipped": 1}},
                "failures": [{"case": "f::c", "suite": "state", "reason": "why"}],
                "skips": [{"reason": "because", "count": 1}],
            })
        );
    }

    #[test]
    fn an_unreadable_file_is_a_failure() {
        let mut report = Report::default();
        report.add_unreadable(&Error::field("f.json", "x", "mistyped"));
        assert_eq!(report.counts.failed, 1);
        assert!(report.failures[0].reason.contains("`x`"));
    }
}
