//! The time, as an argument, and waiting for it.

use parking_lot::{Condvar, Mutex};
use std::{fmt::Debug, time::Duration};

/// Tells the time. Only what runs in real time asks for it; everything below is told.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Time since the beginning of 1970 (UTC).
    fn unix_time(&self) -> Duration;

    /// Time since some moment, which nobody sets back.
    fn monotonic(&self) -> Duration;
}

/// Wakes a gateway that waits for transactions, or for another gateway's batch.
#[derive(Debug, Default)]
pub struct Bell {
    state: Mutex<BellState>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct BellState {
    has_rung: bool,
    has_batch: bool,
    stop: bool,
}

impl Bell {
    /// There is something to do.
    pub fn ring(&self) {
        self.state.lock().has_rung = true;
        self.rung.notify_all();
    }

    /// Another gateway has handed a batch over.
    pub fn announce_batch(&self) {
        self.state.lock().has_batch = true;
        self.rung.notify_all();
    }

    /// Nothing is to be done any more.
    pub fn stop(&self) {
        self.state.lock().stop = true;
        self.rung.notify_all();
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.state.lock().stop
    }

    /// Waits until the time is over, or nothing is to be done any more.
    pub fn rest(&self, time: Duration) {
        self.wait(time, false);
    }

    /// Waits until the time is over, a batch is announced, which may have been before, or nothing is to be done any more.
    pub(crate) fn await_batch(&self, time: Duration) {
        let mut state = self.state.lock();
        let is_over = |state: &mut BellState| !(state.stop || state.has_batch);
        self.rung.wait_while_for(&mut state, is_over, time);
        state.has_batch = false;
    }

    /// Waits until the time is over or the gateway is stopped; with `for_work` also until it rings,
    /// which it may have done before.
    pub(crate) fn wait(&self, time: Duration, for_work: bool) {
        let mut state = self.state.lock();
        let is_over = |state: &mut BellState| !(state.stop || (for_work && state.has_rung));
        self.rung.wait_while_for(&mut state, is_over, time);
        state.has_rung = false;
    }
}
