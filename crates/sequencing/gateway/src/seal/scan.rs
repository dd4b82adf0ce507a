//! The blocks that no batch has.

use super::{Sealer, UnionChains, batch::contents};
use crate::GatewayError;
use alloy_eips::BlockNumHash;
use lockstep_lookahead::Slot;

/// Blocks of one rollup that are looked at in one go.
const MAX_LOOKED_AT: u64 = 8_192;

/// What is known of a rollup's blocks that no batch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// The last block that a batch has.
    cursor: BlockNumHash,
    /// The last block that was looked at.
    tip: BlockNumHash,
    /// The first that holds users' transactions: its number and slot.
    filled: Option<(u64, Slot)>,
    /// The last block that followers made without a batch, if it is after the cursor.
    derived: Option<BlockNumHash>,
}

impl Scan {
    /// The block after which the next batch begins.
    pub(super) fn begin(&self) -> BlockNumHash {
        self.derived.unwrap_or(self.cursor)
    }

    /// The last block that was looked at.
    pub(super) const fn tip(&self) -> BlockNumHash {
        self.tip
    }

    /// Goes on after another block than `cursor`, with nothing of users between the two.
    pub(super) fn move_cursor(&mut self, cursor: BlockNumHash, to: BlockNumHash) {
        if self.cursor == cursor {
            (self.cursor, self.derived) = (to, None);
        }
    }

    pub(super) fn filled_slot(&self) -> Option<Slot> {
        self.filled.map(|(_, slot)| slot)
    }
}

impl Sealer {
    /// Looks at the blocks after the cursors up to the first with users' transactions. `false` if there are more to be
    /// looked at, or it is not known where they begin.
    pub(super) fn scan(&mut self, chains: &impl UnionChains) -> Result<bool, GatewayError> {
        self.is_scanned = false;
        let mut is_complete = true;
        for (chain, config) in &self.rollups {
            let Some(cursor) = self.cursor(*chain) else { return Ok(false) };
            let head = chains.head(*chain)?;
            let begin = Scan { cursor, tip: cursor, filled: None, derived: None };
            let mut scan = match self.scans.get(chain) {
                Some(scan) if scan.cursor == cursor => *scan,
                // The cursor only moved on. If it went back, what is between was not looked at.
                Some(scan) if (scan.cursor.number..=scan.tip.number).contains(&cursor.number) => {
                    let filled = scan.filled.filter(|(number, _)| *number > cursor.number);
                    // What follows the first filled block was not looked at.
                    let tip = if scan.filled == filled { scan.tip } else { cursor };
                    Scan { cursor, tip, filled, derived: None }
                }
                _ => begin,
            };
            if chains.hash(*chain, scan.tip.number)? != Some(scan.tip.hash) {
                scan = begin;
            }
            let mut looked_at = 0;
            while scan.filled.is_none() && scan.tip.number < head.number {
                if looked_at == MAX_LOOKED_AT {
                    is_complete = false;
                    break;
                }
                let number = scan.tip.number + 1;
                let Some(block) = chains.block(*chain, number)? else { break };
                if block.block.parent_hash != scan.tip.hash {
                    // The chain has changed meanwhile.
                    is_complete = false;
                    break;
                }
                scan.tip = block.block.id();
                if contents(&block) > 0 {
                    let slot = self.union.slot_at(Self::timestamp(config, number));
                    scan.filled = Some((number, slot.unwrap_or_default()));
                }
                looked_at += 1;
            }
            let safe = chains.safe(*chain)?;
            // What has transactions came with a batch, of which L1 knows more.
            let is_without = safe > cursor.number
                && safe <= scan.tip.number
                && scan.filled.is_none_or(|(number, _)| number > safe);
            let hash = if is_without { chains.hash(*chain, safe)? } else { None };
            scan.derived = hash.map(|hash| BlockNumHash::new(safe, hash));
            self.scans.insert(*chain, scan);
        }
        self.is_scanned = is_complete;
        Ok(is_complete)
    }

    /// The slot of the first block with users' transactions that no batch has.
    pub(super) fn first_filled(&self) -> Option<Slot> {
        self.scans.values().filter_map(|scan| scan.filled).map(|(_, slot)| slot).min()
    }

    /// How many blocks no batch has, at most, of any rollup that may be in the batch of a slot without transactions.
    pub(super) fn backlog(&self, slot: Slot) -> u64 {
        let is_for_late = self.is_for_late(slot);
        let scans = self.scans.iter().filter(|(chain, _)| self.is_late(**chain) == is_for_late);
        let waiting = |scan: &Scan| scan.tip.number.saturating_sub(scan.begin().number);
        scans.map(|(_, scan)| waiting(scan)).max().unwrap_or_default()
    }
}
