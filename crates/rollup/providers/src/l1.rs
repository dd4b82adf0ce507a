//! What L1 says: headers, transactions and receipts.

use crate::{ClientError, Endpoint, RpcClient, lru::Lru, verify::Witness};
use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{B256, Sealable, Sealed, U64};
use alloy_rpc_types_eth::{
    Block as RpcBlock, Header as RpcHeader, Log, Transaction, TransactionReceipt,
};
use lockstep_protocol::BlockInfo;
use parking_lot::Mutex;
use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The most headers that one call walks back.
pub const MAX_HEADERS_BACK: usize = 1024;

/// The most blocks that are loaded ahead at once.
pub const MAX_PREFETCH: u64 = 64;

/// How much an [`L1Client`] keeps, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1CacheLimits {
    /// Of headers.
    pub headers: usize,
    /// Of transactions, as they are encoded.
    pub transactions: usize,
    /// Of receipts, as they are encoded.
    pub receipts: usize,
}

impl Default for L1CacheLimits {
    /// 16 MiB of headers, 64 MiB of transactions, 128 MiB of receipts: some hundred blocks.
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self { headers: 16 * MIB, transactions: 64 * MIB, receipts: 128 * MIB }
    }
}

/// An L1 node behind JSON-RPC. Clones share connections and caches.
///
/// Whatever is asked for by hash is held against that hash, and kept by it. What is asked for by
/// number or tag depends on the moment and is never kept: another answer follows a reorganisation.
#[derive(Clone)]
pub struct L1Client {
    shared: Arc<Shared>,
}

struct Shared {
    rpc: RpcClient,
    headers: Mutex<Lru<Header>>,
    transactions: Mutex<Lru<Arc<Vec<TxEnvelope>>>>,
    receipts: Mutex<Lru<Arc<Vec<ReceiptEnvelope>>>>,
    /// The node has no `eth_getBlockReceipts`, so receipts are fetched one by one.
    receipts_one_by_one: AtomicBool,
}

/// What a decoded header weighs.
const HEADER_BYTES: usize = size_of::<Header>() + 64;

impl L1Client {
    /// A node behind `rpc`, with caches of the usual size.
    pub fn new(rpc: RpcClient) -> Self {
        Self::with_limits(rpc, L1CacheLimits::default())
    }

    /// A node behind `rpc`, with caches of this size.
    pub fn with_limits(rpc: RpcClient, limits: L1CacheLimits) -> Self {
        let shared = Shared {
            rpc,
            headers: Mutex::new(Lru::new(limits.headers)),
            transactions: Mutex::new(Lru::new(limits.transactions)),
            receipts: Mutex::new(Lru::new(limits.receipts)),
            receipts_one_by_one: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The node.
    pub fn endpoint(&self) -> &Endpoint {
        self.shared.rpc.endpoint()
    }

    /// The JSON-RPC client, for what is not wrapped here.
    pub fn rpc(&self) -> &RpcClient {
        &self.shared.rpc
    }

    /// The chain's EIP-155 id.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn chain_id(&self) -> Result<u64, ClientError> {
        Ok(self.shared.rpc.call::<U64>("eth_chainId", &[(); 0])?.to())
    }

    /// The canonical block at a number or tag, as of now; `None` if there is none (yet).
    ///
    /// # Errors
    /// When the node does not answer, or not with a header of that hash and number.
    pub fn header(&self, at: BlockNumberOrTag) -> Result<Option<Sealed<Header>>, ClientError> {
        let answer = self.shared.rpc.call("eth_getBlockByNumber", &(at, false));
        let header: Option<RpcHeader> = match answer {
            // Before the first block is safe or final, many nodes fail instead of saying `null`.
            Err(ClientError::Rpc { .. }) if at.is_safe() || at.is_finalized() => None,
            answer => answer?,
        };
        let Some(header) = header else { return Ok(None) };
        self.canonical(header, at).map(Some)
    }

    /// As [`Self::header`], of which only the reference is wanted.
    ///
    /// # Errors
    /// As [`Self::header`].
    pub fn block(&self, at: BlockNumberOrTag) -> Result<Option<BlockInfo>, ClientError> {
        let header = self.header(at)?;
        Ok(header.map(|header| BlockInfo::from_header(&header, header.hash())))
    }

    /// The header with this hash.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the node does not know it; when it does not answer, or not with
    /// that header.
    pub fn header_by_hash(&self, hash: B256) -> Result<Header, ClientError> {
        if let Some(header) = self.shared.headers.lock().get(&hash) {
            return Ok(header);
        }
        let method = "eth_getBlockByHash";
        let header: Option<RpcHeader> = self.shared.rpc.call(method, &(hash, false))?;
        let header = header.ok_or_else(|| self.not_found("header", hash))?;
        let header = self.witness(method).header(header, Some(hash))?;
        self.keep_header(&header);
        Ok(header.into_inner())
    }

    /// The header with this hash and up to `ancestors` of its ancestors (at most
    /// [`MAX_HEADERS_BACK`]), the newest first: a walk back for one round trip per batch.
    ///
    /// There may be fewer, where a reorganisation happens meanwhile or the chain begins.
    ///
    /// # Errors
    /// As [`Self::header_by_hash`].
    pub fn headers_back(
        &self,
        hash: B256,
        ancestors: usize,
    ) -> Result<Vec<Sealed<Header>>, ClientError> {
        let first = Sealed::new_unchecked(self.header_by_hash(hash)?, hash);
        let lowest = first.number.saturating_sub(ancestors.min(MAX_HEADERS_BACK) as u64);
        let numbers: Vec<_> =
            (lowest..first.number).rev().map(|at| (U64::from(at), false)).collect();
        let method = "eth_getBlockByNumber";
        let headers = self.shared.rpc.batch::<Option<RpcHeader>, _>(method, &numbers)?;
        let mut chain = vec![first];
        for header in headers {
            let parent = chain.last().map(|child| child.parent_hash);
            // By number the node answers with whatever is canonical now. That may be another
            // chain, so a header that does not fit is no lie: it is left to `header_by_hash`.
            let Ok(Some(header)) = header else { break };
            let header = header.inner.seal_slow();
            if Some(header.hash()) != parent {
                break;
            }
            self.keep_header(&header);
            chain.push(header);
        }
        Ok(chain)
    }

    /// The header with this hash, and the transactions of its block.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the node does not know the block; when it does not answer, or
    /// not with that block.
    pub fn transactions(&self, hash: B256) -> Result<(Header, Arc<Vec<TxEnvelope>>), ClientError> {
        let cached = self.shared.transactions.lock().get(&hash);
        if let Some(transactions) = cached {
            return Ok((self.header_by_hash(hash)?, transactions));
        }
        let method = "eth_getBlockByHash";
        let block: Option<RpcBlock> = self.shared.rpc.call(method, &(hash, true))?;
        let block = block.ok_or_else(|| self.not_found("block", hash))?;
        let (header, transactions) = self.keep_block(method, block, Some(hash))?;
        Ok((header.into_inner(), transactions))
    }

    /// The receipts of the block with this hash.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the node does not know the block; when it does not answer, or
    /// not with those receipts.
    pub fn receipts(&self, hash: B256) -> Result<Arc<Vec<ReceiptEnvelope>>, ClientError> {
        if let Some(receipts) = self.shared.receipts.lock().get(&hash) {
            return Ok(receipts);
        }
        let header = self.header_by_hash(hash)?;
        let (method, receipts) = self.fetch_receipts(hash)?;
        self.keep_receipts(method, &header, hash, receipts)
    }

    /// Loads blocks with their receipts into the caches, in two round trips for all (at most
    /// [`MAX_PREFETCH`]). Who then asks for each block by hash finds it there, if it is still
    /// canonical. Returns how many were loaded.
    ///
    /// # Errors
    /// When the node does not answer at all. What is missing or wrong in a single block is left to
    /// whoever asks for it.
    pub fn prefetch(&self, numbers: Range<u64>) -> Result<usize, ClientError> {
        let end = numbers.end.min(numbers.start.saturating_add(MAX_PREFETCH));
        let asked: Vec<_> = (numbers.start..end).map(|at| (U64::from(at), true)).collect();
        let method = "eth_getBlockByNumber";
        let blocks = self.shared.rpc.batch::<Option<RpcBlock>, _>(method, &asked)?;
        let blocks = blocks.into_iter().map_while(|block| block.ok().flatten());
        let kept: Result<Vec<_>, _> =
            blocks.map(|block| self.keep_block(method, block, None)).collect();
        let headers: Vec<Sealed<Header>> =
            kept.unwrap_or_default().into_iter().map(|(header, _)| header).collect();
        if self.shared.receipts_one_by_one.load(Ordering::Relaxed) {
            return Ok(headers.len());
        }
        let hashes: Vec<[B256; 1]> = headers.iter().map(|header| [header.hash()]).collect();
        let method = "eth_getBlockReceipts";
        let receipts = self.shared.rpc.batch::<Option<Vec<RpcReceipt>>, _>(method, &hashes)?;
        for (header, receipts) in headers.iter().zip(receipts) {
            if let Ok(Some(receipts)) = receipts {
                // What is wrong was logged, and is refused again when it is asked for.
                let _ = self.keep_receipts(method, header, header.hash(), receipts);
            }
        }
        Ok(headers.len())
    }

    fn fetch_receipts(&self, hash: B256) -> Result<(&'static str, Vec<RpcReceipt>), ClientError> {
        let method = "eth_getBlockReceipts";
        if !self.shared.receipts_one_by_one.load(Ordering::Relaxed) {
            match self.shared.rpc.call::<Option<Vec<RpcReceipt>>>(method, &[hash]) {
                Err(ClientError::Unsupported { .. }) => {
                    tracing::info!(
                        endpoint = %self.endpoint(),
                        "eth_getBlockReceipts is not served, receipts are fetched one by one"
                    );
                    self.shared.receipts_one_by_one.store(true, Ordering::Relaxed);
                }
                receipts => {
                    let receipts = receipts?.ok_or_else(|| self.not_found("receipts of", hash))?;
                    return Ok((method, receipts));
                }
            }
        }
        let (_, transactions) = self.transactions(hash)?;
        let hashes: Vec<[B256; 1]> = transactions.iter().map(|tx| [*tx.tx_hash()]).collect();
        let method = "eth_getTransactionReceipt";
        let receipts = self.shared.rpc.batch_all::<Option<RpcReceipt>, _>(method, &hashes)?;
        let receipts: Option<Vec<RpcReceipt>> = receipts.into_iter().collect();
        Ok((method, receipts.ok_or_else(|| self.not_found("receipts of", hash))?))
    }

    /// The header that the node calls canonical at `at`.
    fn canonical(
        &self,
        header: RpcHeader,
        at: BlockNumberOrTag,
    ) -> Result<Sealed<Header>, ClientError> {
        let witness = self.witness("eth_getBlockByNumber");
        let header = witness.header(header, None)?;
        if let BlockNumberOrTag::Number(number) = at {
            witness.expect("block number", number, header.number)?;
        }
        self.keep_header(&header);
        Ok(header)
    }

    fn keep_block(
        &self,
        method: &'static str,
        block: RpcBlock,
        asked: Option<B256>,
    ) -> Result<(Sealed<Header>, Arc<Vec<TxEnvelope>>), ClientError> {
        let witness = self.witness(method);
        let header = witness.header(block.header, asked)?;
        let transactions: Vec<TxEnvelope> =
            block.transactions.into_transactions().map(Transaction::into_inner).collect();
        let bytes = witness.transactions(&header, &transactions)?;
        let transactions = Arc::new(transactions);
        self.shared.transactions.lock().insert(header.hash(), Arc::clone(&transactions), bytes);
        self.keep_header(&header);
        Ok((header, transactions))
    }

    fn keep_receipts(
        &self,
        method: &'static str,
        header: &Header,
        hash: B256,
        receipts: Vec<RpcReceipt>,
    ) -> Result<Arc<Vec<ReceiptEnvelope>>, ClientError> {
        let receipts: Vec<ReceiptEnvelope> =
            receipts.into_iter().map(|receipt| receipt.inner.map_logs(Log::into_inner)).collect();
        let bytes = self.witness(method).receipts(header, &receipts)?;
        let receipts = Arc::new(receipts);
        self.shared.receipts.lock().insert(hash, Arc::clone(&receipts), bytes);
        Ok(receipts)
    }

    fn keep_header(&self, header: &Sealed<Header>) {
        self.shared.headers.lock().insert(header.hash(), header.inner().clone(), HEADER_BYTES);
    }

    fn witness(&self, method: &'static str) -> Witness<'_> {
        Witness { endpoint: self.endpoint(), method }
    }

    fn not_found(&self, what: &'static str, hash: B256) -> ClientError {
        ClientError::NotFound { endpoint: self.endpoint().clone(), what, hash }
    }
}

type RpcReceipt = TransactionReceipt<ReceiptEnvelope<Log>>;

impl fmt::Debug for L1Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L1Client").field("rpc", &self.shared.rpc).finish_non_exhaustive()
    }
}
