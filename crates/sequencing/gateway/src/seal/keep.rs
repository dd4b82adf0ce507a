//! What is kept of what was sealed, and what is taken back since it can be posted no more.

use super::{Base, Lost, SealedBatch, Sealer, UnionChains, batch::contents};
use crate::GatewayError;
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, Bytes, ChainId};
use lockstep_lookahead::Slot;
use metrics::counter;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

impl Sealer {
    /// Goes on from what L1 has, if that was found out anew: with the batches that follow it.
    pub(super) fn take_over_base(&mut self) -> Result<(), GatewayError> {
        let Some(base) = self.ledger.with(|state| state.proposed.clone()) else { return Ok(()) };
        if let Some(missing) = self.rollups.keys().find(|chain| !base.cursors.contains_key(chain)) {
            // The poster was given other rollups.
            return Err(GatewayError::NoUnion(*missing));
        }
        let (head, next_slot) = (base.head, base.next_slot);
        let reason = self.ledger.with(|state| {
            let taken = state.batches.iter().position(|batch| batch.hash == base.head);
            if let Some(taken) = taken {
                // L1 may take them back: they are kept until they are deep enough in it.
                let before = before(&state.batches, &base);
                let after = state
                    .batches
                    .iter()
                    .take(taken + 1)
                    .fold(before.clone(), |it, batch| it.after(batch));
                if after == base {
                    state.base = Some(before);
                    return None;
                }
                state.batches.drain(..=taken);
            }
            let follows = state.batches.front().map(|first| base.continues_with(first));
            state.base = Some(base);
            match follows {
                Some(false) if taken.is_some() => Some(Lost::Dropped),
                Some(false) => Some(Lost::Passed),
                Some(true) | None => None,
            }
        });
        if let Some(reason) = reason {
            self.truncate(0, &reason)?;
        } else {
            self.rewrite_file()?;
        }
        self.ledger.with(|state| {
            state.proposed = None;
            state.is_doubtful = false;
            state.follow();
        });
        tracing::info!(
            target: "lockstep_gateway",
            newest_batch = %head, next_slot, unposted = self.ledger.unposted(),
            "sealing goes on from what L1 has"
        );
        Ok(())
    }

    /// Drops what L1 takes no more, and forgets what it has for good.
    pub(super) fn take_over_losses(&mut self) -> Result<(), GatewayError> {
        let (lost, confirmed, buried) = self
            .ledger
            .with(|state| (state.lost.take(), state.confirmed.take(), state.buried.take()));
        if let Some((hash, reason)) = lost {
            let at = self.ledger.with(|state| state.batches.iter().position(|it| it.hash == hash));
            if let Some(at) = at {
                self.truncate(at, &reason)?;
            }
        }
        let is_less = self.ledger.with(|state| {
            let place = |hash: &B256| state.batches.iter().position(|it| it.hash == *hash);
            if let Some(at) = confirmed.as_ref().and_then(place) {
                let Some(base) = state.base.take() else { return false };
                let taken = state.batches.drain(..=at);
                state.base = Some(taken.fold(base, |base, it| base.after(&it)));
                return true;
            }
            let Some(at) = buried.as_ref().and_then(place) else { return false };
            let buried = state.batches.iter_mut().take(at + 1);
            let buried = buried.filter(|batch| !batch.data.is_empty());
            // Nobody needs what the blobs hold any more; where it ends must be known until all have derived it.
            buried.map(|batch| Arc::make_mut(batch).data = Bytes::new()).count() > 0
        });
        let kept = self.ledger.kept_bytes();
        if is_less && self.file.as_ref().is_some_and(|file| file.is_idle(kept)) {
            self.rewrite_file()?;
        }
        Ok(())
    }

    /// Drops batches whose blocks are canonical no more. If those before them are not either, it must be found out what
    /// L1 has.
    pub(super) fn drop_replaced(&mut self, chains: &impl UnionChains) -> Result<(), GatewayError> {
        let Some(tip) = self.ledger.with(|state| state.tip.clone()) else { return Ok(()) };
        if self.are_there(&tip, chains)? {
            return Ok(());
        }
        let (base, batches) = self.ledger.with(|state| (state.base.clone(), state.batches.clone()));
        let mut base = base.unwrap_or_default();
        if !self.are_canonical(&base, chains)? {
            tracing::warn!(
                target: "lockstep_gateway",
                "blocks that L1 has are canonical no more; waiting until it is known what it has"
            );
            self.ledger.with(|state| {
                state.base = None;
                state.follow();
            });
            return Ok(());
        }
        let mut has_folded = false;
        for (at, batch) in batches.iter().enumerate() {
            if self.is_replaced(batch, chains)? {
                if !self.ledger.is_late_try(batch) {
                    return self.truncate(at, &Lost::Replaced);
                }
                // Followers went on without it.
                let cursors = self.derived_instead(batch, &base, chains)?;
                has_folded |= self.fold(batch.hash, &cursors);
                base.cursors.extend(cursors);
            } else {
                base = base.after(batch);
            }
        }
        if has_folded { self.rewrite_file() } else { Ok(()) }
    }

    /// Whether the last blocks that batches have are where they were.
    fn are_there(&self, tip: &Base, chains: &impl UnionChains) -> Result<bool, GatewayError> {
        for (chain, cursor) in &tip.cursors {
            if self.rollups.contains_key(chain)
                && chains.hash(*chain, cursor.number)? != Some(cursor.hash)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether no other block stands where one of these was.
    fn are_canonical(&self, base: &Base, chains: &impl UnionChains) -> Result<bool, GatewayError> {
        for (chain, cursor) in &base.cursors {
            if self.is_another(*chain, *cursor, chains)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether other blocks stand where those of a batch were, or where those were on which they stand.
    fn is_replaced(
        &self,
        batch: &SealedBatch,
        chains: &impl UnionChains,
    ) -> Result<bool, GatewayError> {
        for (chain, span) in &batch.spans {
            if self.is_another(*chain, span.parent, chains)?
                || self.is_another(*chain, span.last, chains)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether another block stands where this one was. A chain may be shorter, after a power failure: then its blocks are made
    /// again.
    fn is_another(
        &self,
        chain: ChainId,
        block: BlockNumHash,
        chains: &impl UnionChains,
    ) -> Result<bool, GatewayError> {
        let is_ours = self.rollups.contains_key(&chain);
        Ok(is_ours && chains.hash(chain, block.number)?.is_some_and(|found| found != block.hash))
    }

    /// The safe blocks of a batch's rollups, or those after which it began.
    fn derived_instead(
        &self,
        batch: &SealedBatch,
        base: &Base,
        chains: &impl UnionChains,
    ) -> Result<BTreeMap<ChainId, BlockNumHash>, GatewayError> {
        let mut found = BTreeMap::new();
        for chain in batch.spans.keys() {
            let begin = base.cursors.get(chain).copied().unwrap_or_default();
            let safe = chains.safe(*chain)?;
            let hash = if safe > begin.number { chains.hash(*chain, safe)? } else { None };
            found.insert(*chain, hash.map_or(begin, |hash| BlockNumHash::new(safe, hash)));
        }
        Ok(found)
    }

    /// Takes back the blocks from the first slot on whose transactions can be posted no more, or that has a block which others
    /// will not find. Whether there were any.
    pub(super) fn give_up(&mut self, chains: &mut impl UnionChains) -> Result<bool, GatewayError> {
        let filled = self.first_filled().and_then(|slot| Some((slot, self.why_lost(slot)?)));
        let lost = [self.wrong_slot(), filled].into_iter().flatten();
        let Some((slot, reason)) = lost.min_by_key(|(slot, _)| *slot) else { return Ok(false) };
        let start = self.union.slot_start(slot);
        let mut targets = BTreeMap::<ChainId, (BlockNumHash, BlockNumHash)>::new();
        let (mut transactions, mut blocks) = (0, 0);
        for (chain, config) in &self.rollups {
            let Some(cursor) = self.begin(*chain) else { return Ok(false) };
            let head = chains.head(*chain)?;
            let number = Self::last_before(config, start).max(cursor.number);
            if number >= head.number {
                continue;
            }
            if chains.safe(*chain)? > number {
                // L1 has some of it, so what it has is not what was thought.
                self.ledger.with(|state| {
                    state.base = None;
                    state.follow();
                });
                return Ok(false);
            }
            let Some(hash) = chains.hash(*chain, number)? else { continue };
            for lost in number + 1..=head.number {
                transactions += chains.block(*chain, lost)?.map_or(0, |block| contents(&block));
            }
            blocks += head.number - number;
            targets.insert(*chain, (head, BlockNumHash::new(number, hash)));
        }
        for (chain, (head, to)) in targets {
            chains.rewind(chain, head, to)?;
        }
        self.scans.clear();
        self.refused = None;
        self.note_taken_back(slot);
        counter!("lockstep_gateway_lost_slots_total", "reason" => reason.name()).increment(1);
        counter!("lockstep_gateway_lost_transactions_total").increment(transactions as u64);
        tracing::error!(
            target: "lockstep_gateway",
            first_slot = slot, %reason, blocks, transactions,
            "took back blocks that users had been shown, since they can be posted no more"
        );
        Ok(true)
    }

    /// Why the blocks of a slot that no batch has can be posted no more.
    fn why_lost(&self, slot: Slot) -> Option<Lost> {
        if let Some((refused, reason, tries)) = &self.refused
            && *refused == slot
            && *tries >= super::make::MAX_TRIES
        {
            return Some(reason.clone());
        }
        let is_signed = self.signed_up_to.is_some_and(|signed| slot <= signed);
        self.ledger.with(|state| {
            let (tip, seen) = (state.tip.as_ref()?, state.seen?);
            let window_slots = seen.inbox.open_slots();
            let is_closed = slot.saturating_add(window_slots) <= seen.slot;
            if is_closed && seen.inbox.next_slot <= slot {
                // The inbox has not taken it, and never will.
                return Some(Lost::Closed { window_slots });
            }
            if state.is_doubtful {
                return None;
            }
            if slot < tip.next_slot {
                return Some(Lost::Passed);
            }
            if is_signed {
                return Some(Lost::Signed);
            }
            let owner = state.owner(slot);
            if owner.is_none() {
                state.asked = Some(slot);
            }
            (owner? != Some(self.key.address)).then_some(Lost::NotOwned)
        })
    }

    /// Drops the batches from number `at` on. Their slots stay signed. They may be on their way into L1, so nothing is
    /// promised before it is known what L1 has.
    fn truncate(&mut self, at: usize, reason: &Lost) -> Result<(), GatewayError> {
        let dropped: Vec<Slot> = self.ledger.with(|state| {
            let dropped = state.batches.drain(at..).map(|batch| batch.slot).collect();
            state.is_doubtful = true;
            state.follow();
            dropped
        });
        counter!("lockstep_gateway_dropped_batches_total", "reason" => reason.name())
            .increment(dropped.len() as u64);
        tracing::error!(
            target: "lockstep_gateway",
            slots = ?dropped, %reason,
            "gave up sealed batches"
        );
        self.rewrite_file()
    }

    pub(super) fn rewrite_file(&mut self) -> Result<(), GatewayError> {
        let batches = self.ledger.with(|state| state.batches.clone());
        let Some(file) = &mut self.file else { return Ok(()) };
        self.is_file_stale = true;
        file.rewrite(self.signed_up_to, batches.iter())?;
        self.is_file_stale = false;
        Ok(())
    }
}

/// Where the first of these batches begins, if L1 has `base` after one of them.
fn before(batches: &VecDeque<Arc<SealedBatch>>, base: &Base) -> Base {
    let mut before = base.clone();
    for batch in batches.iter().rev() {
        (before.head, before.next_slot) = (batch.parent, batch.slot);
        before.cursors.extend(batch.spans.iter().map(|(chain, span)| (*chain, span.parent)));
    }
    before
}
