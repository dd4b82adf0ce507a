//! References to blocks, of L1 and of the rollup.

use crate::{L1Attributes, L1AttributesError, RollupGenesis};
use alloy_consensus::Header;
use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use core::fmt;
use lockstep_chain::{Block, Rollup};
use op_alloy_consensus::OpTxEnvelope;
use serde::{Deserialize, Serialize};

/// A block, of L1 or of the rollup, as far as derivation needs to know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockInfo {
    /// Its hash.
    pub hash: B256,
    /// Its number.
    pub number: u64,
    /// The hash of its parent.
    pub parent_hash: B256,
    /// Its timestamp in seconds.
    pub timestamp: u64,
}

impl BlockInfo {
    /// The block's number and hash.
    pub const fn id(&self) -> BlockNumHash {
        BlockNumHash { number: self.number, hash: self.hash }
    }

    /// Refers to the block with this header, whose hash the caller has at hand.
    pub const fn from_header(header: &Header, hash: B256) -> Self {
        Self {
            hash,
            number: header.number,
            parent_hash: header.parent_hash,
            timestamp: header.timestamp,
        }
    }
}

impl fmt::Display for BlockInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

/// A rollup block and its place in its epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L2BlockInfo {
    /// The block.
    #[serde(flatten)]
    pub block: BlockInfo,
    /// The L1 block from which the block takes its attributes and, if it is the first of its
    /// epoch, its deposits.
    pub l1_origin: BlockNumHash,
    /// How many rollup blocks with the same L1 origin came before.
    pub sequence_number: u64,
}

/// Why a block is none of a rollup's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L2BlockError {
    /// The block with the number of genesis has another hash.
    #[error("block {number} has hash {got}, genesis has {expected}")]
    GenesisHash {
        /// The number of the first block.
        number: u64,
        /// The hash that the configuration gives it.
        expected: B256,
        /// The hash that was found.
        got: B256,
    },
    /// The block has no transactions, not even the deposit of L1 attributes.
    #[error("block {number} has no transactions")]
    Empty {
        /// The block.
        number: u64,
    },
    /// The first transaction is no deposit.
    #[error("block {number} begins with a transaction of type {ty}, not with a deposit")]
    NoDeposit {
        /// The block.
        number: u64,
        /// The type of its first transaction.
        ty: u8,
    },
    /// The first deposit does not carry L1 attributes.
    #[error("block {number} does not begin with L1 attributes: {reason}")]
    Attributes {
        /// The block.
        number: u64,
        /// What is wrong with them.
        reason: L1AttributesError,
    },
    /// The extra data does not hold the EIP-1559 parameters that its fork puts there.
    #[error("block {number} has malformed extra data: {reason}")]
    ExtraData {
        /// The block.
        number: u64,
        /// What is wrong with it.
        reason: alloc::string::String,
    },
}

impl L2BlockInfo {
    /// Refers to a block of the rollup that begins with `genesis`; hashes its header.
    ///
    /// # Errors
    /// [`L2BlockError`] if the block does not begin with L1 attributes, or is another first block.
    pub fn from_block(
        block: &Block<Rollup>,
        genesis: &RollupGenesis,
    ) -> Result<Self, L2BlockError> {
        let hash = block.header.hash_slow();
        Self::from_parts(&block.header, hash, block.body.transactions.first(), genesis)
    }

    /// As [`Self::from_block`], of what a block consists of. `hash` must be the hash of `header`.
    ///
    /// # Errors
    /// [`L2BlockError`] if the block does not begin with L1 attributes, or is another first block.
    pub fn from_parts(
        header: &Header,
        hash: B256,
        first: Option<&OpTxEnvelope>,
        genesis: &RollupGenesis,
    ) -> Result<Self, L2BlockError> {
        let block = BlockInfo::from_header(header, hash);
        if block.number == genesis.l2.number {
            check_genesis(&block, genesis)?;
            return Ok(Self { block, l1_origin: genesis.l1, sequence_number: 0 });
        }
        let attributes = first_attributes(block.number, first)?;
        let l1_origin = BlockNumHash { number: attributes.number, hash: attributes.hash };
        Ok(Self { block, l1_origin, sequence_number: attributes.sequence_number })
    }
}

impl fmt::Display for L2BlockInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, l1_origin, sequence_number } = self;
        write!(f, "{block} (origin {}, sequence number {sequence_number})", l1_origin.number)
    }
}

/// The block with the number of genesis must be the one that the configuration names.
pub(crate) fn check_genesis(
    block: &BlockInfo,
    genesis: &RollupGenesis,
) -> Result<(), L2BlockError> {
    if block.hash == genesis.l2.hash {
        return Ok(());
    }
    let (expected, got) = (genesis.l2.hash, block.hash);
    Err(L2BlockError::GenesisHash { number: block.number, expected, got })
}

/// What the first transaction of block `number` says of its L1 origin.
pub(crate) fn first_attributes(
    number: u64,
    first: Option<&OpTxEnvelope>,
) -> Result<L1Attributes, L2BlockError> {
    let deposit = match first {
        Some(OpTxEnvelope::Deposit(deposit)) => deposit,
        Some(other) => {
            return Err(L2BlockError::NoDeposit { number, ty: other.tx_type() as u8 });
        }
        None => return Err(L2BlockError::Empty { number }),
    };
    L1Attributes::decode(&deposit.input)
        .map_err(|reason| L2BlockError::Attributes { number, reason })
}
