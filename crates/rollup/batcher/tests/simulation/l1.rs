//! An L1 in memory: blocks, a pool with the rules of real ones, fees that move, reorgs.

use crate::rng::Rng;
use alloy_consensus::{
    Transaction, TxEip4844WithSidecar,
    transaction::{EthereumTxEnvelope, SignerRecoverable},
};
use alloy_eips::{BlockNumHash, eip2718::Decodable2718, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use lockstep_batcher::{DataKind, Inclusion, L1Head, NonceAt, SendOutcome};
use lockstep_protocol::decode_blob;
use std::collections::BTreeMap;

pub(crate) type Tx = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>;

/// Blobs of one block.
const MAX_BLOBS: usize = 9;

/// A transaction in the pool or a block.
#[derive(Clone, Debug)]
pub(crate) struct SimTx {
    pub(crate) hash: B256,
    pub(crate) to: Address,
    nonce: u64,
    kind: DataKind,
    max_fee: u128,
    max_tip: u128,
    max_blob_fee: u128,
    /// What derivation reads: the input, or each blob.
    pub(crate) data: Vec<Bytes>,
}

impl SimTx {
    fn decode(mut raw: &[u8], account: Address) -> Self {
        let tx = Tx::decode_2718(&mut raw).expect("the batcher sends well-formed transactions");
        assert!(raw.is_empty(), "no trailing bytes");
        assert_eq!(tx.recover_signer().unwrap(), account, "signed by the batcher");
        let sidecar = match &tx {
            EthereumTxEnvelope::Eip4844(signed) => Some(&signed.tx().sidecar),
            _ => None,
        };
        let (kind, data) = match sidecar {
            Some(sidecar) => {
                let hashes: Vec<B256> = sidecar.versioned_hashes().collect();
                assert_eq!(tx.blob_versioned_hashes(), Some(&hashes[..]), "the blobs belong to it");
                let blobs = sidecar.blobs().iter();
                (DataKind::Blobs, blobs.map(|blob| decode_blob(blob).unwrap_or_default()).collect())
            }
            None => (DataKind::Calldata, vec![tx.input().clone()]),
        };
        assert!(tx.is_eip4844() == (kind == DataKind::Blobs));
        Self {
            hash: *tx.tx_hash(),
            to: tx.to().expect("nothing is created"),
            nonce: tx.nonce(),
            kind,
            max_fee: tx.max_fee_per_gas(),
            max_tip: tx.max_priority_fee_per_gas().unwrap(),
            max_blob_fee: tx.max_fee_per_blob_gas().unwrap_or_default(),
            data,
        }
    }

    /// Whether pools take it in place of `other`.
    fn replaces(&self, other: &Self) -> bool {
        let percent = if self.kind == DataKind::Blobs { 200 } else { 110 };
        let is_more = |new: u128, old: u128| new > old && new * 100 >= old * percent;
        is_more(self.max_fee, other.max_fee)
            && is_more(self.max_tip, other.max_tip)
            && (self.kind == DataKind::Calldata || is_more(self.max_blob_fee, other.max_blob_fee))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SimBlock {
    pub(crate) id: BlockNumHash,
    pub(crate) parent_hash: B256,
    pub(crate) timestamp: u64,
    pub(crate) txs: Vec<SimTx>,
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
    /// The pool drops what pays less than the base fee, per block, and says nothing.
    pub(crate) eviction: u64,
    /// What the pool says to what pays less than the base fee, if it does not take that.
    pub(crate) to_cheap: Option<&'static str>,
    /// The pool has no room.
    pub(crate) pool_full: u64,
    /// The account has too little ether for a moment.
    pub(crate) no_funds: u64,
    /// The fees jump.
    pub(crate) fee_spike: u64,
    /// A reorg, per block.
    pub(crate) reorg: u64,
    /// The deepest reorg.
    pub(crate) reorg_depth: u64,
    /// By how many L1 blocks the L2 node is behind at most. Not a probability.
    pub(crate) lag: u64,
    /// The batcher is killed, per step.
    pub(crate) restart: u64,
    /// The sequencer replaces unsafe blocks, per L1 block.
    pub(crate) l2_reorg: u64,
}

#[derive(Debug)]
pub(crate) struct SimL1 {
    pub(crate) account: Address,
    pub(crate) blocks: Vec<SimBlock>,
    pub(crate) pool: BTreeMap<u64, SimTx>,
    pub(crate) faults: Faults,
    pub(crate) paid: u128,
    pub(crate) base_fee: u128,
    pub(crate) blob_base_fee: u128,
    /// The base fee does not fall below.
    pub(crate) floor: u128,
    /// Counts all blocks ever made, so that the hashes of forks differ.
    made: u64,
}

impl SimL1 {
    pub(crate) fn new(account: Address) -> Self {
        let genesis = SimBlock {
            id: BlockNumHash { number: 0, hash: keccak256("genesis") },
            parent_hash: B256::ZERO,
            timestamp: 1_000_000,
            txs: Vec::new(),
            base_fee: 10_000_000_000,
        };
        Self {
            account,
            blocks: vec![genesis],
            pool: BTreeMap::new(),
            faults: Faults::default(),
            paid: 0,
            base_fee: 10_000_000_000,
            blob_base_fee: 1_000_000,
            floor: 1_000_000,
            made: 0,
        }
    }

    pub(crate) fn tip(&self) -> &SimBlock {
        self.blocks.last().unwrap()
    }

    /// The canonical block with this number.
    pub(crate) fn block(&self, number: u64) -> Option<&SimBlock> {
        self.blocks.get(number as usize)
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

    pub(crate) fn nonce(&self, at: NonceAt) -> u64 {
        let mut nonce = self.blocks.iter().map(|block| block.txs.len() as u64).sum();
        if at == NonceAt::Pending {
            while self.pool.contains_key(&nonce) {
                nonce += 1;
            }
        }
        nonce
    }

    /// What the first transaction in the pool offers for gas.
    pub(crate) fn first_offer(&self) -> Option<u128> {
        self.pool.values().next().map(|tx| tx.max_fee)
    }

    pub(crate) fn inclusion(&self, hash: B256) -> Option<Inclusion> {
        let block = self.blocks.iter().find(|b| b.txs.iter().any(|tx| tx.hash == hash))?;
        Some(Inclusion { block: block.id, succeeded: true, fee: block.base_fee })
    }

    pub(crate) fn send(&mut self, raw: &[u8], rng: &mut Rng) -> SendOutcome {
        let tx = SimTx::decode(raw, self.account);
        if self.pool.get(&tx.nonce).is_some_and(|known| known.hash == tx.hash) {
            return SendOutcome::AlreadyKnown;
        }
        if tx.nonce < self.nonce(NonceAt::Latest) {
            return SendOutcome::NonceTooLow;
        }
        if self.pool.values().any(|other| other.kind != tx.kind) {
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
        if let Some(message) = self.faults.to_cheap.filter(|_| tx.max_fee < self.base_fee) {
            return SendOutcome::from_message(message);
        }
        let is_gapped = tx.nonce > self.nonce(NonceAt::Pending);
        if is_gapped && tx.kind == DataKind::Blobs {
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

    /// Makes a block from the pool.
    pub(crate) fn mine(&mut self, rng: &mut Rng) {
        let mut txs = Vec::new();
        let mut blobs = 0;
        let mut nonce = self.nonce(NonceAt::Latest);
        if !rng.chance(self.faults.empty_block) {
            while let Some(tx) = self.pool.get(&nonce) {
                let is_blob = tx.kind == DataKind::Blobs;
                blobs += if is_blob { tx.data.len() } else { 0 };
                let pays = tx.max_fee >= self.base_fee
                    && (!is_blob || tx.max_blob_fee >= self.blob_base_fee);
                if !pays || blobs > MAX_BLOBS {
                    break;
                }
                self.paid += self.base_fee;
                txs.extend(self.pool.remove(&nonce));
                nonce += 1;
            }
        }
        self.push_block(txs);
        self.move_fees(rng);
        // No dice where there is nothing to decide, so that seeds mean what they meant.
        if self.faults.eviction > 0 && rng.chance(self.faults.eviction) {
            self.pool.retain(|_, tx| tx.max_fee >= self.base_fee);
        }
        if rng.chance(self.faults.lost_tx) {
            let lost = self.pool.keys().nth(rng.below(4) as usize).copied();
            lost.and_then(|nonce| self.pool.remove(&nonce));
        }
    }

    /// Replaces the newest `depth` blocks by as many that have none of their transactions. Those come
    /// back to the pool, but for a few.
    pub(crate) fn reorg(&mut self, depth: u64, rng: &mut Rng) {
        let depth = (depth as usize).min(self.blocks.len() - 1);
        let removed = self.blocks.split_off(self.blocks.len() - depth);
        let is_forgetful = rng.chance(300);
        for tx in removed.into_iter().flat_map(|block| block.txs) {
            let is_other_kind = self.pool.values().any(|other| other.kind != tx.kind);
            let is_lost = is_other_kind || (is_forgetful && rng.chance(500));
            if !is_lost {
                self.pool.entry(tx.nonce).or_insert(tx);
            }
        }
        for _ in 0..depth {
            self.push_block(Vec::new());
        }
    }

    /// Transactions in blocks with calldata, and with blobs.
    pub(crate) fn kinds(&self) -> (usize, usize) {
        let kinds = || self.blocks.iter().flat_map(|block| &block.txs).map(|tx| tx.kind);
        let count = |kind: DataKind| kinds().filter(|found| *found == kind).count();
        (count(DataKind::Calldata), count(DataKind::Blobs))
    }

    /// Puts a transaction of another program with the same account in place of the next one.
    pub(crate) fn steal_nonce(&mut self) {
        let nonce = self.nonce(NonceAt::Latest);
        let foreign = SimTx {
            hash: keccak256(nonce.to_be_bytes()),
            to: Address::ZERO,
            nonce,
            kind: DataKind::Calldata,
            max_fee: 1 << 60,
            max_tip: 1 << 60,
            max_blob_fee: 0,
            data: Vec::new(),
        };
        self.pool.insert(nonce, foreign);
    }

    fn push_block(&mut self, txs: Vec<SimTx>) {
        self.made += 1;
        let parent = self.tip();
        let number = parent.id.number + 1;
        let hash = keccak256([&parent.id.hash[..], &self.made.to_be_bytes()].concat());
        let block = SimBlock {
            id: BlockNumHash { number, hash },
            parent_hash: parent.id.hash,
            timestamp: parent.timestamp + 12,
            txs,
            base_fee: self.base_fee,
        };
        self.blocks.push(block);
    }

    fn move_fees(&mut self, rng: &mut Rng) {
        let moved =
            |fee: u128, rng: &mut Rng| (fee * u128::from(880 + rng.below(245)) / 1000).max(1);
        self.base_fee = moved(self.base_fee, rng).clamp(self.floor, 100_000_000_000);
        self.blob_base_fee = moved(self.blob_base_fee, rng).min(100_000_000_000);
        if rng.chance(self.faults.fee_spike) {
            self.base_fee = (self.base_fee * 6).min(100_000_000_000);
            self.blob_base_fee = (self.blob_base_fee * 40).min(100_000_000_000);
        }
    }
}
