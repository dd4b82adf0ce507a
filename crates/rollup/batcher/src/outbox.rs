//! Transactions on their way into L1: nonces, fees, and what pools say.

use crate::{
    BatcherError, BlobProofs, BlobProver, DataKind, FeePolicy, L1Head, L1Submit, NonceAt,
    SubmissionPolicy, TransactionMetrics,
    entry::{Entry, NonceState, Taken},
    send::{Sender, Sent},
    transaction::{Account, Call, Payload},
};
use alloy_eips::{eip4844::Blob, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Address, B256, Bytes};
use std::{collections::VecDeque, time::Duration};

/// Nonces between the chain and the first transaction of ours that are filled.
const MAX_FILL: u64 = 64;

/// What [`Outbox::poll`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// The next nonce after the newest block.
    pub latest: u64,
    /// Transactions that are included now and were not before.
    pub included: usize,
    /// Transactions that were included and are not any more.
    pub vanished: usize,
    /// A nonce was used by a transaction that is none of ours.
    pub is_superseded: bool,
}

/// How transactions are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxConfig {
    /// Fees.
    pub fees: FeePolicy,
    /// How they are watched.
    pub submission: SubmissionPolicy,
    /// When L1 activates Osaka (Unix seconds): from then on pools take blobs with cell proofs
    /// (EIP-7594), before with blob proofs.
    pub l1_osaka_time: Option<u64>,
    /// Seconds from one L1 block to the next.
    pub l1_block_time: u64,
}

impl OutboxConfig {
    /// Whether the settings can work.
    ///
    /// # Errors
    /// [`BatcherError::Config`] for the first that cannot.
    pub fn validate(&self) -> Result<(), BatcherError> {
        self.fees.validate()?;
        self.submission.validate()
    }
}

/// Transactions of one account to one inbox, by nonce, without gaps. Each carries a `T`, or only uses
/// up its nonce.
///
/// It brings each of them into L1: watches where it is included, sends it again after an L1 reorg, and
/// offers more when it waits too long. The rules are those in the documentation of the crate.
#[derive(Debug)]
pub struct Outbox<T> {
    account: Account,
    prover: Box<dyn BlobProver>,
    inbox: Address,
    config: OutboxConfig,
    entries: VecDeque<Entry<T>>,
    next_nonce: u64,
    last_head: Option<B256>,
}

impl<T> Outbox<T> {
    /// Transactions from `account` to `inbox`; there is none yet.
    pub fn new(
        account: Account,
        prover: Box<dyn BlobProver>,
        inbox: Address,
        config: OutboxConfig,
    ) -> Self {
        Self {
            account,
            prover,
            inbox,
            config,
            entries: VecDeque::new(),
            next_nonce: 0,
            last_head: None,
        }
    }

    /// What is remembered, by nonce.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry<T>> {
        self.entries.iter()
    }

    /// Who pays.
    pub const fn account(&self) -> Address {
        self.account.address
    }

    /// The nonce of the next transaction.
    pub const fn next_nonce(&self) -> u64 {
        self.next_nonce
    }

    /// The first nonce that is known.
    pub fn first_nonce(&self) -> u64 {
        self.entries.front().map_or(self.next_nonce, |entry| entry.nonce)
    }

    /// How many transactions wait for inclusion.
    pub fn pending(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_pending()).count()
    }

    /// Whether there is room for another transaction of this kind. Pools hold transactions of one
    /// kind per account only.
    pub fn has_room(&self, kind: DataKind) -> bool {
        let other = kind.other();
        self.pending() < self.config.submission.max_pending
            && !self.is_crowded()
            && !self.entries.iter().any(|entry| entry.is_pending() && entry.payload.kind() == other)
    }

    /// Whether so many transactions are remembered that there is no room for one more.
    pub fn is_crowded(&self) -> bool {
        self.entries.len() >= self.config.submission.max_tracked
    }

    /// Learns from L1 which transactions are included.
    ///
    /// # Errors
    /// If the node does not answer.
    pub fn poll(
        &mut self,
        l1: &mut impl L1Submit,
        head: &L1Head,
        metrics: &dyn TransactionMetrics,
    ) -> Result<Polled, BatcherError> {
        let latest = l1.nonce(self.account.address, NonceAt::Latest).map_err(BatcherError::L1)?;
        let continues =
            self.last_head.is_some_and(|last| last == head.block.hash || last == head.parent_hash);
        let mut polled = Polled { latest, ..Polled::default() };
        for entry in &mut self.entries {
            let before = entry.state;
            if entry.nonce >= latest {
                entry.doubted_since = None;
                if before != NonceState::Pending {
                    // A reorg took it back; the pools may have forgotten it.
                    entry.state = NonceState::Pending;
                    entry.send_at = Duration::ZERO;
                    entry.taken = Taken::Perhaps;
                    polled.vanished += usize::from(before != NonceState::Superseded);
                }
                continue;
            }
            if continues && before != NonceState::Pending {
                continue;
            }
            let found = entry.find(l1)?;
            entry.learn(found, head.block.number, self.config.submission.doubt_blocks);
            if let (NonceState::Pending, NonceState::Included(inclusion)) = (before, entry.state) {
                polled.included += 1;
                metrics.included(entry.payload.kind(), &inclusion);
                entry.report(&inclusion);
            }
        }
        // Only now: if a question failed, all are asked again.
        self.last_head = Some(head.block.hash);
        polled.is_superseded =
            self.entries.iter().any(|entry| entry.state == NonceState::Superseded);
        Ok(polled)
    }

    /// Takes a transaction that carries `part`, which is sent by the next [`Self::send_due`].
    pub(crate) fn queue(
        &mut self,
        part: T,
        content: Content,
        head: &L1Head,
    ) -> Result<(), BatcherError> {
        let payload = self.payload(Some(part), content, head)?;
        self.push(payload, head)
    }

    /// The sidecar with these blobs, and the proofs that L1 wants after `head`.
    ///
    /// # Errors
    /// [`BatcherError::Kzg`] if one of them is not a blob.
    pub fn sidecar(
        &self,
        blobs: Vec<Blob>,
        head: &L1Head,
    ) -> Result<BlobTransactionSidecarVariant, BatcherError> {
        self.prover.sidecar(blobs, self.proofs(head))
    }

    /// Takes a transaction that calls the inbox and carries `part` in the blobs of `sidecar`; the next
    /// [`Self::send_due`] sends it.
    ///
    /// # Errors
    /// [`BatcherError::Signer`] if it is not signed.
    pub fn queue_call(
        &mut self,
        part: T,
        call: Call,
        sidecar: BlobTransactionSidecarVariant,
        head: &L1Head,
    ) -> Result<(), BatcherError> {
        self.push(Payload::blobs(self.inbox, Some(part), sidecar, call), head)
    }

    fn push(&mut self, payload: Payload<T>, head: &L1Head) -> Result<(), BatcherError> {
        let fees = self.config.fees.first(head, payload.kind());
        let attempt = payload.sign(&self.account, self.next_nonce, fees)?;
        self.entries.push_back(Entry::new(self.next_nonce, payload, attempt, head));
        self.next_nonce += 1;
        Ok(())
    }

    /// Sends what is new, what a reorg took back, and what waited too long. `latest` is what
    /// [`Self::poll`] found; with `is_settling` what transactions carry is not needed any more, but
    /// their nonces must be used.
    ///
    /// # Errors
    /// If the node does not answer, or refuses.
    pub fn send_due(
        &mut self,
        l1: &mut impl L1Submit,
        head: &L1Head,
        now: Duration,
        latest: u64,
        is_settling: bool,
        metrics: &dyn TransactionMetrics,
    ) -> Result<Sent, BatcherError> {
        let proofs = self.proofs(head);
        let mut sent = Sent::default();
        let mut is_first = true;
        let due = self.entries.iter_mut().filter(|e| e.is_pending() && e.nonce >= latest);
        for entry in due {
            let sender = Sender {
                account: &self.account,
                prover: self.prover.as_ref(),
                fees: &self.config.fees,
                policy: &self.config.submission,
                proofs,
                head,
                now,
                metrics,
                is_first,
                is_settling,
            };
            is_first = false;
            if now < entry.send_at {
                continue;
            }
            // What the pool does not take leaves a gap, in which the ones behind are of no use.
            if !sender.send(l1, entry, &mut sent)? {
                break;
            }
        }
        Ok(sent)
    }

    /// Uses up the nonces from `latest` on that no transaction of ours has: those before ours, and
    /// those before `pending`, which a pool knows more of than this outbox.
    ///
    /// # Errors
    /// If a transaction could not be made.
    pub fn fill(
        &mut self,
        latest: u64,
        pending: u64,
        kind: DataKind,
        head: &L1Head,
    ) -> Result<(), BatcherError> {
        let first = self.first_nonce();
        for nonce in (latest..first).rev().take(MAX_FILL as usize) {
            let entry = self.cancel(nonce, kind, head)?;
            self.entries.push_front(entry);
        }
        let end = pending.min(self.next_nonce.saturating_add(MAX_FILL));
        while self.next_nonce < end && !self.is_crowded() {
            let entry = self.cancel(self.next_nonce, kind, head)?;
            self.entries.push_back(entry);
            self.next_nonce += 1;
        }
        Ok(())
    }

    /// Begins anew at nonce `latest`; nothing may be pending.
    pub fn restart_at(&mut self, latest: u64) {
        if self.next_nonce != latest {
            self.entries.clear();
            self.next_nonce = latest;
        }
        // What others did with our nonces is no news after a restart.
        while self.entries.iter().any(|entry| entry.state == NonceState::Superseded) {
            self.entries.pop_front();
        }
    }

    /// Takes back the newest transactions that no pool can have.
    pub fn drop_unsent(&mut self) {
        while self.entries.back().is_some_and(|e| e.is_pending() && e.taken == Taken::No) {
            self.entries.pop_back();
            self.next_nonce -= 1;
        }
    }

    /// Makes transactions that wait for inclusion ones that do nothing, if they carry what `is_void` says is not to come
    /// into L1 any more, and offers more for them at once. How many. One that a pool has may be included
    /// all the same.
    ///
    /// # Errors
    /// If one of them could not be made.
    pub fn void(
        &mut self,
        head: &L1Head,
        is_void: impl Fn(&T) -> bool,
    ) -> Result<usize, BatcherError> {
        let mut count = 0;
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get(at) else { break };
            if !entry.is_pending() || !entry.carried().is_some_and(&is_void) {
                continue;
            }
            let kind = entry.payload.kind();
            let last = entry.attempts.last().map(|attempt| attempt.fees);
            let fees = last.and_then(|fees| self.config.fees.replacement(&fees, head, kind));
            let payload = self.payload(None, Content::nothing(kind), head)?;
            let fees = fees.or(last).unwrap_or_else(|| self.config.fees.first(head, kind));
            let attempt = payload.sign(&self.account, entry.nonce, fees)?;
            if let Some(entry) = self.entries.get_mut(at) {
                entry.payload = payload;
                entry.attempts.push(attempt);
                entry.priced_at = head.block.number;
                entry.send_at = Duration::ZERO;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Forgets the oldest transactions that are included, as long as `is_needed` lets go of them and
    /// they are deep enough, or there is no room.
    pub fn forget(&mut self, head: &L1Head, is_needed: impl Fn(&T) -> bool) {
        while let Some(entry) = self.entries.front() {
            let Some(inclusion) = entry.inclusion() else { break };
            let depth = (head.block.number + 1).saturating_sub(inclusion.block.number);
            let is_deep = depth >= self.config.submission.confirmations || self.is_crowded();
            if !is_deep || entry.payload.part.as_ref().is_some_and(&is_needed) {
                break;
            }
            self.entries.pop_front();
        }
    }

    fn cancel(&self, nonce: u64, kind: DataKind, head: &L1Head) -> Result<Entry<T>, BatcherError> {
        let payload = self.payload(None, Content::nothing(kind), head)?;
        let attempt = payload.sign(&self.account, nonce, self.config.fees.first(head, kind))?;
        Ok(Entry::new(nonce, payload, attempt, head))
    }

    fn payload(
        &self,
        part: Option<T>,
        content: Content,
        head: &L1Head,
    ) -> Result<Payload<T>, BatcherError> {
        // What only uses up a nonce must not look like data.
        let to = if part.is_some() { self.inbox } else { self.account.address };
        Ok(match content {
            Content::Calldata(input) => Payload::calldata(to, part, input),
            Content::Blobs(blobs) => {
                Payload::blobs(to, part, self.sidecar(blobs, head)?, Call::default())
            }
        })
    }

    fn proofs(&self, head: &L1Head) -> BlobProofs {
        let next = head.timestamp.saturating_add(self.config.l1_block_time);
        if self.config.l1_osaka_time.is_some_and(|time| next >= time) {
            BlobProofs::Cell
        } else {
            BlobProofs::Blob
        }
    }
}

/// What a transaction carries.
#[derive(Debug)]
pub(crate) enum Content {
    Calldata(Bytes),
    Blobs(Vec<Blob>),
}

impl Content {
    /// What only uses up a nonce.
    fn nothing(kind: DataKind) -> Self {
        match kind {
            DataKind::Calldata => Self::Calldata(Bytes::new()),
            DataKind::Blobs => Self::Blobs(vec![Default::default()]),
        }
    }
}
