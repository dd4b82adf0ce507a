//! The chains that an engine can drive out of the box.

mod ethereum;
mod rollup;

pub use ethereum::EthereumEnvelope;
pub use rollup::RollupEnvelope;

use crate::{AttributesError, BlockPlan, PayloadFault, StateRoots};
use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, Header, Transaction, proofs::calculate_withdrawals_root,
};
use alloy_primitives::{B64, B256, Sealed, keccak256};
use alloy_rlp::Encodable;
use alloy_rpc_types_engine::{PayloadAttributes, PayloadId};
use lockstep_chain::{Block, Chain, body::transactions_root};
use lockstep_execution::{BlockOutput, Execute};

/// What every header takes from its parent and the attributes.
fn next_header(parent: &Sealed<Header>, attributes: &PayloadAttributes) -> Header {
    Header {
        parent_hash: parent.seal(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: attributes.suggested_fee_recipient,
        number: parent.number.saturating_add(1),
        timestamp: attributes.timestamp,
        mix_hash: attributes.prev_randao,
        nonce: B64::ZERO,
        ..Default::default()
    }
}

/// Fills in what follows from the body and its execution.
fn complete<C: Execute<Header = Header>>(
    chain: &C,
    plan: BlockPlan<C>,
    transactions: Vec<C::Transaction>,
    output: &BlockOutput<C::Receipt>,
    roots: StateRoots,
) -> Block<C> {
    let BlockPlan { mut header, withdrawals, .. } = plan;
    header.state_root = roots.state;
    header.gas_used = output.gas_used;
    header.transactions_root = transactions_root(&transactions);
    let (receipts_root, bloom) = chain.receipts_root(&header, &output.receipts);
    header.receipts_root = receipts_root;
    header.logs_bloom = bloom;
    header.withdrawals_root = match (&withdrawals, roots.storage) {
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
    Block::<C> { header, body: BlockBody { transactions, ommers: Vec::new(), withdrawals } }
}

/// The hash over parent and attributes whose first bytes name a payload.
fn payload_id(parent: &B256, attributes: &PayloadAttributes, rest: &[u8]) -> PayloadId {
    let mut preimage = Vec::new();
    parent.encode(&mut preimage);
    attributes.timestamp.encode(&mut preimage);
    attributes.prev_randao.encode(&mut preimage);
    attributes.suggested_fee_recipient.encode(&mut preimage);
    if let Some(withdrawals) = &attributes.withdrawals {
        withdrawals.encode(&mut preimage);
    }
    if let Some(root) = &attributes.parent_beacon_block_root {
        root.encode(&mut preimage);
    }
    preimage.extend_from_slice(rest);
    PayloadId(B64::from_slice(keccak256(preimage).get(..8).unwrap_or_default()))
}

/// A field of the attributes must be there exactly if the fork has it.
fn expect_presence<T>(
    field: &'static str,
    value: Option<&T>,
    wanted: bool,
    fork: impl core::fmt::Display,
) -> Result<(), AttributesError> {
    match (value, wanted) {
        (None, true) => Err(AttributesError::Missing { field, fork: fork.to_string() }),
        (Some(_), false) => Err(AttributesError::Unexpected { field, fork: fork.to_string() }),
        _ => Ok(()),
    }
}

/// The version of `PayloadAttributes` that has these fields.
const fn attributes_version(attributes: &PayloadAttributes) -> u8 {
    if attributes.parent_beacon_block_root.is_some() {
        3
    } else if attributes.withdrawals.is_some() {
        2
    } else {
        1
    }
}

fn check_timestamp(parent: &Header, attributes: &PayloadAttributes) -> Result<(), AttributesError> {
    if attributes.timestamp > parent.timestamp {
        return Ok(());
    }
    Err(AttributesError::Timestamp { got: attributes.timestamp, parent: parent.timestamp })
}

/// Seals a block that was made from a payload, if it is the one that the payload says and has the
/// blobs that came beside it.
fn seal_delivered<C: Chain<Header = Header>>(
    block: Block<C>,
    stated: B256,
    versioned_hashes: Option<&[B256]>,
) -> Result<Sealed<Block<C>>, PayloadFault> {
    let got = block.header.hash_slow();
    if got != stated {
        return Err(PayloadFault::BlockHash { stated, got });
    }
    if let Some(hashes) = versioned_hashes
        && !blob_hashes::<C>(&block).eq(hashes)
    {
        return Err(PayloadFault::BlobHashes);
    }
    Ok(Sealed::new_unchecked(block, got))
}

/// The blob hashes of all transactions, in order.
fn blob_hashes<C: Chain>(block: &Block<C>) -> impl Iterator<Item = &B256> {
    block.body.transactions.iter().filter_map(|tx| tx.blob_versioned_hashes()).flatten()
}
