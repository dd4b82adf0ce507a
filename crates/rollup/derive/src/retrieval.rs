//! The second stage: the batcher's data in an L1 block (OP specification: derivation § L1
//! retrieval, Ecotone § blob retrieval).

use crate::{BlobProvider, Counters, DeriveError, Dropped, IndexedBlobHash, L1Provider};
use alloc::{collections::VecDeque, vec::Vec};
use alloy_consensus::{Transaction, TxEnvelope, TxType, transaction::SignerRecoverable};
use alloy_primitives::{Address, Bytes};
use lockstep_chain::OpHardfork;
use lockstep_protocol::{BlockInfo, RollupConfig, decode_blob};

/// What a batcher transaction holds.
enum Item {
    /// Its input.
    Calldata(Bytes),
    /// A blob that is still to be read.
    Blob,
}

/// The data of the L1 block that derivation is at, in the order of its transactions. What it holds
/// is bounded by what fits into an L1 block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retrieval {
    /// The block whose data could not be read yet.
    waiting: Option<BlockInfo>,
    data: VecDeque<Bytes>,
}

impl Retrieval {
    /// Whether the stage needs another L1 block.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_none() && self.data.is_empty()
    }

    /// Gives the stage its next block; the data of the one before is used up.
    pub(crate) const fn push(&mut self, block: BlockInfo) {
        self.waiting = Some(block);
    }

    /// The data of the next batcher transaction; `None` if the block has no more.
    ///
    /// An error leaves the stage as it was, so that the next call tries again.
    pub(crate) fn pop<L1: L1Provider, B: BlobProvider>(
        &mut self,
        batcher: Address,
        config: &RollupConfig,
        (l1, blobs): (&mut L1, &mut B),
        counters: &mut Counters,
    ) -> Result<Option<Bytes>, DeriveError> {
        if let Some(block) = self.waiting {
            let source = Source { block, batcher, config };
            self.data = source.read(l1, blobs, counters)?;
            self.waiting = None;
        }
        Ok(self.data.pop_front())
    }
}

/// An L1 block, and whose transactions count in it.
struct Source<'a> {
    block: BlockInfo,
    batcher: Address,
    config: &'a RollupConfig,
}

impl Source<'_> {
    fn read<L1: L1Provider, B: BlobProvider>(
        &self,
        l1: &mut L1,
        blobs: &mut B,
        counters: &mut Counters,
    ) -> Result<VecDeque<Bytes>, DeriveError> {
        let (_, transactions) = l1
            .transactions(self.block.hash)
            .map_err(DeriveError::provider("the transactions of an L1 block"))?;
        // Nothing is counted before nothing can fail any more: a block is tried until it is read.
        let mut dropped = Vec::new();
        let (items, hashes) = self.items(&transactions, &mut dropped);
        let mut bodies = Vec::new();
        if !hashes.is_empty() {
            bodies = blobs
                .blobs(&self.block, &hashes)
                .map_err(DeriveError::provider("the blobs of an L1 block"))?;
            if bodies.len() != hashes.len() {
                let (asked, got) = (hashes.len(), bodies.len());
                return Err(DeriveError::BlobCount { asked, got, block: self.block.hash });
            }
        }
        let mut bodies = bodies.into_iter();
        let mut data = VecDeque::with_capacity(items.len());
        for item in items {
            match item {
                Item::Calldata(input) => data.push_back(input),
                Item::Blob => match bodies.next().map(|blob| decode_blob(&blob)) {
                    Some(Ok(content)) => data.push_back(content),
                    _ => dropped.push(Dropped::Blob),
                },
            }
        }
        for reason in dropped {
            counters.record(reason, self.block.number);
        }
        Ok(data)
    }

    /// What the batcher's transactions hold, and the blobs among it.
    fn items(
        &self,
        transactions: &[TxEnvelope],
        dropped: &mut Vec<Dropped>,
    ) -> (Vec<Item>, Vec<IndexedBlobHash>) {
        let reads_blobs = self.config.is_active(OpHardfork::Ecotone, self.block.timestamp);
        let (mut items, mut hashes) = (Vec::new(), Vec::new());
        // Blobs are numbered through the whole block, whoever sent them.
        let mut blob_index = 0;
        for transaction in transactions {
            let versioned = transaction.blob_versioned_hashes().unwrap_or_default();
            let first = blob_index;
            blob_index += versioned.len() as u64;
            if !self.is_from_batcher(transaction, dropped) {
                continue;
            }
            if !reads_blobs || transaction.tx_type() != TxType::Eip4844 {
                items.push(Item::Calldata(transaction.input().clone()));
                continue;
            }
            for (index, hash) in (first..).zip(versioned) {
                hashes.push(IndexedBlobHash { index, hash: *hash });
                items.push(Item::Blob);
            }
        }
        (items, hashes)
    }

    fn is_from_batcher(&self, transaction: &TxEnvelope, dropped: &mut Vec<Dropped>) -> bool {
        if transaction.to() != Some(self.config.batch_inbox_address) {
            return false;
        }
        // A list of what is allowed, so that types of later L1 forks are left out by everyone.
        let is_allowed = match transaction.tx_type() {
            TxType::Legacy | TxType::Eip2930 | TxType::Eip1559 | TxType::Eip4844 => true,
            TxType::Eip7702 => false,
        };
        if !is_allowed {
            dropped.push(Dropped::TransactionType);
            return false;
        }
        // Recovery is expensive, so it comes last.
        let is_batcher = transaction.recover_signer().is_ok_and(|sender| sender == self.batcher);
        if !is_batcher {
            dropped.push(Dropped::Sender);
        }
        is_batcher
    }
}
