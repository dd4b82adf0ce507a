//! Which rollup blocks are final, given how far L1 is.

use alloy_eips::BlockNumHash;
use lockstep_protocol::BlockInfo;
use std::collections::VecDeque;

/// L1 blocks remembered while L1 does not finalize: 4,096 are half a day of Ethereum.
const MAX_ENTRIES: usize = 4_096;

/// The newest rollup block that was derived from each L1 block, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finality {
    entries: VecDeque<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    l1: BlockInfo,
    l2: BlockNumHash,
}

impl Finality {
    /// `l2` was derived when L1 was read up to `l1`.
    pub(crate) fn derived(&mut self, l1: BlockInfo, l2: BlockNumHash) {
        let is_full = self.entries.len() >= MAX_ENTRIES;
        match self.entries.back_mut() {
            Some(last) if last.l1.hash == l1.hash => last.l2 = l2,
            // Too little is known for it then: what is final is only said later.
            Some(last) if is_full => *last = Entry { l1, l2 },
            _ => self.entries.push_back(Entry { l1, l2 }),
        }
    }

    /// The newest L1 block up to `l1` from which a rollup block was derived, and that rollup block:
    /// final if that L1 block is canonical.
    pub(crate) fn candidate(&self, l1: &BlockInfo) -> Option<(BlockInfo, BlockNumHash)> {
        let beyond = self.entries.partition_point(|entry| entry.l1.number <= l1.number);
        let newest = self.entries.get(beyond.checked_sub(1)?)?;
        Some((newest.l1, newest.l2))
    }

    /// Forgets what was derived from L1 blocks up to this number: it is final.
    pub(crate) fn settle(&mut self, number: u64) {
        while self.entries.front().is_some_and(|entry| entry.l1.number <= number) {
            self.entries.pop_front();
        }
    }

    /// Forgets everything: derivation begins anew.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Finality, MAX_ENTRIES};
    use alloy_eips::BlockNumHash;
    use alloy_primitives::B256;
    use lockstep_protocol::BlockInfo;

    fn l1(number: u64) -> BlockInfo {
        let hash = B256::with_last_byte(u8::try_from(number % 251).unwrap());
        BlockInfo { hash, number, parent_hash: B256::ZERO, timestamp: number }
    }

    fn l2(number: u64) -> BlockNumHash {
        BlockNumHash::new(number, B256::ZERO)
    }

    #[test]
    fn the_newest_block_derived_from_what_is_final_is_final() {
        let mut finality = Finality::default();
        finality.derived(l1(10), l2(1));
        finality.derived(l1(10), l2(2));
        finality.derived(l1(12), l2(3));
        assert_eq!(finality.candidate(&l1(9)), None);
        assert_eq!(finality.candidate(&l1(11)), Some((l1(10), l2(2))));
        finality.settle(10);
        assert_eq!(finality.candidate(&l1(11)), None);
        assert_eq!(finality.candidate(&l1(12)), Some((l1(12), l2(3))));
    }

    #[test]
    fn a_long_wait_for_finality_keeps_memory_bounded_and_finality_right() {
        let mut finality = Finality::default();
        let last = u64::try_from(MAX_ENTRIES).unwrap() + 100;
        for number in 1..=last {
            finality.derived(l1(number), l2(number));
        }
        assert_eq!(finality.entries.len(), MAX_ENTRIES);
        let kept = u64::try_from(MAX_ENTRIES).unwrap() - 1;
        assert_eq!(finality.candidate(&l1(last - 1)), Some((l1(kept), l2(kept))));
        assert_eq!(finality.candidate(&l1(last)), Some((l1(last), l2(last))));
    }
}
