//! Single operations of the engine.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "a benchmark may stop at what it did not expect"
)]

#[path = "../tests/engine/factory.rs"]
mod factory;
#[path = "../tests/engine/world.rs"]
mod world;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use factory::Factory;
use lockstep_engine::EngineConfig;
use world::head;

/// Two branches of different depths take turns.
fn fork_choice(criterion: &mut Criterion) {
    for depth in [1, 8, 64] {
        let factory = Factory::new();
        let config = EngineConfig { keep_in_memory: 1_000, ..Default::default() };
        let engine = factory.world.engine(config);
        let left = factory.chain(factory.genesis(), 1, depth);
        let right = factory.chain(factory.genesis(), 2, depth);
        for block in left.iter().chain(&right) {
            engine.insert(block.clone()).unwrap();
        }
        let tips = [left[depth - 1].seal(), right[depth - 1].seal()];
        let mut turn = 0;
        criterion.bench_function(&format!("fork choice, reorg of {depth}"), |bencher| {
            bencher.iter(|| {
                turn ^= 1;
                engine.fork_choice(head(tips[turn])).unwrap()
            });
        });
    }
}

fn insert(criterion: &mut Criterion) {
    let factory = Factory::new();
    let txs = (0..200).map(|nonce| factory.world.store(0, nonce, nonce, 1)).collect();
    let block = factory.block(factory.genesis(), 0, txs);
    criterion.bench_function("insert a block of 200 storage writes", |bencher| {
        bencher.iter_batched(
            || factory.world.engine(EngineConfig::default()),
            |engine| {
                engine.insert(block.clone()).unwrap();
                engine
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, fork_choice, insert);
criterion_main!(benches);
