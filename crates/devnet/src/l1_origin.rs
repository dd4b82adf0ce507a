//! What the sequencer of a development rollup sees of its L1.

use alloy_primitives::B256;
use lockstep_chain::{Chain, Ethereum};
use lockstep_engine::ChainView;
use lockstep_rpc::L1BlockRef;
use lockstep_storage::StorageError;
use std::{error::Error, fmt::Debug};

/// What an L1 block gives to the rollup blocks that refer to it. Fees are in wei, the timestamp
/// in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1Origin {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The hash of its parent.
    pub parent_hash: B256,
    /// Its timestamp.
    pub timestamp: u64,
    /// Its base fee per gas.
    pub base_fee: u128,
    /// Its price of blob gas; one where it has none.
    pub blob_base_fee: u128,
    /// Its randomness, which the rollup block takes over.
    pub prev_randao: B256,
    /// The root of its parent beacon block, which the rollup block takes over.
    pub parent_beacon_block_root: B256,
}

/// An L1 from which rollup blocks take their origin.
pub trait L1Origins: Debug + Send + Sync + 'static {
    /// The canonical block with this number; `None` if it does not exist yet.
    ///
    /// # Errors
    /// When the L1 cannot be asked; the caller tries again later.
    fn origin(&self, number: u64) -> Result<Option<L1Origin>, Box<dyn Error + Send + Sync>>;

    /// The newest, safe and finalized blocks.
    ///
    /// # Errors
    /// When the L1 cannot be asked; the caller tries again later.
    fn heads(&self) -> Result<L1Heads, Box<dyn Error + Send + Sync>>;
}

/// Where the L1 stands. Blocks that there are not yet are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1Heads {
    /// The newest block.
    pub head: L1BlockRef,
    /// The newest safe block.
    pub safe: L1BlockRef,
    /// The newest finalized block.
    pub finalized: L1BlockRef,
}

/// The L1 in the same process.
impl L1Origins for ChainView<Ethereum> {
    fn origin(&self, number: u64) -> Result<Option<L1Origin>, Box<dyn Error + Send + Sync>> {
        let snapshot = self.snapshot();
        let Some(header) = snapshot.header(number)? else { return Ok(None) };
        let blobs = self.chain().blob_params(self.chain().fork(&header));
        let blob_base_fee = blobs.zip(header.excess_blob_gas);
        Ok(Some(L1Origin {
            number,
            hash: header.seal(),
            parent_hash: header.parent_hash,
            timestamp: header.timestamp,
            base_fee: header.base_fee_per_gas.unwrap_or_default().into(),
            blob_base_fee: blob_base_fee.map_or(1, |(params, excess)| params.calc_blob_fee(excess)),
            prev_randao: header.mix_hash,
            parent_beacon_block_root: header.parent_beacon_block_root.unwrap_or_default(),
        }))
    }

    fn heads(&self) -> Result<L1Heads, Box<dyn Error + Send + Sync>> {
        let snapshot = self.snapshot();
        let block = |number: Option<u64>| -> Result<L1BlockRef, StorageError> {
            let header = number.map(|number| snapshot.header(number)).transpose()?.flatten();
            Ok(header.map_or_else(L1BlockRef::default, |header| L1BlockRef {
                hash: header.seal(),
                number: header.number,
                parent_hash: header.parent_hash,
                timestamp: header.timestamp,
            }))
        };
        Ok(L1Heads {
            head: block(Some(snapshot.head().number))?,
            safe: block(snapshot.safe().map(|safe| safe.number))?,
            finalized: block(snapshot.finalized().map(|finalized| finalized.number))?,
        })
    }
}
