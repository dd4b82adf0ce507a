//! The fifth stage: batches out of channels (OP specification: derivation § channel reader).

use crate::{Counters, Dropped};
use alloc::boxed::Box;
use alloy_primitives::Bytes;
use lockstep_chain::OpHardfork;
use lockstep_protocol::{
    Batch, BatchReader, BlockInfo, RawSpanBatch, RollupConfig, SPAN_BATCH_TYPE,
};

/// The channel that is being read. It is decompressed no further than batches are asked for, and
/// never beyond `MAX_RLP_BYTES_PER_CHANNEL`.
#[derive(Debug, Default)]
pub(crate) struct ChannelReader {
    reader: Option<Box<BatchReader>>,
}

impl ChannelReader {
    /// Whether a channel is being read.
    pub(crate) const fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// Forgets the channel, and says whether there was one.
    pub(crate) fn clear(&mut self) -> bool {
        self.reader.take().is_some()
    }

    /// Begins to read a channel, which became complete at `origin`.
    pub(crate) fn open(
        &mut self,
        channel: Bytes,
        config: &RollupConfig,
        origin: &BlockInfo,
        counters: &mut Counters,
    ) {
        let limit = config.max_rlp_bytes_per_channel(origin.timestamp);
        let brotli = config.is_active(OpHardfork::Fjord, origin.timestamp);
        match BatchReader::new(channel, limit, brotli) {
            Ok(reader) => self.reader = Some(Box::new(reader)),
            Err(_) => counters.record(Dropped::Compression, origin.number),
        }
    }

    /// The next batch; `None` if there is none this time. The channel is closed behind its last
    /// batch, and at anything that is malformed.
    pub(crate) fn pop(
        &mut self,
        config: &RollupConfig,
        origin: &BlockInfo,
        counters: &mut Counters,
    ) -> Option<Batch> {
        let next = self.reader.as_mut()?.next_encoded();
        let batch = match next {
            Ok(Some(batch)) => decode(&batch, config, origin),
            Ok(None) => {
                self.reader = None;
                return None;
            }
            Err(_) => Err(Malformed::Channel),
        };
        match batch {
            Ok(batch) => Some(batch),
            Err(Malformed::Span(reason)) => {
                counters.record(reason, origin.number);
                None
            }
            Err(Malformed::Channel) => {
                self.reader = None;
                counters.record(Dropped::BatchEncoding, origin.number);
                None
            }
        }
    }
}

/// What a malformed batch takes with it.
enum Malformed {
    /// Nothing.
    Span(Dropped),
    /// The rest of its channel.
    Channel,
}

fn decode(encoded: &Bytes, config: &RollupConfig, origin: &BlockInfo) -> Result<Batch, Malformed> {
    if encoded.first() != Some(&SPAN_BATCH_TYPE) {
        return Batch::decode(encoded, config).map_err(|_| Malformed::Channel);
    }
    let raw = RawSpanBatch::decode(&encoded.slice(1..)).map_err(|_| Malformed::Channel)?;
    if !config.is_delta_active(origin.timestamp) {
        return Err(Malformed::Span(Dropped::SpanBeforeDelta));
    }
    let span = raw.to_span(config);
    span.map(Batch::Span).map_err(|_| Malformed::Span(Dropped::SpanTransactions))
}
