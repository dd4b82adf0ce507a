//! Against the serial executor.

mod explore;
mod generate;
mod ranges;

use crate::{ParallelExecutor, StateCache};
use generate::Case;
pub(crate) use generate::Rng;
use lockstep_chain::EthereumReceipt;
use lockstep_execution::{BlockOutput, ExecuteOptions, execute_block};
use std::sync::Arc;

type Output = Result<BlockOutput<EthereumReceipt>, String>;

fn options<'a>() -> ExecuteOptions<'a> {
    ExecuteOptions { record_access: true, ..Default::default() }
}

fn serial(case: &Case) -> Output {
    let Case { chain, block, senders, state } = case;
    execute_block(chain, block, senders, state, options()).map_err(|error| error.to_string())
}

/// Enough to have seen every kind of conflict.
const CASES: u64 = 1_500;

#[test]
fn threads_come_to_the_bits_of_the_serial_executor() {
    let executors = [1, 2, 3, 8]
        .map(|threads| ParallelExecutor::new(threads).expect("threads start").always_parallel());
    let (mut valid, mut successes) = (0, 0);
    for seed in 0..CASES {
        let case = Case::new(seed);
        let Case { chain, block, senders, state } = &case;
        let expected = serial(&case);
        for executor in &executors {
            let found = executor.execute_block(chain, block, senders, state, options());
            assert_eq!(found.map_err(|error| error.to_string()), expected, "seed {seed}");
        }
        if let Ok(output) = expected {
            valid += 1;
            successes += output.receipts.len();
        }
    }
    assert!(valid > CASES / 3, "most blocks are invalid: {valid} are not");
    assert!(successes > 1_000, "little is executed");
}

/// Executes a block twice through a cache, which knows more the second time.
pub(crate) fn assert_same_through(executor: &ParallelExecutor, cache: &Arc<StateCache>, seed: u64) {
    let case = Case::new(seed);
    let expected = serial(&case);
    let Case { chain, block, senders, state } = &case;
    cache.begin(block.header.parent_hash);
    for _ in 0..2 {
        let cached = cache.over(block.header.parent_hash, state);
        let found = executor.execute_block(chain, block, senders, &cached, options());
        assert_eq!(found.map_err(|error| error.to_string()), expected, "seed {seed}");
    }
}

/// Every order in which workers may execute, with what they may know by then.
#[test]
fn any_schedule_comes_to_the_bits_of_the_serial_executor() {
    let mut adopted = 0;
    for seed in 0..CASES {
        let case = Case::new(seed);
        let expected = serial(&case);
        for schedule in 0..3 {
            let mut rng = Rng::new(seed ^ (schedule << 32) ^ 0x5eed);
            let (found, taken) = explore::run(&case, &mut rng);
            assert_eq!(found, expected, "seed {seed}, schedule {schedule}");
            adopted += taken;
        }
    }
    assert!(adopted > 1_000, "nearly nothing that was executed ahead was of use: {adopted}");
}

/// `LOCKSTEP_BLOCKS` blocks (100,000 if it is not set), beyond those of the other tests.
#[test]
#[ignore = "takes minutes"]
#[expect(clippy::disallowed_methods, reason = "a test reads the environment")]
fn many_more_blocks() {
    let blocks = std::env::var("LOCKSTEP_BLOCKS").ok().and_then(|text| text.parse().ok());
    let executor = ParallelExecutor::new(4).expect("threads start").always_parallel();
    for seed in 0..blocks.unwrap_or(100_000) {
        let seed = seed ^ 0xb10c_0000_0000;
        let case = Case::new(seed);
        let Case { chain, block, senders, state } = &case;
        let expected = serial(&case);
        let found = executor.execute_block(chain, block, senders, state, options());
        assert_eq!(found.map_err(|error| error.to_string()), expected, "seed {seed}");
        let (found, _) = explore::run(&case, &mut Rng::new(seed));
        assert_eq!(found, expected, "seed {seed}, explored");
    }
}
