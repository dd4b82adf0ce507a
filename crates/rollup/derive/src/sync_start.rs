//! Where a node takes up derivation (OP specification: derivation § finding the sync starting point).

use crate::{DeriveError, L1Provider, L2Provider};
use lockstep_protocol::{BlockInfo, L2BlockInfo, RollupConfig};

/// How many sequencing windows the unsafe head may be taken back, before it looks like a
/// misconfiguration.
const MAX_REORG_WINDOWS: u64 = 5;

/// The heads of a rollup, as a node sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L2Heads {
    /// The newest block.
    pub unsafe_head: L2BlockInfo,
    /// The newest block that was derived from L1.
    pub safe: L2BlockInfo,
    /// The newest block that was derived from finalized L1 blocks.
    pub finalized: L2BlockInfo,
}

/// Finds the heads to go on with: after a restart, and after L1 was reorganised.
///
/// The new unsafe head is the newest block whose L1 origin is canonical, or higher than the L1 that
/// the provider knows. The new safe head lies so far back that the sequencing window of every block
/// after it is read again: `seq_window_size` L1 blocks before the newest canonical L1 origin, at the
/// end of an epoch. Neither goes behind the finalized head, which stays. The rollup's blocks from the
/// unsafe head back to the new safe head are read once each, and one L1 block for each epoch.
///
/// A driver sets the engine's fork choice to these heads and then sends
/// [`Signal::Reset`](crate::Signal::Reset) with the safe one.
///
/// # Errors
/// [`DeriveError`]: those of the providers; `Temporary` if the rollup's chain changed meanwhile;
/// `Critical` if the chains do not belong together, or what is finalized would have to change.
pub fn find_sync_start<L1: L1Provider, L2: L2Provider>(
    config: &RollupConfig,
    l1: &mut L1,
    l2: &mut L2,
    heads: L2Heads,
) -> Result<L2Heads, DeriveError> {
    let mut walk = Walk::new(config, heads);
    loop {
        let at = walk.at;
        walk.look_up_origin(l1)?;
        walk.check_chain()?;
        let is_last = walk.judge()?;
        if at.block.number <= walk.heads.finalized.block.number {
            return walk.finish(at);
        }
        let parent = l2
            .block_info(at.block.number - 1)
            .map_err(DeriveError::provider("a block of the rollup"))?;
        walk.check_parent(&parent)?;
        if is_last {
            return walk.finish(parent);
        }
        walk.at = parent;
    }
}

/// What the L1 block at the height of an L1 origin says of the origin.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// L1 is not that high yet.
    Ahead,
    /// The block at its height.
    Known(BlockInfo),
}

/// A walk back along the rollup's chain.
struct Walk<'a> {
    config: &'a RollupConfig,
    /// The heads before.
    heads: L2Heads,
    at: L2BlockInfo,
    /// The L1 block at the height of the L1 origin of `at`.
    origin: Option<Origin>,
    /// The new unsafe head, as far as it is known.
    unsafe_head: Option<L2BlockInfo>,
    /// The newest block whose L1 origin is known to be canonical.
    highest: Option<L2BlockInfo>,
}

impl<'a> Walk<'a> {
    fn new(config: &'a RollupConfig, mut heads: L2Heads) -> Self {
        // An engine that was taken back without a fork choice has heads that it does not have.
        let unsafe_head = heads.unsafe_head;
        for head in [&mut heads.safe, &mut heads.finalized] {
            if head.block.number > unsafe_head.block.number {
                *head = unsafe_head;
            }
        }
        let (at, unsafe_head) = (unsafe_head, Some(unsafe_head));
        Self { config, heads, at, origin: None, unsafe_head, highest: None }
    }

    /// Finds the L1 block at the height of the L1 origin.
    fn look_up_origin<L1: L1Provider>(&mut self, l1: &mut L1) -> Result<(), DeriveError> {
        let wanted = self.at.l1_origin;
        let origin = match self.origin {
            Some(Origin::Known(known)) if known.hash == wanted.hash => return Ok(()),
            // The parent of a canonical block is canonical.
            Some(Origin::Known(known)) if known.parent_hash == wanted.hash => {
                let header = l1
                    .header_by_hash(wanted.hash)
                    .map_err(DeriveError::provider("the header of an L1 origin"))?;
                Origin::Known(BlockInfo::from_header(&header, wanted.hash))
            }
            _ => l1
                .block_by_number(wanted.number)
                .map_err(DeriveError::provider("an L1 block"))?
                .map_or(Origin::Ahead, Origin::Known),
        };
        self.origin = Some(origin);
        Ok(())
    }

    /// The canonical L1 origin of `at`, if it is that.
    fn canonical_origin(&self) -> Option<BlockInfo> {
        match self.origin {
            Some(Origin::Known(block)) if block.id() == self.at.l1_origin => Some(block),
            _ => None,
        }
    }

    const fn is_ahead(&self) -> bool {
        matches!(self.origin, Some(Origin::Ahead))
    }

    /// The chains are those of the configuration, and what is finalized is in them.
    fn check_chain(&self) -> Result<(), DeriveError> {
        let (genesis, finalized) = (&self.config.genesis, &self.heads.finalized);
        let block = self.at.block.id();
        if block.number == genesis.l2.number && block != genesis.l2 {
            return Err(DeriveError::WrongChain { expected: genesis.l2, got: block });
        }
        if block.number == genesis.l2.number
            && let Some(Origin::Known(origin)) = self.origin
            && origin.id() != genesis.l1
        {
            return Err(DeriveError::WrongChain { expected: genesis.l1, got: origin.id() });
        }
        if block.number == finalized.block.number && block != finalized.block.id() {
            let (finalized, got) = (finalized.block.id(), block);
            return Err(DeriveError::FinalizedReorg { finalized, got });
        }
        Ok(())
    }

    /// Takes in what the L1 origin says of `at`, and tells whether the new safe head is its parent.
    fn judge(&mut self) -> Result<bool, DeriveError> {
        let at = self.at;
        if self.unsafe_head.is_none() {
            self.unsafe_head = Some(at);
            let depth = MAX_REORG_WINDOWS.saturating_mul(self.config.seq_window_size);
            let before = self.heads.unsafe_head.l1_origin.number;
            if at.l1_origin.number.saturating_add(depth) < before {
                return Err(DeriveError::TooDeep { before, now: at.l1_origin.number });
            }
        }
        if self.canonical_origin().is_some() {
            self.highest.get_or_insert(at);
        } else {
            self.highest = None;
            if !self.is_ahead() {
                self.unsafe_head = None;
            }
        }
        let Some(highest) = self.highest else { return Ok(false) };
        let read_again = at.l1_origin.number.saturating_add(self.config.seq_window_size);
        Ok(at.block.number <= self.heads.safe.block.number
            && at.sequence_number == 0
            && read_again < highest.l1_origin.number)
    }

    /// A block and its parent agree about their L1 origins.
    fn check_parent(&self, parent: &L2BlockInfo) -> Result<(), DeriveError> {
        let at = &self.at;
        if parent.block.hash != at.block.parent_hash {
            return Err(DeriveError::L2Reorg {
                number: at.block.number,
                parent: at.block.parent_hash,
                got: parent.block.hash,
            });
        }
        let is_consistent = if parent.l1_origin == at.l1_origin {
            parent.sequence_number.checked_add(1) == Some(at.sequence_number)
        } else {
            let is_linked = self
                .canonical_origin()
                .is_none_or(|origin| origin.parent_hash == parent.l1_origin.hash);
            is_linked
                && at.sequence_number == 0
                && parent.l1_origin.number.checked_add(1) == Some(at.l1_origin.number)
        };
        if is_consistent {
            return Ok(());
        }
        Err(DeriveError::BrokenOrigin { block: at.block.id(), parent: parent.block.id() })
    }

    fn finish(&self, safe: L2BlockInfo) -> Result<L2Heads, DeriveError> {
        let finalized = self.heads.finalized;
        // Not even the finalized block has a canonical L1 origin.
        let unsafe_head = self.unsafe_head.ok_or(DeriveError::FinalizedOrigin {
            finalized: finalized.block.id(),
            origin: finalized.l1_origin,
        })?;
        Ok(L2Heads { unsafe_head, safe, finalized })
    }
}
