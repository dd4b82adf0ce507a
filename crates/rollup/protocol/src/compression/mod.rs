//! Compression of channels (OP specification: derivation § channel format; Fjord § brotli).

mod brotli;
mod huffman;
mod inflate;
#[cfg(test)]
mod tests;

use self::{brotli::BrotliStream, inflate::Inflate};
use alloc::vec::Vec;
use alloy_primitives::Bytes;

/// The first byte of a channel that is compressed with Brotli.
pub const CHANNEL_VERSION_BROTLI: u8 = 1;

/// How the batches of a channel are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1950, at a level from 0 (stored) to 10.
    Zlib {
        /// The level.
        level: u8,
    },
    /// RFC 7932, from Fjord on, at a quality from 0 to 11.
    Brotli {
        /// The quality.
        quality: u8,
    },
}

/// Why a channel is not, or not wholly, decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// The channel is empty.
    #[error("the channel is empty")]
    Empty,
    /// The first byte announces no known compression.
    #[error("first byte {0:#04x} of the channel announces no known compression")]
    Unknown(u8),
    /// Brotli is not allowed before Fjord.
    #[error("the channel is compressed with Brotli, which is not allowed before Fjord")]
    BrotliBeforeFjord,
    /// The header is not one of zlib.
    #[error("{0:#06x} is no zlib header")]
    ZlibHeader(u16),
    /// The channel needs a dictionary that no one has.
    #[error("the channel needs the preset dictionary {0:#010x}")]
    Dictionary(u32),
    /// The channel ends before what it compresses.
    #[error("the channel ends within its compressed data")]
    Truncated,
    /// The compressed data is malformed.
    #[error("the channel's compressed data is malformed: {0}")]
    Corrupt(&'static str),
}

/// Compresses the batches of a channel. The first byte tells the compression.
pub fn compress_channel(compression: Compression, data: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Zlib { level } => {
            miniz_oxide::deflate::compress_to_vec_zlib(data, level.min(10))
        }
        Compression::Brotli { quality } => brotli::compress(data, quality.min(11)),
    }
}

/// Compresses with zlib to at least `least` bytes: blocks without content stand before those with it.
pub(crate) fn compress_padded(data: &[u8], least: usize) -> Vec<u8> {
    /// A stored block of no bytes (RFC 1951, 3.2.4) that begins and ends with a byte.
    const EMPTY_BLOCK: [u8; 5] = [0x00, 0x00, 0x00, 0xff, 0xff];
    const HEADER_BYTES: usize = 2;
    let plain = miniz_oxide::deflate::compress_to_vec_zlib(data, 6);
    let (header, blocks) = plain.split_at(HEADER_BYTES.min(plain.len()));
    let padding = least.saturating_sub(plain.len()).div_ceil(EMPTY_BLOCK.len());
    [header, &EMPTY_BLOCK.repeat(padding), blocks].concat()
}

/// Decompresses a channel, no further than is asked for.
///
/// What was decompressed before the data turned out to be malformed counts, as the specification
/// of channels has it; checksums are therefore not looked at.
#[derive(Debug)]
pub(crate) enum Decompressor {
    Zlib(Inflate),
    Brotli(BrotliStream),
}

impl Decompressor {
    pub(crate) fn new(channel: Bytes, brotli_allowed: bool) -> Result<Self, CompressionError> {
        match channel.first() {
            None => Err(CompressionError::Empty),
            // Both are reserved for zlib, which knows only the first.
            Some(byte) if matches!(byte & 0x0f, 8 | 15) => Inflate::zlib(channel).map(Self::Zlib),
            Some(&CHANNEL_VERSION_BROTLI) if brotli_allowed => {
                Ok(Self::Brotli(BrotliStream::new(channel.slice(1..))))
            }
            Some(&CHANNEL_VERSION_BROTLI) => Err(CompressionError::BrotliBeforeFjord),
            Some(byte) => Err(CompressionError::Unknown(*byte)),
        }
    }

    /// Appends to `out` until it has at least `want` bytes (not many more) or the data ends. `out`
    /// must end with what was appended before, at least [`Self::HISTORY_BYTES`] of it.
    ///
    /// # Errors
    /// Why the data ended, if not where it should. What came before is in `out`.
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>, want: usize) -> Result<(), CompressionError> {
        match self {
            Self::Zlib(inflate) => inflate.fill(out, want),
            Self::Brotli(stream) => stream.fill(out, want),
        }
    }

    /// Whether the data ended where it should and nothing is behind it, given all that it decompressed to.
    /// Behind zlib's data is its checksum, which must be right.
    pub(crate) fn is_complete(&self, content: &[u8]) -> bool {
        match self {
            Self::Zlib(inflate) => inflate
                .behind_end()
                .is_some_and(|behind| behind == adler32(content).to_be_bytes().as_slice()),
            Self::Brotli(stream) => stream.is_complete(),
        }
    }

    /// Decompressed bytes to which later ones may refer.
    pub(crate) const HISTORY_BYTES: usize = inflate::WINDOW_BYTES;
}

/// The checksum of zlib (RFC 1950).
fn adler32(content: &[u8]) -> u32 {
    /// As many bytes can be added up before the sums exceed 32 bits.
    const PIECE_BYTES: usize = 5_552;
    let (mut low, mut high) = (1_u32, 0_u32);
    for piece in content.chunks(PIECE_BYTES) {
        for byte in piece {
            low += u32::from(*byte);
            high += low;
        }
        (low, high) = (low % 65_521, high % 65_521);
    }
    high << 16 | low
}
