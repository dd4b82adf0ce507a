//! An L1 in memory.

use super::{GENESIS_TIME, INBOX, L1_BLOCK_TIME, L1_CHAIN_ID, PORTAL, SYSTEM_CONFIG};
use alloy_consensus::{
    Eip658Value, Header, Receipt, ReceiptEnvelope, SignableTransaction, TxEip1559, TxEip4844,
    TxEip7702, TxEnvelope, TxLegacy,
};
use alloy_eips::eip4844::Blob;
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_derive::{BlobProvider, IndexedBlobHash, L1Provider, ProviderError, Severity};
use lockstep_protocol::{BlockInfo, SystemConfigUpdate, deposit_log};
use op_alloy_consensus::TxDeposit;
use std::{cell::RefCell, collections::HashMap, ops::Deref, rc::Rc};

/// Why the L1 did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum L1Error {
    /// For a while.
    Down,
    /// There is no such block.
    Missing,
}

impl std::fmt::Display for L1Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for L1Error {}

impl ProviderError for L1Error {
    fn severity(&self) -> Severity {
        match self {
            Self::Down => Severity::Temporary,
            Self::Missing => Severity::Reset,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct L1Block {
    pub(crate) header: Header,
    pub(crate) info: BlockInfo,
    pub(crate) transactions: Vec<TxEnvelope>,
    pub(crate) receipts: Vec<ReceiptEnvelope>,
    pub(crate) blobs: Vec<Box<Blob>>,
}

/// The canonical chain, the blocks that were, and the transactions that wait.
#[derive(Debug)]
pub(crate) struct L1 {
    pub(crate) blocks: Vec<L1Block>,
    /// All blocks that ever were.
    by_hash: HashMap<B256, L1Block>,
    transactions: Vec<TxEnvelope>,
    blobs: Vec<Box<Blob>>,
    logs: Vec<Log>,
    /// Which branch blocks are made for: it makes their hashes different.
    pub(crate) branch: u8,
    /// The call that fails, once: 0 is the next one.
    pub(crate) fail_at: Option<usize>,
    /// How many headers were asked for.
    pub(crate) headers_read: usize,
}

impl L1 {
    pub(crate) fn new() -> Self {
        let mut this = Self {
            blocks: Vec::new(),
            by_hash: HashMap::new(),
            transactions: Vec::new(),
            blobs: Vec::new(),
            logs: Vec::new(),
            branch: 0,
            fail_at: None,
            headers_read: 0,
        };
        this.mine();
        this
    }

    pub(crate) fn head(&self) -> BlockInfo {
        self.blocks.last().expect("there is a genesis block").info
    }

    pub(crate) fn block(&self, number: u64) -> Option<&L1Block> {
        self.blocks.get(number as usize)
    }

    /// Mines a block with what waits, at the usual time.
    pub(crate) fn mine(&mut self) -> BlockInfo {
        let timestamp =
            self.blocks.last().map_or(GENESIS_TIME, |last| last.info.timestamp + L1_BLOCK_TIME);
        self.mine_at(timestamp)
    }

    pub(crate) fn mine_many(&mut self, count: usize) {
        for _ in 0..count {
            self.mine();
        }
    }

    pub(crate) fn mine_at(&mut self, timestamp: u64) -> BlockInfo {
        let parent = self.blocks.last().map(|last| last.info).unwrap_or_default();
        let number = self.blocks.len() as u64;
        let transactions = std::mem::take(&mut self.transactions);
        let logs = std::mem::take(&mut self.logs);
        let receipts: Vec<ReceiptEnvelope> = logs
            .into_iter()
            .map(|log| receipt(vec![log], true))
            .chain([receipt(Vec::new(), false)])
            .collect();
        let mut content = Vec::new();
        for transaction in &transactions {
            content.extend_from_slice(transaction.hash().as_slice());
        }
        content.extend(format!("{receipts:?}").bytes());
        let header = Header {
            number,
            parent_hash: parent.hash,
            timestamp,
            extra_data: Bytes::from(vec![self.branch]),
            transactions_root: keccak256(content),
            mix_hash: keccak256([self.branch, number as u8]),
            base_fee_per_gas: Some(1_000_000_000 + number),
            excess_blob_gas: Some(number * 131_072),
            blob_gas_used: Some(0),
            parent_beacon_block_root: Some(keccak256([number as u8])),
            ..Header::default()
        };
        let info = BlockInfo::from_header(&header, header.hash_slow());
        let blobs = std::mem::take(&mut self.blobs);
        let block = L1Block { header, info, transactions, receipts, blobs };
        self.by_hash.insert(info.hash, block.clone());
        self.blocks.push(block);
        info
    }

    /// Takes the last `depth` blocks back; what is mined from now on has other hashes.
    pub(crate) fn reorg(&mut self, depth: usize) {
        self.blocks.truncate(self.blocks.len() - depth);
        self.branch += 1;
    }

    /// Drops the content of a block that nobody will ask for again.
    pub(crate) fn forget(&mut self, number: usize) {
        for block in [self.blocks.get_mut(number)].into_iter().flatten() {
            block.transactions = Vec::new();
            if let Some(block) = self.by_hash.get_mut(&block.info.hash) {
                block.transactions = Vec::new();
            }
        }
    }

    pub(crate) fn send(&mut self, transaction: TxEnvelope) {
        self.transactions.push(transaction);
    }

    pub(crate) fn send_blobs(&mut self, transaction: TxEnvelope, blobs: Vec<Box<Blob>>) {
        self.transactions.push(transaction);
        self.blobs.extend(blobs);
    }

    pub(crate) fn deposit(&mut self, deposit: &TxDeposit) {
        self.logs.push(deposit_log(deposit, PORTAL));
    }

    pub(crate) fn update(&mut self, update: &SystemConfigUpdate) {
        self.logs.push(update.to_log(SYSTEM_CONFIG));
    }

    pub(crate) fn log(&mut self, log: Log) {
        self.logs.push(log);
    }

    fn answer(&mut self) -> Result<(), L1Error> {
        match self.fail_at.take() {
            Some(0) => return Err(L1Error::Down),
            at => self.fail_at = at.map(|at| at - 1),
        }
        Ok(())
    }

    fn find(&mut self, hash: B256) -> Result<&L1Block, L1Error> {
        self.answer()?;
        self.by_hash.get(&hash).ok_or(L1Error::Missing)
    }
}

fn receipt(logs: Vec<Log>, success: bool) -> ReceiptEnvelope {
    let status = Eip658Value::Eip658(success);
    ReceiptEnvelope::Eip1559(Receipt { status, cumulative_gas_used: 0, logs }.into())
}

/// The L1 as tests and pipelines share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedL1(Rc<RefCell<L1>>);

impl SharedL1 {
    pub(crate) fn new(l1: L1) -> Self {
        Self(Rc::new(RefCell::new(l1)))
    }
}

impl Deref for SharedL1 {
    type Target = RefCell<L1>;

    fn deref(&self) -> &RefCell<L1> {
        &self.0
    }
}

impl L1Provider for SharedL1 {
    type Error = L1Error;

    fn header_by_hash(&mut self, hash: B256) -> Result<Header, L1Error> {
        let mut l1 = self.borrow_mut();
        l1.headers_read += 1;
        l1.find(hash).map(|block| block.header.clone())
    }

    fn block_by_number(&mut self, number: u64) -> Result<Option<BlockInfo>, L1Error> {
        self.borrow_mut().answer()?;
        Ok(self.borrow().block(number).map(|block| block.info))
    }

    fn receipts(&mut self, hash: B256) -> Result<Vec<ReceiptEnvelope>, L1Error> {
        self.borrow_mut().find(hash).map(|block| block.receipts.clone())
    }

    fn transactions(&mut self, hash: B256) -> Result<(BlockInfo, Vec<TxEnvelope>), L1Error> {
        self.borrow_mut().find(hash).map(|block| (block.info, block.transactions.clone()))
    }
}

impl BlobProvider for SharedL1 {
    type Error = L1Error;

    fn blobs(
        &mut self,
        block: &BlockInfo,
        hashes: &[IndexedBlobHash],
    ) -> Result<Vec<Box<Blob>>, L1Error> {
        let mut l1 = self.borrow_mut();
        let block = l1.find(block.hash)?;
        // Providers need take no more than the blobs of a block.
        assert!(hashes.is_sorted_by(|a, b| a.index < b.index), "a blob is asked for twice");
        hashes
            .iter()
            .map(|wanted| {
                let blob = block.blobs.get(wanted.index as usize).ok_or(L1Error::Missing)?;
                assert_eq!(blob_hash(blob), wanted.hash, "asked for another blob");
                Ok(blob.clone())
            })
            .collect()
    }
}

/// What stands for the versioned hash of a blob: without its commitment, to save time.
pub(crate) fn blob_hash(blob: &Blob) -> B256 {
    let mut hash = keccak256(blob);
    hash[0] = 1;
    hash
}

/// Somebody who sends transactions to L1.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    signer: PrivateKeySigner,
    nonce: u64,
}

impl Sender {
    pub(crate) fn new(seed: u8) -> Self {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(seed)).expect("a valid key");
        Self { signer, nonce: 0 }
    }

    pub(crate) fn address(&self) -> Address {
        self.signer.address()
    }

    pub(crate) fn sign<T>(&self, transaction: T) -> TxEnvelope
    where
        T: SignableTransaction<alloy_primitives::Signature>,
        TxEnvelope: From<alloy_consensus::Signed<T>>,
    {
        let hash = transaction.signature_hash();
        let signature = self.signer.sign_hash_sync(&hash).expect("a key can sign");
        transaction.into_signed(signature).into()
    }

    fn next_nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce - 1
    }

    /// A transaction with `data` as its input.
    pub(crate) fn calldata(&mut self, to: Address, data: Vec<u8>) -> TxEnvelope {
        let nonce = self.next_nonce();
        self.sign(TxEip1559 {
            chain_id: L1_CHAIN_ID,
            nonce,
            to: TxKind::Call(to),
            input: data.into(),
            ..TxEip1559::default()
        })
    }

    pub(crate) fn legacy(&mut self, to: Address, data: Vec<u8>) -> TxEnvelope {
        let nonce = self.next_nonce();
        self.sign(TxLegacy {
            chain_id: Some(L1_CHAIN_ID),
            nonce,
            to: TxKind::Call(to),
            value: U256::ZERO,
            input: data.into(),
            ..TxLegacy::default()
        })
    }

    pub(crate) fn set_code(&mut self, data: Vec<u8>) -> TxEnvelope {
        let nonce = self.next_nonce();
        self.sign(TxEip7702 {
            chain_id: L1_CHAIN_ID,
            nonce,
            to: INBOX,
            input: data.into(),
            ..TxEip7702::default()
        })
    }

    /// A transaction with blobs; `data` is its input, which does not count.
    pub(crate) fn blobs(&mut self, blobs: &[Box<Blob>], data: Vec<u8>) -> TxEnvelope {
        let nonce = self.next_nonce();
        let transaction = TxEip4844 {
            chain_id: L1_CHAIN_ID,
            nonce,
            to: INBOX,
            input: data.into(),
            blob_versioned_hashes: blobs.iter().map(|blob| blob_hash(blob)).collect(),
            ..TxEip4844::default()
        };
        self.sign(transaction)
    }
}
