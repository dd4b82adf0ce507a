//! Where derivation gets its data from. All calls may block; none is made but from
//! [`Pipeline::step`](crate::Pipeline::step) and [`find_sync_start`](crate::find_sync_start).

use crate::ProviderError;
use alloc::{boxed::Box, vec::Vec};
use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope};
use alloy_eips::eip4844::Blob;
use alloy_primitives::B256;
use lockstep_chain::{Block, Rollup};
use lockstep_protocol::{BlockInfo, L2BlockInfo, SystemConfig};

/// Reads L1. What it returns is trusted: a provider that asks somebody else verifies the answers
/// (header hashes, transactions roots, receipts roots) before it passes them on.
pub trait L1Provider {
    /// Why something could not be read.
    type Error: ProviderError;

    /// The header of the block with this hash.
    ///
    /// # Errors
    /// `Reset` if there is no such block (any longer).
    fn header_by_hash(&mut self, hash: B256) -> Result<Header, Self::Error>;

    /// The block at this height of the chain that the provider holds canonical; `None` if it is not
    /// there yet.
    ///
    /// # Errors
    /// The provider's.
    fn block_by_number(&mut self, number: u64) -> Result<Option<BlockInfo>, Self::Error>;

    /// All receipts of the block with this hash, in order.
    ///
    /// # Errors
    /// `Reset` if there is no such block (any longer).
    fn receipts(&mut self, hash: B256) -> Result<Vec<ReceiptEnvelope>, Self::Error>;

    /// All transactions of the block with this hash, in order.
    ///
    /// # Errors
    /// `Reset` if there is no such block (any longer).
    fn transactions(&mut self, hash: B256) -> Result<(BlockInfo, Vec<TxEnvelope>), Self::Error>;
}

/// A blob of an L1 block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedBlobHash {
    /// The position of the blob among all blobs of the block.
    pub index: u64,
    /// Its versioned hash (EIP-4844).
    pub hash: B256,
}

/// Reads blobs. What it returns is trusted: a provider that asks somebody else holds the blobs
/// against their hashes first.
pub trait BlobProvider {
    /// Why blobs could not be read.
    type Error: ProviderError;

    /// The blobs of `block` with these hashes, in the order of `hashes`.
    ///
    /// # Errors
    /// `Temporary` while they are missing, `Reset` if the block is no longer there.
    fn blobs(
        &mut self,
        block: &BlockInfo,
        hashes: &[IndexedBlobHash],
    ) -> Result<Vec<Box<Blob>>, Self::Error>;
}

/// Reads the rollup's own chain, up to the safe head (for [`Pipeline`](crate::Pipeline)) or the
/// unsafe head (for [`find_sync_start`](crate::find_sync_start)).
pub trait L2Provider {
    /// Why a block could not be read.
    type Error: ProviderError;

    /// The canonical block at this height.
    ///
    /// # Errors
    /// The provider's; that there is no such block is one.
    fn block_info(&mut self, number: u64) -> Result<L2BlockInfo, Self::Error>;

    /// The same with all transactions.
    ///
    /// # Errors
    /// The provider's; that there is no such block is one.
    fn block(&mut self, number: u64) -> Result<Block<Rollup>, Self::Error>;

    /// The system config that the block at this height was made with
    /// ([`SystemConfig::from_l2_block`]).
    ///
    /// # Errors
    /// The provider's; that there is no such block is one.
    fn system_config(&mut self, number: u64) -> Result<SystemConfig, Self::Error>;
}
