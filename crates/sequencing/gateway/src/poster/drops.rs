//! Batches that the inbox took and derivation did not.

use super::{Poster, plan::Chain};
use crate::SealedBatch;
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, ChainId, map::B256Map};
use lockstep_batcher::L1Head;
use std::collections::BTreeMap;

impl Poster {
    /// Whether followers have come past a batch that the inbox has, whoever posted it, and its blocks are not safe.
    ///
    /// That is so of a batch of late rollups alone whenever it misses the one L1 block in which it counts. It takes nothing
    /// along: the gateway goes on from what followers have in the place of its blocks.
    pub(super) fn is_dropped(&mut self, chain: &Chain, head: &L1Head) -> bool {
        let doubt_blocks = self.settings.outbox.submission.doubt_blocks;
        let before = std::mem::take(&mut self.doubted);
        let seen = self.seen(chain);
        for (at, batch) in chain.batches.iter().take(chain.taken.unwrap_or_default()).enumerate() {
            let by_others = || seen.iter().take_while(|(place, _)| *place >= at).last();
            let included = self.inclusion(&batch.hash).or_else(|| Some(by_others()?.1));
            let Some(included) = included else { break };
            let missing = self.missing(batch, included);
            if missing.is_empty() {
                continue;
            }
            let since = before.get(&batch.hash).copied().unwrap_or(head.block.number);
            if head.block.number < since.saturating_add(doubt_blocks) {
                self.doubted.insert(batch.hash, since);
            } else if self.ledger.is_late_try(batch) {
                self.ledger.fold(batch.hash, missing);
            } else {
                return true;
            }
        }
        false
    }

    /// The rollups whose followers have come past this L1 block and have not all blocks of a batch, and up to which block
    /// they are.
    fn missing(&self, batch: &SealedBatch, included: u64) -> BTreeMap<ChainId, BlockNumHash> {
        let missing = |chain: ChainId, last: BlockNumHash| {
            let status = self.members.iter().find(|member| member.chain == chain)?.status?;
            let is_derived = status.derived_up_to.is_some_and(|at| at.number >= included);
            let is_missing = is_derived && status.safe_head.number < last.number;
            is_missing.then_some((chain, status.safe_head))
        };
        batch.spans.iter().filter_map(|(chain, span)| missing(*chain, span.last)).collect()
    }

    /// The number of the L1 block that has a batch which was posted here.
    fn inclusion(&self, hash: &B256) -> Option<u64> {
        let posted = self.posted.iter().find(|posted| posted.hash == *hash)?;
        let entry = self.outbox.entries().find(|entry| entry.nonce() == posted.nonce)?;
        let inclusion = entry.inclusion().filter(|inclusion| inclusion.succeeded)?;
        Some(inclusion.block.number)
    }

    /// Up to which of the batches the inbox was after L1 blocks that were looked at, the newest first, and their numbers.
    fn seen(&self, chain: &Chain) -> Vec<(usize, u64)> {
        let places = chain.batches.iter().enumerate().map(|(at, batch)| (batch.hash, at));
        let places: B256Map<usize> = places.collect();
        let seen = self.history.iter().rev();
        seen.map_while(|seen| Some((*places.get(&seen.head)?, seen.number))).collect()
    }
}
