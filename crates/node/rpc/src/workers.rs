//! Room for requests that execute: a bounded number run, a bounded number wait, the rest is told
//! to come again.

use crate::{RpcError, RpcResult};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Semaphore;

/// Runs CPU-heavy requests on blocking threads.
#[derive(Clone, Debug)]
pub struct Workers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    permits: Arc<Semaphore>,
    running_limit: usize,
    waiting: AtomicUsize,
    waiting_limit: usize,
}

/// Counts a waiting request for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// At most `running` requests execute at a time (at least one) and `waiting` wait for it.
    pub fn new(running: usize, waiting: usize) -> Self {
        let running_limit = running.max(1);
        let permits = Arc::new(Semaphore::new(running_limit));
        let waiting_limit = waiting;
        let waiting = AtomicUsize::new(0);
        Self { shared: Arc::new(Shared { permits, running_limit, waiting, waiting_limit }) }
    }

    /// Runs `job` on a blocking thread as soon as one is free.
    ///
    /// The job runs to its end even if nobody waits for it any more, and keeps its place until
    /// then.
    ///
    /// # Errors
    /// [`RpcError::Busy`] if too many wait already; [`RpcError::Internal`] if the job panicked;
    /// otherwise what the job answers.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> RpcResult<T> + Send + 'static,
    ) -> RpcResult<T> {
        let permits = self.shared.permits.clone();
        let permit = match permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let waiting = self.shared.waiting.fetch_add(1, Ordering::Relaxed);
                let _counted = Waiting(&self.shared.waiting);
                if waiting >= self.shared.waiting_limit {
                    return Err(RpcError::Busy {
                        running: self.shared.running_limit,
                        queued: waiting,
                    });
                }
                let closed = |_| RpcError::Internal("the workers were stopped".into());
                permits.acquire_owned().await.map_err(closed)?
            }
        };
        let run = move || {
            let _permit = permit;
            job()
        };
        match tokio::task::spawn_blocking(run).await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(target: "lockstep_rpc", %error, "a request's worker failed");
                Err(RpcError::Internal("the request's worker failed".into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn what_does_not_fit_is_refused_and_what_waits_is_served() {
        let workers = Workers::new(1, 1);
        let (release, blocked) = mpsc::channel::<()>();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let workers = workers.clone();
            async move {
                workers
                    .run(move || {
                        let _ = started.send(());
                        let _ = blocked.recv();
                        Ok(1)
                    })
                    .await
            }
        });
        has_started.await.unwrap();
        let second = workers.run(|| Ok(2));
        tokio::pin!(second);
        // The second waits.
        assert!(futures_poll_once(second.as_mut()).await.is_none());
        // The third finds no room.
        let third = workers.run(|| Ok(3)).await;
        assert!(matches!(third, Err(RpcError::Busy { running: 1, queued: 1 })), "{third:?}");
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap().unwrap(), 1);
        assert_eq!(second.await.unwrap(), 2);
        assert_eq!(workers.run(|| Ok(4)).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_place() {
        let workers = Workers::new(1, 0);
        let result: RpcResult<()> = workers.run(|| panic!("on purpose")).await;
        assert!(matches!(result, Err(RpcError::Internal(_))));
        assert!(workers.run(|| Ok(())).await.is_ok());
    }

    async fn futures_poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut future = Some(future);
        std::future::poll_fn(move |context| {
            let polled = future.take().map(|future| future.poll(context));
            std::task::Poll::Ready(match polled {
                Some(std::task::Poll::Ready(output)) => Some(output),
                _ => None,
            })
        })
        .await
    }
}
