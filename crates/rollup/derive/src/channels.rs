//! The fourth stage: channels, put together from frames by the rules of the time.

use crate::{ChannelAssembler, ChannelBank, Counters, Dropped};
use alloy_primitives::Bytes;
use lockstep_chain::OpHardfork;
use lockstep_protocol::{BlockInfo, Frame, RollupConfig};

/// The limits that hold at an L1 block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelRules {
    /// The L1 block.
    pub(crate) origin: BlockInfo,
    /// The number of L1 blocks within which a channel must be complete.
    pub(crate) timeout: u64,
    /// What one channel may hold (Holocene).
    pub(crate) max_channel_bytes: u64,
    /// What all channels may hold together (before Holocene).
    pub(crate) max_bank_bytes: u64,
    /// Whether any complete channel may be read, not only the oldest (Canyon).
    pub(crate) reads_any: bool,
}

impl ChannelRules {
    pub(crate) fn at(origin: BlockInfo, config: &RollupConfig) -> Self {
        let at = origin.timestamp;
        Self {
            origin,
            timeout: config.channel_timeout(at),
            max_channel_bytes: config.max_rlp_bytes_per_channel(at),
            max_bank_bytes: config.max_channel_bank_bytes(at),
            reads_any: config.is_active(OpHardfork::Canyon, at),
        }
    }

    /// Whether a channel that was opened at L1 block `opened` timed out.
    pub(crate) const fn is_timed_out(&self, opened: u64) -> bool {
        opened.saturating_add(self.timeout) < self.origin.number
    }
}

/// Puts channels together.
#[derive(Clone, Debug)]
pub(crate) enum Channels {
    /// Before Holocene: many at a time, in any order.
    Bank(ChannelBank),
    /// From Holocene on: one at a time, in order.
    Assembler(ChannelAssembler),
}

impl Channels {
    /// The stage as it is at an L1 block before Holocene or not.
    pub(crate) fn new(holocene: bool) -> Self {
        if holocene {
            Self::Assembler(ChannelAssembler::default())
        } else {
            Self::Bank(ChannelBank::default())
        }
    }

    /// The content of the next complete channel, if there is one.
    pub(crate) fn pop(&mut self, rules: &ChannelRules, counters: &mut Counters) -> Option<Bytes> {
        match self {
            Self::Bank(bank) => bank.pop(rules, counters),
            Self::Assembler(assembler) => assembler.pop(),
        }
    }

    /// Takes a frame.
    pub(crate) fn push(&mut self, frame: Frame, rules: &ChannelRules, counters: &mut Counters) {
        match self {
            Self::Bank(bank) => bank.push(frame, rules, counters),
            Self::Assembler(assembler) => assembler.push(frame, rules, counters),
        }
    }

    /// Replaces the bank by an assembler, and drops what the bank held.
    pub(crate) fn activate_holocene(&mut self, counters: &mut Counters, origin: u64) {
        if let Self::Bank(bank) = self {
            counters.record_many(Dropped::HoloceneActivation, bank.len(), origin);
            *self = Self::new(true);
        }
    }
}
