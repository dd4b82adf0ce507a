//! Whether two nodes that derive the same rollup come to the same blocks.

use crate::LocalRollup;
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, ChainId};
use lockstep_storage::StorageError;

/// Compares the safe chains of two nodes of one rollup.
#[derive(Clone, Debug)]
pub struct Agreement {
    first: LocalRollup,
    second: LocalRollup,
}

/// Why two safe chains could not be compared, or what is wrong.
#[derive(Debug, thiserror::Error)]
pub enum AgreementError {
    /// A chain could not be read. Try again later.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Two nodes derived different blocks from the same L1 blocks: one of them has a bug.
    #[error(
        "two nodes derived different blocks {number} from L1 up to block {l1:?}: {first} and {second}"
    )]
    Differs {
        /// The number of the block.
        number: u64,
        /// The L1 block that both have reached.
        l1: BlockNumHash,
        /// The one node's block.
        first: B256,
        /// The other node's.
        second: B256,
    },
    /// The followers of two rollups tell of different calls between these: one of them, or the rules of the union, has a bug.
    #[error(
        "chains {first} and {second} do not have the same calls between them up to time {time}, derived from L1 up to block \
         {l1:?}"
    )]
    Calls {
        /// A rollup, by its chain id.
        first: ChainId,
        /// The other.
        second: ChainId,
        /// The time of the blocks, in seconds.
        time: u64,
        /// The L1 block that all have reached.
        l1: BlockNumHash,
    },
}

impl Agreement {
    /// Compares these two.
    pub const fn new(first: LocalRollup, second: LocalRollup) -> Self {
        Self { first, second }
    }

    /// The number of the newest block that both call safe; `None` if they cannot be compared now.
    /// What is safe follows from L1 up to some block, so two nodes can be compared when they have
    /// reached the very same one.
    ///
    /// # Errors
    /// [`AgreementError::Differs`] if they disagree; when a chain cannot be read.
    pub fn check(&self) -> Result<Option<u64>, AgreementError> {
        let (first, second) = (&self.first, &self.second);
        let reached =
            |node: &LocalRollup| node.rollup.status.read().derived_up_to.map(|l1| l1.id());
        let Some(l1) = reached(first).filter(|l1| reached(second) == Some(*l1)) else {
            return Ok(None);
        };
        let (one, other) = (first.view.snapshot(), second.view.snapshot());
        // A node that went on or back meanwhile may have shown the chain of another L1 block.
        if reached(first) != Some(l1) || reached(second) != Some(l1) {
            return Ok(None);
        }
        let number = first.safe_head(&one).number.min(second.safe_head(&other).number);
        let missing = || StorageError::Missing(format!("block {number}"));
        let first = one.hash(number)?.ok_or_else(missing)?;
        let second = other.hash(number)?.ok_or_else(missing)?;
        if first == second {
            return Ok(Some(number));
        }
        Err(AgreementError::Differs { number, l1, first, second })
    }
}
