//! What a block carries besides its payload.

use super::{BlsPublicKey, BlsSignature};
use crate::ssz::{
    BitVector, Bitlist, Const, List, container,
    preset::{MaxAttestersPerSlot, MaxCommitteesPerSlot, SyncCommitteeSize},
    tree_elements,
};
use alloy_primitives::{Address, B256, FixedBytes};

container! {
    /// `Checkpoint`: an epoch and the block at or before its first slot.
    #[derive(Copy, Default)]
    pub struct Checkpoint {
        /// The epoch.
        pub epoch: u64,
        /// The block's root.
        pub root: B256,
    }

    /// `AttestationData`: what a validator votes for.
    #[derive(Copy)]
    pub struct AttestationData {
        /// The slot of the vote.
        pub slot: u64,
        /// Always zero since Electra.
        pub index: u64,
        /// The head as the validator saw it.
        pub beacon_block_root: B256,
        /// The justified checkpoint the vote builds on.
        pub source: Checkpoint,
        /// The checkpoint the vote would justify.
        pub target: Checkpoint,
    }

    /// `Attestation`, of Electra's shape: votes of one slot's committees for the same.
    pub struct Attestation {
        /// Which members of the named committees, in their order, voted.
        pub aggregation_bits: Bitlist<MaxAttestersPerSlot>,
        /// What they voted for.
        pub data: AttestationData,
        /// The aggregate of their signatures.
        pub signature: BlsSignature,
        /// The committees named.
        pub committee_bits: BitVector<MaxCommitteesPerSlot>,
    }

    /// `IndexedAttestation`: an attestation with the validators' indices.
    pub struct IndexedAttestation {
        /// Who voted.
        pub attesting_indices: List<u64, MaxAttestersPerSlot>,
        /// What they voted for.
        pub data: AttestationData,
        /// The aggregate of their signatures.
        pub signature: BlsSignature,
    }

    /// `AttesterSlashing`: two votes that contradict each other.
    pub struct AttesterSlashing {
        /// One vote.
        pub attestation_1: IndexedAttestation,
        /// The other.
        pub attestation_2: IndexedAttestation,
    }

    /// `ProposerSlashing`: two blocks of one proposer for one slot.
    pub struct ProposerSlashing {
        /// One block.
        pub signed_header_1: super::SignedBeaconBlockHeader,
        /// The other.
        pub signed_header_2: super::SignedBeaconBlockHeader,
    }

    /// `Eth1Data`: the deposit contract's state.
    #[derive(Copy)]
    pub struct Eth1Data {
        /// The root of the deposit tree.
        pub deposit_root: B256,
        /// The number of deposits.
        pub deposit_count: u64,
        /// The execution block.
        pub block_hash: B256,
    }

    /// `DepositData`: what was sent to the deposit contract.
    pub struct DepositMessage {
        /// The validator's key.
        pub pubkey: BlsPublicKey,
        /// To whom withdrawals go.
        pub withdrawal_credentials: B256,
        /// The amount, in gwei.
        pub amount: u64,
        /// The validator's signature.
        pub signature: BlsSignature,
    }

    /// `Deposit`: a deposit with its proof. Not used since Electra's deposit requests.
    pub struct Deposit {
        /// The branch in the deposit tree, then the count.
        pub proof: DepositProof,
        /// What was deposited.
        pub data: DepositMessage,
    }

    /// `VoluntaryExit`: a validator's wish to leave.
    pub struct VoluntaryExit {
        /// From when on the exit is valid.
        pub epoch: u64,
        /// Who leaves.
        pub validator_index: u64,
    }

    /// `SignedVoluntaryExit`.
    pub struct SignedVoluntaryExit {
        /// What is signed.
        pub message: VoluntaryExit,
        /// The validator's signature.
        pub signature: BlsSignature,
    }

    /// `BLSToExecutionChange`: new withdrawal credentials.
    pub struct BlsToExecutionChange {
        /// Whose credentials.
        pub validator_index: u64,
        /// The withdrawal key.
        pub from_bls_pubkey: BlsPublicKey,
        /// To whom withdrawals shall go.
        pub to_execution_address: Address,
    }

    /// `SignedBLSToExecutionChange`.
    pub struct SignedBlsToExecutionChange {
        /// What is signed.
        pub message: BlsToExecutionChange,
        /// The withdrawal key's signature.
        pub signature: BlsSignature,
    }

    /// `SyncAggregate`: the sync committee's votes for the parent block.
    pub struct SyncAggregate {
        /// Who voted.
        pub sync_committee_bits: BitVector<SyncCommitteeSize>,
        /// The aggregate of their signatures.
        pub sync_committee_signature: BlsSignature,
    }
}

/// The branch of a deposit: `DEPOSIT_CONTRACT_TREE_DEPTH + 1` nodes.
pub type DepositProof = FixedVector<33>;

/// A vector of roots whose length no preset changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedVector<const N: u64>(Vec<B256>);

impl<const N: u64> crate::ssz::Ssz for FixedVector<N> {
    fn fixed_len(_: &crate::beacon::Preset) -> Option<usize> {
        Some(32 * N as usize)
    }

    fn write(&self, out: &mut Vec<u8>, preset: &crate::beacon::Preset) {
        self.0.iter().for_each(|root| root.write(out, preset));
    }

    fn read(bytes: &[u8], preset: &crate::beacon::Preset) -> Result<Self, crate::ssz::SszError> {
        let expected = 32 * N as usize;
        if bytes.len() != expected {
            return Err(crate::ssz::SszError::Length { expected, found: bytes.len() });
        }
        List::<B256, Const<N>>::read(bytes, preset).map(|list| Self(list.into_vec()))
    }

    fn root(&self, _: &crate::beacon::Preset) -> B256 {
        crate::ssz::merkleize(self.0.clone(), crate::ssz::depth_for(N))
    }
}

impl<const N: u64> crate::ssz::ApiJson for FixedVector<N> {
    fn to_json(&self) -> serde_json::Value {
        self.0.iter().map(FixedBytes::to_json).collect()
    }

    fn from_json(
        value: &serde_json::Value,
        preset: &crate::beacon::Preset,
    ) -> Result<Self, crate::ssz::JsonError> {
        let list = List::<B256, Const<N>>::from_json(value, preset)?;
        if list.len() as u64 != N {
            return Err(crate::ssz::JsonError::value("an array of that length", value));
        }
        Ok(Self(list.into_vec()))
    }
}

tree_elements!(Eth1Data);
