//! How fast blocks of a union are made, from pooled transactions to new heads: by number of rollups, and super
//! transactions beside what they do run separately.
//!
//! `cargo bench -p lockstep-gateway`; a time is that of one round, the throughput counts its gas. With
//! `LOCKSTEP_BENCH_SUMMARY` set it prints instead, as one line of JSON, the median gas per second by number of rollups, and how
//! many times as long super transactions of two rollups take as their parts run separately.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark"
)]
#![allow(dead_code, reason = "the world is that of the tests, which use all of it")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
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

const TRANSACTIONS: usize = 400;

/// Each sends one super transaction: a second one would wait for the next update.
const USERS: usize = TRANSACTIONS / 2;

/// A union whose next blocks are due, with these wishes of many users in its pools.
fn prepared(rollups: usize, wishes: &[Wish]) -> (World, Running) {
    let mut world = World::new(rollups, USERS as u64);
    let running = world.start();
    for (n, wish) in wishes.iter().enumerate() {
        world.send(&running.pools, n % USERS, wish);
    }
    world.clock.pass(std::time::Duration::from_secs(1));
    // So that a round is one pass, however long it takes.
    world.clock.stop();
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

/// Calls of each rollup's own app.
fn calls_of_each(rollups: usize) -> Vec<Wish> {
    (0..rollups).map(chain).flat_map(|home| vec![Wish::new(home, APP); TRANSACTIONS]).collect()
}

fn jointly() -> Vec<Wish> {
    vec![Wish::through(chain(0), &[proxy_of(chain(1), APP)]); TRANSACTIONS / 2]
}

/// What [`jointly`] does, separately: the same storage is written on both, and the home's app makes a call.
fn their_parts() -> Vec<Wish> {
    let on_home = vec![Wish::through(chain(0), &[APP]); TRANSACTIONS / 2];
    [on_home, vec![Wish::new(chain(1), APP); TRANSACTIONS / 2]].concat()
}

fn by_rollups(criterion: &mut Criterion) {
    for rollups in [1, 2, 4, 8] {
        let name = format!("{rollups}_rollups");
        bench(criterion, "calls", &name, rollups, &calls_of_each(rollups));
    }
}

fn super_transactions(criterion: &mut Criterion) {
    bench(criterion, "two_rollups", "super_transactions", 2, &jointly());
    bench(criterion, "two_rollups", "their_parts", 2, &their_parts());
}

/// Rounds of which the median counts.
const ROUNDS: usize = 9;

/// The median time of a round with these wishes, so many of them super transactions, and its gas.
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn median(rollups: usize, wishes: &[Wish], supers: usize) -> (std::time::Duration, u64) {
    let rounds = (0..ROUNDS).map(|_| {
        let (world, mut running) = prepared(rollups, wishes);
        let begun = std::time::Instant::now();
        let made = running.gateway.make_blocks(&*world.clock, &running.bell);
        let took = begun.elapsed();
        let made = made.unwrap().unwrap();
        assert_eq!(made.super_transactions, supers, "all are in the round");
        (took, made.gas_used)
    });
    let mut rounds: Vec<_> = rounds.collect();
    rounds.sort();
    rounds[ROUNDS / 2]
}

fn print_summary() {
    let per_second = |(took, gas): (std::time::Duration, u64)| gas as f64 / took.as_secs_f64();
    let by_rollups = [1, 2, 4, 8].map(|rollups| {
        let measured = median(rollups, &calls_of_each(rollups), 0);
        format!("\"{rollups}\":{:.0}", per_second(measured))
    });
    let (jointly, parts) =
        (median(2, &jointly(), TRANSACTIONS / 2).0, median(2, &their_parts(), 0).0);
    let ratio = jointly.as_secs_f64() / parts.as_secs_f64();
    let by_rollups = by_rollups.join(",");
    println!("{{\"gas_per_s\":{{{by_rollups}}},\"super_to_parts\":{ratio:.2}}}");
}

criterion_group!(benches, by_rollups, super_transactions);

fn main() {
    if std::env::var_os("LOCKSTEP_BENCH_SUMMARY").is_some() {
        print_summary();
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
