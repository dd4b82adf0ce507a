//! Rollups whose blocks come late for the sequencing window.
//!
//! Followers drop a batch whole if the first block of any rollup in it has an origin older than the sequencing window. So a
//! rollup that was away for so long must not be in a batch with what users of others were shown. Its followers make blocks
//! with deposits alone, one L1 block's after the other, and always stay at the edge of the window: a batch of its blocks
//! counts only in the very next L1 block. It is tried now and then, in a slot without users' transactions, with nothing else.

use super::{Sealer, UnionChains, ledger::State, scan::Scan};
use crate::GatewayError;
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, ChainId};
use lockstep_batcher::UnionBlock;
use lockstep_lookahead::Slot;
use metrics::counter;
use std::{collections::BTreeMap, sync::Arc};

/// A rollup is late if its first block that was not derived is older than the sequencing window but for this part of it: by
/// then batches may still have to wait.
const MARGIN_SHARE: u64 = 4;

/// Slots from one try to bring a late rollup's blocks into L1 to the next.
const SLOTS_BETWEEN_TRIES: u64 = 8;

impl Sealer {
    /// Whether a rollup's blocks come late for the sequencing window: until L1 has them, they take no users' transactions.
    pub fn is_late(&self, chain: ChainId) -> bool {
        self.late.contains(&chain)
    }

    /// Finds out which rollups are late.
    pub(super) fn look_for_late(&mut self, chains: &impl UnionChains) -> Result<(), GatewayError> {
        let Some(seen) = self.ledger.with(|state| state.seen) else { return Ok(()) };
        let window = self.union.seq_window_size;
        let patience = window - window / MARGIN_SHARE;
        for (chain, config) in &self.rollups {
            let first = chains.safe(*chain)?.max(config.genesis.l2.number).saturating_add(1);
            let origin = chains.block(*chain, first)?.map(|block| block.block.epoch.number);
            let is_late = origin.is_some_and(|it| it.saturating_add(patience) < seen.number);
            let has_changed =
                if is_late { self.late.insert(*chain) } else { self.late.remove(chain) };
            if !has_changed {
                continue;
            }
            if is_late {
                tracing::warn!(
                    target: "lockstep_gateway",
                    chain, block = first, origin, l1_block = seen.number, seq_window = window,
                    "a rollup's blocks come late for L1; it takes no users' transactions until they are there"
                );
            } else {
                tracing::info!(target: "lockstep_gateway", chain, "a rollup's blocks are not late any more");
            }
        }
        self.ledger.with(|state| state.late.clone_from(&self.late));
        Ok(())
    }

    /// Goes on from what followers have in the place of late rollups' blocks whose batches came too late for them.
    pub(super) fn take_over_folds(&mut self) -> Result<(), GatewayError> {
        let folds = self.ledger.with(|state| std::mem::take(&mut state.folded));
        let mut has_folded = false;
        for (hash, cursors) in folds {
            has_folded |= self.fold(hash, &cursors);
        }
        if has_folded { self.rewrite_file() } else { Ok(()) }
    }

    /// Goes on after these blocks instead of those that a batch has. What is in its place holds nothing of users, no more
    /// than the batch does. Whether there is such a batch.
    pub(super) fn fold(&mut self, hash: B256, cursors: &BTreeMap<ChainId, BlockNumHash>) -> bool {
        let folded = self.ledger.with(|state| {
            let batch = state.batches.iter_mut().find(|batch| batch.hash == hash)?;
            let (slot, before) = (batch.slot, batch.spans.clone());
            for (chain, span) in &mut Arc::make_mut(batch).spans {
                span.last = cursors.get(chain).copied().unwrap_or(span.last);
            }
            state.follow();
            Some((slot, before))
        });
        let Some((slot, before)) = folded else { return false };
        for (chain, to) in cursors {
            if let Some((span, scan)) = before.get(chain).zip(self.scans.get_mut(chain)) {
                scan.move_cursor(span.last, *to);
            }
        }
        counter!("lockstep_gateway_missed_late_batches_total").increment(1);
        tracing::info!(
            target: "lockstep_gateway",
            slot, batch = %hash, chains = ?cursors.keys().collect::<Vec<_>>(),
            "a batch with a late rollup's blocks came too late for L1, as most do; they are tried again"
        );
        true
    }

    /// Whether a slot is left to the blocks of rollups that are late: if they have any that no batch has.
    pub(super) fn is_for_late(&self, slot: Slot) -> bool {
        let waits = |scan: &Scan| scan.tip().number > scan.begin().number;
        slot >= self.next_try
            && self.late.iter().any(|chain| self.scans.get(chain).is_some_and(waits))
    }

    /// Leaves the slot `now` to late rollups if it is their turn, and no more of them until the next turn, whatever comes
    /// of it: their peers' users wait meanwhile.
    pub(super) fn leave_to_late(&mut self, now: Slot) {
        match self.left_to_late {
            None if self.is_for_late(now) => self.left_to_late = Some(now),
            // When it is over there is time to seal it.
            Some(left) if now > left.saturating_add(1) => self.note_turn(left),
            _ => {}
        }
    }

    /// Whether a batch of late rollups' blocks alone waits for the inbox. Nothing is filled behind it: it may be dropped, and
    /// would take along what users were shown.
    pub(super) fn awaits_late(&self, state: &State) -> bool {
        let mut waiting = state.batches.iter().skip(state.posted()).filter(|it| !it.is_filled);
        waiting.any(|batch| batch.spans.keys().any(|chain| self.is_late(*chain)))
    }

    fn note_turn(&mut self, slot: Slot) {
        self.next_try = self.next_try.max(slot.saturating_add(SLOTS_BETWEEN_TRIES));
        self.left_to_late = None;
    }

    /// Which rollups have their blocks in the batch of a slot.
    pub(super) fn is_in_batch(&self, chain: ChainId, slot: Slot) -> bool {
        let is_filled = |chain: &ChainId| {
            self.scans.get(chain).is_some_and(|scan| scan.filled_slot() == Some(slot))
        };
        if self.rollups.keys().any(is_filled) {
            return !self.is_late(chain) || is_filled(&chain);
        }
        self.is_late(chain) == self.is_for_late(slot)
    }

    /// Blocks are put into a batch. Whether late rollups have had their turn with that.
    pub(super) fn note_try(
        &mut self,
        blocks: &BTreeMap<ChainId, Vec<UnionBlock>>,
        slot: Slot,
    ) -> bool {
        let mut chains = blocks.iter().filter(|(_, own)| !own.is_empty()).map(|(chain, _)| chain);
        let is_try = chains.any(|chain| self.is_late(*chain));
        if is_try {
            self.note_turn(slot);
        }
        is_try
    }

    /// Why followers will drop a batch of these blocks, whatever L1 block it comes into.
    pub(super) fn judge_origins(
        &self,
        blocks: &BTreeMap<ChainId, Vec<UnionBlock>>,
    ) -> Result<(), String> {
        let Some(seen) = self.ledger.with(|state| state.seen) else { return Ok(()) };
        for (chain, first) in blocks.iter().filter_map(|(chain, own)| Some((chain, own.first()?))) {
            let (origin, window) = (first.block.epoch.number, self.union.seq_window_size);
            if origin.saturating_add(window) <= seen.number {
                return Err(format!(
                    "block {} of rollup {chain} has origin {origin}, more than {window} blocks before L1's next",
                    first.block.number
                ));
            }
        }
        Ok(())
    }
}
