//! Our executors.

use crate::load::Load;
use core::num::NonZeroUsize;
use eyre::Result;
use lockstep_chain::{Ethereum, EthereumReceipt};
use lockstep_execution::{BlockExecutor, BlockOutput, ExecuteOptions, StateChanges, execute_block};
use lockstep_parallel::ParallelExecutor;

/// What one of our executors leaves behind.
pub(crate) type Output = BlockOutput<EthereumReceipt>;

/// Our executors, warm.
#[derive(Debug)]
pub(crate) struct Ours {
    parallel: ParallelExecutor,
}

impl Ours {
    /// # Errors
    /// If the threads cannot be started.
    pub(crate) fn new(threads: NonZeroUsize) -> Result<Self> {
        Ok(Self { parallel: ParallelExecutor::new(threads.get())? })
    }

    pub(crate) fn serial(&self, load: &Load) -> Result<Output> {
        let Load { chain, block, senders, state, .. } = load;
        Ok(execute_block(chain, block, senders, state, ExecuteOptions::default())?)
    }

    pub(crate) fn parallel(&self, load: &Load) -> Result<Output> {
        let Load { chain, block, senders, state, .. } = load;
        let options = ExecuteOptions::default();
        Ok(self.parallel.execute_block::<Ethereum, _>(chain, block, senders, state, options)?)
    }

    /// Receipts and changes of the transactions alone, without what comes after them: pevm does no more.
    pub(crate) fn transactions_alone(load: &Load) -> Result<(Vec<EthereumReceipt>, StateChanges)> {
        let mut executor = BlockExecutor::new(&load.chain, &load.block.header, &load.state);
        executor.begin()?;
        for (transaction, sender) in load.block.body.transactions.iter().zip(&load.senders) {
            executor.transact(transaction, *sender)?;
        }
        Ok((executor.receipts().to_vec(), executor.changes()))
    }
}
