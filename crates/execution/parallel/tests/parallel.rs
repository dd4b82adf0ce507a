//! Real blocks, against the serial executor. Skipped visibly if `LOCKSTEP_FIXTURES` does not name them, but for the
//! block that is in this repository.

use alloy_primitives::{Address, B256, Sealed, U256};
use lockstep_chain::{Block, Chain, Rollup};
use lockstep_execution::{
    AccountInfo, BlockOutput, Bytecode, ExecuteOptions, Speculate, StateReader, execute_block,
};
use lockstep_parallel::{ParallelExecutor, Statistics};
use lockstep_stf::execute_stateless;
use lockstep_testkit::{
    fixtures,
    mainnet::{self, Fixture, visit},
    source::Limits,
    stateless::Stateless,
    witness::{WitnessBlock, find},
};
use lockstep_trie::NodeSet;
use std::{fmt::Debug, ops::ControlFlow, path::Path, sync::Mutex};

fn options<'a>() -> ExecuteOptions<'a> {
    ExecuteOptions { record_access: true, record_hints: true, ..Default::default() }
}

/// Executes a block with executors of 1 to 4 threads and holds what they make against what the serial one makes.
fn assert_same<C: Speculate, S: StateReader<Error: Debug> + Sync>(
    executors: &[ParallelExecutor],
    chain: &C,
    block: &Block<C>,
    senders: &[Address],
    state: &S,
) where
    BlockOutput<C::Receipt>: PartialEq,
{
    let expected = execute_block(chain, block, senders, state, options()).expect("it is valid");
    for executor in executors {
        let found = executor.execute_block(chain, block, senders, state, options());
        let is_same = found.expect("it is valid") == expected;
        assert!(is_same, "{executor:?} makes something else of {:?}", block.header);
    }
}

fn executors() -> Vec<ParallelExecutor> {
    let start = |threads| ParallelExecutor::new(threads).expect("threads start");
    vec![start(1), start(2), start(2).always_parallel(), start(4).always_parallel()]
}

fn all(executors: &[ParallelExecutor]) -> Statistics {
    executors.last().expect("there are some").statistics()
}

#[test]
fn mainnet_blocks_are_the_same_to_several_threads() {
    let executors = executors();
    let mut blocks = 0;
    let mut check = |fixture: Result<Fixture, _>| {
        let fixture = fixture.expect("the fixture is whole");
        // What it lacks is read as empty, or fails, in the same way.
        if fixture.is_complete() {
            let (chain, block, state) = (fixture.chain(), fixture.block(), fixture.state());
            assert_same(&executors, chain, block, fixture.senders(), state);
            blocks += 1;
        }
        ControlFlow::Continue(())
    };
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testkit/samples/blocks");
    let limits = mainnet::Limits::default();
    assert!(visit(&samples, &limits, &mut check).is_continue());
    if let Some(fixtures) = fixtures::folder() {
        let folder = fixtures.join("mainnet-blocks");
        assert!(visit(&folder, &limits, &mut check).is_continue());
        assert!(blocks > 50, "{blocks} blocks");
        let Statistics { ahead, again, transfers, .. } = all(&executors);
        // How many, the scheduler of the threads decides; about 2,000.
        assert!(ahead > 100, "{ahead} of {again} outcomes were of use");
        assert!(transfers > 100, "{transfers} transfers");
    }
}

/// A state that is read from a witness, by one thread at a time.
struct Shared(Mutex<Stateless>);

impl Shared {
    fn read<T, E: Debug>(
        &self,
        read: impl FnOnce(&Stateless) -> Result<T, E>,
    ) -> Result<T, String> {
        read(&self.0.lock().expect("nobody panics")).map_err(|error| format!("{error:?}"))
    }
}

/// What the witness does not hold.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Missing(String);

impl From<String> for Missing {
    fn from(what: String) -> Self {
        Self(what)
    }
}

impl StateReader for Shared {
    type Error = Missing;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Missing> {
        Ok(self.read(|state| state.account(address))?)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Missing> {
        Ok(self.read(|state| state.storage(address, slot))?)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Missing> {
        Ok(self.read(|state| state.has_storage(address))?)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Missing> {
        Ok(self.read(|state| state.code(code_hash))?)
    }

    fn block_hash(&self, number: u64) -> Result<B256, Missing> {
        Ok(self.read(|state| state.block_hash(number))?)
    }
}

/// A block that is executed on what its witness holds.
struct WitnessState {
    chain: Rollup,
    block: Sealed<Block<Rollup>>,
    senders: Vec<Address>,
    state: Shared,
}

impl WitnessState {
    fn load(path: &Path) -> Self {
        let WitnessBlock { chain, parent, attributes, hash, preimages } =
            WitnessBlock::load(path, &Limits::default()).expect("the block is whole");
        let root = parent.state_root;
        let block = execute_stateless(&chain, parent, &attributes, &preimages);
        let block = block.expect("it executes").block;
        assert_eq!(block.hash(), hash);
        let mut nodes = NodeSet::new();
        for (_, preimage) in preimages.iter() {
            nodes.insert(preimage.clone());
        }
        let state = Shared(Mutex::new(Stateless::new(root, nodes)));
        let senders = chain.recover_senders(&block).expect("all is signed");
        Self { chain, block, senders, state }
    }
}

/// More than are ever needed.
const MAX_PASSES: usize = 1_000;

#[test]
fn rollup_blocks_are_the_same_to_several_threads() {
    let Some(fixtures) = fixtures::folder() else { return };
    let executors = executors();
    let paths = find(&fixtures.join("op-blocks/blocks")).expect("the folder holds blocks");
    assert_eq!(paths.len(), 6);
    let blocks: Vec<_> = paths.iter().map(|path| WitnessState::load(path)).collect();
    // There are few transactions, and the scheduler of the threads decides who is first to execute them.
    let are_ahead = (0..MAX_PASSES).any(|_| {
        for WitnessState { chain, block, senders, state } in &blocks {
            assert_same(&executors, chain, block, senders, state);
        }
        all(&executors).ahead > 20
    });
    assert!(are_ahead, "what is executed ahead is of no use");
}
