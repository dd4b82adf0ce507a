//! Tell parts of the node of every change of the canonical chain, without making it wait.

use crate::{ChainSnapshot, ChainUpdate, Payloads, tree::Canonical, view::Shared};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;

/// Everyone who is told.
#[derive(Debug)]
pub(crate) struct Followers<C: Payloads> {
    inboxes: Mutex<Vec<Arc<Inbox<C>>>>,
}

impl<C: Payloads> Default for Followers<C> {
    fn default() -> Self {
        Self { inboxes: Mutex::default() }
    }
}

/// What one follower has not been told yet: one change, into which later ones are merged. It
/// therefore holds no more blocks than lie between two canonical chains.
#[derive(Debug)]
pub(crate) struct Inbox<C: Payloads> {
    pending: Mutex<Pending<C>>,
    wake: Condvar,
}

#[derive(Debug)]
struct Pending<C: Payloads> {
    change: Option<(ChainUpdate<C>, Arc<Canonical<C>>)>,
    stop: bool,
}

impl<C: Payloads> Followers<C> {
    pub(crate) fn add(&self) -> Arc<Inbox<C>> {
        let pending = Mutex::new(Pending { change: None, stop: false });
        let inbox = Arc::new(Inbox { pending, wake: Condvar::new() });
        self.inboxes.lock().push(inbox.clone());
        inbox
    }

    /// Must be called in the order of the changes.
    pub(crate) fn tell(&self, update: &ChainUpdate<C>, canonical: &Arc<Canonical<C>>) {
        for inbox in self.inboxes.lock().iter() {
            let mut pending = inbox.pending.lock();
            let merged = match pending.change.take() {
                Some((earlier, _)) => earlier.then(update),
                None => Some(update.clone()),
            };
            pending.change = merged.map(|merged| (merged, canonical.clone()));
            inbox.wake.notify_one();
        }
    }

    pub(crate) fn stop(&self) {
        for inbox in self.inboxes.lock().drain(..) {
            inbox.pending.lock().stop = true;
            inbox.wake.notify_one();
        }
    }
}

impl<C: Payloads> Inbox<C> {
    /// Passes changes to `follower` until told to stop and nothing is left.
    pub(crate) fn run(
        &self,
        shared: &Arc<Shared<C>>,
        mut follower: impl FnMut(&ChainUpdate<C>, &ChainSnapshot<C>),
    ) {
        while let Some((update, canonical)) = self.next() {
            follower(&update, &ChainSnapshot::new(shared.clone(), canonical));
        }
    }

    fn next(&self) -> Option<(ChainUpdate<C>, Arc<Canonical<C>>)> {
        let mut pending = self.pending.lock();
        loop {
            if let Some(change) = pending.change.take() {
                return Some(change);
            }
            if pending.stop {
                return None;
            }
            self.wake.wait(&mut pending);
        }
    }
}
