//! From payload attributes to a header, as far as it is known before execution, and after it.

use crate::PayloadError;
use alloc::{format, string::ToString, vec::Vec};
use alloy_consensus::{BlockBody, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header};
use alloy_eips::{
    eip1559::BaseFeeParams,
    eip2718::{Decodable2718, Encodable2718},
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_primitives::{B64, Bytes, Sealed};
use core::fmt::Display;
use lockstep_chain::{Block, Chain, OpHardfork, Rollup, body::transactions_root};
use lockstep_execution::BlockOutput;
use op_alloy_consensus::{
    OpReceipt, OpTxEnvelope, encode_holocene_extra_data, encode_jovian_extra_data,
};
use op_alloy_rpc_types_engine::OpPayloadAttributes;

/// The block that `attributes` ask for on top of `parent`, with all that is known of it before it is
/// executed.
pub(crate) fn block_before_execution<E>(
    chain: &Rollup,
    parent: &Sealed<Header>,
    attributes: &OpPayloadAttributes,
) -> Result<Block<Rollup>, PayloadError<E>> {
    let header = header_before_execution(chain, parent, attributes)?;
    let canyon = chain.fork(&header) >= OpHardfork::Canyon;
    let body = BlockBody {
        transactions: transactions(attributes)?,
        ommers: Vec::new(),
        withdrawals: canyon.then(Default::default),
    };
    Ok(Block::<Rollup> { header, body })
}

/// Source: OP spec, execution engine § engine API and the headers of Canyon, Ecotone, Holocene,
/// Isthmus and Jovian.
fn header_before_execution<E>(
    chain: &Rollup,
    parent: &Sealed<Header>,
    attributes: &OpPayloadAttributes,
) -> Result<Header, PayloadError<E>> {
    let common = &attributes.payload_attributes;
    if common.timestamp <= parent.timestamp {
        let reason = format!("{} is not after the parent's {}", common.timestamp, parent.timestamp);
        return Err(PayloadError::Attribute { field: "timestamp", reason });
    }
    let mut header = Header {
        parent_hash: parent.hash(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: common.suggested_fee_recipient,
        number: parent.number.saturating_add(1),
        timestamp: common.timestamp,
        mix_hash: common.prev_randao,
        base_fee_per_gas: chain.next_base_fee(parent, common.timestamp),
        ..Default::default()
    };
    let fork = chain.fork(&header);
    let since = |first| fork >= first;
    if common.withdrawals.as_ref().is_some_and(|list| !list.is_empty()) {
        let reason = "a rollup has no withdrawals of validators".into();
        return Err(PayloadError::Attribute { field: "withdrawals", reason });
    }
    header.gas_limit = expect_present("gasLimit", attributes.gas_limit, fork)?;
    header.extra_data = extra_data(chain, attributes, fork)?;
    header.withdrawals_root = since(OpHardfork::Canyon).then_some(EMPTY_ROOT_HASH);
    header.requests_hash = since(OpHardfork::Isthmus).then_some(EMPTY_REQUESTS_HASH);
    if since(OpHardfork::Ecotone) {
        let root = common.parent_beacon_block_root;
        header.parent_beacon_block_root =
            Some(expect_present("parentBeaconBlockRoot", root, fork)?);
        header.blob_gas_used = Some(0);
        header.excess_blob_gas = Some(0);
    } else {
        expect_absent("parentBeaconBlockRoot", common.parent_beacon_block_root.as_ref(), fork)?;
    }
    Ok(header)
}

/// The EIP-1559 parameters, where headers hold them (OP spec: Holocene and Jovian § EIP-1559
/// parameters in block header). Derived blocks before that have no extra data.
fn extra_data<E>(
    chain: &Rollup,
    attributes: &OpPayloadAttributes,
    fork: OpHardfork,
) -> Result<Bytes, PayloadError<E>> {
    if fork < OpHardfork::Jovian {
        expect_absent("minBaseFee", attributes.min_base_fee.as_ref(), fork)?;
    }
    if fork < OpHardfork::Holocene {
        expect_absent("eip1559Params", attributes.eip_1559_params.as_ref(), fork)?;
        return Ok(Bytes::new());
    }
    let params: B64 = expect_present("eip1559Params", attributes.eip_1559_params, fork)?;
    let fees = chain.fees();
    let defaults = BaseFeeParams::new(fees.denominator_canyon.into(), fees.elasticity.into());
    let encoded = if fork >= OpHardfork::Jovian {
        let minimum = expect_present("minBaseFee", attributes.min_base_fee, fork)?;
        encode_jovian_extra_data(params, defaults, minimum)
    } else {
        encode_holocene_extra_data(params, defaults)
    };
    encoded.map_err(|error| PayloadError::Attribute {
        field: "eip1559Params",
        reason: error.to_string(),
    })
}

/// The transactions, each in exactly the bytes that it encodes to.
fn transactions<E>(attributes: &OpPayloadAttributes) -> Result<Vec<OpTxEnvelope>, PayloadError<E>> {
    let mut encoded = Vec::new();
    let transactions = attributes.transactions.iter().flatten().enumerate();
    transactions
        .map(|(index, bytes)| {
            let transaction = OpTxEnvelope::decode_2718_exact(bytes)
                .map_err(|error| PayloadError::Transaction { index, reason: error.to_string() })?;
            encoded.clear();
            transaction.encode_2718(&mut encoded);
            if encoded == bytes[..] {
                return Ok(transaction);
            }
            let reason = "the encoding is not the canonical one".into();
            Err(PayloadError::Transaction { index, reason })
        })
        .collect()
}

/// Whether the header states the root of the message passer's storage (OP spec: Isthmus §
/// L2ToL1MessagePasser storage root in header).
pub(crate) fn states_message_passer_root(chain: &Rollup, header: &Header) -> bool {
    chain.fork(header) >= OpHardfork::Isthmus
}

/// Fills in what execution left behind, but for the roots of the state and of the message passer's
/// storage.
pub(crate) fn complete_header(
    chain: &Rollup,
    block: &mut Block<Rollup>,
    output: &BlockOutput<OpReceipt>,
) {
    let header = &mut block.header;
    header.gas_used = output.gas_used;
    header.transactions_root = transactions_root(&block.body.transactions);
    (header.receipts_root, header.logs_bloom) = chain.receipts_root(header, &output.receipts);
    if header.blob_gas_used.is_some() {
        header.blob_gas_used = Some(output.blob_gas_used);
    }
}

fn expect_present<T, E>(
    field: &'static str,
    value: Option<T>,
    fork: impl Display,
) -> Result<T, PayloadError<E>> {
    value.ok_or_else(|| PayloadError::Attribute { field, reason: format!("missing in {fork}") })
}

fn expect_absent<T, E>(
    field: &'static str,
    value: Option<&T>,
    fork: impl Display,
) -> Result<(), PayloadError<E>> {
    if value.is_none() {
        return Ok(());
    }
    Err(PayloadError::Attribute { field, reason: format!("does not exist in {fork}") })
}
