//! An execution engine for tests, and a dev beacon over it.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail this way"
)]

use alloy_consensus::Header;
use alloy_eips::eip7685::Requests;
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rpc_types_engine::{
    CancunPayloadFields, ExecutionData, ExecutionPayload, ExecutionPayloadSidecar,
    ExecutionPayloadV1, ExecutionPayloadV2, ExecutionPayloadV3, ForkchoiceState, ForkchoiceUpdated,
    PayloadAttributes, PayloadId, PayloadStatus, PayloadStatusEnum, PraguePayloadFields,
};
use lockstep_devnet::beacon::{
    BeaconConfig, BeaconSpec, BlobsBundle, BuiltPayload, DevBeacon, EngineError, ExecutionEngine,
    Preset, Signing,
};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// What a fake engine remembers of a block.
#[derive(Clone, Debug)]
pub(crate) struct FakeBlock {
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
    pub(crate) parent: B256,
    pub(crate) parent_beacon_root: B256,
    pub(crate) withdrawals: usize,
}

#[derive(Debug, Default)]
struct Inner {
    blocks: HashMap<B256, FakeBlock>,
    building: HashMap<PayloadId, BuiltPayload>,
    next_id: u64,
    state: ForkchoiceState,
    blobs: Vec<BlobsBundle>,
    updates: u64,
    fail_payloads: u64,
}

/// An engine that executes nothing: its payloads have right hashes and links, and one transaction that is
/// noise. It knows a payload only if it knows its parent.
#[derive(Clone, Debug)]
pub(crate) struct FakeEngine(Arc<Mutex<Inner>>);

impl FakeEngine {
    pub(crate) fn new(genesis: &Header) -> Self {
        let engine = Self(Arc::default());
        let block = FakeBlock {
            number: 0,
            timestamp: genesis.timestamp,
            parent: B256::ZERO,
            parent_beacon_root: B256::ZERO,
            withdrawals: 0,
        };
        engine.0.lock().blocks.insert(genesis.hash_slow(), block);
        engine
    }

    pub(crate) fn state(&self) -> ForkchoiceState {
        self.0.lock().state
    }

    pub(crate) fn updates(&self) -> u64 {
        self.0.lock().updates
    }

    pub(crate) fn block(&self, hash: &B256) -> Option<FakeBlock> {
        self.0.lock().blocks.get(hash).cloned()
    }

    pub(crate) fn known(&self) -> usize {
        self.0.lock().blocks.len()
    }

    /// The next payload to be built carries these blobs.
    pub(crate) fn add_blobs(&self, bundle: BlobsBundle) {
        self.0.lock().blobs.push(bundle);
    }

    /// The next requests for payloads fail.
    pub(crate) fn fail_payloads(&self, count: u64) {
        self.0.lock().fail_payloads = count;
    }

    /// Forgets all blocks above a number, as a node does that was killed before it wrote them.
    pub(crate) fn forget_above(&self, number: u64) {
        self.0.lock().blocks.retain(|_, block| block.number <= number);
    }
}

fn hash_of(
    payload: &ExecutionPayloadV3,
    root: B256,
    hashes: Vec<B256>,
    requests: Requests,
) -> B256 {
    let sidecar = ExecutionPayloadSidecar::v4(
        CancunPayloadFields { parent_beacon_block_root: root, versioned_hashes: hashes },
        PraguePayloadFields::new(requests),
    );
    let data = ExecutionData::new(ExecutionPayload::V3(payload.clone()), sidecar);
    data.into_block_raw().expect("a payload of this fork").header.hash_slow()
}

impl ExecutionEngine for FakeEngine {
    fn fork_choice(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> Result<ForkchoiceUpdated, EngineError> {
        let mut inner = self.0.lock();
        let Some(head) = inner.blocks.get(&state.head_block_hash).cloned() else {
            return Ok(ForkchoiceUpdated::from_status(PayloadStatusEnum::Syncing));
        };
        for checkpoint in [state.safe_block_hash, state.finalized_block_hash] {
            let mut block = state.head_block_hash;
            while !checkpoint.is_zero() && block != checkpoint {
                let Some(known) = inner.blocks.get(&block) else {
                    return Err("safe or finalized block is not an ancestor of the head".into());
                };
                block = known.parent;
            }
        }
        inner.state = state;
        inner.updates += 1;
        let mut updated = ForkchoiceUpdated::from_status(PayloadStatusEnum::Valid);
        if let Some(attributes) = attributes {
            assert!(attributes.timestamp > head.timestamp, "time goes on");
            let bundle =
                if inner.blobs.is_empty() { BlobsBundle::default() } else { inner.blobs.remove(0) };
            let built = build(state.head_block_hash, &head, &attributes, bundle);
            inner.next_id += 1;
            let id = PayloadId::new(inner.next_id.to_be_bytes());
            inner.building.clear();
            inner.building.insert(id, built);
            updated.payload_id = Some(id);
        }
        Ok(updated)
    }

    fn payload(&self, id: PayloadId) -> Result<BuiltPayload, EngineError> {
        let mut inner = self.0.lock();
        if inner.fail_payloads > 0 {
            inner.fail_payloads -= 1;
            return Err("asked to fail".into());
        }
        inner.building.remove(&id).ok_or_else(|| "unknown payload".into())
    }

    fn new_payload(&self, payload: ExecutionData) -> Result<PayloadStatus, EngineError> {
        let mut inner = self.0.lock();
        let parent_beacon_root = payload.parent_beacon_block_root().expect("a beacon root");
        let v3 = payload.payload.as_v3().expect("a payload of this fork").clone();
        let hashes = payload.sidecar.versioned_hashes().expect("hashes").clone();
        let requests = payload.sidecar.requests().expect("requests").clone();
        let hash = payload.block_hash();
        let v2 = &v3.payload_inner;
        let v1 = &v2.payload_inner;
        if !inner.blocks.contains_key(&v1.parent_hash) {
            return Ok(PayloadStatus::from_status(PayloadStatusEnum::Syncing));
        }
        if hash_of(&v3, parent_beacon_root, hashes, requests) != hash {
            let validation_error = "the hash is wrong".to_owned();
            return Ok(PayloadStatus::from_status(PayloadStatusEnum::Invalid { validation_error }));
        }
        let block = FakeBlock {
            number: v1.block_number,
            timestamp: v1.timestamp,
            parent: v1.parent_hash,
            parent_beacon_root,
            withdrawals: v2.withdrawals.len(),
        };
        inner.blocks.insert(hash, block);
        Ok(PayloadStatus::new(PayloadStatusEnum::Valid, Some(hash)))
    }
}

fn build(
    parent: B256,
    head: &FakeBlock,
    attributes: &PayloadAttributes,
    blobs: BlobsBundle,
) -> BuiltPayload {
    let noise = keccak256(attributes.prev_randao);
    let mut payload = ExecutionPayloadV3 {
        payload_inner: ExecutionPayloadV2 {
            payload_inner: ExecutionPayloadV1 {
                parent_hash: parent,
                fee_recipient: attributes.suggested_fee_recipient,
                state_root: noise,
                receipts_root: noise,
                logs_bloom: Default::default(),
                prev_randao: attributes.prev_randao,
                block_number: head.number + 1,
                gas_limit: 30_000_000,
                gas_used: 21_000,
                timestamp: attributes.timestamp,
                extra_data: Bytes::from_static(b"fake"),
                base_fee_per_gas: U256::from(7),
                block_hash: B256::ZERO,
                transactions: vec![Bytes::copy_from_slice(noise.as_slice())],
            },
            withdrawals: attributes.withdrawals.clone().unwrap_or_default(),
        },
        blob_gas_used: 0,
        excess_blob_gas: 0,
    };
    let root = attributes.parent_beacon_block_root.expect("a beacon root");
    let hashes = blobs
        .commitments
        .iter()
        .map(|commitment| alloy_eips::eip4844::kzg_to_versioned_hash(commitment.as_slice()))
        .collect();
    payload.payload_inner.payload_inner.block_hash =
        hash_of(&payload, root, hashes, Requests::default());
    BuiltPayload { payload, blobs, requests: Requests::default(), value: U256::ZERO }
}

/// The execution genesis block of all tests.
pub(crate) fn genesis() -> Header {
    Header {
        timestamp: 1_700_000_000,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(1_000_000_000),
        withdrawals_root: Some(alloy_consensus::constants::EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

/// Settings for a simulation: unsigned blocks.
pub(crate) fn config(preset: &'static Preset) -> BeaconConfig {
    let spec = BeaconSpec { preset, ..BeaconSpec::dev(genesis().timestamp, 1337) };
    BeaconConfig { signing: Signing::Hash, ..BeaconConfig::new(spec) }
}

/// A beacon over a fresh fake engine.
pub(crate) fn start(config: BeaconConfig) -> (DevBeacon<FakeEngine>, FakeEngine) {
    let engine = FakeEngine::new(&genesis());
    (open(config, &engine), engine)
}

/// A beacon over an engine that may know more than genesis.
pub(crate) fn open(config: BeaconConfig, engine: &FakeEngine) -> DevBeacon<FakeEngine> {
    let genesis = genesis();
    DevBeacon::open(config, engine.clone(), &genesis, genesis.hash_slow()).expect("a beacon chain")
}

/// Lets slots pass.
pub(crate) fn run(beacon: &mut DevBeacon<FakeEngine>, slots: u64) {
    for _ in 0..slots {
        beacon.next_slot().expect("a slot");
    }
}
