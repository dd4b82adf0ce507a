//! The third stage: the frames of one batcher transaction (OP specification: derivation § frame
//! queue, Holocene § frame queue).

use crate::{Counters, Dropped};
use alloc::collections::VecDeque;
use alloy_primitives::Bytes;
use lockstep_protocol::{Frame, parse_frames};

/// The frames of the batcher transaction that is being read; its size bounds them.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameQueue {
    frames: VecDeque<Frame>,
}

impl FrameQueue {
    /// The next frame; `None` if the transaction has no more.
    pub(crate) fn pop(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// Takes the frames of a transaction. From Holocene on (`in_order`) those that are out of order
    /// are left out at once.
    pub(crate) fn push(
        &mut self,
        data: &Bytes,
        in_order: bool,
        counters: &mut Counters,
        origin: u64,
    ) {
        let Ok(frames) = parse_frames(data) else {
            counters.record(Dropped::Frames, origin);
            return;
        };
        if !in_order {
            self.frames.extend(frames);
            return;
        }
        for frame in frames {
            let dropped = self.push_in_order(frame);
            counters.record_many(Dropped::FrameOrder, dropped, origin);
        }
    }

    /// Forgets all frames and says how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        let count = self.frames.len();
        self.frames.clear();
        count
    }

    /// Appends a frame if it continues the one before it or begins a channel, and says how many
    /// frames were dropped: the frame itself, or those of a channel that it abandons.
    fn push_in_order(&mut self, next: Frame) -> usize {
        let mut dropped = 0;
        while let Some(last) = self.frames.back() {
            let is_kept = if last.channel == next.channel {
                !last.is_last && next.number == last.number.wrapping_add(1)
            } else if next.number == 0 && !last.is_last {
                // A new channel abandons the one before it, whatever was read of it here.
                self.frames.pop_back();
                dropped += 1;
                continue;
            } else {
                next.number == 0
            };
            if !is_kept {
                return dropped + 1;
            }
            break;
        }
        self.frames.push_back(next);
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use lockstep_protocol::encode_frames;
    use proptest::prelude::*;

    /// `a0` is frame 0 of channel `a`, `a0.` one that is the last.
    fn frame(text: &str) -> Frame {
        let (name, is_last) = match text.strip_suffix('.') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let (channel, number) = name.split_at(1);
        Frame {
            channel: [channel.as_bytes()[0]; 16].into(),
            number: number.parse().expect("a number follows the channel"),
            data: Bytes::new(),
            is_last,
        }
    }

    fn kept(frames: &str, in_order: bool) -> (Vec<Frame>, u64) {
        let frames: Vec<Frame> = frames.split_whitespace().map(frame).collect();
        let mut queue = FrameQueue::default();
        let mut counters = Counters::default();
        queue.push(&encode_frames(&frames).into(), in_order, &mut counters, 0);
        (core::iter::from_fn(|| queue.pop()).collect(), counters.get(Dropped::FrameOrder))
    }

    fn assert_kept(input: &str, expected: &str) {
        let expected: Vec<Frame> = expected.split_whitespace().map(frame).collect();
        let (frames, dropped) = kept(input, true);
        assert_eq!(frames, expected, "{input}");
        assert_eq!(dropped as usize, input.split_whitespace().count() - expected.len(), "{input}");
        assert_eq!(kept(input, false).0.len(), input.split_whitespace().count());
    }

    /// The cases are those of the Holocene specification § frame queue.
    #[test]
    fn from_holocene_on_frames_must_come_in_order() {
        assert_kept("a0 a1 a2.", "a0 a1 a2.");
        assert_kept("a2 a3.", "a2 a3.");
        assert_kept("a0 a2 a1", "a0 a1");
        assert_kept("a0 a0 a1", "a0 a1");
        assert_kept("a0 a1. a2 a0", "a0 a1.");
        assert_kept("a0 a1. b0 b1.", "a0 a1. b0 b1.");
        assert_kept("a0 a1 b0 b1.", "b0 b1.");
        assert_kept("a0. b0 b1 c0.", "a0. c0.");
        assert_kept("a0. b0 a1", "a0. b0");
        assert_kept("a0 b1 b2 a1", "a0 a1");
        assert_kept("a0. b1 c0", "a0. c0");
        assert_kept("a7 b0", "b0");
        // Behind the channel that `b0` stood for is one that `a0` belongs to, and that is closed.
        assert_kept("a0. b0 a0", "a0.");
    }

    #[test]
    fn malformed_frames_drop_the_whole_transaction() {
        let whole = encode_frames(&[frame("a0"), frame("a1.")]);
        for length in 0..whole.len() {
            let mut queue = FrameQueue::default();
            let mut counters = Counters::default();
            queue.push(&whole[..length].to_vec().into(), true, &mut counters, 3);
            let is_whole = length == 24;
            assert_eq!(queue.pop().is_some(), is_whole, "{length}");
            assert_eq!(counters.get(Dropped::Frames), u64::from(!is_whole));
        }
    }

    proptest! {
        /// What Holocene promises of the queue, whatever comes in.
        #[test]
        fn frames_are_contiguous_and_channels_closed(
            frames in prop::collection::vec((0u8..3, 0u16..4, any::<bool>()), 0..24)
        ) {
            let frames: Vec<Frame> = frames
                .into_iter()
                .map(|(channel, number, is_last)| Frame {
                    channel: [channel; 16].into(), number, data: Bytes::new(), is_last,
                })
                .collect();
            let mut queue = FrameQueue::default();
            queue.push(&encode_frames(&frames).into(), true, &mut Counters::default(), 0);
            let kept: Vec<Frame> = core::iter::from_fn(|| queue.pop()).collect();
            for pair in kept.windows(2) {
                if pair[0].is_last {
                    prop_assert!(pair[1].number == 0 && pair[1].channel != pair[0].channel);
                } else {
                    prop_assert_eq!(pair[1].channel, pair[0].channel);
                    prop_assert_eq!(pair[1].number, pair[0].number + 1);
                }
            }
            prop_assert_eq!(kept.is_empty(), frames.is_empty());
        }
    }
}
