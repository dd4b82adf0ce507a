//! From blocks to channels, and from channels to transactions.

use crate::{
    Batcher, BatcherError, ChannelBuilder, CloseReason, DataAvailability, DataKind, L1Head,
    L1Submit, L2Blocks,
    frames::{blobs, calldata, cut_frames},
    outbox::Content,
    pending::PendingChannel,
};
use std::sync::Arc;

impl<L1: L1Submit, L2: L2Blocks> Batcher<L1, L2> {
    /// Puts blocks into channels, and closes those whose time has come. How many were closed.
    pub(crate) fn pack(&mut self, head: &L1Head) -> Result<usize, BatcherError> {
        let mut closed = 0;
        loop {
            let is_waiting_full = self.waiting_channels() >= self.config.max_waiting_channels;
            let next = self.queue.get(self.cursor).filter(|_| !is_waiting_full).map(Arc::clone);
            if let Some(block) = next {
                self.add_to_channel(block, head)?;
            }
            let is_idle = self.queue.get(self.cursor).is_none();
            if let Some(reason) = self.close_reason(head, is_idle) {
                closed += usize::from(self.close(reason)?);
            } else if is_idle || is_waiting_full {
                break;
            }
        }
        self.flush = false;
        Ok(closed)
    }

    /// Makes transactions of closed channels, in order, as far as there is room. How many.
    pub(crate) fn queue_transactions(&mut self, head: &L1Head) -> Result<usize, BatcherError> {
        let mut queued = 0;
        let policy = self.config.channel;
        let choice = self.config.data_availability;
        for pending in self.channels.iter_mut().filter(|pending| !pending.is_taken()) {
            pending.uncut();
            let bytes = pending.channel.data.len();
            let kind = pending.kind().unwrap_or_else(|| choose(choice, &policy, bytes, head));
            while self.outbox.has_room(kind) {
                if pending.kind().is_none() {
                    pending.cut(kind, cut_frames(&pending.channel, &policy, kind)?);
                }
                let Some((part, frames)) = pending.next(policy.frames_per_tx(kind)) else { break };
                let content = match kind {
                    DataKind::Calldata => Content::Calldata(calldata(frames)),
                    DataKind::Blobs => Content::Blobs(blobs(frames)?),
                };
                self.outbox.queue(part.clone(), content, head)?;
                pending.take(&part);
                queued += 1;
            }
            if !pending.is_taken() {
                // Frames of channels must not be mixed (Holocene).
                break;
            }
        }
        Ok(queued)
    }

    fn add_to_channel(
        &mut self,
        block: Arc<crate::BatchBlock>,
        head: &L1Head,
    ) -> Result<(), BatcherError> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open_channel(head),
        };
        let before = open.len() as u64;
        let added = open.add(block);
        self.cursor = self.cursor - before + open.len() as u64;
        if !open.is_empty() {
            self.open = Some(open);
        }
        added
    }

    fn open_channel(&mut self, head: &L1Head) -> ChannelBuilder {
        let policy = self.config.channel;
        // The kind is chosen again when the first transaction is made; here it tells the size.
        let bytes = policy.target_bytes(DataKind::Blobs);
        let kind = choose(self.config.data_availability, &policy, bytes, head);
        let l1 = (head.block.number, head.timestamp);
        let id = self.next_channel_id();
        ChannelBuilder::new(id, Arc::clone(&self.rollup), policy, kind, l1, self.calibration)
    }

    fn close_reason(&self, head: &L1Head, is_idle: bool) -> Option<CloseReason> {
        let open = self.open.as_ref()?;
        open.close_reason(head.block.number).or_else(|| {
            if !is_idle {
                None
            } else if self.flush {
                Some(CloseReason::Flush)
            } else if self.is_queue_full() {
                // Nothing more comes in before something goes out.
                Some(CloseReason::Backlog)
            } else {
                None
            }
        })
    }

    /// Closes the open channel. Whether there was something to close.
    fn close(&mut self, reason: CloseReason) -> Result<bool, BatcherError> {
        let first = self.cursor_of_open();
        let Some(open) = &mut self.open else { return Ok(false) };
        let closed = open.close(reason)?;
        self.calibration = open.calibration();
        self.open = None;
        self.cursor = first;
        let Some(channel) = closed else { return Ok(false) };
        self.cursor += channel.blocks();
        tracing::info!(
            chain = self.rollup.l2_chain_id,
            channel = %channel.id,
            first = channel.first,
            last = channel.last.number,
            input_bytes = channel.input_bytes,
            bytes = channel.data.len(),
            reason = channel.reason.name(),
            "channel closed"
        );
        self.metrics.closed(&channel);
        self.channels.push_back(PendingChannel::new(channel));
        Ok(true)
    }

    fn waiting_channels(&self) -> usize {
        self.channels.iter().filter(|pending| !pending.is_taken()).count()
    }
}

fn choose(
    choice: DataAvailability,
    policy: &crate::ChannelPolicy,
    bytes: usize,
    head: &L1Head,
) -> DataKind {
    match choice {
        DataAvailability::Calldata => DataKind::Calldata,
        DataAvailability::Blobs => DataKind::Blobs,
        DataAvailability::Auto => policy.cost().cheaper(bytes, head),
    }
}
