//! Beacon blocks.

use super::{
    Attestation, AttesterSlashing, BlsSignature, Deposit, Eth1Data, ExecutionPayload,
    ExecutionRequests, KzgCommitment, ProposerSlashing, SignedBlsToExecutionChange,
    SignedVoluntaryExit, SyncAggregate,
};
use crate::{
    beacon::Preset,
    ssz::{Const, List, Ssz, branch_of, container, depth_for},
};
use alloy_primitives::B256;

container! {
    /// `BeaconBlockHeader`: a block with a root in place of its body.
    #[derive(Copy)]
    pub struct BeaconBlockHeader {
        /// The slot.
        pub slot: u64,
        /// Who proposed the block.
        pub proposer_index: u64,
        /// The parent block's root.
        pub parent_root: B256,
        /// The root of the state after the block.
        pub state_root: B256,
        /// The body's root.
        pub body_root: B256,
    }

    /// `SignedBeaconBlockHeader`.
    #[derive(Copy)]
    pub struct SignedBeaconBlockHeader {
        /// The header.
        pub message: BeaconBlockHeader,
        /// The proposer's signature.
        pub signature: BlsSignature,
    }

    /// `BeaconBlockBody`, as Electra and Fulu have it.
    pub struct BeaconBlockBody {
        /// The proposer's contribution to the randomness.
        pub randao_reveal: BlsSignature,
        /// The proposer's view of the deposit contract.
        pub eth1_data: Eth1Data,
        /// Anything.
        pub graffiti: B256,
        /// Proposers caught.
        pub proposer_slashings: List<ProposerSlashing, Const<16>>,
        /// Attesters caught.
        pub attester_slashings: List<AttesterSlashing, Const<1>>,
        /// Votes.
        pub attestations: List<Attestation, Const<8>>,
        /// Deposits of the old kind.
        pub deposits: List<Deposit, Const<16>>,
        /// Exits.
        pub voluntary_exits: List<SignedVoluntaryExit, Const<16>>,
        /// The sync committee's votes.
        pub sync_aggregate: SyncAggregate,
        /// The execution block.
        pub execution_payload: ExecutionPayload,
        /// Changes of withdrawal credentials.
        pub bls_to_execution_changes: List<SignedBlsToExecutionChange, Const<16>>,
        /// Commitments to the payload's blobs, in order.
        pub blob_kzg_commitments: List<KzgCommitment, Const<4096>>,
        /// What contracts asked of the consensus side.
        pub execution_requests: ExecutionRequests,
    }

    /// `BeaconBlock`.
    pub struct BeaconBlock {
        /// The slot.
        pub slot: u64,
        /// Who proposed the block.
        pub proposer_index: u64,
        /// The parent block's root.
        pub parent_root: B256,
        /// The root of the state after the block.
        pub state_root: B256,
        /// The content.
        pub body: BeaconBlockBody,
    }

    /// `SignedBeaconBlock`.
    pub struct SignedBeaconBlock {
        /// The block.
        pub message: BeaconBlock,
        /// The proposer's signature.
        pub signature: BlsSignature,
    }
}

/// The position of `blob_kzg_commitments` in a body.
const COMMITMENTS_FIELD: usize = 11;

impl BeaconBlock {
    /// The block's header.
    pub fn header(&self, preset: &Preset) -> BeaconBlockHeader {
        BeaconBlockHeader {
            slot: self.slot,
            proposer_index: self.proposer_index,
            parent_root: self.parent_root,
            state_root: self.state_root,
            body_root: self.body.root(preset),
        }
    }
}

impl SignedBeaconBlock {
    /// The block's header with its signature.
    pub fn header(&self, preset: &Preset) -> SignedBeaconBlockHeader {
        SignedBeaconBlockHeader { message: self.message.header(preset), signature: self.signature }
    }
}

impl BeaconBlockBody {
    /// The branch from a blob's commitment up to the body's root: 17 nodes, lowest first.
    pub fn commitment_branch(&self, index: usize, preset: &Preset) -> Vec<B256> {
        let (chunks, depth) = self.blob_kzg_commitments.tree_chunks(preset);
        let mut branch = branch_of(chunks, depth, index);
        branch.push(self.blob_kzg_commitments.len_chunk());
        let fields = self.field_roots(preset);
        let depth = depth_for(fields.len() as u64);
        branch.extend(branch_of(fields, depth, COMMITMENTS_FIELD));
        branch
    }
}

/// The generalised index of a blob's commitment in a block body.
#[cfg(test)]
pub(crate) const fn commitment_index(index: u64) -> u64 {
    // The field (16 + 11), the list's tree beside its length, and 4096 leaves.
    ((16 + COMMITMENTS_FIELD as u64) * 2) * 4096 + index
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssz::is_valid_branch;

    #[test]
    fn the_branch_of_a_commitment_leads_to_the_body() {
        let preset = &Preset::MAINNET;
        let mut body = BeaconBlockBody::empty(preset);
        let commitments: Vec<_> = (0..6).map(KzgCommitment::repeat_byte).collect();
        body.blob_kzg_commitments = List::new(commitments.clone(), preset).unwrap();
        let root = body.root(preset);
        for (index, commitment) in commitments.iter().enumerate() {
            let branch = body.commitment_branch(index, preset);
            // `KZG_COMMITMENT_INCLUSION_PROOF_DEPTH` of the mainnet preset.
            assert_eq!(branch.len(), 17);
            let leaf = commitment.root(preset);
            assert!(is_valid_branch(&leaf, &branch, commitment_index(index as u64), &root));
            assert!(!is_valid_branch(&leaf, &branch, commitment_index(7), &root));
        }
    }
}
