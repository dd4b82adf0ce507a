//! Build the rollup's blocks from its pool, within what the batcher can post.

use lockstep_batcher::{DataLimits, Throttle};
use lockstep_chain::Rollup;
use lockstep_engine::{BlockBuilder, BuildError, PayloadBuilder, PoolBuilder};
use lockstep_pool::Pool;
use std::sync::Arc;

/// Builds blocks from a pool as [`PoolBuilder`] does, within limits that somebody else sets. They are the
/// sequencer's alone: derived blocks take nothing from a pool.
#[derive(Debug)]
pub struct ThrottledBuilder {
    pool: PoolBuilder<Rollup>,
    throttle: Arc<Throttle>,
}

impl ThrottledBuilder {
    /// A builder that takes its transactions from `pool`.
    pub const fn new(pool: Pool<Rollup>, throttle: Arc<Throttle>) -> Self {
        Self { pool: PoolBuilder::new(pool), throttle }
    }
}

impl PayloadBuilder<Rollup> for ThrottledBuilder {
    fn build(&self, block: &mut BlockBuilder<'_, Rollup>) -> Result<(), BuildError> {
        let limits = self.throttle.limits();
        if limits == DataLimits::NOTHING {
            return Ok(());
        }
        let bytes = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        block.limit_bytes(bytes(limits.block_bytes), bytes(limits.transaction_bytes));
        self.pool.build(block)
    }
}
