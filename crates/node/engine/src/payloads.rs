//! What a chain adds to its definition so that an engine can drive it.

use alloy_eips::{eip4895::Withdrawals, eip7594::BlobTransactionSidecarVariant, eip7685::Requests};
use alloy_primitives::{Address, B256, Bytes, Sealed, U256};
use alloy_rpc_types_engine::PayloadId;
use lockstep_chain::{Block, EthereumHardfork};
use lockstep_execution::{AttributesError, BlockOutput, Execute, Speculate, StateRoots};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, sync::Arc};

/// A payload as the consensus layer delivers it, with what travels beside it.
#[derive(Clone, Debug)]
pub struct DeliveredPayload<P> {
    /// The payload.
    pub payload: P,
    /// The blob hashes of the block's transactions in order, from Cancun on.
    pub versioned_hashes: Option<Vec<B256>>,
    /// The root of the parent beacon block, from Cancun on.
    pub parent_beacon_block_root: Option<B256>,
    /// The requests that execution must make (EIP-7685), from Prague on.
    pub requests: Option<Requests>,
}

/// Why a delivered payload is not even a block. The Engine API calls it `INVALID`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadFault {
    /// A field or transaction is malformed.
    #[error("malformed payload: {0}")]
    Malformed(String),
    /// The block has another hash than the payload states.
    #[error("the payload states block hash {stated}, its hash is {got}")]
    BlockHash {
        /// The hash that the payload states.
        stated: B256,
        /// The hash of the block that the payload describes.
        got: B256,
    },
    /// The blob hashes beside the payload are not those of its transactions.
    #[error("the blob hashes beside the payload are not those of its transactions")]
    BlobHashes,
}

/// What the attributes may leave to the node. A rollup's leave nothing: what derivation cannot tell
/// would give its blocks another hash.
#[derive(Clone, Debug)]
pub struct BuildDefaults {
    /// The gas limit towards which blocks move.
    pub gas_limit: u64,
    /// The extra data.
    pub extra_data: Bytes,
}

/// A block to build: what is fixed of it, and what limits the rest.
#[derive(Debug)]
pub struct BlockPlan<C: Execute> {
    /// The header; what follows from the body and its execution is filled in afterwards.
    pub header: C::Header,
    /// The transactions that come first.
    pub forced: Vec<C::Transaction>,
    /// The withdrawals, where the fork knows them.
    pub withdrawals: Option<Withdrawals>,
    /// Whether transactions from elsewhere may follow.
    pub takes_transactions: bool,
    /// The most bytes of RLP that the block may have.
    pub max_bytes: usize,
    /// The most blobs that its transactions may carry.
    pub max_blobs: u64,
    /// The price of blob gas in wei, where the fork knows it.
    pub blob_base_fee: Option<u128>,
}

/// What the consensus layer is told beside a built payload.
#[derive(Clone, Copy, Debug)]
pub struct BesidePayload<'a> {
    /// What its transactions pay to the fee recipient, in wei.
    pub fees: U256,
    /// Its requests to the consensus layer (EIP-7685).
    pub requests: &'a Requests,
    /// The blobs of its transactions, in order.
    pub blobs: &'a [Arc<BlobTransactionSidecarVariant>],
}

/// How blocks of a chain come from, and go to, the consensus layer.
///
/// Implemented for [`Ethereum`](lockstep_chain::Ethereum) and [`Rollup`](lockstep_chain::Rollup);
/// a chain of your own with their types delegates to theirs.
pub trait Payloads: Speculate {
    /// What the consensus layer wants of a block to build.
    type Attributes: Clone
        + Debug
        + PartialEq
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
        + Unpin
        + 'static;
    /// A block in the Engine API's form.
    type Payload: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + Unpin + 'static;
    /// The answer of `engine_getPayload`.
    type Envelope: Clone + Debug + Serialize + Send + Sync + 'static;

    /// The fork of Ethereum whose Engine API methods a block with this number and time (in
    /// seconds) goes by.
    fn engine_fork(&self, number: u64, timestamp: u64) -> EthereumHardfork;

    /// The newest version of `engine_getPayload` and `engine_newPayload` that the chain knows.
    fn newest_versions(&self) -> EngineVersions;

    /// Whether a fork choice whose head is an ancestor of the head makes it the head (the OP
    /// Stack), or changes nothing (Ethereum).
    fn rewinds_to_ancestors(&self) -> bool;

    /// The block that a payload describes. Its hash is checked, its validity is not.
    ///
    /// # Errors
    /// Why the payload is not a block.
    fn block_from_payload(
        &self,
        delivered: DeliveredPayload<Self::Payload>,
    ) -> Result<Sealed<Block<Self>>, PayloadFault>;

    /// Where a payload claims to stand: number, time in seconds, and the form of its fields (1
    /// for `ExecutionPayloadV1`, and so on).
    fn payload_place(payload: &Self::Payload) -> PayloadPlace;

    /// The payload that describes a block.
    fn payload_from_block(&self, block: &Sealed<Block<Self>>) -> Self::Payload;

    /// A block in the form that a version of `engine_getPayload` answers; `None` where the version
    /// cannot express it. [`BuiltPayload::envelope`](crate::BuiltPayload::envelope) asks for it.
    fn envelope(
        &self,
        version: u8,
        block: &Sealed<Block<Self>>,
        beside: BesidePayload<'_>,
    ) -> Option<Self::Envelope>;

    /// The time of the block to build, in seconds.
    fn attributes_timestamp(attributes: &Self::Attributes) -> u64;

    /// Whether the attributes have the withdrawals (2) and the beacon root (3) that a version of
    /// `PayloadAttributes` has.
    fn attributes_version(attributes: &Self::Attributes) -> u8;

    /// What names the payload with these attributes on this parent.
    fn payload_id(&self, parent: &B256, attributes: &Self::Attributes) -> PayloadId;

    /// The block that the attributes ask for.
    ///
    /// # Errors
    /// The first attribute that cannot be met.
    fn plan(
        &self,
        parent: &Sealed<Self::Header>,
        attributes: &Self::Attributes,
        defaults: &BuildDefaults,
    ) -> Result<BlockPlan<Self>, AttributesError>;

    /// Fills in what follows from the body and its execution, and returns the block.
    fn complete(
        &self,
        plan: BlockPlan<Self>,
        transactions: Vec<Self::Transaction>,
        output: &BlockOutput<Self::Receipt>,
        roots: StateRoots,
    ) -> Block<Self>;

    /// The account whose storage root the header states, and that root (OP Stack, Isthmus).
    fn storage_commitment(&self, header: &Self::Header) -> Option<(Address, B256)> {
        let _ = header;
        None
    }

    /// Checks the rules that relate a block to blocks above its parent; `ancestors` are up to
    /// seven of them, the parent first. Asked only for blocks with ommers.
    ///
    /// # Errors
    /// The broken rule.
    fn validate_ommers(
        &self,
        block: &Block<Self>,
        ancestors: &[&Sealed<Block<Self>>],
    ) -> Result<(), String>;
}

/// The newest versions of the Engine API's methods that a chain knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineVersions {
    /// Of `engine_newPayload`.
    pub new_payload: u8,
    /// The form of payload that the newest `engine_newPayload` takes: 3 for
    /// `ExecutionPayloadV3`, 4 for the OP Stack's `ExecutionPayloadV4`.
    pub payload_form: u8,
    /// Of `engine_getPayload`.
    pub get_payload: u8,
}

/// Where a payload claims to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadPlace {
    /// The block number.
    pub number: u64,
    /// The time in seconds.
    pub timestamp: u64,
    /// The hash that it states.
    pub hash: B256,
    /// The form of its fields: 1 for `ExecutionPayloadV1`, and so on.
    pub form: u8,
}
