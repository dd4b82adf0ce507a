//! Persist canonical blocks behind the tree, on a thread of its own.

use crate::{EngineError, Payloads, engine::Core, measure::Stopwatch, tree::Canonical};
use alloy_consensus::BlockHeader;
use alloy_eips::BlockNumHash;
use lockstep_storage::{ErrorClass, StorageError};
use parking_lot::{Condvar, Mutex};
use std::{sync::Arc, time::Duration};

/// The longest pause between two attempts to persist after a failure.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// After how many failed attempts a shutdown gives up.
const SHUTDOWN_ATTEMPTS: u32 = 3;

/// How a thread ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    WhenPersisted,
    Now,
}

/// What the persistence thread and those who wait for it share.
#[derive(Debug)]
pub(crate) struct Persistence {
    state: Mutex<PersistenceState>,
    /// For the thread: there may be something to do.
    work: Condvar,
    /// For those who wait: something was persisted.
    progress: Condvar,
}

#[derive(Debug)]
struct PersistenceState {
    /// The newest stored block.
    tip: BlockNumHash,
    has_work: bool,
    stop: Option<Stop>,
    error: Option<StorageError>,
}

impl Persistence {
    pub(crate) fn new(tip: BlockNumHash) -> Self {
        let state = PersistenceState { tip, has_work: true, stop: None, error: None };
        Self { state: Mutex::new(state), work: Condvar::new(), progress: Condvar::new() }
    }

    /// Tells the thread that the canonical chain has changed.
    pub(crate) fn wake(&self) {
        self.state.lock().has_work = true;
        self.work.notify_one();
    }

    /// Makes those who wait look again.
    pub(crate) fn wake_waiting(&self) {
        self.progress.notify_all();
    }

    pub(crate) fn stop(&self, stop: Stop) {
        self.state.lock().stop.get_or_insert(stop);
        self.work.notify_one();
        self.progress.notify_all();
    }

    /// Why the last shutdown could not persist everything.
    pub(crate) fn take_error(&self) -> Option<StorageError> {
        self.state.lock().error.take()
    }

    /// Waits until there is work or the thread must end.
    fn next(&self) -> Option<Stop> {
        let mut state = self.state.lock();
        while !state.has_work && state.stop.is_none() {
            self.work.wait(&mut state);
        }
        state.has_work = false;
        state.stop
    }

    /// Waits before the next attempt. Returns early when the thread must end.
    fn pause(&self, failures: u32) {
        let mut state = self.state.lock();
        if state.stop.is_none() {
            let pause = Duration::from_millis(50).saturating_mul(1 << failures.min(8));
            self.work.wait_for(&mut state, pause.min(MAX_PAUSE));
        }
    }

    /// The newest stored block.
    pub(crate) fn tip(&self) -> BlockNumHash {
        self.state.lock().tip
    }

    fn set_tip(&self, tip: BlockNumHash) {
        self.state.lock().tip = tip;
    }

    fn must_end_now(&self) -> bool {
        self.state.lock().stop == Some(Stop::Now)
    }
}

impl<C: Payloads> Core<C> {
    /// Waits while too many blocks are in memory only.
    pub(crate) fn wait_for_persistence(&self) -> Result<(), EngineError> {
        let limit = self.config.max_unpersisted;
        let kept = usize::try_from(self.config.keep_in_memory).unwrap_or(usize::MAX);
        let watch = Stopwatch::start();
        loop {
            let unpersisted = self.shared.tree.read().canonical.blocks.len().saturating_sub(kept);
            if unpersisted <= limit {
                return Ok(());
            }
            self.check_running()?;
            let patience = self.config.persistence_patience;
            let waited = watch.elapsed();
            if waited >= patience {
                return Err(EngineError::Backlog { unpersisted, limit, waited });
            }
            let mut state = self.persistence.state.lock();
            // Progress between the look and the lock is noticed after this at the latest.
            let longest = patience.saturating_sub(waited).min(Duration::from_millis(20));
            self.persistence.progress.wait_for(&mut state, longest);
        }
    }

    /// The persistence thread.
    pub(crate) fn run_persistence(self: &Arc<Self>) {
        let mut failures = 0;
        loop {
            let stop = self.persistence.next();
            if stop == Some(Stop::Now) {
                return;
            }
            match self.persist_all(stop.is_some()) {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    // What reported a failure may have reached the disk nevertheless.
                    if let Ok(stored) = self.shared.storage.snapshot() {
                        self.persistence.set_tip(stored.tip());
                    }
                    if !self.retry_after(error, failures, stop.is_some()) {
                        return;
                    }
                    continue;
                }
            }
            if stop.is_some() {
                return;
            }
        }
    }

    /// Whether the thread is to try again after a failure, having paused.
    fn retry_after(&self, error: StorageError, failures: u32, is_ending: bool) -> bool {
        self.measure.persistence_failed();
        // The position is read again after each failure, so this is no longer a matter of where
        // storage stands.
        let is_lost = failures > 1 && matches!(error, StorageError::NotNext { .. });
        let is_critical = is_lost || error.class() == ErrorClass::Critical;
        if is_critical {
            self.stop_working(&format!("blocks cannot be persisted: {error}"));
        } else {
            tracing::warn!(
                target: "lockstep_engine",
                %error, failures,
                "could not persist blocks; trying again"
            );
        }
        if is_critical || (is_ending && failures >= SHUTDOWN_ATTEMPTS) {
            self.persistence.state.lock().error = Some(error);
            self.persistence.wake_waiting();
            return false;
        }
        self.persistence.pause(failures);
        self.persistence.state.lock().has_work = true;
        true
    }

    /// Persists, step by step, all that is due.
    fn persist_all(&self, everything: bool) -> Result<(), StorageError> {
        while !self.persistence.must_end_now() && self.persist_step(everything)? {
            self.persistence.progress.notify_all();
        }
        let _lock = self.fork_choice.lock();
        let mut tree = self.shared.tree.write();
        tree.drop_below_finalized();
        self.measure.tree(tree.blocks.len(), tree.canonical.blocks.len());
        Ok(())
    }

    /// Takes one step towards the canonical chain; returns whether there was one to take.
    fn persist_step(&self, everything: bool) -> Result<bool, StorageError> {
        let canonical = self.shared.tree.read().canonical.clone();
        let tip = self.persistence.tip();
        let watch = Stopwatch::start();
        if !canonical.contains(tip) {
            let to = self.common_ancestor(&canonical, tip)?;
            self.shared.storage.unwind(to.number)?;
            self.persistence.set_tip(to);
            tracing::info!(
                target: "lockstep_engine",
                from = tip.number, to = to.number,
                "unwound storage for a reorg"
            );
            return Ok(true);
        }
        let last = if everything { canonical.head.number() } else { self.due(&canonical) };
        let blocks: Vec<_> = (tip.number.saturating_add(1)..=last)
            .take(self.config.persistence_batch.max(1))
            .map_while(|number| canonical.block(number).cloned())
            .collect();
        let Some(new_tip) = blocks.last().map(|block| block.num_hash()) else {
            return Ok(false);
        };
        self.shared.storage.append(&blocks, canonical.fork_choice())?;
        self.persistence.set_tip(new_tip);
        self.measure.persisted(watch.elapsed(), blocks.len());
        let _lock = self.fork_choice.lock();
        let mut tree = self.shared.tree.write();
        // A reorg may have passed while the blocks were written; the next step unwinds them.
        if tree.canonical.contains(new_tip) {
            tree.drop_persisted(new_tip.number);
        }
        Ok(true)
    }

    /// The newest block that is to be persisted now.
    fn due(&self, canonical: &Canonical<C>) -> u64 {
        let old = canonical.head.number().saturating_sub(self.config.keep_in_memory);
        old.max(canonical.finalized.map_or(0, |block| block.number)).min(canonical.head.number())
    }

    /// The newest stored block that is on the canonical chain.
    fn common_ancestor(
        &self,
        canonical: &Canonical<C>,
        tip: BlockNumHash,
    ) -> Result<BlockNumHash, StorageError> {
        let stored = self.shared.storage.snapshot()?;
        let newest = tip.number.min(canonical.head.number());
        for number in (canonical.base.number..=newest).rev() {
            if let Some(hash) = canonical.hash(number)
                && stored.hash(number)? == Some(hash)
            {
                return Ok(BlockNumHash::new(number, hash));
            }
        }
        Err(StorageError::Missing(format!(
            "block {} ({})",
            canonical.base.number, canonical.base.hash
        )))
    }
}
