//! Where batches come from on a rollup of a union: what the inbox on L1 took from the owners of slots.

use crate::{
    BlobProvider, Counters, DeriveError, Dropped, IndexedBlobHash, L1Provider, Pull, SourceContext,
    union_origins::{Ancestry, OriginRules},
    union_rules::judge_union_batch,
};
use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use alloy_consensus::{ReceiptEnvelope, Transaction, TxEnvelope};
use alloy_primitives::Bytes;
use lockstep_protocol::{
    BATCH_POSTED_TOPIC, Batch, BatchPosted, BlockInfo, UnionConfig, decode_blob,
};

/// A union batch as it was posted.
#[derive(Clone, Debug)]
struct Posted {
    /// The slot that the inbox took it for.
    slot: u64,
    /// What its blobs hold.
    blobs: Vec<Bytes>,
}

/// The union batches of the L1 block that derivation is at, in the order of their events. What it holds
/// is bounded by the blobs of an L1 block, which batches share if they name the same; one batch is joined
/// and decompressed at a time.
#[derive(Clone, Debug)]
pub(crate) struct UnionSource {
    union: UnionConfig,
    /// The block whose batches could not be read yet.
    waiting: Option<BlockInfo>,
    /// The L1 blocks that origins are looked up in.
    ancestry: Ancestry,
    posted: VecDeque<Posted>,
}

impl UnionSource {
    pub(crate) fn new(union: UnionConfig) -> Self {
        Self { union, waiting: None, ancestry: Ancestry::default(), posted: VecDeque::new() }
    }

    /// This rollup's blocks in the next union batch.
    ///
    /// An error leaves the stage as it was, so that the next call tries again.
    pub(crate) fn pull<L1: L1Provider, B: BlobProvider>(
        &mut self,
        context: &mut SourceContext<'_, L1, B>,
    ) -> Result<Pull<Batch>, DeriveError> {
        if let Some(posted) = self.posted.front() {
            let (inclusion, union) = (context.traversal.origin(), &self.union);
            let (ancestry, l1) = (&mut self.ancestry, &mut *context.l1);
            let mut origins = OriginRules { union, inclusion, ancestry, l1 };
            let data = posted.blobs.concat().into();
            let opened =
                judge_union_batch(&data, posted.slot, context.config, union, |span, content| {
                    origins.judge(span, content)
                })?;
            self.posted.pop_front();
            return Ok(match opened {
                Ok(Some(span)) => Pull::Item(Batch::Span(span)),
                Ok(None) => Pull::More,
                Err(reason) => {
                    context.counters.record(reason, inclusion.number);
                    Pull::More
                }
            });
        }
        if let Some(block) = context.traversal.take() {
            // Also one without batches: what lies between two of them need not be read again then.
            self.ancestry.advance(block, self.union.seq_window_size);
            self.waiting = Some(block);
        }
        let Some(block) = self.waiting else { return Ok(Pull::Exhausted) };
        self.posted = self.read(block, context.l1, context.blobs, context.counters)?;
        self.waiting = None;
        Ok(Pull::More)
    }

    /// Reads what was posted in an L1 block.
    fn read<L1: L1Provider, B: BlobProvider>(
        &self,
        block: BlockInfo,
        l1: &mut L1,
        blobs: &mut B,
        counters: &mut Counters,
    ) -> Result<VecDeque<Posted>, DeriveError> {
        let receipts = l1
            .receipts(block.hash)
            .map_err(DeriveError::provider("the receipts of an L1 block"))?;
        // Nothing is counted before nothing can fail any more: a block is tried until it is read.
        let mut dropped = Vec::new();
        let events = self.events(&receipts, &mut dropped);
        self.check_clock(&events, &block)?;
        let mut posted = VecDeque::new();
        if !events.is_empty() {
            let (_, transactions) = l1
                .transactions(block.hash)
                .map_err(DeriveError::provider("the transactions of an L1 block"))?;
            posted = read_blobs(&block, &events, &transactions, blobs, &mut dropped)?;
        }
        for reason in dropped {
            counters.record(reason, block.number);
        }
        Ok(posted)
    }

    /// The inbox takes no batch before its slot has begun. Where it did by the union's configuration,
    /// that tells the time of slots otherwise than L1 does, and no batch would be judged as it should.
    fn check_clock(&self, events: &[BatchPosted], block: &BlockInfo) -> Result<(), DeriveError> {
        let now = self.union.slot_at(block.timestamp);
        match events.iter().find(|event| now.is_none_or(|now| event.slot > now)) {
            Some(event) => {
                let (slot, timestamp) = (event.slot, block.timestamp);
                let (genesis_time, slot_seconds) =
                    (self.union.genesis_time, self.union.slot_seconds);
                Err(DeriveError::UnionClock { slot, timestamp, genesis_time, slot_seconds })
            }
            None => Ok(()),
        }
    }

    /// What the inbox says in these receipts that it took.
    fn events(&self, receipts: &[ReceiptEnvelope], dropped: &mut Vec<Dropped>) -> Vec<BatchPosted> {
        let mut events = Vec::new();
        let receipts = receipts.iter().filter(|receipt| receipt.status());
        for log in receipts.flat_map(|receipt| receipt.logs()) {
            let is_posted = log.address == self.union.inbox
                && log.topics().first() == Some(&BATCH_POSTED_TOPIC);
            if is_posted {
                match BatchPosted::from_log(log) {
                    Ok(event) => events.push(event),
                    Err(_) => dropped.push(Dropped::UnionEvent),
                }
            }
        }
        events
    }
}

/// Reads the blobs that events name.
fn read_blobs<B: BlobProvider>(
    block: &BlockInfo,
    events: &[BatchPosted],
    transactions: &[TxEnvelope],
    blobs: &mut B,
    dropped: &mut Vec<Dropped>,
) -> Result<VecDeque<Posted>, DeriveError> {
    let (mut found, mut wanted) = (Vec::new(), BTreeMap::new());
    for event in events {
        match find_blobs(event, transactions) {
            Some(first) => {
                found.push((
                    event.slot,
                    first..first.saturating_add(event.blob_hashes.len() as u64),
                ));
                wanted.extend((first..).zip(event.blob_hashes.iter().copied()));
            }
            None => dropped.push(Dropped::UnionEvent),
        }
    }
    if wanted.is_empty() {
        return Ok(VecDeque::new());
    }
    // Each blob once: any number of batches may name it.
    let hashes: Vec<_> =
        wanted.iter().map(|(index, hash)| IndexedBlobHash { index: *index, hash: *hash }).collect();
    let bodies =
        blobs.blobs(block, &hashes).map_err(DeriveError::provider("the blobs of an L1 block"))?;
    if bodies.len() != hashes.len() {
        let (asked, got) = (hashes.len(), bodies.len());
        return Err(DeriveError::BlobCount { asked, got, block: block.hash });
    }
    let contents = bodies.iter().map(|blob| decode_blob(blob).ok());
    let contents: BTreeMap<u64, Option<Bytes>> = wanted.into_keys().zip(contents).collect();
    let mut posted = VecDeque::new();
    for (slot, indices) in found {
        let blobs = indices.map(|index| contents.get(&index).cloned().flatten());
        match blobs.collect() {
            Some(blobs) => posted.push_back(Posted { slot, blobs }),
            None => dropped.push(Dropped::UnionEncoding),
        }
    }
    Ok(posted)
}

/// The position, among all blobs of the block, of the first one that an event names. The inbox takes
/// blobs of its own transaction that follow each other; where there are several such, they are the same.
fn find_blobs(event: &BatchPosted, transactions: &[TxEnvelope]) -> Option<u64> {
    let wanted = event.blob_hashes.as_slice();
    let mut first = 0_u64;
    for transaction in transactions {
        let hashes = transaction.blob_versioned_hashes().unwrap_or_default();
        if !wanted.is_empty()
            && let Some(at) = hashes.windows(wanted.len()).position(|run| run == wanted)
        {
            return first.checked_add(at as u64);
        }
        first = first.saturating_add(hashes.len() as u64);
    }
    None
}
