//! From the blocks of a union's rollups to a union batch.

use crate::{BatchBlock, BatcherError};
use alloy_primitives::Bytes;
use lockstep_chain::{Block, Rollup};
use lockstep_protocol::{
    L2BlockError, PartEntry, RollupBatch, RollupGenesis, SingleBatch, SpanBatch, UnionBatch,
    UnionConfig,
};
use lockstep_union::PORT;
use std::collections::BTreeMap;

/// What of a block of a union's rollup goes into a union batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnionBlock {
    /// The block without the parts in it.
    pub block: BatchBlock,
    /// Its parts of super transactions, in order: how many of the block's transactions stand before
    /// each, deposits not counted, and its RLP.
    pub parts: Vec<(u32, Bytes)>,
}

impl UnionBlock {
    /// What goes into a union batch of this block. `genesis` is where the rollup begins.
    ///
    /// # Errors
    /// If the block does not begin with a well-formed deposit of L1 attributes.
    pub fn from_block(
        block: &Block<Rollup>,
        genesis: &RollupGenesis,
    ) -> Result<Self, L2BlockError> {
        let (mut position, mut parts) = (0, Vec::new());
        for transaction in &block.body.transactions {
            match transaction.as_deposit() {
                Some(deposit) if deposit.from == PORT => {
                    parts.push((position, deposit.input.clone()));
                }
                Some(_) => {}
                None => position += 1,
            }
        }
        Ok(Self { block: BatchBlock::from_block(block, genesis)?, parts })
    }
}

/// The union batch of `slot` with these blocks of each rollup, by chain id: those of the slot, and the
/// empty ones before it that no batch has yet, oldest first. Rollups without blocks are left out.
///
/// `open_union_batch` of crate `lockstep-derive` tells what followers will find of it.
///
/// # Errors
/// [`BatcherError::Encoding`] if the blocks of a rollup do not follow each other, or hold what span
/// batches cannot carry; that there are too many parts is seen when the batch is encoded.
pub fn build_union_batch(
    slot: u64,
    union: &UnionConfig,
    rollups: &BTreeMap<u64, Vec<UnionBlock>>,
) -> Result<UnionBatch, BatcherError> {
    let with_blocks = rollups.iter().filter(|(_, blocks)| !blocks.is_empty());
    let batches = with_blocks.map(|(chain_id, blocks)| {
        rollup_batch(*chain_id, union, blocks).map_err(|reason| {
            let number = |block: Option<&UnionBlock>| block.map_or(0, |block| block.block.number);
            let (first, last) = (number(blocks.first()), number(blocks.last()));
            BatcherError::Encoding { first, last, reason: format!("rollup {chain_id}: {reason}") }
        })
    });
    Ok(UnionBatch { slot, rollups: batches.collect::<Result<_, _>>()? })
}

fn rollup_batch(
    chain_id: u64,
    union: &UnionConfig,
    blocks: &[UnionBlock],
) -> Result<RollupBatch, String> {
    if let Some(pair) = blocks.windows(2).find(
        |pair| matches!(pair, [before, block] if block.block.parent_hash != before.block.hash),
    ) {
        let numbers: Vec<u64> = pair.iter().map(|block| block.block.number).collect();
        return Err(format!("blocks {numbers:?} do not follow each other"));
    }
    let singles: Vec<SingleBatch> = blocks.iter().map(|block| block.block.to_single()).collect();
    let starts_epoch = blocks.first().is_some_and(|block| block.block.starts_epoch);
    let span = SpanBatch::from_blocks(&singles, starts_epoch).map_err(|error| error.to_string())?;
    let mut parts = Vec::new();
    for (block, content) in (0..).zip(blocks) {
        let entry = |(position, part): &(u32, Bytes)| PartEntry {
            block,
            position: *position,
            part: part.clone(),
        };
        parts.extend(content.parts.iter().map(entry));
    }
    RollupBatch::new(chain_id, &span, parts, union).map_err(|error| error.to_string())
}
