//! Payloads of Ethereum.

use super::{attributes_version, complete, payload_id, seal_delivered};
use crate::{
    AttributesError, BesidePayload, BlockPlan, BuildDefaults, DeliveredPayload, EngineVersions,
    PayloadFault, PayloadPlace, Payloads, StateRoots,
};
use alloy_consensus::Header;
use alloy_eips::{
    eip4844::DATA_GAS_PER_BLOB, eip4895::Withdrawals, eip7594::BlobTransactionSidecarVariant,
    eip7685::EMPTY_REQUESTS_HASH, eip7840::BlobParams,
};
use alloy_primitives::{B256, Sealed, U256};
use alloy_rpc_types_engine::{
    BlobsBundleV1, BlobsBundleV2, CancunPayloadFields, ExecutionPayload,
    ExecutionPayloadEnvelopeV2, ExecutionPayloadEnvelopeV3, ExecutionPayloadEnvelopeV4,
    ExecutionPayloadEnvelopeV5, ExecutionPayloadFieldV2, ExecutionPayloadSidecar,
    ExecutionPayloadV1, PayloadAttributes, PayloadId, PraguePayloadFields,
};
use lockstep_chain::{
    Ancestor, Block, Chain, Ethereum, EthereumHardfork, EthereumTransaction, MAX_BLOCK_RLP_BYTES,
    header::{GAS_LIMIT_BOUND_DIVISOR, MAX_EXTRA_DATA_BYTES, MAX_GAS_LIMIT, MIN_GAS_LIMIT},
    next_excess_blob_gas,
};
use lockstep_execution::{BlockOutput, begin_header};
use serde::Serialize;
use std::sync::Arc;

/// The answer of `engine_getPayload`, by version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EthereumEnvelope {
    /// Paris.
    V1(ExecutionPayloadV1),
    /// Up to Shanghai.
    V2(ExecutionPayloadEnvelopeV2),
    /// Cancun.
    V3(ExecutionPayloadEnvelopeV3),
    /// Prague.
    V4(ExecutionPayloadEnvelopeV4),
    /// Osaka: the blobs have cell proofs.
    V5(ExecutionPayloadEnvelopeV5),
}

impl Payloads for Ethereum {
    type Attributes = PayloadAttributes;
    type Payload = ExecutionPayload;
    type Envelope = EthereumEnvelope;

    fn engine_fork(&self, number: u64, timestamp: u64) -> EthereumHardfork {
        self.forks().fork(number, timestamp, U256::ZERO)
    }

    fn newest_versions(&self) -> EngineVersions {
        EngineVersions { new_payload: 4, payload_form: 3, get_payload: 5 }
    }

    fn rewinds_to_ancestors(&self) -> bool {
        false
    }

    fn block_from_payload(
        &self,
        delivered: DeliveredPayload<ExecutionPayload>,
    ) -> Result<Sealed<Block<Self>>, PayloadFault> {
        let DeliveredPayload { payload, versioned_hashes, parent_beacon_block_root, requests } =
            delivered;
        let stated = payload.block_hash();
        let cancun = parent_beacon_block_root.map(|root| {
            CancunPayloadFields::new(root, versioned_hashes.clone().unwrap_or_default())
        });
        let sidecar = match (cancun, requests) {
            (Some(cancun), Some(requests)) => {
                ExecutionPayloadSidecar::v4(cancun, PraguePayloadFields::new(requests))
            }
            (Some(cancun), None) => ExecutionPayloadSidecar::v3(cancun),
            (None, _) => ExecutionPayloadSidecar::none(),
        };
        let block: Block<Self> = payload
            .try_into_block_with_sidecar::<EthereumTransaction>(&sidecar)
            .map_err(|error| PayloadFault::Malformed(error.to_string()))?;
        seal_delivered::<Self>(block, stated, versioned_hashes.as_deref())
    }

    fn payload_place(payload: &ExecutionPayload) -> PayloadPlace {
        PayloadPlace {
            number: payload.block_number(),
            timestamp: payload.timestamp(),
            hash: payload.block_hash(),
            form: match payload {
                ExecutionPayload::V1(_) => 1,
                ExecutionPayload::V2(_) => 2,
                ExecutionPayload::V3(_) => 3,
                ExecutionPayload::V4(_) => 4,
            },
        }
    }

    fn payload_from_block(&self, block: &Sealed<Block<Self>>) -> ExecutionPayload {
        ExecutionPayload::from_block_unchecked(block.seal(), block.inner()).0
    }

    fn envelope(
        &self,
        version: u8,
        block: &Sealed<Block<Self>>,
        beside: BesidePayload<'_>,
    ) -> Option<EthereumEnvelope> {
        let payload = self.payload_from_block(block);
        let block_value = beside.fees;
        let requests = beside.requests.clone();
        Some(match (version, payload) {
            (1, ExecutionPayload::V1(payload)) => EthereumEnvelope::V1(payload),
            (2, ExecutionPayload::V1(payload)) => {
                let execution_payload = ExecutionPayloadFieldV2::V1(payload);
                EthereumEnvelope::V2(ExecutionPayloadEnvelopeV2 { execution_payload, block_value })
            }
            (2, ExecutionPayload::V2(payload)) => {
                let execution_payload = ExecutionPayloadFieldV2::V2(payload);
                EthereumEnvelope::V2(ExecutionPayloadEnvelopeV2 { execution_payload, block_value })
            }
            (3 | 4, ExecutionPayload::V3(execution_payload)) => {
                let envelope_inner = ExecutionPayloadEnvelopeV3 {
                    execution_payload,
                    block_value,
                    blobs_bundle: blobs_v1(beside.blobs)?,
                    should_override_builder: false,
                };
                if version == 3 {
                    EthereumEnvelope::V3(envelope_inner)
                } else {
                    EthereumEnvelope::V4(ExecutionPayloadEnvelopeV4 {
                        envelope_inner,
                        execution_requests: requests,
                    })
                }
            }
            (5, ExecutionPayload::V3(execution_payload)) => {
                EthereumEnvelope::V5(ExecutionPayloadEnvelopeV5 {
                    execution_payload,
                    block_value,
                    blobs_bundle: blobs_v2(beside.blobs)?,
                    should_override_builder: false,
                    execution_requests: requests,
                })
            }
            _ => return None,
        })
    }

    fn attributes_timestamp(attributes: &PayloadAttributes) -> u64 {
        attributes.timestamp
    }

    fn attributes_version(attributes: &PayloadAttributes) -> u8 {
        attributes_version(attributes)
    }

    fn payload_id(&self, parent: &B256, attributes: &PayloadAttributes) -> PayloadId {
        payload_id(parent, attributes, &[])
    }

    fn plan(
        &self,
        parent: &Sealed<Header>,
        attributes: &PayloadAttributes,
        defaults: &BuildDefaults,
    ) -> Result<BlockPlan<Self>, AttributesError> {
        let mut header = begin_header(parent, attributes)?;
        let fork = self.fork(&header);
        let shanghai = fork >= EthereumHardfork::Shanghai;
        let cancun = fork >= EthereumHardfork::Cancun;
        let withdrawals = attributes.withdrawals.as_ref();
        AttributesError::expect_presence("withdrawals", withdrawals, shanghai, fork)?;
        let root = attributes.parent_beacon_block_root;
        AttributesError::expect_presence("parentBeaconBlockRoot", root.as_ref(), cancun, fork)?;
        header.gas_limit = towards(parent.gas_limit, defaults.gas_limit);
        let extra_data = defaults.extra_data.len().min(MAX_EXTRA_DATA_BYTES);
        header.extra_data = defaults.extra_data.slice(..extra_data);
        header.base_fee_per_gas = self.next_base_fee(parent, header.timestamp);
        header.parent_beacon_block_root = root;
        if shanghai {
            header.withdrawals_root = Some(B256::ZERO);
        }
        let blobs = self.blob_params(fork).filter(|_| cancun);
        if let Some(params) = blobs {
            header.blob_gas_used = Some(0);
            header.excess_blob_gas = Some(next_excess_blob_gas(params, parent));
        }
        if fork >= EthereumHardfork::Prague {
            header.requests_hash = Some(EMPTY_REQUESTS_HASH);
        }
        Ok(BlockPlan {
            blob_base_fee: blob_base_fee(&header, blobs),
            header,
            forced: Vec::new(),
            withdrawals: attributes.withdrawals.clone().map(Withdrawals::new),
            takes_transactions: true,
            max_bytes: if fork >= EthereumHardfork::Osaka {
                MAX_BLOCK_RLP_BYTES
            } else {
                usize::MAX
            },
            max_blobs: blobs.map_or(0, |it| it.max_blob_gas_per_block() / DATA_GAS_PER_BLOB),
        })
    }

    fn complete(
        &self,
        plan: BlockPlan<Self>,
        transactions: Vec<EthereumTransaction>,
        output: &BlockOutput<Self::Receipt>,
        roots: StateRoots,
    ) -> Block<Self> {
        complete(self, plan, transactions, output, roots)
    }

    fn validate_ommers(
        &self,
        block: &Block<Self>,
        ancestors: &[&Sealed<Block<Self>>],
    ) -> Result<(), String> {
        let ancestors: Vec<Ancestor> = ancestors
            .iter()
            .map(|block| Ancestor {
                header: Sealed::new_unchecked(block.header.clone(), block.seal()),
                ommers: block.body.ommers.iter().map(Header::hash_slow).collect(),
            })
            .collect();
        Self::validate_ommers(self, block, &ancestors).map_err(|error| error.to_string())
    }
}

/// The gas limit closest to `target` that a child of a block with `parent_gas_limit` may have.
fn towards(parent_gas_limit: u64, target: u64) -> u64 {
    let step = (parent_gas_limit / GAS_LIMIT_BOUND_DIVISOR).saturating_sub(1);
    target
        .clamp(parent_gas_limit.saturating_sub(step), parent_gas_limit.saturating_add(step))
        .clamp(MIN_GAS_LIMIT, MAX_GAS_LIMIT)
}

fn blob_base_fee(header: &Header, params: Option<BlobParams>) -> Option<u128> {
    Some(params?.calc_blob_fee(header.excess_blob_gas?))
}

/// The blobs with one proof each; `None` if a sidecar has cell proofs instead.
fn blobs_v1(blobs: &[Arc<BlobTransactionSidecarVariant>]) -> Option<BlobsBundleV1> {
    let sidecars: Option<Vec<_>> =
        blobs.iter().map(|sidecar| sidecar.as_eip4844().cloned()).collect();
    Some(BlobsBundleV1::new(sidecars?))
}

/// The blobs with cell proofs; `None` if a sidecar lacks them.
fn blobs_v2(blobs: &[Arc<BlobTransactionSidecarVariant>]) -> Option<BlobsBundleV2> {
    let sidecars: Option<Vec<_>> =
        blobs.iter().map(|sidecar| sidecar.as_eip7594().cloned()).collect();
    Some(BlobsBundleV2::new(sidecars?))
}

#[cfg(test)]
mod tests {
    use super::towards;

    #[test]
    fn the_gas_limit_moves_by_less_than_a_1024th() {
        assert_eq!(towards(30_000_000, 60_000_000), 30_000_000 + 30_000_000 / 1024 - 1);
        assert_eq!(towards(30_000_000, 1), 30_000_000 - 30_000_000 / 1024 + 1);
        assert_eq!(towards(30_000_000, 30_000_001), 30_000_001);
        assert_eq!(towards(5_000, 0), 5_000);
    }
}
