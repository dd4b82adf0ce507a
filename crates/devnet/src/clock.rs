//! The time, as an argument.

use std::{fmt::Debug, time::Duration};

/// Tells the time. Only what runs in real time asks for it; everything below is told.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Time since the beginning of 1970 (UTC).
    fn unix_time(&self) -> Duration;
}

/// How long it is until a moment given in Unix time; zero once it has passed.
pub(crate) fn until(clock: &dyn Clock, unix_time: Duration) -> Duration {
    unix_time.saturating_sub(clock.unix_time())
}
