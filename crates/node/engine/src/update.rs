//! What subscribers are told when the canonical chain changes.

use alloy_eips::BlockNumHash;
use lockstep_chain::Chain;
use lockstep_storage::ExecutedBlock;
use std::sync::Arc;

/// Consecutive blocks, oldest first, shared by reference.
pub type Segment<C> = Arc<[Arc<ExecutedBlock<C>>]>;

/// A change of the canonical chain.
#[derive(Debug)]
pub enum ChainUpdate<C: Chain> {
    /// Blocks were appended to the head.
    Committed {
        /// The new blocks.
        new: Segment<C>,
    },
    /// Blocks were replaced.
    Reorged {
        /// The blocks that are no longer canonical.
        old: Segment<C>,
        /// The blocks that are canonical now.
        new: Segment<C>,
    },
    /// The newest blocks were taken back and nothing took their place.
    Reverted {
        /// The blocks that are no longer canonical.
        old: Segment<C>,
        /// The head now.
        head: BlockNumHash,
    },
}

impl<C: Chain> ChainUpdate<C> {
    /// The blocks that became canonical.
    pub fn committed(&self) -> &[Arc<ExecutedBlock<C>>] {
        match self {
            Self::Committed { new } | Self::Reorged { new, .. } => new,
            Self::Reverted { .. } => &[],
        }
    }

    /// The blocks that ceased to be canonical.
    pub fn dropped(&self) -> &[Arc<ExecutedBlock<C>>] {
        match self {
            Self::Committed { .. } => &[],
            Self::Reorged { old, .. } | Self::Reverted { old, .. } => old,
        }
    }

    /// The head after the change.
    pub fn head(&self) -> Option<BlockNumHash> {
        match self {
            Self::Committed { new } | Self::Reorged { new, .. } => {
                new.last().map(|block| block.num_hash())
            }
            Self::Reverted { head, .. } => Some(*head),
        }
    }
}

impl<C: Chain> Clone for ChainUpdate<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Committed { new } => Self::Committed { new: new.clone() },
            Self::Reorged { old, new } => Self::Reorged { old: old.clone(), new: new.clone() },
            Self::Reverted { old, head } => Self::Reverted { old: old.clone(), head: *head },
        }
    }
}

impl<C: Chain> ChainUpdate<C> {
    /// The one change that has the effect of `self` and then `next`.
    pub(crate) fn then(self, next: &Self) -> Option<Self> {
        let head = next.head();
        let (first_new, first_old) = (self.committed(), self.dropped());
        let (second_new, second_old) = (next.committed(), next.dropped());
        let kept = first_new.len().saturating_sub(second_old.len());
        let below = second_old.len().saturating_sub(first_new.len());
        let old: Vec<_> = second_old.iter().take(below).chain(first_old).cloned().collect();
        let new: Vec<_> = first_new.iter().take(kept).chain(second_new).cloned().collect();
        let same = old
            .iter()
            .zip(&new)
            .take_while(|(old, new)| old.block.hash() == new.block.hash())
            .count();
        let rest = |blocks: Vec<_>| blocks.into_iter().skip(same).collect::<Vec<_>>();
        Self::between(rest(old), rest(new), head?)
    }

    /// The change that takes `old` back and puts `new` in its place; `None` if both are empty.
    pub(crate) fn between(
        old: Vec<Arc<ExecutedBlock<C>>>,
        new: Vec<Arc<ExecutedBlock<C>>>,
        head: BlockNumHash,
    ) -> Option<Self> {
        match (old.is_empty(), new.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Self::Committed { new: new.into() }),
            (false, true) => Some(Self::Reverted { old: old.into(), head }),
            (false, false) => Some(Self::Reorged { old: old.into(), new: new.into() }),
        }
    }
}
