//! The rollups' chains, as far as sealing goes.

use crate::GatewayError;
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, ChainId};
use lockstep_batcher::UnionBlock;

/// The chains of a union's rollups, of which [`Sealer`](crate::Sealer) makes batches.
pub trait UnionChains {
    /// The newest block.
    ///
    /// # Errors
    /// If the chain cannot be read.
    fn head(&self, chain: ChainId) -> Result<BlockNumHash, GatewayError>;

    /// The number of the newest block that was derived from L1.
    ///
    /// # Errors
    /// If the chain cannot be read.
    fn safe(&self, chain: ChainId) -> Result<u64, GatewayError>;

    /// The hash of a canonical block.
    ///
    /// # Errors
    /// If the chain cannot be read.
    fn hash(&self, chain: ChainId, number: u64) -> Result<Option<B256>, GatewayError>;

    /// A canonical block.
    ///
    /// # Errors
    /// If the chain cannot be read.
    fn block(&self, chain: ChainId, number: u64) -> Result<Option<UnionBlock>, GatewayError>;

    /// Takes back the blocks after `to` up to `head`, whose transactions go back to the pool.
    ///
    /// # Errors
    /// If they cannot be taken back: another block is the head by now, or one of them is safe.
    fn rewind(
        &mut self,
        chain: ChainId,
        head: BlockNumHash,
        to: BlockNumHash,
    ) -> Result<(), GatewayError>;
}
