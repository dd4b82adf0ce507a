//! A chain in memory, for tests and development chains that end with their process.

mod state;
mod versions;

use crate::{
    ExecutedBlock, ForkChoice, GenesisBlock, LogEntry, LoggedEntry, RecoveredBlock, Snapshot,
    State, Storage, StorageError, TransactionLocation,
};
use alloy_consensus::{BlockHeader, transaction::TxHashRef};
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, Sealed, U256, map::B256Map};
use lockstep_chain::Chain;
use parking_lot::RwLock;
use state::MemoryView;
use std::sync::Arc;
use versions::Versions;

/// Keeps a chain with the states of all its blocks in memory.
///
/// Every block's changes are kept, and every value that an account or slot ever had, so that any
/// state can be read; unwinding writes former values anew. Memory therefore grows with every
/// block, by about what the block changed, and never shrinks: meant for some hundred thousand
/// small blocks. Nothing survives the process, so [`Storage::log`] has nothing to do.
#[derive(Debug)]
pub struct MemoryStorage<C: Chain> {
    inner: RwLock<Inner<C>>,
    versions: Arc<RwLock<Versions>>,
}

/// The canonical chain, and where everything in it is.
#[derive(Debug)]
struct Inner<C: Chain> {
    blocks: Arc<Vec<Arc<Entry<C>>>>,
    fork_choice: ForkChoice,
    /// Of every block that was ever here.
    indices: Arc<RwLock<Indices>>,
}

/// Entries of blocks that were taken back stay; readers compare the hash.
#[derive(Debug, Default)]
struct Indices {
    numbers: B256Map<u64>,
    /// Transaction by hash: each block it ever stood in.
    transactions: B256Map<Vec<(B256, TransactionLocation)>>,
}

/// A block with everything that is kept of it.
#[derive(Debug)]
struct Entry<C: Chain> {
    block: Arc<RecoveredBlock<C>>,
    receipts: Arc<Vec<C::Receipt>>,
    total_difficulty: U256,
    /// The version of the state after the block.
    version: u32,
}

impl<C: Chain> MemoryStorage<C> {
    /// A chain that consists of its genesis block.
    pub fn new(genesis: &GenesisBlock<C>) -> Self {
        let mut versions = Versions::default();
        let version = versions.begin(genesis.state(), genesis.nodes());
        let block = genesis.block().clone();
        let total_difficulty = block.header.difficulty();
        let block = Arc::new(RecoveredBlock { block, senders: Vec::new() });
        let mut indices = Indices::default();
        indices.numbers.insert(block.hash(), block.number());
        let entry = Entry { block, receipts: Arc::default(), total_difficulty, version };
        let inner = Inner {
            blocks: Arc::new(vec![Arc::new(entry)]),
            fork_choice: ForkChoice::default(),
            indices: Arc::new(RwLock::new(indices)),
        };
        Self { inner: RwLock::new(inner), versions: Arc::new(RwLock::new(versions)) }
    }
}

impl<C: Chain> Inner<C> {
    fn tip(&self) -> Option<BlockNumHash> {
        self.blocks.last().map(|entry| entry.block.num_hash())
    }
}

impl<C: Chain> Storage<C> for MemoryStorage<C> {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot<C>>, StorageError> {
        let inner = self.inner.read();
        Ok(Arc::new(MemorySnapshot {
            blocks: Arc::clone(&inner.blocks),
            fork_choice: inner.fork_choice,
            indices: Arc::clone(&inner.indices),
            versions: Arc::clone(&self.versions),
        }))
    }

    fn append(
        &self,
        blocks: &[Arc<ExecutedBlock<C>>],
        fork_choice: ForkChoice,
    ) -> Result<(), StorageError> {
        let mut inner = self.inner.write();
        let Some(mut tip) = inner.tip() else { return Ok(()) };
        for block in blocks {
            if block.block.number() != tip.number + 1 || block.block.parent_hash() != tip.hash {
                let number = block.block.number();
                return Err(StorageError::NotNext { number, tip: tip.number });
            }
            tip = block.num_hash();
        }
        let mut versions = self.versions.write();
        let indices = Arc::clone(&inner.indices);
        let mut indices = indices.write();
        for block in blocks {
            let version = versions.apply(block);
            indices.add(&block.block);
            Arc::make_mut(&mut inner.blocks).push(Arc::new(Entry {
                block: Arc::clone(&block.block),
                receipts: Arc::clone(&block.receipts),
                total_difficulty: block.total_difficulty,
                version,
            }));
        }
        inner.fork_choice = fork_choice;
        Ok(())
    }

    fn unwind(&self, number: u64) -> Result<(), StorageError> {
        let mut inner = self.inner.write();
        let kept = position(&inner.blocks, number)?;
        if kept + 1 == inner.blocks.len() {
            return Ok(());
        }
        let Some(old) = inner.blocks.get(kept).map(|entry| entry.version) else { return Ok(()) };
        let version = self.versions.write().restore(old);
        let Inner { blocks, fork_choice, .. } = &mut *inner;
        let blocks = Arc::make_mut(blocks);
        blocks.truncate(kept + 1);
        let stands = |hash: B256| blocks.iter().any(|entry| entry.block.hash() == hash);
        let tip = blocks.last().map(|entry| entry.block.hash()).unwrap_or_default();
        fork_choice.head = if stands(fork_choice.head) { fork_choice.head } else { tip };
        for chosen in [&mut fork_choice.safe, &mut fork_choice.finalized] {
            *chosen = if stands(*chosen) { *chosen } else { B256::ZERO };
        }
        // The newest state is now another version with the same content; reads of the newest
        // state need not step over what was taken back.
        if let Some(last) = blocks.last_mut() {
            *last = Arc::new(Entry {
                block: Arc::clone(&last.block),
                receipts: Arc::clone(&last.receipts),
                total_difficulty: last.total_difficulty,
                version,
            });
        }
        Ok(())
    }

    fn log(&self, _entry: &LogEntry<C>) -> Result<(), StorageError> {
        Ok(())
    }

    fn logged(&self) -> Result<Vec<LoggedEntry<C>>, StorageError> {
        Ok(Vec::new())
    }
}

impl Indices {
    fn add<C: Chain>(&mut self, block: &RecoveredBlock<C>) {
        let (number, hash) = (block.number(), block.hash());
        self.numbers.insert(hash, number);
        for (index, transaction) in block.transactions().iter().enumerate() {
            let places = self.transactions.entry(*transaction.tx_hash()).or_default();
            let location = TransactionLocation { block: number, index };
            if !places.contains(&(hash, location)) {
                places.push((hash, location));
            }
        }
    }
}

/// Where block `number` lies among `blocks`.
fn position<C: Chain>(blocks: &[Arc<Entry<C>>], number: u64) -> Result<usize, StorageError> {
    let first = blocks.first().map_or(0, |entry| entry.block.number());
    let offset = number.checked_sub(first).and_then(|offset| usize::try_from(offset).ok());
    offset.filter(|offset| *offset < blocks.len()).ok_or_else(|| StorageError::NotRetained {
        number,
        earliest: first,
        tip: blocks.last().map_or(0, |entry| entry.block.number()),
    })
}

/// The chain as it was at one moment.
#[derive(Debug)]
struct MemorySnapshot<C: Chain> {
    blocks: Arc<Vec<Arc<Entry<C>>>>,
    fork_choice: ForkChoice,
    indices: Arc<RwLock<Indices>>,
    versions: Arc<RwLock<Versions>>,
}

impl<C: Chain> MemorySnapshot<C> {
    fn entry(&self, number: u64) -> Option<&Arc<Entry<C>>> {
        self.blocks.get(position(&self.blocks, number).ok()?)
    }

    fn is_canonical(&self, number: u64, hash: &B256) -> bool {
        self.entry(number).is_some_and(|entry| entry.block.hash() == *hash)
    }
}

impl<C: Chain> Snapshot<C> for MemorySnapshot<C> {
    fn tip(&self) -> BlockNumHash {
        self.blocks.last().map(|entry| entry.block.num_hash()).unwrap_or_default()
    }

    fn fork_choice(&self) -> ForkChoice {
        self.fork_choice
    }

    fn earliest_state(&self) -> u64 {
        self.blocks.first().map_or(0, |entry| entry.block.number())
    }

    fn hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        Ok(self.entry(number).map(|entry| entry.block.hash()))
    }

    fn number(&self, hash: &B256) -> Result<Option<u64>, StorageError> {
        let number = self.indices.read().numbers.get(hash).copied();
        Ok(number.filter(|number| self.is_canonical(*number, hash)))
    }

    fn header(&self, number: u64) -> Result<Option<Sealed<C::Header>>, StorageError> {
        Ok(self.entry(number).map(|entry| entry.block.sealed_header()))
    }

    fn block(&self, number: u64) -> Result<Option<Arc<RecoveredBlock<C>>>, StorageError> {
        Ok(self.entry(number).map(|entry| Arc::clone(&entry.block)))
    }

    fn receipts(&self, number: u64) -> Result<Option<Arc<Vec<C::Receipt>>>, StorageError> {
        Ok(self.entry(number).map(|entry| Arc::clone(&entry.receipts)))
    }

    fn total_difficulty(&self, number: u64) -> Result<Option<U256>, StorageError> {
        Ok(self.entry(number).map(|entry| entry.total_difficulty))
    }

    fn transaction(&self, hash: &B256) -> Result<Option<TransactionLocation>, StorageError> {
        let indices = self.indices.read();
        let mut places = indices.transactions.get(hash).into_iter().flatten();
        Ok(places
            .find(|(block, location)| self.is_canonical(location.block, block))
            .map(|(_, location)| *location))
    }

    fn state(self: Arc<Self>, number: u64) -> Result<Arc<dyn State>, StorageError> {
        let position = position(&self.blocks, number)?;
        let blocks = Arc::clone(&self.blocks);
        Ok(Arc::new(MemoryView::new(blocks, position, Arc::clone(&self.versions))))
    }
}
