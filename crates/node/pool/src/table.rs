//! All transactions, by sender and nonce, with the indices over them.

use crate::{
    PoolConfig, PoolTransaction, Pooled,
    blobs::BlobIndex,
    evict::Evictors,
    head::Head,
    sender::{Account, Entry, Sender, Standing},
};
use alloy_consensus::BlockHeader;
use alloy_primitives::{
    Address, B256,
    map::{AddressMap, B256Map},
};
use std::sync::Arc;

/// Which limits a transaction counts towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubPool {
    Pending,
    Queued,
    Blob,
}

impl SubPool {
    pub(crate) const ALL: [Self; 3] = [Self::Pending, Self::Queued, Self::Blob];

    pub(crate) fn of<C: Pooled>(tx: &PoolTransaction<C>, standing: &Standing) -> Self {
        match (tx.is_blob(), standing.pending) {
            (true, _) => Self::Blob,
            (false, true) => Self::Pending,
            (false, false) => Self::Queued,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Blob => "blob",
        }
    }
}

/// What a sub-pool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) transactions: usize,
    pub(crate) bytes: usize,
}

/// The usage of each sub-pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usages {
    pub(crate) pending: Usage,
    pub(crate) queued: Usage,
    pub(crate) blob: Usage,
    /// What privileged transactions take of each, in the order of [`SubPool::ALL`].
    privileged: [Usage; 3],
    /// Pending ones among the blob transactions.
    pub(crate) pending_blobs: usize,
}

impl Usages {
    pub(crate) const fn of(&self, pool: SubPool) -> Usage {
        match pool {
            SubPool::Pending => self.pending,
            SubPool::Queued => self.queued,
            SubPool::Blob => self.blob,
        }
    }

    /// What privileged transactions take of a sub-pool.
    pub(crate) const fn privileged(&self, pool: SubPool) -> Usage {
        let [pending, queued, blob] = self.privileged;
        match pool {
            SubPool::Pending => pending,
            SubPool::Queued => queued,
            SubPool::Blob => blob,
        }
    }

    fn change<C: Pooled>(&mut self, tx: &PoolTransaction<C>, standing: &Standing, enters: bool) {
        let step = |count: &mut usize, by: usize| {
            *count = if enters { *count + by } else { count.saturating_sub(by) };
        };
        let pool = SubPool::of(tx, standing);
        if pool == SubPool::Blob && standing.pending {
            step(&mut self.pending_blobs, 1);
        }
        let [pending, queued, blob] = &mut self.privileged;
        let (usage, privileged) = match pool {
            SubPool::Pending => (&mut self.pending, pending),
            SubPool::Queued => (&mut self.queued, queued),
            SubPool::Blob => (&mut self.blob, blob),
        };
        step(&mut usage.transactions, 1);
        step(&mut usage.bytes, tx.size);
        if tx.origin.is_privileged() {
            step(&mut privileged.transactions, 1);
            step(&mut privileged.bytes, tx.size);
        }
    }
}

/// Everything behind the pool's lock.
#[derive(Debug)]
pub(crate) struct Table<C: Pooled> {
    pub(crate) head: Arc<Head<C>>,
    pub(crate) config: PoolConfig,
    pub(crate) senders: AddressMap<Sender<C>>,
    pub(crate) by_hash: B256Map<(Address, u64)>,
    /// How many transactions here name the account as an authority (EIP-7702).
    pub(crate) authorities: AddressMap<usize>,
    pub(crate) usages: Usages,
    pub(crate) evictors: Evictors,
    pub(crate) blobs: BlobIndex<C>,
}

impl<C: Pooled> Table<C> {
    pub(crate) fn new(head: Arc<Head<C>>, config: PoolConfig) -> Self {
        Self {
            head,
            config,
            senders: AddressMap::default(),
            by_hash: B256Map::default(),
            authorities: AddressMap::default(),
            usages: Usages::default(),
            evictors: Evictors::default(),
            blobs: BlobIndex::new(config.recent),
        }
    }

    pub(crate) fn entry(&self, hash: &B256) -> Option<&Entry<C>> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        self.senders.get(sender)?.entries.get(nonce)
    }

    /// Puts a transaction in, in place of one with the same sender and nonce, which is returned.
    /// Standings must be computed anew from its nonce on.
    pub(crate) fn insert(
        &mut self,
        tx: Arc<PoolTransaction<C>>,
        account: Account,
    ) -> Option<Entry<C>> {
        let (sender, nonce) = (tx.sender, tx.nonce());
        let replaced = self.take(sender, nonce);
        for authority in &tx.authorities {
            *self.authorities.entry(*authority).or_default() += 1;
        }
        self.by_hash.insert(tx.hash, (sender, nonce));
        self.blobs.insert(&tx);
        let sender = self.senders.entry(sender).or_insert_with(|| Sender::new(account));
        sender.account = Some(account);
        let announced = false;
        sender.insert(Entry { tx, standing: None, queued_since: 0, announced });
        replaced
    }

    /// Takes a transaction out. Standings must be computed anew from its nonce on.
    pub(crate) fn take(&mut self, address: Address, nonce: u64) -> Option<Entry<C>> {
        let sender = self.senders.get_mut(&address)?;
        let entry = sender.remove(nonce)?;
        if let Some(standing) = &entry.standing {
            sender.ready_count = sender.ready_count.saturating_sub(standing.ready.into());
            self.usages.change(&entry.tx, standing, false);
        }
        if sender.entries.is_empty() {
            self.senders.remove(&address);
        }
        self.by_hash.remove(&entry.tx.hash);
        self.blobs.remove(&entry.tx);
        for authority in &entry.tx.authorities {
            if let Some(count) = self.authorities.get_mut(authority) {
                *count -= 1;
                if *count == 0 {
                    self.authorities.remove(authority);
                }
            }
        }
        Some(entry)
    }

    /// Takes a transaction out, and lets those after it stand as they then do.
    pub(crate) fn remove(&mut self, address: Address, nonce: u64) -> Option<Entry<C>> {
        let entry = self.take(address, nonce)?;
        self.stand(address, nonce, false, &mut Vec::new());
        Some(entry)
    }

    /// Computes the standings of a sender's transactions from `nonce` on, until one does not
    /// change; of all of them, if `all`. Adds to `risen` those to announce.
    pub(crate) fn stand(
        &mut self,
        address: Address,
        nonce: u64,
        all: bool,
        risen: &mut Vec<Arc<PoolTransaction<C>>>,
    ) {
        let Some(sender) = self.senders.get_mut(&address) else { return };
        let (next, number) = (self.head.next, self.head.header.number());
        let account = sender.account;
        let mut before = sender.before(nonce);
        let mut changed = false;
        let Sender { entries, ready_count, .. } = sender;
        for (nonce, entry) in entries.range_mut(nonce..) {
            let standing = Standing::new(&entry.tx, account.as_ref(), before, next);
            before = Some((*nonce, standing));
            if entry.standing == Some(standing) {
                if all {
                    continue;
                }
                break;
            }
            changed = true;
            if let Some(old) = &entry.standing {
                *ready_count = ready_count.saturating_sub(old.ready.into());
                self.usages.change(&entry.tx, old, false);
            }
            *ready_count += u64::from(standing.ready);
            self.usages.change(&entry.tx, &standing, true);
            self.evictors.note(&entry.tx, &standing);
            if !standing.pending && (entry.standing.is_none() || entry.is_pending()) {
                entry.queued_since = number;
            }
            if standing.pending && !entry.announced {
                entry.announced = true;
                risen.push(entry.tx.clone());
            }
            entry.standing = Some(standing);
        }
        if changed {
            sender.forget_ready();
        }
    }

    /// Drops transactions, unless they are privileged, that were queued for too long; returns how many.
    pub(crate) fn expire(&mut self) -> usize {
        let number = self.head.header.number();
        let lifetime = self.config.queued_lifetime_blocks;
        let is_expired = |entry: &&Entry<C>| {
            !entry.is_pending()
                && !entry.tx.origin.is_privileged()
                && number.saturating_sub(entry.queued_since) > lifetime
        };
        let entries = self.senders.values().flat_map(|sender| sender.entries.values());
        let expired: Vec<_> =
            entries.filter(is_expired).map(|e| (e.tx.sender, e.tx.nonce())).collect();
        for (sender, nonce) in &expired {
            self.remove(*sender, *nonce);
        }
        expired.len()
    }
}
