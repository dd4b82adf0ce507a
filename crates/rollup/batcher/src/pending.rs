//! A closed channel on its way into L1.

use crate::{ChannelPart, ClosedChannel, DataKind, entry::Entry};
use lockstep_protocol::Frame;

/// A closed channel, and how much of it went into transactions.
#[derive(Debug)]
pub(crate) struct PendingChannel {
    pub(crate) channel: ClosedChannel,
    /// Fixed with the first transaction.
    cut: Option<Cut>,
    /// Since which L1 block it should be safe and is not.
    pub(crate) doubted_since: Option<u64>,
}

#[derive(Debug)]
struct Cut {
    kind: DataKind,
    frames: Vec<Frame>,
    /// Frames that are in transactions.
    taken: usize,
}

/// The L1 blocks that include a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The block of its first frame, as far as it is included.
    pub(crate) first: u64,
    /// The block of its last frame, as far as it is included.
    pub(crate) last: u64,
    /// All of it is included.
    pub(crate) is_complete: bool,
}

impl PendingChannel {
    pub(crate) const fn new(channel: ClosedChannel) -> Self {
        Self { channel, cut: None, doubted_since: None }
    }

    /// The kind of its transactions, if it has one.
    pub(crate) fn kind(&self) -> Option<DataKind> {
        self.cut.as_ref().map(|cut| cut.kind)
    }

    /// Whether a part of it went into a transaction.
    pub(crate) fn is_begun(&self) -> bool {
        self.cut.as_ref().is_some_and(|cut| cut.taken > 0)
    }

    /// Whether all of it went into transactions.
    pub(crate) fn is_taken(&self) -> bool {
        self.cut.as_ref().is_some_and(|cut| cut.taken == cut.frames.len())
    }

    /// Fixes kind and frames. Afterwards they do not change any more.
    pub(crate) fn cut(&mut self, kind: DataKind, frames: Vec<Frame>) {
        self.cut.get_or_insert(Cut { kind, frames, taken: 0 });
    }

    /// Forgets kind and frames if nothing of it went into a transaction.
    pub(crate) fn uncut(&mut self) {
        if !self.is_begun() {
            self.cut = None;
        }
    }

    /// Makes no more transactions of it.
    pub(crate) fn abandon(&mut self) {
        if let Some(cut) = &mut self.cut {
            cut.frames.truncate(cut.taken);
        }
    }

    /// At most `count` frames that come next, and which they are.
    pub(crate) fn next(&self, count: usize) -> Option<(ChannelPart, &[Frame])> {
        let cut = self.cut.as_ref()?;
        let end = cut.taken.saturating_add(count).min(cut.frames.len());
        let frames = cut.frames.get(cut.taken..end).filter(|frames| !frames.is_empty())?;
        Some((ChannelPart { channel: self.channel.id, frames: cut.taken..end }, frames))
    }

    /// The frames of `part` are in a transaction.
    pub(crate) fn take(&mut self, part: &ChannelPart) {
        if let Some(cut) = &mut self.cut {
            cut.taken = cut.taken.max(part.frames.end);
        }
    }

    /// Where it is included, if any of it is.
    pub(crate) fn span<'a>(
        &self,
        entries: impl Iterator<Item = &'a Entry<ChannelPart>>,
    ) -> Option<Span> {
        let mut span: Option<Span> = None;
        let mut is_complete = self.is_taken();
        for entry in entries {
            if entry.payload.part.as_ref().is_none_or(|part| part.channel != self.channel.id) {
                continue;
            }
            let Some(inclusion) = entry.inclusion() else {
                is_complete = false;
                continue;
            };
            let number = inclusion.block.number;
            let span = span.get_or_insert(Span { first: number, last: number, is_complete });
            (span.first, span.last) = (span.first.min(number), span.last.max(number));
        }
        span.map(|span| Span { is_complete, ..span })
    }
}
