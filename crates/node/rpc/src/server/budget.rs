//! What waits for the clients of all connections together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that wait for clients to take them, over all connections of a server.
///
/// Clients that do not read use up what all share, so each connection also has a small share of
/// its own that nobody can take from it.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: AtomicUsize,
    limit: usize,
    share: usize,
}

impl Budget {
    /// At most `limit` bytes wait for all, and as much again for those of at most `connections`
    /// clients for whom next to nothing waits. One message may always wait alone.
    pub(super) fn new(limit: usize, connections: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), limit, share: limit / connections.max(1) }
    }

    /// Takes room for `bytes` beside the `own` that wait for the same client; `false` if there is
    /// none.
    pub(super) fn take(&self, bytes: usize, own: usize) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        let fits = before == 0
            || before.saturating_add(bytes) <= self.limit
            || own.saturating_add(bytes) <= self.share;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    /// Gives back room that was taken.
    pub(super) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_share_has_a_limit_and_each_has_a_share() {
        let budget = Budget::new(100, 10);
        assert!(budget.take(60, 0));
        assert!(!budget.take(50, 0));
        assert!(budget.take(40, 60));
        assert!(!budget.take(1, 100));
        // Whoever reads is served although others do not.
        assert!(budget.take(10, 0));
        assert!(!budget.take(1, 10));
        budget.give_back(110);
        assert!(budget.take(1_000, 0));
        assert!(!budget.take(11, 0));
    }
}
