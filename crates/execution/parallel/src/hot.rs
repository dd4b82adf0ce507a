//! Contracts whose calls depend on each other, as far as this block has shown.

use alloy_primitives::{Address, map::AddressMap};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Failures after which a contract's calls may be left to their turns.
const MIN_FAILURES: u32 = 2;

/// Calls of one contract that were executed ahead.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    of_use: u32,
    failures: u32,
}

impl Tally {
    const fn is_hot(self) -> bool {
        self.failures >= MIN_FAILURES && self.failures > self.of_use
    }
}

/// Contracts whose calls are better executed in order: executed ahead, most of them came to nothing.
#[derive(Debug, Default)]
pub(crate) struct HotContracts {
    any: AtomicBool,
    tallies: Mutex<AddressMap<Tally>>,
}

impl HotContracts {
    /// Notes what came of a call that was executed ahead.
    pub(crate) fn note(&self, contract: Address, was_of_use: bool) {
        if was_of_use && !self.any.load(Ordering::Relaxed) {
            return;
        }
        self.any.store(true, Ordering::Relaxed);
        let mut tallies = self.tallies.lock();
        let tally = tallies.entry(contract).or_default();
        *(if was_of_use { &mut tally.of_use } else { &mut tally.failures }) += 1;
    }

    pub(crate) fn contains(&self, contract: &Address) -> bool {
        self.any.load(Ordering::Relaxed)
            && self.tallies.lock().get(contract).is_some_and(|tally| tally.is_hot())
    }
}
