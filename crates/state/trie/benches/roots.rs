//! Roots after updating one percent of 100,000 keys, against full rebuilds.

use alloy_primitives::{B256, keccak256};
use alloy_trie::{HashBuilder, Nibbles};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use lockstep_trie::{NoSource, RootBuilder, SparseTrie};
use std::{collections::BTreeMap, hint::black_box};

const KEYS: u32 = 100_000;
const UPDATED: u32 = KEYS / 100;
/// The length of an account's RLP with a small balance and nonce.
const VALUE_LEN: usize = 75;

fn key(index: u32) -> Nibbles {
    Nibbles::unpack(keccak256(index.to_be_bytes()))
}

fn content() -> BTreeMap<Nibbles, Vec<u8>> {
    (0..KEYS).map(|index| (key(index), vec![index as u8 | 1; VALUE_LEN])).collect()
}

fn alloy_root(content: &BTreeMap<Nibbles, Vec<u8>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in content {
        builder.add_leaf(*key, value);
    }
    builder.root()
}

fn our_root(content: &BTreeMap<Nibbles, Vec<u8>>) -> B256 {
    let mut builder = RootBuilder::new();
    for (key, value) in content {
        builder.push(key, value).expect("a map is sorted");
    }
    builder.root()
}

fn trie(content: &BTreeMap<Nibbles, Vec<u8>>) -> SparseTrie {
    let mut trie = SparseTrie::empty();
    for (key, value) in content {
        trie.insert(key, value, &NoSource).expect("nothing is blinded");
    }
    trie
}

fn update(trie: &mut SparseTrie, keys: &[Nibbles], round: u8) {
    for key in keys {
        trie.insert(key, &[round; VALUE_LEN], &NoSource).expect("nothing is blinded");
    }
}

fn roots(criterion: &mut Criterion) {
    let content = content();
    assert_eq!(our_root(&content), alloy_root(&content));
    let mut group = criterion.benchmark_group("100k keys");
    group.sample_size(20);
    group.bench_function("full rebuild, alloy-trie", |bench| bench.iter(|| alloy_root(&content)));
    group.bench_function("full rebuild, RootBuilder", |bench| bench.iter(|| our_root(&content)));
    group.bench_function("full rebuild, SparseTrie", |bench| {
        bench.iter(|| trie(&content).root());
    });

    let mut trie = trie(&content);
    trie.root();
    let keys: Vec<_> = (0..KEYS).step_by((KEYS / UPDATED) as usize).map(key).collect();
    let mut round = 0u8;
    group.bench_function("update 1 %, then root", |bench| {
        bench.iter(|| {
            round = round.wrapping_add(1);
            update(&mut trie, &keys, round);
            black_box(trie.root())
        });
    });
    group.bench_function("remove 1 %, then root", |bench| {
        bench.iter_batched(
            || trie.clone(),
            |mut trie| {
                for key in &keys {
                    trie.remove(key, &NoSource).expect("nothing is blinded");
                }
                black_box(trie.root());
                trie
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, roots);
criterion_main!(benches);
