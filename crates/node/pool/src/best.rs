//! The transactions for a block, best first.

use crate::{PoolTransaction, Pooled, sender::Run};
use alloy_primitives::{
    Address,
    map::{AddressMap, HashSet},
};
use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

/// Yields transactions by what they pay a block's beneficiary per gas, those of one sender in the
/// order of their nonces, equal ones in the order of arrival.
///
/// It is a snapshot: what enters or leaves the pool later does not show. Only the runs of senders
/// are shared with the pool, and only one transaction of each sender is compared at a time.
#[derive(Debug)]
pub struct BestTransactions<C: Pooled> {
    heap: BinaryHeap<Candidate<C>>,
    /// The run whose transaction was yielded last, from the one that follows.
    yielded: Option<(Run<C>, usize)>,
    skipped: HashSet<Address>,
    base_fee: u64,
    blob_base_fee: Option<u128>,
}

impl<C: Pooled> BestTransactions<C> {
    pub(crate) fn new(
        runs: impl Iterator<Item = Run<C>>,
        base_fee: u64,
        blob_base_fee: Option<u128>,
    ) -> Self {
        let candidates: Vec<_> =
            runs.filter_map(|run| Candidate::new(run, 0, base_fee, blob_base_fee)).collect();
        Self {
            heap: BinaryHeap::from(candidates),
            yielded: None,
            skipped: HashSet::default(),
            base_fee,
            blob_base_fee,
        }
    }

    /// Yields no further transaction of this sender.
    pub fn skip_sender(&mut self, sender: Address) {
        match &self.yielded {
            Some((run, _)) if run.first().is_some_and(|tx| tx.sender == sender) => {
                self.yielded = None;
            }
            _ => {
                self.skipped.insert(sender);
            }
        }
    }

    /// Yields nothing that depends on this transaction: it did not go into the block.
    pub fn mark_invalid(&mut self, tx: &PoolTransaction<C>) {
        self.skip_sender(tx.sender);
    }

    /// Leaves out blob transactions from here on: the block has no room for more blobs.
    pub const fn skip_blobs(&mut self) {
        self.blob_base_fee = None;
    }
}

impl<C: Pooled> Iterator for BestTransactions<C> {
    type Item = Arc<PoolTransaction<C>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((run, index)) = self.yielded.take() {
            self.heap.extend(Candidate::new(run, index, self.base_fee, self.blob_base_fee));
        }
        loop {
            let Candidate { tx, run, index, .. } = self.heap.pop()?;
            let left_out = tx.is_blob() && self.blob_base_fee.is_none();
            if left_out || self.skipped.contains(&tx.sender) {
                continue;
            }
            self.yielded = Some((run, index + 1));
            return Some(tx);
        }
    }
}

#[derive(Debug)]
struct Candidate<C: Pooled> {
    tip: i128,
    tx: Arc<PoolTransaction<C>>,
    run: Run<C>,
    index: usize,
}

impl<C: Pooled> Candidate<C> {
    fn new(run: Run<C>, index: usize, base_fee: u64, blob_base_fee: Option<u128>) -> Option<Self> {
        let tx = run.get(index).filter(|tx| tx.pays(base_fee, blob_base_fee))?.clone();
        Some(Self { tip: tx.effective_tip(base_fee), tx, run, index })
    }
}

impl<C: Pooled> Ord for Candidate<C> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.tip.cmp(&other.tip).then_with(|| other.tx.sequence.cmp(&self.tx.sequence))
    }
}

impl<C: Pooled> PartialOrd for Candidate<C> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<C: Pooled> PartialEq for Candidate<C> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<C: Pooled> Eq for Candidate<C> {}

/// Transactions by sender and nonce.
pub type BySender<C> = AddressMap<std::collections::BTreeMap<u64, Arc<PoolTransaction<C>>>>;

/// What is in the pool, but for private transactions.
#[derive(Clone, Debug)]
pub struct PoolContent<C: Pooled> {
    /// What can go into the next block.
    pub pending: BySender<C>,
    /// What cannot.
    pub queued: BySender<C>,
}

impl<C: Pooled> Default for PoolContent<C> {
    fn default() -> Self {
        Self { pending: BySender::<C>::default(), queued: BySender::<C>::default() }
    }
}

/// How many transactions there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Those that can go into the next block.
    pub pending: usize,
    /// Those that cannot.
    pub queued: usize,
    /// Blob transactions, which are also counted above.
    pub blobs: usize,
}
