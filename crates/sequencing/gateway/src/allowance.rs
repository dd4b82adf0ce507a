//! What rollups take from side by side.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are left of something.
#[derive(Debug, Default)]
pub(crate) struct Allowance(AtomicU64);

impl Allowance {
    pub(crate) const fn new(bytes: u64) -> Self {
        Self(AtomicU64::new(bytes))
    }

    pub(crate) fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes so many bytes if they are left.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let take = |left: u64| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Takes so many bytes, or all that are left.
    pub(crate) fn spend(&self, bytes: u64) {
        let spend = |left: u64| Some(left.saturating_sub(bytes));
        // It always has a value.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn no_more_is_taken_than_there_is() {
        let allowance = Allowance::new(1_000);
        let taken: u64 = thread::scope(|scope| {
            let take = || (0..500).filter(|_| allowance.take(3)).map(|_| 3).sum::<u64>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum()
        });
        assert_eq!((taken, allowance.left()), (999, 1));
        allowance.give_back(3);
        assert!(allowance.take(4) && !allowance.take(1));
        allowance.give_back(5);
        allowance.spend(9);
        assert_eq!(allowance.left(), 0);
    }
}
