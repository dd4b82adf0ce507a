//! What hints are worth on real blocks and on made-up ones that are full of conflicts: nothing is executed again.

use alloy_primitives::Address;
use lockstep_chain::{Block, Chain, Ethereum, EthereumHardfork};
use lockstep_execution::{
    BlockHints, BlockOutput, Dependencies, ExecuteOptions, Hints, Needs, StateReader, execute_block,
};
use lockstep_parallel::ParallelExecutor;
use lockstep_testkit::{
    fixtures,
    gigagas::{Generator, Settings, Workload},
    mainnet::{self, Fixture, visit},
};
use std::{fmt::Debug, ops::ControlFlow, path::Path};

/// A block with what its execution needs.
struct Task<'t, S> {
    chain: &'t Ethereum,
    block: &'t Block<Ethereum>,
    senders: &'t [Address],
    state: &'t S,
}

type Output = BlockOutput<lockstep_chain::EthereumReceipt>;

impl<S: StateReader<Error: Debug> + Sync> Task<'_, S> {
    /// What the serial executor makes of the block and records.
    fn recorded(&self) -> Output {
        let Task { chain, block, senders, state } = self;
        let options = ExecuteOptions { record_hints: true, ..Default::default() };
        execute_block(*chain, block, senders, state, options).expect("it is valid")
    }

    /// Executes the block with hints, and how many transactions were executed twice.
    fn executed_again(
        &self,
        executor: &ParallelExecutor,
        hints: Hints<'_>,
        expected: &Output,
    ) -> u64 {
        let Task { chain, block, senders, state } = self;
        let before = executor.statistics().again;
        let options = ExecuteOptions { record_hints: true, hints, ..Default::default() };
        let found = executor.execute_block(*chain, block, senders, *state, options);
        let is_same = found.expect("it is valid") == *expected;
        assert!(is_same, "{executor:?} makes something else of {:?}", block.header);
        executor.statistics().again - before
    }
}

fn executors() -> [ParallelExecutor; 3] {
    [2, 3, 8]
        .map(|threads| ParallelExecutor::new(threads).expect("threads start").always_parallel())
}

#[test]
fn mainnet_blocks_are_executed_once() {
    let executors = executors();
    let mut blocks = 0;
    let mut check = |fixture: Result<Fixture, _>| {
        let fixture = fixture.expect("the fixture is whole");
        // Before EIP-161 and EIP-6780 hints cannot say all.
        let is_new = fixture.chain().fork(&fixture.block().header) >= EthereumHardfork::Cancun;
        if !fixture.is_complete() || !is_new {
            return ControlFlow::Continue(());
        }
        let (chain, block, state) = (fixture.chain(), fixture.block(), fixture.state());
        let task = Task { chain, block, senders: fixture.senders(), state };
        let expected = task.recorded();
        let BlockHints { access_list, dependencies } =
            expected.hints.as_ref().expect("it was asked for");
        for executor in &executors {
            let number = fixture.number();
            let again = task.executed_again(executor, Hints::AccessList(access_list), &expected);
            assert_eq!(again, 0, "block {number}, access list");
            let hints = Hints::Dependencies(dependencies);
            let again = task.executed_again(executor, hints, &expected);
            assert_eq!(again, 0, "block {number}, dependencies");
        }
        blocks += 1;
        ControlFlow::Continue(())
    };
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testkit/samples/blocks");
    let limits = mainnet::Limits::default();
    assert!(visit(&samples, &limits, &mut check).is_continue());
    if let Some(fixtures) = fixtures::folder() {
        assert!(visit(&fixtures.join("mainnet-blocks"), &limits, &mut check).is_continue());
        let ahead: u64 = executors.iter().map(|executor| executor.statistics().ahead).sum();
        assert!(blocks > 5 && ahead > 100, "{blocks} blocks, {ahead} transactions ahead");
    }
}

#[test]
fn blocks_full_of_conflicts_are_executed_once() {
    let executors = executors();
    for workload in [Workload::Conflict, Workload::Relay, Workload::Uniswap] {
        let settings = Settings::new(workload, 20_000_000, 7).expect("it is within bounds");
        let mut generator = Generator::new(settings);
        let made = generator.next_block().expect("a block can be made");
        let (chain, state) = (generator.chain(), generator.state());
        let task = Task { chain, block: &made.block, senders: &made.senders, state };
        let expected = task.recorded();
        let BlockHints { access_list, dependencies } =
            expected.hints.as_ref().expect("it was asked for");
        for executor in &executors {
            let hints = Hints::AccessList(access_list);
            assert_eq!(task.executed_again(executor, hints, &expected), 0, "{workload}");
            let hints = Hints::Dependencies(dependencies);
            assert_eq!(task.executed_again(executor, hints, &expected), 0, "{workload}");
        }
    }
}

/// Rings, and lists that are of another block, where many threads are at work for long.
#[test]
fn wrong_hints_do_not_stop_threads() {
    let executors = executors();
    let settings = Settings::new(Workload::Relay, 20_000_000, 7).expect("it is within bounds");
    let mut generator = Generator::new(settings);
    let first = generator.next_block().expect("a block can be made");
    let task = Task {
        chain: generator.chain(),
        block: &first.block,
        senders: &first.senders,
        state: generator.state(),
    };
    let other = task.recorded().hints.expect("it was asked for");
    let made = generator.next_block().expect("a block can be made");
    let (chain, state) = (generator.chain(), generator.state());
    let task = Task { chain, block: &made.block, senders: &made.senders, state };
    let expected = task.recorded();
    let count = u32::try_from(made.senders.len()).expect("few");
    let graph = |needs: &dyn Fn(u32) -> Needs| Dependencies {
        transactions: (0..count).map(needs).collect(),
    };
    let graphs = [
        graph(&|place| Needs::These(vec![(place + 1) % count])),
        graph(&|place| Needs::These(vec![place.saturating_sub(1)])),
        graph(&|place| Needs::These((0..place.min(300)).collect())),
        graph(&|_| Needs::AllBefore),
        graph(&|_| Needs::These(vec![u32::MAX])),
    ];
    for executor in &executors {
        let hints = Hints::AccessList(&other.access_list);
        task.executed_again(executor, hints, &expected);
        for graph in &graphs {
            task.executed_again(executor, Hints::Dependencies(graph), &expected);
        }
    }
}
