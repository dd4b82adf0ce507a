//! Choose the transactions of a block, and their order.

use crate::{BesidePayload, BlockBuilder, EngineError, Payloads, execute::Fault};
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_primitives::U256;
use lockstep_storage::{ExecutedBlock, StorageError};
use std::{fmt::Debug, sync::Arc};

/// A part of the node that can be replaced: it chooses and orders the transactions of a block.
///
/// ```
/// use lockstep_engine::{BlockBuilder, BuildError, PayloadBuilder, Payloads};
///
/// /// Builds blocks without any transaction but those that the attributes demand.
/// #[derive(Debug)]
/// struct Quiet;
///
/// impl<C: Payloads> PayloadBuilder<C> for Quiet {
///     fn build(&self, _block: &mut BlockBuilder<'_, C>) -> Result<(), BuildError> {
///         Ok(())
///     }
/// }
/// ```
pub trait PayloadBuilder<C: Payloads>: Debug + Send + Sync + 'static {
    /// Pushes transactions onto a block that holds those that must come first. Called again and
    /// again while a payload is improved, each time for a new block; return early when
    /// [`BlockBuilder::is_cancelled`].
    ///
    /// # Errors
    /// When the block cannot be built at all. A refused transaction is no such reason: pass over
    /// it.
    fn build(&self, block: &mut BlockBuilder<'_, C>) -> Result<(), BuildError>;
}

/// Builds blocks without transactions of its own: for chains where all come with the attributes.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTransactions;

impl<C: Payloads> PayloadBuilder<C> for NoTransactions {
    fn build(&self, _: &mut BlockBuilder<'_, C>) -> Result<(), BuildError> {
        Ok(())
    }
}

/// Why a block cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The parent's state could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A transaction that must come first cannot.
    #[error("transaction {index} of the attributes: {reason}")]
    Forced {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No block with these attributes is valid, whatever its transactions.
    #[error("no valid block has these attributes: {0}")]
    Invalid(String),
    /// The EVM or a system call failed.
    #[error("the block could not be executed: {0}")]
    Execution(String),
}

/// Why a transaction was not taken. The block stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It does not fit into what is left of the block's gas, blobs or bytes; a smaller one might.
    #[error("the block has no room: {0}")]
    NoRoom(String),
    /// It does not fit into any block of the chain: not even into one that has nothing but the first
    /// transaction that its attributes demand.
    #[error("no block has room: {0}")]
    TooLarge(String),
    /// It cannot stand here: wrong nonce, too poor, a fee below the base fee…
    #[error("{0}")]
    Invalid(String),
    /// It calls another rollup of the union: it can only be executed in the blocks of both
    /// ([`push_jointly`](crate::push_jointly)).
    #[error("it calls another rollup of the union")]
    CallsPeer,
    /// The parent's state could not be read; no further transaction can be judged.
    #[error(transparent)]
    Failed(#[from] BuildError),
}

/// A payload that was built: a valid block, executed.
#[derive(Clone, Debug)]
pub struct BuiltPayload<C: Payloads> {
    /// The block with everything that its execution left behind.
    pub block: Arc<ExecutedBlock<C>>,
    /// What its transactions pay to the fee recipient, in wei.
    pub fees: U256,
    /// The blobs of its transactions, in order.
    pub blobs: Vec<Arc<BlobTransactionSidecarVariant>>,
}

impl<C: Payloads> BuiltPayload<C> {
    /// The payload in the form that a version of `engine_getPayload` answers; `None` where the
    /// version cannot express the block.
    pub fn envelope(&self, chain: &C, version: u8) -> Option<C::Envelope> {
        let beside =
            BesidePayload { fees: self.fees, requests: &self.block.requests, blobs: &self.blobs };
        chain.envelope(version, &self.block.block.block, beside)
    }
}

impl From<BuildError> for Fault {
    fn from(error: BuildError) -> Self {
        Self::Node(EngineError::from(error))
    }
}
