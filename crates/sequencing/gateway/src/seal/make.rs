//! From blocks to a sealed batch.

use super::{Lost, MAX_BLOCKS, SealedBatch, SealedSpan, Sealer, UnionChains, batch::contents};
use crate::GatewayError;
use alloy_eips::eip4844::Blob;
use alloy_primitives::{Bytes, ChainId};
use lockstep_batcher::{UnionBlock, build_union_batch};
use lockstep_derive::open_union_batch;
use lockstep_lookahead::Slot;
use lockstep_protocol::{MAX_BLOB_DATA_BYTES, encode_blob};
use metrics::{counter, gauge};
use std::{collections::BTreeMap, sync::Arc};

/// How often it is tried to seal a slot whose blocks no batch can hold: they may disagree for a moment, while a follower
/// takes blocks back.
pub(super) const MAX_TRIES: u32 = 3;

/// Slots before the newest complete one that are looked at for one that is owned, when all are empty; and before those
/// for whose batches others are waited for: two gateways that own slots in turn would wait for each other for ever.
const MAX_SLOTS_BACK: u64 = 8;

impl Sealer {
    /// Seals the slots that are complete: each whose blocks hold users' transactions; and the newest if none do, with the
    /// empty blocks of those before it.
    pub(super) fn seal_due(
        &mut self,
        chains: &impl UnionChains,
        now_s: u64,
        ends: bool,
    ) -> Result<(), GatewayError> {
        let mut next_time = 0;
        for (chain, config) in &self.rollups {
            let head = chains.head(*chain)?.number;
            next_time =
                next_time.max(Self::timestamp(config, head).saturating_add(self.block_time));
        }
        loop {
            let filled = self.first_filled();
            let complete = match filled.filter(|_| ends) {
                Some(filled) => filled,
                None => {
                    let open = self.union.slot_at(next_time);
                    let Some(complete) = open.and_then(|slot| slot.checked_sub(1)) else {
                        return Ok(());
                    };
                    complete
                }
            };
            let held = [self.unaudited, self.distrusted_slot()].into_iter().flatten().min();
            let complete = match held.map(|first| first.checked_sub(1)) {
                None => complete,
                Some(None) => return Ok(()),
                Some(Some(last)) => complete.min(last),
            };
            let slot = match filled {
                Some(slot) if slot <= complete => Some(slot),
                Some(_) => None,
                None => self.empty_due(complete, now_s),
            };
            let Some(slot) = slot else { return Ok(()) };
            if !self.seal(slot, chains)? || filled.is_none() || !self.scan(chains)? {
                return Ok(());
            }
        }
    }

    /// The slot whose batch brings empty blocks to L1, if one is due.
    fn empty_due(&self, complete: Slot, now_s: u64) -> Option<Slot> {
        let backlog = self.backlog(complete);
        // Slots that nobody audits are late by as much.
        let behind = self.unaudited.map_or(2, |_| self.settings.handover_slots.max(1) + 1);
        // What is before a block that others will not find is the newest that can be sealed.
        let is_newest = self.distrusted_slot().is_some()
            || self.union.slot_at(now_s).is_none_or(|now| complete.saturating_add(behind) >= now);
        if backlog == 0 || !(is_newest || backlog >= MAX_BLOCKS) {
            return None;
        }
        self.ledger.with(|state| {
            let (tip, seen) = (state.tip.as_ref()?, state.seen?);
            let first = tip.next_slot.max(self.signed_up_to.map_or(0, |signed| signed + 1));
            let first = first.max((seen.slot + 1).saturating_sub(seen.inbox.open_slots()));
            let back = MAX_SLOTS_BACK.saturating_add(self.settings.handover_slots);
            let first = first.max(complete.saturating_sub(back));
            let mine = |slot: &Slot| state.owner(*slot) == Some(Some(self.key.address));
            let patience = seen.slot.saturating_sub(self.settings.handover_slots);
            let waited_for = seen.inbox.next_slot.max(patience);
            let is_due = |slot: &Slot| !self.awaits_another(state, waited_for, *slot);
            (first..=complete).rev().filter(mine).find(is_due)
        })
    }

    /// Makes, signs and writes down the batch of a slot. Whether that was possible.
    fn seal(&mut self, slot: Slot, chains: &impl UnionChains) -> Result<bool, GatewayError> {
        if self.signed_up_to.is_some_and(|signed| slot <= signed) {
            return Ok(false);
        }
        if self.ledger.with(|state| state.owner(slot)) != Some(Some(self.key.address)) {
            self.ledger.with(|state| state.asked = Some(slot));
            return Ok(false);
        }
        let blocks = self.blocks_of(slot, chains)?;
        let is_filled = blocks.values().flatten().any(|block| contents(block) > 0);
        let is_try = self.note_try(&blocks, slot) && !is_filled;
        if let Err(reason) = self.judge_origins(&blocks) {
            if is_try {
                tracing::debug!(target: "lockstep_gateway", slot, reason, "late blocks are tried again later");
            } else {
                self.note_refusal(slot, Lost::Unsealable(reason));
            }
            return Ok(false);
        }
        let data = match self.encode(slot, &blocks) {
            Ok(data) => data,
            Err(reason) => {
                self.note_refusal(slot, Lost::Unsealable(reason));
                return Ok(false);
            }
        };
        let hashes = self.blob_hashes(&data);
        let blob_hashes = hashes.map_err(|reason| GatewayError::Seal { slot, reason })?;
        let blobs = blob_hashes.len();
        let parent = self.ledger.with(|state| state.tip.as_ref().map(|tip| tip.head));
        let Some(parent) = parent else { return Ok(false) };
        let (l1_chain_id, inbox) = (self.l1_chain_id, self.union.inbox);
        let hash = SealedBatch::hash_of(slot, parent, &blob_hashes, l1_chain_id, inbox);
        let signed = self.key.signer.sign_hash_sync(&hash);
        let signature =
            signed.map_err(|error| GatewayError::Seal { slot, reason: error.to_string() })?;
        let signature = Bytes::from(signature.as_bytes());
        let spans = spans(&blocks);
        let filled: usize = blocks.values().flatten().map(contents).sum();
        let batch =
            SealedBatch { slot, parent, hash, data, blob_hashes, signature, spans, is_filled };
        if let Some(file) = &mut self.file {
            file.append(&batch)?;
        }
        self.signed_up_to = Some(slot);
        self.refused = None;
        let bytes = batch.data.len();
        let batch = Arc::new(batch);
        if let Some(link) = &self.link {
            link.hand_over(&batch);
        }
        self.ledger.with(|state| {
            state.batches.push_back(batch);
            state.follow();
            state.asked = None;
        });
        counter!("lockstep_gateway_batches_total").increment(1);
        counter!("lockstep_gateway_batch_blobs_total").increment(blobs as u64);
        gauge!("lockstep_gateway_sealed_slot").set(slot as f64);
        tracing::info!(
            target: "lockstep_gateway",
            slot, batch = %hash, blobs, bytes, contents = filled,
            "sealed a union batch"
        );
        Ok(true)
    }

    /// The blocks of each rollup that no batch has, up to the end of the slot, or as many as a batch takes.
    fn blocks_of(
        &self,
        slot: Slot,
        chains: &impl UnionChains,
    ) -> Result<BTreeMap<ChainId, Vec<UnionBlock>>, GatewayError> {
        let end = self.union.slot_start(slot.saturating_add(1));
        let mut blocks = BTreeMap::new();
        for (chain, config) in &self.rollups {
            let Some(cursor) = self.begin(*chain).filter(|_| self.is_in_batch(*chain, slot)) else {
                continue;
            };
            let last = Self::last_before(config, end)
                .min(chains.head(*chain)?.number)
                .min(cursor.number.saturating_add(MAX_BLOCKS));
            let mut own = Vec::new();
            for number in cursor.number + 1..=last {
                own.extend(chains.block(*chain, number)?);
            }
            blocks.insert(*chain, own);
        }
        Ok(blocks)
    }

    /// What the blobs of a batch hold, or why no batch can hold these blocks. It is what followers will find.
    fn encode(
        &self,
        slot: Slot,
        blocks: &BTreeMap<ChainId, Vec<UnionBlock>>,
    ) -> Result<Bytes, String> {
        let batch =
            build_union_batch(slot, &self.union, blocks).map_err(|error| error.to_string())?;
        let data = batch.encode(self.settings.compression).map_err(|error| error.to_string())?;
        let data = Bytes::from(data);
        let (count, limit) = (data.len().div_ceil(MAX_BLOB_DATA_BYTES), self.settings.max_blobs);
        if count > limit {
            return Err(format!("it takes {count} blobs, the limit is {limit}"));
        }
        let Some(config) = self.rollups.values().next() else { return Ok(data) };
        open_union_batch(&data, slot, config, &self.union)
            .map_err(|dropped| format!("followers would drop it as {}", dropped.name()))?;
        Ok(data)
    }

    fn blob_hashes(&self, data: &Bytes) -> Result<Vec<alloy_primitives::B256>, String> {
        self.prover.versioned_hashes(blobs(data)?).map_err(|error| error.to_string())
    }

    fn note_refusal(&mut self, slot: Slot, reason: Lost) {
        let tries = match &self.refused {
            Some((refused, _, tries)) if *refused == slot => *tries,
            _ => 0,
        };
        tracing::warn!(target: "lockstep_gateway", slot, %reason, "could not seal a slot");
        self.refused = Some((slot, reason, tries + 1));
    }
}

/// The blobs that carry what a batch holds.
pub(crate) fn blobs(data: &Bytes) -> Result<Vec<Blob>, String> {
    let blobs = data.chunks(MAX_BLOB_DATA_BYTES).map(|data| encode_blob(data).map(|blob| *blob));
    blobs.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn spans(blocks: &BTreeMap<ChainId, Vec<UnionBlock>>) -> BTreeMap<ChainId, SealedSpan> {
    let span = |(chain, blocks): (&ChainId, &Vec<UnionBlock>)| {
        let (first, last) = (blocks.first()?, blocks.last()?);
        let number = first.block.number.checked_sub(1)?;
        let parent = alloy_eips::BlockNumHash::new(number, first.block.parent_hash);
        Some((*chain, SealedSpan { parent, last: last.block.id() }))
    };
    blocks.iter().filter_map(span).collect()
}
