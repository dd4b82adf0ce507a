//! Damaged files of a chain whose node was killed: they are named, and never served as the truth.

use crate::{
    client::{CallError, Client},
    driver::{Driver, Ledger, NodeFolder},
    program::{Ended, check, text},
    random::Random,
};
use alloy_primitives::B256;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Blocks of the chain: most are persisted, and 32 are in the log alone.
const BLOCKS: u64 = 90;

/// Flips in each file.
const FLIPS: u64 = 3;

/// Flips in the database, most of whose bytes mean nothing.
const DATABASE_FLIPS: u64 = 12;

/// Questions, and what the node answered before anything was damaged.
struct Truth {
    questions: Vec<(&'static str, Value)>,
    answers: Vec<Value>,
}

impl Truth {
    /// Asks about everything that the files hold.
    fn learn(client: &Client, ledger: &Ledger, driver: &Driver) -> Self {
        let mut questions = Vec::new();
        for block in ledger.canonical() {
            let number = format!("{:#x}", block.number);
            questions.push(("eth_getBlockByNumber", json!([number, true])));
            questions.push(("eth_getBlockReceipts", json!([number])));
        }
        for account in driver.accounts() {
            for number in [0, ledger.tip() / 2, ledger.tip()] {
                questions.push(("eth_getBalance", json!([account, format!("{number:#x}")])));
            }
        }
        let ask = |(method, params): &(&str, Value)| client.ask(method, params.clone());
        let answers = questions.iter().map(ask).collect();
        Self { questions, answers }
    }

    /// The node may refuse to answer, but it answers nothing else; how often it refused.
    fn assert_served(&self, client: &Client, what: &str) -> usize {
        let mut refused = 0;
        for ((method, params), truth) in self.questions.iter().zip(&self.answers) {
            match client.call(method, params.clone()) {
                Ok(answer) => assert_eq!(&answer, truth, "{what}: {method} {params}"),
                Err(CallError::Refused(_)) => refused += 1,
                Err(CallError::Broken) => panic!("{what}: the node is gone"),
            }
        }
        refused
    }
}

/// A chain whose node was killed.
struct Chain {
    folder: NodeFolder,
    truth: Truth,
}

impl Chain {
    fn new(random: &mut Random) -> Self {
        let folder = NodeFolder::new();
        let mut ledger = Ledger::default();
        let program = folder.start();
        let ready = program.ready();
        let users = Client::new(&ready["http"]);
        ledger.assert_kept(&users, "the beginning");
        let mut driver = Driver::connect(&folder.data(), &ready, random.fork());
        while ledger.tip() < BLOCKS {
            driver.step(&mut ledger).unwrap();
        }
        let truth = Truth::learn(&users, &ledger, &driver);
        program.kill();
        Self { folder, truth }
    }

    /// A copy of the chain's folder.
    fn copy(&self) -> Copy {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("chain");
        copy(&self.folder.data(), &data);
        Copy { _parent: parent, data }
    }

    /// Whether a file means nothing from a byte on: the node was killed while it appended to it, before the commit that
    /// would have made that part of the chain.
    fn is_whole_without(&self, file: &Path, from: usize) -> bool {
        let copy = self.copy();
        let path = copy.data.join(file);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..from]).unwrap();
        check(&copy.data).status.success()
    }

    /// The files in a folder of the chain, by their paths from there.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.data().join(folder)).unwrap();
        let path = |entry: fs::DirEntry| Path::new(folder).join(entry.file_name());
        let mut files: Vec<_> = entries.map(|entry| path(entry.unwrap())).collect();
        files.sort();
        files
    }

    /// Starts a node on damaged files: it refuses and names the file, or serves no wrong answer.
    fn assert_node_is_honest(&self, damaged: &Path, name: &str, what: &str) {
        let program = self.folder.start_in(damaged);
        match program.ready_or_ended() {
            Some(ready) => {
                self.truth.assert_served(&Client::new(&ready["http"]), what);
                program.kill();
            }
            None => {
                let ended = program.end();
                assert_eq!(ended.status.code(), Some(1), "{what}: {ended:?}");
                assert!(ended.errors.contains(name), "{what}: {ended:?}");
            }
        }
    }
}

struct Copy {
    _parent: tempfile::TempDir,
    data: PathBuf,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Flips a bit of a file; says of which byte, and where.
fn flip(path: &Path, random: &mut Random) -> (usize, String) {
    let mut bytes = fs::read(path).unwrap();
    let (at, bit) = (random.index(bytes.len()), random.below(8));
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
    (at, format!("bit {bit} of byte {at} of {}", path.display()))
}

/// Whether a check found damage in this file.
fn is_found(ended: &Ended, name: &str) -> bool {
    let problems = ended.lines.iter().flat_map(|line| {
        let report: Value = serde_json::from_str(line).unwrap();
        report["problems"].as_array().unwrap().clone()
    });
    let mut places = problems.map(|problem| problem["place"].as_str().unwrap().to_owned());
    ended.status.code() == Some(1) && places.any(|place| place == name)
}

#[test]
fn a_flipped_bit_is_found_and_named_and_never_served() {
    let mut random = Random::from_environment(5);
    let chain = Chain::new(&mut random);
    let files = [chain.files("static"), chain.files("log")].concat();
    assert!(files.len() >= 11, "{files:?}");
    let mut found = 0;
    for file in &files {
        for _ in 0..FLIPS {
            let damaged = chain.copy();
            let path = damaged.data.join(file);
            let (at, what) = flip(&path, &mut random);
            let checked = check(&damaged.data);
            if is_found(&checked, text(&path)) {
                found += 1;
            } else {
                assert!(chain.is_whole_without(file, at), "{what}: {checked:?}");
            }
            chain.assert_node_is_honest(&damaged.data, text(&path), &what);
        }
    }
    let flips = FLIPS * files.len() as u64;
    assert!(found > flips / 2, "{found} of {flips} were found");
}

#[test]
fn a_file_that_lost_its_end_is_named_and_never_served() {
    let mut random = Random::from_environment(6);
    let chain = Chain::new(&mut random);
    for file in chain.files("static") {
        let damaged = chain.copy();
        let path = damaged.data.join(&file);
        let bytes = fs::read(&path).unwrap();
        let keep = random.index(bytes.len());
        fs::write(&path, &bytes[..keep]).unwrap();
        let what = format!("{} cut to {keep} of {} bytes", path.display(), bytes.len());
        let checked = check(&damaged.data);
        assert!(is_found(&checked, text(&path)), "{what}: {checked:?}");
        chain.assert_node_is_honest(&damaged.data, text(&path), &what);
    }
}

/// The database has no checksums over all of its bytes, so a node may not notice; a check does.
#[test]
fn a_flipped_bit_in_the_database_is_found_unless_it_means_nothing() {
    let mut random = Random::from_environment(7);
    let chain = Chain::new(&mut random);
    let mut found = 0;
    for _ in 0..DATABASE_FLIPS {
        let damaged = chain.copy();
        let path = damaged.data.join("db/mdbx.dat");
        let used = fs::read(&path).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = random.index(used);
        bytes[at] ^= 1 << random.below(8);
        fs::write(&path, bytes).unwrap();
        let what = format!("byte {at} of {}", path.display());
        let checked = check(&damaged.data);
        if !checked.status.success() {
            found += 1;
            continue;
        }
        let program = chain.folder.start_in(&damaged.data);
        let ready = program.ready();
        assert_eq!(chain.truth.assert_served(&Client::new(&ready["http"]), &what), 0, "{what}");
        program.kill();
    }
    eprintln!("{found} of {DATABASE_FLIPS} flipped bits meant something");
}

#[test]
fn a_flipped_bit_in_the_journal_costs_one_transaction_and_is_told() {
    let mut random = Random::from_environment(8);
    let folder = NodeFolder::new();
    let program = folder.start();
    let ready = program.ready();
    let mut ledger = Ledger::default();
    let mut driver = Driver::connect(&folder.data(), &ready, random.fork());
    let hashes: Vec<B256> =
        (0..10).map(|sender| driver.send(&mut ledger, sender).unwrap()).collect();
    program.kill();
    let journal = folder.data().join("transactions.journal");
    let mut bytes = fs::read(&journal).unwrap();
    // Behind the two headers, of which one may be damaged without any loss.
    let at = 64 + random.index(bytes.len() - 64);
    bytes[at] ^= 1 << random.below(8);
    fs::write(&journal, bytes).unwrap();
    let program = folder.start();
    let client = Client::new(&program.ready()["http"]);
    let found =
        client.ask_each("eth_getTransactionByHash", hashes.iter().map(|hash| json!([hash])));
    let left = found.iter().filter(|transaction| !transaction.is_null()).count();
    assert_eq!(left, hashes.len() - 1, "{found:?}");
    let errors = program.errors();
    assert!(errors.contains(text(&journal)) && errors.contains("damaged"), "{errors}");
}
