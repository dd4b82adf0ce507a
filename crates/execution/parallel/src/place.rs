//! What has become of one transaction before its turn.

use lockstep_execution::Speculation;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

/// States of a transaction. Nobody has it;
const FREE: u8 = 0;
/// somebody executes it;
const TAKEN: u8 = 1;
/// it was executed, and waits for its turn;
const DONE: u8 = 2;
/// it has to be executed at its turn.
const ORDERED: u8 = 3;

/// What has become of a transaction before its turn.
#[derive(Debug)]
pub(crate) struct Place<H> {
    state: AtomicU8,
    outcome: Mutex<Option<Box<Speculation<H>>>>,
}

impl<H> Default for Place<H> {
    fn default() -> Self {
        Self { state: AtomicU8::new(FREE), outcome: Mutex::new(None) }
    }
}

impl<H> Place<H> {
    /// Whether nobody else had the transaction.
    pub(crate) fn take(&self) -> bool {
        self.state.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Whether nobody has the transaction.
    pub(crate) fn is_free(&self) -> bool {
        self.state.load(Ordering::Relaxed) == FREE
    }

    /// Whether somebody executes it now.
    pub(crate) fn is_underway(&self) -> bool {
        self.state.load(Ordering::Acquire) == TAKEN
    }

    /// Whether it was executed, and what it changed was told.
    pub(crate) fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == DONE
    }

    /// The transaction was executed, and waits for its turn.
    pub(crate) fn put(&self, outcome: Box<Speculation<H>>) {
        *self.outcome.lock() = Some(outcome);
        self.state.store(DONE, Ordering::Release);
    }

    /// Reads a little of everywhere in the outcome, if there is one ([`Speculation::touch`]).
    pub(crate) fn touch(&self) -> u8 {
        if !self.is_done() {
            return 0;
        }
        self.outcome.lock().as_ref().map_or(0, |outcome| outcome.touch())
    }

    pub(crate) fn take_outcome(&self) -> Option<Box<Speculation<H>>> {
        self.outcome.lock().take()
    }
}

/// Leaves a transaction that was taken to its turn when it is dropped, unless there is an outcome; also if a worker
/// panics, since somebody may wait.
pub(crate) struct LeftToItsTurn<'p, H>(pub(crate) &'p Place<H>);

impl<H> Drop for LeftToItsTurn<'_, H> {
    fn drop(&mut self) {
        let order = Ordering::Release;
        let _ = self.0.state.compare_exchange(TAKEN, ORDERED, order, Ordering::Relaxed);
    }
}
