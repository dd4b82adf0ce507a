//! An L1 with the inbox, which two gateways post to, each from an account of its own.

use crate::{
    blocks::{GENESIS_TIME, L1_CHAIN_ID, SLOT_SECONDS, union},
    inbox_l1::{Tx, WINDOW_SLOTS},
};
use alloy_consensus::{
    Transaction,
    transaction::{EthereumTxEnvelope, SignerRecoverable},
};
use alloy_eips::{BlockNumHash, eip2718::Decodable2718};
use alloy_primitives::{Address, B256, Signature, keccak256};
use alloy_sol_types::SolCall;
use lockstep_batcher::{Inclusion, L1Head, L1Submit, NonceAt, SendOutcome, SourceError};
use lockstep_contracts::{BeaconHeader, Inbox, ProposersProof, union_batch_hash};
use lockstep_gateway::{InboxState, L1Inbox, PosterError, SlotOwners};
use lockstep_lookahead::{Owner, Ownership};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub(crate) id: BlockNumHash,
    parent_hash: B256,
    timestamp: u64,
    inbox: InboxState,
}

/// A transaction, and what it asks of the inbox.
struct Pending {
    hash: B256,
    call: Option<Inbox::postCall>,
    blob_hashes: Vec<B256>,
}

pub(crate) struct L1 {
    /// Who owns slots, in turn.
    pub(crate) gateways: [Address; 2],
    pub(crate) blocks: Vec<Block>,
    /// Slots and hashes of the batches that the inbox took.
    pub(crate) accepted: Vec<(u64, B256)>,
    /// Calls of the inbox that failed.
    pub(crate) reverted: usize,
    nonces: BTreeMap<Address, u64>,
    pools: BTreeMap<Address, BTreeMap<u64, Pending>>,
    included: BTreeMap<B256, Inclusion>,
}

impl L1 {
    pub(crate) fn new(gateways: [Address; 2]) -> Self {
        let first = Block {
            id: BlockNumHash { number: 0, hash: keccak256("genesis") },
            parent_hash: B256::ZERO,
            timestamp: GENESIS_TIME,
            inbox: InboxState { head: B256::ZERO, next_slot: 0, window_slots: WINDOW_SLOTS },
        };
        Self {
            gateways,
            blocks: vec![first],
            accepted: Vec::new(),
            reverted: 0,
            nonces: BTreeMap::new(),
            pools: BTreeMap::new(),
            included: BTreeMap::new(),
        }
    }

    pub(crate) fn tip(&self) -> Block {
        *self.blocks.last().unwrap()
    }

    pub(crate) fn owner(&self, slot: u64) -> usize {
        usize::try_from(slot % 2).unwrap()
    }

    /// Makes the blocks that are due, one in each slot.
    pub(crate) fn advance(&mut self, now_s: u64) {
        while self.tip().timestamp + SLOT_SECONDS <= now_s {
            self.mine();
        }
    }

    fn mine(&mut self) {
        let parent = self.tip();
        let number = parent.id.number + 1;
        let id = BlockNumHash { number, hash: keccak256(parent.id.hash) };
        let (parent_hash, timestamp) = (parent.id.hash, parent.timestamp + SLOT_SECONDS);
        let mut block = Block { id, parent_hash, timestamp, inbox: parent.inbox };
        let mut payers: Vec<Address> = self.pools.keys().copied().collect();
        if number.is_multiple_of(2) {
            payers.reverse();
        }
        for payer in payers {
            while let Some(tx) = self.next_of(payer) {
                let succeeded =
                    tx.call.as_ref().is_none_or(|call| self.post(&mut block, &tx, call));
                self.reverted += usize::from(!succeeded);
                self.included.insert(tx.hash, Inclusion { block: id, succeeded, fee: 1 });
            }
        }
        self.blocks.push(block);
    }

    fn next_of(&mut self, payer: Address) -> Option<Pending> {
        let nonce = self.nonces.entry(payer).or_default();
        let tx = self.pools.get_mut(&payer)?.remove(nonce)?;
        *nonce += 1;
        Some(tx)
    }

    /// `Inbox.post`, in `block`.
    fn post(&mut self, block: &mut Block, tx: &Pending, call: &Inbox::postCall) -> bool {
        let current = (block.timestamp - GENESIS_TIME) / SLOT_SECONDS;
        let InboxState { head, next_slot, window_slots } = block.inbox;
        let is_in_time =
            (next_slot..current).contains(&call.slot) && current - call.slot <= window_slots;
        if !is_in_time || call.parent != head {
            return false;
        }
        let (slot, parent, blob_hashes) = (call.slot, call.parent, tx.blob_hashes.clone());
        let batch = Inbox::Batch { slot, parent, blobHashes: blob_hashes };
        let hash = union_batch_hash(&batch, L1_CHAIN_ID, union().inbox);
        let signature = Signature::from_raw(&call.signature).unwrap();
        let signer = signature.recover_address_from_prehash(&hash).unwrap();
        assert_eq!(signer, self.gateways[self.owner(slot)], "slot {slot}");
        block.inbox.head = hash;
        block.inbox.next_slot = slot + 1;
        self.accepted.push((slot, hash));
        true
    }

    fn take(&mut self, mut raw: &[u8]) -> SendOutcome {
        let tx = Tx::decode_2718(&mut raw).unwrap();
        let payer = tx.recover_signer().unwrap();
        if tx.nonce() < self.nonces.get(&payer).copied().unwrap_or_default() {
            return SendOutcome::NonceTooLow;
        }
        let blob_hashes = match &tx {
            EthereumTxEnvelope::Eip4844(signed) => signed.tx().sidecar.versioned_hashes().collect(),
            _ => Vec::new(),
        };
        let is_call = tx.to() == Some(union().inbox);
        let call = is_call.then(|| Inbox::postCall::abi_decode(tx.input()).unwrap());
        let (nonce, hash) = (tx.nonce(), *tx.tx_hash());
        let pool = self.pools.entry(payer).or_default();
        if pool.get(&nonce).is_some_and(|known| known.hash == hash) {
            return SendOutcome::AlreadyKnown;
        }
        pool.insert(nonce, Pending { hash, call, blob_hashes });
        SendOutcome::Accepted
    }
}

/// The L1, as whoever asks sees it.
#[derive(Clone)]
pub(crate) struct L1Node(pub(crate) Arc<Mutex<L1>>);

impl fmt::Debug for L1Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("L1Node")
    }
}

impl L1Submit for L1Node {
    fn head(&mut self) -> Result<L1Head, SourceError> {
        let Block { id, parent_hash, timestamp, .. } = self.0.lock().tip();
        let (base_fee, blob_base_fee, tip) = (1_000_000_000, 1, 1_000_000_000);
        Ok(L1Head { block: id, parent_hash, timestamp, base_fee, blob_base_fee, tip })
    }

    fn nonce(&mut self, account: Address, at: NonceAt) -> Result<u64, SourceError> {
        let l1 = self.0.lock();
        let mut nonce = l1.nonces.get(&account).copied().unwrap_or_default();
        if at == NonceAt::Pending
            && let Some(pool) = l1.pools.get(&account)
        {
            while pool.contains_key(&nonce) {
                nonce += 1;
            }
        }
        Ok(nonce)
    }

    fn balance(&mut self, _: Address) -> Result<u128, SourceError> {
        Ok(1 << 70)
    }

    fn send(&mut self, raw: &[u8]) -> Result<SendOutcome, SourceError> {
        Ok(self.0.lock().take(raw))
    }

    fn inclusion(&mut self, hash: B256) -> Result<Option<Inclusion>, SourceError> {
        Ok(self.0.lock().included.get(&hash).copied())
    }
}

impl L1Inbox for L1Node {
    fn inbox(&mut self, at: B256) -> Result<Option<InboxState>, SourceError> {
        let l1 = self.0.lock();
        let block = l1.blocks.iter().rev().find(|block| block.id.hash == at);
        Ok(block.map(|block| block.inbox))
    }
}

impl SlotOwners for L1Node {
    fn ownership(&mut self, slot: u64, _: u64) -> Result<Ownership, PosterError> {
        let l1 = self.0.lock();
        Ok(Ownership::Owned(Owner { gateway: l1.gateways[l1.owner(slot)], by_slot: slot }))
    }

    fn secure(&mut self, _: &BTreeSet<u64>, _: u64, _: u64) -> Result<Option<u64>, PosterError> {
        Ok(None)
    }

    fn prove(&mut self, slot: u64, _: Owner) -> Result<Option<ProposersProof>, PosterError> {
        let header = BeaconHeader {
            slot,
            proposerIndex: 0,
            parentRoot: B256::ZERO,
            stateRoot: B256::ZERO,
            bodyRoot: B256::ZERO,
        };
        Ok(Some(ProposersProof {
            timestamp: 0,
            header,
            lookahead: Vec::new(),
            lookaheadBranch: Vec::new(),
            keys: vec![B256::ZERO],
            keyBranches: Vec::new(),
        }))
    }
}
