//! A slot's batch, signed.

use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bytes, ChainId, Signature};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use lockstep_batcher::UnionBlock;
use lockstep_contracts::{Inbox, union_batch_hash};
use lockstep_lookahead::Slot;
use std::collections::BTreeMap;

/// A slot's batch, signed by the slot's owner: what the inbox takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBatch {
    /// The slot.
    pub slot: Slot,
    /// The hash of the batch before it; zero for the first.
    pub parent: B256,
    /// What was signed, by EIP-712; the name of the batch.
    pub hash: B256,
    /// What its blobs hold, one behind the other.
    pub data: Bytes,
    /// The versioned hashes of the blobs.
    pub blob_hashes: Vec<B256>,
    /// The owner's signature: r, s, v.
    pub signature: Bytes,
    /// The blocks in it, by chain id; a rollup without blocks is left out.
    pub spans: BTreeMap<ChainId, SealedSpan>,
    /// Whether users' transactions are in it.
    pub is_filled: bool,
}

/// Which blocks of a rollup are in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedSpan {
    /// The block before the first.
    pub parent: BlockNumHash,
    /// The last.
    pub last: BlockNumHash,
}

impl SealedBatch {
    /// Its hash, at this inbox.
    pub(super) fn hash_of(
        slot: Slot,
        parent: B256,
        blob_hashes: &[B256],
        l1_chain_id: ChainId,
        inbox: Address,
    ) -> B256 {
        let content = Inbox::Batch { slot, parent, blobHashes: blob_hashes.to_vec() };
        union_batch_hash(&content, l1_chain_id, inbox)
    }

    /// Who signed it; `None` if the signature is none.
    pub fn signer(&self) -> Option<Address> {
        Signature::from_raw(&self.signature).ok()?.recover_address_from_prehash(&self.hash).ok()
    }

    /// Bytes that it takes in memory and in the file, about.
    pub(super) fn bytes(&self) -> usize {
        self.data.len() + 32 * self.blob_hashes.len() + 96 * self.spans.len() + 256
    }
}

/// What is in the file.
#[derive(Clone, Debug, RlpEncodable, RlpDecodable)]
pub(super) struct StoredBatch {
    slot: Slot,
    parent: B256,
    data: Bytes,
    blob_hashes: Vec<B256>,
    signature: Bytes,
    spans: Vec<StoredSpan>,
    is_filled: bool,
}

#[derive(Clone, Debug, RlpEncodable, RlpDecodable)]
struct StoredSpan {
    chain: ChainId,
    parent_number: u64,
    parent_hash: B256,
    last_number: u64,
    last_hash: B256,
}

impl StoredBatch {
    pub(super) fn new(batch: &SealedBatch) -> Self {
        let SealedBatch { slot, parent, hash: _, data, blob_hashes, signature, spans, is_filled } =
            batch.clone();
        let spans = spans.into_iter().map(|(chain, SealedSpan { parent, last })| StoredSpan {
            chain,
            parent_number: parent.number,
            parent_hash: parent.hash,
            last_number: last.number,
            last_hash: last.hash,
        });
        Self { slot, parent, data, blob_hashes, signature, spans: spans.collect(), is_filled }
    }

    /// The batch, at this inbox.
    pub(super) fn sealed(self, l1_chain_id: ChainId, inbox: Address) -> SealedBatch {
        let Self { slot, parent, data, blob_hashes, signature, spans, is_filled } = self;
        let spans = spans.into_iter().map(|it| {
            let parent = BlockNumHash::new(it.parent_number, it.parent_hash);
            let last = BlockNumHash::new(it.last_number, it.last_hash);
            (it.chain, SealedSpan { parent, last })
        });
        let hash = SealedBatch::hash_of(slot, parent, &blob_hashes, l1_chain_id, inbox);
        let spans = spans.collect();
        SealedBatch { slot, parent, hash, data, blob_hashes, signature, spans, is_filled }
    }
}

/// How many transactions of users, and parts of others' transactions, a block holds.
pub(super) const fn contents(block: &UnionBlock) -> usize {
    block.block.transactions.len() + block.parts.len()
}
