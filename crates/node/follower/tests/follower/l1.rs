//! An L1 in memory, with a batcher.

use alloy_consensus::{
    Eip658Value, Header, Receipt, ReceiptEnvelope, SignableTransaction, TxEip1559, TxEnvelope,
};
use alloy_eips::eip4844::Blob;
use alloy_primitives::{Address, B256, Bytes, FixedBytes, Log, TxKind, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_derive::{BlobProvider, IndexedBlobHash, L1Provider, ProviderError, Severity};
use lockstep_follower::{L1Heads, L1Watch};
use lockstep_protocol::{
    Batch, BlockInfo, Compression, Frame, RollupConfig, SingleBatch, SpanBatch, compress_channel,
    deposit_log, encode_frames, put_batch,
};
use op_alloy_consensus::TxDeposit;
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, sync::Arc};

/// Seconds between L1 blocks.
pub(crate) const L1_BLOCK_TIME: u64 = 12;
pub(crate) const L1_CHAIN_ID: u64 = 900;
pub(crate) const INBOX: Address = Address::repeat_byte(0x1b);
pub(crate) const PORTAL: Address = Address::repeat_byte(0xde);

#[derive(Debug, thiserror::Error)]
pub(crate) enum L1Error {
    #[error("the L1 is down")]
    Down,
    #[error("there is no such block")]
    Missing,
}

impl ProviderError for L1Error {
    fn severity(&self) -> Severity {
        match self {
            Self::Down => Severity::Temporary,
            Self::Missing => Severity::Reset,
        }
    }
}

#[derive(Clone, Debug)]
struct Mined {
    header: Header,
    info: BlockInfo,
    transactions: Vec<TxEnvelope>,
    receipts: Vec<ReceiptEnvelope>,
}

#[derive(Debug)]
pub(crate) struct Chain {
    blocks: Vec<Mined>,
    by_hash: HashMap<B256, Mined>,
    transactions: Vec<TxEnvelope>,
    logs: Vec<Log>,
    branch: u8,
    batcher: PrivateKeySigner,
    nonce: u64,
    channels: u64,
    pub(crate) finalized: Option<u64>,
    /// The call that fails, once: 0 is the next one.
    pub(crate) fail_at: Option<usize>,
}

/// An L1 that is shared by whoever has a copy.
#[derive(Clone, Debug)]
pub(crate) struct MemoryL1(Arc<Mutex<Chain>>);

impl MemoryL1 {
    /// An L1 whose first block is at `timestamp`, in seconds.
    pub(crate) fn new(timestamp: u64) -> Self {
        let mut chain = Chain {
            blocks: Vec::new(),
            by_hash: HashMap::new(),
            transactions: Vec::new(),
            logs: Vec::new(),
            branch: 0,
            batcher: PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap(),
            nonce: 0,
            channels: 0,
            finalized: None,
            fail_at: None,
        };
        chain.mine_at(timestamp);
        Self(Arc::new(Mutex::new(chain)))
    }

    pub(crate) fn chain(&self) -> MutexGuard<'_, Chain> {
        self.0.lock()
    }
}

impl Chain {
    pub(crate) fn head(&self) -> BlockInfo {
        self.blocks.last().unwrap().info
    }

    pub(crate) fn batcher(&self) -> Address {
        self.batcher.address()
    }

    pub(crate) fn mine(&mut self) {
        self.mine_at(self.head().timestamp + L1_BLOCK_TIME);
    }

    fn mine_at(&mut self, timestamp: u64) {
        let parent = self.blocks.last().map(|last| last.info).unwrap_or_default();
        let number = u64::try_from(self.blocks.len()).unwrap();
        let transactions = std::mem::take(&mut self.transactions);
        let logs = std::mem::take(&mut self.logs);
        let status = Eip658Value::Eip658(true);
        let receipt = Receipt { status, cumulative_gas_used: 0, logs };
        let receipts = vec![ReceiptEnvelope::Eip1559(receipt.into())];
        let hashes: Vec<u8> = transactions.iter().flat_map(|tx| tx.hash().0).collect();
        let header = Header {
            number,
            parent_hash: parent.hash,
            timestamp,
            extra_data: Bytes::from(vec![self.branch]),
            transactions_root: keccak256(hashes),
            receipts_root: keccak256(format!("{receipts:?}")),
            mix_hash: keccak256(number.to_be_bytes()),
            base_fee_per_gas: Some(1_000_000_000),
            excess_blob_gas: Some(0),
            blob_gas_used: Some(0),
            parent_beacon_block_root: Some(keccak256([self.branch])),
            ..Header::default()
        };
        let info = BlockInfo::from_header(&header, header.hash_slow());
        let mined = Mined { header, info, transactions, receipts };
        self.by_hash.insert(info.hash, mined.clone());
        self.blocks.push(mined);
    }

    /// The block is canonical, and nothing more can be read of it; or it can be again.
    pub(crate) fn lose(&mut self, number: usize, is_lost: bool) {
        let mined = self.blocks[number].clone();
        if is_lost {
            self.by_hash.remove(&mined.info.hash);
        } else {
            self.by_hash.insert(mined.info.hash, mined);
        }
    }

    /// Takes the last `depth` blocks back, with what was posted in them.
    pub(crate) fn reorg(&mut self, depth: usize) {
        self.blocks.truncate(self.blocks.len() - depth);
        self.transactions.clear();
        self.branch += 1;
    }

    pub(crate) fn deposit(&mut self, deposit: &TxDeposit) {
        self.logs.push(deposit_log(deposit, PORTAL));
    }

    /// Posts blocks as one span batch in one channel.
    pub(crate) fn post(
        &mut self,
        config: &RollupConfig,
        blocks: &[SingleBatch],
        opens_epoch: bool,
    ) {
        let span = SpanBatch::from_blocks(blocks, opens_epoch).unwrap();
        self.post_batches(config, &[Batch::Span(span)]);
    }

    /// Posts batches in one channel.
    pub(crate) fn post_batches(&mut self, config: &RollupConfig, batches: &[Batch]) {
        let mut data = Vec::new();
        for batch in batches {
            put_batch(&batch.encode(config).unwrap(), &mut data);
        }
        self.channels += 1;
        let id = keccak256(self.channels.to_be_bytes());
        let frame = Frame {
            channel: FixedBytes::from_slice(&id[..16]),
            number: 0,
            data: compress_channel(Compression::Zlib { level: 6 }, &data).into(),
            is_last: true,
        };
        let transaction = TxEip1559 {
            chain_id: L1_CHAIN_ID,
            nonce: self.nonce,
            to: TxKind::Call(INBOX),
            input: encode_frames(&[frame]).into(),
            ..TxEip1559::default()
        };
        self.nonce += 1;
        let signature = self.batcher.sign_hash_sync(&transaction.signature_hash()).unwrap();
        self.transactions.push(transaction.into_signed(signature).into());
    }

    fn answer(&mut self) -> Result<(), L1Error> {
        match self.fail_at.take() {
            Some(0) => Err(L1Error::Down),
            at => {
                self.fail_at = at.map(|at| at - 1);
                Ok(())
            }
        }
    }

    fn find(&mut self, hash: B256) -> Result<&Mined, L1Error> {
        self.answer()?;
        self.by_hash.get(&hash).ok_or(L1Error::Missing)
    }

    fn at(&self, number: u64) -> Option<BlockInfo> {
        self.blocks.get(usize::try_from(number).unwrap()).map(|mined| mined.info)
    }
}

impl L1Provider for MemoryL1 {
    type Error = L1Error;

    fn header_by_hash(&mut self, hash: B256) -> Result<Header, L1Error> {
        Ok(self.chain().find(hash)?.header.clone())
    }

    fn block_by_number(&mut self, number: u64) -> Result<Option<BlockInfo>, L1Error> {
        let mut chain = self.chain();
        chain.answer()?;
        Ok(chain.at(number))
    }

    fn receipts(&mut self, hash: B256) -> Result<Vec<ReceiptEnvelope>, L1Error> {
        Ok(self.chain().find(hash)?.receipts.clone())
    }

    fn transactions(&mut self, hash: B256) -> Result<(BlockInfo, Vec<TxEnvelope>), L1Error> {
        let mut chain = self.chain();
        let mined = chain.find(hash)?;
        Ok((mined.info, mined.transactions.clone()))
    }
}

impl L1Watch for MemoryL1 {
    fn heads(&mut self) -> Result<L1Heads, L1Error> {
        let mut chain = self.chain();
        chain.answer()?;
        let finalized = chain.finalized.and_then(|number| chain.at(number));
        Ok(L1Heads { head: chain.head(), safe: finalized, finalized })
    }
}

/// This L1 carries no blobs.
impl BlobProvider for MemoryL1 {
    type Error = L1Error;

    fn blobs(
        &mut self,
        _: &BlockInfo,
        hashes: &[IndexedBlobHash],
    ) -> Result<Vec<Box<Blob>>, L1Error> {
        if hashes.is_empty() { Ok(Vec::new()) } else { Err(L1Error::Missing) }
    }
}
