//! Making blocks.

use super::{
    BeaconError, BeaconFork, BuiltPayload, DevBeacon, ExecutionEngine, PayloadError, Signing,
    chain::ImportedBlock,
    events::{AttributesEvent, BeaconEvent},
    keys::{Domain, INFINITY, signing_root},
    transition::{Transition, block_root_at, randao_mix},
    types::{
        Attestation, AttestationData, BeaconBlock, BeaconBlockBody, BeaconState, BlsSignature,
        Checkpoint, ExecutionPayload, ExecutionRequests, SignedBeaconBlock, Withdrawal,
    },
};
use crate::ssz::{BitVector, Bitlist, List, Ssz};
use alloy_eips::eip4844::kzg_to_versioned_hash;
use alloy_primitives::{Address, B256};
use alloy_rpc_types_engine::{
    CancunPayloadFields, ExecutionData, ExecutionPayload as EnginePayload, ExecutionPayloadSidecar,
    PayloadAttributes, PayloadId, PayloadStatus, PraguePayloadFields,
};
use std::sync::Arc;

/// `MAX_ATTESTATIONS_ELECTRA`.
const MAX_ATTESTATIONS: usize = 8;
/// `CELLS_PER_EXT_BLOB`: proofs for each blob from Fulu on.
const CELLS_PER_BLOB: usize = 128;

/// A payload that the engine is building, and the state it is for.
#[derive(Debug)]
pub(super) struct Prepared {
    slot: u64,
    parent: Arc<ImportedBlock>,
    /// The parent's state, brought to the slot.
    state: BeaconState,
    attributes: PayloadAttributes,
    payload: PayloadId,
}

impl<E: ExecutionEngine> DevBeacon<E> {
    /// Lets the engine begin with the payload of a slot to come, on the head. Calling it again for the same slot and
    /// head does nothing.
    ///
    /// # Errors
    /// If the slot is not after the head's, or the engine does not begin.
    pub fn prepare(&mut self, slot: u64) -> Result<(), BeaconError> {
        let head = self.view.head();
        let known =
            |prepared: &Prepared| prepared.slot == slot && prepared.parent.root == head.root;
        if self.prepared.as_ref().is_some_and(known) {
            return Ok(());
        }
        self.prepare_on(&head, slot)
    }

    /// Lets the engine begin with the payload of a slot on a given block.
    pub(super) fn prepare_on(
        &mut self,
        parent: &Arc<ImportedBlock>,
        slot: u64,
    ) -> Result<(), BeaconError> {
        self.prepared = None;
        let spec = &self.config.spec;
        let mut state = parent.state.clone();
        let root = parent.block.message.state_root;
        self.transition.process_slots(&mut state, slot, Some(root))?;
        let withdrawals = self.transition.expected_withdrawals(&state);
        let attributes = PayloadAttributes {
            timestamp: spec.slot_time(slot),
            prev_randao: randao_mix(&state, spec.preset.epoch(slot), spec.preset),
            suggested_fee_recipient: self.fee_recipient(),
            withdrawals: Some(withdrawals.iter().map(Withdrawal::to_engine).collect()),
            parent_beacon_block_root: Some(parent.root),
            slot_number: None,
            target_gas_limit: None,
        };
        let parent_hash = parent.payload_hash();
        let choice = self.fork_choice_of(parent);
        let updated = self.engine.fork_choice(choice, Some(attributes.clone()));
        let updated = updated.map_err(BeaconError::Engine)?;
        expect_valid("the fork choice", parent_hash, &updated.payload_status)?;
        let payload = updated.payload_id.ok_or(BeaconError::NotBuilding(parent_hash))?;
        let event = AttributesEvent {
            version: spec.fork(spec.preset.epoch(slot)).name(),
            proposer_index: self.transition.proposer(&state)?,
            proposal_slot: slot,
            parent_block_number: state.latest_execution_payload_header.block_number,
            parent_block_root: parent.root,
            parent_block_hash: parent_hash,
            timestamp: attributes.timestamp,
            prev_randao: attributes.prev_randao,
            fee_recipient: attributes.suggested_fee_recipient,
            withdrawals,
        };
        // Nobody listening is not an error.
        drop(self.view.events.send(BeaconEvent::PayloadAttributes(Box::new(event))));
        self.prepared =
            Some(Prepared { slot, parent: Arc::clone(parent), state, attributes, payload });
        Ok(())
    }

    /// Proposes a block with the payload that was prepared, and makes it the head.
    pub(super) fn propose(&mut self) -> Result<Arc<ImportedBlock>, BeaconError> {
        let prepared = self.prepared.take();
        let prepared =
            prepared.ok_or_else(|| BeaconError::NotBuilding(self.view.head().payload_hash()))?;
        let built = self.engine.payload(prepared.payload).map_err(BeaconError::Engine)?;
        self.check_payload(&prepared, &built)?;
        let preset = self.config.spec.preset;
        let requests =
            ExecutionRequests::from_engine(&built.requests, preset).map_err(PayloadError::from)?;
        let payload =
            ExecutionPayload::from_engine(&built.payload, preset).map_err(PayloadError::from)?;
        let commitments =
            List::new(built.blobs.commitments.clone(), preset).map_err(PayloadError::from)?;

        let Prepared { slot, parent, mut state, .. } = prepared;
        let proposer_index = self.transition.proposer(&state)?;
        let mut body = BeaconBlockBody::without_votes(preset);
        body.randao_reveal = self.reveal(&state, proposer_index);
        body.eth1_data = state.eth1_data;
        body.graffiti = self.graffiti();
        body.attestations = self.attestations(&state, &parent)?;
        body.execution_payload = payload;
        body.blob_kzg_commitments = commitments;
        body.execution_requests = requests;
        let parent_root = parent.root;
        let mut block =
            BeaconBlock { slot, proposer_index, parent_root, state_root: B256::ZERO, body };
        self.transition.process_block(&mut state, &block)?;

        let data = execution_data(&block, preset);
        let hash = data.block_hash();
        let status = self.engine.new_payload(data).map_err(BeaconError::Engine)?;
        expect_valid("the new payload", hash, &status)?;

        block.state_root = state.root(preset);
        let mut header = state.latest_block_header;
        header.state_root = block.state_root;
        let root = header.root(preset);
        let signature = self.sign(&state, proposer_index, root, Domain::BeaconProposer);
        let block = Arc::new(SignedBeaconBlock { message: block, signature });
        self.import(ImportedBlock { root, block, state }, built.blobs)
    }

    fn fee_recipient(&self) -> Address {
        let mut address = self.config.fee_recipient;
        // Branches differ in the last bytes, so that their payloads do.
        for (place, byte) in address.iter_mut().rev().zip(self.branch.to_le_bytes()) {
            *place ^= byte;
        }
        address
    }

    fn graffiti(&self) -> B256 {
        let text = format!("lockstep dev, branch {}", self.branch);
        let mut graffiti = B256::ZERO;
        graffiti.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
        graffiti
    }

    fn reveal(&self, state: &BeaconState, proposer: u64) -> BlsSignature {
        let preset = self.config.spec.preset;
        let epoch = preset.epoch(state.slot).root(preset);
        match self.config.signing {
            Signing::Bls => self.sign(state, proposer, epoch, Domain::Randao),
            Signing::Hash => self.keys.keyed_hash(proposer, &epoch),
        }
    }

    fn sign(
        &self,
        state: &BeaconState,
        validator: u64,
        root: B256,
        domain: Domain,
    ) -> BlsSignature {
        if self.config.signing == Signing::Hash {
            return INFINITY;
        }
        let spec = &self.config.spec;
        let epoch = spec.preset.epoch(state.slot);
        let root = signing_root(root, domain, epoch, state.genesis_validators_root, spec);
        self.keys.sign(validator, &root)
    }

    /// One vote of all committees for each slot since the parent's, the latest first.
    fn attestations(
        &self,
        state: &BeaconState,
        parent: &ImportedBlock,
    ) -> Result<List<Attestation, crate::ssz::Const<8>>, BeaconError> {
        let preset = self.config.spec.preset;
        if self.finality_stalled {
            return Ok(List::default());
        }
        // A vote is of use until the end of the next epoch (EIP-7045).
        let oldest = preset.start_slot(preset.epoch(state.slot).saturating_sub(1));
        let slots = (parent.slot().max(oldest)..state.slot).rev().take(MAX_ATTESTATIONS);
        let votes: Result<Vec<Option<Attestation>>, BeaconError> =
            slots.map(|slot| attestation(&self.transition, state, slot)).collect();
        let votes = votes?.into_iter().flatten().collect();
        List::new(votes, preset).map_err(|error| PayloadError::from(error).into())
    }

    fn check_payload(&self, prepared: &Prepared, built: &BuiltPayload) -> Result<(), BeaconError> {
        let wanted = &prepared.attributes;
        let (v2, v1) = (&built.payload.payload_inner, &built.payload.payload_inner.payload_inner);
        expect("a parent", &prepared.parent.payload_hash(), &v1.parent_hash)?;
        expect("a timestamp", &wanted.timestamp, &v1.timestamp)?;
        expect("a prev_randao", &wanted.prev_randao, &v1.prev_randao)?;
        let count = wanted.withdrawals.as_ref().map_or(0, Vec::len);
        expect("a number of withdrawals", &count, &v2.withdrawals.len())?;
        let spec = &self.config.spec;
        let epoch = spec.preset.epoch(prepared.slot);
        let limit = spec.max_blobs(epoch);
        let bundle = &built.blobs;
        let blobs = bundle.blobs.len();
        let proofs = match spec.fork(epoch) {
            BeaconFork::Electra => blobs,
            BeaconFork::Fulu => CELLS_PER_BLOB * blobs,
        };
        let fits = bundle.commitments.len() == blobs && bundle.proofs.len() == proofs;
        if fits && blobs as u64 <= limit {
            return Ok(());
        }
        let (commitments, proofs) = (bundle.commitments.len(), bundle.proofs.len());
        Err(PayloadError::Blobs { blobs, commitments, proofs, limit }.into())
    }
}

/// What the engine is to validate of a block.
pub(super) fn execution_data(block: &BeaconBlock, preset: &super::Preset) -> ExecutionData {
    let body = &block.body;
    let hash =
        |commitment: &super::types::KzgCommitment| kzg_to_versioned_hash(commitment.as_slice());
    let cancun = CancunPayloadFields {
        parent_beacon_block_root: block.parent_root,
        versioned_hashes: body.blob_kzg_commitments.iter().map(hash).collect(),
    };
    let prague = PraguePayloadFields::new(body.execution_requests.to_engine(preset));
    let payload = EnginePayload::V3(body.execution_payload.to_engine());
    ExecutionData::new(payload, ExecutionPayloadSidecar::v4(cancun, prague))
}

pub(super) fn expect_valid(
    operation: &'static str,
    block: B256,
    status: &PayloadStatus,
) -> Result<(), BeaconError> {
    if status.is_valid() {
        return Ok(());
    }
    Err(BeaconError::Refused { operation, block, status: status.to_string() })
}

fn expect<T: PartialEq + ToString>(
    field: &'static str,
    expected: &T,
    found: &T,
) -> Result<(), PayloadError> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (expected.to_string(), found.to_string());
    Err(PayloadError::Mismatch { field, expected, found })
}

/// The vote of all validators assigned to a slot, as a block at the state's slot can carry it.
fn attestation(
    transition: &Transition,
    state: &BeaconState,
    slot: u64,
) -> Result<Option<Attestation>, BeaconError> {
    let preset = transition.preset();
    let (committees, _) = transition.committees(state, slot);
    let mut committee_bits = BitVector::zero(preset);
    let mut voters = 0;
    for (index, committee) in committees.iter().enumerate() {
        // With few validators, a committee may have no member; it cannot be named then.
        if !committee.is_empty() {
            committee_bits.set(index, true);
            voters += committee.len();
        }
    }
    if voters == 0 {
        return Ok(None);
    }
    let epoch = preset.epoch(slot);
    let source = if epoch == preset.epoch(state.slot) {
        state.current_justified_checkpoint
    } else {
        state.previous_justified_checkpoint
    };
    let target =
        Checkpoint { epoch, root: block_root_at(state, preset.start_slot(epoch), preset)? };
    let data = AttestationData {
        slot,
        index: 0,
        beacon_block_root: block_root_at(state, slot, preset)?,
        source,
        target,
    };
    let aggregation_bits = Bitlist::new(vec![true; voters], preset).map_err(PayloadError::from)?;
    Ok(Some(Attestation { aggregation_bits, data, signature: INFINITY, committee_bits }))
}
