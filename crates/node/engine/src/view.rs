//! Read the chain: blocks in memory over blocks in storage, as one.

use crate::{
    ChainUpdate,
    tree::{Canonical, Tree},
};
use alloy_consensus::{BlockHeader, transaction::TxHashRef};
use alloy_eips::{BlockNumHash, BlockNumberOrTag};
use alloy_primitives::{B256, Sealed, U256};
use lockstep_chain::Chain;
use lockstep_storage::{
    ExecutedBlock, OverlayState, RecoveredBlock, Snapshot, State, Storage, StorageError,
};
use parking_lot::RwLock;
use std::sync::{Arc, OnceLock};
use tokio::sync::broadcast;

/// A block, and the position of a transaction in it.
pub type FoundTransaction<C> = (Arc<RecoveredBlock<C>>, usize);

/// What the engine and its readers share.
#[derive(Debug)]
pub(crate) struct Shared<C: Chain> {
    pub(crate) chain: C,
    pub(crate) tree: RwLock<Tree<C>>,
    pub(crate) storage: Arc<dyn Storage<C>>,
    pub(crate) updates: broadcast::Sender<ChainUpdate<C>>,
}

/// Reads the chain. Cheap to clone; never waits for execution or for the disk to be written.
#[derive(Debug)]
pub struct ChainView<C: Chain> {
    pub(crate) shared: Arc<Shared<C>>,
}

impl<C: Chain> Clone for ChainView<C> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<C: Chain> ChainView<C> {
    /// The chain definition.
    pub fn chain(&self) -> &C {
        &self.shared.chain
    }

    /// The chain as it is now; unaffected by what happens later.
    pub fn snapshot(&self) -> ChainSnapshot<C> {
        let canonical = self.shared.tree.read().canonical.clone();
        ChainSnapshot::new(self.shared.clone(), canonical)
    }

    /// The newest canonical header.
    pub fn head(&self) -> Sealed<C::Header> {
        self.shared.tree.read().canonical.head.clone()
    }

    /// Changes of the canonical chain from now on. A receiver that falls too far behind is told
    /// how many updates it missed and must begin anew from a snapshot.
    pub fn subscribe(&self) -> broadcast::Receiver<ChainUpdate<C>> {
        self.shared.updates.subscribe()
    }
}

/// The canonical chain at one moment: every answer belongs to the same chain.
#[derive(Debug)]
pub struct ChainSnapshot<C: Chain> {
    shared: Arc<Shared<C>>,
    canonical: Arc<Canonical<C>>,
    storage: OnceLock<Arc<dyn Snapshot<C>>>,
}

impl<C: Chain> ChainSnapshot<C> {
    pub(crate) const fn new(shared: Arc<Shared<C>>, canonical: Arc<Canonical<C>>) -> Self {
        Self { shared, canonical, storage: OnceLock::new() }
    }

    pub(crate) const fn canonical(&self) -> &Arc<Canonical<C>> {
        &self.canonical
    }

    /// The chain definition.
    pub fn chain(&self) -> &C {
        &self.shared.chain
    }

    /// The newest header.
    pub fn head(&self) -> &Sealed<C::Header> {
        &self.canonical.head
    }

    /// The block that the consensus layer called safe; `None` if it never did.
    pub fn safe(&self) -> Option<BlockNumHash> {
        self.canonical.safe
    }

    /// The block that the consensus layer called finalized; `None` if it never did.
    pub fn finalized(&self) -> Option<BlockNumHash> {
        self.canonical.finalized
    }

    /// The number that a tag stands for; `None` for a number above the head and for tags that
    /// stand for no block yet. `pending` is the head.
    pub fn resolve(&self, tag: BlockNumberOrTag) -> Option<u64> {
        let head = self.canonical.head.number();
        match tag {
            BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => Some(head),
            BlockNumberOrTag::Safe => self.canonical.safe.map(|block| block.number),
            BlockNumberOrTag::Finalized => self.canonical.finalized.map(|block| block.number),
            BlockNumberOrTag::Earliest => Some(0),
            BlockNumberOrTag::Number(number) => (number <= head).then_some(number),
        }
    }

    /// The hash of the canonical block with this number.
    ///
    /// # Errors
    /// When storage cannot be read; likewise for all that follow.
    pub fn hash(&self, number: u64) -> Result<Option<B256>, StorageError> {
        if number == self.canonical.head.number() {
            return Ok(Some(self.canonical.head.seal()));
        }
        match self.canonical.block(number) {
            Some(block) => Ok(Some(block.block.hash())),
            None if number > self.canonical.head.number() => Ok(None),
            None => self.storage()?.hash(number),
        }
    }

    /// Whether the block with this hash and number is canonical.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn is_canonical(&self, block: BlockNumHash) -> Result<bool, StorageError> {
        Ok(self.hash(block.number)? == Some(block.hash))
    }

    /// The canonical header with this number.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn header(&self, number: u64) -> Result<Option<Sealed<C::Header>>, StorageError> {
        if number == self.canonical.head.number() {
            return Ok(Some(self.canonical.head.clone()));
        }
        match self.canonical.block(number) {
            Some(block) => Ok(Some(block.block.sealed_header())),
            None if number > self.canonical.head.number() => Ok(None),
            None => self.storage()?.header(number),
        }
    }

    /// The canonical block with this number.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn block(&self, number: u64) -> Result<Option<Arc<RecoveredBlock<C>>>, StorageError> {
        match self.canonical.block(number) {
            Some(block) => Ok(Some(block.block.clone())),
            None if number > self.canonical.head.number() => Ok(None),
            None => self.storage()?.block(number),
        }
    }

    /// The receipts of the canonical block with this number.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn receipts(&self, number: u64) -> Result<Option<Arc<Vec<C::Receipt>>>, StorageError> {
        match self.canonical.block(number) {
            Some(block) => Ok(Some(block.receipts.clone())),
            None if number > self.canonical.head.number() => Ok(None),
            None => self.storage()?.receipts(number),
        }
    }

    /// The sum of difficulties up to and including the canonical block with this number.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn total_difficulty(&self, number: u64) -> Result<Option<U256>, StorageError> {
        match self.canonical.block(number) {
            Some(block) => Ok(Some(block.total_difficulty)),
            None if number > self.canonical.head.number() => Ok(None),
            None => self.storage()?.total_difficulty(number),
        }
    }

    /// A block in memory, canonical or not.
    pub fn executed(&self, hash: &B256) -> Option<Arc<ExecutedBlock<C>>> {
        if let Some(block) = self.shared.tree.read().blocks.get(hash) {
            return Some(block.clone());
        }
        self.canonical.blocks.iter().find(|block| block.block.hash() == *hash).cloned()
    }

    /// The number of the known block with this hash, canonical or in memory.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn number(&self, hash: &B256) -> Result<Option<u64>, StorageError> {
        match self.executed(hash) {
            Some(block) => Ok(Some(block.block.number())),
            None => self.storage()?.number(hash),
        }
    }

    /// The block with this hash, canonical or in memory.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn block_by_hash(
        &self,
        hash: &B256,
    ) -> Result<Option<Arc<RecoveredBlock<C>>>, StorageError> {
        if let Some(block) = self.executed(hash) {
            return Ok(Some(block.block.clone()));
        }
        let storage = self.storage()?;
        match storage.number(hash)? {
            Some(number) => storage.block(number),
            None => Ok(None),
        }
    }

    /// The header with this hash, canonical or in memory.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn header_by_hash(&self, hash: &B256) -> Result<Option<Sealed<C::Header>>, StorageError> {
        if self.canonical.head.seal() == *hash {
            return Ok(Some(self.canonical.head.clone()));
        }
        if let Some(block) = self.executed(hash) {
            return Ok(Some(block.block.sealed_header()));
        }
        let storage = self.storage()?;
        match storage.number(hash)? {
            Some(number) => storage.header(number),
            None => Ok(None),
        }
    }

    /// The receipts of the block with this hash, canonical or in memory.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn receipts_by_hash(
        &self,
        hash: &B256,
    ) -> Result<Option<Arc<Vec<C::Receipt>>>, StorageError> {
        if let Some(block) = self.executed(hash) {
            return Ok(Some(block.receipts.clone()));
        }
        let storage = self.storage()?;
        match storage.number(hash)? {
            Some(number) => storage.receipts(number),
            None => Ok(None),
        }
    }

    /// The canonical block that holds this transaction, and its position there.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn transaction(&self, hash: &B256) -> Result<Option<FoundTransaction<C>>, StorageError> {
        for block in self.canonical.blocks.iter().rev() {
            if let Some(index) = block.transaction_index(hash) {
                return Ok(Some((block.block.clone(), index)));
            }
        }
        let Some(location) = self.storage()?.transaction(hash)? else { return Ok(None) };
        // Storage may be ahead of, or beside, what is canonical here.
        let block = self.block(location.block)?.filter(|block| {
            let transaction = block.transactions().get(location.index);
            transaction.is_some_and(|transaction| transaction.tx_hash() == hash)
        });
        Ok(block.map(|block| (block, location.index)))
    }

    /// The oldest block whose state can be read.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn earliest_state(&self) -> Result<u64, StorageError> {
        Ok(self.storage()?.earliest_state())
    }

    /// The state after the canonical block with this number.
    ///
    /// # Errors
    /// [`StorageError::NotRetained`] if the block does not exist or its state is gone; otherwise
    /// when storage cannot be read.
    pub fn state(&self, number: u64) -> Result<Arc<dyn State>, StorageError> {
        match self.hash(number)? {
            Some(hash) => self.state_by_hash(&hash),
            None => Err(StorageError::NotRetained {
                number,
                earliest: self.storage()?.earliest_state(),
                tip: self.canonical.head.number(),
            }),
        }
    }

    /// The state after the block with this hash, canonical or in memory.
    ///
    /// # Errors
    /// [`StorageError::Missing`] if the block is not known; [`StorageError::NotRetained`] if its
    /// state is gone; otherwise when storage cannot be read.
    pub fn state_by_hash(&self, hash: &B256) -> Result<Arc<dyn State>, StorageError> {
        let blocks = self.lineage(hash);
        match self.storage() {
            Ok(snapshot) => {
                if let Some(state) = state_over(snapshot, hash, &blocks)? {
                    return Ok(state);
                }
            }
            Err(StorageError::Unwound { .. }) => {}
            Err(error) => return Err(error),
        }
        // Storage was unwound or has advanced since this snapshot opened it. Blocks move between
        // memory and storage so that they are always in one of them; look at both again.
        for _ in 0..MAX_LOOKS {
            let blocks = self.lineage(hash);
            let snapshot = self.shared.storage.snapshot()?;
            if let Some(state) = state_over(&snapshot, hash, &blocks)? {
                return Ok(state);
            }
        }
        Err(StorageError::Missing(format!("block {hash}")))
    }

    /// The blocks from the one with this hash down to the first that is not in memory, newest
    /// first: those in the tree, and those that were when this snapshot was made.
    fn lineage(&self, hash: &B256) -> Vec<Arc<ExecutedBlock<C>>> {
        let mut blocks = self.shared.tree.read().lineage(hash);
        loop {
            let next = match blocks.last() {
                Some(block) => block
                    .num_hash()
                    .number
                    .checked_sub(1)
                    .map(|number| BlockNumHash::new(number, block.block.parent_hash())),
                None => self
                    .canonical
                    .blocks
                    .iter()
                    .find_map(|block| (block.block.hash() == *hash).then(|| block.num_hash())),
            };
            let next = next.and_then(|at| {
                self.canonical.block(at.number).filter(|block| block.block.hash() == at.hash)
            });
            match next {
                Some(block) => blocks.push(block.clone()),
                None => return blocks,
            }
        }
    }

    /// The stored part of this chain.
    fn storage(&self) -> Result<&Arc<dyn Snapshot<C>>, StorageError> {
        if let Some(storage) = self.storage.get() {
            return Ok(storage);
        }
        let snapshot = self.shared.storage.snapshot()?;
        let base = self.canonical.base;
        if snapshot.hash(base.number)? != Some(base.hash) {
            return Err(StorageError::Unwound { number: base.number });
        }
        Ok(self.storage.get_or_init(|| snapshot))
    }
}

/// How often memory and storage are looked at before a block counts as unknown. Each further look
/// is needed only if a block moved between the two in the microseconds since the last.
const MAX_LOOKS: usize = 8;

/// The state after the block with this hash: `blocks`, newest first, over storage. `None` if
/// storage has no block to which they connect.
fn state_over<C: Chain>(
    storage: &Arc<dyn Snapshot<C>>,
    hash: &B256,
    blocks: &[Arc<ExecutedBlock<C>>],
) -> Result<Option<Arc<dyn State>>, StorageError> {
    let mut above = Vec::new();
    for block in blocks {
        let at = block.num_hash();
        if storage.hash(at.number)? == Some(at.hash) {
            break;
        }
        above.push(block.clone());
    }
    let base = above.last().map_or(*hash, |block| block.block.parent_hash());
    let Some(number) = storage.number(&base)? else { return Ok(None) };
    let state = storage.clone().state(number)?;
    Ok(Some(if above.is_empty() { state } else { Arc::new(OverlayState::new(above, state)) }))
}
