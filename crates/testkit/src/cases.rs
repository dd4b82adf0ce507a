//! Tell which suite a fixture belongs to, and run its cases.

use crate::{
    Error,
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
use regex_lite::Regex;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
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

/// Runs fixture files.
#[derive(Debug, Default)]
pub struct Runner {
    filter: Option<Regex>,
    seals: Seals,
}

impl Runner {
    /// A runner of the cases whose `file::case` matches `filter`.
    pub fn new(filter: Option<Regex>) -> Self {
        Self { filter, seals: Seals::default() }
    }

    /// Runs every case in `file`, in the order of their names.
    ///
    /// # Errors
    /// If the file holds no fixtures of a known format. A case that is malformed is a failure of
    /// that case.
    pub fn run(&self, file: &File) -> Result<Vec<CaseResult>, Error> {
        let text = json::utf8(&file.name, &file.bytes)?;
        let cases: BTreeMap<String, &RawValue> = serde_json::from_str(text)
            .map_err(|error| Error::field(&file.name, ".", error))?;
        let mut results = Vec::new();
        for (name, case) in cases {
            Cases { runner: self, file: &file.name, name: &name, results: &mut results }
                .run(case.get())?;
        }
        Ok(results)
    }

    fn wants(&self, id: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.is_match(id))
    }
}

/// The cases under one name of a file.
struct Cases<'a> {
    runner: &'a Runner,
    file: &'a str,
    name: &'a str,
    results: &'a mut Vec<CaseResult>,
}

impl Cases<'_> {
    fn run(&mut self, text: &str) -> Result<(), Error> {
        let keys: BTreeMap<String, IgnoredAny> = json::parse(self.file, self.name, text)?;
        let has = |key| keys.contains_key(key);
        match () {
            () if has("engineNewPayloads") => self.single(Suite::Engine, text, |test: EngineTest| {
                engine::run(&test)
            }),
            () if has("blocks") => self.single(Suite::Blockchain, text, |test: BlockchainTest| {
                blockchain::run(&test, &self.runner.seals)
            }),
            () if has("transaction") && has("post") => self.state(text),
            () if has("exec") => self.single(Suite::Vm, text, |test: VmTest| vm::run(&test).into()),
            () if has("txbytes") && has("result") => {
                self.parsed(Suite::Transaction, text, Self::transaction);
            }
            () if has("in") && has("out") => {
                self.single(Suite::Rlp, text, |test: RlpTest| rlp::run(&test).into());
            }
            () if has("in") && (has("root") || has("tests")) => {
                let secure = self.file.to_lowercase().contains("secure");
                self.single(Suite::Trie, text, |test: TrieTest| trie::run(&test, secure).into());
            }
            () if has("currentDifficulty") => self.mainnet_difficulty(text),
            () if keys.keys().any(|key| difficulty::chain_of_fork(key).is_some()) => {
                self.parsed(Suite::Difficulty, text, Self::difficulties);
            }
            () if has("rlp") => self.parsed(Suite::Transaction, text, Self::old_transaction),
            () => {
                return Err(Error::Format {
                    file: self.file.into(),
                    reason: format!("{:?} is no test of any suite", self.name),
                });
            }
        }
        Ok(())
    }

    /// Parses the test and hands it on; a test that cannot be parsed fails.
    fn parsed<T: DeserializeOwned>(
        &mut self,
        suite: Suite,
        text: &str,
        run: impl FnOnce(&mut Self, T),
    ) {
        match json::parse(self.file, self.name, text) {
            Ok(test) => run(self, test),
            Err(error) => self.case(suite, "", || Outcome::Failed(error.to_string())),
        }
    }

    /// A test that is one case.
    fn single<T: DeserializeOwned>(
        &mut self,
        suite: Suite,
        text: &str,
        run: impl FnOnce(T) -> Outcome,
    ) {
        if self.runner.wants(&self.id("")) {
            self.parsed(suite, text, |cases, test| cases.case(suite, "", || run(test)));
        }
    }

    fn id(&self, part: &str) -> String {
        format!("{}::{}{part}", self.file, self.name)
    }

    /// Runs one case. A panic is a failure of the case, not of the run.
    fn case(&mut self, suite: Suite, part: &str, run: impl FnOnce() -> Outcome) {
        let id = self.id(part);
        if !self.runner.wants(&id) {
            return;
        }
        let outcome = catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Outcome::Failed("the program panicked; see standard error".into()));
        self.results.push(CaseResult { suite, id, outcome });
    }

    fn state(&mut self, text: &str) {
        self.parsed(Suite::State, text, |cases, test: StateTest| {
            let prepared = state::Prepared::new(&test);
            for (network, posts) in &test.post {
                for (index, post) in posts.iter().enumerate() {
                    let at = post.indexes;
                    let part = format!("/{network}[{index}]:d{}g{}v{}", at.data, at.gas, at.value);
                    cases.case(Suite::State, &part, || prepared.run(network, post));
                }
            }
        });
    }

    fn transaction(&mut self, test: TransactionTest) {
        for (network, expected) in &test.result {
            self.case(Suite::Transaction, &format!("/{network}"), || {
                transaction::run(network, &test.txbytes.0, expected)
            });
        }
    }

    /// Before 2021 the forks stood beside the bytes, and an invalid transaction had no fields.
    fn old_transaction(&mut self, fields: BTreeMap<String, serde_json::Value>) {
        let mut result = BTreeMap::new();
        let mut txbytes = HexBytes::default();
        for (key, value) in fields {
            let text = value.to_string();
            match key.as_str() {
                "_info" => {}
                "rlp" => match json::parse(self.file, "rlp", &text) {
                    Ok(bytes) => txbytes = bytes,
                    // Some are not even hex, and stand for a transaction that is invalid.
                    Err(_) => txbytes = HexBytes::default(),
                },
                network => match json::parse::<Expected>(self.file, network, &text) {
                    Ok(expected) => {
                        result.insert(network.to_owned(), expected);
                    }
                    Err(error) => {
                        self.case(Suite::Transaction, "", || Outcome::Failed(error.to_string()));
                    }
                },
            }
        }
        self.transaction(TransactionTest { txbytes, result });
    }

    /// A test in `BasicTests`, where the rules follow from the name of the file.
    fn mainnet_difficulty(&mut self, text: &str) {
        let Some(chain) = difficulty::chain_of_file(self.file) else {
            return self.case(Suite::Difficulty, "", || {
                Outcome::Failed("the name of the file says no chain".into())
            });
        };
        self.single(Suite::Difficulty, text, |test: DifficultyTest| {
            difficulty::run(&chain, &test).into()
        });
    }

    /// The tests in `DifficultyTests`: by fork, then by name.
    fn difficulties(&mut self, forks: BTreeMap<String, serde_json::Value>) {
        for (fork, tests) in forks {
            let Some(chain) = difficulty::chain_of_fork(&fork) else { continue };
            let text = tests.to_string();
            match json::parse::<BTreeMap<String, DifficultyTest>>(self.file, &fork, &text) {
                Ok(tests) => {
                    for (name, test) in tests {
                        self.case(Suite::Difficulty, &format!("/{fork}/{name}"), || {
                            difficulty::run(&chain, &test).into()
                        });
                    }
                }
                Err(error) => {
                    self.case(Suite::Difficulty, &format!("/{fork}"), || {
                        Outcome::Failed(error.to_string())
                    });
                }
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
