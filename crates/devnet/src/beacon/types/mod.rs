//! The containers of the consensus specifications, as Fulu has them.

mod block;
mod operations;
mod payload;
mod state;

pub use block::{
    BeaconBlock, BeaconBlockBody, BeaconBlockHeader, SignedBeaconBlock, SignedBeaconBlockHeader,
};
pub use operations::{
    Attestation, AttestationData, AttesterSlashing, BlsToExecutionChange, Checkpoint, Deposit,
    DepositMessage, DepositProof, Eth1Data, FixedVector, IndexedAttestation, ProposerSlashing,
    SignedBlsToExecutionChange, SignedVoluntaryExit, SyncAggregate, VoluntaryExit,
};
pub use payload::{
    ConsolidationRequest, DepositRequest, ExecutionPayload, ExecutionPayloadHeader,
    ExecutionRequests, ExtraData, RequestsError, Transaction, Withdrawal, WithdrawalRequest,
};
pub use state::{
    BeaconState, Fork, ForkData, HistoricalLimit, HistoricalSummary, PendingConsolidation,
    PendingDeposit, PendingPartialWithdrawal, PublicKeys, RegistryLimit, SigningData,
    SyncCommittee, SyncCommitteeMembers, Validator,
};

use alloy_primitives::FixedBytes;

/// A BLS12-381 public key, compressed.
pub type BlsPublicKey = FixedBytes<48>;
/// A BLS12-381 signature, compressed.
pub type BlsSignature = FixedBytes<96>;
/// The KZG commitment to a blob.
pub type KzgCommitment = FixedBytes<48>;
/// `FAR_FUTURE_EPOCH`: never.
pub const FAR_FUTURE_EPOCH: u64 = u64::MAX;
