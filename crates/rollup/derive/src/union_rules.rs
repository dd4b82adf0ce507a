//! The rules for a union batch that hold whichever of its rollups is followed.
//!
//! What breaks one of them is dropped whole, by the followers of all rollups: they need nothing but the
//! batch, the union's configuration and L1 to tell. So what one rollup executes is not lost to another by
//! a fault that can be seen.

use crate::{Dropped, part::insert_parts};
use alloc::{collections::BTreeMap, vec::Vec};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::Bytes;
use core::convert::Infallible;
use lockstep_protocol::{RollupBatch, RollupConfig, SpanBatch, UnionBatch, UnionConfig};
use lockstep_union::{Part, PlacedPart, UnionRules, check_agreement, part_transaction};
use op_alloy_consensus::OpTxType;

/// The most steps of all parts of a union batch together. An encoded step can be thirty times smaller
/// than what it takes in memory.
pub const MAX_UNION_STEPS: usize = 1 << 20;

/// Reads what the blobs of the union batch of `slot` hold, judges it as a whole, and returns the blocks
/// of the rollup with this configuration, with their parts; `None` if it has none. `union` is
/// `config.union`.
///
/// Derivation then judges the origins of all blocks by L1, and the rollup's own blocks by its chain.
///
/// # Errors
/// Why the batch is dropped, whichever rollup of the union is followed.
pub fn open_union_batch(
    data: &Bytes,
    slot: u64,
    config: &RollupConfig,
    union: &UnionConfig,
) -> Result<Option<SpanBatch>, Dropped> {
    let opened = judge_union_batch(data, slot, config, union, |_, _| Ok::<_, Infallible>(Ok(())));
    opened.unwrap_or_else(|never| match never {})
}

/// The same with a rule that `judge` adds for the blocks of each rollup; it is also told which of them
/// have transactions or parts. Its errors are returned as they are, and the batch is not judged then.
pub(crate) fn judge_union_batch<E>(
    data: &Bytes,
    slot: u64,
    config: &RollupConfig,
    union: &UnionConfig,
    mut judge: impl FnMut(&SpanBatch, &[bool]) -> Result<Result<(), Dropped>, E>,
) -> Result<Result<Option<SpanBatch>, Dropped>, E> {
    let mut failed = None;
    let opened = open(data, slot, config.l2_chain_id, union, |span, content| {
        judge(span, content).unwrap_or_else(|error| {
            failed = Some(error);
            Err(Dropped::UnionOrigin)
        })
    });
    failed.map_or(Ok(opened), Err)
}

fn open(
    data: &Bytes,
    slot: u64,
    chain_id: u64,
    union: &UnionConfig,
    mut judge: impl FnMut(&SpanBatch, &[bool]) -> Result<(), Dropped>,
) -> Result<Option<SpanBatch>, Dropped> {
    let batch = UnionBatch::decode(data).map_err(|_| Dropped::UnionEncoding)?;
    if batch.slot != slot {
        return Err(Dropped::UnionSlot);
    }
    let mut reader = PartReader {
        slot,
        max_part_steps: UnionRules::new([]).max_part_steps(),
        steps_left: MAX_UNION_STEPS,
    };
    let mut own = None;
    let mut parts = BTreeMap::new();
    for rollup in batch.rollups {
        if !union.chains.contains(&rollup.chain_id) {
            return Err(Dropped::UnionChain);
        }
        let span = rollup.span(union).map_err(|_| Dropped::UnionSpan)?;
        let placed = reader.read(&rollup, &span)?;
        let content = content_of(&span, &rollup);
        check_times(&span, &content, slot, union)?;
        check_forks(&span, &content, union)?;
        judge(&span, &content)?;
        parts.insert(rollup.chain_id, placed);
        if rollup.chain_id == chain_id {
            own = Some((rollup, span));
        }
    }
    check_agreement(&parts).map_err(|_| Dropped::UnionAgreement)?;
    Ok(own.map(|(rollup, span)| {
        let placed = parts.remove(&rollup.chain_id).unwrap_or_default();
        with_parts(span, &rollup, &placed)
    }))
}

/// Reads the parts of a union batch.
struct PartReader {
    slot: u64,
    max_part_steps: usize,
    /// How many more steps the union batch may have.
    steps_left: usize,
}

impl PartReader {
    /// The parts of a rollup, each with the time of its block.
    fn read(&mut self, rollup: &RollupBatch, span: &SpanBatch) -> Result<Vec<PlacedPart>, Dropped> {
        let mut placed = Vec::with_capacity(rollup.parts.len());
        let mut entries = rollup.parts.iter().peekable();
        while let Some(entry) = entries.next() {
            let mut rest: &[u8] = &entry.part;
            let max_steps = self.max_part_steps.min(self.steps_left);
            let part = Part::decode(&mut rest, max_steps).map_err(|_| Dropped::UnionPart)?;
            if !rest.is_empty() || part.id.slot != self.slot {
                return Err(Dropped::UnionPart);
            }
            self.steps_left -= part.steps.len();
            let block = span.blocks.get(entry.block as usize).ok_or(Dropped::UnionPlacement)?;
            let (position, count) = (entry.position as usize, block.transactions.len());
            // At home, the user's transaction comes directly behind the part.
            let is_before_transaction = position < count
                && entries.peek().is_none_or(|next| {
                    (next.block, next.position) != (entry.block, entry.position)
                });
            if position > count || (part.home == rollup.chain_id && !is_before_transaction) {
                return Err(Dropped::UnionPlacement);
            }
            placed.push(PlacedPart { timestamp: block.timestamp, part });
        }
        Ok(placed)
    }
}

/// Which blocks have transactions or parts.
fn content_of(span: &SpanBatch, rollup: &RollupBatch) -> Vec<bool> {
    let mut content: Vec<_> =
        span.blocks.iter().map(|block| !block.transactions.is_empty()).collect();
    for entry in &rollup.parts {
        if let Some(has_content) = content.get_mut(entry.block as usize) {
            *has_content = true;
        }
    }
    content
}

/// Only blocks within the slot may have transactions or parts; blocks behind it do not belong here.
fn check_times(
    span: &SpanBatch,
    content: &[bool],
    slot: u64,
    union: &UnionConfig,
) -> Result<(), Dropped> {
    let start = union.slot_start(slot);
    let end = union.slot_start(slot.saturating_add(1));
    let mut blocks = span.blocks.iter().zip(content);
    let is_out = blocks.any(|(block, has_content)| {
        block.timestamp >= end || (block.timestamp < start && *has_content)
    });
    if is_out { Err(Dropped::UnionSlotTime) } else { Ok(()) }
}

/// What the forks of the union say of blocks (OP specification: Isthmus § derivation, Jovian § derivation):
/// no set-code transactions before Isthmus, and nothing in the first block of Jovian.
fn check_forks(span: &SpanBatch, content: &[bool], union: &UnionConfig) -> Result<(), Dropped> {
    let is_since = |fork: Option<u64>, timestamp| fork.is_some_and(|at| at <= timestamp);
    let blocks = span.blocks.iter().zip(content).filter(|(_, has_content)| **has_content);
    for (block, _) in blocks {
        let before = block.timestamp.saturating_sub(union.block_time);
        let is_first_of_jovian =
            is_since(union.jovian_time, block.timestamp) && !is_since(union.jovian_time, before);
        let has_set_code = || {
            let mut types = block.transactions.iter().map(|transaction| transaction.first());
            types.any(|ty| ty == Some(&(OpTxType::Eip7702 as u8)))
        };
        let is_early = !is_since(union.isthmus_time, block.timestamp);
        if is_first_of_jovian || (is_early && has_set_code()) {
            return Err(Dropped::UnionFork);
        }
    }
    Ok(())
}

/// The blocks with their parts in them, as deposit transactions. There is a placed part for each entry.
fn with_parts(mut span: SpanBatch, rollup: &RollupBatch, placed: &[PlacedPart]) -> SpanBatch {
    let encoded = |placed: &PlacedPart| {
        Bytes::from(part_transaction(&placed.part, rollup.chain_id).encoded_2718())
    };
    let mut entries = rollup.parts.iter().zip(placed).peekable();
    while let Some((first, _)) = entries.peek() {
        let block = first.block;
        let mut of_block = Vec::new();
        while let Some((entry, part)) = entries.next_if(|(entry, _)| entry.block == block) {
            of_block.push((entry.position, encoded(part)));
        }
        if let Some(block) = span.blocks.get_mut(block as usize) {
            let transactions = core::mem::take(&mut block.transactions);
            block.transactions = insert_parts(transactions, &of_block);
        }
    }
    span
}
