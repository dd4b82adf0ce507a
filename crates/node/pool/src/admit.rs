//! The rules between a transaction, its sender's account, and what is already in the pool.

use crate::{
    PoolError, PoolTransaction, Pooled,
    sender::{Account, Code, Sender},
    table::Table,
};
use alloy_primitives::U256;
use std::sync::Arc;

impl<C: Pooled> Table<C> {
    /// Checks whether a valid transaction of a sender with this account may enter.
    pub(crate) fn admit(
        &self,
        tx: &PoolTransaction<C>,
        account: &Account,
    ) -> Result<(), PoolError> {
        if self.by_hash.contains_key(&tx.hash) {
            return Err(PoolError::AlreadyKnown { hash: tx.hash });
        }
        if account.code == Code::Contract {
            return Err(PoolError::SenderNotEoa { sender: tx.sender });
        }
        let (nonce, next) = (tx.nonce(), account.nonce);
        if nonce < next {
            return Err(PoolError::NonceTooLow { next, got: nonce });
        }
        let limit = next.saturating_add(self.config.max_nonce_gap);
        if nonce > limit {
            return Err(PoolError::NonceTooHigh { next, got: nonce, limit });
        }
        let sender = self.senders.get(&tx.sender);
        if sender.is_some_and(|sender| sender.holds_blobs() != tx.is_blob()) {
            return Err(PoolError::AlreadyReserved);
        }
        if tx.is_blob() {
            // The walk is short: a sender has few blob transactions, and then no others.
            let gap = sender.map_or(next, |sender| sender.first_gap(next));
            if nonce > gap {
                return Err(PoolError::NonceGap { got: nonce, gap });
            }
        }
        let old = sender.and_then(|sender| sender.entries.get(&nonce)).map(|entry| &entry.tx);
        self.admit_delegation(tx, account, sender, old.is_some())?;
        if let Some(old) = old {
            self.admit_replacement(tx, old)?;
        } else {
            self.admit_slots(tx, sender)?;
        }
        let replaced = old.map_or(U256::ZERO, |old| old.cost);
        let queued = sender.map_or(U256::ZERO, |sender| sender.cost.saturating_sub(replaced));
        if queued.saturating_add(tx.cost) > account.balance {
            return Err(PoolError::InsufficientFunds {
                balance: account.balance,
                queued,
                cost: tx.cost,
            });
        }
        Ok(())
    }

    /// Code that was signed over can spend the balance in anyone's transaction, and so make all
    /// of its account's own invalid at once. So such an account has one at a time (as in
    /// go-ethereum).
    fn admit_delegation(
        &self,
        tx: &PoolTransaction<C>,
        account: &Account,
        sender: Option<&Sender<C>>,
        replaces: bool,
    ) -> Result<(), PoolError> {
        let delegated =
            account.code == Code::Delegation || self.authorities.contains_key(&tx.sender);
        if delegated && !replaces {
            if sender.is_some() {
                return Err(PoolError::InFlightLimit);
            }
            if tx.nonce() != account.nonce {
                return Err(PoolError::GappedFromDelegated);
            }
        }
        for authority in &tx.authorities {
            let Some(other) = self.senders.get(authority) else { continue };
            if other.entries.len() > 1 || other.holds_blobs() {
                return Err(PoolError::AuthorityReserved { authority: *authority });
            }
        }
        Ok(())
    }

    fn admit_replacement(
        &self,
        tx: &PoolTransaction<C>,
        old: &Arc<PoolTransaction<C>>,
    ) -> Result<(), PoolError> {
        let bump = if old.is_blob() {
            self.config.blob_price_bump_percent
        } else {
            self.config.price_bump_percent
        };
        if tx.outbids(old, bump) { Ok(()) } else { Err(PoolError::ReplacementUnderpriced) }
    }

    /// A sender at its limit may still send what comes before its last transaction; that one is
    /// then dropped by [`Self::trim_sender`].
    fn admit_slots(
        &self,
        tx: &PoolTransaction<C>,
        sender: Option<&Sender<C>>,
    ) -> Result<(), PoolError> {
        let limit = self.sender_slots(tx, sender);
        let (slots, pooled) = sender.map_or((0, 0), |s| (s.slots, s.entries.len()));
        let last = sender.and_then(|sender| sender.entries.keys().next_back());
        let fits = slots + tx.slots() <= limit;
        if fits || (tx.slots() <= limit && last.is_some_and(|last| *last > tx.nonce())) {
            return Ok(());
        }
        Err(PoolError::AccountLimit { pooled })
    }

    fn sender_slots(&self, tx: &PoolTransaction<C>, sender: Option<&Sender<C>>) -> usize {
        if tx.is_blob() {
            self.config.sender_blob_transactions
        } else if tx.origin.is_privileged() || sender.is_some_and(|sender| sender.privileged > 0) {
            self.config.local_sender_slots
        } else {
            self.config.sender_slots
        }
    }

    /// Drops a sender's last transactions, after `tx` entered, until the rest is within its limit.
    pub(crate) fn trim_sender(&mut self, tx: &PoolTransaction<C>) -> Vec<Arc<PoolTransaction<C>>> {
        let mut dropped = Vec::new();
        while let Some(sender) = self.senders.get(&tx.sender)
            && sender.slots > self.sender_slots(tx, Some(sender))
            && let Some(last) = sender.entries.keys().next_back().copied()
            && last > tx.nonce()
        {
            dropped.extend(self.remove(tx.sender, last).map(|entry| entry.tx));
        }
        dropped
    }
}
