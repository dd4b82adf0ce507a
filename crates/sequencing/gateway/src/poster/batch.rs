//! A slot's batch, signed, in a call of the inbox.

use super::{Blocked, PostedBatch, Poster};
use crate::PosterError;
use alloy_eips::{eip7594::BlobTransactionSidecarVariant, eip7825::MAX_TX_GAS_LIMIT_OSAKA};
use alloy_primitives::{B256, Bytes, ChainId, U256};
use alloy_sol_types::SolCall;
use lockstep_batcher::{Call, L1Head, UnionBlock, build_union_batch};
use lockstep_contracts::{Inbox, ProposersProof, union_batch_hash};
use lockstep_derive::{Dropped, open_union_batch};
use lockstep_lookahead::{Owner, Slot};
use lockstep_protocol::{MAX_BLOB_DATA_BYTES, encode_blob};
use std::collections::BTreeMap;

/// A call that is ready to be sent.
pub(super) struct Prepared {
    pub(super) call: Call,
    pub(super) sidecar: BlobTransactionSidecarVariant,
    pub(super) posted: PostedBatch,
    pub(super) blobs: usize,
}

impl Poster {
    /// Builds, proves and signs the batch of a slot. Nothing is changed.
    pub(super) fn prepare(
        &mut self,
        slot: Slot,
        owner: Owner,
        head: &L1Head,
    ) -> Result<Result<Prepared, Blocked>, PosterError> {
        let Some(proof) = self.owners.prove(slot, owner)? else {
            return Ok(Err(Blocked::NotProvable));
        };
        let end = self.union.slot_start(slot.saturating_add(1));
        let blocks: BTreeMap<ChainId, Vec<UnionBlock>> =
            self.placed().map(|member| (member.chain, member.blocks_before(end))).collect();
        let batch = build_union_batch(slot, &self.union, &blocks)?;
        let encoding = |source| PosterError::Encoding { slot, source };
        let data = Bytes::from(batch.encode(self.settings.compression).map_err(encoding)?);
        let (count, limit) = (data.len().div_ceil(MAX_BLOB_DATA_BYTES), self.settings.max_blobs);
        if count > limit {
            return Err(PosterError::TooManyBlobs { slot, blobs: count, limit });
        }
        match self.look_into(slot, &data) {
            Ok(()) => {}
            // So it is for moments while a gateway takes blocks back, one rollup after the other.
            Err(Dropped::UnionAgreement) => return Ok(Err(Blocked::Disagreement)),
            Err(dropped) => {
                return Err(PosterError::Invalid { slot, dropped: dropped.name() });
            }
        }
        let blobs =
            data.chunks(MAX_BLOB_DATA_BYTES).map(|data| encode_blob(data).map(|blob| *blob));
        let blobs = blobs.collect::<Result<_, _>>().map_err(|error| encoding(error.into()))?;
        let sidecar = self.outbox.sidecar(blobs, head)?;
        let lasts = blocks.iter().filter_map(|(chain, blocks)| Some((*chain, blocks.last()?)));
        let lasts = lasts.map(|(chain, block)| (chain, block.block.id())).collect();
        let content = Inbox::Batch {
            slot,
            parent: self.newest(),
            blobHashes: sidecar.versioned_hashes().collect(),
        };
        let (call, hash) = self.sign(&content, proof)?;
        let posted = PostedBatch { slot, hash, end, lasts, doubted_since: None };
        Ok(Ok(Prepared { call, sidecar, posted, blobs: count }))
    }

    /// What followers will find.
    fn look_into(&self, slot: Slot, data: &Bytes) -> Result<(), Dropped> {
        let Some(member) = self.members.first() else { return Ok(()) };
        open_union_batch(data, slot, &member.config, &self.union).map(drop)
    }

    /// The call that posts a batch, and the batch's hash.
    fn sign(
        &self,
        batch: &Inbox::Batch,
        proof: ProposersProof,
    ) -> Result<(Call, B256), PosterError> {
        let slot = batch.slot;
        let hash = union_batch_hash(batch, self.l1_chain_id, self.union.inbox);
        let signed = self.gateway.signer.sign_hash_sync(&hash);
        let signature = signed
            .map_err(|error| PosterError::Signer { slot, reason: error.to_string() })?
            .as_bytes();
        let proposers = proof.keys.len();
        let call = Inbox::postCall {
            slot,
            parent: batch.parent,
            firstBlob: U256::ZERO,
            blobCount: U256::from(batch.blobHashes.len()),
            proof,
            signature: signature.into(),
        };
        let input = Bytes::from(call.abi_encode());
        let gas_limit = gas_limit(&input, proposers);
        if gas_limit > MAX_TX_GAS_LIMIT_OSAKA {
            let (gas, limit) = (gas_limit, MAX_TX_GAS_LIMIT_OSAKA);
            return Err(PosterError::ProofTooLong { proposers, gas, limit });
        }
        Ok((Call { input, gas_limit }, hash))
    }
}

/// More gas than `Inbox.post` takes with this input and so many proposers. No node can be asked for it: what
/// the batch stands on is not yet there.
fn gas_limit(input: &[u8], proposers: usize) -> u64 {
    const TRANSACTION: u64 = 21_000;
    /// What the contract does apart from the branches of proposers, and hashes them.
    const POST: u64 = 250_000;
    const PROPOSER: u64 = 70_000;
    let bytes = input.len() as u64;
    let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
    let tokens = zeros + 4 * (bytes - zeros);
    // EIP-7623: ten for a token at least, four if there is execution.
    let executed = TRANSACTION + 4 * tokens + POST + PROPOSER * proposers as u64;
    executed.max(TRANSACTION + 10 * tokens)
}
