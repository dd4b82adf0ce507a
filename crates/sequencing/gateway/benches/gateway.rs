//! How fast blocks of a union are made, from pooled transactions to new heads: by number of rollups, and super
//! transactions beside what they do run separately.
//!
//! `cargo bench -p lockstep-gateway`; a time is that of one round, the throughput counts its gas.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark"
)]
#![allow(dead_code, reason = "the world is that of the tests, which use all of it")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lockstep_union::proxy_of;
use std::hint::black_box;
use union::{APP, Wish, chain};
use world::{Running, World};

#[path = "../tests/gateway/l1.rs"]
mod l1;
#[path = "../tests/gateway/storage.rs"]
mod storage;
#[path = "../tests/gateway/union.rs"]
mod union;
#[path = "../tests/gateway/world.rs"]
mod world;

const USERS: usize = 50;
const TRANSACTIONS: usize = 400;

/// A union whose next blocks are due, with these wishes of many users in its pools.
fn prepared(rollups: usize, wishes: &[Wish]) -> (World, Running) {
    let mut world = World::new(rollups, USERS as u64);
    let running = world.start();
    for (n, wish) in wishes.iter().enumerate() {
        world.send(&running.pools, n % USERS, wish);
    }
    world.clock.pass(std::time::Duration::from_secs(1));
    (world, running)
}

fn bench(criterion: &mut Criterion, group: &str, name: &str, rollups: usize, wishes: &[Wish]) {
    let (world, mut running) = prepared(rollups, wishes);
    let report = world.round(&mut running).unwrap().unwrap();
    let mut group = criterion.benchmark_group(group);
    group.sample_size(10).throughput(Throughput::Elements(report.gas_used));
    group.bench_function(name, |bencher| {
        bencher.iter_batched(
            || prepared(rollups, wishes),
            |(world, mut running)| {
                let made = running.gateway.make_blocks(&*world.clock, &running.bell);
                black_box(made.unwrap().unwrap());
                // They are dropped outside of what is measured.
                (world, running)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn by_rollups(criterion: &mut Criterion) {
    for rollups in [1, 2, 4, 8] {
        let homes = (0..rollups).map(chain);
        let wishes: Vec<Wish> =
            homes.flat_map(|home| vec![Wish::new(home, APP); TRANSACTIONS]).collect();
        bench(criterion, "calls", &format!("{rollups}_rollups"), rollups, &wishes);
    }
}

fn super_transactions(criterion: &mut Criterion) {
    let (a, b) = (chain(0), chain(1));
    let jointly = vec![Wish::through(a, &[proxy_of(b, APP)]); TRANSACTIONS / 2];
    bench(criterion, "two_rollups", "super_transactions", 2, &jointly);
    // The same storage is written on both, and the home's app makes a call.
    let on_home = vec![Wish::through(a, &[APP]); TRANSACTIONS / 2];
    let on_peer = vec![Wish::new(b, APP); TRANSACTIONS / 2];
    bench(criterion, "two_rollups", "their_parts", 2, &[on_home, on_peer].concat());
}

criterion_group!(benches, by_rollups, super_transactions);
criterion_main!(benches);
