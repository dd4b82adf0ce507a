//! How long a request may keep its worker.

use crate::{RpcError, RpcResult};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// When the work for a request must end: at a time, or as soon as nobody waits for it any more.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    end: Instant,
    allowed: Duration,
    is_abandoned: Arc<AtomicBool>,
}

/// Somebody who waits for the work, until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiter(Arc<AtomicBool>);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Deadline {
    /// The deadline of a request that arrives now.
    pub(crate) fn after(allowed: Duration) -> (Self, Waiter) {
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let waiter = Waiter(is_abandoned.clone());
        (Self { end: Instant::now() + allowed, allowed, is_abandoned }, waiter)
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed) || Instant::now() >= self.end
    }

    /// What to answer: work that was stopped tells that it was, not why.
    pub(crate) fn judge<T>(&self, result: RpcResult<T>) -> RpcResult<T> {
        result.or_else(|error| self.check().and(Err(error)))
    }

    /// # Errors
    /// [`RpcError::Timeout`] once it has passed.
    pub(crate) fn check(&self) -> RpcResult<()> {
        if self.has_passed() {
            return Err(RpcError::Timeout { seconds: self.allowed.as_secs() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_ends_in_time_or_when_nobody_waits() {
        let (deadline, _waiter) = Deadline::after(Duration::from_secs(1));
        assert!(deadline.check().is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(matches!(deadline.check(), Err(RpcError::Timeout { seconds: 1 })));
        let (deadline, waiter) = Deadline::after(Duration::from_secs(1));
        drop(waiter);
        assert!(deadline.has_passed());
    }
}
