//! For how long transactions are executed before users are shown what became of them.

use crate::Clock;
use lockstep_engine::MIN_TRANSACTION_GAS;
use std::{fmt, time::Duration};

/// After how much gas the clock is looked at: a few milliseconds of execution.
const GAS_BETWEEN_LOOKS: u64 = 5_000_000;

/// The least time of a pass, so that every round gets on.
const MIN_TIME: Duration = Duration::from_millis(10);

/// One time that transactions are executed, from one update to the next. Each rollup counts in its own.
#[derive(Clone)]
pub(crate) struct Pass<'c> {
    clock: &'c dyn Clock,
    ends_at: Duration,
    gas: u64,
    is_over: bool,
}

impl fmt::Debug for Pass<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("ends_at", &self.ends_at).finish_non_exhaustive()
    }
}

impl<'c> Pass<'c> {
    /// One that begins at `now` and takes about as long as from one update to the next, but goes on after
    /// `block_ends_at` for ten milliseconds at most. Times are since 1970.
    pub(crate) fn new(
        clock: &'c dyn Clock,
        now: Duration,
        interval: Duration,
        block_ends_at: Duration,
    ) -> Self {
        let least = now.saturating_add(MIN_TIME);
        let ends_at = now.saturating_add(interval).min(block_ends_at).max(least);
        Self { clock, ends_at, gas: 0, is_over: false }
    }

    /// Counts a transaction that was executed, for nothing or not.
    pub(crate) fn count(&mut self, gas_used: u64) {
        // Each is read, checked and written down.
        self.gas = self.gas.saturating_add(gas_used.max(MIN_TRANSACTION_GAS));
        if self.gas >= GAS_BETWEEN_LOOKS {
            self.gas = 0;
            self.is_over |= self.clock.unix_time() >= self.ends_at;
        }
    }

    /// As over as that of a rollup which was worked on beside others.
    pub(crate) const fn join(&mut self, other: &Self) {
        self.is_over |= other.is_over;
    }

    /// Whether users are to be shown something now.
    pub(crate) const fn is_over(&self) -> bool {
        self.is_over
    }
}
