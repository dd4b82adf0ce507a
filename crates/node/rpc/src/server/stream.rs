//! A connection that gives up on a peer that does not read.

use super::load::Load;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A peer that is behind must take so many bytes each time it is waited for.
const MIN_PROGRESS: usize = 64 * 1024;

/// A stream whose writes fail if the peer takes next to nothing for a while.
#[derive(Debug)]
pub(crate) struct Impatient<S> {
    stream: S,
    patience: Duration,
    /// The end of patience, while the peer is behind.
    waiting: Option<Pin<Box<Sleep>>>,
    /// What the peer took since it is waited for.
    progress: usize,
    load: Option<Arc<Load>>,
}

impl<S> Impatient<S> {
    pub(crate) const fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, waiting: None, progress: 0, load: None }
    }

    /// Reads nothing while the load is too large.
    pub(super) fn with_load(self, load: Arc<Load>) -> Self {
        Self { load: Some(load), ..self }
    }

    /// Judges a peer that was to take `wanted` bytes.
    fn judge_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        wanted: usize,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            if let Some(load) = &self.load {
                load.wrote(bytes);
            }
            self.progress += bytes;
            // Who takes a few bytes at a time is still behind.
            if bytes >= wanted || self.progress >= MIN_PROGRESS {
                self.waiting = None;
            }
        }
        self.judge(context, written)
    }

    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            return written;
        }
        if self.waiting.is_none() {
            self.progress = 0;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(load) = &self.load {
            ready!(load.poll_room(context));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge_write(context, written, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        let wanted = buffers.iter().map(|buffer| buffer.len()).sum();
        self.judge_write(context, written, wanted)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_given_up() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut stream = Impatient::new(ours, Duration::from_secs(30));
        stream.write_all(&[1; 8]).await.unwrap();
        let mut buffer = [0; 4];
        theirs.read_exact(&mut buffer).await.unwrap();
        stream.write_all(&[2; 4]).await.unwrap();
        let error = stream.write_all(&[3]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_a_little_now_and_then_is_given_up() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut stream = Impatient::new(ours, Duration::from_secs(30));
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 16];
            while theirs.read_exact(&mut buffer).await.is_ok() {
                sleep(Duration::from_secs(20)).await;
            }
        });
        let error = stream.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        reader.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_slow_but_reads_is_served() {
        let (ours, mut theirs) = tokio::io::duplex(MIN_PROGRESS);
        let mut stream = Impatient::new(ours, Duration::from_secs(30));
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; MIN_PROGRESS];
            while theirs.read_exact(&mut buffer).await.is_ok() {
                sleep(Duration::from_secs(20)).await;
            }
        });
        stream.write_all(&vec![0; MIN_PROGRESS * 8]).await.unwrap();
        drop(stream);
        reader.await.unwrap();
    }
}
