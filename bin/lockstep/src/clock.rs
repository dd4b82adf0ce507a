//! Time, for those who wait.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a person waits")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Waits before a server is asked again.
#[expect(
    clippy::disallowed_methods,
    reason = "JSON-RPC over HTTP does not tell when something happens"
)]
pub(crate) fn pause(duration: Duration) {
    thread::sleep(duration);
}
