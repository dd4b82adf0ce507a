//! Reads and appends, against plain gets from MDBX over the same rows.
//!
//! The baseline of reads is `raw MDBX get`: a database with one table that holds the same accounts
//! under the same keys, read through the same bindings in one read transaction. Appends are of
//! blocks with plain transfers; their gas per second is what one thread can persist.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use alloy_consensus::{
    BlockBody, Header, SignableTransaction, TxEip1559, constants::EMPTY_WITHDRAWALS,
};
use alloy_primitives::{Address, Sealed, Signature, TxKind, U256};
use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use lockstep_chain::{Block, Chain, Ethereum, EthereumHardfork, EthereumTransaction, ForkSchedule};
use lockstep_execution::{Bytecode, ExecuteOptions, MemoryState, execute_block};
use lockstep_storage::{
    DiskStorage, ExecutedBlock, ForkChoice, GenesisBlock, MemoryStorage, Options, RecoveredBlock,
    State, Storage, SyncPolicy, TrieNodesBuilder,
};
use lockstep_trie::StateTrie;
use std::{
    borrow::Cow,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

const ACCOUNTS: u64 = 100_000;
const BLOCKS: u64 = 64;
const TRANSFERS: u64 = 500;
const GAS: u64 = BLOCKS * TRANSFERS * 21_000;

/// Reads in one measurement.
const READS: u64 = 1_000;

/// So many times as many where threads are begun for them.
const LONG: u64 = 20;

/// Measurements for one ratio.
const PAIRS: usize = 101;

struct Workload {
    chain: Ethereum,
    genesis: GenesisBlock<Ethereum>,
    blocks: Vec<Arc<ExecutedBlock<Ethereum>>>,
}

fn address(index: u64) -> Address {
    let mixed = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0x33; 20];
    bytes[..8].copy_from_slice(&mixed.to_be_bytes());
    Address::new(bytes)
}

fn workload() -> Workload {
    let forks = ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Shanghai);
    let chain = Ethereum::new(1, forks);
    let mut state = MemoryState::default();
    for index in 0..ACCOUNTS {
        state.set_account(
            address(index),
            0,
            U256::from(10).pow(U256::from(18)),
            Bytecode::default(),
        );
    }
    let header = Header {
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(7),
        state_root: state.state_root(),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        ..Default::default()
    };
    let genesis = GenesisBlock::<Ethereum>::new(header, state).expect("the root is right");
    let memory = MemoryStorage::new(&genesis);
    let mut blocks = Vec::new();
    for number in 1..=BLOCKS {
        let snapshot = memory.snapshot().expect("a snapshot");
        let parent = snapshot.header(number - 1).expect("readable").expect("it is there");
        let state = snapshot.state(number - 1).expect("it is retained");
        let executed = Arc::new(make_block(&chain, &parent, &*state, number));
        memory.append(&[Arc::clone(&executed)], ForkChoice::default()).expect("it continues");
        blocks.push(executed);
    }
    Workload { chain, genesis, blocks }
}

fn make_block(
    chain: &Ethereum,
    parent: &Sealed<Header>,
    state: &dyn State,
    number: u64,
) -> ExecutedBlock<Ethereum> {
    let mut transactions = Vec::new();
    let mut senders = Vec::new();
    for index in 0..TRANSFERS {
        let sender = address((number * TRANSFERS + index) % ACCOUNTS);
        let transaction = TxEip1559 {
            chain_id: 1,
            nonce: state.account(&sender).expect("readable").map_or(0, |account| account.nonce),
            gas_limit: 21_000,
            max_fee_per_gas: 1_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(address((number * 7 + index * 31) % ACCOUNTS)),
            value: U256::from(1),
            ..Default::default()
        };
        let signature = Signature::new(U256::from(number), U256::from(index + 1), false);
        transactions.push(EthereumTransaction::Eip1559(transaction.into_signed(signature)));
        senders.push(sender);
    }
    let timestamp = parent.timestamp + 12;
    let mut header = Header {
        number,
        parent_hash: parent.seal(),
        timestamp,
        gas_limit: 30_000_000,
        base_fee_per_gas: chain.next_base_fee(parent, timestamp),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        ..Default::default()
    };
    let body =
        BlockBody { transactions, ommers: Vec::new(), withdrawals: Some(Default::default()) };
    let block = Block::<Ethereum>::new(header.clone(), body.clone());
    let output = execute_block(chain, &block, &senders, state, ExecuteOptions::default())
        .expect("the workload is valid");
    let mut trie = StateTrie::from_root(parent.state_root);
    output.changes.apply_to(&mut trie);
    let mut nodes = TrieNodesBuilder::default();
    header.state_root = trie
        .commit(&state, |path, hash, rlp| nodes.push(path, hash, rlp))
        .expect("the nodes are known");
    header.gas_used = output.gas_used;
    let hash = header.hash_slow();
    let block = Sealed::new_unchecked(Block::<Ethereum>::new(header, body), hash);
    ExecutedBlock::new(
        Arc::new(RecoveredBlock { block, senders }),
        output.receipts,
        output.requests,
        U256::ZERO,
        output.changes,
        nodes.build(),
    )
}

fn options(sync: SyncPolicy) -> Options {
    Options { sync, max_database_bytes: 8 << 30, ..Default::default() }
}

/// A new folder with the genesis block.
fn begin(workload: &Workload, sync: SyncPolicy) -> (tempfile::TempDir, DiskStorage<Ethereum>) {
    let folder = tempfile::tempdir().expect("a folder");
    let opened =
        DiskStorage::open(folder.path(), &workload.chain, &workload.genesis, options(sync));
    (folder, opened.expect("it opens"))
}

/// The baseline: the accounts' rows and nothing else.
fn raw(workload: &Workload) -> (tempfile::TempDir, signet_libmdbx::Environment) {
    let folder = tempfile::tempdir().expect("a folder");
    let mdbx = signet_libmdbx::Environment::builder()
        .set_geometry(signet_libmdbx::Geometry { size: Some(0..8 << 30), ..Default::default() })
        .open(folder.path())
        .expect("it opens");
    let tx = mdbx.begin_rw_unsync().expect("it can be written");
    let table = tx.create_db(None, signet_libmdbx::DatabaseFlags::empty()).expect("it is made");
    for (address, account) in workload.genesis.state().accounts() {
        let value = account.info.balance.to_be_bytes::<32>();
        let flags = signet_libmdbx::WriteFlags::empty();
        tx.put(table, address, &value[20..], flags).expect("it has room");
    }
    tx.commit().expect("it has room");
    (folder, mdbx)
}

fn read_accounts(state: &dyn State, round: u64) {
    for index in 0..READS {
        let address = address((round * READS + index * 97) % ACCOUNTS);
        black_box(state.account(&address).expect("readable"));
    }
}

fn benches(criterion: &mut Criterion) {
    let workload = workload();
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(GAS)).sample_size(10);
    for (name, sync) in [("no sync", SyncPolicy::Never), ("sync", SyncPolicy::EveryAppend)] {
        group.bench_function(format!("{BLOCKS} blocks, 8 at a time, {name}"), |bencher| {
            let append = |(folder, disk): (tempfile::TempDir, DiskStorage<_>)| {
                for blocks in workload.blocks.chunks(8) {
                    disk.append(blocks, ForkChoice::default()).expect("the disk has room");
                }
                (disk, folder)
            };
            bencher.iter_batched(|| begin(&workload, sync), append, BatchSize::PerIteration);
        });
    }
    group.finish();

    let (_folder, disk) = begin(&workload, SyncPolicy::Never);
    disk.append(&workload.blocks, ForkChoice::default()).expect("the disk has room");
    let snapshot = disk.snapshot().expect("a snapshot");
    let newest = Arc::clone(&snapshot).state(BLOCKS).expect("it is retained");
    let historical = Arc::clone(&snapshot).state(BLOCKS / 2).expect("it is retained");
    let (_raw_folder, raw) = raw(&workload);
    let tx = raw.begin_ro_sync().expect("it can be read");
    let dbi = tx.open_db(None).expect("it is there").dbi();
    let read_raw = |round: u64| {
        for index in 0..READS {
            let address = address((round * READS + index * 97) % ACCOUNTS);
            black_box(tx.get::<Cow<'_, [u8]>>(dbi, address.as_slice()).expect("readable"));
        }
    };
    let mut group = criterion.benchmark_group("1000 account reads");
    group.throughput(Throughput::Elements(READS));
    let mut round = 0;
    let mut next = || {
        round += 1;
        round
    };
    group.bench_function("raw MDBX get", |bencher| bencher.iter(|| read_raw(next())));
    group.bench_function("newest state", |bencher| {
        bencher.iter(|| read_accounts(&*newest, next()));
    });
    group.bench_function("32 blocks ago", |bencher| {
        bencher.iter(|| read_accounts(&*historical, next()));
    });
    group.finish();
    let raw = "raw MDBX get";
    println!("{}", ratio(raw, "newest state", &read_raw, &|round| read_accounts(&*newest, round)));
    println!(
        "{}",
        ratio(raw, "32 blocks ago", &read_raw, &|round| read_accounts(&*historical, round))
    );
    let read_many = |round| (0..LONG).for_each(|part| read_accounts(&*newest, round * LONG + part));
    let side_by_side = |round| {
        std::thread::scope(|scope| {
            scope.spawn(|| read_many(round));
            read_many(round + PAIRS as u64);
        });
    };
    println!("{}", ratio("one thread", "two, each as many", &read_many, &side_by_side));
}

/// The ratio of paired runs: each pair sees the same state of a noisy machine.
fn ratio(base_name: &str, name: &str, baseline: &dyn Fn(u64), ours: &dyn Fn(u64)) -> String {
    let mut ratios: Vec<f64> = (0..PAIRS as u64)
        .map(|round| {
            let base = timed(|| baseline(round)).as_secs_f64();
            timed(|| ours(round)).as_secs_f64() / base
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(PAIRS / 2).copied().unwrap_or(f64::NAN);
    format!("ratio {name} / {base_name} = {median:.2} (median of {PAIRS} pairs)")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

criterion_group!(storage, benches);

fn main() {
    storage();
    Criterion::default().configure_from_args().final_summary();
}
