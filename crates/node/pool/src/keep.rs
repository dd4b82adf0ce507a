//! Which transactions go to the journal, and how they come back.

use crate::{
    JournalReport, Origin, Pool, PoolConfig, PoolError, PoolTransaction, Pooled, SubPoolLimit,
    journal::Journal, pool::Shared,
};
use alloy_consensus::{
    BlockHeader, Transaction,
    transaction::{SignerRecoverable, TxHashRef},
};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, map::B256Set};
use std::{collections::VecDeque, path::Path, sync::Arc};

/// After each new head so many waiting records are tried again,
const RETRIES_PER_HEAD: usize = 64;

/// and, but for the first, no more than so many bytes of them.
const RETRY_BYTES_PER_HEAD: usize = 1024 * 1024;

/// A transaction of the journal that cannot enter now, but could at another head.
#[derive(Debug)]
pub(crate) struct Record {
    origin: Origin,
    hash: B256,
    nonce: u64,
    encoded: Vec<u8>,
    /// The head's number when it was first refused.
    since: u64,
}

/// All such records, those first that are to be tried first.
///
/// Together they take no more than the pool itself may hold.
#[derive(Debug)]
pub(crate) struct Waiting {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
    limit: SubPoolLimit,
}

impl Waiting {
    pub(crate) fn new(config: &PoolConfig) -> Self {
        let parts = [config.pending, config.queued, config.blobs];
        let sum = |part: fn(&SubPoolLimit) -> usize| {
            parts.iter().map(part).fold(0, usize::saturating_add)
        };
        let limit =
            SubPoolLimit { transactions: sum(|part| part.transactions), bytes: sum(|p| p.bytes) };
        Self { records: VecDeque::new(), bytes: 0, limit }
    }

    /// Takes a record, if there is room.
    fn push(&mut self, record: Arc<Record>) -> bool {
        let bytes = self.bytes.saturating_add(record.encoded.len());
        if self.records.len() >= self.limit.transactions || bytes > self.limit.bytes {
            return false;
        }
        self.bytes = bytes;
        self.records.push_back(record);
        true
    }

    fn take(&mut self) -> VecDeque<Arc<Record>> {
        self.bytes = 0;
        std::mem::take(&mut self.records)
    }

    /// Takes the records of another journal, unless they were in this one, too.
    fn extend(&mut self, records: VecDeque<Arc<Record>>) {
        let known: B256Set = self.records.iter().map(|record| record.hash).collect();
        for record in records {
            if !known.contains(&record.hash) {
                self.push(record);
            }
        }
    }

    fn remove(&mut self, record: &Arc<Record>) {
        if let Some(at) = self.records.iter().position(|other| Arc::ptr_eq(other, record)) {
            self.records.remove(at);
            self.bytes = self.bytes.saturating_sub(record.encoded.len());
        }
    }

    /// The records to be tried at the next head; they go to the end of the queue.
    fn turn(&mut self) -> Vec<Arc<Record>> {
        let mut bytes = 0;
        let fits = |record: &&Arc<Record>| {
            let is_first = bytes == 0;
            bytes += record.encoded.len();
            is_first || bytes <= RETRY_BYTES_PER_HEAD
        };
        let turn: Vec<_> =
            self.records.iter().take(RETRIES_PER_HEAD).take_while(fits).cloned().collect();
        self.records.rotate_left(turn.len());
        turn
    }

    fn by_nonce(&self) -> Vec<Arc<Record>> {
        let mut records: Vec<_> = self.records.iter().cloned().collect();
        records.sort_by_key(|record| record.nonce);
        records
    }
}

impl<C: Pooled> Pool<C> {
    /// Loads the transactions of the journal at `path`, which need not exist, and from now on
    /// keeps those of this node's users there (all, with
    /// [`crate::PoolConfig::journal_external`]).
    ///
    /// A kill of the process loses no transaction that was acknowledged; a loss of power may lose
    /// those of the last seconds. Damage is skipped and reported. A transaction that the pool
    /// refuses now, but might take at another head, stays in the journal and is tried again after
    /// new heads, for [`crate::PoolConfig::queued_lifetime_blocks`].
    ///
    /// # Errors
    /// [`PoolError::Journal`] if the file cannot be read, written, or is open elsewhere.
    pub fn open_journal(&self, path: &Path) -> Result<JournalReport, PoolError> {
        let mut slot = self.shared.journal.lock();
        // The last journal, if there is one, is closed first: it may be the same file.
        *slot = None;
        drop(slot);
        let before = self.shared.waiting.lock().take();
        let opened = Journal::open(path, |origin, encoded| self.replay(origin, encoded));
        // Some were refused for want of what came later in the file.
        let again = self.shared.waiting.lock().by_nonce();
        let entered = again.iter().filter(|record| self.retry(record)).count();
        let waiting = {
            let mut waiting = self.shared.waiting.lock();
            let count = waiting.records.len();
            waiting.extend(before);
            count
        };
        let (mut journal, mut report) = opened?;
        report.waiting = waiting;
        report.loaded += entered;
        report.rejected = report.rejected.saturating_sub(entered + report.waiting);
        let JournalReport { loaded, waiting, rejected, damaged, damaged_bytes, torn_bytes } =
            report;
        let file = path.display();
        if damaged > 0 || torn_bytes > 0 {
            tracing::warn!(%file, damaged, damaged_bytes, torn_bytes, "transaction journal was damaged; the rest was read");
        }
        tracing::info!(%file, loaded, waiting, rejected, "transaction journal was loaded");
        let mut slot = self.shared.journal.lock();
        journal.rewrite(self.shared.kept())?;
        *slot = Some(journal);
        Ok(report)
    }

    /// Adds a transaction of the journal; `false` if the pool does not take it now.
    fn replay(&self, origin: Origin, encoded: &[u8]) -> bool {
        let tx = match self.decode(encoded) {
            Ok(tx) => tx,
            Err(error) => {
                tracing::debug!(%error, "journalled transaction was dropped");
                return false;
            }
        };
        let Err(error) = self.add(tx.clone(), origin) else { return true };
        let hash = *tx.tx_hash();
        if matches!(error, PoolError::AlreadyKnown { .. }) {
            return true;
        }
        if matches!(error, PoolError::NonceTooLow { .. }) {
            self.shared.remember(tx, origin);
        } else if error.is_permanent() {
            tracing::debug!(%hash, %error, "journalled transaction was dropped");
        } else {
            let since = self.shared.head().header.number();
            let nonce = tx.nonce();
            let record = Record { origin, hash, nonce, encoded: encoded.to_vec(), since };
            if self.shared.waiting.lock().push(Arc::new(record)) {
                tracing::debug!(%hash, %error, "journalled transaction waits for another head");
            } else {
                tracing::warn!(%hash, %error, "journalled transaction was dropped: too many wait");
            }
        }
        false
    }

    /// Tries some of the waiting records again, after a new head.
    pub(crate) fn retry_waiting(&self) {
        let turn = self.shared.waiting.lock().turn();
        for record in turn {
            self.retry(&record);
        }
    }

    /// Whether a record that waits enters now. It no longer waits if it does, or if it never will.
    fn retry(&self, record: &Arc<Record>) -> bool {
        let added = self.decode(&record.encoded).and_then(|tx| {
            let added = self.add(tx.clone(), record.origin);
            if matches!(added, Err(PoolError::NonceTooLow { .. })) {
                self.shared.remember(tx, record.origin);
            }
            added
        });
        let waited = self.shared.head().header.number().saturating_sub(record.since);
        if let Err(error) = &added
            && !error.is_permanent()
        {
            if waited <= self.shared.config.queued_lifetime_blocks {
                return false;
            }
            tracing::warn!(%error, waited, "journalled transaction was dropped: it waited too long");
        }
        // Only now: until it is in the pool, a rewritten journal has it from here.
        self.shared.waiting.lock().remove(record);
        added.is_ok()
    }
}

impl<C: Pooled> Shared<C> {
    pub(crate) const fn is_kept(&self, tx: &PoolTransaction<C>) -> bool {
        tx.origin.is_own() || self.config.journal_external
    }

    /// Writes a transaction to the journal, if there is one and the transaction belongs there.
    pub(crate) fn keep(&self, tx: &PoolTransaction<C>) -> Result<(), PoolError> {
        if !self.is_kept(tx) {
            return Ok(());
        }
        match self.journal.lock().as_mut() {
            Some(journal) => self.append(journal, tx),
            None => Ok(()),
        }
    }

    pub(crate) fn append(
        &self,
        journal: &mut Journal,
        tx: &PoolTransaction<C>,
    ) -> Result<(), PoolError> {
        journal.append(tx.origin, &tx.tx.encoded_2718())?;
        if journal.wants_rewrite()
            && let Err(error) = journal.rewrite(self.kept())
        {
            tracing::warn!(%error, "transaction journal was not rewritten; it goes on growing");
        }
        Ok(())
    }

    /// Keeps a transaction whose nonce is used in mind: it may stand in a block that a reorg drops.
    /// Without this, nothing would be known of its origin then, or of its blobs.
    fn remember(&self, tx: C::PooledTransaction, origin: Origin) {
        let head = self.head();
        let Ok(sender) = tx.recover_signer() else { return };
        if let Ok(mut tx) = self.prepare(&head, tx, sender, origin) {
            tx.recover_authorities();
            self.table.write().blobs.remember(Arc::new(tx), head.header.number());
        }
    }

    /// All transactions that belong to the journal: those in the pool, in an order in which it
    /// takes them (by arrival, but none of a sender before those with lower nonces), those that
    /// were included and may be dropped again, and those that wait.
    fn kept(&self) -> impl Iterator<Item = (Origin, Vec<u8>)> {
        let table = self.table.read();
        let number = table.head.header.number();
        let since = number.saturating_sub(self.config.journal_included_blocks);
        let remembered = table.blobs.remembered_since(since).filter(|tx| self.is_kept(tx));
        let mut kept: Vec<_> = remembered.map(|tx| (tx.sequence, tx.nonce(), tx.clone())).collect();
        for sender in table.senders.values() {
            let mut newest = 0;
            for (nonce, entry) in &sender.entries {
                newest = newest.max(entry.tx.sequence);
                if self.is_kept(&entry.tx) {
                    kept.push((newest, *nonce, entry.tx.clone()));
                }
            }
        }
        drop(table);
        kept.sort_by_key(|(newest, nonce, _)| (*newest, *nonce));
        let waiting: Vec<_> = self.waiting.lock().records.iter().cloned().collect();
        let waiting = waiting.into_iter().map(|record| (record.origin, record.encoded.clone()));
        kept.into_iter().map(|(_, _, tx)| (tx.origin, tx.tx.encoded_2718())).chain(waiting)
    }
}
