//! Batches of other gateways that were handed over, before L1 has them.

use super::{MAX_BLOBS_PER_TX, SealedBatch, SealedSpan, Sealer, blobs, ledger::Base};
use crate::{GatewayError, GatewayLink};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, ChainId, Signature, keccak256};
use lockstep_lookahead::Slot;
use lockstep_protocol::MAX_BLOB_DATA_BYTES;
use metrics::counter;
use std::{collections::BTreeMap, sync::Arc};

/// Batches with the same parent whose signatures are looked at in one go.
const MAX_OFFERS: usize = 8;

/// A batch of another gateway, whose slot and signature are right, and where its blocks begin. What it holds is not
/// judged yet.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) batch: SealedBatch,
    pub(crate) cursors: BTreeMap<ChainId, BlockNumHash>,
    /// What it is remembered by if it is refused.
    id: B256,
}

impl Offer {
    /// A batch that was signed or adopted before, whose blocks are missing after these.
    pub(super) fn own(batch: SealedBatch, cursors: BTreeMap<ChainId, BlockNumHash>) -> Self {
        let id = batch.hash;
        Self { batch, cursors, id }
    }
}

impl Sealer {
    /// Hands what it seals to other gateways, and takes what they seal.
    #[must_use]
    pub fn with_link(self, link: Arc<dyn GatewayLink>) -> Self {
        Self { link: Some(link), ..self }
    }

    /// The next batch, if another gateway has sealed it. None while users were shown blocks that no batch has: then
    /// L1 decides.
    pub(crate) fn offered(&mut self, now_s: u64) -> Option<Offer> {
        let link = self.link.clone()?;
        if self.is_file_stale || !self.is_scanned || self.first_filled().is_some() {
            return None;
        }
        let tip = self.ledger.with(|state| {
            let is_settled = state.proposed.is_none() && !state.is_doubtful;
            state.tip.clone().filter(|_| is_settled)
        })?;
        let mut offers = Vec::new();
        let given = link.sealed_after(tip.head).into_iter().map(|batch| (id_of(&batch), batch));
        let mut given: Vec<_> = given.filter(|(id, _)| !self.refused_offers.has(id)).collect();
        self.refused_offers.sort(&mut given);
        let mut checked = 0;
        for (id, batch) in given {
            match self.check(&batch, &tip, now_s) {
                // It may be the next one later.
                Ok(None) => continue,
                Ok(Some(batch)) => offers.push((id, batch)),
                Err(reason) => self.refuse_offer(id, (batch.slot, None), reason),
            }
            checked += 1;
            if checked >= MAX_OFFERS {
                break;
            }
        }
        let (id, batch) = offers.first().cloned()?;
        if offers.iter().any(|(_, other)| other.hash != batch.hash) {
            // Only L1 can tell which one counts.
            return None;
        }
        // The hash that was signed binds the blobs, not the data: of several with the same, the one with these blobs counts, and
        // each has its turn.
        let hashes = blobs(&batch.data).and_then(|blobs| {
            self.prover.versioned_hashes(blobs).map_err(|error| error.to_string())
        });
        if hashes.as_ref() != Ok(&batch.blob_hashes) {
            let whose = (batch.slot, batch.signer());
            self.refuse_offer(id, whose, "its blobs are not those that were signed");
            return None;
        }
        let begin = |chain: &ChainId| Some((*chain, self.begin(*chain)?));
        let cursors = tip.cursors.keys().filter_map(begin).collect();
        Some(Offer { batch, cursors, id })
    }

    /// Whether a batch is the next one, and signed by the owner of its slot; `None` if it is not, or that is not known
    /// now. An error says why it never can be.
    fn check(
        &self,
        batch: &SealedBatch,
        tip: &Base,
        now_s: u64,
    ) -> Result<Option<SealedBatch>, &'static str> {
        let SealedBatch { slot, parent, data, blob_hashes, signature, .. } = batch;
        let slot = *slot;
        let count = data.len().div_ceil(MAX_BLOB_DATA_BYTES);
        if count == 0 || count > MAX_BLOBS_PER_TX || blob_hashes.len() != count {
            return Err("no transaction can carry it");
        }
        let end = self.union.slot_start(slot.saturating_add(1));
        let is_complete = now_s.saturating_add(self.block_time) >= end;
        if *parent != tip.head || slot < tip.next_slot || !is_complete {
            return Ok(None);
        }
        let owner = self.ledger.with(|state| {
            let seen = state.seen?;
            let is_late = slot.saturating_add(seen.inbox.open_slots()) <= seen.slot;
            if is_late || slot < seen.inbox.next_slot {
                return None;
            }
            let owner = state.owner(slot);
            if owner.is_none() {
                state.asked = Some(slot);
            }
            owner
        });
        // What this gateway has signed it has itself, or has given up.
        let Some(owner) = owner.filter(|owner| *owner != Some(self.key.address)) else {
            return Ok(None);
        };
        let Some(owner) = owner else { return Err("its slot is nobody's") };
        let (l1_chain_id, inbox) = (self.l1_chain_id, self.union.inbox);
        let hash = SealedBatch::hash_of(slot, *parent, blob_hashes, l1_chain_id, inbox);
        let Ok(signature) = Signature::from_raw(signature) else {
            return Err("its signature is none");
        };
        // The inbox takes the lower of the two that are possible.
        let is_signed = signature.normalize_s().is_none()
            && signature.recover_address_from_prehash(&hash).is_ok_and(|signer| signer == owner);
        if !is_signed {
            return Err("the owner of its slot has not signed it");
        }
        let signature = signature.as_bytes().into();
        let (parent, data, blob_hashes) = (*parent, data.clone(), blob_hashes.clone());
        let (spans, is_filled) = (BTreeMap::new(), false);
        Ok(Some(SealedBatch { slot, parent, hash, data, blob_hashes, signature, spans, is_filled }))
    }

    /// A batch that was offered cannot be taken, now or ever.
    pub(crate) fn refuse(&mut self, offer: &Offer, reason: &str) {
        self.refuse_offer(offer.id, (offer.batch.slot, offer.batch.signer()), reason);
    }

    fn refuse_offer(&mut self, id: B256, whose: (Slot, Option<Address>), reason: &str) {
        let (slot, signer) = whose;
        self.refused_offers.add(id, signer);
        counter!("lockstep_gateway_refused_batches_total").increment(1);
        tracing::warn!(
            target: "lockstep_gateway",
            slot, reason,
            "did not take a batch of another gateway; L1 may have it all the same"
        );
    }

    /// Takes a batch whose blocks the engines have: writes it down, and has it posted. They must become heads then.
    pub(crate) fn adopt(
        &mut self,
        offer: Offer,
        spans: BTreeMap<ChainId, SealedSpan>,
        is_filled: bool,
    ) -> Result<(), GatewayError> {
        let batch = SealedBatch { spans, is_filled, ..offer.batch };
        if let Some(file) = &mut self.file {
            file.append(&batch)?;
        }
        counter!("lockstep_gateway_adopted_batches_total").increment(1);
        tracing::info!(
            target: "lockstep_gateway",
            slot = batch.slot, batch = %batch.hash, is_filled,
            "goes on from a batch of another gateway"
        );
        self.ledger.with(|state| {
            state.batches.push_back(Arc::new(batch));
            state.follow();
        });
        Ok(())
    }
}

/// What a batch is known by before anything in it was checked.
fn id_of(batch: &SealedBatch) -> B256 {
    let hashes = batch.blob_hashes.iter().take(MAX_BLOBS_PER_TX).flat_map(|hash| hash.0);
    let content = [keccak256(&batch.data), keccak256(&batch.signature), batch.parent];
    let content = content.iter().flat_map(|hash| hash.0).chain(hashes);
    keccak256(content.chain(batch.slot.to_be_bytes()).collect::<Vec<u8>>())
}
