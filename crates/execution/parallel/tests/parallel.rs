//! Real blocks, against the serial executor. Skipped visibly if `LOCKSTEP_FIXTURES` does not name them, but for the
//! block that is in this repository.

use alloy_primitives::{Address, B256, U256};
use lockstep_chain::{Block, Chain};
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
        assert!(ahead > 1_000, "{ahead} of {again} outcomes were of use");
        assert!(transfers > 1_000, "{transfers} transfers");
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

#[test]
fn rollup_blocks_are_the_same_to_several_threads() {
    let Some(fixtures) = fixtures::folder() else { return };
    let executors = executors();
    let paths = find(&fixtures.join("op-blocks/blocks")).expect("the folder holds blocks");
    assert_eq!(paths.len(), 6);
    for path in paths {
        let WitnessBlock { chain, parent, attributes, hash, preimages } =
            WitnessBlock::load(&path, &Limits::default()).expect("the block is whole");
        let root = parent.state_root;
        let made = execute_stateless(&chain, parent, &attributes, &preimages).expect("it executes");
        assert_eq!(made.block.hash(), hash);
        let mut nodes = NodeSet::new();
        for (_, preimage) in preimages.iter() {
            nodes.insert(preimage.clone());
        }
        let state = Shared(Mutex::new(Stateless::new(root, nodes)));
        let senders = chain.recover_senders(&made.block).expect("all is signed");
        assert_same(&executors, &chain, &made.block, &senders, &state);
    }
    let Statistics { ahead, .. } = all(&executors);
    assert!(ahead > 20, "{ahead} outcomes were of use");
}
