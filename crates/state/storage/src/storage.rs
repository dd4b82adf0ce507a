//! What a node needs of its storage.

use crate::{ExecutedBlock, RecoveredBlock, State, StorageError};
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, Sealed, U256};
use lockstep_chain::{Block, Chain};
use std::{fmt::Debug, sync::Arc};

/// Which blocks the consensus layer calls head, safe and finalized; zero where it has not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForkChoice {
    /// The newest canonical block.
    pub head: B256,
    /// The newest block that is unlikely to be reorganised.
    pub safe: B256,
    /// The newest block that cannot be reorganised.
    pub finalized: B256,
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLocation {
    /// The number of its block.
    pub block: u64,
    /// Its position there.
    pub index: usize,
}

/// Something that was acknowledged before it was persisted.
#[derive(Clone, Debug)]
pub enum LogEntry<C: Chain> {
    /// A block was found valid.
    Block(Arc<RecoveredBlock<C>>),
    /// The consensus layer chose.
    ForkChoice(ForkChoice),
}

/// A block as it was read back from the log; its senders are recovered anew.
#[derive(Debug)]
pub enum LoggedEntry<C: Chain> {
    /// A block was found valid.
    Block(Sealed<Block<C>>),
    /// The consensus layer chose.
    ForkChoice(ForkChoice),
}

/// Keeps one canonical chain with its state and history.
///
/// Blocks enter through [`Self::append`] in order, all or nothing, and leave through
/// [`Self::unwind`], from the newest down; whenever the process is killed, what is left is a chain.
/// Readers work on [`Snapshot`]s and never wait for writers.
pub trait Storage<C: Chain>: Debug + Send + Sync + 'static {
    /// Everything as it is now, unaffected by later writes. Short-lived: an old snapshot keeps
    /// the database from reusing space.
    ///
    /// # Errors
    /// When the database refuses.
    fn snapshot(&self) -> Result<Arc<dyn Snapshot<C>>, StorageError>;

    /// Persists consecutive blocks, the first of which is the child of the tip, and the fork
    /// choice of this moment.
    ///
    /// # Errors
    /// [`StorageError::NotNext`] if they do not continue the chain; otherwise when the disk or
    /// the database refuses, and then nothing has changed.
    fn append(
        &self,
        blocks: &[Arc<ExecutedBlock<C>>],
        fork_choice: ForkChoice,
    ) -> Result<(), StorageError>;

    /// Takes back every block above `number`, the newest first. An implementation may do that in
    /// steps; each happens as a whole or not at all, and after each the chain is as it was when the
    /// block that is then the newest had just been appended.
    ///
    /// # Errors
    /// [`StorageError::NotRetained`] if the history does not reach that far back, and then nothing
    /// has changed; otherwise when the disk or the database refuses, and then some of the newest
    /// blocks may be gone already: [`Snapshot::tip`] tells.
    fn unwind(&self, number: u64) -> Result<(), StorageError>;

    /// Writes down what is about to be acknowledged, so that it survives the end of the process.
    /// Does not wait for the disk, nor for [`Self::append`].
    ///
    /// # Errors
    /// When the operating system refuses; the entry must then not be acknowledged.
    fn log(&self, entry: &LogEntry<C>) -> Result<(), StorageError>;

    /// What was logged in earlier lives of the process and is not persisted, oldest first; there
    /// may be some that is. An
    /// entry that was cut off by the end of the process is not among it: it was never
    /// acknowledged.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when an entry is damaged.
    fn logged(&self) -> Result<Vec<LoggedEntry<C>>, StorageError>;
}

/// The stored chain at one moment.
pub trait Snapshot<C: Chain>: Debug + Send + Sync {
    /// The newest stored block.
    fn tip(&self) -> BlockNumHash;

    /// The fork choice when the tip was persisted.
    fn fork_choice(&self) -> ForkChoice;

    /// The oldest block whose state can be read.
    fn earliest_state(&self) -> u64;

    /// The hash of a block.
    ///
    /// # Errors
    /// When it cannot be read.
    fn hash(&self, number: u64) -> Result<Option<B256>, StorageError>;

    /// The number of the block with this hash.
    ///
    /// # Errors
    /// When it cannot be read.
    fn number(&self, hash: &B256) -> Result<Option<u64>, StorageError>;

    /// A header.
    ///
    /// # Errors
    /// When it cannot be read.
    fn header(&self, number: u64) -> Result<Option<Sealed<C::Header>>, StorageError>;

    /// A block with its senders.
    ///
    /// # Errors
    /// When it cannot be read.
    fn block(&self, number: u64) -> Result<Option<Arc<RecoveredBlock<C>>>, StorageError>;

    /// The receipts of a block.
    ///
    /// # Errors
    /// When it cannot be read.
    fn receipts(&self, number: u64) -> Result<Option<Arc<Vec<C::Receipt>>>, StorageError>;

    /// The sum of difficulties up to and including a block.
    ///
    /// # Errors
    /// When it cannot be read.
    fn total_difficulty(&self, number: u64) -> Result<Option<U256>, StorageError>;

    /// Where a transaction stands.
    ///
    /// # Errors
    /// When it cannot be read.
    fn transaction(&self, hash: &B256) -> Result<Option<TransactionLocation>, StorageError>;

    /// The state after a block.
    ///
    /// Reading trie nodes of an old state first computes, once, how they differ from the newest.
    ///
    /// # Errors
    /// [`StorageError::NotRetained`] if the block is above the tip or its state is gone.
    fn state(self: Arc<Self>, number: u64) -> Result<Arc<dyn State>, StorageError>;
}
