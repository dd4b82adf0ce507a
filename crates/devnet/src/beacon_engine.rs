//! Our engine as the dev beacon drives it.

use crate::beacon::{BuiltPayload, EngineError, ExecutionEngine};
use alloy_rpc_types_engine::{
    ExecutionData, ExecutionPayload, ForkchoiceState, ForkchoiceUpdated, PayloadAttributes,
    PayloadId, PayloadStatus,
};
use lockstep_chain::EthereumHardfork;
use lockstep_engine::{DeliveredPayload, Engine, EthereumEnvelope, Payloads};

/// Osaka's payloads carry cell proofs.
const VERSION_FROM_OSAKA: u8 = 5;
const VERSION_PRAGUE: u8 = 4;

/// Drives an engine in the same process. Payloads wait for transactions to be chosen at least once,
/// since they are asked for as soon as they were begun.
impl<C> ExecutionEngine for Engine<C>
where
    C: Payloads<
            Attributes = PayloadAttributes,
            Payload = ExecutionPayload,
            Envelope = EthereumEnvelope,
        >,
{
    fn fork_choice(
        &self,
        state: ForkchoiceState,
        attributes: Option<PayloadAttributes>,
    ) -> Result<ForkchoiceUpdated, EngineError> {
        let mut updated = ForkchoiceUpdated::new(Self::fork_choice(self, state)?);
        if let Some(attributes) = attributes.filter(|_| updated.is_valid()) {
            updated.payload_id = Some(self.start_payload(state.head_block_hash, attributes)?);
        }
        Ok(updated)
    }

    fn payload(&self, id: PayloadId) -> Result<BuiltPayload, EngineError> {
        let built = self.full_payload(id)?;
        let header = &built.block.block.block.header;
        let fork = self.chain().engine_fork(built.block.block.number(), timestamp(header));
        let version =
            if fork >= EthereumHardfork::Osaka { VERSION_FROM_OSAKA } else { VERSION_PRAGUE };
        match built.envelope(self.chain(), version) {
            Some(EthereumEnvelope::V5(envelope)) => Ok(envelope.into()),
            Some(EthereumEnvelope::V4(envelope)) => Ok(envelope.into()),
            _ => Err(format!("the dev beacon drives Prague and later forks, not {fork}").into()),
        }
    }

    fn new_payload(&self, payload: ExecutionData) -> Result<PayloadStatus, EngineError> {
        let ExecutionData { payload, sidecar } = payload;
        let delivered = DeliveredPayload {
            payload,
            versioned_hashes: sidecar.versioned_hashes().cloned(),
            parent_beacon_block_root: sidecar.parent_beacon_block_root(),
            requests: sidecar.requests().cloned(),
        };
        match self.chain().block_from_payload(delivered) {
            Ok(block) => Ok(self.insert(block)?),
            Err(fault) => Ok(self.refuse(&fault.to_string())),
        }
    }
}

fn timestamp(header: &impl alloy_consensus::BlockHeader) -> u64 {
    header.timestamp()
}
