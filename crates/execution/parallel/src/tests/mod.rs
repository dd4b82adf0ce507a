//! Against the serial executor.

mod explore;
mod failing;
mod foretold;
mod generate;
mod guards;
mod hints;
mod programs;
mod ranges;
mod rng;
mod rollup;
mod senders;
mod transactions;
mod world;

use crate::{ParallelExecutor, StateCache, memory::Tables};
use failing::Failing;
use generate::Case;
use lockstep_chain::{Chain, Ethereum, Rollup};
use lockstep_execution::{BlockOutput, ExecuteOptions, Speculate, StateReader, execute_block};
pub(crate) use rng::Rng;
use std::{fmt::Debug, sync::Arc};

type Output<C> = Result<BlockOutput<<C as Chain>::Receipt>, String>;

fn options<'a>() -> ExecuteOptions<'a> {
    ExecuteOptions { record_access: true, ..Default::default() }
}

fn recording<'a>() -> ExecuteOptions<'a> {
    ExecuteOptions { record_hints: true, ..options() }
}

fn serial<C: Speculate, S: StateReader>(case: &Case<C, S>) -> Output<C> {
    let Case { chain, block, senders, state } = case;
    execute_block(chain, block, senders, state, recording()).map_err(|error| error.to_string())
}

/// The ways in which blocks are executed, and what came of it.
struct Trial {
    executors: Vec<ParallelExecutor>,
    /// How often each block is executed in an order that a seed decides.
    schedules: u64,
    blocks: u64,
    valid: u64,
    transactions: usize,
    /// Outcomes from before their turns that were of use in such an order.
    adopted: usize,
}

impl Trial {
    fn new(threads: &[usize], schedules: u64) -> Self {
        let start = |threads: &usize| {
            ParallelExecutor::new(*threads).expect("threads start").always_parallel()
        };
        let executors = threads.iter().map(start).collect();
        Self { executors, schedules, blocks: 0, valid: 0, transactions: 0, adopted: 0 }
    }

    /// Executes a block in all ways.
    fn execute<C: Speculate, S: StateReader + Sync>(&mut self, seed: u64, case: &Case<C, S>)
    where
        Output<C>: PartialEq + Debug,
    {
        let Case { chain, block, senders, state } = case;
        let expected = serial(case);
        for executor in &self.executors {
            if seed.is_multiple_of(8) {
                executor.lend(Tables::with_room_for(9, 9));
            }
            let found = executor.execute_block(chain, block, senders, state, recording());
            assert_eq!(found.map_err(|error| error.to_string()), expected, "seed {seed}");
        }
        for schedule in 0..self.schedules {
            let mut rng = Rng::new(seed ^ (schedule << 32) ^ 0x5eed);
            let (found, adopted) = explore::run(case, &mut rng);
            assert_eq!(found, expected, "seed {seed}, schedule {schedule}");
            self.adopted += adopted;
        }
        self.blocks += 1;
        if let Ok(output) = expected {
            self.valid += 1;
            self.transactions += output.receipts.len();
        }
    }

    /// Executes a block whose state cannot be read everywhere.
    fn execute_failing<C: Speculate>(&mut self, seed: u64, case: Case<C>)
    where
        Output<C>: PartialEq + Debug,
    {
        let Case { chain, block, senders, state } = case;
        self.execute(seed, &Case { chain, block, senders, state: Failing::new(state, seed) });
    }
}

/// Executes a block twice through a cache, which knows more the second time.
pub(crate) fn assert_same_through(executor: &ParallelExecutor, cache: &Arc<StateCache>, seed: u64) {
    let case = Case::<Ethereum>::new(seed);
    let expected = serial(&case);
    let Case { chain, block, senders, state } = &case;
    let parent = block.header.parent_hash;
    cache.begin(parent);
    for _ in 0..2 {
        let cached = cache.over(parent, state);
        let found = executor.execute_block(chain, block, senders, &cached, recording());
        assert_eq!(found.map_err(|error| error.to_string()), expected, "seed {seed}");
    }
}

/// Enough to have seen every kind of conflict.
const CASES: u64 = 1_000;

#[test]
fn blocks_of_ethereum_are_the_same_on_threads_and_in_any_schedule() {
    let mut trial = Trial::new(&[1, 2, 3, 8], 3);
    (0..CASES).for_each(|seed| trial.execute(seed, &Case::<Ethereum>::new(seed)));
    let Trial { valid, transactions, adopted, .. } = trial;
    assert!(valid > CASES / 4, "most blocks are invalid: {valid} are not");
    assert!(transactions > 1_000, "little is executed");
    assert!(adopted > 1_000, "nearly nothing that was executed ahead was of use: {adopted}");
}

#[test]
fn blocks_of_rollups_are_the_same_on_threads_and_in_any_schedule() {
    let mut trial = Trial::new(&[1, 2, 4], 2);
    (0..CASES).for_each(|seed| trial.execute(seed, &Case::<Rollup>::new_rollup(seed)));
    let Trial { valid, transactions, adopted, .. } = trial;
    assert!(valid > CASES / 4, "most blocks are invalid: {valid} are not");
    assert!(transactions > 1_000, "little is executed");
    assert!(adopted > 1_000, "nearly nothing that was executed ahead was of use: {adopted}");
}

#[test]
fn what_cannot_be_read_is_the_same_on_threads_and_in_any_schedule() {
    let mut trial = Trial::new(&[1, 2, 4], 2);
    for seed in 0..CASES {
        trial.execute_failing(seed, Case::<Ethereum>::new(seed));
        trial.execute_failing(seed, Case::<Rollup>::new_rollup(seed));
    }
    let Trial { blocks, valid, .. } = trial;
    assert!(valid > blocks / 20, "nearly all blocks fail: {valid} do not");
    assert!(valid < blocks * 2 / 3, "nearly no block fails: {valid} do not");
}

/// `LOCKSTEP_BLOCKS` blocks (100,000 if it is not set), beyond those of the other tests.
#[test]
#[ignore = "takes minutes"]
#[expect(clippy::disallowed_methods, reason = "a test reads the environment")]
fn many_more_blocks() {
    let blocks = std::env::var("LOCKSTEP_BLOCKS").ok().and_then(|text| text.parse().ok());
    let mut trial = Trial::new(&[4], 1);
    for seed in 0..blocks.unwrap_or(100_000) {
        let seed = seed ^ 0xb10c_0000_0000;
        match seed % 8 {
            0..4 => trial.execute(seed, &Case::<Ethereum>::new(seed)),
            4..6 => trial.execute(seed, &Case::<Rollup>::new_rollup(seed)),
            6 => trial.execute_failing(seed, Case::<Ethereum>::new(seed)),
            _ => trial.execute_failing(seed, Case::<Rollup>::new_rollup(seed)),
        }
    }
}
