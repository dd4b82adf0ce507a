//! What to do when derivation drops what was posted, again and again.

use std::time::Duration;

/// The longest pause is the first one, doubled so many times.
const MAX_DOUBLINGS: u32 = 6;

/// Channels that were dropped one after the other without a block becoming safe meanwhile. One may be
/// bad luck (an L1 reorg at the wrong time); a second one with the same blocks is paid for in vain, and
/// so will the next be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drops {
    count: u32,
    safe: u64,
    resume_at: Duration,
}

impl Drops {
    /// A channel was dropped when the safe head was `safe`. How many that makes in a row. The second one
    /// is followed by a pause of `pause`, each later one by twice as long a one.
    pub fn add(&mut self, safe: u64, now: Duration, pause: Duration) -> u32 {
        self.count = if safe > self.safe { 1 } else { self.count.saturating_add(1) };
        self.safe = safe;
        if let Some(doublings) = self.count.checked_sub(2) {
            let pause = pause.saturating_mul(1 << doublings.min(MAX_DOUBLINGS));
            self.resume_at = now.saturating_add(pause);
        }
        self.count
    }

    /// Whether nothing should be posted yet.
    pub fn is_pausing(&self, now: Duration) -> bool {
        now < self.resume_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_blocks_become_safe() {
        let second = Duration::from_secs(1);
        let mut drops = Drops::default();
        let mut now = Duration::ZERO;
        let mut pauses = Vec::new();
        for safe in [5, 5, 5, 5, 6, 6] {
            drops.add(safe, now, second);
            let begin = now;
            while drops.is_pausing(now) {
                now += second;
            }
            pauses.push((now - begin).as_secs());
        }
        assert_eq!(pauses, [0, 1, 2, 4, 0, 1]);
        for _ in 0..100 {
            drops.add(6, now, second);
        }
        assert!(drops.is_pausing(now + 63 * second) && !drops.is_pausing(now + 64 * second));
    }
}
