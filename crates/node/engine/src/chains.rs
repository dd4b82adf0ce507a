//! The chains that an engine can drive out of the box.

mod ethereum;
mod rollup;

pub use ethereum::EthereumEnvelope;
pub use rollup::RollupEnvelope;

use crate::{BlockPlan, PayloadFault, StateRoots};
use alloy_consensus::{BlockBody, Header, Transaction};
use alloy_primitives::{B64, B256, Sealed, keccak256};
use alloy_rlp::Encodable;
use alloy_rpc_types_engine::{PayloadAttributes, PayloadId};
use lockstep_chain::{Block, Chain};
use lockstep_execution::{BlockOutput, Execute, complete_block};

/// Fills in what follows from the body and its execution.
fn complete<C: Execute<Header = Header>>(
    chain: &C,
    plan: BlockPlan<C>,
    transactions: Vec<C::Transaction>,
    output: &BlockOutput<C::Receipt>,
    roots: StateRoots,
) -> Block<C> {
    let BlockPlan { header, withdrawals, .. } = plan;
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
    complete_block(chain, Block::<C> { header, body }, output, roots)
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
