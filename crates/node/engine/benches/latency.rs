//! How long a fork choice takes while blocks are persisted to disk, as percentiles over thousands
//! of them; and how many empty blocks a chain that sequences itself makes per second.
//!
//! `cargo bench -p lockstep-engine --bench latency`

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "a benchmark measures time and may stop at what it did not expect"
)]

#[path = "../tests/engine/factory.rs"]
mod factory;
#[path = "../tests/engine/world.rs"]
mod world;

use factory::Factory;
use lockstep_chain::EthereumHardfork;
use lockstep_engine::{Engine, EngineConfig, NoTransactions};
use lockstep_storage::{DiskStorage, Options, Storage, SyncPolicy};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use world::{World, attributes, head};

const BLOCKS: usize = 2_000;
const TRANSACTIONS: u64 = 40;
const PRODUCED: u64 = 5_000;

fn main() {
    fork_choices_while_persisting();
    produce("memory", None);
    let folder = tempfile::tempdir().unwrap();
    produce("disk", Some(&folder));
}

fn options(sync: SyncPolicy) -> Options {
    Options { sync, max_database_bytes: 8 << 30, ..Default::default() }
}

fn percentiles(what: &str, mut samples: Vec<Duration>) {
    samples.sort();
    let at = |part: f64| samples[((samples.len() - 1) as f64 * part) as usize];
    println!(
        "{what}: {} samples, p50 {:?}, p90 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        samples.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
    );
}

fn fork_choices_while_persisting() {
    let factory = Factory::new();
    let mut blocks = Vec::with_capacity(BLOCKS);
    let mut parent = factory.genesis();
    for number in 0..BLOCKS as u64 {
        let txs = (0..TRANSACTIONS)
            .map(|tx| factory.world.store(0, number * TRANSACTIONS + tx, number * 64 + tx, 1 + tx))
            .collect();
        let block = factory.block(parent, 0, txs);
        parent = block.seal();
        blocks.push(block);
    }
    let folder = tempfile::tempdir().unwrap();
    let world = &factory.world;
    let storage = DiskStorage::open(
        folder.path(),
        &world.chain,
        &world.genesis,
        options(SyncPolicy::EveryAppend),
    );
    let storage: Arc<dyn Storage<_>> = Arc::new(storage.unwrap());
    let config = EngineConfig { keep_in_memory: 4, persistence_batch: 8, ..Default::default() };
    let engine =
        Engine::open(world.chain.clone(), storage.clone(), Arc::new(NoTransactions), config)
            .unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (view, done) = (engine.view(), done.clone());
        std::thread::spawn(move || {
            let mut reads = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let snapshot = view.snapshot();
                let state = snapshot.state_by_hash(&snapshot.head().hash());
                reads += u64::from(state.is_ok());
                std::thread::yield_now();
            }
            reads
        })
    };
    let (mut choices, mut inserts) = (Vec::new(), Vec::new());
    for block in &blocks {
        let begun = Instant::now();
        assert!(engine.insert(block.clone()).unwrap().is_valid());
        inserts.push(begun.elapsed());
        let mut state = head(block.seal());
        if block.header.number > 64 && block.header.number % 32 == 0 {
            let finalized = &blocks[block.header.number as usize - 64];
            state.finalized_block_hash = finalized.seal();
            state.safe_block_hash = finalized.seal();
        }
        let begun = Instant::now();
        assert!(engine.fork_choice(state).unwrap().is_valid());
        choices.push(begun.elapsed());
    }
    done.store(true, Ordering::Relaxed);
    println!("{} snapshots read meanwhile", reader.join().unwrap());
    println!("persisted up to {}", storage.snapshot().unwrap().tip().number);
    percentiles("fork choice while persisting", choices);
    percentiles(&format!("insertion of {TRANSACTIONS} transactions"), inserts);
    engine.shutdown().unwrap();
}

fn produce(name: &str, folder: Option<&tempfile::TempDir>) {
    let world = World::new(EthereumHardfork::Cancun);
    let storage = match folder {
        None => world::memory(&world.genesis),
        Some(folder) => Arc::new(
            DiskStorage::open(
                folder.path(),
                &world.chain,
                &world.genesis,
                options(SyncPolicy::Never),
            )
            .unwrap(),
        ),
    };
    let engine = world::engine_on(&world.chain, &storage, EngineConfig::default());
    let begun = Instant::now();
    for block in 1..=PRODUCED {
        engine.produce(&attributes(block, 0)).unwrap();
    }
    let rate = PRODUCED as f64 / begun.elapsed().as_secs_f64();
    println!("{PRODUCED} blocks without transactions produced in {name}: {rate:.0} per second");
    engine.shutdown().unwrap();
}
