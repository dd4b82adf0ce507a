//! Tell which suite a fixture belongs to, and what its cases are.

use crate::{
    Error,
    executors::Executors,
    fields::HexBytes,
    json,
    model::{
        blockchain::BlockchainTest,
        difficulty::DifficultyTest,
        engine::EngineTest,
        rlp::RlpTest,
        state::StateTest,
        transaction_test::{Expected, TransactionTest},
        trie::TrieTest,
        vm::VmTest,
    },
    report::{CaseResult, Outcome, Suite},
    source::File,
    suites::{Seals, blockchain, difficulty, engine, rlp, state, transaction, trie, vm},
};
use core::fmt;
use regex_lite::Regex;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Files that stand among fixtures and are none: indices, statistics, and formats so old that
/// they test nothing which exists.
const NOT_TESTS: &[&str] = &[
    "index.json",
    "counts.json",
    "blockgenesistest.json",
    "crypto.json",
    "genesishashestest.json",
    "hexencodetest.json",
    "keyaddrtest.json",
    "txtest.json",
];

/// Whether a file of this name may hold fixtures.
pub fn is_fixture_name(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let is_index = file.ends_with(".index.json") || file.ends_with(".block_hashes.json");
    file.ends_with(".json") && !is_index && !NOT_TESTS.contains(&file)
}

/// One case, ready to run.
pub struct Case {
    suite: Suite,
    id: String,
    run: Box<dyn FnOnce(&Executors) -> Outcome + Send>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("suite", &self.suite).field("id", &self.id).finish()
    }
}

impl Case {
    /// Runs the case, its blocks with these executors if it has any. A panic is a failure of the case, not of the run.
    pub fn run(self, executors: &Executors) -> CaseResult {
        let run = self.run;
        let outcome = catch_unwind(AssertUnwindSafe(|| run(executors)))
            .unwrap_or_else(|_| Outcome::Failed("the program panicked; see standard error".into()));
        CaseResult { suite: self.suite, id: self.id, outcome }
    }
}

/// Finds the cases in fixture files.
#[derive(Debug, Default)]
pub struct Finder {
    filter: Option<Regex>,
    seals: Arc<Seals>,
}

impl Finder {
    /// A finder of the cases whose `file::case` matches `filter`.
    pub fn new(filter: Option<Regex>) -> Self {
        Self { filter, seals: Arc::default() }
    }

    /// The cases in `file`, in the order of their names.
    ///
    /// # Errors
    /// If the file holds no fixtures of a known format. A case that is malformed is one that will
    /// fail.
    pub fn cases(&self, file: &File) -> Result<Vec<Case>, Error> {
        let text = json::utf8(&file.name, &file.bytes)?;
        let fixtures: BTreeMap<String, &RawValue> = serde_json::from_str(text)
            .map_err(|error| Error::field(&file.name, ".", error.to_string()))?;
        let mut found = Vec::new();
        for (name, fixture) in fixtures {
            Fixture { finder: self, file: &file.name, name: &name, found: &mut found }
                .find(fixture.get())?;
        }
        Ok(found)
    }
}

/// What stands under one name of a file: one case or several.
struct Fixture<'a> {
    finder: &'a Finder,
    file: &'a str,
    name: &'a str,
    found: &'a mut Vec<Case>,
}

impl Fixture<'_> {
    fn find(&mut self, text: &str) -> Result<(), Error> {
        let keys: BTreeMap<String, IgnoredAny> = json::parse(self.file, self.name, text)?;
        let has = |key| keys.contains_key(key);
        match () {
            () if has("engineNewPayloads") => {
                self.single(Suite::Engine, text, |test: EngineTest, executors| {
                    engine::run(&test, executors)
                });
            }
            () if has("blocks") => {
                let seals = self.finder.seals.clone();
                self.single(Suite::Blockchain, text, move |test: BlockchainTest, executors| {
                    blockchain::run(&test, &seals, executors)
                });
            }
            () if has("transaction") && has("post") => {
                self.several(Suite::State, text, Self::state);
            }
            () if has("exec") => {
                self.single(Suite::Vm, text, |test: VmTest, _| vm::run(&test).into())
            }
            () if has("txbytes") && has("result") => {
                self.several(Suite::Transaction, text, Self::transaction);
            }
            () if has("in") && has("out") => {
                self.single(Suite::Rlp, text, |test: RlpTest, _| rlp::run(&test).into());
            }
            () if has("in") && (has("root") || has("tests")) => {
                let secure = self.file.to_lowercase().contains("secure");
                self.single(Suite::Trie, text, move |test: TrieTest, _| {
                    trie::run(&test, secure).into()
                });
            }
            () if has("currentDifficulty") => self.difficulty_of_file(text),
            () if keys.keys().any(|key| difficulty::chain_of_fork(key).is_some()) => {
                if has("rlp") {
                    self.several(Suite::Transaction, text, Self::old_transaction);
                } else {
                    self.several(Suite::Difficulty, text, Self::difficulties);
                }
            }
            () => {
                return Err(Error::Format {
                    file: self.file.into(),
                    reason: format!("{:?} is no test of any suite", self.name),
                });
            }
        }
        Ok(())
    }

    /// Adds one case, if it is wanted.
    fn case(
        &mut self,
        suite: Suite,
        part: &str,
        run: impl FnOnce(&Executors) -> Outcome + Send + 'static,
    ) {
        let id = format!("{}::{}{part}", self.file, self.name);
        if self.finder.filter.as_ref().is_none_or(|filter| filter.is_match(&id)) {
            self.found.push(Case { suite, id, run: Box::new(run) });
        }
    }

    /// Adds a case that fails, because it could not be read.
    fn malformed(&mut self, suite: Suite, part: &str, error: &Error) {
        let reason = error.to_string();
        self.case(suite, part, |_| Outcome::Failed(reason));
    }

    /// A fixture that is one case.
    fn single<T: DeserializeOwned + Send + 'static>(
        &mut self,
        suite: Suite,
        text: &str,
        run: impl FnOnce(T, &Executors) -> Outcome + Send + 'static,
    ) {
        self.several(suite, text, |fixture, test| {
            fixture.case(suite, "", |executors| run(test, executors))
        });
    }

    /// A fixture that `split` takes apart.
    fn several<T: DeserializeOwned>(
        &mut self,
        suite: Suite,
        text: &str,
        split: impl FnOnce(&mut Self, T),
    ) {
        match json::parse(self.file, self.name, text) {
            Ok(test) => split(self, test),
            Err(error) => self.malformed(suite, "", &error),
        }
    }

    fn state(&mut self, test: StateTest) {
        let test = Arc::new(state::Prepared::new(test));
        for (network, posts) in test.posts() {
            for (index, post) in posts.iter().enumerate() {
                let at = post.indexes;
                let part = format!("/{network}[{index}]:d{}g{}v{}", at.data, at.gas, at.value);
                let (test, network) = (test.clone(), network.clone());
                self.case(Suite::State, &part, move |_| test.run(&network, index));
            }
        }
    }

    fn transaction(&mut self, test: TransactionTest) {
        for (network, expected) in test.result {
            let encoded = test.txbytes.0.clone();
            let part = format!("/{network}");
            self.case(Suite::Transaction, &part, move |_| {
                transaction::run(&network, &encoded, &expected)
            });
        }
    }

    /// Before 2021 the forks stood beside the bytes, and an invalid transaction had no fields.
    fn old_transaction(&mut self, fields: BTreeMap<String, serde_json::Value>) {
        let mut test = TransactionTest { txbytes: HexBytes::default(), result: BTreeMap::new() };
        for (key, value) in fields {
            let text = value.to_string();
            match key.as_str() {
                "_info" => {}
                // Some are not even hex, and stand for a transaction that is invalid.
                "rlp" => test.txbytes = json::parse(self.file, "rlp", &text).unwrap_or_default(),
                network => match json::parse::<Expected>(self.file, network, &text) {
                    Ok(expected) => {
                        test.result.insert(network.to_owned(), expected);
                    }
                    Err(error) => {
                        self.malformed(Suite::Transaction, &format!("/{network}"), &error);
                    }
                },
            }
        }
        self.transaction(test);
    }

    /// A test in `BasicTests`, where the rules follow from the name of the file.
    fn difficulty_of_file(&mut self, text: &str) {
        match difficulty::chain_of_file(self.file) {
            Some(chain) => {
                self.single(Suite::Difficulty, text, move |test: DifficultyTest, _| {
                    difficulty::run(&chain, &test).into()
                });
            }
            None => {
                let reason = "the name of the file says no chain";
                self.case(Suite::Difficulty, "", |_| Outcome::Failed(reason.into()));
            }
        }
    }

    /// The tests in `DifficultyTests`: by fork, then by name.
    fn difficulties(&mut self, forks: BTreeMap<String, serde_json::Value>) {
        for (fork, tests) in forks {
            let Some(chain) = difficulty::chain_of_fork(&fork) else { continue };
            let text = tests.to_string();
            match json::parse::<BTreeMap<String, DifficultyTest>>(self.file, &fork, &text) {
                Ok(tests) => {
                    for (name, test) in tests {
                        let chain = chain.clone();
                        self.case(Suite::Difficulty, &format!("/{fork}/{name}"), move |_| {
                            difficulty::run(&chain, &test).into()
                        });
                    }
                }
                Err(error) => self.malformed(Suite::Difficulty, &format!("/{fork}"), &error),
            }
        }
    }
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(reason) => Self::Failed(reason),
        }
    }
}
