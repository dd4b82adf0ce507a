//! Blocks that follow each other, against the serial executor over the state that each leaves behind.

use super::{generate::Case, options, rng::Rng};
use crate::{ParallelExecutor, RangeBlock};
use alloy_consensus::BlockBody;
use alloy_primitives::Address;
use lockstep_chain::{Block, Ethereum};
use lockstep_execution::execute_block;
use std::ops::ControlFlow;

type Output = super::Output<Ethereum>;

const CASES: u64 = 600;

/// The block's transactions in several blocks, some of them empty.
fn cut(case: &Case<Ethereum>, rng: &mut Rng) -> Vec<(Block<Ethereum>, Vec<Address>)> {
    let mut blocks: Vec<(Block<Ethereum>, Vec<Address>)> = Vec::new();
    let mut rest = case.block.body.transactions.iter().cloned().zip(case.senders.iter().copied());
    while rest.len() > 0 || blocks.is_empty() {
        let count = rng.below(8) as usize;
        let (transactions, senders) = rest.by_ref().take(count).unzip();
        let mut header = case.block.header.clone();
        header.number += blocks.len() as u64;
        if let Some((parent, _)) = blocks.last() {
            header.parent_hash = parent.header.hash_slow();
        }
        let body = BlockBody { transactions, ..Default::default() };
        blocks.push((Block::<Ethereum>::new(header, body), senders));
    }
    blocks
}

/// One after the other, up to the first that cannot be executed.
fn serial(case: &Case<Ethereum>, blocks: &[(Block<Ethereum>, Vec<Address>)]) -> Vec<Output> {
    let mut state = case.state.clone();
    let mut outputs = Vec::new();
    for (block, senders) in blocks {
        let output = execute_block(&case.chain, block, senders, &state, options());
        if let Ok(output) = &output {
            state.apply(&output.changes);
            state.set_block_hash(block.header.number, block.header.hash_slow());
        }
        let is_last = output.is_err();
        outputs.push(output.map_err(|error| error.to_string()));
        if is_last {
            break;
        }
    }
    outputs
}

fn in_one_run(
    executor: &ParallelExecutor,
    case: &Case<Ethereum>,
    blocks: &[(Block<Ethereum>, Vec<Address>)],
    stop_after: usize,
) -> Vec<Output> {
    let blocks: Vec<_> =
        blocks.iter().map(|(block, senders)| RangeBlock { block, senders }).collect();
    let mut outputs = Vec::new();
    executor.execute_range(&case.chain, &blocks, &case.state, true, &mut |index, output| {
        assert_eq!(index, outputs.len());
        outputs.push(output.map_err(|error| error.to_string()));
        if outputs.len() == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    outputs
}

#[test]
fn a_range_comes_to_what_its_blocks_come_to_one_after_the_other() {
    let executors = [1, 2, 4]
        .map(|threads| ParallelExecutor::new(threads).expect("threads start").always_parallel());
    let (mut valid, mut ahead) = (0, 0);
    for seed in 0..CASES {
        let case = Case::<Ethereum>::new(seed);
        let blocks = cut(&case, &mut Rng::new(seed));
        let expected = serial(&case, &blocks);
        valid += expected.iter().filter(|output| output.is_ok()).count();
        for executor in &executors {
            let found = in_one_run(executor, &case, &blocks, usize::MAX);
            assert_eq!(found, expected, "seed {seed}, {} threads", executor.threads());
            ahead += executor.statistics().ahead;
        }
    }
    assert!(valid > 1_000, "{valid} blocks were valid");
    assert!(ahead > 1_000, "{ahead} outcomes were of use");
}

#[test]
fn a_range_ends_where_it_is_told_to() {
    let executor = ParallelExecutor::new(3).expect("threads start").always_parallel();
    for seed in 0..50 {
        let case = Case::<Ethereum>::new(seed);
        let blocks = cut(&case, &mut Rng::new(seed));
        let expected = serial(&case, &blocks);
        let found = in_one_run(&executor, &case, &blocks, 2);
        assert_eq!(found, expected.get(..2).unwrap_or(&expected), "seed {seed}");
    }
}

/// More blocks than are looked at together: what the first one writes, the last one reads, with which a part begins.
#[test]
fn a_long_range_is_executed_in_parts() {
    let executor = ParallelExecutor::new(4).expect("threads start").always_parallel();
    let mut valid = 0;
    for seed in 0..400 {
        let case = Case::<Ethereum>::new(seed);
        let all = case.block.body.transactions.iter().zip(&case.senders).collect::<Vec<_>>();
        let (first, last) = all.split_at(all.len() / 3);
        let mut blocks: Vec<(Block<Ethereum>, Vec<Address>)> = Vec::new();
        for part in [first].into_iter().chain(vec![&[][..]; 63]).chain([last]) {
            let mut header = case.block.header.clone();
            header.number += blocks.len() as u64;
            if let Some((parent, _)) = blocks.last() {
                header.parent_hash = parent.header.hash_slow();
            }
            let (transactions, senders) =
                part.iter().map(|(tx, sender)| ((*tx).clone(), **sender)).unzip();
            let body = BlockBody { transactions, ..Default::default() };
            blocks.push((Block::<Ethereum>::new(header, body), senders));
        }
        let expected = serial(&case, &blocks);
        assert_eq!(in_one_run(&executor, &case, &blocks, usize::MAX), expected, "seed {seed}");
        valid += usize::from(expected.len() == blocks.len());
    }
    assert!(valid > 100, "{valid} ranges were executed to their ends");
}
