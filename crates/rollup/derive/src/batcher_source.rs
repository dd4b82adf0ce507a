//! Where batches come from on an ordinary rollup: a batcher's transactions, frames, channels.

use crate::{
    BlobProvider, ChannelReader, ChannelRules, Channels, Dropped, FrameQueue, L1Provider, Pull,
    Retrieval, SourceContext, error::DeriveError,
};
use lockstep_chain::OpHardfork;
use lockstep_protocol::{Batch, RollupConfig};

/// The stages between L1 and batches, outermost first: each is pulled by the one after it.
#[derive(Debug)]
pub(crate) struct BatcherSource {
    retrieval: Retrieval,
    frames: FrameQueue,
    channels: Channels,
    reader: ChannelReader,
}

impl BatcherSource {
    /// The stages as they are at an L1 block before Holocene or not.
    pub(crate) fn new(holocene: bool) -> Self {
        Self {
            retrieval: Retrieval::default(),
            frames: FrameQueue::default(),
            channels: Channels::new(holocene),
            reader: ChannelReader::default(),
        }
    }

    /// Forgets the channel that is being read, and says whether there was one.
    pub(crate) fn flush(&mut self) -> bool {
        self.reader.clear()
    }

    /// Exchanges the stages whose rules Holocene changes, and drops what they held.
    pub(crate) fn activate_holocene(&mut self, counters: &mut crate::Counters, origin: u64) {
        counters.record_many(Dropped::HoloceneActivation, self.frames.clear(), origin);
        self.channels.activate_holocene(counters, origin);
    }

    /// The next batch as it comes out of a channel.
    pub(crate) fn pull<L1: L1Provider, B: BlobProvider>(
        &mut self,
        context: &mut SourceContext<'_, L1, B>,
    ) -> Result<Pull<Batch>, DeriveError> {
        let origin = context.traversal.origin();
        let (config, counters) = (context.config, &mut *context.counters);
        if self.reader.is_open() {
            let batch = self.reader.pop(config, &origin, counters);
            return Ok(batch.map_or(Pull::More, Pull::Item));
        }
        let rules = ChannelRules::at(origin, config);
        if let Some(channel) = self.channels.pop(&rules, counters) {
            self.reader.open(channel, config, &origin, counters);
            return Ok(Pull::More);
        }
        if let Some(frame) = self.frames.pop() {
            self.channels.push(frame, &rules, counters);
            return Ok(Pull::More);
        }
        self.read(config, context)
    }

    /// Reads the next batcher transaction.
    fn read<T, L1: L1Provider, B: BlobProvider>(
        &mut self,
        config: &RollupConfig,
        context: &mut SourceContext<'_, L1, B>,
    ) -> Result<Pull<T>, DeriveError> {
        if self.retrieval.is_empty() {
            match context.traversal.take() {
                Some(block) => self.retrieval.push(block),
                None => return Ok(Pull::Exhausted),
            }
        }
        let origin = context.traversal.origin();
        let batcher = context.traversal.system_config().batcher_address;
        let providers = (&mut *context.l1, &mut *context.blobs);
        let data = self.retrieval.pop(batcher, config, providers, context.counters)?;
        if let Some(data) = data {
            let in_order = config.is_active(OpHardfork::Holocene, origin.timestamp);
            self.frames.push(&data, in_order, context.counters, origin.number);
        }
        Ok(Pull::More)
    }
}
