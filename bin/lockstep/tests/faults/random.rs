//! Choices that a seed repeats.

use std::time::Duration;

const DEFAULT_SEED: u64 = 0x5eed;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// From `LOCKSTEP_SEED`. What runs beside each other differs by `stream`.
    pub(crate) fn from_environment(stream: u64) -> Self {
        let seed = number_from_environment("LOCKSTEP_SEED").unwrap_or(DEFAULT_SEED);
        eprintln!("LOCKSTEP_SEED={seed}");
        Self(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A duration below this many milliseconds, to the microsecond.
    pub(crate) fn duration(&mut self, below_ms: u64) -> Duration {
        Duration::from_micros(self.below(below_ms * 1_000))
    }

    /// Choices that do not depend on how many are made here.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

/// How often programs are killed in one run.
pub(crate) fn kills() -> u64 {
    let kills = number_from_environment("LOCKSTEP_KILLS").unwrap_or(20);
    eprintln!("LOCKSTEP_KILLS={kills}");
    kills
}

fn number_from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}
