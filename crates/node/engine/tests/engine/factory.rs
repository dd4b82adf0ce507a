//! Makes blocks on any parent, for engines under test.

use crate::world::{Scripted, Signed, World, attributes, memory};
use alloy_primitives::{B256, Sealed};
use lockstep_chain::{Block, Ethereum, EthereumHardfork};
use lockstep_engine::{Engine, EngineConfig};
use lockstep_storage::ExecutedBlock;
use std::sync::Arc;

/// An engine that keeps everything in memory and chooses nothing.
#[derive(Debug)]
pub(crate) struct Factory {
    pub(crate) world: World,
    engine: Engine<Ethereum>,
    script: Arc<Scripted>,
}

pub(crate) type EthereumBlock = Sealed<Block<Ethereum>>;

impl Factory {
    pub(crate) fn new() -> Self {
        let world = World::new(EthereumHardfork::Cancun);
        let script = Arc::new(Scripted::default());
        let config = EngineConfig { max_side_blocks: usize::MAX, ..Default::default() };
        let storage = memory(&world.genesis);
        let engine = Engine::open(world.chain.clone(), storage, script.clone(), config).unwrap();
        Self { world, engine, script }
    }

    /// The genesis block's hash.
    pub(crate) fn genesis(&self) -> B256 {
        self.world.genesis_hash()
    }

    /// A block on `parent`; `salt` tells siblings apart.
    pub(crate) fn executed(
        &self,
        parent: B256,
        salt: u64,
        transactions: Vec<Signed>,
    ) -> Arc<ExecutedBlock<Ethereum>> {
        *self.script.0.lock() = transactions;
        let header = self.engine.view().snapshot().header_by_hash(&parent).unwrap().unwrap();
        let built =
            self.engine.build_now(parent, &attributes(header.timestamp + 12, salt)).unwrap();
        let block = built.block.block.block.clone();
        assert!(self.engine.insert(block).unwrap().is_valid());
        built.block
    }

    /// As [`Self::executed`], the block alone.
    pub(crate) fn block(
        &self,
        parent: B256,
        salt: u64,
        transactions: Vec<Signed>,
    ) -> EthereumBlock {
        self.executed(parent, salt, transactions).block.block.clone()
    }

    /// `count` blocks in a row without transactions.
    pub(crate) fn chain(&self, parent: B256, salt: u64, count: usize) -> Vec<EthereumBlock> {
        let mut parent = parent;
        (0..count)
            .map(|_| {
                let block = self.block(parent, salt, Vec::new());
                parent = block.seal();
                block
            })
            .collect()
    }
}

/// Waits until something that another thread does has happened.
pub(crate) fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let limit = tokio::time::Duration::from_secs(60);
    let begun = tokio::time::Instant::now();
    while !happened() {
        assert!(begun.elapsed() < limit, "{what} did not happen within {limit:?}");
        std::thread::yield_now();
    }
}
