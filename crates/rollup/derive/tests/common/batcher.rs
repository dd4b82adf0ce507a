//! A batcher that does as it is told.

use super::{INBOX, Numbers, SharedL1, World, l1::Sender};
use alloy_primitives::Address;
use lockstep_protocol::{
    Batch, Compression, Frame, RollupConfig, SpanBatch, compress_channel, encode_blob,
    encode_frames, put_batch,
};
use std::ops::RangeInclusive;

/// Level 6, as batchers use it.
pub(crate) const ZLIB: Compression = Compression::Zlib { level: 6 };

/// Turns batches into transactions.
#[derive(Clone, Debug)]
pub(crate) struct Batcher {
    pub(crate) sender: Sender,
    numbers: Numbers,
}

/// What the channels of `batches` compress.
pub(crate) fn uncompressed(config: &RollupConfig, batches: &[Batch]) -> Vec<u8> {
    let mut data = Vec::new();
    for batch in batches {
        put_batch(&batch.encode(config).expect("the batch is well formed"), &mut data);
    }
    data
}

/// A channel of these batches.
pub(crate) fn channel(config: &RollupConfig, batches: &[Batch]) -> Vec<u8> {
    compress_channel(ZLIB, &uncompressed(config, batches))
}

impl Batcher {
    pub(crate) fn new(seed: u8) -> Self {
        Self { sender: Sender::new(seed), numbers: Numbers(seed.into()) }
    }

    pub(crate) fn address(&self) -> Address {
        self.sender.address()
    }

    /// Cuts a channel into frames of at most `max` bytes.
    pub(crate) fn frames(&mut self, channel: &[u8], max: usize) -> Vec<Frame> {
        let id = self.numbers.hash();
        let count = channel.len().div_ceil(max).max(1);
        (0..count)
            .map(|number| Frame {
                channel: alloy_primitives::FixedBytes::from_slice(&id[..16]),
                number: number as u16,
                data: channel[number * max..channel.len().min((number + 1) * max)].to_vec().into(),
                is_last: number + 1 == count,
            })
            .collect()
    }

    /// Sends frames as calldata, in one transaction.
    pub(crate) fn send(&mut self, l1: &SharedL1, frames: &[Frame]) {
        self.send_data(l1, encode_frames(frames));
    }

    pub(crate) fn send_data(&mut self, l1: &SharedL1, data: Vec<u8>) {
        let transaction = self.sender.calldata(INBOX, data);
        l1.borrow_mut().send(transaction);
    }

    /// Sends frames in blobs, one transaction for all, one blob for each list.
    pub(crate) fn send_blobs(&mut self, l1: &SharedL1, blobs: &[Vec<Frame>]) {
        let blobs: Vec<_> = blobs
            .iter()
            .map(|frames| encode_blob(&encode_frames(frames)).expect("the frames fit into a blob"))
            .collect();
        let transaction = self.sender.blobs(&blobs, b"to be ignored".to_vec());
        l1.borrow_mut().send_blobs(transaction, blobs);
    }
}

impl World {
    /// The blocks of a range as singular batches.
    pub(crate) fn singles(&self, range: RangeInclusive<u64>) -> Vec<Batch> {
        range.map(|number| Batch::Single(self.l2.batch(number))).collect()
    }

    /// The blocks of a range as one span batch.
    pub(crate) fn span(&self, range: RangeInclusive<u64>) -> Batch {
        let starts_epoch = self.l2.block(*range.start()).info.sequence_number == 0;
        let blocks: Vec<_> = range.map(|number| self.l2.batch(number)).collect();
        Batch::Span(SpanBatch::from_blocks(&blocks, starts_epoch).expect("there are blocks"))
    }

    /// Sends a channel of these batches in one transaction.
    pub(crate) fn post(&mut self, batches: &[Batch]) {
        let channel = channel(&self.config, batches);
        self.post_channel(&channel);
    }

    /// Sends a channel in one transaction.
    pub(crate) fn post_channel(&mut self, channel: &[u8]) {
        let frames = self.batcher.frames(channel, usize::MAX / 2);
        let l1 = self.l1.clone();
        self.batcher.send(&l1, &frames);
    }

    pub(crate) fn head(&self) -> u64 {
        self.l2.head().block.number
    }

    /// Mines L1 blocks, and the rollup's blocks that go with them.
    pub(crate) fn mine_many(&mut self, count: usize) {
        (0..count).for_each(|_| self.mine());
    }
}
