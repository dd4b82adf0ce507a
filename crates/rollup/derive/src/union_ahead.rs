//! A union batch that L1 does not have yet, derived as it will be.

use crate::{
    AttributesBuilder, BatchContext, BatchStage, Counters, DeriveError, DerivedAttributes, Dropped,
    L1Provider, L1Window, L2Provider, NextBatch,
    union_origins::{Ancestry, OriginRules},
    union_rules::judge_union_batch,
};
use alloy_primitives::{B256, Bytes};
use lockstep_chain::Ethereum;
use lockstep_protocol::{Batch, BlockInfo, L2BlockInfo, RollupConfig, UnionConfig};

/// A rollup's blocks in a union batch that L1 does not have yet, as derivation will have them if the next L1 block has the
/// batch. Who goes on from another's blocks before they are on L1 makes them by this.
///
/// It is the end of the [`Pipeline`](crate::Pipeline), from the batch on: the same rules by the same code. What it cannot know
/// is that L1 takes the batch, and takes it in time.
#[derive(Debug)]
pub struct UnionAhead<'a> {
    config: &'a RollupConfig,
    l1_chain: &'a Ethereum,
    stage: BatchStage,
    /// What the batch has of the rollup, before its first block is asked for.
    span: Option<Batch>,
    blocks: usize,
    is_over: bool,
    /// The L1 block that is to have the batch.
    inclusion: BlockInfo,
    counters: Counters,
}

impl<'a> UnionAhead<'a> {
    /// Reads what the blobs of the batch of `slot` hold and judges it as a whole, as
    /// [`open_union_batch`](crate::open_union_batch), and the L1 origins of all rollups' blocks by `l1`. `parent` is the block
    /// of this rollup that the batch continues. `l1_chain` is as in [`Pipeline::new`](crate::Pipeline::new).
    ///
    /// [`Dropped::UnionOrigin`] may be so because `l1` does not show yet what others see.
    ///
    /// # Errors
    /// [`DeriveError`], as from [`Pipeline::step`](crate::Pipeline::step).
    pub fn open<L1: L1Provider>(
        data: &Bytes,
        slot: u64,
        (config, l1_chain): (&'a RollupConfig, &'a Ethereum),
        l1: &mut L1,
        parent: &L2BlockInfo,
    ) -> Result<Result<Self, Dropped>, DeriveError> {
        let Some(union) = &config.union else { return Ok(Err(Dropped::UnionChain)) };
        let (window, mut ancestry) = read_l1(union, l1, parent)?;
        let newest = window.origin();
        let inclusion = BlockInfo {
            // It is not there yet, and nobody names it.
            hash: B256::ZERO,
            number: newest.number.saturating_add(1),
            parent_hash: newest.hash,
            // The inbox takes a batch once its slot is over.
            timestamp: union
                .slot_start(slot.saturating_add(1))
                .max(newest.timestamp.saturating_add(1)),
        };
        ancestry.advance(inclusion, union.seq_window_size);
        let mut origins = OriginRules { union, inclusion, ancestry: &mut ancestry, l1 };
        let opened = judge_union_batch(data, slot, config, union, |span, content| {
            origins.judge(span, content)
        })?;
        Ok(opened.map(|span| Self {
            config,
            l1_chain,
            stage: BatchStage::new(window),
            blocks: span.as_ref().map_or(0, |span| span.blocks.len()),
            is_over: span.is_none(),
            span: span.map(Batch::Span),
            inclusion,
            counters: Counters::default(),
        }))
    }

    /// How many blocks of the rollup the batch has. If [`Self::next_block`] comes to fewer, derivation will drop the others.
    pub const fn blocks(&self) -> usize {
        self.blocks
    }

    /// What the block after `parent` is to be made of: at first after the block that the batch continues, then after the one
    /// that was made of what came before. `None` after the last, or if the next one is dropped.
    ///
    /// # Errors
    /// [`DeriveError`], as from [`Pipeline::step`](crate::Pipeline::step). Begin anew then.
    pub fn next_block<L1: L1Provider, L2: L2Provider>(
        &mut self,
        l1: &mut L1,
        l2: &mut L2,
        parent: &L2BlockInfo,
    ) -> Result<Option<DerivedAttributes>, DeriveError> {
        if self.is_over {
            return Ok(None);
        }
        // What follows anything else would not be of the batch.
        self.is_over = true;
        let mut context = BatchContext {
            config: self.config,
            parent,
            l2: &mut *l2,
            counters: &mut self.counters,
        };
        let next = self.stage.next(self.span.take(), self.inclusion, &mut context)?;
        let NextBatch::Batch { batch, is_last_in_span } = next else { return Ok(None) };
        let (config, l1_chain) = (self.config, self.l1_chain);
        let attributes = AttributesBuilder { config, l1_chain, l1, l2 }.build(&batch, parent)?;
        self.is_over = is_last_in_span;
        let (parent, derived_from) = (*parent, self.inclusion);
        Ok(Some(DerivedAttributes { attributes, parent, derived_from, is_last_in_span }))
    }
}

/// The L1 blocks from the origin of `parent` to the newest, as far as a sequencing window goes.
fn read_l1<L1: L1Provider>(
    union: &UnionConfig,
    l1: &mut L1,
    parent: &L2BlockInfo,
) -> Result<(L1Window, Ancestry), DeriveError> {
    let origin = parent.l1_origin;
    let header = l1
        .header_by_hash(origin.hash)
        .map_err(DeriveError::provider("the L1 origin of the block that a batch continues"))?;
    let mut newest =
        BlockInfo { number: origin.number, ..BlockInfo::from_header(&header, origin.hash) };
    let (mut window, mut ancestry) = (L1Window::new(newest), Ancestry::default());
    ancestry.advance(newest, union.seq_window_size);
    for _ in 0..union.seq_window_size {
        let number = newest.number.saturating_add(1);
        let next =
            l1.block_by_number(number).map_err(DeriveError::provider("the next L1 block"))?;
        let Some(next) = next else { break };
        if next.parent_hash != newest.hash || next.number != number {
            let (origin, parent) = (newest.id(), next.parent_hash);
            return Err(DeriveError::L1Reorg { origin, next: next.hash, parent });
        }
        newest = next;
        window.update(newest, parent);
        ancestry.advance(newest, union.seq_window_size);
    }
    Ok((window, ancestry))
}
