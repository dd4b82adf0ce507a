//! A rollup in memory: a sequencer, and a node that derives from the simulated L1.

use crate::{l1::SimL1, rng::Rng};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{BlockNumHash, eip2718::Encodable2718, eip2930::AccessList};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use lockstep_batcher::{BatchBlock, DataLimits};
use lockstep_protocol::RollupConfig;
use op_alloy_consensus::OpTxEnvelope;
use std::sync::Arc;

/// By how many blocks the L1 origin lags behind the newest L1 block.
const ORIGIN_LAG: u64 = 3;

#[derive(Debug)]
pub(crate) struct SimL2 {
    pub(crate) config: Arc<RollupConfig>,
    /// The canonical chain; the first block is genesis.
    pub(crate) blocks: Vec<BatchBlock>,
    /// The most bytes of a transaction's input.
    pub(crate) max_input: u64,
    /// What the batcher allows.
    pub(crate) limits: DataLimits,
}

/// What a block's hash commits to in this simulation.
pub(crate) fn seal(mut block: BatchBlock) -> BatchBlock {
    let mut preimage = block.parent_hash.to_vec();
    preimage.extend(block.number.to_be_bytes());
    preimage.extend(block.timestamp.to_be_bytes());
    preimage.extend(block.epoch.hash);
    for tx in &block.transactions {
        preimage.extend(keccak256(tx));
    }
    block.hash = keccak256(preimage);
    block
}

impl SimL2 {
    pub(crate) fn new(mut config: RollupConfig, l1: &SimL1) -> Self {
        let epoch = l1.tip().id;
        let timestamp = l1.tip().timestamp;
        let genesis =
            seal(BatchBlock { epoch, timestamp, starts_epoch: true, ..Default::default() });
        config.genesis.l1 = epoch;
        config.genesis.l2 = genesis.id();
        config.genesis.l2_time = timestamp;
        Self {
            config: Arc::new(config),
            blocks: vec![genesis],
            max_input: 60,
            limits: DataLimits::UNLIMITED,
        }
    }

    pub(crate) fn tip(&self) -> &BatchBlock {
        self.blocks.last().unwrap()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&BatchBlock> {
        self.blocks.get(number as usize)
    }

    /// Drops the blocks whose L1 origin a reorg took away, and those that differ from what derivation
    /// found.
    pub(crate) fn follow(&mut self, l1: &SimL1, safe: &[BatchBlock]) {
        let is_canonical =
            |epoch: BlockNumHash| l1.block(epoch.number).is_some_and(|block| block.id == epoch);
        while !is_canonical(self.tip().epoch) {
            self.blocks.pop();
        }
        let differs = safe.iter().zip(&self.blocks).position(|(a, b)| a.hash != b.hash);
        if differs.is_some() || safe.len() > self.blocks.len() {
            self.blocks = safe.to_vec();
        }
    }

    /// Makes the blocks that are due at the time of the newest L1 block.
    pub(crate) fn sequence(&mut self, l1: &SimL1, rng: &mut Rng) {
        while self.tip().timestamp < l1.tip().timestamp {
            let parent = self.tip().clone();
            let timestamp = parent.timestamp + self.config.block_time;
            let next = l1.block(parent.epoch.number + 1).filter(|block| {
                block.id.number + ORIGIN_LAG <= l1.tip().id.number && block.timestamp <= timestamp
            });
            let epoch = next.map_or(parent.epoch, |block| block.id);
            let mut room = self.limits.block_bytes;
            let mut fits = |tx: &Bytes| {
                let bytes = tx.len() as u64;
                let fits = bytes <= room && bytes <= self.limits.transaction_bytes;
                room -= if fits { bytes } else { 0 };
                fits
            };
            let offered = (0..rng.below(4)).map(|_| random_tx(&self.config, self.max_input, rng));
            let transactions = offered.filter(|tx| fits(tx)).collect();
            self.blocks.push(seal(BatchBlock {
                number: parent.number + 1,
                hash: B256::ZERO,
                parent_hash: parent.hash,
                timestamp,
                epoch,
                starts_epoch: epoch != parent.epoch,
                transactions,
            }));
        }
    }

    /// Bytes of transactions in the blocks after `safe`.
    pub(crate) fn bytes_after(&self, safe: u64) -> usize {
        self.blocks.iter().skip(safe as usize + 1).map(BatchBlock::bytes).sum()
    }

    /// Replaces unsafe blocks by others.
    pub(crate) fn replace_unsafe(&mut self, safe: u64, rng: &mut Rng) {
        let unsafe_blocks = self.tip().number - safe;
        if unsafe_blocks > 0 {
            let depth = 1 + rng.below(unsafe_blocks);
            self.blocks.truncate((self.tip().number + 1 - depth) as usize);
        }
    }
}

/// A transaction of any type, signed by nobody in particular.
pub(crate) fn random_tx(config: &RollupConfig, max_input: u64, rng: &mut Rng) -> Bytes {
    let chain_id = config.l2_chain_id;
    let size = rng.below(max_input.max(1)) as usize;
    let input = Bytes::from(rng.bytes(size));
    let target = Address::from_slice(&rng.bytes(20));
    let to = if rng.chance(100) { TxKind::Create } else { TxKind::Call(target) };
    let (nonce, gas_limit, value) =
        (rng.below(1000), 21_000 + rng.below(1 << 30), U256::from(rng.next()));
    let fee = u128::from(rng.below(1 << 40));
    let signature = Signature::new(U256::from(rng.next()), U256::from(rng.next()), rng.chance(500));
    let access_list = AccessList::default();
    let tx: OpTxEnvelope = match rng.below(4) {
        0 => {
            let chain_id = rng.chance(700).then_some(chain_id);
            TxLegacy { chain_id, nonce, gas_price: fee, gas_limit, to, value, input }
                .into_signed(signature)
                .into()
        }
        1 => {
            TxEip2930 { chain_id, nonce, gas_price: fee, gas_limit, to, value, access_list, input }
                .into_signed(signature)
                .into()
        }
        2 => TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: fee,
            max_priority_fee_per_gas: fee / 2,
            to,
            value,
            access_list,
            input,
        }
        .into_signed(signature)
        .into(),
        _ => TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: fee,
            max_priority_fee_per_gas: fee / 2,
            to: target,
            value,
            access_list,
            authorization_list: Vec::new(),
            input,
        }
        .into_signed(signature)
        .into(),
    };
    tx.encoded_2718().into()
}
