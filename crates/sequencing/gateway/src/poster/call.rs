//! A sealed batch in a call of the inbox.

use super::{Blocked, Posted, Poster};
use crate::{Lost, PosterError, SealedBatch, seal::blobs};
use alloy_eips::eip7825::MAX_TX_GAS_LIMIT_OSAKA;
use alloy_primitives::{Bytes, U256};
use alloy_sol_types::SolCall;
use lockstep_batcher::{Call, L1Head};
use lockstep_contracts::{Inbox, ProposersProof};
use lockstep_lookahead::Ownership;

impl Poster {
    /// Proves whose the slot of a batch is, and takes the call that posts it into the outbox.
    pub(super) fn queue(
        &mut self,
        batch: &SealedBatch,
        head: &L1Head,
    ) -> Result<Result<(), Blocked>, PosterError> {
        let slot = batch.slot;
        if batch.data.is_empty() {
            self.ledger.lose(batch.hash, Lost::TakenBack);
            return Ok(Err(Blocked::Forgotten));
        }
        let owner = match self.owners.ownership(slot, self.unix.as_secs())? {
            Ownership::Owned(owner) if batch.signer() == Some(owner.gateway) => owner,
            // The inbox would refuse it, and it would be paid for.
            Ownership::Owned(_) | Ownership::Nobody => {
                self.ledger.lose(batch.hash, Lost::NotOwned);
                return Ok(Err(Blocked::NotOwned));
            }
            Ownership::Undecided | Ownership::Unknown => return Ok(Err(Blocked::Unknown)),
        };
        let Some(proof) = self.owners.prove(slot, owner)? else {
            return Ok(Err(Blocked::NotProvable));
        };
        let encoded = blobs(&batch.data);
        let encoded = encoded.map_err(|reason| PosterError::Blobs { slot, reason })?;
        let sidecar = self.outbox.sidecar(encoded, head)?;
        if !sidecar.versioned_hashes().eq(batch.blob_hashes.iter().copied()) {
            let reason = "the blobs are not those that were signed".to_owned();
            return Err(PosterError::Blobs { slot, reason });
        }
        let call = post_call(batch, proof)?;
        let (gas_limit, nonce) = (call.gas_limit, self.outbox.next_nonce());
        self.outbox.queue_call(batch.hash, call, sidecar, head)?;
        self.posted.push_back(Posted { slot, hash: batch.hash, nonce });
        tracing::info!(
            target: "lockstep_gateway",
            slot, batch = %batch.hash, blobs = batch.blob_hashes.len(), gas_limit, nonce,
            "posts a union batch"
        );
        Ok(Ok(()))
    }
}

/// The call that posts a batch.
fn post_call(batch: &SealedBatch, proof: ProposersProof) -> Result<Call, PosterError> {
    let proposers = proof.keys.len();
    let call = Inbox::postCall {
        slot: batch.slot,
        parent: batch.parent,
        firstBlob: U256::ZERO,
        blobCount: U256::from(batch.blob_hashes.len()),
        proof,
        signature: batch.signature.clone(),
    };
    let input = Bytes::from(call.abi_encode());
    let gas_limit = gas_limit(&input, proposers);
    if gas_limit > MAX_TX_GAS_LIMIT_OSAKA {
        let (gas, limit) = (gas_limit, MAX_TX_GAS_LIMIT_OSAKA);
        return Err(PosterError::ProofTooLong { proposers, gas, limit });
    }
    Ok(Call { input, gas_limit })
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
