//! Post sealed union batches to the inbox.

mod call;
mod drops;
mod error;
mod evidence;
mod local;
mod lookahead;
mod measure;
mod member;
mod plan;
mod reset;
mod rpc;
mod settings;
mod settle;
mod sources;

pub use error::{Blocked, PosterError};
pub use local::LocalMember;
pub use lookahead::LookaheadOwners;
pub use member::PosterMember;
pub use reset::ResetReason;
pub use rpc::{RpcInbox, RpcMember};
pub use settings::PosterSettings;
pub use sources::{InboxState, L1Inbox, MemberStatus, RollupStatus, SlotOwners};

use crate::Ledger;
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256};
use alloy_signer::SignerSync;
use lockstep_batcher::{
    Account, BlobProver, Drops, ErrorClass, L1Head, L1Submit, Outbox, Polled, Sent,
};
use lockstep_lookahead::Slot;
use lockstep_protocol::UnionConfig;
use measure::Metrics;
use member::Member;
use plan::{Chain, Next, Published, SeenInbox};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
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
    /// The batches ([`Sealer::ledger`](crate::Sealer::ledger)).
    pub ledger: Arc<Ledger>,
    /// Pays for transactions; anyone may. Nothing else should use it.
    pub payer: Account,
    /// Computes the proofs of blobs.
    pub prover: Box<dyn BlobProver>,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PosterProgress {
    /// Whether batches are posted; otherwise it waits until it is known what is left to post.
    pub is_posting: bool,
    /// Whether this step began anew, and why.
    pub reset: Option<ResetReason>,
    /// The slot whose batch was taken up.
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

/// What time it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PosterTime {
    /// By the clock, which somebody may set: since the beginning of 1970 (UTC). Whose slots are is asked by it.
    pub unix: Duration,
    /// Since some moment, and never back: what waits, waits by it.
    pub elapsed: Duration,
}

/// Posts the batches that a gateway has sealed.
#[derive(Debug)]
pub struct Poster {
    settings: PosterSettings,
    union: UnionConfig,
    l1: Box<dyn L1Inbox>,
    owners: Box<dyn SlotOwners>,
    members: Vec<Member>,
    ledger: Arc<Ledger>,
    outbox: Outbox<B256>,
    phase: Phase,
    /// Batches on their way or included not long ago, each on the one before.
    posted: VecDeque<Posted>,
    /// Batches of which not all blocks are safe that should be, and since which L1 block that is so.
    doubted: BTreeMap<B256, u64>,
    /// Batches that L1 refused, or derivation dropped, as others would be.
    drops: Drops,
    /// How many times in a row a pool held transactions of the other kind that are not known.
    reserved: u32,
    /// Those wait for nonces that must be used up.
    is_gap_due: bool,
    metrics: Metrics,
    /// The newest L1 block that was seen.
    l1_seen: BlockNumHash,
    /// What the inbox had after L1 blocks that are not deep enough yet.
    history: VecDeque<SeenInbox>,
    /// A batch that is deep enough, and that not all rollups have derived.
    confirmed: Option<B256>,
    /// For when owners were told last.
    published: Option<Published>,
    blocked: Option<(Slot, Blocked)>,
    unix: Duration,
}

/// A batch that was taken up.
#[derive(Debug)]
struct Posted {
    slot: Slot,
    hash: B256,
    /// Of its transaction.
    nonce: u64,
}

/// What the poster is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It waits until it is known what L1 has; since when.
    Settling {
        since: Option<Duration>,
    },
    /// The gateway is to go on from what L1 has.
    Proposed,
    Posting,
}

impl Poster {
    /// A poster for the rollups of one union. What is left to post follows from the inbox, the rollups' safe heads, and
    /// the batches in the ledger.
    ///
    /// # Errors
    /// If the rollups are not all those of one union, or the settings cannot work.
    pub fn new(settings: PosterSettings, parts: PosterParts) -> Result<Self, PosterError> {
        settings.validate()?;
        let PosterParts { l1, owners, mut members, ledger, payer, prover } = parts;
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
            l1,
            owners,
            members: members.into_iter().map(Member::new).collect(),
            ledger,
            outbox,
            phase: Phase::Settling { since: None },
            posted: VecDeque::new(),
            doubted: BTreeMap::new(),
            drops: Drops::default(),
            reserved: 0,
            is_gap_due: false,
            metrics: Metrics,
            l1_seen: BlockNumHash::default(),
            history: VecDeque::new(),
            confirmed: None,
            published: None,
            blocked: None,
            unix: Duration::ZERO,
        })
    }

    /// Looks at L1 and the rollups and does what is due.
    ///
    /// After an error the poster is in a consistent state, and the next step goes on. While an operator must act
    /// ([`PosterError::class`]), the gateway takes no users' transactions.
    ///
    /// # Errors
    /// [`PosterError`]; [`PosterError::class`] says who must act.
    pub fn step(&mut self, now: PosterTime) -> Result<PosterProgress, PosterError> {
        self.unix = now.unix;
        let outcome = self.advance(now.elapsed);
        match &outcome {
            Ok(_) => self.ledger.set_failure(None),
            Err(error) => {
                self.metrics.failed(error.class());
                if error.class() == ErrorClass::Critical {
                    self.ledger.set_failure(Some(error.to_string()));
                }
            }
        }
        outcome
    }

    /// Whether batches are posted; otherwise the poster waits until it is known what is left to post.
    pub fn is_posting(&self) -> bool {
        self.phase == Phase::Posting
    }

    fn advance(&mut self, now: Duration) -> Result<PosterProgress, PosterError> {
        let mut asked = Ok(());
        for member in &mut self.members {
            asked = asked.and(member.ask());
        }
        let published = self.publish_owners();
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
        published?;
        asked?;
        Ok(progress)
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
        let slot = self.union.slot_at(head.timestamp).unwrap_or_default();
        self.ledger.see(inbox, head.block.number, slot);
        self.void_dropped(head)?;
        if self.is_posting()
            && let Some(reason) = self.doubt(head, polled, &inbox)
        {
            self.reset(reason, &inbox, now);
            progress.reset = Some(reason);
        }
        // Also while it is not known what else there is to post.
        if let Some(chain) = self.ledger.chain() {
            self.tell(&Chain::new(chain, &inbox), head, &inbox, slot);
        }
        if !self.is_posting() && !self.settle(head, polled, &inbox, now)? {
            return Ok(());
        }
        let Some(chain) = self.ledger.chain() else { return Ok(()) };
        let chain = Chain::new(chain, &inbox);
        match self.post_next(&chain, head, slot)? {
            Next::Nothing => {}
            Next::Posted(slot) => {
                progress.slot = Some(slot);
                progress.has_more = true;
            }
            Next::Blocked(slot, reason) => progress.blocked = Some((slot, reason)),
        }
        self.note_blocked(progress.blocked);
        Ok(())
    }

    /// Sees to it that batches that the gateway has given up do not come into L1.
    fn void_dropped(&mut self, head: &L1Head) -> Result<(), PosterError> {
        let sealed = self.ledger.hashes();
        let is_void = |hash: &B256| !sealed.contains(hash);
        let voided = self.outbox.void(head, is_void)?;
        self.posted.retain(|posted| !is_void(&posted.hash));
        if voided > 0 {
            tracing::warn!(
                target: "lockstep_gateway",
                voided,
                "transactions with batches that were given up are replaced by ones that do nothing"
            );
        }
        Ok(())
    }

    /// Whether L1 or the rollups are not as the poster has left them.
    fn doubt(&mut self, head: &L1Head, polled: &Polled, inbox: &InboxState) -> Option<ResetReason> {
        let is_foreign = polled.latest > self.outbox.next_nonce() || polled.is_superseded;
        if is_foreign || polled.latest < self.outbox.first_nonce() {
            return Some(ResetReason::Nonce);
        }
        let chain = self.ledger.chain().map(|chain| Chain::new(chain, inbox));
        // What the inbox has all the same somebody else has posted before.
        let has = |hash: &B256| chain.as_ref().is_some_and(|chain| chain.has(hash));
        let is_ours = |nonce: u64| {
            self.posted.iter().any(|posted| posted.nonce == nonce && !has(&posted.hash))
        };
        let has_failed = self.outbox.entries().any(|entry| {
            is_ours(entry.nonce()) && entry.inclusion().is_some_and(|it| !it.succeeded)
        });
        if has_failed {
            return Some(ResetReason::Reverted);
        }
        let chain = chain.filter(|_| !self.ledger.is_doubtful());
        let Some(chain) = chain else { return Some(ResetReason::GivenUp) };
        if chain.taken.is_none() {
            return Some(ResetReason::OtherBatch);
        }
        let has_lost = |member: &Member| {
            let cursor = chain.base.cursors.get(&member.chain);
            cursor.is_some_and(|cursor| member.safe().is_some_and(|safe| safe < cursor.number))
        };
        if self.members.iter().any(has_lost) {
            return Some(ResetReason::SafeHeadWentBack);
        }
        self.is_dropped(&chain, head).then_some(ResetReason::BatchDropped)
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
            self.reset(ResetReason::Reserved, &InboxState::default(), now);
            progress.reset = Some(ResetReason::Reserved);
        } else if !is_settling && accepted > 0 {
            self.reserved = 0;
        }
        Ok(())
    }

    /// Forgets batches whose transactions are forgotten.
    fn forget(&mut self) {
        let first = self.outbox.first_nonce();
        while self.posted.pop_front_if(|posted| posted.nonce < first).is_some() {}
    }

    /// Remembers the newest L1 block, and tells with each new one what the account has.
    fn see(&mut self, head: &L1Head) {
        if self.l1_seen != head.block
            && let Ok(balance) = self.l1.balance(self.outbox.account())
        {
            self.metrics.balance(balance);
        }
        self.l1_seen = head.block;
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
                "the batch of a slot cannot be posted, nor any after it"
            ),
            None => {}
        }
    }

    fn report(&self) {
        self.metrics.phase(self.is_posting());
        self.metrics.pending(self.outbox.pending());
        for member in &self.members {
            self.metrics.member(member.chain, member.safe().unwrap_or_default());
        }
    }
}
