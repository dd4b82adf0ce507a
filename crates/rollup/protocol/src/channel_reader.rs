//! From the bytes of a channel to its batches.

use crate::{
    Batch, BatchError, RollupConfig,
    compression::{CompressionError, Decompressor},
};
use alloc::vec::Vec;
use alloy_primitives::Bytes;
use alloy_rlp::{Error as RlpError, Header};

/// The longest header of an RLP item.
const MAX_HEADER_BYTES: usize = 9;

/// Reads the batches of a channel, decompressing no more than each needs.
///
/// ```
/// # use lockstep_protocol::*;
/// # let config = RollupConfig::default();
/// let batch = Batch::Single(SingleBatch { timestamp: 7, ..Default::default() });
/// let mut batches = Vec::new();
/// put_batch(&batch.encode(&config)?, &mut batches);
/// let channel = compress_channel(Compression::Zlib { level: 6 }, &batches);
///
/// let limit = config.max_rlp_bytes_per_channel(0);
/// let mut reader = BatchReader::new(channel.into(), limit, false)?;
/// assert_eq!(reader.next_batch(&config)?, Some(batch));
/// assert_eq!(reader.next_batch(&config)?, None);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// # Limits
/// Of the decompressed data the first `max_rlp_bytes` are read. Memory: the batch that is being
/// read, and at most 16 MiB of what came before it, to which compressed data may refer.
#[derive(Debug)]
pub struct BatchReader {
    decompressor: Decompressor,
    /// Decompressed bytes, of which those before `at` were read.
    buffer: Vec<u8>,
    at: usize,
    /// How many more bytes may be read.
    left: u64,
}

/// Why a channel has no next batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelReadError {
    /// The channel cannot be decompressed any further. There will be no next batch.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// What was decompressed is no RLP string. There will be no next batch.
    #[error("the channel does not continue with an RLP string: {0}")]
    Rlp(RlpError),
    /// The next batch ends behind the limit. There will be no next batch.
    #[error("a batch of {bytes} bytes exceeds the {left} that the channel may still have")]
    TooLong {
        /// The bytes of the batch.
        bytes: u64,
        /// What is left of the limit.
        left: u64,
    },
    /// The batch is malformed. The reader stands behind it.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

impl BatchReader {
    /// Reads `channel`, of which at most `max_rlp_bytes` are decompressed. Brotli is allowed from
    /// Fjord on.
    ///
    /// # Errors
    /// [`CompressionError`] if the first bytes do not announce a known compression.
    pub fn new(
        channel: Bytes,
        max_rlp_bytes: u64,
        brotli_allowed: bool,
    ) -> Result<Self, CompressionError> {
        let decompressor = Decompressor::new(channel, brotli_allowed)?;
        Ok(Self { decompressor, buffer: Vec::new(), at: 0, left: max_rlp_bytes })
    }

    /// The next batch; `None` behind the last.
    ///
    /// The OP Stack's rule is to go on with the next channel after any error.
    ///
    /// # Errors
    /// [`ChannelReadError`].
    pub fn next_batch(&mut self, config: &RollupConfig) -> Result<Option<Batch>, ChannelReadError> {
        match self.next_encoded()? {
            Some(batch) => Ok(Some(Batch::decode(&batch, config)?)),
            None => Ok(None),
        }
    }

    /// The encoding of the next batch, with its type; `None` behind the last.
    ///
    /// # Errors
    /// [`ChannelReadError`], but not of a malformed batch.
    pub fn next_encoded(&mut self) -> Result<Option<Bytes>, ChannelReadError> {
        let batch = self.read();
        if batch.is_err() {
            self.left = 0;
            self.buffer.clear();
            self.at = 0;
        }
        batch
    }

    fn read(&mut self) -> Result<Option<Bytes>, ChannelReadError> {
        self.forget_read();
        let missing = self.fill(MAX_HEADER_BYTES);
        let rest = self.rest();
        if rest.is_empty() {
            // Nothing is left, or nothing may be read any more. Batchers flush the compressed data
            // without finishing it, so that is no error behind a whole batch.
            return match missing {
                Ok(()) | Err(CompressionError::Truncated) => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        let mut after = rest;
        let header = match Header::decode(&mut after) {
            // The payload is not there yet, which the decoder takes for an error.
            Err(RlpError::InputTooShort) => long_header(rest).ok_or(RlpError::InputTooShort),
            header => header.map(|header| (header, rest.len() - after.len())),
        };
        let (header, header_bytes) = match (header, missing) {
            (Ok(header), _) => header,
            (Err(RlpError::InputTooShort), Err(error)) => return Err(error.into()),
            (Err(error), _) => return Err(ChannelReadError::Rlp(error)),
        };
        if header.list {
            return Err(ChannelReadError::Rlp(RlpError::UnexpectedList));
        }
        let bytes = header.payload_length.saturating_add(header_bytes);
        if bytes as u64 > self.left {
            return Err(ChannelReadError::TooLong { bytes: bytes as u64, left: self.left });
        }
        let missing = self.fill(bytes);
        let Some(payload) = self.rest().get(header_bytes..bytes) else {
            missing?;
            return Err(ChannelReadError::Rlp(RlpError::InputTooShort));
        };
        let batch = Bytes::copy_from_slice(payload);
        self.at += bytes;
        self.left -= bytes as u64;
        Ok(Some(batch))
    }

    fn rest(&self) -> &[u8] {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        rest.get(..left).unwrap_or(rest)
    }

    /// Decompresses until `bytes` can be read, or the data or the limit ends.
    fn fill(&mut self, bytes: usize) -> Result<(), CompressionError> {
        let bytes = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes);
        self.decompressor.fill(&mut self.buffer, self.at.saturating_add(bytes))
    }

    /// Keeps of what was read only that to which compressed data may refer.
    fn forget_read(&mut self) {
        let spare = self.at.saturating_sub(Decompressor::HISTORY_BYTES);
        // Not for each small batch: moving the rest must not cost more than reading it did.
        if spare > self.buffer.len() / 2 {
            self.buffer.drain(..spare);
            self.at -= spare;
        }
    }
}

/// The header of an item whose payload is longer than what is there of it, and its length.
fn long_header(bytes: &[u8]) -> Option<(Header, usize)> {
    let (first, rest) = bytes.split_first()?;
    let (list, payload_length, header_bytes) = match first {
        0x80..=0xb7 => (false, usize::from(first - 0x80), 1),
        0xc0..=0xf7 => (true, usize::from(first - 0xc0), 1),
        _ => {
            let (list, bytes) = match first {
                0xb8..=0xbf => (false, usize::from(first - 0xb7)),
                0xf8.. => (true, usize::from(first - 0xf7)),
                _ => return None,
            };
            let length = rest.get(..bytes)?;
            let value = length.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            // Too short a length in the long form, or zeros before it, are not canonical.
            if value < 56 || length.first() == Some(&0) {
                return None;
            }
            (list, usize::try_from(value).unwrap_or(usize::MAX), 1 + bytes)
        }
    };
    Some((Header { list, payload_length }, header_bytes))
}
