//! From a channel to the data of transactions.

use crate::{BatcherError, ChannelPolicy, ClosedChannel, DataKind};
use alloy_eips::eip4844::Blob;
use alloy_primitives::Bytes;
use lockstep_protocol::{Frame, encode_blob, encode_frames};

/// The frames of a channel, for transactions of one kind.
///
/// # Errors
/// [`BatcherError::Encoding`] if the channel needs more frames than one may have (65,536).
pub fn cut_frames(
    channel: &ClosedChannel,
    policy: &ChannelPolicy,
    kind: DataKind,
) -> Result<Vec<Frame>, BatcherError> {
    let data = &channel.data;
    let size = policy.frame_data_bytes(kind).max(1);
    // A channel has a last frame even if it has no data.
    let count = data.len().div_ceil(size).max(1);
    if count > usize::from(u16::MAX) + 1 {
        let reason = format!("{} bytes are {count} frames of {size}", data.len());
        let (first, last) = (channel.first, channel.last.number);
        return Err(BatcherError::Encoding { first, last, reason });
    }
    let frame = |number: u16| {
        let begin = usize::from(number) * size;
        let end = (begin + size).min(data.len());
        let is_last = usize::from(number) + 1 == count;
        Frame { channel: channel.id, number, data: data.slice(begin..end), is_last }
    };
    Ok((0..=u16::MAX).take(count).map(frame).collect())
}

/// The input of a calldata transaction that carries `frames`.
pub fn calldata(frames: &[Frame]) -> Bytes {
    encode_frames(frames).into()
}

/// The blobs that carry `frames`, one each.
///
/// # Errors
/// [`BatcherError::Kzg`] if a frame does not fit into a blob.
pub fn blobs(frames: &[Frame]) -> Result<Vec<Blob>, BatcherError> {
    frames
        .iter()
        .map(|frame| {
            encode_blob(&encode_frames(core::slice::from_ref(frame)))
                .map(|blob| *blob)
                .map_err(|error| BatcherError::Kzg(error.to_string()))
        })
        .collect()
}
