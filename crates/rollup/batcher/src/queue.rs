//! The blocks after the safe head.

use crate::BatchBlock;
use alloy_eips::BlockNumHash;
use std::{collections::VecDeque, sync::Arc};

/// Blocks that follow each other, from the one after `base` on.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockQueue {
    base: BlockNumHash,
    blocks: VecDeque<Arc<BatchBlock>>,
    bytes: usize,
}

impl BlockQueue {
    /// No blocks yet; the first to come is the one after `base`.
    pub(crate) fn after(base: BlockNumHash) -> Self {
        Self { base, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Bytes of transactions.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The block before the first.
    pub(crate) const fn base(&self) -> BlockNumHash {
        self.base
    }

    /// The last block, or the base.
    pub(crate) fn tip(&self) -> BlockNumHash {
        self.blocks.back().map_or(self.base, |block| block.id())
    }

    /// The block with this number, or the base.
    pub(crate) fn id(&self, number: u64) -> Option<BlockNumHash> {
        if number == self.base.number {
            return Some(self.base);
        }
        self.get(number).map(|block| block.id())
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Arc<BatchBlock>> {
        let index = number.checked_sub(self.base.number)?.checked_sub(1)?;
        self.blocks.get(usize::try_from(index).ok()?)
    }

    /// Appends a block. `false` if it does not continue the last one.
    pub(crate) fn push(&mut self, block: BatchBlock) -> bool {
        let tip = self.tip();
        let continues = block.number == tip.number + 1 && block.parent_hash == tip.hash;
        if continues {
            self.bytes += block.bytes();
            self.blocks.push_back(Arc::new(block));
        }
        continues
    }

    /// Takes blocks off the front, up to the one with this number.
    pub(crate) fn advance(&mut self, number: u64) {
        while self.base.number < number {
            let Some(block) = self.blocks.pop_front() else { break };
            self.bytes -= block.bytes();
            self.base = block.id();
        }
    }

    /// Takes blocks off the end, down to the one with this number.
    pub(crate) fn truncate(&mut self, number: u64) {
        while self.tip().number > number {
            let Some(block) = self.blocks.pop_back() else { break };
            self.bytes -= block.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B256, Bytes};

    fn hash(number: u64) -> B256 {
        B256::with_last_byte(number as u8)
    }

    fn block(number: u64) -> BatchBlock {
        BatchBlock {
            number,
            hash: hash(number),
            parent_hash: hash(number - 1),
            transactions: vec![Bytes::from(vec![0; number as usize])],
            ..Default::default()
        }
    }

    #[test]
    fn blocks_come_and_go_at_both_ends() {
        let mut queue = BlockQueue::after(BlockNumHash { number: 3, hash: hash(3) });
        assert_eq!(queue.tip().number, 3);
        assert!(queue.push(block(4)) && queue.push(block(5)) && queue.push(block(6)));
        assert!(!queue.push(block(8)), "a gap");
        assert!(!queue.push(BatchBlock { parent_hash: hash(9), ..block(7) }), "another parent");
        assert_eq!((queue.len(), queue.bytes()), (3, 15));
        queue.advance(4);
        assert_eq!((queue.base().number, queue.len(), queue.bytes()), (4, 2, 11));
        assert_eq!(queue.get(5).unwrap().number, 5);
        assert_eq!(queue.id(4).unwrap().hash, hash(4));
        assert!(queue.get(4).is_none() && queue.get(7).is_none() && queue.id(3).is_none());
        queue.truncate(5);
        assert_eq!((queue.tip().number, queue.bytes()), (5, 5));
        queue.truncate(0);
        assert_eq!((queue.tip().number, queue.len(), queue.bytes()), (4, 0, 0));
    }
}
