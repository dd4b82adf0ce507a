//! An L1 in memory: blocks, an inbox, a pool with the rules of real ones, fees that move, reorgs.

use crate::{
    blocks::{GENESIS_TIME, L1_CHAIN_ID, SLOT_SECONDS, union},
    rng::Rng,
};
use alloy_consensus::{
    Transaction, TxEip4844WithSidecar,
    transaction::{EthereumTxEnvelope, SignerRecoverable},
};
use alloy_eips::{BlockNumHash, eip2718::Decodable2718, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use alloy_sol_types::SolCall;
use lockstep_batcher::{Inclusion, L1Head, NonceAt, SendOutcome};
use lockstep_contracts::{Inbox, union_batch_hash};
use lockstep_gateway::InboxState;
use lockstep_lookahead::{Owner, Ownership};
use lockstep_protocol::UnionBatch;
use std::sync::Arc;

pub(crate) type Tx = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>;

/// For how many slots after its own a batch can be posted.
pub(crate) const WINDOW_SLOTS: u64 = 40;

/// Blobs of one block.
const MAX_BLOBS: usize = 9;

/// What the inbox is asked.
#[derive(Debug)]
struct SimCall {
    slot: u64,
    parent: B256,
    first_blob: U256,
    blob_count: U256,
    /// The time and the hash of the L1 block that the proof begins at, and the slot that it is for.
    anchor: (u64, B256),
    proven_slot: u64,
    signature: Bytes,
}

impl SimCall {
    fn decode(input: &[u8]) -> Self {
        let call = Inbox::postCall::abi_decode(input).unwrap();
        Self {
            slot: call.slot,
            parent: call.parent,
            first_blob: call.firstBlob,
            blob_count: call.blobCount,
            anchor: (call.proof.timestamp, call.proof.header.parentRoot),
            proven_slot: call.proof.header.slot,
            signature: call.signature,
        }
    }
}

/// A transaction in the pool or a block.
#[derive(Clone, Debug)]
pub(crate) struct SimTx {
    pub(crate) hash: B256,
    pub(crate) nonce: u64,
    is_blob: bool,
    max_fee: u128,
    max_tip: u128,
    max_blob_fee: u128,
    /// The call of the inbox, if it goes there.
    call: Option<Arc<SimCall>>,
    blob_hashes: Vec<B256>,
    /// What the blobs hold together.
    data: Bytes,
}

impl SimTx {
    fn decode(mut raw: &[u8], payer: Address) -> Self {
        let tx = Tx::decode_2718(&mut raw).expect("the poster sends well-formed transactions");
        assert!(raw.is_empty(), "no trailing bytes");
        assert_eq!(tx.recover_signer().unwrap(), payer, "signed by the payer");
        let (mut blob_hashes, mut data) = (Vec::new(), Bytes::new());
        if let EthereumTxEnvelope::Eip4844(signed) = &tx {
            let sidecar = &signed.tx().sidecar;
            assert!(matches!(sidecar, BlobTransactionSidecarVariant::Eip7594(_)), "cell proofs");
            blob_hashes = sidecar.versioned_hashes().collect();
            assert_eq!(tx.blob_versioned_hashes(), Some(&blob_hashes[..]), "its own blobs");
            data = UnionBatch::join_blobs(&sidecar.blobs().iter().collect::<Vec<_>>())
                .unwrap_or_default();
        }
        let calls = tx.to() == Some(union().inbox);
        let call = calls.then(|| Arc::new(SimCall::decode(tx.input())));
        Self {
            hash: *tx.tx_hash(),
            nonce: tx.nonce(),
            is_blob: tx.is_eip4844(),
            max_fee: tx.max_fee_per_gas(),
            max_tip: tx.max_priority_fee_per_gas().unwrap(),
            max_blob_fee: tx.max_fee_per_blob_gas().unwrap_or_default(),
            call,
            blob_hashes,
            data,
        }
    }

    /// Whether pools take it in place of `other`.
    fn replaces(&self, other: &Self) -> bool {
        let percent = if self.is_blob { 200 } else { 110 };
        let is_more = |new: u128, old: u128| new > old && new * 100 >= old * percent;
        is_more(self.max_fee, other.max_fee)
            && is_more(self.max_tip, other.max_tip)
            && (!self.is_blob || is_more(self.max_blob_fee, other.max_blob_fee))
    }
}

/// A batch that the inbox took.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) slot: u64,
    pub(crate) hash: B256,
    pub(crate) is_ours: bool,
    pub(crate) data: Bytes,
}

#[derive(Clone, Debug)]
pub(crate) struct SimBlock {
    pub(crate) id: BlockNumHash,
    pub(crate) parent_hash: B256,
    pub(crate) timestamp: u64,
    /// With whether the inbox took what they carry.
    txs: Vec<(SimTx, bool)>,
    pub(crate) accepted: Vec<Accepted>,
    pub(crate) inbox: InboxState,
    base_fee: u128,
}

/// How likely which fault is, per mille.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A question has no answer.
    pub(crate) unreachable: u64,
    /// A transaction arrives, its acknowledgement does not.
    pub(crate) lost_answer: u64,
    /// A transaction vanishes from the pool, per block.
    pub(crate) lost_tx: u64,
    /// A block includes none of ours.
    pub(crate) empty_block: u64,
    /// There is no block in a slot.
    pub(crate) missed_slot: u64,
    /// The pool has no room.
    pub(crate) pool_full: u64,
    /// The account has too little ether for a moment.
    pub(crate) no_funds: u64,
    /// The fees jump.
    pub(crate) fee_spike: u64,
    /// A reorg, per slot.
    pub(crate) reorg: u64,
    /// The deepest reorg.
    pub(crate) reorg_depth: u64,
    /// By how many L1 blocks the rollups' nodes are behind at most. Not a probability.
    pub(crate) lag: u64,
    /// The poster is killed, per step.
    pub(crate) restart: u64,
    /// The gateway takes unsafe blocks of all rollups back, per slot.
    pub(crate) l2_reorg: u64,
    /// A rollup makes no blocks for a while, per slot.
    pub(crate) stall: u64,
    /// Every so many-th slot is of another gateway. Not a probability; zero: none.
    pub(crate) others: u64,
    /// The other gateway posts the batch of its slot.
    pub(crate) other_posts: u64,
    /// No proof can be had.
    pub(crate) no_proof: u64,
    /// Somebody uses the account's next nonce, per slot.
    pub(crate) stolen_nonce: u64,
    /// A reorg gives some slots to others, per reorg.
    pub(crate) new_owners: u64,
}

#[derive(Debug)]
pub(crate) struct SimL1 {
    pub(crate) payer: Address,
    pub(crate) gateway: Address,
    pub(crate) blocks: Vec<SimBlock>,
    pub(crate) pool: std::collections::BTreeMap<u64, SimTx>,
    pub(crate) faults: Faults,
    /// Every so many-th slot is of another gateway.
    pub(crate) others: u64,
    /// For how many slots the nodes of L1 keep what shows whose a slot is.
    pub(crate) states: u64,
    /// Nothing of it can be kept.
    pub(crate) cannot_secure: bool,
    /// Slots of which the gateway has kept it.
    secured: std::collections::BTreeSet<u64>,
    /// Slots whose owners are others since a reorg.
    pub(crate) revised: std::collections::BTreeMap<u64, Ownership>,
    /// Transactions to the inbox that failed.
    pub(crate) reverted: usize,
    pub(crate) base_fee: u128,
    pub(crate) blob_base_fee: u128,
    /// Counts all blocks ever made, so that the hashes of forks differ.
    made: u64,
}

impl SimL1 {
    pub(crate) fn new(payer: Address, gateway: Address) -> Self {
        let inbox = InboxState { head: B256::ZERO, next_slot: 0, window_slots: WINDOW_SLOTS };
        let genesis = SimBlock {
            id: BlockNumHash { number: 0, hash: keccak256("genesis") },
            parent_hash: B256::ZERO,
            timestamp: GENESIS_TIME,
            txs: Vec::new(),
            accepted: Vec::new(),
            inbox,
            base_fee: 10_000_000_000,
        };
        Self {
            payer,
            gateway,
            blocks: vec![genesis],
            pool: Default::default(),
            faults: Faults::default(),
            others: 0,
            states: u64::MAX,
            cannot_secure: false,
            secured: Default::default(),
            revised: Default::default(),
            reverted: 0,
            base_fee: 10_000_000_000,
            blob_base_fee: 1_000_000,
            made: 0,
        }
    }

    pub(crate) fn tip(&self) -> &SimBlock {
        self.blocks.last().unwrap()
    }

    pub(crate) fn head(&self) -> L1Head {
        let tip = self.tip();
        L1Head {
            block: tip.id,
            parent_hash: tip.parent_hash,
            timestamp: tip.timestamp,
            base_fee: self.base_fee,
            blob_base_fee: self.blob_base_fee,
            tip: 1_000_000_000,
        }
    }

    pub(crate) fn inbox(&self, at: B256) -> Option<InboxState> {
        self.blocks.iter().rev().find(|block| block.id.hash == at).map(|block| block.inbox)
    }

    pub(crate) fn nonce(&self, at: NonceAt) -> u64 {
        let mut nonce = self.blocks.iter().map(|block| block.txs.len() as u64).sum();
        if at == NonceAt::Pending {
            while self.pool.contains_key(&nonce) {
                nonce += 1;
            }
        }
        nonce
    }

    pub(crate) fn inclusion(&self, hash: B256) -> Option<Inclusion> {
        self.blocks.iter().find_map(|block| {
            let (_, succeeded) = block.txs.iter().find(|(tx, _)| tx.hash == hash)?;
            Some(Inclusion { block: block.id, succeeded: *succeeded, fee: block.base_fee })
        })
    }

    pub(crate) fn ownership(&self, slot: u64) -> Ownership {
        let owned = |gateway| Ownership::Owned(Owner { gateway, by_slot: slot });
        if let Some(revised) = self.revised.get(&slot) {
            return *revised;
        }
        match self.others {
            0 => owned(self.gateway),
            others if slot % others == others - 1 => owned(Address::repeat_byte(0xee)),
            // Once in a while nobody opted in.
            _ if slot % 11 == 5 => Ownership::Nobody,
            _ => owned(self.gateway),
        }
    }

    /// Whether it can be shown whose a slot is.
    pub(crate) fn shows(&self, slot: u64) -> bool {
        let now = (self.tip().timestamp - GENESIS_TIME) / SLOT_SECONDS;
        slot.saturating_add(self.states) >= now || self.secured.contains(&slot)
    }

    /// The gateway keeps what shows whose a slot is. Whether it has it.
    pub(crate) fn secure(&mut self, slot: u64) -> bool {
        let shows = self.shows(slot) && !self.cannot_secure;
        if shows {
            self.secured.insert(slot);
        }
        shows
    }

    pub(crate) fn is_ours(&self, slot: u64) -> bool {
        matches!(self.ownership(slot), Ownership::Owned(owner) if owner.gateway == self.gateway)
    }

    /// Batches that count, and the L1 block that has each.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = &Accepted> {
        self.blocks.iter().flat_map(|block| &block.accepted)
    }

    pub(crate) fn send(&mut self, raw: &[u8], rng: &mut Rng) -> SendOutcome {
        let tx = SimTx::decode(raw, self.payer);
        if self.pool.get(&tx.nonce).is_some_and(|known| known.hash == tx.hash) {
            return SendOutcome::AlreadyKnown;
        }
        if tx.nonce < self.nonce(NonceAt::Latest) {
            return SendOutcome::NonceTooLow;
        }
        if self.pool.values().any(|other| other.is_blob != tx.is_blob) {
            return SendOutcome::AlreadyReserved;
        }
        if let Some(other) = self.pool.get(&tx.nonce)
            && !tx.replaces(other)
        {
            return SendOutcome::ReplacementUnderpriced;
        }
        if tx.max_fee < self.base_fee / 2 {
            return SendOutcome::Underpriced;
        }
        if tx.nonce > self.nonce(NonceAt::Pending) {
            return SendOutcome::PoolFull("nonce too high".to_owned());
        }
        if rng.chance(self.faults.pool_full) {
            return SendOutcome::PoolFull("txpool is full".to_owned());
        }
        if rng.chance(self.faults.no_funds) {
            return SendOutcome::InsufficientFunds("insufficient funds".to_owned());
        }
        self.pool.insert(tx.nonce, tx);
        SendOutcome::Accepted
    }

    /// Makes a block at `timestamp` from the pool, `foreign` first.
    pub(crate) fn mine(
        &mut self,
        timestamp: u64,
        foreign: impl IntoIterator<Item = Accepted>,
        rng: &mut Rng,
    ) {
        let mut txs = Vec::new();
        let mut blobs = 0;
        let mut nonce = self.nonce(NonceAt::Latest);
        if !rng.chance(self.faults.empty_block) {
            while let Some(tx) = self.pool.get(&nonce) {
                blobs += tx.blob_hashes.len();
                let pays = tx.max_fee >= self.base_fee
                    && (!tx.is_blob || tx.max_blob_fee >= self.blob_base_fee);
                if !pays || blobs > MAX_BLOBS {
                    break;
                }
                txs.extend(self.pool.remove(&nonce));
                nonce += 1;
            }
        }
        self.push_block(timestamp, txs, foreign);
        self.move_fees(rng);
        if rng.chance(self.faults.lost_tx) {
            let lost = self.pool.keys().nth(rng.below(4) as usize).copied();
            lost.and_then(|nonce| self.pool.remove(&nonce));
        }
    }

    /// Replaces the newest `depth` blocks by as many that have none of their transactions. Those come
    /// back to the pool, but for a few. What others posted stays where it was or is lost.
    pub(crate) fn reorg(&mut self, depth: u64, rng: &mut Rng) {
        let depth = (depth as usize).min(self.blocks.len() - 1);
        let removed = self.blocks.split_off(self.blocks.len() - depth);
        let is_forgetful = rng.chance(300);
        for (tx, _) in removed.iter().flat_map(|block| &block.txs) {
            let is_other_kind = self.pool.values().any(|other| other.is_blob != tx.is_blob);
            let is_lost = is_other_kind || (is_forgetful && rng.chance(500));
            if !is_lost {
                self.pool.entry(tx.nonce).or_insert(tx.clone());
            }
        }
        for block in removed {
            self.push_block(block.timestamp, Vec::new(), None);
        }
        if rng.chance(self.faults.new_owners) {
            let slot = (self.tip().timestamp - GENESIS_TIME) / SLOT_SECONDS;
            let first = (slot + rng.below(8)).saturating_sub(3);
            self.give_away(first.max(self.tip().inbox.next_slot)..slot + rng.below(12), rng);
        }
    }

    /// Gives slots to others, or to nobody.
    pub(crate) fn give_away(&mut self, slots: std::ops::Range<u64>, rng: &mut Rng) {
        for slot in slots {
            let gateway = Address::repeat_byte(0xdd);
            let other = Ownership::Owned(Owner { gateway, by_slot: slot });
            let is_owned = rng.chance(600);
            self.revised.insert(slot, if is_owned { other } else { Ownership::Nobody });
        }
    }

    /// Puts a transaction of another program with the same account in place of the next one.
    pub(crate) fn steal_nonce(&mut self) {
        let nonce = self.nonce(NonceAt::Latest);
        let foreign = SimTx {
            hash: keccak256(self.made.to_be_bytes()),
            nonce,
            is_blob: true,
            max_fee: 1 << 60,
            max_tip: 1 << 60,
            max_blob_fee: 1 << 60,
            call: None,
            blob_hashes: Vec::new(),
            data: Bytes::new(),
        };
        self.pool.insert(nonce, foreign);
    }

    fn push_block(
        &mut self,
        timestamp: u64,
        txs: Vec<SimTx>,
        foreign: impl IntoIterator<Item = Accepted>,
    ) {
        self.made += 1;
        let parent = self.tip();
        let number = parent.id.number + 1;
        let hash = keccak256([&parent.id.hash[..], &self.made.to_be_bytes()].concat());
        let mut block = SimBlock {
            id: BlockNumHash { number, hash },
            parent_hash: parent.id.hash,
            timestamp,
            txs: Vec::new(),
            accepted: Vec::new(),
            inbox: parent.inbox,
            base_fee: self.base_fee,
        };
        for foreign in foreign {
            if foreign.slot < block.inbox.next_slot {
                continue;
            }
            block.inbox.head = foreign.hash;
            block.inbox.next_slot = foreign.slot + 1;
            block.accepted.push(foreign);
        }
        for tx in txs {
            let taken = tx.call.as_ref().map(|call| self.post(&block, &tx, call));
            let succeeded = !matches!(taken, Some(None));
            self.reverted += usize::from(!succeeded);
            if let Some(accepted) = taken.flatten() {
                block.inbox.head = accepted.hash;
                block.inbox.next_slot = accepted.slot + 1;
                block.accepted.push(accepted);
            }
            block.txs.push((tx, succeeded));
        }
        self.blocks.push(block);
    }

    /// `Inbox.post`, in `block`.
    fn post(&self, block: &SimBlock, tx: &SimTx, call: &SimCall) -> Option<Accepted> {
        let current = (block.timestamp - GENESIS_TIME) / SLOT_SECONDS;
        let InboxState { head, next_slot, window_slots } = block.inbox;
        let is_in_time =
            (next_slot..current).contains(&call.slot) && current - call.slot <= window_slots;
        let has_blobs = call.first_blob.is_zero()
            && call.blob_count == U256::from(tx.blob_hashes.len())
            && !tx.blob_hashes.is_empty();
        if !is_in_time || call.parent != head || !has_blobs || !self.is_proven(call) {
            return None;
        }
        let blob_hashes = tx.blob_hashes.clone();
        let batch = Inbox::Batch { slot: call.slot, parent: call.parent, blobHashes: blob_hashes };
        let hash = union_batch_hash(&batch, L1_CHAIN_ID, union().inbox);
        let signature = Signature::from_raw(&call.signature).unwrap();
        let signer = signature.recover_address_from_prehash(&hash).unwrap();
        let is_owner = signer == self.gateway && self.is_ours(call.slot);
        let accepted = Accepted { slot: call.slot, hash, is_ours: true, data: tx.data.clone() };
        is_owner.then_some(accepted)
    }

    /// A proof names an L1 block of the chain, and the slot.
    fn is_proven(&self, call: &SimCall) -> bool {
        let (timestamp, hash) = call.anchor;
        let anchor = self.blocks.iter().find(|block| block.timestamp == timestamp);
        call.proven_slot == call.slot && anchor.is_some_and(|anchor| anchor.id.hash == hash)
    }

    fn move_fees(&mut self, rng: &mut Rng) {
        let moved =
            |fee: u128, rng: &mut Rng| (fee * u128::from(880 + rng.below(245)) / 1000).max(1);
        self.base_fee = moved(self.base_fee, rng).clamp(1_000_000, 100_000_000_000);
        self.blob_base_fee = moved(self.blob_base_fee, rng).min(100_000_000_000);
        if rng.chance(self.faults.fee_spike) {
            self.base_fee = (self.base_fee * 6).min(100_000_000_000);
            self.blob_base_fee = (self.blob_base_fee * 40).min(100_000_000_000);
        }
    }
}
