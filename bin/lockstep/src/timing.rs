//! How long something takes, for commands that measure.

use serde::Serialize;
use std::time::{Duration, Instant};

/// The only clock of commands that measure.
#[expect(clippy::disallowed_methods, reason = "measuring is what the commands are for")]
pub(crate) fn stopwatch<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = run();
    (result, start.elapsed())
}

/// How long the execution of a block took, or of several one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Timing {
    pub(crate) median_us: f64,
    pub(crate) min_us: f64,
    /// Million gas per second, at the median.
    pub(crate) mgas_per_s: f64,
}

impl Timing {
    /// Of a block that was executed several times; `None` if it was not at all.
    pub(crate) fn of(mut times: Vec<Duration>, gas: u64) -> Option<Self> {
        times.sort();
        let us = |time: &Duration| time.as_secs_f64() * 1e6;
        let median_us = us(times.get(times.len() / 2)?);
        let min_us = us(times.first()?);
        Some(Self { median_us, min_us, mgas_per_s: mgas_per_s(gas, median_us) })
    }

    /// Of this and another block, of `gas` together.
    pub(crate) fn and(self, other: Self, gas: u64) -> Self {
        let median_us = self.median_us + other.median_us;
        let min_us = self.min_us + other.min_us;
        Self { median_us, min_us, mgas_per_s: mgas_per_s(gas, median_us) }
    }

    /// How many times as fast as `other`, at the median.
    pub(crate) fn speedup_over(self, other: Self) -> f64 {
        if self.median_us > 0.0 { other.median_us / self.median_us } else { 0.0 }
    }
}

pub(crate) fn mgas_per_s(gas: u64, time_us: f64) -> f64 {
    if time_us > 0.0 { gas as f64 / time_us } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timing_is_the_median_and_the_shortest() {
        let times = [30, 10, 20].map(Duration::from_micros).to_vec();
        let timing = Timing::of(times, 40).unwrap();
        assert_eq!((timing.median_us.round(), timing.min_us.round()), (20.0, 10.0));
        assert_eq!(timing.mgas_per_s.round(), 2.0);
        let both = timing.and(Timing::of(vec![Duration::from_micros(60)], 40).unwrap(), 160);
        assert_eq!((both.median_us.round(), both.min_us.round()), (80.0, 70.0));
        assert_eq!(both.mgas_per_s.round(), 2.0);
        assert_eq!(timing.speedup_over(both).round(), 4.0);
    }

    #[test]
    fn a_block_that_was_not_executed_has_no_timing() {
        assert!(Timing::of(Vec::new(), 1).is_none());
    }
}
