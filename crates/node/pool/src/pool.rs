//! The pool itself: adding, asking, announcing.

use crate::{
    BestTransactions, Origin, PoolConfig, PoolContent, PoolError, PoolHead, PoolStatus,
    PoolTransaction, Pooled, PooledBlob, head::Head, journal::Journal, keep::Waiting,
    measure::Metrics, sender::Account, table::Table,
};
use alloy_consensus::{
    Transaction,
    transaction::{SignerRecoverable, TxHashRef},
};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, U256};
use parking_lot::{Mutex, RwLock};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::{sync::broadcast, time::Instant};

/// What a blob takes on the wire beside the transaction: itself, its commitment and 128 proofs,
/// each of 48 bytes, with their RLP prefixes.
pub(crate) const BLOB_WIRE_BYTES: usize = 131_072 + 4 + 129 * 49;

/// EIP-2718 type of a blob transaction.
const BLOB_TYPE: u8 = 3;

/// A transaction is validated against a head; if that changes meanwhile, anew. After so many times
/// it is validated while no other head can come.
const MAX_HEAD_RETRIES: usize = 3;

/// Transactions waiting for a block, of one chain. Clones share the same pool.
///
/// All methods may be called from any thread and return at once; signatures and proofs are
/// checked outside of any lock.
#[derive(Debug)]
pub struct Pool<C: Pooled> {
    pub(crate) shared: Arc<Shared<C>>,
}

impl<C: Pooled> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

#[derive(Debug)]
pub(crate) struct Shared<C: Pooled> {
    pub(crate) chain: C,
    pub(crate) config: PoolConfig,
    pub(crate) table: RwLock<Table<C>>,
    pub(crate) sequence: AtomicU64,
    pub(crate) events: broadcast::Sender<Arc<PoolTransaction<C>>>,
    pub(crate) metrics: Metrics,
    /// Locked before the table, never while that is locked.
    pub(crate) journal: Mutex<Option<Journal>>,
    /// Locked after the journal, and never while the table is locked or locked under it.
    pub(crate) waiting: Mutex<Waiting>,
}

impl<C: Pooled> Pool<C> {
    /// An empty pool for blocks on top of `head`.
    pub fn new(chain: C, config: PoolConfig, head: PoolHead<C>) -> Self {
        let head = Arc::new(Head::new(&chain, head));
        let (events, _) = broadcast::channel(config.event_capacity.max(1));
        let metrics = Metrics::new(chain.chain_id());
        let table = RwLock::new(Table::new(head, config));
        let sequence = AtomicU64::new(0);
        let (journal, waiting) = (Mutex::new(None), Mutex::new(Waiting::new(&config)));
        let shared = Shared { chain, config, table, sequence, events, metrics, journal, waiting };
        Self { shared: Arc::new(shared) }
    }

    /// The rules of the pool that are not the chain's.
    pub fn config(&self) -> &PoolConfig {
        &self.shared.config
    }

    /// Adds a transaction, or says why not. It is in the journal, if it has to be, when this
    /// returns.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn add(&self, tx: C::PooledTransaction, origin: Origin) -> Result<B256, PoolError> {
        let begun = Instant::now();
        let added = self.shared.add(tx, origin);
        match &added {
            Ok(_) => self.shared.metrics.added(begun.elapsed()),
            Err(error) => self.shared.metrics.rejected(error.reason()),
        }
        added
    }

    /// Adds a transaction in its network encoding (EIP-2718, with the sidecar), which must be the
    /// canonical one.
    ///
    /// # Errors
    /// [`PoolError::Oversized`], [`PoolError::Decode`], [`PoolError::NotCanonical`], or the rule
    /// that it breaks.
    pub fn add_raw(&self, bytes: &[u8], origin: Origin) -> Result<B256, PoolError> {
        match self.decode(bytes) {
            Ok(tx) => self.add(tx, origin),
            Err(error) => {
                self.shared.metrics.rejected(error.reason());
                Err(error)
            }
        }
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<C::PooledTransaction, PoolError> {
        let blobs = if bytes.first() == Some(&BLOB_TYPE) {
            C::max_blobs(&self.shared.head().rules)
        } else {
            0
        };
        let limit = self.shared.config.max_transaction_bytes + blobs * BLOB_WIRE_BYTES;
        if bytes.len() > limit {
            return Err(PoolError::Oversized { bytes: bytes.len(), limit });
        }
        let tx = C::PooledTransaction::decode_2718_exact(bytes).map_err(PoolError::Decode)?;
        if tx.encode_2718_len() != bytes.len() || tx.encoded_2718() != bytes {
            return Err(PoolError::NotCanonical);
        }
        Ok(tx)
    }

    /// The transactions for a block with these base fees, best first.
    pub fn best(&self, base_fee: u64, blob_base_fee: Option<u128>) -> BestTransactions<C> {
        let runs: Vec<_> = {
            let table = self.shared.table.read();
            table
                .senders
                .values()
                .filter(|sender| sender.ready_count > 0)
                .map(|sender| sender.ready().clone())
                .collect()
        };
        BestTransactions::new(runs.into_iter(), base_fee, blob_base_fee)
    }

    /// A transaction in the pool.
    pub fn get(&self, hash: &B256) -> Option<Arc<PoolTransaction<C>>> {
        self.shared.table.read().entry(hash).map(|entry| entry.tx.clone())
    }

    /// Whether a transaction is in the pool.
    pub fn contains(&self, hash: &B256) -> bool {
        self.shared.table.read().by_hash.contains_key(hash)
    }

    /// Blobs by their versioned hashes, each if it is known: of transactions in the pool, and of
    /// those included recently.
    pub fn blobs(&self, versioned_hashes: &[B256]) -> Vec<Option<PooledBlob<C>>> {
        let table = self.shared.table.read();
        versioned_hashes.iter().map(|hash| table.blobs.get(hash)).collect()
    }

    /// How many transactions there are.
    pub fn status(&self) -> PoolStatus {
        let usages = self.shared.table.read().usages;
        PoolStatus {
            pending: usages.pending.transactions + usages.pending_blobs,
            queued: usages.queued.transactions
                + usages.blob.transactions.saturating_sub(usages.pending_blobs),
            blobs: usages.blob.transactions,
        }
    }

    /// Everything in the pool but private transactions.
    pub fn content(&self) -> PoolContent<C> {
        let table = self.shared.table.read();
        let mut content = PoolContent::default();
        for address in table.senders.keys() {
            table.list(address, &mut content);
        }
        content
    }

    /// Everything of one sender but private transactions.
    pub fn content_from(&self, sender: Address) -> PoolContent<C> {
        let mut content = PoolContent::default();
        self.shared.table.read().list(&sender, &mut content);
        content
    }

    /// The hashes of the transactions that can go into the next block, but for private ones.
    pub fn pending_hashes(&self) -> Vec<B256> {
        let table = self.shared.table.read();
        table
            .senders
            .values()
            .flat_map(|sender| sender.entries.values())
            .filter(|entry| entry.is_pending() && entry.tx.origin != Origin::Private)
            .map(|entry| entry.tx.hash)
            .collect()
    }

    /// The nonce that follows all transactions of a sender that leave no gap and are paid for;
    /// `None` for a sender without any, whose nonce is that of its account.
    pub fn next_nonce(&self, sender: Address) -> Option<u64> {
        self.shared.table.read().senders.get(&sender)?.next_nonce()
    }

    /// Takes a transaction out. Those of its sender after it then wait for another with its nonce.
    pub fn remove(&self, hash: &B256) -> Option<Arc<PoolTransaction<C>>> {
        let mut table = self.shared.table.write();
        let (sender, nonce) = *table.by_hash.get(hash)?;
        let removed = table.remove(sender, nonce);
        self.shared.metrics.usage(&table.usages);
        removed.map(|entry| entry.tx)
    }

    /// Tells of every transaction, but private ones, when it first can go into the next block.
    ///
    /// A subscriber that lags behind by more than [`PoolConfig::event_capacity`] misses some and
    /// is told how many.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<PoolTransaction<C>>> {
        self.shared.events.subscribe()
    }
}

impl<C: Pooled> Table<C> {
    fn list(&self, address: &Address, content: &mut PoolContent<C>) {
        let Some(sender) = self.senders.get(address) else { return };
        for (nonce, entry) in &sender.entries {
            if entry.tx.origin == Origin::Private {
                continue;
            }
            let part = if entry.is_pending() { &mut content.pending } else { &mut content.queued };
            part.entry(*address).or_default().insert(*nonce, entry.tx.clone());
        }
    }
}

impl<C: Pooled> Shared<C> {
    pub(crate) fn head(&self) -> Arc<Head<C>> {
        self.table.read().head.clone()
    }

    pub(crate) fn announce(&self, risen: Vec<Arc<PoolTransaction<C>>>) {
        for tx in risen {
            if tx.origin != Origin::Private {
                // There may be no subscriber.
                let _ = self.events.send(tx);
            }
        }
    }

    fn add(&self, tx: C::PooledTransaction, origin: Origin) -> Result<B256, PoolError> {
        let hash = *tx.tx_hash();
        let head = {
            let table = self.table.read();
            if table.by_hash.contains_key(&hash) {
                return Err(PoolError::AlreadyKnown { hash });
            }
            table.head.clone()
        };
        self.check_size(&head, &tx)?;
        let sender = tx.recover_signer().map_err(|_| PoolError::InvalidSender)?;
        let admit = |tx: &PoolTransaction<C>| {
            let account = Account::read(&*head.state, &sender)?;
            self.table.read().admit(tx, &account)
        };
        let mut tx = tx;
        if tx.authorization_list().is_some() {
            // Each authorization is a signature to recover: first what is cheap.
            let described = self.describe(&head, tx, sender, origin);
            admit(&described)?;
            tx = described.tx;
        }
        let mut tx = self.prepare(&head, tx, sender, origin)?;
        if tx.is_blob() {
            // Proofs are expensive, too.
            admit(&tx)?;
            let PoolTransaction { tx: plain, .. } = tx;
            let plain = self.chain.check_sidecar(&head.rules, plain, origin)?;
            tx = self.prepare(&head, plain, sender, origin)?;
        }
        tx.recover_authorities();
        self.insert(head, &Arc::new(tx))?;
        Ok(hash)
    }

    fn check_size(&self, head: &Head<C>, tx: &C::PooledTransaction) -> Result<(), PoolError> {
        let blobs = tx.blob_count().map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let max_blobs = C::max_blobs(&head.rules);
        if blobs > max_blobs && max_blobs > 0 {
            let reason =
                format!("too many blobs in transaction: have {blobs}, permitted {max_blobs}");
            return Err(PoolError::Form(reason));
        }
        let bytes = tx.encode_2718_len();
        let limit = self.config.max_transaction_bytes + blobs.min(max_blobs) * BLOB_WIRE_BYTES;
        if bytes > limit {
            return Err(PoolError::Oversized { bytes, limit });
        }
        Ok(())
    }

    /// Checks what needs neither state nor pool, and describes the transaction.
    pub(crate) fn prepare(
        &self,
        head: &Head<C>,
        tx: C::PooledTransaction,
        sender: Address,
        origin: Origin,
    ) -> Result<PoolTransaction<C>, PoolError> {
        self.chain.check(&head.rules, &tx, sender)?;
        let tx = self.describe(head, tx, sender, origin);
        let (tip, minimum) = (tx.max_tip(), self.config.min_tip);
        if !origin.is_privileged() && tip < minimum {
            return Err(PoolError::TipTooLow { tip, minimum });
        }
        Ok(tx)
    }

    /// Works out what the pool wants to know of a transaction, but for its authorities.
    fn describe(
        &self,
        head: &Head<C>,
        tx: C::PooledTransaction,
        sender: Address,
        origin: Origin,
    ) -> PoolTransaction<C> {
        let gas = U256::from(tx.gas_limit()) * U256::from(tx.max_fee_per_gas());
        let blob_gas = U256::from(tx.blob_gas_used().unwrap_or_default())
            * U256::from(tx.max_fee_per_blob_gas().unwrap_or_default());
        let cost = gas
            .saturating_add(blob_gas)
            .saturating_add(tx.value())
            .saturating_add(self.chain.extra_cost(&head.rules, &tx));
        PoolTransaction {
            hash: *tx.tx_hash(),
            size: tx.encode_2718_len(),
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
            tx,
            sender,
            origin,
            cost,
            authorities: Vec::new(),
        }
    }

    /// Puts a transaction in that was checked against `head`, if that still is the head.
    fn insert(
        &self,
        mut head: Arc<Head<C>>,
        tx: &Arc<PoolTransaction<C>>,
    ) -> Result<(), PoolError> {
        for attempt in 0.. {
            let read = Account::read(&*head.state, &tx.sender);
            // Held until the record is written, so that the journal has the transactions of a
            // sender in the order in which they entered.
            let mut journal = self.is_kept(tx).then(|| self.journal.lock());
            let mut table = self.table.write();
            let account = if Arc::ptr_eq(&table.head, &head) {
                read?
            } else if attempt < MAX_HEAD_RETRIES {
                head = table.head.clone();
                drop(table);
                drop(journal);
                self.chain.check(&head.rules, &tx.tx, tx.sender)?;
                continue;
            } else {
                self.chain.check(&table.head.rules, &tx.tx, tx.sender)?;
                Account::read(&*table.head.state, &tx.sender)?
            };
            table.admit(tx, &account)?;
            let entered = table.enter(tx, account)?;
            drop(table);
            if let Some(journal) = journal.as_mut().and_then(|journal| journal.as_mut())
                && let Err(error) = self.append(journal, tx)
            {
                self.table.write().undo(tx, entered.replaced);
                return Err(error);
            }
            drop(journal);
            self.metrics.usage(&self.table.read().usages);
            self.metrics.evicted(entered.evicted);
            self.announce(entered.risen);
            break;
        }
        Ok(())
    }
}

/// What came of putting a transaction in.
struct Entered<C: Pooled> {
    /// To be announced.
    risen: Vec<Arc<PoolTransaction<C>>>,
    /// What stood in its place.
    replaced: Option<Arc<PoolTransaction<C>>>,
    /// How many had to leave.
    evicted: usize,
}

impl<C: Pooled> Table<C> {
    /// Puts an admitted transaction in and makes room for it. If there is none, all is as before,
    /// but for what others lost.
    fn enter(
        &mut self,
        tx: &Arc<PoolTransaction<C>>,
        account: Account,
    ) -> Result<Entered<C>, PoolError> {
        let mut risen = Vec::new();
        let replaced = self.insert(tx.clone(), account).map(|old| old.tx);
        self.stand(tx.sender, tx.nonce(), false, &mut risen);
        let mut evicted = self.trim_sender(tx);
        evicted.extend(self.enforce_limits());
        if self.by_hash.contains_key(&tx.hash) {
            risen.retain(|tx| self.by_hash.contains_key(&tx.hash));
            return Ok(Entered { risen, replaced, evicted: evicted.len() });
        }
        self.undo(tx, replaced);
        Err(PoolError::Underpriced { tip: tx.effective_tip(self.head.next.base_fee) })
    }

    /// Takes a transaction out again, and puts back what it replaced.
    fn undo(&mut self, tx: &PoolTransaction<C>, replaced: Option<Arc<PoolTransaction<C>>>) {
        let (sender, nonce) = (tx.sender, tx.nonce());
        if self.entry(&tx.hash).is_some() {
            self.remove(sender, nonce);
        }
        let Some(old) = replaced else { return };
        let taken = self.senders.get(&sender).is_some_and(|s| s.entries.contains_key(&nonce));
        let account = match self.senders.get(&sender) {
            Some(sender) => sender.account,
            None => Account::read(&*self.head.state, &sender).ok(),
        };
        if let Some(account) = account.filter(|account| account.nonce <= nonce && !taken) {
            self.insert(old, account);
            self.stand(sender, nonce, false, &mut Vec::new());
            self.enforce_limits();
        }
    }
}
