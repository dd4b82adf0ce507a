//! The transactions of one sender, and where each of them stands.

use crate::{NextBlock, PoolError, PoolTransaction, Pooled};
use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use lockstep_storage::State;
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

/// What the pool knows of a sender at the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) code: Code,
}

/// What the code of an account means for its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    None,
    /// EIP-7702.
    Delegation,
    /// EIP-3607: it can send nothing.
    Contract,
}

impl Account {
    pub(crate) fn read(state: &dyn State, address: &Address) -> Result<Self, PoolError> {
        let Some(info) = state.account(address)? else {
            return Ok(Self { nonce: 0, balance: U256::ZERO, code: Code::None });
        };
        let code = if info.code_hash == KECCAK256_EMPTY || info.code_hash == B256::ZERO {
            Code::None
        } else {
            let code = match info.code {
                Some(code) => code,
                None => state.code(&info.code_hash)?,
            };
            if code.is_eip7702() { Code::Delegation } else { Code::Contract }
        };
        Ok(Self { nonce: info.nonce, balance: info.balance, code })
    }
}

/// Who is evicted first: the lowest rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) pending: bool,
    /// The lowest effective tip of the transaction and those of its sender before it: they must
    /// go into a block first. So of one sender the last transaction ranks lowest.
    pub(crate) tip: i128,
    /// The newest of these transactions.
    newest: Reverse<u64>,
    nonce: Reverse<u64>,
}

/// Where a transaction stands, given those of its sender before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The cost of the transaction and all before it.
    cumulative: U256,
    /// No nonce is missing, and the balance covers everything.
    pub(crate) ready: bool,
    /// It can go into the next block.
    pub(crate) pending: bool,
    pub(crate) rank: Rank,
}

impl Standing {
    pub(crate) fn new<C: Pooled>(
        tx: &PoolTransaction<C>,
        account: Option<&Account>,
        before: Option<(u64, Self)>,
        next: NextBlock,
    ) -> Self {
        let nonce = tx.nonce();
        let cumulative =
            before.map_or(U256::ZERO, |(_, before)| before.cumulative).saturating_add(tx.cost);
        let follows = match (account, &before) {
            (None, _) => false,
            (Some(account), None) => nonce == account.nonce,
            (Some(_), Some((last, before))) => before.ready && last.checked_add(1) == Some(nonce),
        };
        let ready = follows
            && account.is_some_and(|account| {
                cumulative <= account.balance && account.code != Code::Contract
            });
        let pending = ready
            && before.is_none_or(|(_, before)| before.pending)
            && tx.tx.gas_limit() <= next.gas_limit
            && tx.pays(next.base_fee, next.blob_base_fee);
        let tip = tx.effective_tip(next.base_fee);
        let rank = Rank {
            pending,
            tip: before.map_or(tip, |(_, before)| before.rank.tip.min(tip)),
            newest: before.map_or(Reverse(tx.sequence), |(_, before)| {
                before.rank.newest.min(Reverse(tx.sequence))
            }),
            nonce: Reverse(nonce),
        };
        Self { cumulative, ready, pending, rank }
    }
}

/// A transaction with its standing.
#[derive(Debug)]
pub(crate) struct Entry<C: Pooled> {
    pub(crate) tx: Arc<PoolTransaction<C>>,
    /// `None` until it is computed for the first time.
    pub(crate) standing: Option<Standing>,
    /// The head's number when it last became queued.
    pub(crate) queued_since: u64,
    /// Whether subscribers were told of it.
    pub(crate) announced: bool,
}

impl<C: Pooled> Entry<C> {
    pub(crate) fn is_pending(&self) -> bool {
        self.standing.is_some_and(|standing| standing.pending)
    }
}

/// A run of transactions that can go into a block one after the other.
pub(crate) type Run<C> = Arc<[Arc<PoolTransaction<C>>]>;

/// All transactions of one sender.
#[derive(Debug)]
pub(crate) struct Sender<C: Pooled> {
    /// `None` if the state could not be read at this head; then nothing of it is ready.
    pub(crate) account: Option<Account>,
    pub(crate) entries: BTreeMap<u64, Entry<C>>,
    /// The cost of all transactions.
    pub(crate) cost: U256,
    pub(crate) slots: usize,
    /// How many of the transactions are privileged.
    pub(crate) privileged: usize,
    /// How many are ready: they come first and leave no gap.
    pub(crate) ready_count: u64,
    ready: OnceLock<Run<C>>,
}

impl<C: Pooled> Sender<C> {
    pub(crate) const fn new(account: Account) -> Self {
        Self {
            account: Some(account),
            entries: BTreeMap::new(),
            cost: U256::ZERO,
            slots: 0,
            privileged: 0,
            ready_count: 0,
            ready: OnceLock::new(),
        }
    }

    pub(crate) fn insert(&mut self, entry: Entry<C>) {
        self.cost = self.cost.saturating_add(entry.tx.cost);
        self.slots += entry.tx.slots();
        self.privileged += usize::from(entry.tx.origin.is_privileged());
        self.entries.insert(entry.tx.nonce(), entry);
        self.ready.take();
    }

    pub(crate) fn remove(&mut self, nonce: u64) -> Option<Entry<C>> {
        let entry = self.entries.remove(&nonce)?;
        self.slots = self.slots.saturating_sub(entry.tx.slots());
        let privileged = usize::from(entry.tx.origin.is_privileged());
        self.privileged = self.privileged.saturating_sub(privileged);
        // Summed anew: a sum that was saturated cannot be taken back.
        self.cost =
            self.cost.checked_sub(entry.tx.cost).filter(|_| self.cost != U256::MAX).unwrap_or_else(
                || {
                    self.entries
                        .values()
                        .fold(U256::ZERO, |sum, entry| sum.saturating_add(entry.tx.cost))
                },
            );
        self.ready.take();
        Some(entry)
    }

    /// What the transactions before `nonce` leave.
    pub(crate) fn before(&self, nonce: u64) -> Option<(u64, Standing)> {
        let (last, entry) = self.entries.range(..nonce).next_back()?;
        entry.standing.map(|standing| (*last, standing))
    }

    /// To be called when the standing of a transaction changed.
    pub(crate) fn forget_ready(&mut self) {
        self.ready.take();
    }

    /// The transactions that can go into a block one after the other, whatever its base fee.
    pub(crate) fn ready(&self) -> &Run<C> {
        self.ready.get_or_init(|| {
            self.entries
                .values()
                .take_while(|entry| entry.standing.is_some_and(|standing| standing.ready))
                .map(|entry| entry.tx.clone())
                .collect()
        })
    }

    /// The first nonce from the account's on that no transaction here has.
    pub(crate) fn first_gap(&self, account_nonce: u64) -> u64 {
        let mut next = account_nonce;
        for nonce in self.entries.range(account_nonce..).map(|(nonce, _)| *nonce) {
            if nonce != next {
                break;
            }
            next = next.saturating_add(1);
        }
        next
    }

    /// The nonce that follows the ready transactions.
    pub(crate) fn next_nonce(&self) -> Option<u64> {
        self.account.map(|account| account.nonce.saturating_add(self.ready_count))
    }

    pub(crate) fn holds_blobs(&self) -> bool {
        self.entries.values().next().is_some_and(|entry| entry.tx.is_blob())
    }
}
