//! Requests that wait until a transaction is in a block.

use alloy_primitives::{B256, map::B256Map};
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::{Notify, futures::OwnedNotified};

/// Requests that wait, by the hash of the transaction that each waits for.
///
/// There are no more than requests that are answered at a time, which the server limits.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    by_hash: Mutex<B256Map<Entry>>,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Entry {
    bell: Arc<Notify>,
    waiters: usize,
}

/// One request that waits.
#[derive(Debug)]
pub(crate) struct Waiter<'w> {
    waiters: &'w Waiters,
    hash: B256,
    bell: Arc<Notify>,
}

impl Waiters {
    /// Begins to wait for a transaction.
    pub(crate) fn wait_for(&self, hash: B256) -> Waiter<'_> {
        let mut by_hash = self.by_hash.lock();
        let entry = by_hash.entry(hash).or_default();
        entry.waiters += 1;
        Waiter { waiters: self, hash, bell: entry.bell.clone() }
    }

    /// Wakes those that wait for one of these transactions.
    pub(crate) fn wake<'h>(&self, hashes: impl Iterator<Item = &'h B256>) {
        let by_hash = self.by_hash.lock();
        if by_hash.is_empty() {
            return;
        }
        for entry in hashes.filter_map(|hash| by_hash.get(hash)) {
            entry.bell.notify_waiters();
        }
    }

    /// Wakes all: nobody knows any more which transactions are new in blocks.
    pub(crate) fn wake_all(&self) {
        self.by_hash.lock().values().for_each(|entry| entry.bell.notify_waiters());
    }

    /// Wakes all for the last time.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.wake_all();
    }

    /// Whether nobody is woken any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }
}

impl Waiter<'_> {
    /// Completes when the transaction may be in a block, if that happens after this was called.
    pub(crate) fn woken(&self) -> OwnedNotified {
        self.bell.clone().notified_owned()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut by_hash = self.waiters.by_hash.lock();
        if let Some(entry) = by_hash.get_mut(&self.hash) {
            entry.waiters -= 1;
            if entry.waiters == 0 {
                by_hash.remove(&self.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(byte: u8) -> B256 {
        B256::repeat_byte(byte)
    }

    #[tokio::test]
    async fn only_those_are_woken_that_wait_for_a_transaction() {
        let waiters = Waiters::default();
        let (first, second, other) =
            (waiters.wait_for(hash(1)), waiters.wait_for(hash(1)), waiters.wait_for(hash(2)));
        let (woken, also, not) = (first.woken(), second.woken(), other.woken());
        waiters.wake([hash(3), hash(1)].iter());
        woken.await;
        also.await;
        let mut not = Box::pin(not);
        assert!(futures_poll(&mut not).is_none());
        waiters.close();
        not.await;
        assert!(waiters.is_closed());
    }

    #[test]
    fn whoever_waits_no_more_is_forgotten() {
        let waiters = Waiters::default();
        let (first, second) = (waiters.wait_for(hash(1)), waiters.wait_for(hash(1)));
        drop(first);
        assert_eq!(waiters.by_hash.lock().len(), 1);
        drop(second);
        assert!(waiters.by_hash.lock().is_empty());
    }

    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
