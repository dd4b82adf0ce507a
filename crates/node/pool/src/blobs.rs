//! Blobs by versioned hash, and the transactions that left the pool for a block.

use crate::{Origin, PoolTransaction, Pooled, Rechecked, SubPoolLimit};
use alloy_consensus::Transaction;
use alloy_eips::{
    eip4844::{Blob, Bytes48},
    eip7594::{BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB},
};
use alloy_primitives::{B256, map::B256Map};
use std::{collections::VecDeque, sync::Arc};

/// A blob of a transaction, by reference.
#[derive(Clone, Debug)]
pub struct PooledBlob<C: Pooled> {
    /// The transaction that carries it.
    pub tx: Arc<PoolTransaction<C>>,
    /// Its position there.
    pub index: usize,
}

impl<C: Pooled> PooledBlob<C> {
    /// The blob.
    pub fn blob(&self) -> Option<&Blob> {
        self.tx.sidecar()?.blobs().get(self.index)
    }

    /// Its KZG commitment.
    pub fn commitment(&self) -> Option<&Bytes48> {
        self.tx.sidecar()?.commitments().get(self.index)
    }

    /// Its proof, if the sidecar has blob proofs (before Osaka).
    pub fn proof(&self) -> Option<&Bytes48> {
        match self.tx.sidecar()? {
            BlobTransactionSidecarVariant::Eip4844(sidecar) => sidecar.proofs.get(self.index),
            BlobTransactionSidecarVariant::Eip7594(_) => None,
        }
    }

    /// The proofs of its 128 cells, if the sidecar has cell proofs (from Osaka on, EIP-7594).
    pub fn cell_proofs(&self) -> Option<&[Bytes48]> {
        match self.tx.sidecar()? {
            BlobTransactionSidecarVariant::Eip4844(_) => None,
            BlobTransactionSidecarVariant::Eip7594(sidecar) => {
                let begin = self.index * CELLS_PER_EXT_BLOB;
                sidecar.cell_proofs.get(begin..begin + CELLS_PER_EXT_BLOB)
            }
        }
    }
}

/// A transaction that stands in a block, and the number of the head when that was seen.
#[derive(Debug)]
struct Recent<C: Pooled> {
    tx: Arc<PoolTransaction<C>>,
    number: u64,
}

/// Finds blobs of transactions in the pool and of those recently included.
///
/// Included transactions are kept if a block does not hold all that the pool knew of them:
/// sidecars, and that they were a local user's.
#[derive(Debug)]
pub(crate) struct BlobIndex<C: Pooled> {
    carriers: B256Map<Vec<Arc<PoolTransaction<C>>>>,
    recent: B256Map<Recent<C>>,
    /// Oldest first; a transaction that was taken out again still stands here.
    order: VecDeque<(B256, u64)>,
    bytes: usize,
    limit: SubPoolLimit,
}

impl<C: Pooled> BlobIndex<C> {
    pub(crate) fn new(limit: SubPoolLimit) -> Self {
        Self {
            carriers: B256Map::default(),
            recent: B256Map::default(),
            order: VecDeque::new(),
            bytes: 0,
            limit,
        }
    }

    pub(crate) fn insert(&mut self, tx: &Arc<PoolTransaction<C>>) {
        for hash in tx.tx.blob_versioned_hashes().unwrap_or_default() {
            self.carriers.entry(*hash).or_default().push(tx.clone());
        }
    }

    pub(crate) fn remove(&mut self, tx: &PoolTransaction<C>) {
        for hash in tx.tx.blob_versioned_hashes().unwrap_or_default() {
            if let Some(carriers) = self.carriers.get_mut(hash) {
                carriers.retain(|carrier| carrier.hash != tx.hash);
                if carriers.is_empty() {
                    self.carriers.remove(hash);
                }
            }
        }
    }

    pub(crate) fn get(&self, versioned_hash: &B256) -> Option<PooledBlob<C>> {
        let tx = self.carriers.get(versioned_hash)?.last()?.clone();
        let hashes = tx.tx.blob_versioned_hashes()?;
        let index = hashes.iter().position(|hash| hash == versioned_hash)?;
        Some(PooledBlob { tx, index })
    }

    /// Keeps a transaction that stands in a block at the head with this number.
    pub(crate) fn remember(&mut self, tx: Arc<PoolTransaction<C>>, number: u64) {
        if !tx.is_blob() && tx.origin == Origin::External {
            return;
        }
        self.recall(&tx.hash);
        self.insert(&tx);
        self.bytes += tx.size;
        self.order.push_back((tx.hash, tx.sequence));
        self.recent.insert(tx.hash, Recent { tx, number });
        while self.order.len() > self.limit.transactions || self.bytes > self.limit.bytes {
            let Some((hash, sequence)) = self.order.pop_front() else { break };
            if self.recent.get(&hash).is_some_and(|recent| recent.tx.sequence == sequence) {
                self.recall(&hash);
            }
        }
    }

    /// Gives back a transaction that stood in a block.
    pub(crate) fn recall(&mut self, hash: &B256) -> Option<Arc<PoolTransaction<C>>> {
        self.forget(hash).map(|recent| recent.tx)
    }

    fn forget(&mut self, hash: &B256) -> Option<Recent<C>> {
        let recent = self.recent.remove(hash)?;
        let tx = &recent.tx;
        self.bytes = self.bytes.saturating_sub(tx.size);
        self.remove(tx);
        Some(recent)
    }

    /// Puts remembered transactions into the form that new rules want, and forgets those that have
    /// become invalid.
    pub(crate) fn convert(&mut self, rechecked: B256Map<Rechecked<C::PooledTransaction>>) {
        for (hash, verdict) in rechecked {
            if matches!(verdict, Rechecked::Valid) {
                continue;
            }
            let Some(old) = self.forget(&hash) else { continue };
            if let Rechecked::Converted(tx) = verdict {
                self.remember(Arc::new(old.tx.with_form(tx)), old.number);
            }
        }
    }

    /// All transactions that are remembered.
    pub(crate) fn remembered(&self) -> impl Iterator<Item = &Arc<PoolTransaction<C>>> {
        self.recent.values().map(|recent| &recent.tx)
    }

    /// Those that were included at this height or above.
    pub(crate) fn remembered_since(
        &self,
        number: u64,
    ) -> impl Iterator<Item = &Arc<PoolTransaction<C>>> {
        let since = self.recent.values().filter(move |recent| recent.number >= number);
        since.map(|recent| &recent.tx)
    }
}
