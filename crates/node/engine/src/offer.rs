//! Offer a block many transactions at once: while it takes them one by one, other threads execute those that follow.

use crate::{BlockBuilder, Payloads, Refusal};
use alloy_consensus::Transaction as _;
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_primitives::Address;
use lockstep_execution::TransactionOutcome;
use lockstep_parallel::{Ahead, Batch, BlockMemory, Candidate, ParallelExecutor};
use lockstep_pool::{PoolTransaction, Pooled};
use lockstep_storage::State;
use std::{fmt, sync::Arc};

/// The most transactions that are offered at once: what a block does not take of them was executed in vain.
const MAX_OFFERED: usize = 256;

/// Transactions of a pool that are offered together, best first.
#[derive(Debug)]
pub struct PoolBatch<C: Pooled> {
    pooled: Vec<Arc<PoolTransaction<C>>>,
    transactions: Vec<C::Transaction>,
    senders: Vec<Address>,
}

impl<C: Pooled> PoolBatch<C> {
    /// The next of these, as many as may fill a block with so much gas left; `None` if there are no more.
    pub fn take(
        mut best: impl Iterator<Item = Arc<PoolTransaction<C>>>,
        gas_left: u64,
    ) -> Option<Self> {
        let (mut pooled, mut transactions, mut senders) = (Vec::new(), Vec::new(), Vec::new());
        let mut gas = 0_u64;
        while pooled.len() < MAX_OFFERED
            && gas < gas_left
            && let Some(tx) = best.next()
        {
            let transaction = tx.consensus();
            gas = gas.saturating_add(transaction.gas_limit());
            transactions.push(transaction);
            senders.push(tx.sender);
            pooled.push(tx);
        }
        (!pooled.is_empty()).then_some(Self { pooled, transactions, senders })
    }

    /// What the pool knows of the transaction with this index.
    pub fn pooled(&self, index: usize) -> Option<&Arc<PoolTransaction<C>>> {
        self.pooled.get(index)
    }
}

/// Transactions that are offered to a block.
pub struct Offer<'t, C: Payloads> {
    batch: Batch<'t, C>,
    remembered: C::Remembered,
    state: &'t dyn State,
    parallel: &'t ParallelExecutor,
    memory: Option<BlockMemory>,
}

impl<C: Payloads> fmt::Debug for Offer<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// What an offer leaves behind for the next one: [`BlockBuilder::end_offer`].
#[derive(Debug)]
pub struct Offered(Option<BlockMemory>);

/// The transactions of an offer, as their turns come.
pub type Turns<'x, 'w, 'm, 't, C> = Ahead<'x, 'w, 'm, C, &'t dyn State>;

/// The transaction of an offer whose turn it is.
pub type Turn<'c, 'x, 'w, 'm, 't, C> = Candidate<'c, 'x, 'w, 'm, C, &'t dyn State>;

impl<'t, C: Payloads> Offer<'t, C> {
    /// Calls `lead`, which goes through the transactions and pushes those that it wants
    /// ([`BlockBuilder::push_offered`]), while other threads execute them: the engine's, divided by the number of blocks
    /// that are filled at the same time.
    pub fn lead<T>(
        self,
        blocks: usize,
        lead: impl FnOnce(&mut Turns<'_, '_, '_, 't, C>) -> T,
    ) -> (T, Offered) {
        let Self { batch, remembered, state, parallel, mut memory } = self;
        let threads = parallel.threads() / blocks.max(1);
        let done = parallel.ahead(batch, remembered, &state, memory.as_mut(), threads, lead);
        (done, Offered(memory))
    }
}

impl<'a, C: Payloads> BlockBuilder<'a, C> {
    /// Offers transactions to the block.
    pub fn offer<'t>(&mut self, candidates: &'t PoolBatch<C>) -> Offer<'t, C>
    where
        'a: 't,
        C: Pooled,
    {
        let PoolBatch { transactions, senders, .. } = candidates;
        let (chain, header) = (self.executor.chain(), self.contents.header);
        let ahead = self.executor.remembered_ahead();
        let is_known = ahead.is_some();
        let remembered = ahead.unwrap_or_else(|| self.executor.remembered());
        let batch = Batch { chain, header, transactions, senders, first: 0 };
        let (state, parallel) = (self.contents.state, self.contents.parallel);
        let mut memory = self.contents.memory.take().filter(|_| is_known);
        if memory.is_none() && is_known && parallel.is_worth_offering(&batch) {
            memory = Some(parallel.learn(chain, header, &state, &self.executor.changes()));
        }
        Offer { batch, remembered, state, parallel, memory }
    }

    /// Keeps what an offer leaves behind.
    pub fn end_offer(&mut self, offered: Offered) {
        self.contents.memory = offered.0;
    }

    /// As [`Self::push`], the transaction of an offer whose turn it is.
    ///
    /// # Errors
    /// As there.
    pub fn push_offered(
        &mut self,
        turn: Turn<'_, '_, '_, '_, '_, C>,
        sidecar: Option<Arc<BlobTransactionSidecarVariant>>,
    ) -> Result<TransactionOutcome, Refusal> {
        let (transaction, sender) = (turn.transaction(), turn.sender());
        self.check_room(transaction)?;
        let outcome = turn.transact(&mut self.executor).map_err(|error| self.refusal(error))?;
        self.append(transaction.clone(), sender, sidecar, outcome);
        Ok(outcome)
    }
}
