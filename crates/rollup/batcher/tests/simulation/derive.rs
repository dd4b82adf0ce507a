//! Derivation as the OP specification has it since Holocene, as far as it concerns a batcher: what is
//! posted out of order, twice, incompletely or too late does not count. Written without the batcher's
//! code, as its oracle.

use crate::{
    l1::{SimBlock, SimL1},
    l2::seal,
};
use alloy_primitives::Bytes;
use lockstep_batcher::BatchBlock;
use lockstep_protocol::{Batch, BlockInfo, Channel, Frame, RollupConfig, SpanBatch, parse_frames};
use std::sync::Arc;

/// What derivation knows after an L1 block.
#[derive(Clone, Debug)]
struct Known {
    l1_hash: alloy_primitives::B256,
    /// How many blocks are safe.
    safe: usize,
    channel: Option<Channel>,
}

/// Derives, and remembers what it knew after each L1 block.
#[derive(Debug)]
pub(crate) struct Derivation {
    config: Arc<RollupConfig>,
    known: Vec<Known>,
    /// The safe chain from genesis on.
    blocks: Vec<BatchBlock>,
    /// Blocks in all batches that were read, however often.
    pub(crate) blocks_read: usize,
    /// Channels that were read.
    pub(crate) channels_read: usize,
    /// Drops all batches, as if a rule forbade them.
    pub(crate) is_refusing: bool,
}

impl Derivation {
    pub(crate) fn new(config: Arc<RollupConfig>, genesis: BatchBlock, l1: &SimL1) -> Self {
        let known = Known { l1_hash: l1.tip().id.hash, safe: 1, channel: None };
        let (known, blocks) = (vec![known], vec![genesis]);
        Self { config, known, blocks, blocks_read: 0, channels_read: 0, is_refusing: false }
    }

    /// Derives from the canonical chain up to L1 block `to`, and returns the safe chain.
    pub(crate) fn derive(&mut self, l1: &SimL1, to: u64) -> &[BatchBlock] {
        let is_canonical = |(index, known): (usize, &Known)| {
            index as u64 <= to
                && l1.block(index as u64).is_some_and(|block| block.id.hash == known.l1_hash)
        };
        let canonical =
            self.known.iter().enumerate().take_while(|known| is_canonical(*known)).count();
        self.known.truncate(canonical);
        self.blocks.truncate(self.known.last().unwrap().safe);
        while self.known.len() as u64 <= to {
            let block = l1.block(self.known.len() as u64).unwrap().clone();
            self.derive_from(&block, l1);
        }
        &self.blocks
    }

    fn derive_from(&mut self, block: &SimBlock, l1: &SimL1) {
        let info = BlockInfo {
            hash: block.id.hash,
            number: block.id.number,
            parent_hash: block.parent_hash,
            timestamp: block.timestamp,
        };
        let mut channel = self.known.last().unwrap().channel.clone();
        let inbox = self.config.batch_inbox_address;
        for data in block.txs.iter().filter(|tx| tx.to == inbox).flat_map(|tx| &tx.data) {
            let frames = parse_frames(data).expect("the batcher posts well-formed frames");
            for frame in frames {
                channel = self.take(frame, channel, info, l1);
            }
        }
        let safe = self.blocks.len();
        self.known.push(Known { l1_hash: block.id.hash, safe, channel });
    }

    /// Holocene: one channel at a time, its frames in order, and a new first frame replaces it.
    fn take(
        &mut self,
        frame: Frame,
        channel: Option<Channel>,
        info: BlockInfo,
        l1: &SimL1,
    ) -> Option<Channel> {
        let timeout = self.config.channel_timeout(info.timestamp);
        let channel = channel.filter(|c| !c.is_timed_out(timeout, info.number));
        let mut channel = match channel {
            Some(channel) if channel.id() == frame.channel => channel,
            _ if frame.number == 0 => Channel::new(frame.channel, info, true),
            other => return other,
        };
        if channel.add_frame(frame, info).is_err() {
            return Some(channel);
        }
        if !channel.is_ready() {
            return Some(channel);
        }
        self.channels_read += 1;
        self.read(channel.into_bytes(), info, l1);
        None
    }

    fn read(&mut self, data: Bytes, info: BlockInfo, l1: &SimL1) {
        for batch in crate::decode_channel(data, &self.config, info.timestamp) {
            match batch {
                Batch::Span(span) => self.take_span(&span, info, l1),
                Batch::Single(_) => panic!("the batcher posts spans"),
            }
        }
    }

    fn take_span(&mut self, span: &SpanBatch, info: BlockInfo, l1: &SimL1) {
        self.blocks_read += span.blocks.len();
        let last = span.blocks.last().expect("a span has blocks");
        let is_valid_origin = last.epoch_num <= info.number
            && l1.block(last.epoch_num).is_some_and(|block| span.matches_l1_origin(block.id.hash));
        let genesis = &self.config.genesis;
        let number = |timestamp: u64| (timestamp - genesis.l2_time) / self.config.block_time;
        let parent = number(span.blocks[0].timestamp) as usize - 1;
        let is_linked =
            self.blocks.get(parent).is_some_and(|parent| span.matches_parent(parent.hash));
        if !is_valid_origin || !is_linked || self.is_refusing {
            return;
        }
        for block in &span.blocks {
            let number = number(block.timestamp);
            let parent = &self.blocks[number as usize - 1];
            let block = seal(BatchBlock {
                number,
                parent_hash: parent.hash,
                timestamp: block.timestamp,
                epoch: l1.block(block.epoch_num).unwrap().id,
                starts_epoch: block.epoch_num != parent.epoch.number,
                transactions: block.transactions.clone(),
                ..Default::default()
            });
            match self.blocks.get(number as usize) {
                // A span may overlap with what is safe, but not contradict it.
                Some(known) if known.hash == block.hash => {}
                Some(_) => return,
                None => self.blocks.push(block),
            }
        }
    }
}
