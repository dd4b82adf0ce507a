//! Payloads of rollups under the OP Stack's rules.

use super::{attributes_version, complete, payload_id, seal_delivered};
use crate::{
    AttributesError, BesidePayload, BlockPlan, BuildDefaults, DeliveredPayload, EngineVersions,
    PayloadFault, PayloadPlace, Payloads, StateRoots,
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Sealed};
use alloy_rpc_types_engine::{
    BlobsBundleV1, CancunPayloadFields, ExecutionPayloadEnvelopeV2, ExecutionPayloadFieldV2,
    ExecutionPayloadV1, PayloadId, PraguePayloadFields,
};
use lockstep_chain::{Block, EthereumHardfork, OpHardfork, Rollup};
use lockstep_execution::{BlockOutput, begin_rollup_block, rollup_storage_commitment};
use op_alloy_consensus::OpTxEnvelope;
use op_alloy_rpc_types_engine::{
    OpExecutionPayload, OpExecutionPayloadEnvelopeV3, OpExecutionPayloadEnvelopeV4,
    OpExecutionPayloadSidecar, OpPayloadAttributes,
};
use serde::Serialize;

/// The answer of `engine_getPayload`, by version (OP spec: execution engine).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RollupEnvelope {
    /// Up to Regolith.
    V1(ExecutionPayloadV1),
    /// Up to Canyon.
    V2(ExecutionPayloadEnvelopeV2),
    /// Ecotone.
    V3(OpExecutionPayloadEnvelopeV3),
    /// From Isthmus on.
    V4(OpExecutionPayloadEnvelopeV4),
}

impl Payloads for Rollup {
    type Attributes = OpPayloadAttributes;
    type Payload = OpExecutionPayload;
    type Envelope = RollupEnvelope;

    fn engine_fork(&self, number: u64, timestamp: u64) -> EthereumHardfork {
        match self.forks().fork(number, timestamp) {
            fork if fork >= OpHardfork::Isthmus => EthereumHardfork::Prague,
            fork if fork >= OpHardfork::Ecotone => EthereumHardfork::Cancun,
            fork if fork >= OpHardfork::Canyon => EthereumHardfork::Shanghai,
            _ => EthereumHardfork::Paris,
        }
    }

    fn newest_versions(&self) -> EngineVersions {
        EngineVersions { new_payload: 4, payload_form: 4, get_payload: 4 }
    }

    fn rewinds_to_ancestors(&self) -> bool {
        true
    }

    fn block_from_payload(
        &self,
        delivered: DeliveredPayload<OpExecutionPayload>,
    ) -> Result<Sealed<Block<Self>>, PayloadFault> {
        let DeliveredPayload { payload, versioned_hashes, parent_beacon_block_root, requests } =
            delivered;
        let stated = payload.block_hash();
        let cancun = parent_beacon_block_root.map(|root| {
            CancunPayloadFields::new(root, versioned_hashes.clone().unwrap_or_default())
        });
        let sidecar = match (cancun, requests) {
            (Some(cancun), Some(requests)) => {
                OpExecutionPayloadSidecar::v4(cancun, PraguePayloadFields::new(requests))
            }
            (Some(cancun), None) => OpExecutionPayloadSidecar::v3(cancun),
            (None, _) => OpExecutionPayloadSidecar::default(),
        };
        let block: Block<Self> = payload
            .try_into_block_with_sidecar::<OpTxEnvelope>(&sidecar)
            .map_err(|error| PayloadFault::Malformed(error.to_string()))?;
        seal_delivered::<Self>(block, stated, versioned_hashes.as_deref())
    }

    fn payload_place(payload: &OpExecutionPayload) -> PayloadPlace {
        PayloadPlace {
            number: payload.block_number(),
            timestamp: payload.timestamp(),
            hash: payload.block_hash(),
            form: match payload {
                OpExecutionPayload::V1(_) => 1,
                OpExecutionPayload::V2(_) => 2,
                OpExecutionPayload::V3(_) => 3,
                OpExecutionPayload::V4(_) => 4,
            },
        }
    }

    fn payload_from_block(&self, block: &Sealed<Block<Self>>) -> OpExecutionPayload {
        OpExecutionPayload::from_block_unchecked(block.seal(), block.inner()).0
    }

    fn envelope(
        &self,
        version: u8,
        block: &Sealed<Block<Self>>,
        beside: BesidePayload<'_>,
    ) -> Option<RollupEnvelope> {
        let root = block.header.parent_beacon_block_root.unwrap_or_default();
        let payload = self.payload_from_block(block);
        let block_value = beside.fees;
        Some(match (version, payload) {
            (1, OpExecutionPayload::V1(payload)) => RollupEnvelope::V1(payload),
            (2, OpExecutionPayload::V1(payload)) => {
                let execution_payload = ExecutionPayloadFieldV2::V1(payload);
                RollupEnvelope::V2(ExecutionPayloadEnvelopeV2 { execution_payload, block_value })
            }
            (2, OpExecutionPayload::V2(payload)) => {
                let execution_payload = ExecutionPayloadFieldV2::V2(payload);
                RollupEnvelope::V2(ExecutionPayloadEnvelopeV2 { execution_payload, block_value })
            }
            (3, OpExecutionPayload::V3(execution_payload)) => {
                RollupEnvelope::V3(OpExecutionPayloadEnvelopeV3 {
                    execution_payload,
                    block_value,
                    blobs_bundle: BlobsBundleV1::empty(),
                    should_override_builder: false,
                    parent_beacon_block_root: root,
                })
            }
            (4, OpExecutionPayload::V4(execution_payload)) => {
                RollupEnvelope::V4(OpExecutionPayloadEnvelopeV4 {
                    execution_payload,
                    block_value,
                    blobs_bundle: BlobsBundleV1::empty(),
                    should_override_builder: false,
                    parent_beacon_block_root: root,
                    execution_requests: Vec::new(),
                })
            }
            _ => return None,
        })
    }

    fn attributes_timestamp(attributes: &OpPayloadAttributes) -> u64 {
        attributes.payload_attributes.timestamp
    }

    fn attributes_version(attributes: &OpPayloadAttributes) -> u8 {
        attributes_version(&attributes.payload_attributes)
    }

    fn payload_id(&self, parent: &B256, attributes: &OpPayloadAttributes) -> PayloadId {
        let mut rest = vec![u8::from(attributes.no_tx_pool.unwrap_or_default())];
        for transaction in attributes.transactions.iter().flatten() {
            rest.extend_from_slice(alloy_primitives::keccak256(transaction).as_slice());
        }
        rest.extend_from_slice(&attributes.gas_limit.unwrap_or_default().to_be_bytes());
        rest.extend_from_slice(attributes.eip_1559_params.unwrap_or_default().as_slice());
        rest.extend_from_slice(&attributes.min_base_fee.unwrap_or_default().to_be_bytes());
        payload_id(parent, &attributes.payload_attributes, &rest)
    }

    fn plan(
        &self,
        parent: &Sealed<Header>,
        attributes: &OpPayloadAttributes,
        _: &BuildDefaults,
    ) -> Result<BlockPlan<Self>, AttributesError> {
        let Block::<Self> { header, body } = begin_rollup_block(self, parent, attributes)?;
        Ok(BlockPlan {
            header,
            forced: body.transactions,
            withdrawals: body.withdrawals,
            takes_transactions: !attributes.no_tx_pool.unwrap_or_default(),
            max_bytes: usize::MAX,
            max_blobs: 0,
            blob_base_fee: None,
        })
    }

    fn complete(
        &self,
        plan: BlockPlan<Self>,
        transactions: Vec<OpTxEnvelope>,
        output: &BlockOutput<Self::Receipt>,
        roots: StateRoots,
    ) -> Block<Self> {
        complete(self, plan, transactions, output, roots)
    }

    fn storage_commitment(&self, header: &Header) -> Option<(Address, B256)> {
        let account = rollup_storage_commitment(self, header)?;
        Some((account, header.withdrawals_root.unwrap_or_default()))
    }

    fn validate_ommers(&self, _: &Block<Self>, _: &[&Sealed<Block<Self>>]) -> Result<(), String> {
        Err("a rollup's block has no ommers".into())
    }
}
