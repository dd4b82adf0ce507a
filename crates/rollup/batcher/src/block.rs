//! A block as batches see it.

use alloy_eips::{BlockNumHash, eip2718::Encodable2718};
use alloy_primitives::{B256, Bytes};
use lockstep_chain::{Block, Rollup};
use lockstep_protocol::{L2BlockError, L2BlockInfo, RollupGenesis, SingleBatch};

/// What of an L2 block goes into a batch, and what tells that it continues another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchBlock {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The hash of its parent.
    pub parent_hash: B256,
    /// Its timestamp, in seconds.
    pub timestamp: u64,
    /// Its L1 origin.
    pub epoch: BlockNumHash,
    /// Whether it is the first with this L1 origin.
    pub starts_epoch: bool,
    /// Its transactions but the deposits, as EIP-2718 encodes them.
    pub transactions: Vec<Bytes>,
}

impl BatchBlock {
    /// What goes into a batch of this block. `genesis` is where the rollup begins.
    ///
    /// # Errors
    /// If the block does not begin with a well-formed deposit of L1 attributes.
    pub fn from_block(
        block: &Block<Rollup>,
        genesis: &RollupGenesis,
    ) -> Result<Self, L2BlockError> {
        let info = L2BlockInfo::from_block(block, genesis)?;
        let transactions = block
            .body
            .transactions
            .iter()
            .filter(|tx| !tx.is_deposit())
            .map(|tx| tx.encoded_2718().into())
            .collect();
        Ok(Self {
            number: info.block.number,
            hash: info.block.hash,
            parent_hash: info.block.parent_hash,
            timestamp: info.block.timestamp,
            epoch: info.l1_origin,
            starts_epoch: info.sequence_number == 0,
            transactions,
        })
    }

    /// Number and hash.
    pub const fn id(&self) -> BlockNumHash {
        BlockNumHash { number: self.number, hash: self.hash }
    }

    /// The block as a batch of its own.
    pub fn to_single(&self) -> SingleBatch {
        SingleBatch {
            parent_hash: self.parent_hash,
            epoch_num: self.epoch.number,
            epoch_hash: self.epoch.hash,
            timestamp: self.timestamp,
            transactions: self.transactions.clone(),
        }
    }

    /// Bytes of its transactions.
    pub fn bytes(&self) -> usize {
        self.transactions.iter().map(|tx| tx.len()).sum()
    }
}
