//! Payloads of rollups under the OP Stack's rules.

use super::{
    attributes_version, check_timestamp, complete, expect_presence, next_header, payload_id,
    seal_delivered,
};
use crate::{
    AttributesError, BesidePayload, BlockPlan, BuildDefaults, DeliveredPayload, EngineVersions,
    PayloadFault, PayloadPlace, Payloads, StateRoots,
};
use alloy_consensus::Header;
use alloy_eips::{
    eip1559::BaseFeeParams, eip2718::Encodable2718, eip4895::Withdrawals,
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_primitives::{Address, B256, Bytes, Sealed};
use alloy_rpc_types_engine::{
    BlobsBundleV1, CancunPayloadFields, ExecutionPayloadEnvelopeV2, ExecutionPayloadFieldV2,
    ExecutionPayloadV1, PayloadId, PraguePayloadFields,
};
use lockstep_chain::{
    Block, Chain, EthereumHardfork, OpHardfork, Rollup, genesis::L2_TO_L1_MESSAGE_PASSER,
    header::MAX_EXTRA_DATA_BYTES,
};
use lockstep_execution::BlockOutput;
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
        defaults: &BuildDefaults,
    ) -> Result<BlockPlan<Self>, AttributesError> {
        let common = &attributes.payload_attributes;
        check_timestamp(parent, common)?;
        let mut header = next_header(parent, common);
        let fork = self.fork(&header);
        let canyon = fork >= OpHardfork::Canyon;
        let ecotone = fork >= OpHardfork::Ecotone;
        expect_presence("withdrawals", common.withdrawals.as_ref(), canyon, fork)?;
        if common.withdrawals.as_ref().is_some_and(|list| !list.is_empty()) {
            let reason = "a rollup has no withdrawals of validators".into();
            return Err(AttributesError::Field { field: "withdrawals", reason });
        }
        let root = common.parent_beacon_block_root;
        expect_presence("parentBeaconBlockRoot", root.as_ref(), ecotone, fork)?;
        header.gas_limit = attributes.gas_limit.unwrap_or(parent.gas_limit);
        header.extra_data = extra_data(self, &header, attributes, defaults)?;
        header.base_fee_per_gas = self.next_base_fee(parent, header.timestamp);
        header.parent_beacon_block_root = root;
        header.withdrawals_root = canyon.then_some(B256::ZERO);
        header.blob_gas_used = ecotone.then_some(0);
        header.excess_blob_gas = ecotone.then_some(0);
        header.requests_hash = (fork >= OpHardfork::Isthmus).then_some(EMPTY_REQUESTS_HASH);
        Ok(BlockPlan {
            header,
            forced: forced_transactions(attributes)?,
            withdrawals: common.withdrawals.clone().map(Withdrawals::new),
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

    /// OP spec: Isthmus § L2ToL1MessagePasser storage root in header.
    fn storage_commitment(&self, header: &Header) -> Option<(Address, B256)> {
        (self.fork(header) >= OpHardfork::Isthmus)
            .then(|| (L2_TO_L1_MESSAGE_PASSER, header.withdrawals_root.unwrap_or_default()))
    }

    fn validate_ommers(&self, _: &Block<Self>, _: &[&Sealed<Block<Self>>]) -> Result<(), String> {
        Err("a rollup's block has no ommers".into())
    }
}

/// The transactions that the attributes put first.
fn forced_transactions(
    attributes: &OpPayloadAttributes,
) -> Result<Vec<OpTxEnvelope>, AttributesError> {
    let decoded = attributes.decoded_transactions().zip(attributes.transactions.iter().flatten());
    decoded
        .enumerate()
        .map(|(index, (transaction, bytes))| {
            let field = "transactions";
            let fault = |reason: String| AttributesError::Field { field, reason };
            let transaction =
                transaction.map_err(|error| fault(format!("transaction {index}: {error}")))?;
            if transaction.encoded_2718() != *bytes {
                return Err(fault(format!("transaction {index}: not the canonical encoding")));
            }
            Ok(transaction)
        })
        .collect()
}

/// The EIP-1559 parameters of the attributes where headers hold them (OP spec: Holocene, Jovian).
fn extra_data(
    chain: &Rollup,
    header: &Header,
    attributes: &OpPayloadAttributes,
    defaults: &BuildDefaults,
) -> Result<Bytes, AttributesError> {
    let fork = chain.fork(header);
    let holocene = fork >= OpHardfork::Holocene;
    let jovian = fork >= OpHardfork::Jovian;
    let params = attributes.eip_1559_params;
    expect_presence("eip1559Params", params.as_ref(), holocene, fork)?;
    expect_presence("minBaseFee", attributes.min_base_fee.as_ref(), jovian, fork)?;
    if !holocene {
        let length = defaults.extra_data.len().min(MAX_EXTRA_DATA_BYTES);
        return Ok(defaults.extra_data.slice(..length));
    }
    let fees = chain.fees();
    let fallback = BaseFeeParams::new(fees.denominator_canyon.into(), fees.elasticity.into());
    let encoded = if jovian {
        attributes.get_jovian_extra_data(fallback)
    } else {
        attributes.get_holocene_extra_data(fallback)
    };
    encoded.map_err(|error| AttributesError::Field {
        field: "eip1559Params",
        reason: error.to_string(),
    })
}
