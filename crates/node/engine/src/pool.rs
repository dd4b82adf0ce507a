//! Join an engine to a transaction pool.

use crate::{
    BlockBuilder, BuildError, ChainSnapshot, ChainUpdate, Engine, EngineError, PayloadBuilder,
    Payloads, PoolBatch, Refusal,
};
use alloy_primitives::map::AddressSet;
use lockstep_pool::{Pool, PoolHead, PoolTransaction, Pooled};
use lockstep_storage::StorageError;
use std::sync::Arc;

/// After how many transactions in a row that found no room a block counts as full, if it is at least half.
pub const MAX_MISFITS: usize = 64;

/// The least gas that a transaction needs; one that has no more runs no code.
pub const MIN_TRANSACTION_GAS: u64 = 21_000;

/// Builds blocks from a pool: what pays most per gas comes first.
#[derive(Debug)]
pub struct PoolBuilder<C: Pooled> {
    pool: Pool<C>,
}

impl<C: Pooled> PoolBuilder<C> {
    /// A builder that takes its transactions from `pool`.
    pub const fn new(pool: Pool<C>) -> Self {
        Self { pool }
    }
}

impl<C: Payloads + Pooled> PayloadBuilder<C> for PoolBuilder<C> {
    fn build(&self, block: &mut BlockBuilder<'_, C>) -> Result<(), BuildError> {
        let mut best = self.pool.best(block.base_fee(), block.blob_base_fee());
        let mut misfits = 0;
        while has_room(block, misfits)
            && let Some(batch) = PoolBatch::take(&mut best, block.gas_left())
        {
            let (done, offered) = block.offer(&batch).lead(1, |turns| {
                let mut skipped = AddressSet::default();
                while has_room(block, misfits)
                    && let Some(turn) = turns.next_turn()
                {
                    let tx = batch.pooled(turn.index());
                    let Some(tx) = tx.filter(|tx| !skipped.contains(&tx.sender)) else { continue };
                    let sidecar = tx.sidecar().cloned().map(Arc::new);
                    match block.push_offered(turn, sidecar) {
                        Ok(_) => misfits = 0,
                        Err(Refusal::Failed(error)) => return Err(error),
                        Err(refusal) => {
                            let is_misfit = matches!(refusal, Refusal::NoRoom(_));
                            misfits += usize::from(is_misfit && block.is_filling());
                            // Those after it of the same sender cannot come before it.
                            skipped.insert(tx.sender);
                            best.mark_invalid(tx);
                            self.pass_over(tx, &refusal);
                        }
                    }
                }
                Ok(())
            });
            block.end_offer(offered);
            done?;
        }
        Ok(())
    }
}

/// Whether the block may take one more transaction.
fn has_room<C: Payloads>(block: &BlockBuilder<'_, C>, misfits: usize) -> bool {
    block.gas_left() >= MIN_TRANSACTION_GAS && misfits < MAX_MISFITS && !block.is_cancelled()
}

impl<C: Payloads + Pooled> PoolBuilder<C> {
    /// Tells why a transaction is not in a block; one that fits into none leaves the pool.
    fn pass_over(&self, tx: &PoolTransaction<C>, refusal: &Refusal) {
        if matches!(refusal, Refusal::TooLarge(_)) {
            // It would stand at the front of the pool for ever, and pay nothing.
            self.pool.remove(&tx.hash);
            tracing::info!(
                target: "lockstep_engine",
                hash = %tx.hash, reason = %refusal,
                "gave up a pooled transaction that fits into no block"
            );
        } else {
            tracing::debug!(
                target: "lockstep_engine",
                hash = %tx.hash, reason = %refusal,
                "left a pooled transaction out of a block"
            );
        }
    }
}

/// The head of a chain as a pool wants it.
///
/// # Errors
/// When storage cannot be read.
pub fn pool_head<C: Payloads + Pooled>(
    snapshot: &ChainSnapshot<C>,
) -> Result<PoolHead<C>, StorageError> {
    let header = snapshot.head().clone();
    let state = snapshot.state_by_hash(&header.seal())?;
    Ok(PoolHead { header, state })
}

impl<C: Payloads + Pooled> Engine<C> {
    /// A pool on the head, or the head now, keeps following the chain: from here on it is told of
    /// every change, in order, on a thread of its own.
    ///
    /// # Errors
    /// When storage cannot be read, or the thread not be started.
    pub fn connect_pool(&self, pool: &Pool<C>) -> Result<(), EngineError> {
        // Nothing becomes canonical between the two.
        let _lock = self.core.fork_choice.lock();
        pool.advance(pool_head(&self.view().snapshot())?, &[], &[]);
        let pool = pool.clone();
        let mut missed: Option<ChainUpdate<C>> = None;
        self.follow("engine-pool", move |update, snapshot| {
            let update = match missed.take() {
                Some(earlier) => earlier.then(update),
                None => Some(update.clone()),
            };
            // What was missed may have been undone since.
            let Some(update) = update else { return };
            match pool_head(snapshot) {
                Ok(head) => pool.advance(head, update.committed(), update.dropped()),
                Err(error) => {
                    missed = Some(update);
                    tracing::warn!(
                        target: "lockstep_engine",
                        %error,
                        "could not tell the pool of a new head; it is told with the next one"
                    );
                }
            }
        })
    }
}
