//! Channels before Holocene: many at a time, their frames in any order (OP specification:
//! derivation § channel bank).

use crate::{ChannelRules, Counters, Dropped};
use alloc::collections::{BTreeMap, BTreeSet};
use alloy_primitives::Bytes;
use lockstep_protocol::{Channel, ChannelId, Frame};

/// Channels that are not complete yet, or not read yet.
///
/// Together they count at most `MAX_CHANNEL_BANK_SIZE` (100 MB, from Fjord on 1 GB), where each frame
/// counts 200 bytes beside its data. That is the rule by which channels are dropped, so it is no
/// choice; what they take in memory may be more. A channel of a single empty frame takes about 850
/// bytes, so that the worst channels take some 4.3 times what they count. Frames that no longer count
/// ([`Channel::size`]) are bounded by what L1 carries within a channel timeout.
///
/// All operations take logarithmic time.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChannelBank {
    /// By the order in which they were opened.
    channels: BTreeMap<u64, Channel>,
    /// Their places in that order.
    places: BTreeMap<ChannelId, u64>,
    /// The places of those that are complete.
    ready: BTreeSet<u64>,
    /// The place of the next channel to be opened.
    next: u64,
    /// What all of them hold.
    bytes: u64,
}

impl ChannelBank {
    /// How many channels there are.
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }

    /// The content of the channel to be read next: the oldest complete one, before Canyon only if no
    /// older one is waiting. Channels that timed out are dropped.
    pub(crate) fn pop(&mut self, rules: &ChannelRules, counters: &mut Counters) -> Option<Bytes> {
        // Channels were opened in the order of their places, so the oldest times out first.
        while let Some((place, oldest)) = self.channels.first_key_value()
            && rules.is_timed_out(oldest.opened().number)
        {
            self.remove(*place);
            counters.record(Dropped::ChannelTimeout, rules.origin.number);
        }
        let place = *self.ready.first()?;
        let oldest = *self.channels.first_key_value()?.0;
        if !rules.reads_any && place != oldest {
            return None;
        }
        self.remove(place).map(Channel::into_bytes)
    }

    /// Takes a frame, and drops the oldest channels if there is too much.
    pub(crate) fn push(&mut self, frame: Frame, rules: &ChannelRules, counters: &mut Counters) {
        let origin = rules.origin;
        let id = frame.channel;
        let place = *self.places.entry(id).or_insert(self.next);
        let channel = self.channels.entry(place).or_insert_with(|| Channel::new(id, origin, false));
        self.next = self.next.max(place + 1);
        if rules.is_timed_out(channel.opened().number) {
            counters.record(Dropped::ChannelMissing, origin.number);
            return;
        }
        let before = channel.size();
        if channel.add_frame(frame.unshared(), origin).is_err() {
            counters.record(Dropped::ChannelFrame, origin.number);
            return;
        }
        self.bytes = self.bytes - before + channel.size();
        if channel.is_ready() {
            self.ready.insert(place);
        }
        while self.bytes > rules.max_bank_bytes
            && let Some((oldest, _)) = self.channels.first_key_value()
        {
            self.remove(*oldest);
            counters.record(Dropped::ChannelSize, origin.number);
        }
    }

    fn remove(&mut self, place: u64) -> Option<Channel> {
        let channel = self.channels.remove(&place)?;
        self.places.remove(&channel.id());
        self.ready.remove(&place);
        self.bytes -= channel.size();
        Some(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};
    use lockstep_protocol::BlockInfo;

    fn rules(number: u64) -> ChannelRules {
        ChannelRules {
            origin: BlockInfo { number, ..Default::default() },
            timeout: 10,
            max_channel_bytes: 0,
            max_bank_bytes: 3_000,
            reads_any: true,
        }
    }

    fn frame(channel: u8, number: u16, is_last: bool) -> Frame {
        let data = vec![channel; usize::from(number) + 1].into();
        Frame { channel: [channel; 16].into(), number, data, is_last }
    }

    fn drain(bank: &mut ChannelBank, rules: &ChannelRules) -> Vec<Bytes> {
        let mut counters = Counters::default();
        core::iter::from_fn(|| bank.pop(rules, &mut counters)).collect()
    }

    #[test]
    fn frames_come_in_any_order_and_duplicates_are_dropped() {
        let mut bank = ChannelBank::default();
        let mut counters = Counters::default();
        for (number, is_last) in [(2, true), (0, false), (0, false), (3, false), (2, true)] {
            bank.push(frame(1, number, is_last), &rules(1), &mut counters);
            assert_eq!(bank.pop(&rules(1), &mut counters), None);
        }
        assert_eq!(counters.get(Dropped::ChannelFrame), 3);
        bank.push(frame(1, 1, false), &rules(1), &mut counters);
        assert_eq!(drain(&mut bank, &rules(1)), [Bytes::from(vec![1; 1 + 2 + 3])]);
        assert_eq!((bank.len(), bank.bytes), (0, 0));
    }

    #[test]
    fn a_closing_frame_drops_those_behind_it() {
        let mut bank = ChannelBank::default();
        let mut counters = Counters::default();
        for (number, is_last) in [(0, false), (5, false), (1, true)] {
            bank.push(frame(1, number, is_last), &rules(1), &mut counters);
        }
        assert_eq!(drain(&mut bank, &rules(1)), [Bytes::from(vec![1; 1 + 2])]);
        assert_eq!(bank.bytes, 0);
    }

    #[test]
    fn before_canyon_the_oldest_channel_holds_up_the_others() {
        let mut bank = ChannelBank::default();
        let mut counters = Counters::default();
        bank.push(frame(1, 0, false), &rules(1), &mut counters);
        bank.push(frame(2, 0, true), &rules(2), &mut counters);
        let bedrock = ChannelRules { reads_any: false, ..rules(2) };
        assert_eq!(bank.pop(&bedrock, &mut counters), None);
        let mut canyon = bank.clone();
        assert_eq!(drain(&mut canyon, &rules(2)), [Bytes::from(vec![2])]);
        // Once the oldest timed out, it holds up nobody.
        let bedrock = ChannelRules { reads_any: false, ..rules(12) };
        assert_eq!(bank.pop(&bedrock, &mut counters), Some(vec![2].into()));
        assert_eq!(counters.get(Dropped::ChannelTimeout), 1);
    }

    #[test]
    fn a_channel_times_out_one_block_after_the_timeout() {
        for (number, is_read) in [(11, true), (12, false)] {
            let mut bank = ChannelBank::default();
            let mut counters = Counters::default();
            bank.push(frame(1, 0, false), &rules(1), &mut counters);
            bank.push(frame(1, 1, true), &rules(number), &mut counters);
            assert_eq!(bank.pop(&rules(number), &mut counters).is_some(), is_read, "{number}");
            assert_eq!(counters.get(Dropped::ChannelMissing), u64::from(!is_read));
            assert_eq!(counters.get(Dropped::ChannelTimeout), u64::from(!is_read));
        }
    }

    #[test]
    fn the_oldest_channels_make_room() {
        let mut bank = ChannelBank::default();
        let mut counters = Counters::default();
        for channel in 0..100 {
            bank.push(frame(channel, 0, false), &rules(1), &mut counters);
            assert!(bank.bytes <= 3_000);
            assert_eq!(bank.channels.len(), bank.places.len());
        }
        // Each counts 201 bytes, so 14 fit.
        assert_eq!(bank.len(), 14);
        assert_eq!(counters.get(Dropped::ChannelSize), 86);
        bank.push(frame(85, 1, true), &rules(1), &mut counters);
        bank.push(frame(99, 1, true), &rules(1), &mut counters);
        assert_eq!(drain(&mut bank, &rules(1)), [Bytes::from(vec![99; 3])]);
    }
}
