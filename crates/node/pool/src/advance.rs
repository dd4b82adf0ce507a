//! A new head: what was included leaves, what was dropped comes back.

use crate::{
    Origin, Pool, PoolHead, PoolTransaction, Pooled, Rechecked, head::Head, pool::Shared,
    sender::Account, table::Table,
};
use alloy_consensus::{BlockHeader, Typed2718, transaction::TxHashRef};
use alloy_primitives::{
    Address,
    map::{AddressMap, B256Map, B256Set, HashSet},
};
use lockstep_storage::ExecutedBlock;
use std::sync::Arc;

type Blocks<'a, C> = &'a [Arc<ExecutedBlock<C>>];

/// The senders whose account may be another one at the new head.
enum Touched {
    Some(HashSet<Address>),
    All,
}

impl Touched {
    fn contains(&self, address: &Address) -> bool {
        match self {
            Self::Some(addresses) => addresses.contains(address),
            Self::All => true,
        }
    }
}

impl<C: Pooled> Pool<C> {
    /// Follows the chain to a new head.
    ///
    /// `included` are the blocks that became canonical, `dropped` those that are not any more,
    /// each oldest first. If they do not lead from the old head to the new one, every sender's
    /// account is read anew.
    ///
    /// To be called by one thread at a time. Takes time in proportion to what is in the pool
    /// (milliseconds for ten thousand transactions), so a fork-choice update should not wait for
    /// it.
    pub fn advance(
        &self,
        head: PoolHead<C>,
        included: &[Arc<ExecutedBlock<C>>],
        dropped: &[Arc<ExecutedBlock<C>>],
    ) {
        let shared = &self.shared;
        let head = Arc::new(Head::new(&shared.chain, head));
        let old = shared.head();
        let touched = touched(&old, &head, included, dropped);
        let accounts = shared.read_accounts(&head, &touched);
        let rechecked = if C::rules_changed(&old.rules, &head.rules) {
            shared.recheck(&head)
        } else {
            B256Map::default()
        };
        let (returning, mut lost) = shared.returning(&head, included, dropped);

        let mut risen = Vec::new();
        let mut table = shared.table.write();
        table.head = head;
        table.evictors.clear();
        table.apply_rechecked(&shared.chain, rechecked, &old);
        table.refresh_accounts(&touched, &accounts, included);
        let mut returned = Vec::new();
        for tx in returning {
            match table.bring_back(tx) {
                Some(tx) => returned.push(tx),
                None => lost += 1,
            }
        }
        let senders: Vec<Address> = table.senders.keys().copied().collect();
        for sender in senders {
            table.stand(sender, 0, true, &mut risen);
        }
        let expired = table.expire();
        let evicted = table.enforce_limits();
        risen.retain(|tx| table.by_hash.contains_key(&tx.hash));
        shared.metrics.usage(&table.usages);
        drop(table);

        shared.metrics.expired(expired);
        shared.metrics.evicted(evicted.len());
        shared.metrics.reinjected(returned.len(), lost);
        for tx in &returned {
            if let Err(error) = shared.keep(tx) {
                let hash = tx.hash;
                tracing::error!(%hash, %error, "returned transaction was not journalled");
            }
        }
        shared.announce(risen);
        self.retry_waiting();
    }
}

/// Everyone whose account the blocks changed.
fn touched<C: Pooled>(
    old: &Head<C>,
    new: &Head<C>,
    included: Blocks<'_, C>,
    dropped: Blocks<'_, C>,
) -> Touched {
    let follows = |pair: &[Arc<ExecutedBlock<C>>]| match pair {
        [parent, child] => child.block.parent_hash() == parent.block.hash(),
        _ => true,
    };
    let fork_point = dropped.first().map_or(old.header.seal(), |block| block.block.parent_hash());
    let links = included.windows(2).all(follows)
        && dropped.windows(2).all(follows)
        && dropped.last().is_none_or(|block| block.block.hash() == old.header.seal())
        && included.first().is_none_or(|block| block.block.parent_hash() == fork_point)
        && included.last().map_or(fork_point, |block| block.block.hash()) == new.header.seal();
    if !links {
        return Touched::All;
    }
    let blocks = included.iter().chain(dropped);
    let changed = blocks.flat_map(|block| block.changes.accounts().map(|change| change.address()));
    Touched::Some(changed.collect())
}

impl<C: Pooled> Shared<C> {
    /// The accounts of touched senders at the new head, read before any lock is taken.
    fn read_accounts(&self, head: &Head<C>, touched: &Touched) -> AddressMap<Option<Account>> {
        let senders: Vec<Address> = {
            let table = self.table.read();
            match touched {
                Touched::All => table.senders.keys().copied().collect(),
                Touched::Some(addresses) => addresses
                    .iter()
                    .filter(|address| table.senders.contains_key(*address))
                    .copied()
                    .collect(),
            }
        };
        senders.into_iter().map(|sender| (sender, read(head, &sender))).collect()
    }

    /// What new rules say about every transaction in the pool and in memory.
    fn recheck(&self, head: &Head<C>) -> B256Map<Rechecked<C::PooledTransaction>> {
        let all: Vec<_> = {
            let table = self.table.read();
            let entries = table.senders.values().flat_map(|sender| sender.entries.values());
            let pooled = entries.map(|entry| entry.tx.clone());
            pooled.chain(table.blobs.remembered().cloned()).collect()
        };
        all.into_iter()
            .map(|tx| (tx.hash, self.chain.recheck(&head.rules, &tx.tx, tx.sender)))
            .collect()
    }

    /// The transactions of dropped blocks that no included block has, and how many cannot return.
    fn returning(
        &self,
        head: &Head<C>,
        included: Blocks<'_, C>,
        dropped: Blocks<'_, C>,
    ) -> (Vec<Arc<PoolTransaction<C>>>, usize) {
        let mut returning = Vec::new();
        let mut lost = 0;
        for block in dropped {
            for (tx, sender) in block.block.transactions().iter().zip(&block.block.senders) {
                let hash = tx.tx_hash();
                if included.iter().any(|block| block.transaction_index(hash).is_some()) {
                    continue;
                }
                if let Some(tx) = self.table.write().blobs.recall(hash) {
                    returning.push(tx);
                    continue;
                }
                let Some(pooled) = C::pooled(tx) else {
                    lost += usize::from(tx.is_eip4844());
                    continue;
                };
                match self.prepare(head, pooled, *sender, Origin::External) {
                    Ok(mut tx) => {
                        tx.recover_authorities();
                        returning.push(Arc::new(tx));
                    }
                    Err(_) => lost += 1,
                }
            }
        }
        (returning, lost)
    }
}

fn read<C: Pooled>(head: &Head<C>, sender: &Address) -> Option<Account> {
    Account::read(&*head.state, sender)
        .inspect_err(|error| {
            tracing::warn!(%sender, %error, "a sender's account could not be read; its transactions wait for the next head");
        })
        .ok()
}

impl<C: Pooled> Table<C> {
    fn apply_rechecked(
        &mut self,
        chain: &C,
        mut rechecked: B256Map<Rechecked<C::PooledTransaction>>,
        old: &Head<C>,
    ) {
        let head = self.head.clone();
        if !C::rules_changed(&old.rules, &head.rules) {
            return;
        }
        let all: Vec<_> = self
            .senders
            .values()
            .flat_map(|sender| sender.entries.values().map(|entry| entry.tx.clone()))
            .collect();
        for tx in all {
            // What came in since it was rechecked is rechecked here.
            let verdict = rechecked
                .remove(&tx.hash)
                .unwrap_or_else(|| chain.recheck(&head.rules, &tx.tx, tx.sender));
            match verdict {
                Rechecked::Valid => {}
                Rechecked::Converted(converted) => self.convert(&tx, converted),
                Rechecked::Invalid(error) => {
                    let hash = tx.hash;
                    tracing::debug!(%hash, %error, "transaction became invalid at a fork");
                    self.remove(tx.sender, tx.nonce());
                }
            }
        }
        self.blobs.convert(rechecked);
    }

    /// Puts the same transaction in place in another form.
    fn convert(&mut self, tx: &Arc<PoolTransaction<C>>, converted: C::PooledTransaction) {
        let Some(account) = self.senders.get(&tx.sender).and_then(|sender| sender.account) else {
            self.remove(tx.sender, tx.nonce());
            return;
        };
        let announced = self.entry(&tx.hash).is_some_and(|entry| entry.announced);
        let (sender, nonce) = (tx.sender, tx.nonce());
        self.insert(Arc::new(tx.with_form(converted)), account);
        if let Some(sender) = self.senders.get_mut(&sender)
            && let Some(entry) = sender.entries.get_mut(&nonce)
        {
            entry.announced = announced;
        }
    }

    /// Makes senders' accounts those of the new head, and takes out what that made impossible.
    fn refresh_accounts(
        &mut self,
        touched: &Touched,
        accounts: &AddressMap<Option<Account>>,
        included: Blocks<'_, C>,
    ) {
        let head = self.head.clone();
        let mut stale = Vec::new();
        for (address, sender) in &mut self.senders {
            if touched.contains(address) || sender.account.is_none() {
                // Who came in since the accounts were read is read here.
                let known = accounts.get(address).copied();
                sender.account = known.unwrap_or_else(|| read(&head, address));
                sender.forget_ready();
            }
            if let Some(account) = &sender.account {
                let used = sender.entries.range(..account.nonce);
                stale.extend(used.map(|(nonce, _)| (*address, *nonce)));
            }
        }
        let number = head.header.number();
        let included: B256Set = included
            .iter()
            .flat_map(|block| block.block.transactions().iter().map(|tx| *tx.tx_hash()))
            .collect();
        for (sender, nonce) in stale {
            if let Some(entry) = self.take(sender, nonce)
                && included.contains(&entry.tx.hash)
            {
                self.blobs.remember(entry.tx, number);
            }
        }
    }

    /// Puts a transaction of a dropped block in, unless its nonce is used or taken.
    fn bring_back(&mut self, tx: Arc<PoolTransaction<C>>) -> Option<Arc<PoolTransaction<C>>> {
        let account = match self.senders.get(&tx.sender) {
            Some(sender) => sender.account?,
            None => read(&self.head, &tx.sender)?,
        };
        let sender = self.senders.get(&tx.sender);
        let conflicts = sender.is_some_and(|sender| {
            sender.entries.contains_key(&tx.nonce()) || sender.holds_blobs() != tx.is_blob()
        });
        if tx.nonce() < account.nonce || conflicts {
            return None;
        }
        self.insert(tx.clone(), account);
        Some(tx)
    }
}
