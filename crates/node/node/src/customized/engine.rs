//! How blocks of a customized chain come and go: as the chain's own.

use super::Customized;
use crate::precompile::PrecompilesMap;
use alloy_evm::EvmFactory;
use alloy_primitives::{Address, B256, Sealed};
use alloy_rpc_types_engine::PayloadId;
use lockstep_chain::{Block, EthereumHardfork};
use lockstep_engine::{
    AttributesError, BesidePayload, BlockPlan, BuildDefaults, DeliveredPayload, EngineVersions,
    PayloadFault, PayloadPlace, Payloads, StateRoots,
};
use lockstep_execution::{BlockOutput, Execute, StateCommitment};

impl<C, S: StateCommitment> Payloads for Customized<C, S>
where
    C: Payloads<EvmFactory: EvmFactory<Precompiles = PrecompilesMap>>,
{
    type Attributes = C::Attributes;
    type Payload = C::Payload;
    type Envelope = C::Envelope;

    fn engine_fork(&self, number: u64, timestamp: u64) -> EthereumHardfork {
        self.chain.engine_fork(number, timestamp)
    }

    fn newest_versions(&self) -> EngineVersions {
        self.chain.newest_versions()
    }

    fn rewinds_to_ancestors(&self) -> bool {
        self.chain.rewinds_to_ancestors()
    }

    fn block_from_payload(
        &self,
        delivered: DeliveredPayload<C::Payload>,
    ) -> Result<Sealed<Block<Self>>, PayloadFault> {
        self.chain.block_from_payload(delivered)
    }

    fn payload_place(payload: &C::Payload) -> PayloadPlace {
        C::payload_place(payload)
    }

    fn payload_from_block(&self, block: &Sealed<Block<Self>>) -> C::Payload {
        self.chain.payload_from_block(block)
    }

    fn envelope(
        &self,
        version: u8,
        block: &Sealed<Block<Self>>,
        beside: BesidePayload<'_>,
    ) -> Option<C::Envelope> {
        self.chain.envelope(version, block, beside)
    }

    fn attributes_timestamp(attributes: &C::Attributes) -> u64 {
        C::attributes_timestamp(attributes)
    }

    fn attributes_version(attributes: &C::Attributes) -> u8 {
        C::attributes_version(attributes)
    }

    fn payload_id(&self, parent: &B256, attributes: &C::Attributes) -> PayloadId {
        self.chain.payload_id(parent, attributes)
    }

    fn plan(
        &self,
        parent: &Sealed<C::Header>,
        attributes: &C::Attributes,
        defaults: &BuildDefaults,
    ) -> Result<BlockPlan<Self>, AttributesError> {
        self.chain.plan(parent, attributes, defaults).map(same_plan)
    }

    fn complete(
        &self,
        plan: BlockPlan<Self>,
        transactions: Vec<C::Transaction>,
        output: &BlockOutput<C::Receipt>,
        roots: StateRoots,
    ) -> Block<Self> {
        self.chain.complete(same_plan(plan), transactions, output, roots)
    }

    fn storage_commitment(&self, header: &C::Header) -> Option<(Address, B256)> {
        self.chain.storage_commitment(header)
    }

    fn validate_ommers(
        &self,
        block: &Block<Self>,
        ancestors: &[&Sealed<Block<Self>>],
    ) -> Result<(), String> {
        self.chain.validate_ommers(block, ancestors)
    }
}

/// A plan for a block of one chain, as one of another with the same types.
fn same_plan<C, D>(plan: BlockPlan<C>) -> BlockPlan<D>
where
    C: Execute,
    D: Execute<Header = C::Header, Transaction = C::Transaction>,
{
    let BlockPlan {
        header,
        forced,
        withdrawals,
        takes_transactions,
        max_bytes,
        max_blobs,
        blob_base_fee,
    } = plan;
    BlockPlan {
        header,
        forced,
        withdrawals,
        takes_transactions,
        max_bytes,
        max_blobs,
        blob_base_fee,
    }
}
