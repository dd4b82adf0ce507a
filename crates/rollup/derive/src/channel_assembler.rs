//! Channels from Holocene on: one at a time, its frames in order (OP specification: Holocene §
//! channel bank).

use crate::{ChannelRules, Counters, Dropped};
use alloy_primitives::Bytes;
use lockstep_protocol::{Channel, Frame};

/// The channel that is being put together.
///
/// It counts at most `MAX_RLP_BYTES_PER_CHANNEL` (100 MB), where each frame counts 200 bytes beside
/// its data. Twice that is held for a moment when it becomes complete.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChannelAssembler {
    staging: Option<Channel>,
    complete: Option<Bytes>,
}

impl ChannelAssembler {
    /// The content of the channel, once it is complete.
    pub(crate) const fn pop(&mut self) -> Option<Bytes> {
        self.complete.take()
    }

    /// Takes a frame.
    pub(crate) fn push(&mut self, frame: Frame, rules: &ChannelRules, counters: &mut Counters) {
        let origin = rules.origin;
        if self.staging.as_ref().is_some_and(|channel| rules.is_timed_out(channel.opened().number))
        {
            self.staging = None;
            counters.record(Dropped::ChannelTimeout, origin.number);
        }
        if frame.number == 0 {
            let channel = Channel::new(frame.channel, origin, true);
            if self.staging.replace(channel).is_some() {
                counters.record(Dropped::ChannelReplaced, origin.number);
            }
        }
        let Some(mut channel) = self.staging.take() else {
            counters.record(Dropped::ChannelMissing, origin.number);
            return;
        };
        // The frame queue orders the frames of one transaction; the channel does so across them.
        if channel.add_frame(frame.unshared(), origin).is_err() {
            counters.record(Dropped::ChannelFrame, origin.number);
        } else if channel.size() > rules.max_channel_bytes {
            counters.record(Dropped::ChannelSize, origin.number);
            return;
        }
        if channel.is_ready() {
            self.complete = Some(channel.into_bytes());
        } else {
            self.staging = Some(channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use lockstep_protocol::BlockInfo;

    fn rules(number: u64) -> ChannelRules {
        ChannelRules {
            origin: BlockInfo { number, ..Default::default() },
            timeout: 10,
            max_channel_bytes: 1_000,
            max_bank_bytes: 0,
            reads_any: true,
        }
    }

    fn frame(channel: u8, number: u16, is_last: bool) -> Frame {
        let data = vec![channel; usize::from(number) + 1].into();
        Frame { channel: [channel; 16].into(), number, data, is_last }
    }

    #[test]
    fn a_first_frame_replaces_the_channel_before() {
        let (mut assembler, mut counters) = (ChannelAssembler::default(), Counters::default());
        for next in [frame(1, 0, false), frame(2, 0, false), frame(1, 1, true), frame(2, 1, true)] {
            assembler.push(next, &rules(1), &mut counters);
        }
        assert_eq!(assembler.pop(), Some(vec![2; 3].into()));
        assert_eq!(counters.get(Dropped::ChannelReplaced), 1);
        assert_eq!(counters.get(Dropped::ChannelFrame), 1);
    }

    #[test]
    fn a_frame_out_of_order_is_dropped_alone() {
        let (mut assembler, mut counters) = (ChannelAssembler::default(), Counters::default());
        assembler.push(frame(1, 1, true), &rules(1), &mut counters);
        assert_eq!(counters.get(Dropped::ChannelMissing), 1);
        for number in [0, 2, 1, 1] {
            assembler.push(frame(1, number, false), &rules(1), &mut counters);
        }
        assert_eq!(counters.get(Dropped::ChannelFrame), 2);
        assembler.push(frame(1, 2, true), &rules(1), &mut counters);
        assert_eq!(assembler.pop(), Some(vec![1; 1 + 2 + 3].into()));
    }

    #[test]
    fn a_channel_times_out_one_block_after_the_timeout() {
        for (number, is_read) in [(11, true), (12, false)] {
            let (mut assembler, mut counters) = (ChannelAssembler::default(), Counters::default());
            assembler.push(frame(1, 0, false), &rules(1), &mut counters);
            assembler.push(frame(1, 1, true), &rules(number), &mut counters);
            assert_eq!(assembler.pop().is_some(), is_read, "{number}");
            assert_eq!(counters.get(Dropped::ChannelTimeout), u64::from(!is_read));
            assert_eq!(counters.get(Dropped::ChannelMissing), u64::from(!is_read));
        }
    }

    #[test]
    fn a_channel_may_be_as_large_as_the_limit() {
        for (limit, is_read) in [(403, true), (402, false)] {
            let rules = ChannelRules { max_channel_bytes: limit, ..rules(1) };
            let (mut assembler, mut counters) = (ChannelAssembler::default(), Counters::default());
            assembler.push(frame(1, 0, false), &rules, &mut counters);
            assembler.push(frame(1, 1, true), &rules, &mut counters);
            assert_eq!(assembler.pop().is_some(), is_read, "{limit}");
            assert_eq!(counters.get(Dropped::ChannelSize), u64::from(!is_read));
        }
    }
}
