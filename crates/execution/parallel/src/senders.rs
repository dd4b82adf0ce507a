//! Recovering the senders of a block's transactions, which takes longer than to execute most of them.

use crate::ParallelExecutor;
use alloy_primitives::Address;
use lockstep_chain::{Block, BodyError, Chain};
use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

/// What a thread takes at once, in transactions: some hundred microseconds of work.
const PART: usize = 8;

impl ParallelExecutor {
    /// [`Chain::recover_senders`], on several threads.
    ///
    /// # Errors
    /// As there, and the same.
    pub fn recover_senders<C: Chain>(
        &self,
        chain: &C,
        block: &Block<C>,
    ) -> Result<Vec<Address>, BodyError> {
        let transactions = &*block.body.transactions;
        let parts: Vec<(_, OnceLock<_>)> =
            transactions.chunks(PART).map(|part| (part, OnceLock::new())).collect();
        let Some(pool) = self.pool().filter(|_| parts.len() > 1) else {
            return chain.recover_senders(block);
        };
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some((part, senders)) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                // Nobody else has this part.
                let _ = senders.set(chain.recover_senders_of(&block.header, part));
            }
        };
        let others = (self.threads() - 1).min(parts.len() - 1);
        pool.in_place_scope(|scope| {
            for _ in 0..others {
                scope.spawn(|_| work());
            }
            work();
        });
        let mut senders = Vec::with_capacity(transactions.len());
        for (_, part) in parts {
            let before = senders.len();
            let at = |error| match error {
                BodyError::Sender { index } => BodyError::Sender { index: before + index },
                other => other,
            };
            let Some(part) = part.into_inner() else { return chain.recover_senders(block) };
            senders.extend(part.map_err(at)?);
        }
        Ok(senders)
    }
}
