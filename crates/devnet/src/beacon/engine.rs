//! The execution side, as the beacon chain drives it.

use super::types::{KzgCommitment, RequestsError};
use alloy_eips::{eip4844::Blob, eip7685::Requests};
use alloy_primitives::{FixedBytes, U256};
use alloy_rpc_types_engine::{
    BlobsBundleV1, BlobsBundleV2, ExecutionData, ExecutionPayloadEnvelopeV4,
    ExecutionPayloadEnvelopeV5, ExecutionPayloadV3, ForkchoiceState, ForkchoiceUpdated,
    PayloadAttributes, PayloadId, PayloadStatus,
};
use std::{error::Error, sync::Arc};

/// Why the execution side could not answer. An answer that a payload is invalid is not an error.
pub type EngineError = Box<dyn Error + Send + Sync>;

/// The execution side: the Engine API's operations, in process, on the caller's thread.
///
/// The beacon chain asks for a little more than the Engine API promises: a fork choice update with attributes
/// starts a payload on *any* block that the engine knows, also on an ancestor of its head, because
/// that is how a reorganisation begins.
pub trait ExecutionEngine: Send + Sync + 'static {
    /// `engine_forkchoiceUpdated`: sets head, safe and finalized block, and starts building a payload
    /// on the head if attributes are given.
    ///
    /// # Errors
    /// If the engine cannot answer.
    fn fork_choice(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> Result<ForkchoiceUpdated, EngineError>;

    /// `engine_getPayload`: the payload begun under this id, as good as it is by now.
    ///
    /// # Errors
    /// If there is no such payload.
    fn payload(&self, id: PayloadId) -> Result<BuiltPayload, EngineError>;

    /// `engine_newPayload`: validates a payload and remembers it.
    ///
    /// # Errors
    /// If the engine cannot answer.
    fn new_payload(&self, payload: ExecutionData) -> Result<PayloadStatus, EngineError>;
}

impl<T: ExecutionEngine + ?Sized> ExecutionEngine for Arc<T> {
    fn fork_choice(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> Result<ForkchoiceUpdated, EngineError> {
        (**self).fork_choice(state, attributes)
    }

    fn payload(&self, id: PayloadId) -> Result<BuiltPayload, EngineError> {
        (**self).payload(id)
    }

    fn new_payload(&self, payload: ExecutionData) -> Result<PayloadStatus, EngineError> {
        (**self).new_payload(payload)
    }
}

/// A payload that the execution side has built.
#[derive(Clone, Debug)]
pub struct BuiltPayload {
    /// The execution block.
    pub payload: ExecutionPayloadV3,
    /// The blobs of its transactions.
    pub blobs: BlobsBundle,
    /// What contracts asked of the consensus side.
    pub requests: Requests,
    /// What the fee recipient gains, in wei.
    pub value: U256,
}

/// Blobs with their commitments and proofs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobsBundle {
    /// A commitment for each blob.
    pub commitments: Vec<KzgCommitment>,
    /// A proof for each blob, or 128 cell proofs for each (EIP-7594).
    pub proofs: Vec<FixedBytes<48>>,
    /// The blobs.
    pub blobs: Vec<Blob>,
}

impl From<BlobsBundleV1> for BlobsBundle {
    fn from(bundle: BlobsBundleV1) -> Self {
        Self { commitments: bundle.commitments, proofs: bundle.proofs, blobs: bundle.blobs }
    }
}

impl From<BlobsBundleV2> for BlobsBundle {
    fn from(bundle: BlobsBundleV2) -> Self {
        Self { commitments: bundle.commitments, proofs: bundle.proofs, blobs: bundle.blobs }
    }
}

impl From<ExecutionPayloadEnvelopeV4> for BuiltPayload {
    fn from(envelope: ExecutionPayloadEnvelopeV4) -> Self {
        let inner = envelope.envelope_inner;
        Self {
            payload: inner.execution_payload,
            blobs: inner.blobs_bundle.into(),
            requests: envelope.execution_requests,
            value: inner.block_value,
        }
    }
}

impl From<ExecutionPayloadEnvelopeV5> for BuiltPayload {
    fn from(envelope: ExecutionPayloadEnvelopeV5) -> Self {
        Self {
            payload: envelope.execution_payload,
            blobs: envelope.blobs_bundle.into(),
            requests: envelope.execution_requests,
            value: envelope.block_value,
        }
    }
}

/// Why a payload cannot go into a beacon block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The payload does not continue the block it was asked to.
    #[error("the execution engine built {field} {found}, but was asked for {expected}")]
    Mismatch {
        /// Which field.
        field: &'static str,
        /// What was asked for.
        expected: String,
        /// What came.
        found: String,
    },
    /// The numbers of blobs, commitments and proofs do not fit.
    #[error(
        "{blobs} blobs have {commitments} commitments and {proofs} proofs; at most {limit} blobs may be in a block"
    )]
    Blobs {
        /// Blobs found.
        blobs: usize,
        /// Commitments found.
        commitments: usize,
        /// Proofs found.
        proofs: usize,
        /// Blobs allowed.
        limit: u64,
    },
    /// The requests are malformed.
    #[error(transparent)]
    Requests(#[from] RequestsError),
    /// A list is longer than consensus allows.
    #[error("the payload does not fit into a beacon block: {0}")]
    Size(#[from] crate::ssz::SszError),
}
