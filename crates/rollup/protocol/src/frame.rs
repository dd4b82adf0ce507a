//! Frames: the pieces of channels that travel in L1 transactions
//! (OP specification: derivation § frame format).

use alloc::vec::Vec;
use alloy_primitives::{Bytes, FixedBytes};

/// A frame with more data than this is refused.
pub const MAX_FRAME_BYTES: usize = 1_000_000;

/// What a frame counts in the channel bank beside its data.
pub const FRAME_OVERHEAD_BYTES: u64 = 200;

/// The version byte before the frames of an L1 transaction.
pub const DERIVATION_VERSION_0: u8 = 0;

/// Bytes of an encoded frame beside its data.
pub const FRAME_ENCODING_BYTES: usize = 16 + 2 + 4 + 1;

/// What identifies a channel.
pub type ChannelId = FixedBytes<16>;

/// A piece of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The channel.
    pub channel: ChannelId,
    /// The position among the frames of the channel.
    pub number: u16,
    /// The piece, at most [`MAX_FRAME_BYTES`].
    pub data: Bytes,
    /// Whether the channel ends with this frame.
    pub is_last: bool,
}

/// Why bytes are no frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// There is nothing.
    #[error("the data is empty")]
    Empty,
    /// The version is not that of frames.
    #[error("version {0} is not that of frames")]
    Version(u8),
    /// There is nothing behind the version.
    #[error("there is no frame behind the version")]
    NoFrames,
    /// The data ends within a frame.
    #[error("frame {index} ends after {got} of {expected} bytes")]
    Truncated {
        /// The position of the frame in the data.
        index: usize,
        /// The bytes that it should have.
        expected: usize,
        /// The bytes that are there.
        got: usize,
    },
    /// A frame announces more data than is allowed.
    #[error("frame {index} announces {bytes} bytes, the limit is {MAX_FRAME_BYTES}")]
    TooLong {
        /// The position of the frame in the data.
        index: usize,
        /// What it announces.
        bytes: usize,
    },
    /// The last byte is neither 0 nor 1.
    #[error("frame {index} has {got} as `is_last`")]
    IsLast {
        /// The position of the frame in the data.
        index: usize,
        /// The byte.
        got: u8,
    },
}

impl Frame {
    /// The same frame with memory of its own. A frame as it was parsed shares that of its whole
    /// transaction, which must not stay for the frame alone.
    #[must_use]
    pub fn unshared(self) -> Self {
        Self { data: Bytes::copy_from_slice(&self.data), ..self }
    }

    /// Appends the frame to `out`. Data beyond [`MAX_FRAME_BYTES`] makes a frame that no one takes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(self.channel.as_slice());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.data);
        out.push(self.is_last.into());
    }

    /// What the frame counts in the channel bank.
    pub fn size(&self) -> u64 {
        self.data.len() as u64 + FRAME_OVERHEAD_BYTES
    }

    /// Takes the frame at `at` off `data` and returns where the next one begins. The frame shares
    /// the memory of `data`.
    fn decode(data: &Bytes, at: usize, index: usize) -> Result<(Self, usize), FrameError> {
        let rest = data.get(at..).unwrap_or_default();
        let truncated = |expected| FrameError::Truncated { index, expected, got: rest.len() };
        let (channel, after) =
            rest.split_first_chunk::<16>().ok_or(truncated(FRAME_ENCODING_BYTES))?;
        let (number, after) =
            after.split_first_chunk::<2>().ok_or(truncated(FRAME_ENCODING_BYTES))?;
        let (length, after) =
            after.split_first_chunk::<4>().ok_or(truncated(FRAME_ENCODING_BYTES))?;
        let bytes = u32::from_be_bytes(*length) as usize;
        if bytes > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong { index, bytes });
        }
        let is_last = match after.get(bytes) {
            Some(0) => false,
            Some(1) => true,
            Some(got) => return Err(FrameError::IsLast { index, got: *got }),
            None => return Err(truncated(FRAME_ENCODING_BYTES + bytes)),
        };
        let begin = at + FRAME_ENCODING_BYTES - 1;
        let frame = Self {
            channel: channel.into(),
            number: u16::from_be_bytes(*number),
            data: data.slice(begin..begin + bytes),
            is_last,
        };
        Ok((frame, begin + bytes + 1))
    }
}

/// The frames in the data of an L1 transaction or its blob: all of them, or none if anything is
/// malformed. The frames share the memory of `data`.
///
/// # Errors
/// [`FrameError`] for the first malformed byte.
pub fn parse_frames(data: &Bytes) -> Result<Vec<Frame>, FrameError> {
    match data.first() {
        None => return Err(FrameError::Empty),
        Some(&DERIVATION_VERSION_0) => {}
        Some(version) => return Err(FrameError::Version(*version)),
    }
    if data.len() == 1 {
        return Err(FrameError::NoFrames);
    }
    let mut frames = Vec::new();
    let mut at = 1;
    while at < data.len() {
        let (frame, next) = Frame::decode(data, at, frames.len())?;
        frames.push(frame);
        at = next;
    }
    Ok(frames)
}

/// The data of an L1 transaction that carries `frames`.
pub fn encode_frames(frames: &[Frame]) -> Vec<u8> {
    let bytes: usize = frames.iter().map(|frame| FRAME_ENCODING_BYTES + frame.data.len()).sum();
    let mut out = Vec::with_capacity(1 + bytes);
    out.push(DERIVATION_VERSION_0);
    for frame in frames {
        frame.encode(&mut out);
    }
    out
}
