//! Whether a block that is there already is the one that L1 asks for.

use alloy_consensus::BlockHeader;
use alloy_eips::eip2718::Encodable2718;
use lockstep_chain::{OpHardfork, Rollup};
use lockstep_storage::RecoveredBlock;
use op_alloy_consensus::{decode_holocene_extra_data, decode_jovian_extra_data};
use op_alloy_rpc_types_engine::OpPayloadAttributes;

/// The first field in which a block differs from what the attributes ask for; `None` if executing
/// them would make this very block (OP spec: derivation § L1-consolidation).
pub(crate) fn difference(
    chain: &Rollup,
    attributes: &OpPayloadAttributes,
    block: &RecoveredBlock<Rollup>,
) -> Option<&'static str> {
    let header = &block.block.header;
    let wanted = &attributes.payload_attributes;
    let fork = chain.forks().fork(header.number, header.timestamp);
    let transactions = attributes.transactions.as_deref().unwrap_or_default();
    let found = &block.block.body.transactions;
    let withdrawals = block.block.body.withdrawals.as_ref().map(|list| list.len());
    let checks = [
        ("timestamp", header.timestamp() == wanted.timestamp),
        ("prevRandao", header.mix_hash == wanted.prev_randao),
        ("suggestedFeeRecipient", header.beneficiary == wanted.suggested_fee_recipient),
        (
            "parentBeaconBlockRoot",
            header.parent_beacon_block_root == wanted.parent_beacon_block_root,
        ),
        ("withdrawals", withdrawals == wanted.withdrawals.as_ref().map(Vec::len)),
        ("gasLimit", attributes.gas_limit.is_none_or(|limit| limit == header.gas_limit)),
        ("eip1559Params", has_fee_parameters(chain, fork, attributes, &header.extra_data)),
        (
            "transactions",
            found.len() == transactions.len()
                && found.iter().zip(transactions).all(|(found, wanted)| {
                    found.encode_2718_len() == wanted.len() && found.encoded_2718() == wanted[..]
                }),
        ),
    ];
    checks.into_iter().find(|(_, is_same)| !is_same).map(|(field, _)| field)
}

/// Zero parameters stand for those of the chain's definition (OP spec: Holocene § execution engine).
fn has_fee_parameters(
    chain: &Rollup,
    fork: OpHardfork,
    attributes: &OpPayloadAttributes,
    extra_data: &[u8],
) -> bool {
    let Some(wanted) = attributes.eip_1559_params else { return extra_data.is_empty() };
    let found = if fork >= OpHardfork::Jovian {
        decode_jovian_extra_data(extra_data)
            .map(|(elasticity, denominator, minimum)| (elasticity, denominator, Some(minimum)))
    } else {
        decode_holocene_extra_data(extra_data)
            .map(|(elasticity, denominator)| (elasticity, denominator, None))
    };
    let Ok((elasticity, denominator, minimum)) = found else { return false };
    let [d0, d1, d2, d3, e0, e1, e2, e3] = wanted.0;
    let mut parameters = (
        u64::from(u32::from_be_bytes([e0, e1, e2, e3])),
        u64::from(u32::from_be_bytes([d0, d1, d2, d3])),
    );
    if parameters == (0, 0) {
        let fees = chain.fees();
        parameters = (fees.elasticity, fees.denominator_canyon);
    }
    (u64::from(elasticity), u64::from(denominator)) == parameters
        && minimum == attributes.min_base_fee
}
