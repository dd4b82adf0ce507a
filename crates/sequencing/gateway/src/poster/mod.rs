//! Post union batches to the inbox.

mod batch;
mod error;
mod local;
mod lookahead;
mod measure;
mod member;
mod plan;
mod room;
mod rpc;
mod settings;
mod settle;
mod sources;

pub use error::{Blocked, PosterError};
pub use local::LocalMember;
pub use lookahead::LookaheadOwners;
pub use member::PosterMember;
pub use room::SlotRoom;
pub(crate) use room::slot_capacity;
pub use rpc::{RpcInbox, RpcMember};
pub use settings::PosterSettings;
pub use sources::{InboxState, L1Inbox, MemberBlocks, MemberStatus, SlotOwners};

use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, ChainId};
use alloy_signer::SignerSync;
use lockstep_batcher::{Account, BlobProver, Drops, L1Head, L1Submit, Outbox, Polled, Sent};
use lockstep_lookahead::Slot;
use lockstep_protocol::UnionConfig;
use measure::Metrics;
use member::Member;
use plan::Plan;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

/// The gateway, to whom proposers delegate their slots.
pub struct GatewayKey {
    /// Its address.
    pub address: Address,
    /// Signs batches for it.
    pub signer: Box<dyn SignerSync + Send + Sync>,
}

impl fmt::Debug for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayKey").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What a [`Poster`] works with.
#[derive(Debug)]
pub struct PosterParts {
    /// An L1 node, and the inbox there.
    pub l1: Box<dyn L1Inbox>,
    /// Who owns slots.
    pub owners: Box<dyn SlotOwners>,
    /// All rollups of the union.
    pub members: Vec<PosterMember>,
    /// Signs batches.
    pub gateway: GatewayKey,
    /// Pays for transactions; anyone may. Nothing else should use it.
    pub payer: Account,
    /// Computes the proofs of blobs.
    pub prover: Box<dyn BlobProver>,
}

/// Why the poster began anew from what L1 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// The inbox has a batch that is none of this poster's, or a reorganisation of L1 took back more than is
    /// remembered.
    OtherBatch,
    /// The inbox refused a batch.
    Reverted,
    /// A batch was derived from, but its blocks did not become safe.
    BatchDropped,
    /// Blocks that are in batches are not canonical any more.
    L2Reorg,
    /// A rollup's safe head went back.
    SafeHeadWentBack,
    /// Another transaction of the account used a nonce, or a reorganisation of L1 took back more than is
    /// remembered.
    Nonce,
    /// A pool holds transactions of the account, of another kind, that the poster does not know.
    Reserved,
}

impl ResetReason {
    /// The name, for logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherBatch => "other_batch",
            Self::Reverted => "reverted",
            Self::BatchDropped => "batch_dropped",
            Self::L2Reorg => "l2_reorg",
            Self::SafeHeadWentBack => "safe_head_went_back",
            Self::Nonce => "nonce",
            Self::Reserved => "reserved",
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PosterProgress {
    /// Whether batches are posted; otherwise it waits until it is known what is left to post.
    pub is_posting: bool,
    /// Whether this step began anew, and why.
    pub reset: Option<ResetReason>,
    /// The slot whose batch was made.
    pub slot: Option<Slot>,
    /// The slot whose batch cannot be posted now, and before which nothing after it can be.
    pub blocked: Option<(Slot, Blocked)>,
    /// Transactions that a pool took for the first time.
    pub sent: usize,
    /// Transactions sent again, as they were or for a higher fee.
    pub resent: usize,
    /// Transactions found in an L1 block.
    pub included: usize,
    /// Transactions that an L1 reorg took back.
    pub vanished: usize,
    /// Whether another step has something to do at once. Otherwise wait for a new block of L1, or for a
    /// second.
    pub has_more: bool,
}

/// Posts the batches of the slots that a gateway owns.
#[derive(Debug)]
pub struct Poster {
    settings: PosterSettings,
    union: UnionConfig,
    block_time: u64,
    l1_chain_id: u64,
    l1: Box<dyn L1Inbox>,
    owners: Box<dyn SlotOwners>,
    members: Vec<Member>,
    gateway: GatewayKey,
    outbox: Outbox<B256>,
    phase: Phase,
    /// The inbox before the batches in `posted`.
    base: InboxState,
    /// Batches on their way or included not long ago, each on the one before.
    posted: VecDeque<PostedBatch>,
    /// Failures that other tries would meet again.
    drops: Drops,
    /// How many times in a row a pool held transactions of the other kind that are not known.
    reserved: u32,
    /// Those wait for nonces that must be used up.
    is_gap_due: bool,
    metrics: Metrics,
    /// The newest L1 block that was seen, and its timestamp.
    l1_seen: (BlockNumHash, u64),
    blocked: Option<(Slot, Blocked)>,
    now: Duration,
}

/// A batch that was made.
#[derive(Debug)]
struct PostedBatch {
    slot: Slot,
    hash: B256,
    /// When the slot ends, in Unix seconds.
    end: u64,
    /// The last block of each rollup in it.
    lasts: BTreeMap<ChainId, BlockNumHash>,
    /// Since which L1 block it should be safe and is not.
    doubted_since: Option<u64>,
}

/// What the poster is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Since when it waits, and since when nothing is on its way.
    Settling {
        since: Option<Duration>,
        idle_since: Option<Duration>,
    },
    Posting,
}

impl Poster {
    /// A poster for the rollups of one union. It keeps nothing on disk: what is left to post follows from the
    /// inbox and from the rollups' safe heads.
    ///
    /// # Errors
    /// If the rollups are not all those of one union, or the settings cannot work.
    pub fn new(settings: PosterSettings, parts: PosterParts) -> Result<Self, PosterError> {
        settings.validate()?;
        let PosterParts { l1, owners, mut members, gateway, payer, prover } = parts;
        members.sort_by_key(|member| member.config.l2_chain_id);
        let first = members.first().map(|member| member.config.clone()).unwrap_or_default();
        let no_union = || PosterError::NoUnion(first.l2_chain_id);
        let union = first.union.clone().ok_or_else(no_union)?;
        for PosterMember { config, .. } in &members {
            let is_same = config.union.as_ref() == Some(&union)
                && config.block_time == first.block_time
                && config.l1_chain_id == first.l1_chain_id;
            if !is_same || !union.chains.contains(&config.l2_chain_id) {
                return Err(PosterError::NoUnion(config.l2_chain_id));
            }
        }
        let outbox = Outbox::new(payer, prover, union.inbox, settings.outbox);
        Ok(Self {
            settings,
            union,
            block_time: first.block_time,
            l1_chain_id: first.l1_chain_id,
            l1,
            owners,
            members: members.into_iter().map(Member::new).collect(),
            gateway,
            outbox,
            phase: Phase::Settling { since: None, idle_since: None },
            base: InboxState::default(),
            posted: VecDeque::new(),
            drops: Drops::default(),
            reserved: 0,
            is_gap_due: false,
            metrics: Metrics,
            l1_seen: Default::default(),
            blocked: None,
            now: Duration::ZERO,
        })
    }

    /// Looks at L1 and the rollups and does what is due. `now` is the Unix time.
    ///
    /// After an error the poster is in a consistent state, and the next step goes on.
    ///
    /// # Errors
    /// [`PosterError`]; [`PosterError::class`] says who must act.
    pub fn step(&mut self, now: Duration) -> Result<PosterProgress, PosterError> {
        self.now = now;
        let outcome = self.advance(now);
        if let Err(error) = &outcome {
            self.metrics.failed(error.class());
        }
        outcome
    }

    /// Whether batches are posted; otherwise the poster waits until it is known what is left to post.
    pub fn is_posting(&self) -> bool {
        self.phase == Phase::Posting
    }

    fn advance(&mut self, now: Duration) -> Result<PosterProgress, PosterError> {
        // Asked first: the size of what waits must be known while L1 does not answer, too.
        let asked = self.ask_members();
        let head = self.l1.head().map_err(PosterError::L1)?;
        self.see(&head);
        let polled = self.outbox.poll(&mut self.l1, &head, &self.metrics)?;
        let mut progress = PosterProgress {
            included: polled.included,
            vanished: polled.vanished,
            ..PosterProgress::default()
        };
        let posted = self.post(&head, &polled, now, &mut progress);
        // What is on its way is looked after even if nothing new can be posted.
        let sent = self.send(&head, now, polled.latest, &mut progress);
        self.outbox.forget(&head, |_| false);
        self.forget();
        self.report();
        progress.is_posting = self.is_posting();
        posted?;
        sent?;
        asked?;
        Ok(progress)
    }

    /// Asks all rollups where they stand, and loads their blocks. The first error, if one fails.
    fn ask_members(&mut self) -> Result<(), PosterError> {
        let PosterSettings { max_blocks_per_step, max_member_bytes, .. } = self.settings;
        let mut outcome = Ok(());
        for member in &mut self.members {
            let asked =
                member.ask().and_then(|()| member.load(max_blocks_per_step, max_member_bytes));
            outcome = outcome.and(asked);
        }
        outcome
    }

    fn post(
        &mut self,
        head: &L1Head,
        polled: &Polled,
        now: Duration,
        progress: &mut PosterProgress,
    ) -> Result<(), PosterError> {
        let Some(inbox) = self.l1.inbox(head.block.hash).map_err(PosterError::L1)? else {
            // Replaced between two questions.
            return Ok(());
        };
        self.metrics.inbox(inbox.next_slot);
        if self.is_posting()
            && let Some(reason) = self.doubt(head, polled, &inbox)?
        {
            self.reset(reason, &inbox, now);
            progress.reset = Some(reason);
        }
        if !self.is_posting() && !self.settle(head, polled, &inbox, now)? {
            return Ok(());
        }
        self.place(head, &inbox)?;
        let Plan { post, mut blocked } = self.plan(head, now)?;
        if let Some((slot, owner)) = post
            && self.outbox.has_room(lockstep_batcher::DataKind::Blobs)
        {
            match self.prepare(slot, owner, head)? {
                Ok(prepared) => {
                    self.queue(prepared, head)?;
                    progress.slot = Some(slot);
                    progress.has_more = true;
                }
                Err(reason) => blocked = Some((slot, reason)),
            }
        }
        progress.blocked = blocked;
        self.note_blocked(blocked);
        Ok(())
    }

    /// Takes a batch into the outbox.
    fn queue(&mut self, prepared: batch::Prepared, head: &L1Head) -> Result<(), PosterError> {
        let batch::Prepared { call, sidecar, posted, blobs } = prepared;
        let gas_limit = call.gas_limit;
        self.outbox.queue_call(posted.hash, call, sidecar, head)?;
        for member in self.members.iter_mut().filter(|member| member.is_placed()) {
            member.take_before(posted.end);
        }
        self.metrics.batch(blobs);
        tracing::info!(
            target: "lockstep_gateway",
            slot = posted.slot, batch = %posted.hash, blobs, gas_limit,
            rollups = posted.lasts.len(),
            "made a union batch"
        );
        self.posted.push_back(posted);
        Ok(())
    }

    /// Whether L1 or the rollups are not as the poster has left them.
    fn doubt(
        &mut self,
        head: &L1Head,
        polled: &Polled,
        inbox: &InboxState,
    ) -> Result<Option<ResetReason>, PosterError> {
        let is_foreign = polled.latest > self.outbox.next_nonce() || polled.is_superseded;
        if is_foreign || polled.latest < self.outbox.first_nonce() {
            return Ok(Some(ResetReason::Nonce));
        }
        let is_ours = |hash: &B256| self.posted.iter().any(|posted| posted.hash == *hash);
        let has_failed = self.outbox.entries().any(|entry| {
            entry.carried().is_some_and(is_ours)
                && entry.inclusion().is_some_and(|inclusion| !inclusion.succeeded)
        });
        if has_failed {
            return Ok(Some(ResetReason::Reverted));
        }
        let is_known =
            *inbox == self.base || self.posted.iter().any(|posted| posted.hash == inbox.head);
        if !is_known {
            return Ok(Some(ResetReason::OtherBatch));
        }
        for member in self.members.iter_mut().filter(|member| member.is_placed()) {
            if let Some(reason) = member.doubt()? {
                return Ok(Some(reason));
            }
        }
        Ok(self.is_dropped(head).then_some(ResetReason::BatchDropped))
    }

    /// Whether a batch was derived from, and its blocks are not safe.
    fn is_dropped(&mut self, head: &L1Head) -> bool {
        let doubt_blocks = self.settings.outbox.submission.doubt_blocks;
        for posted in &mut self.posted {
            let entry = self.outbox.entries().find(|it| it.carried() == Some(&posted.hash));
            let Some(included) = entry.and_then(|entry| entry.inclusion()) else { break };
            let is_missing = self.members.iter().any(|member| {
                let (Some(status), Some(last)) = (member.status(), posted.lasts.get(&member.chain))
                else {
                    return false;
                };
                let is_derived =
                    status.derived_up_to.is_some_and(|at| at.number >= included.block.number);
                is_derived && status.safe_head.number < last.number
            });
            if !is_missing {
                posted.doubted_since = None;
                continue;
            }
            let since = *posted.doubted_since.get_or_insert(head.block.number);
            if head.block.number >= since.saturating_add(doubt_blocks) {
                return true;
            }
        }
        false
    }

    /// Begins anew, once everything that is on its way has settled.
    fn reset(&mut self, reason: ResetReason, inbox: &InboxState, now: Duration) {
        let patience = self.settings.outbox.submission.patience;
        let slots: Vec<Slot> = self.posted.iter().map(|posted| posted.slot).collect();
        let pending = self.outbox.pending();
        match reason {
            // As often as a slot of another gateway ends.
            ResetReason::OtherBatch => tracing::info!(
                target: "lockstep_gateway",
                newest_batch = %inbox.head, next_slot = inbox.next_slot, ?slots, pending,
                "the inbox has a batch of another gateway; going on after it"
            ),
            ResetReason::Reverted | ResetReason::BatchDropped => {
                let in_a_row = self.drops.add(inbox.next_slot, now, patience);
                tracing::error!(
                    target: "lockstep_gateway",
                    reason = reason.name(), ?slots, pending, in_a_row,
                    "a union batch came to nothing; beginning anew from the safe heads"
                );
            }
            _ => tracing::warn!(
                target: "lockstep_gateway",
                reason = reason.name(), ?slots, pending,
                "beginning anew from the safe heads"
            ),
        }
        self.metrics.reset(reason);
        self.posted.clear();
        self.outbox.drop_unsent();
        self.members.iter_mut().for_each(Member::unplace);
        self.phase = Phase::Settling { since: Some(now), idle_since: None };
    }

    fn send(
        &mut self,
        head: &L1Head,
        now: Duration,
        latest: u64,
        progress: &mut PosterProgress,
    ) -> Result<(), PosterError> {
        let is_settling = !self.is_posting();
        let sent =
            self.outbox.send_due(&mut self.l1, head, now, latest, is_settling, &self.metrics)?;
        let Sent { accepted, again, is_reserved } = sent;
        (progress.sent, progress.resent) = (accepted, again);
        if !is_settling && is_reserved {
            self.reserved += 1;
            self.is_gap_due = true;
            let base = self.base;
            self.reset(ResetReason::Reserved, &base, now);
            progress.reset = Some(ResetReason::Reserved);
        } else if !is_settling && accepted > 0 {
            self.reserved = 0;
        }
        Ok(())
    }

    /// Forgets batches whose transactions are forgotten.
    fn forget(&mut self) {
        while let Some(oldest) = self.posted.front() {
            if self.outbox.entries().any(|entry| entry.carried() == Some(&oldest.hash)) {
                break;
            }
            self.base.head = oldest.hash;
            self.base.next_slot = oldest.slot + 1;
            self.posted.pop_front();
        }
    }

    /// Remembers the newest L1 block, and tells with each new one what the account has.
    fn see(&mut self, head: &L1Head) {
        if self.l1_seen.0 != head.block
            && let Ok(balance) = self.l1.balance(self.outbox.account())
        {
            self.metrics.balance(balance);
        }
        self.l1_seen = (head.block, head.timestamp);
    }

    fn note_blocked(&mut self, blocked: Option<(Slot, Blocked)>) {
        if self.blocked == blocked {
            return;
        }
        self.blocked = blocked;
        self.metrics.blocked(blocked.map(|(slot, _)| slot));
        match blocked {
            // For a moment, at the beginning of each epoch.
            Some((slot, reason @ Blocked::NotProvable)) => {
                tracing::debug!(target: "lockstep_gateway", slot, %reason, "a union batch waits");
            }
            Some((slot, reason)) => tracing::warn!(
                target: "lockstep_gateway",
                slot, %reason,
                "the blocks of a slot cannot be posted, nor any after it"
            ),
            None => {}
        }
    }

    fn report(&self) {
        self.metrics.phase(self.is_posting());
        self.metrics.pending(self.outbox.pending());
        self.metrics.room(&self.room());
        for member in &self.members {
            let safe_head = member.status().map_or(0, |status| status.safe_head.number);
            self.metrics.member(member.chain, safe_head, member.queue().len());
        }
    }

    fn placed(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_placed())
    }

    /// The hash of the batch that the next one follows.
    fn newest(&self) -> B256 {
        self.posted.back().map_or(self.base.head, |posted| posted.hash)
    }

    /// The first slot that can have a batch after those that were made.
    fn next_slot(&self) -> Slot {
        self.posted.back().map_or(self.base.next_slot, |posted| posted.slot.saturating_add(1))
    }
}
