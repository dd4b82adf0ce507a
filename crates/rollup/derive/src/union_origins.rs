//! The L1 origins of the blocks in a union batch.
//!
//! Every rollup's blocks are held against L1 for the followers of all: were it left to the followers of
//! each, a block of L1 that is replaced, or a batch that comes late, would take a rollup's blocks away
//! and leave its peers what these sent them.

use crate::{DeriveError, Dropped, L1Provider};
use alloc::collections::VecDeque;
use lockstep_protocol::{BlockInfo, MAX_SEQUENCER_DRIFT_FJORD, SpanBatch, UnionConfig};

/// Consecutive L1 blocks, the last of which is the one that derivation is at.
///
/// It holds a sequencing window's at most, 80 bytes for each: those that derivation went over, whether they have a batch or
/// not. What lies before them is read when a batch begins there, which can be once after derivation began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ancestry {
    blocks: VecDeque<BlockInfo>,
}

impl Ancestry {
    /// Goes on to `origin`, and forgets what lies more than `window` blocks before it.
    pub(crate) fn advance(&mut self, origin: BlockInfo, window: u64) {
        if self.blocks.back().is_none_or(|newest| newest.hash != origin.hash) {
            if self.blocks.back().is_some_and(|newest| newest.hash != origin.parent_hash) {
                self.blocks.clear();
            }
            self.blocks.push_back(origin);
        }
        let oldest = origin.number.saturating_sub(window);
        while self.blocks.front().is_some_and(|block| block.number < oldest) {
            self.blocks.pop_front();
        }
    }

    /// Reads back to the block at this height. What was read before an error is kept.
    fn reach<L1: L1Provider>(&mut self, number: u64, l1: &mut L1) -> Result<(), DeriveError> {
        while let Some(first) = self.blocks.front()
            && first.number > number
        {
            let (number, hash) = (first.number.saturating_sub(1), first.parent_hash);
            let header = l1
                .header_by_hash(hash)
                .map_err(DeriveError::provider("the parent of an L1 block"))?;
            self.blocks.push_front(BlockInfo { number, ..BlockInfo::from_header(&header, hash) });
        }
        Ok(())
    }

    fn get(&self, number: u64) -> Option<BlockInfo> {
        let index = number.checked_sub(self.blocks.front()?.number)?;
        self.blocks.get(usize::try_from(index).ok()?).copied()
    }
}

/// What the origins of a batch are judged by.
#[derive(Debug)]
pub(crate) struct OriginRules<'a, L1> {
    pub(crate) union: &'a UnionConfig,
    /// The L1 block that the batch is in, and those before it.
    pub(crate) inclusion: BlockInfo,
    pub(crate) ancestry: &'a mut Ancestry,
    pub(crate) l1: &'a mut L1,
}

impl<L1: L1Provider> OriginRules<'_, L1> {
    /// Judges the blocks of one rollup; `content` says of each whether it has transactions or parts.
    ///
    /// They are rules that hold for each block by itself (OP specification: derivation § batch queue): the
    /// last origin is an L1 block below the batch's own, with the hash that the span says; the first
    /// is within the sequencing window; no block is older than its origin, or too far from it.
    pub(crate) fn judge(
        &mut self,
        span: &SpanBatch,
        content: &[bool],
    ) -> Result<Result<(), Dropped>, DeriveError> {
        let (Some(first), Some(last)) = (span.blocks.first(), span.blocks.last()) else {
            return Ok(Err(Dropped::UnionSpan));
        };
        let closes = first.epoch_num.saturating_add(self.union.seq_window_size);
        if closes < self.inclusion.number || last.epoch_num >= self.inclusion.number {
            return Ok(Err(Dropped::UnionOrigin));
        }
        self.ancestry.reach(first.epoch_num, self.l1)?;
        let is_canonical =
            self.ancestry.get(last.epoch_num).is_some_and(|it| span.matches_l1_origin(it.hash));
        let is_in_time = is_canonical && self.are_in_time(span, content).unwrap_or(false);
        Ok(if is_in_time { Ok(()) } else { Err(Dropped::UnionOrigin) })
    }
}

impl<L1> OriginRules<'_, L1> {
    /// Whether the blocks are neither older than their origins nor too far from them; `None` if an origin
    /// is not there.
    fn are_in_time(&self, span: &SpanBatch, content: &[bool]) -> Option<bool> {
        let mut before = None;
        for (block, has_content) in span.blocks.iter().zip(content) {
            let origin = self.ancestry.get(block.epoch_num)?;
            let next = self.ancestry.get(block.epoch_num.saturating_add(1))?;
            // What the span says of its first block its own followers hold against their chain.
            let is_new = before.map_or(span.starts_epoch, |before| before != block.epoch_num);
            before = Some(block.epoch_num);
            if block.timestamp < origin.timestamp {
                return Some(false);
            }
            let is_far =
                block.timestamp > origin.timestamp.saturating_add(MAX_SEQUENCER_DRIFT_FJORD);
            // An empty block may keep its origin while the next one is too young.
            if is_far && (*has_content || (!is_new && block.timestamp >= next.timestamp)) {
                return Some(false);
            }
        }
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};
    use alloy_primitives::B256;
    use lockstep_protocol::SpanBatchBlock;

    /// L1 blocks from 7 on, at these times.
    fn ancestry(times: &[u64]) -> Ancestry {
        let block = |(number, timestamp): (u64, &u64)| BlockInfo {
            hash: B256::with_last_byte(number as u8),
            number,
            parent_hash: B256::with_last_byte(number as u8 - 1),
            timestamp: *timestamp,
        };
        Ancestry { blocks: (7..).zip(times).map(block).collect() }
    }

    /// Whether blocks with these origins, times and contents are in time.
    fn is_in_time(starts_epoch: bool, blocks: &[(u64, u64, bool)]) -> Option<bool> {
        struct NoL1;
        let mut ancestry = ancestry(&[1_000, 1_012, 5_000, 5_012]);
        let rules = OriginRules {
            union: &UnionConfig::default(),
            inclusion: BlockInfo::default(),
            ancestry: &mut ancestry,
            l1: &mut NoL1,
        };
        let block = |(epoch_num, timestamp, _): &(u64, u64, bool)| SpanBatchBlock {
            timestamp: *timestamp,
            epoch_num: *epoch_num,
            transactions: vec![],
        };
        let span = SpanBatch {
            starts_epoch,
            blocks: blocks.iter().map(block).collect(),
            ..SpanBatch::default()
        };
        let content: Vec<_> = blocks.iter().map(|(_, _, content)| *content).collect();
        rules.are_in_time(&span, &content)
    }

    #[test]
    fn blocks_are_not_too_far_from_their_origins() {
        // The origin of 8 is followed by one that is an hour younger.
        let far = 1_012 + MAX_SEQUENCER_DRIFT_FJORD + 1;
        assert_eq!(is_in_time(true, &[(8, 1_012, true), (8, far - 1, true)]), Some(true));
        assert_eq!(is_in_time(true, &[(8, 1_012, true), (8, far, true)]), Some(false));
        assert_eq!(is_in_time(true, &[(8, 1_012, true), (8, 4_999, false)]), Some(true));
        assert_eq!(is_in_time(true, &[(8, 1_012, true), (8, 5_000, false)]), Some(false));
        // Who catches up takes the origins one by one, and the blocks are empty.
        assert_eq!(is_in_time(true, &[(7, 6_000, false), (8, 6_001, false)]), Some(true));
        assert_eq!(is_in_time(false, &[(7, 6_000, false), (8, 6_001, false)]), Some(false));
        assert_eq!(is_in_time(true, &[(7, 6_000, true)]), Some(false));
        assert_eq!(is_in_time(true, &[(8, 1_011, false)]), Some(false), "older than its origin");
        for unknown in [6, 10, u64::MAX] {
            assert_eq!(is_in_time(true, &[(unknown, 5_500, false)]), None);
        }
    }

    #[test]
    fn blocks_before_the_window_are_forgotten() {
        let mut ancestry = ancestry(&[1_000, 1_012, 1_024]);
        let newest = *ancestry.blocks.back().unwrap();
        let child = |parent: &BlockInfo, fork: u8| BlockInfo {
            hash: B256::from([fork; 32]),
            number: parent.number + 1,
            parent_hash: parent.hash,
            timestamp: parent.timestamp + 12,
        };
        ancestry.advance(newest, 2);
        assert_eq!(ancestry.blocks.len(), 3);
        let next = child(&newest, 0xaa);
        ancestry.advance(next, 2);
        assert_eq!((ancestry.blocks.len(), ancestry.get(7)), (3, None));
        assert_eq!((ancestry.get(8).is_some(), ancestry.get(10)), (true, Some(next)));
        // Where L1 is another, nothing of before counts.
        let other = child(&child(&newest, 0xbb), 0xcc);
        ancestry.advance(other, 2);
        assert_eq!((ancestry.blocks.len(), ancestry.get(11)), (1, Some(other)));
    }
}
