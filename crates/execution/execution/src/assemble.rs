//! Make a block: its header before execution, and what execution fills in.
//!
//! Whoever makes blocks, a sequencer, a follower or a proof, makes them here, so that the same
//! attributes lead to the same hash.

use crate::{BlockOutput, Execute};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, proofs::calculate_withdrawals_root,
};
use alloy_eips::{
    eip1559::BaseFeeParams,
    eip2718::{Decodable2718, Encodable2718},
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_primitives::{Address, B64, B256, Bytes, Sealed};
use alloy_rpc_types_engine::PayloadAttributes;
use core::fmt::Display;
use lockstep_chain::{
    Block, BodyError, Chain, HeaderError, OpHardfork, Rollup, body::transactions_root,
    genesis::L2_TO_L1_MESSAGE_PASSER,
};
use op_alloy_consensus::{OpTxEnvelope, encode_holocene_extra_data, encode_jovian_extra_data};
use op_alloy_rpc_types_engine::OpPayloadAttributes;

/// Why there is no block with these payload attributes: they themselves are at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributesError {
    /// The block would not be later than its parent.
    #[error("payload attribute `timestamp` is {got}, the parent's is {parent}")]
    Timestamp {
        /// The timestamp asked for, in seconds.
        got: u64,
        /// The parent's, in seconds.
        parent: u64,
    },
    /// A field that the fork demands is missing.
    #[error("payload attribute `{field}` is missing in {fork}")]
    Missing {
        /// The field's name in JSON-RPC.
        field: &'static str,
        /// The fork of the block to make.
        fork: String,
    },
    /// A field that the fork does not know is present.
    #[error("payload attribute `{field}` does not exist in {fork}")]
    Unexpected {
        /// The field's name in JSON-RPC.
        field: &'static str,
        /// The fork of the block to make.
        fork: String,
    },
    /// A field holds what it must not.
    #[error("payload attribute `{field}`: {reason}")]
    Field {
        /// The field's name in JSON-RPC.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes of a transaction that must come first are none.
    #[error("transaction {index} of the attributes: {reason}")]
    Transaction {
        /// Its position.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The block's header would break a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A transaction that must come first cannot stand in a block of this fork.
    #[error(transparent)]
    Body(#[from] BodyError),
}

impl AttributesError {
    /// Checks that a field is there exactly if the fork has it.
    ///
    /// # Errors
    /// [`Self::Missing`] or [`Self::Unexpected`].
    pub fn expect_presence<T>(
        field: &'static str,
        value: Option<&T>,
        wanted: bool,
        fork: impl Display,
    ) -> Result<(), Self> {
        match (value, wanted) {
            (None, true) => Err(Self::Missing { field, fork: fork.to_string() }),
            (Some(_), false) => Err(Self::Unexpected { field, fork: fork.to_string() }),
            _ => Ok(()),
        }
    }
}

/// The roots of the state after a block.
#[derive(Clone, Copy, Debug)]
pub struct StateRoots {
    /// The root of the state.
    pub state: B256,
    /// The root of the storage of the account that the header tells of, such as the one that
    /// [`rollup_storage_commitment`] names.
    pub storage: Option<B256>,
}

/// What every header takes from its parent and the payload attributes.
///
/// # Errors
/// [`AttributesError::Timestamp`] if the block would not be later than its parent.
pub fn begin_header(
    parent: &Sealed<Header>,
    attributes: &PayloadAttributes,
) -> Result<Header, AttributesError> {
    let (got, parent_timestamp) = (attributes.timestamp, parent.timestamp);
    if got <= parent_timestamp {
        return Err(AttributesError::Timestamp { got, parent: parent_timestamp });
    }
    Ok(Header {
        parent_hash: parent.seal(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: attributes.suggested_fee_recipient,
        number: parent.number.saturating_add(1),
        timestamp: attributes.timestamp,
        mix_hash: attributes.prev_randao,
        nonce: B64::ZERO,
        ..Default::default()
    })
}

/// The rollup's block that `attributes` ask for on top of `parent`, with all that is known of it
/// before it is executed: its header, and the transactions that come first. It has passed the
/// chain's rules for headers and types of transactions.
///
/// Source: OP spec, execution engine § engine API and the headers of Canyon, Ecotone, Holocene,
/// Isthmus and Jovian.
///
/// # Errors
/// The first attribute that cannot be met, or the first rule that is broken.
pub fn begin_rollup_block(
    chain: &Rollup,
    parent: &Sealed<Header>,
    attributes: &OpPayloadAttributes,
) -> Result<Block<Rollup>, AttributesError> {
    let header = rollup_header(chain, parent, attributes)?;
    let body = BlockBody {
        transactions: forced_transactions(attributes)?,
        ommers: Vec::new(),
        withdrawals: header.withdrawals_root.map(|_| Default::default()),
    };
    let block = Block::<Rollup> { header, body };
    chain.validate_header(&block.header)?;
    chain.validate_transactions(&block)?;
    Ok(block)
}

fn rollup_header(
    chain: &Rollup,
    parent: &Sealed<Header>,
    attributes: &OpPayloadAttributes,
) -> Result<Header, AttributesError> {
    let common = &attributes.payload_attributes;
    let mut header = begin_header(parent, common)?;
    let fork = chain.fork(&header);
    let since = |first| fork >= first;
    let withdrawals = common.withdrawals.as_ref();
    AttributesError::expect_presence("withdrawals", withdrawals, since(OpHardfork::Canyon), fork)?;
    if withdrawals.is_some_and(|list| !list.is_empty()) {
        let reason = "a rollup has no withdrawals of validators".into();
        return Err(AttributesError::Field { field: "withdrawals", reason });
    }
    let ecotone = since(OpHardfork::Ecotone);
    let beacon_root = common.parent_beacon_block_root;
    let name = "parentBeaconBlockRoot";
    AttributesError::expect_presence(name, beacon_root.as_ref(), ecotone, fork)?;
    header.gas_limit = required("gasLimit", attributes.gas_limit, fork)?;
    header.extra_data = extra_data(chain, attributes, fork)?;
    header.base_fee_per_gas = chain.next_base_fee(parent, header.timestamp);
    header.parent_beacon_block_root = beacon_root;
    header.withdrawals_root = since(OpHardfork::Canyon).then_some(EMPTY_ROOT_HASH);
    header.blob_gas_used = ecotone.then_some(0);
    header.excess_blob_gas = ecotone.then_some(0);
    header.requests_hash = since(OpHardfork::Isthmus).then_some(EMPTY_REQUESTS_HASH);
    Ok(header)
}

/// The EIP-1559 parameters, where headers hold them (OP spec: Holocene and Jovian § EIP-1559
/// parameters in block header); nothing before.
fn extra_data(
    chain: &Rollup,
    attributes: &OpPayloadAttributes,
    fork: OpHardfork,
) -> Result<Bytes, AttributesError> {
    let (holocene, jovian) = (fork >= OpHardfork::Holocene, fork >= OpHardfork::Jovian);
    let (params, minimum) = (attributes.eip_1559_params, attributes.min_base_fee);
    AttributesError::expect_presence("eip1559Params", params.as_ref(), holocene, fork)?;
    AttributesError::expect_presence("minBaseFee", minimum.as_ref(), jovian, fork)?;
    let Some(params) = params else { return Ok(Bytes::new()) };
    let fees = chain.fees();
    let defaults = BaseFeeParams::new(fees.denominator_canyon.into(), fees.elasticity.into());
    let encoded = match minimum {
        Some(minimum) => encode_jovian_extra_data(params, defaults, minimum),
        None => encode_holocene_extra_data(params, defaults),
    };
    encoded.map_err(|error| AttributesError::Field {
        field: "eip1559Params",
        reason: error.to_string(),
    })
}

/// The transactions, each in exactly the bytes that it encodes to.
fn forced_transactions(
    attributes: &OpPayloadAttributes,
) -> Result<Vec<OpTxEnvelope>, AttributesError> {
    let mut encoded = Vec::new();
    let mut decode = |(index, bytes): (usize, &Bytes)| {
        let fault = |reason| AttributesError::Transaction { index, reason };
        let transaction =
            OpTxEnvelope::decode_2718_exact(bytes).map_err(|error| fault(format!("{error}")))?;
        encoded.clear();
        transaction.encode_2718(&mut encoded);
        if encoded != bytes[..] {
            return Err(fault("the encoding is not the canonical one".into()));
        }
        Ok(transaction)
    };
    attributes.transactions.iter().flatten().enumerate().map(&mut decode).collect()
}

fn required<T>(
    field: &'static str,
    value: Option<T>,
    fork: impl Display,
) -> Result<T, AttributesError> {
    value.ok_or_else(|| AttributesError::Missing { field, fork: fork.to_string() })
}

/// The account whose storage root a rollup's header states as `withdrawalsRoot`, if it states one
/// (OP spec: Isthmus § L2ToL1MessagePasser storage root in header).
pub fn rollup_storage_commitment(chain: &Rollup, header: &Header) -> Option<Address> {
    (chain.fork(header) >= OpHardfork::Isthmus).then_some(L2_TO_L1_MESSAGE_PASSER)
}

/// Fills in what follows from a block's body and its execution.
#[must_use]
pub fn complete_block<C: Execute<Header = Header>>(
    chain: &C,
    mut block: Block<C>,
    output: &BlockOutput<C::Receipt>,
    roots: StateRoots,
) -> Block<C> {
    let header = &mut block.header;
    header.state_root = roots.state;
    header.gas_used = output.gas_used;
    header.transactions_root = transactions_root(&block.body.transactions);
    (header.receipts_root, header.logs_bloom) = chain.receipts_root(header, &output.receipts);
    header.withdrawals_root = match (&block.body.withdrawals, roots.storage) {
        (_, Some(root)) => Some(root),
        (Some(withdrawals), None) => Some(calculate_withdrawals_root(withdrawals)),
        (None, None) => None,
    };
    if header.blob_gas_used.is_some() {
        header.blob_gas_used = Some(output.blob_gas_used);
    }
    if header.requests_hash.is_some() {
        header.requests_hash = Some(output.requests.requests_hash());
    }
    block
}
