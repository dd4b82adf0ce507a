//! Blocks that others will not find as they were made.

use super::{Lost, Sealer, UnionChains};
use crate::{GatewayError, audits::Difference};
use alloy_primitives::B256;
use lockstep_lookahead::Slot;
use std::collections::VecDeque;

/// Such blocks that are looked after at a time: nothing is sealed from the first on.
const MAX_WRONG: usize = 64;

/// Such blocks that are remembered after they were taken back.
const MAX_TAKEN_BACK: usize = 64;

/// What audits have found.
#[derive(Debug, Default)]
pub(super) struct Distrust {
    /// Whether there ever was such a block.
    is_closed: bool,
    wrong: Vec<Difference>,
    taken_back: VecDeque<B256>,
}

impl Distrust {
    /// Whether users' transactions are taken no more.
    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }
}

impl Sealer {
    /// A block is not what others will find: if no batch has it, it is taken back with all from its slot on, and no more
    /// users' transactions are taken before an operator has seen to it.
    pub(crate) fn distrust(&mut self, difference: Difference) {
        let Distrust { is_closed, wrong, .. } = &mut self.distrust;
        *is_closed = true;
        let is_known = wrong.iter().any(|known| known.hash == difference.hash);
        if !is_known && wrong.len() < MAX_WRONG {
            wrong.push(difference);
        }
    }

    /// Forgets the blocks that are canonical no more, and those that batches have.
    pub(super) fn follow_distrust(
        &mut self,
        chains: &impl UnionChains,
    ) -> Result<(), GatewayError> {
        for difference in std::mem::take(&mut self.distrust.wrong) {
            let Some(config) = self.rollups.get(&difference.chain) else { continue };
            let number = Self::last_before(config, difference.timestamp.saturating_add(1));
            let is_sealed =
                self.begin(difference.chain).is_some_and(|begin| number <= begin.number);
            if !is_sealed && chains.hash(difference.chain, number)? == Some(difference.hash) {
                self.distrust.wrong.push(difference);
            }
        }
        Ok(())
    }

    fn first_wrong(&self) -> Option<(Slot, &Difference)> {
        let slot = |it: &Difference| self.union.slot_at(it.timestamp).unwrap_or_default();
        self.distrust.wrong.iter().map(|it| (slot(it), it)).min_by_key(|(slot, _)| *slot)
    }

    /// The slot of the first block that others will not find: nothing is sealed from it on.
    pub(super) fn distrusted_slot(&self) -> Option<Slot> {
        self.first_wrong().map(|(slot, _)| slot)
    }

    /// The slot from which on blocks are taken back since others will not find one of them. One that was taken back for that
    /// and came out the same is left where it is: it would come again and again.
    pub(super) fn wrong_slot(&self) -> Option<(Slot, Lost)> {
        let (slot, difference) = self.first_wrong()?;
        let is_new = !self.distrust.taken_back.contains(&difference.hash);
        is_new.then(|| (slot, Lost::NotReproduced(difference.reason.clone())))
    }

    /// The blocks from a slot on were taken back.
    pub(super) fn note_taken_back(&mut self, slot: Slot) {
        let start = self.union.slot_start(slot);
        let Distrust { wrong, taken_back, .. } = &mut self.distrust;
        for difference in wrong.extract_if(.., |it| it.timestamp >= start) {
            if taken_back.len() >= MAX_TAKEN_BACK {
                taken_back.pop_front();
            }
            taken_back.push_back(difference.hash);
        }
    }
}
