//! How fast real rollup blocks execute from their witness, against the same blocks on a state in memory.
//!
//! `stateless` is all that a prover does for a block that was derived: senders, execution, trie, header.
//! `stateful` is senders and execution alone, on maps that hold exactly what the block reads.

#![allow(missing_docs, reason = "a benchmark")]

use alloy_primitives::Address;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lockstep_chain::{Block, Chain, Rollup};
use lockstep_execution::{BlockOutput, ExecuteOptions, MemoryState, StateReader, execute_block};
use lockstep_stf::{OracleState, execute_stateless};
use lockstep_testkit::{
    fixtures,
    source::Limits,
    witness::{WitnessBlock, find},
};
use op_alloy_consensus::OpReceipt;
use revm as _;

fn blocks() -> Vec<WitnessBlock> {
    let Some(fixtures) = fixtures::folder() else { return Vec::new() };
    let paths = find(&fixtures.join("op-blocks/blocks")).expect("the folder holds blocks");
    let load = |path| WitnessBlock::load(path, &Limits::default()).expect("the block is whole");
    paths.iter().map(|path| load(path.as_path())).collect()
}

/// A block and what it reads.
struct Stateful {
    chain: Rollup,
    block: Block<Rollup>,
    state: MemoryState,
}

impl Stateful {
    fn new(witness: &WitnessBlock) -> Self {
        let WitnessBlock { chain, parent, attributes, preimages, .. } = witness;
        let made = execute_stateless(chain, parent.clone(), attributes, preimages)
            .expect("the block executes");
        let block = made.block.into_inner();
        let source = OracleState::new(preimages, parent.clone());
        let senders = chain.recover_senders(&block).expect("all is signed");
        let options = ExecuteOptions { record_access: true, ..Default::default() };
        let output =
            execute_block(chain, &block, &senders, &source, options).expect("the block executes");
        let mut state = MemoryState::default();
        for item in output.accessed.expect("it was asked for").accounts.0 {
            let Some(info) = source.account(&item.address).expect("it was read") else { continue };
            let code = source.code(&info.code_hash).unwrap_or_default();
            state.set_account(item.address, info.nonce, info.balance, code);
            for slot in item.storage_keys {
                let slot = slot.into();
                let value = source.storage(&item.address, &slot).expect("it was read");
                state.set_slot(item.address, slot, value);
            }
        }
        Self { chain: chain.clone(), block, state }
    }

    fn execute(&self) -> BlockOutput<OpReceipt> {
        let senders: Vec<Address> = self.chain.recover_senders(&self.block).expect("all is signed");
        let options = ExecuteOptions::default();
        execute_block(&self.chain, &self.block, &senders, &self.state, options)
            .expect("the block executes")
    }
}

fn stateless(criterion: &mut Criterion) {
    let blocks = blocks();
    let stateful: Vec<Stateful> = blocks.iter().map(Stateful::new).collect();
    let gas: u64 = stateful.iter().map(|block| block.block.header.gas_used).sum();
    let mut group = criterion.benchmark_group("six OP Sepolia blocks");
    group.throughput(Throughput::Elements(gas));
    group.bench_function("stateful", |bencher| {
        bencher.iter(|| stateful.iter().map(|block| block.execute().gas_used).sum::<u64>());
    });
    group.bench_function("stateless", |bencher| {
        bencher.iter(|| {
            for WitnessBlock { chain, parent, attributes, hash, preimages } in &blocks {
                let made = execute_stateless(chain, parent.clone(), attributes, preimages)
                    .expect("the block executes");
                assert_eq!(made.block.hash(), *hash);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, stateless);
criterion_main!(benches);
