//! How much a sequencer may put into blocks, so that what is not posted yet stays bounded.

use crate::BatcherError;
use std::sync::atomic::{AtomicU64, Ordering};

/// What transactions of users may take, in bytes as EIP-2718 encodes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataLimits {
    /// All of a block together.
    pub block_bytes: u64,
    /// Each of them.
    pub transaction_bytes: u64,
}

impl DataLimits {
    /// No limit.
    pub const UNLIMITED: Self = Self { block_bytes: u64::MAX, transaction_bytes: u64::MAX };

    /// No transaction at all.
    pub const NOTHING: Self = Self { block_bytes: 0, transaction_bytes: 0 };

    /// The smaller of both limits.
    pub(crate) fn within(self, block_bytes: u64) -> Self {
        Self {
            block_bytes: self.block_bytes.min(block_bytes),
            transaction_bytes: self.transaction_bytes.min(block_bytes),
        }
    }
}

/// How the limits follow from what waits: none up to a low mark, then less and less, in a straight
/// line, down to the least at a high mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottlePolicy {
    /// Up to so many bytes between the safe and the unsafe head there is no limit.
    pub low_bytes: u64,
    /// From so many bytes on the limits are the least.
    pub high_bytes: u64,
    /// The limits beyond the low mark.
    pub most: DataLimits,
    /// The limits from the high mark on.
    pub least: DataLimits,
}

impl Default for ThrottlePolicy {
    /// From 8 to 32 MiB: 128 KiB per block and 32 KiB per transaction, down to 4 KiB and 1 KiB.
    fn default() -> Self {
        const KIB: u64 = 1 << 10;
        Self {
            low_bytes: 8 << 20,
            high_bytes: 32 << 20,
            most: DataLimits { block_bytes: 128 * KIB, transaction_bytes: 32 * KIB },
            least: DataLimits { block_bytes: 4 * KIB, transaction_bytes: KIB },
        }
    }
}

impl ThrottlePolicy {
    /// The limits while so many bytes of transactions wait between the safe and the unsafe head.
    pub fn limits(&self, unsafe_bytes: u64) -> DataLimits {
        if unsafe_bytes <= self.low_bytes {
            return DataLimits::UNLIMITED;
        }
        let span = u128::from(self.high_bytes.saturating_sub(self.low_bytes)).max(1);
        let above = u128::from(unsafe_bytes - self.low_bytes).min(span);
        let between = |most: u64, least: u64| {
            let fall = u128::from(most.saturating_sub(least)) * above / span;
            most - u64::try_from(fall).unwrap_or(most)
        };
        let (most, least) = (self.most, self.least);
        DataLimits {
            block_bytes: between(most.block_bytes, least.block_bytes),
            transaction_bytes: between(most.transaction_bytes, least.transaction_bytes),
        }
    }

    /// # Errors
    /// [`BatcherError::Config`] for the first setting that cannot work.
    pub(crate) fn validate(&self, max_pending_bytes: usize) -> Result<(), BatcherError> {
        let refuse =
            |setting, found: u64, expected| Err(BatcherError::config(setting, found, expected));
        if self.high_bytes <= self.low_bytes {
            return refuse("throttle.high_bytes", self.high_bytes, "more than low_bytes");
        }
        if self.high_bytes > max_pending_bytes as u64 {
            // What is beyond is not counted.
            return refuse("throttle.high_bytes", self.high_bytes, "at most max_pending_bytes");
        }
        if self.least.block_bytes > self.most.block_bytes {
            return refuse(
                "throttle.least.block_bytes",
                self.least.block_bytes,
                "at most the most",
            );
        }
        if self.least.transaction_bytes > self.most.transaction_bytes {
            let found = self.least.transaction_bytes;
            return refuse("throttle.least.transaction_bytes", found, "at most the most");
        }
        Ok(())
    }
}

/// Limits that who posts blocks sets for who makes them. Neither waits for the other.
#[derive(Debug)]
pub struct Throttle {
    block_bytes: AtomicU64,
    transaction_bytes: AtomicU64,
}

impl Default for Throttle {
    fn default() -> Self {
        let DataLimits { block_bytes, transaction_bytes } = DataLimits::UNLIMITED;
        Self {
            block_bytes: AtomicU64::new(block_bytes),
            transaction_bytes: AtomicU64::new(transaction_bytes),
        }
    }
}

impl Throttle {
    /// The limits now.
    pub fn limits(&self) -> DataLimits {
        DataLimits {
            block_bytes: self.block_bytes.load(Ordering::Relaxed),
            transaction_bytes: self.transaction_bytes.load(Ordering::Relaxed),
        }
    }

    /// Other limits, from the next block on.
    pub fn set(&self, limits: DataLimits) {
        self.block_bytes.store(limits.block_bytes, Ordering::Relaxed);
        self.transaction_bytes.store(limits.transaction_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: ThrottlePolicy = ThrottlePolicy {
        low_bytes: 1_000,
        high_bytes: 2_000,
        most: DataLimits { block_bytes: 500, transaction_bytes: 300 },
        least: DataLimits { block_bytes: 100, transaction_bytes: 50 },
    };

    #[test]
    fn limits_fall_in_a_straight_line_between_the_marks() {
        for (unsafe_bytes, block_bytes, transaction_bytes) in [
            (0, u64::MAX, u64::MAX),
            (1_000, u64::MAX, u64::MAX),
            (1_001, 500, 300),
            (1_500, 300, 175),
            (2_000, 100, 50),
            (u64::MAX, 100, 50),
        ] {
            let expected = DataLimits { block_bytes, transaction_bytes };
            assert_eq!(POLICY.limits(unsafe_bytes), expected, "{unsafe_bytes}");
        }
    }

    #[test]
    fn a_transaction_is_never_allowed_more_than_its_block() {
        let limits = DataLimits::UNLIMITED.within(70);
        assert_eq!(limits, DataLimits { block_bytes: 70, transaction_bytes: 70 });
        assert_eq!(POLICY.limits(1_500).within(1_000), POLICY.limits(1_500));
    }

    #[test]
    fn policies_that_cannot_work_are_refused() {
        POLICY.validate(2_000).expect("it is valid");
        let refused = [
            (ThrottlePolicy { high_bytes: 1_000, ..POLICY }, 2_000),
            (POLICY, 1_999),
            (ThrottlePolicy { least: POLICY.most, most: POLICY.least, ..POLICY }, 2_000),
        ];
        for (policy, most) in refused {
            assert!(
                matches!(policy.validate(most), Err(BatcherError::Config { .. })),
                "{policy:?}"
            );
        }
    }
}
