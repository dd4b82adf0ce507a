//! Which transactions go to the journal, and how they come back.

use crate::{
    JournalReport, Origin, Pool, PoolError, PoolTransaction, Pooled, journal::Journal, pool::Shared,
};
use alloy_eips::eip2718::Encodable2718;
use std::path::Path;

impl<C: Pooled> Pool<C> {
    /// Loads the transactions of the journal at `path`, which need not exist, and from now on
    /// keeps those of this node's users there (all, with
    /// [`crate::PoolConfig::journal_external`]).
    ///
    /// A kill of the process loses no transaction that was acknowledged; a loss of power may lose
    /// those of the last seconds. Damage is skipped and reported.
    ///
    /// # Errors
    /// [`PoolError::Journal`] if the file cannot be read, written, or is open elsewhere.
    pub fn open_journal(&self, path: &Path) -> Result<JournalReport, PoolError> {
        let mut slot = self.shared.journal.lock();
        // The last journal, if there is one, is closed first: it may be the same file.
        *slot = None;
        drop(slot);
        let (mut journal, report) = Journal::open(path, |origin, encoded| {
            let added = self.decode(encoded).and_then(|tx| self.add(tx, origin));
            matches!(added, Ok(_) | Err(PoolError::AlreadyKnown))
        })?;
        let JournalReport { loaded, rejected, damaged, damaged_bytes, torn_bytes } = report;
        let file = path.display();
        if damaged > 0 || torn_bytes > 0 {
            tracing::warn!(%file, damaged, damaged_bytes, torn_bytes, "transaction journal was damaged; the rest was read");
        }
        tracing::info!(%file, loaded, rejected, "transaction journal was loaded");
        let mut slot = self.shared.journal.lock();
        journal.rewrite(self.shared.kept())?;
        *slot = Some(journal);
        Ok(report)
    }
}

impl<C: Pooled> Shared<C> {
    const fn is_kept(&self, tx: &PoolTransaction<C>) -> bool {
        tx.origin.is_own() || self.config.journal_external
    }

    /// Writes a transaction to the journal, if there is one and the transaction belongs there.
    pub(crate) fn keep(&self, tx: &PoolTransaction<C>) -> Result<(), PoolError> {
        if !self.is_kept(tx) {
            return Ok(());
        }
        let mut journal = self.journal.lock();
        let Some(journal) = journal.as_mut() else { return Ok(()) };
        journal.append(tx.origin, &tx.tx.encoded_2718())?;
        if journal.wants_rewrite()
            && let Err(error) = journal.rewrite(self.kept())
        {
            tracing::warn!(%error, "transaction journal was not rewritten; it goes on growing");
        }
        Ok(())
    }

    /// All transactions that belong to the journal, in an order in which the pool takes them:
    /// by arrival, but none of a sender before those with lower nonces.
    fn kept(&self) -> impl Iterator<Item = (Origin, Vec<u8>)> {
        let table = self.table.read();
        let mut kept = Vec::new();
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
        kept.into_iter().map(|(_, _, tx)| (tx.origin, tx.tx.encoded_2718()))
    }
}
