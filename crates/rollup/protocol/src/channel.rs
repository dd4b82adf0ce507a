//! Channels: frames put together again (OP specification: derivation § channel bank).

use crate::{BlockInfo, ChannelId, Frame};
use alloc::{collections::BTreeMap, vec::Vec};
use alloy_primitives::Bytes;

/// A channel that is being put together from its frames.
///
/// It holds at most 65,536 frames; what all channels together may hold is for the caller to limit,
/// by [`Self::size`].
#[derive(Clone, Debug)]
pub struct Channel {
    id: ChannelId,
    opened: BlockInfo,
    /// Holocene: a frame is taken only behind the one before.
    in_order: bool,
    frames: BTreeMap<u16, Bytes>,
    /// The number of the frame that is the last.
    last: Option<u16>,
    size: u64,
    highest_l1: BlockInfo,
}

/// Why a channel did not take a frame. The channel is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The frame belongs to another channel.
    #[error("a frame of channel {got} does not belong to channel {expected}")]
    Id {
        /// The channel.
        expected: ChannelId,
        /// The channel of the frame.
        got: ChannelId,
    },
    /// The channel has a last frame already.
    #[error("frame {number} would be the last, but frame {last} is")]
    Closed {
        /// The frame.
        number: u16,
        /// The one that is the last.
        last: u16,
    },
    /// The channel has this frame already.
    #[error("frame {0} is there already")]
    Duplicate(u16),
    /// The channel ends before this frame.
    #[error("frame {number} comes behind {last}, which is the last")]
    BehindLast {
        /// The frame.
        number: u16,
        /// The one that is the last.
        last: u16,
    },
    /// Another frame must come first (Holocene).
    #[error("frame {got} came where frame {expected} should")]
    OutOfOrder {
        /// The frame that comes next.
        expected: usize,
        /// The one that came.
        got: u16,
    },
}

impl Channel {
    /// A channel without frames, opened by a frame in L1 block `opened`. `in_order` says that
    /// frames must come in order (Holocene).
    pub const fn new(id: ChannelId, opened: BlockInfo, in_order: bool) -> Self {
        let frames = BTreeMap::new();
        Self { id, opened, in_order, frames, last: None, size: 0, highest_l1: opened }
    }

    /// What identifies the channel.
    pub const fn id(&self) -> ChannelId {
        self.id
    }

    /// The L1 block with the first frame.
    pub const fn opened(&self) -> &BlockInfo {
        &self.opened
    }

    /// The highest L1 block with a frame that was taken.
    pub const fn highest_l1(&self) -> &BlockInfo {
        &self.highest_l1
    }

    /// What the channel counts in the bank: the data of its frames and an overhead for each. If the
    /// last frame came before one that lies behind it, those that came before it count nothing.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// How many frames are there.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// Whether the last frame is there.
    pub const fn is_closed(&self) -> bool {
        self.last.is_some()
    }

    /// Whether the channel timed out at L1 block `number`, of `timeout` blocks after it was opened.
    pub const fn is_timed_out(&self, timeout: u64, number: u64) -> bool {
        self.opened.number.saturating_add(timeout) < number
    }

    /// Takes a frame that stood in L1 block `l1`.
    ///
    /// # Errors
    /// [`ChannelError`] if the rules say to ignore the frame.
    pub fn add_frame(&mut self, frame: Frame, l1: BlockInfo) -> Result<(), ChannelError> {
        self.check(&frame)?;
        self.size += frame.size();
        if frame.is_last {
            self.last = Some(frame.number);
            // Frames that came before it and are behind it do not belong to the channel.
            let behind = self.frames.split_off(&frame.number);
            if !behind.is_empty() {
                // Both implementations of the OP Stack then no longer count any frame that was
                // there, so that is the rule by which channels are dropped for their size.
                self.size = frame.size();
            }
        }
        if l1.number > self.highest_l1.number {
            self.highest_l1 = l1;
        }
        self.frames.insert(frame.number, frame.data);
        Ok(())
    }

    fn check(&self, frame: &Frame) -> Result<(), ChannelError> {
        let number = frame.number;
        if frame.channel != self.id {
            return Err(ChannelError::Id { expected: self.id, got: frame.channel });
        }
        if let Some(last) = self.last
            && frame.is_last
        {
            return Err(ChannelError::Closed { number, last });
        }
        if self.frames.contains_key(&number) {
            return Err(ChannelError::Duplicate(number));
        }
        if let Some(last) = self.last
            && number >= last
        {
            return Err(ChannelError::BehindLast { number, last });
        }
        if self.in_order && usize::from(number) != self.frames.len() {
            return Err(ChannelError::OutOfOrder { expected: self.frames.len(), got: number });
        }
        Ok(())
    }

    /// Whether all frames are there.
    pub fn is_ready(&self) -> bool {
        // No frame behind the last is kept, so that many frames are all of them.
        self.last.is_some_and(|last| self.frames.len() == usize::from(last) + 1)
    }

    /// The data of all frames that are there, in order.
    pub fn into_bytes(self) -> Bytes {
        let mut frames = self.frames.into_values();
        match (frames.next(), frames.len()) {
            (None, _) => Bytes::new(),
            (Some(only), 0) => only,
            (Some(first), _) => {
                let mut out = Vec::from(first);
                frames.for_each(|frame| out.extend_from_slice(&frame));
                out.into()
            }
        }
    }
}
