//! Fixture files and archives from bytes: nothing panics, nothing is read beyond its limit, and what
//! parses turns into blocks, transactions and states without harm.
//!
//! Input: one byte that chooses a format, then the file.

#![no_main]

use core::ops::ControlFlow;
use libfuzzer_sys::fuzz_target;
use lockstep_testkit::{
    cases::{Finder, is_fixture_name},
    executors::Executors,
    json,
    mainnet::{Codes, Fixture, OracleResults},
    model::{
        blockchain::{BlockchainTest, SealEngine},
        difficulty::DifficultyTest,
        engine::EngineTest,
        header::HeaderFields,
        rlp::RlpTest,
        state::StateTest,
        transaction::RpcTransaction,
        transaction_test::TransactionTest,
        trie::TrieTest,
        vm::VmTest,
    },
    network::Network,
    source::{self, File, Limits},
    suites::{self, Seals},
    world::memory_state,
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fs, path::PathBuf, process, sync::LazyLock};

/// Far below the defaults, so that an input can reach them.
const LIMITS: Limits =
    Limits { file_bytes: 1 << 20, archive_bytes: 4 << 20, entries: 256, depth: 4, window_log: 20 };

/// Blocks of tests with a higher gas limit are parsed, but not executed.
const MAX_GAS_LIMIT: u64 = 1_000_000;

/// Parses every case; none is run.
static FINDER: LazyLock<Finder> = LazyLock::new(Finder::default);

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    match choice % 16 {
        0 => archive(bytes, "tar"),
        1 => archive(bytes, "tar.zst"),
        2 => drop(FINDER.cases(&file(bytes, "fixture.json"))),
        3 => parsed(bytes, state),
        4 => parsed(bytes, blockchain),
        5 => parsed(bytes, engine),
        6 => parsed(bytes, |test: RlpTest| drop(suites::rlp::run(&test))),
        7 => parsed(bytes, |test: TrieTest| {
            let _ = suites::trie::run(&test, false);
            let _ = suites::trie::run(&test, true);
        }),
        8 => parsed(bytes, transaction),
        9 => parsed(bytes, |test: DifficultyTest| {
            let chain = suites::difficulty::chain_of_fork("Byzantium").expect("a known fork");
            let _ = suites::difficulty::run(&chain, &test);
        }),
        10 => parsed(bytes, |test: VmTest| drop(memory_state(&test.pre))),
        11 => parsed(bytes, |fields: HeaderFields| drop(fields.header())),
        12 => parsed(bytes, |fields: RpcTransaction| drop(fields.transaction())),
        13 => {
            if let Ok(name) = core::str::from_utf8(bytes) {
                let _ = Network::parse(name);
            }
        }
        14 => drop(OracleResults::parse(&file(bytes, "1.json"))),
        _ => real_block(bytes),
    }
});

fn parsed<T: DeserializeOwned>(bytes: &[u8], use_it: impl FnOnce(T)) {
    let Ok(text) = json::utf8("fuzz.json", bytes) else { return };
    if let Ok(value) = json::parse("fuzz.json", "", text) {
        use_it(value);
    }
}

fn file(bytes: &[u8], name: &str) -> File {
    File { name: name.into(), bytes: bytes.to_vec(), read_bytes: 0 }
}

/// `block.json`, a zero byte, `pre_state.json`.
fn real_block(bytes: &[u8]) {
    let mut files = bytes.splitn(2, |byte| *byte == 0);
    let (Some(block), Some(state)) = (files.next(), files.next()) else { return };
    let (block, state) = (file(block, "1/block.json"), file(state, "1/pre_state.json"));
    let codes = Codes::default();
    if let Ok(fixture) = Fixture::parse(&block, &state, &codes, &BTreeMap::new(), None) {
        let _ = fixture.check_block();
    }
}

/// Walks over an archive on disk, as the program does.
fn archive(bytes: &[u8], extension: &str) {
    static PATH: LazyLock<PathBuf> =
        LazyLock::new(|| std::env::temp_dir().join(format!("lockstep-fuzz-{}", process::id())));
    let path = PATH.with_extension(extension);
    fs::write(&path, bytes).expect("the temporary directory is writable");
    let (mut files, mut total) = (0, 0);
    let _ = source::visit(&path, &LIMITS, &is_fixture_name, &mut |file| {
        if let Ok(file) = file {
            files += 1;
            total += file.bytes.len() as u64;
            assert!(file.bytes.len() as u64 <= LIMITS.file_bytes);
            let _ = FINDER.cases(&file);
        }
        ControlFlow::Continue(())
    });
    fs::remove_file(&path).expect("it was just written");
    assert!(files <= LIMITS.entries);
    assert!(total <= LIMITS.archive_bytes);
}

fn state(test: StateTest) {
    drop(memory_state(&test.pre));
    for posts in test.post.values() {
        for at in posts.iter().map(|post| post.indexes) {
            let _ = test.transaction.at(at.data, at.gas, at.value, 1);
        }
    }
}

fn blockchain(test: BlockchainTest) {
    if test.genesis.gas_limit.0 <= MAX_GAS_LIMIT && test.seal_engine == SealEngine::NoProof {
        let _ = suites::blockchain::run(&test, &Seals::default(), &Executors::Serial);
    }
}

fn engine(test: EngineTest) {
    if test.genesis.gas_limit.0 <= MAX_GAS_LIMIT {
        let _ = suites::engine::run(&test, &Executors::Serial);
    }
}

fn transaction(test: TransactionTest) {
    for (network, expected) in &test.result {
        let _ = suites::transaction::run(network, &test.txbytes.0, expected);
    }
}
