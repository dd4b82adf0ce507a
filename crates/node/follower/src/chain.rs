//! The engine's chain, as derivation reads it.

use lockstep_chain::{Block, Rollup};
use lockstep_derive::{L2Provider, ProviderError, Severity};
use lockstep_engine::ChainView;
use lockstep_protocol::{L2BlockError, L2BlockInfo, RollupConfig, SystemConfig};
use lockstep_storage::{ErrorClass, RecoveredBlock, StorageError};
use std::sync::Arc;

/// The chain of an engine, as derivation reads it.
#[derive(Clone, Debug)]
pub struct RollupChain {
    view: ChainView<Rollup>,
    config: Arc<RollupConfig>,
}

/// Why a block of the rollup's chain could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RollupChainError {
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The chain does not reach that far.
    #[error("the chain has no block {0}")]
    Missing(u64),
    /// The block is none of the rollup's.
    #[error(transparent)]
    Malformed(#[from] L2BlockError),
}

impl ProviderError for RollupChainError {
    fn severity(&self) -> Severity {
        match self {
            Self::Storage(error) if error.class() == ErrorClass::Temporary => Severity::Temporary,
            // The chain became shorter under derivation.
            Self::Missing(_) => Severity::Reset,
            Self::Storage(_) | Self::Malformed(_) => Severity::Critical,
        }
    }
}

impl RollupChain {
    /// The chain that `view` shows, which is the rollup of this configuration.
    pub const fn new(view: ChainView<Rollup>, config: Arc<RollupConfig>) -> Self {
        Self { view, config }
    }

    /// Where a block stands, and what it refers to.
    ///
    /// # Errors
    /// If the block is none of the rollup's.
    pub fn info(&self, block: &RecoveredBlock<Rollup>) -> Result<L2BlockInfo, L2BlockError> {
        let (header, first) = (&block.block.header, block.transactions().first());
        L2BlockInfo::from_parts(header, block.hash(), first, &self.config.genesis)
    }

    fn read(&self, number: u64) -> Result<Arc<RecoveredBlock<Rollup>>, RollupChainError> {
        self.view.snapshot().block(number)?.ok_or(RollupChainError::Missing(number))
    }
}

impl L2Provider for RollupChain {
    type Error = RollupChainError;

    fn block_info(&mut self, number: u64) -> Result<L2BlockInfo, RollupChainError> {
        Ok(self.info(&*self.read(number)?)?)
    }

    fn block(&mut self, number: u64) -> Result<Block<Rollup>, RollupChainError> {
        Ok(self.read(number)?.block.inner().clone())
    }

    fn system_config(&mut self, number: u64) -> Result<SystemConfig, RollupChainError> {
        Ok(SystemConfig::from_l2_block(self.read(number)?.block.inner(), &self.config)?)
    }
}
