//! The state machine.

use crate::{
    BatcherConfig, BatcherError, BlobProver, Calibration, ChannelBuilder, ChannelPart, DataLimits,
    L1Head, L1Submit, L2Blocks, L2Status,
    drops::Drops,
    encode::block_capacity,
    measure::Metrics,
    outbox::{Outbox, Polled},
    pending::PendingChannel,
    queue::BlockQueue,
    send::Sent,
    transaction::Account,
};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, keccak256};
use alloy_signer::SignerSync;
use lockstep_protocol::{ChannelId, RollupConfig};
use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

/// What the batcher is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits until what it (or its predecessor) has sent is included and derived from, so that
    /// the safe head tells what is left to post.
    Settling,
    /// It posts the blocks after the safe head.
    Posting,
}

/// Why the batcher began anew from the safe head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// It was started.
    Start,
    /// Blocks that are posted, at least in part, are not canonical any more.
    L2Reorg,
    /// The safe head went back behind what is still remembered.
    SafeHeadWentBack,
    /// A channel was not included in time.
    ChannelTimeout,
    /// A channel was derived from, but its blocks did not become safe.
    ChannelDropped,
    /// Another transaction of the account used a nonce, or an L1 reorg took back more than is
    /// remembered.
    Nonce,
    /// A pool holds transactions of the account, of another kind, that the batcher does not know.
    Reserved,
}

impl ResetReason {
    /// The name, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::L2Reorg => "l2_reorg",
            Self::SafeHeadWentBack => "safe_head_went_back",
            Self::ChannelTimeout => "channel_timeout",
            Self::ChannelDropped => "channel_dropped",
            Self::Nonce => "nonce",
            Self::Reserved => "reserved",
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What the batcher is doing now.
    pub phase: Phase,
    /// Whether this step began anew, and why.
    pub reset: Option<ResetReason>,
    /// Blocks loaded.
    pub loaded: usize,
    /// Channels closed.
    pub closed: usize,
    /// Transactions that a pool took for the first time.
    pub sent: usize,
    /// Transactions sent again, as they were or for a higher fee.
    pub resent: usize,
    /// Transactions found in an L1 block.
    pub included: usize,
    /// Transactions that an L1 reorg took back.
    pub vanished: usize,
    /// Whether another step has something to do at once. Otherwise wait for a new block of L1 or L2,
    /// or for a second.
    pub has_more: bool,
}

/// What is not safe yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Blocks after the safe head that are in memory, while the batcher settles as well.
    pub blocks: usize,
    /// Bytes of their transactions.
    pub bytes: usize,
    /// Channels that are not safe yet, with the open one.
    pub channels: usize,
    /// Transactions that wait for inclusion.
    pub transactions: usize,
    /// No more blocks are loaded until some become safe.
    pub is_full: bool,
}

/// Posts the blocks of an L2 node to L1.
pub struct Batcher<L1, L2> {
    pub(crate) config: BatcherConfig,
    pub(crate) rollup: Arc<RollupConfig>,
    pub(crate) l1: L1,
    pub(crate) l2: L2,
    pub(crate) outbox: Outbox<ChannelPart>,
    pub(crate) phase: Settle,
    pub(crate) queue: BlockQueue,
    /// The number of the next block to put into a channel.
    pub(crate) cursor: u64,
    pub(crate) open: Option<ChannelBuilder>,
    /// Closed channels, in order; each continues the one before.
    pub(crate) channels: VecDeque<PendingChannel>,
    pub(crate) calibration: Calibration,
    pub(crate) flush: bool,
    /// How many times in a row a pool held transactions of the other kind that are not known.
    pub(crate) reserved: u32,
    /// Those wait for nonces that must be used up.
    pub(crate) is_gap_due: bool,
    pub(crate) drops: Drops,
    pub(crate) metrics: Metrics,
    /// The newest L1 block that was seen, and its timestamp.
    l1_seen: (BlockNumHash, u64),
    account: Address,
    seed: B256,
    channels_opened: u64,
}

/// [`Phase`], with what it needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    /// Since when, and at which L1 block nothing was pending any more.
    Settling {
        since: Option<Duration>,
        settled_at: Option<u64>,
    },
    Posting,
}

impl<L1, L2> fmt::Debug for Batcher<L1, L2> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("account", &self.account)
            .field("phase", &self.phase)
            .field("cursor", &self.cursor)
            .field("channels", &self.channels.len())
            .finish_non_exhaustive()
    }
}

impl<L1: L1Submit, L2: L2Blocks> Batcher<L1, L2> {
    /// A batcher that pays from `account`, for which `signer` signs. It keeps nothing on disk: what is
    /// left to post follows from the safe head.
    ///
    /// `seed` makes the ids of channels unique; it must be another one at each start.
    ///
    /// # Errors
    /// [`BatcherError::Config`] if the settings cannot work.
    #[expect(clippy::too_many_arguments, reason = "each is a part of its own")]
    pub fn new(
        config: BatcherConfig,
        rollup: Arc<RollupConfig>,
        l1: L1,
        l2: L2,
        account: Address,
        signer: Box<dyn SignerSync + Send + Sync>,
        prover: Box<dyn BlobProver>,
        seed: B256,
    ) -> Result<Self, BatcherError> {
        config.validate()?;
        if account == rollup.batch_inbox_address {
            let expected = "an account, which the batch inbox is not";
            return Err(BatcherError::config("account", account, expected));
        }
        let payer = Account { address: account, signer, chain_id: rollup.l1_chain_id };
        Ok(Self {
            config,
            outbox: Outbox::new(payer, prover, rollup.batch_inbox_address, config.outbox()),
            metrics: Metrics::new(rollup.l2_chain_id),
            rollup,
            l1,
            l2,
            phase: Settle::Settling { since: None, settled_at: None },
            queue: BlockQueue::default(),
            cursor: 0,
            open: None,
            channels: VecDeque::new(),
            calibration: Calibration::default(),
            flush: false,
            reserved: 0,
            is_gap_due: false,
            drops: Drops::default(),
            l1_seen: Default::default(),
            account,
            seed,
            channels_opened: 0,
        })
    }

    /// Looks at L1 and L2 and does what is due. `now` is the time since any moment that stays the
    /// same; it never goes back.
    ///
    /// After an error the batcher is in a consistent state, and the next step goes on.
    ///
    /// # Errors
    /// [`BatcherError`]; [`BatcherError::class`] says who must act.
    pub fn step(&mut self, now: Duration) -> Result<Progress, BatcherError> {
        let outcome = self.advance(now);
        if let Err(error) = &outcome {
            self.metrics.failed(error.class());
            if matches!(error, BatcherError::L1(_)) {
                self.watch_l2(now);
            }
        }
        outcome
    }

    fn advance(&mut self, now: Duration) -> Result<Progress, BatcherError> {
        let head = self.l1.head().map_err(BatcherError::L1)?;
        self.see(&head);
        let polled = self.outbox.poll(&mut self.l1, &head, &self.metrics)?;
        let status = self.l2.status().map_err(BatcherError::L2)?;
        let mut progress = Progress {
            phase: self.phase(),
            reset: None,
            loaded: 0,
            closed: 0,
            sent: 0,
            resent: 0,
            included: polled.included,
            vanished: polled.vanished,
            has_more: false,
        };
        let posted = self.post(&head, &polled, &status, now, &mut progress);
        // What is on its way is looked after even if nothing new can be posted.
        let sent = self.send(&head, now, polled.latest);
        if let Ok(sent) = &sent {
            (progress.sent, progress.resent) = (sent.accepted, sent.again);
            if self.phase() == Phase::Posting {
                if sent.is_reserved {
                    self.reserved += 1;
                    self.is_gap_due = true;
                    self.reset(ResetReason::Reserved, now);
                    progress.reset = Some(ResetReason::Reserved);
                } else if sent.accepted > 0 {
                    self.reserved = 0;
                }
            }
        }
        let channels = &self.channels;
        self.outbox.forget(&head, |part| channels.iter().any(|c| c.channel.id == part.channel));
        self.report(&status);
        posted?;
        sent?;
        progress.phase = self.phase();
        Ok(progress)
    }

    /// Remembers the newest L1 block, and tells with each new one what the account has.
    fn see(&mut self, head: &L1Head) {
        if self.l1_seen.0 != head.block
            && let Ok(balance) = self.l1.balance(self.account)
        {
            self.metrics.balance(balance);
        }
        self.l1_seen = (head.block, head.timestamp);
    }

    /// Counts what waits while L1 does not answer, since [`Self::limits`] depends on it.
    fn watch_l2(&mut self, now: Duration) {
        // A failure here is told when L1 answers again.
        let Ok(status) = self.l2.status() else { return };
        if self.phase() == Phase::Settling {
            let _ = self.count(&status);
        } else if let Ok(Loaded::Reset(reason)) = self.load(&status) {
            self.reset(reason, now);
        }
        self.report(&status);
    }

    fn send(&mut self, head: &L1Head, now: Duration, latest: u64) -> Result<Sent, BatcherError> {
        let is_settling = self.phase() == Phase::Settling;
        self.outbox.send_due(&mut self.l1, head, now, latest, is_settling, &self.metrics)
    }

    /// What the batcher is doing.
    pub const fn phase(&self) -> Phase {
        match self.phase {
            Settle::Settling { .. } => Phase::Settling,
            Settle::Posting => Phase::Posting,
        }
    }

    /// What is not safe yet.
    pub fn backlog(&self) -> Backlog {
        Backlog {
            blocks: self.queue.len(),
            bytes: self.queue.bytes(),
            channels: self.channels.len() + usize::from(self.open.is_some()),
            transactions: self.outbox.pending(),
            is_full: self.is_queue_full(),
        }
    }

    /// What the sequencer may put into the next block, as of the last step: by
    /// [`ThrottlePolicy`](crate::ThrottlePolicy), never more than a channel holds, and nothing when
    /// only a quarter of the sequencing window is left of the oldest block that is not safe. A rollup
    /// whose blocks L1 does not take in time loses what users have in them.
    pub fn limits(&self) -> DataLimits {
        let window = self.rollup.seq_window_size;
        let (l1, l1_timestamp) = self.l1_seen;
        let oldest = self.queue.get(self.queue.base().number.saturating_add(1));
        let is_closing = oldest.is_some_and(|block| {
            let end = block.epoch.number.saturating_add(window);
            l1.number.saturating_add(window / 4) >= end
        });
        if is_closing {
            return DataLimits::NOTHING;
        }
        let unsafe_bytes = if self.is_queue_full() { u64::MAX } else { self.queue.bytes() as u64 };
        self.config.throttle.limits(unsafe_bytes).within(block_capacity(&self.rollup, l1_timestamp))
    }

    /// The newest block up to which everything is in L1 blocks, as far as that is more than what is safe.
    pub fn posted(&self) -> Option<BlockNumHash> {
        let is_complete = |channel: &PendingChannel| {
            channel.span(self.outbox.entries()).is_some_and(|span| span.is_complete)
        };
        let complete = self.channels.iter().take_while(|channel| is_complete(channel));
        complete.last().map(|channel| channel.channel.last)
    }

    /// Closes the open channel at the next step, however small it is.
    pub const fn flush(&mut self) {
        self.flush = true;
    }

    /// The nodes that it works with.
    pub const fn sources(&mut self) -> (&mut L1, &mut L2) {
        (&mut self.l1, &mut self.l2)
    }

    fn post(
        &mut self,
        head: &L1Head,
        polled: &Polled,
        status: &L2Status,
        now: Duration,
        progress: &mut Progress,
    ) -> Result<(), BatcherError> {
        if self.phase() == Phase::Posting
            && let Some(reason) = self.nonce_doubt(polled)
        {
            self.reset(reason, now);
            progress.reset = Some(reason);
        }
        if self.phase() == Phase::Settling && !self.settle(head, polled, status, now)? {
            let loaded = self.count(status)?;
            self.note_loaded(loaded, status, progress);
            return Ok(());
        }
        if let Some(reason) = self.follow(head, status)? {
            if reason == ResetReason::ChannelDropped {
                self.note_drop(status, now);
            }
            self.reset(reason, now);
            progress.reset = Some(reason);
            return Ok(());
        }
        let loaded = self.load(status);
        if let Ok(Loaded::Reset(reason)) = &loaded {
            self.reset(*reason, now);
            progress.reset = Some(*reason);
            return Ok(());
        }
        // One part that fails does not keep the others from going on.
        let packed = self.pack(head);
        let queued = self.queue_transactions(head);
        if let Ok(Loaded::Blocks(blocks)) = loaded {
            self.note_loaded(blocks, status, progress);
        }
        loaded?;
        progress.closed = packed?;
        progress.has_more |= progress.closed > 0 || queued? > 0;
        Ok(())
    }

    fn note_loaded(&self, blocks: usize, status: &L2Status, progress: &mut Progress) {
        progress.loaded = blocks;
        let is_behind = self.queue.tip().number < status.unsafe_head.number;
        progress.has_more |= is_behind && blocks > 0;
    }

    /// Counts a channel that derivation dropped.
    fn note_drop(&mut self, status: &L2Status, now: Duration) {
        let safe_head = status.safe_head.number;
        let in_a_row = self.drops.add(safe_head, now, self.config.submission.patience);
        if in_a_row > 1 {
            tracing::error!(
                chain = self.rollup.l2_chain_id,
                safe_head,
                in_a_row,
                "derivation dropped what was posted, again; its nodes log why"
            );
        }
    }

    /// Whether the nonces on L1 are not those that the batcher counts on.
    fn nonce_doubt(&self, polled: &Polled) -> Option<ResetReason> {
        let is_foreign = polled.latest > self.outbox.next_nonce() || polled.is_superseded;
        let is_gap = polled.latest < self.outbox.first_nonce();
        (is_foreign || is_gap).then_some(ResetReason::Nonce)
    }

    /// Begins anew from the safe head, once everything that is on its way has settled.
    pub(crate) fn reset(&mut self, reason: ResetReason, now: Duration) {
        tracing::warn!(
            chain = self.rollup.l2_chain_id,
            reason = reason.name(),
            channels = self.channels.len(),
            transactions = self.outbox.pending(),
            "began anew from the safe head"
        );
        self.metrics.reset(reason.name());
        self.channels.clear();
        self.open = None;
        self.queue = BlockQueue::default();
        self.outbox.drop_unsent();
        self.phase = Settle::Settling { since: Some(now), settled_at: None };
    }

    pub(crate) const fn account(&self) -> Address {
        self.account
    }

    /// An id that no other channel has.
    pub(crate) fn next_channel_id(&mut self) -> ChannelId {
        let mut seed = [0; 40];
        let (first, second) = seed.split_at_mut(32);
        first.copy_from_slice(self.seed.as_slice());
        second.copy_from_slice(&self.channels_opened.to_be_bytes());
        self.channels_opened += 1;
        ChannelId::from_slice(keccak256(seed).split_at(16).0)
    }

    pub(crate) fn is_queue_full(&self) -> bool {
        self.queue.len() >= self.config.max_pending_blocks
            || self.queue.bytes() >= self.config.max_pending_bytes
    }

    fn report(&self, status: &L2Status) {
        self.metrics.backlog(&self.backlog());
        self.metrics.phase(self.phase());
        self.metrics.heads(status, self.posted_head(status));
        self.metrics.limits(&self.limits());
    }

    /// The newest block up to which everything is in L1 blocks.
    fn posted_head(&self, status: &L2Status) -> u64 {
        let posted = self.posted().map_or(0, |block| block.number);
        posted.max(status.safe_head.number)
    }
}

/// What loading blocks came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    /// So many were loaded.
    Blocks(usize),
    /// What is posted is not canonical any more.
    Reset(ResetReason),
}
