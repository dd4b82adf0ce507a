//! JSON-RPC over a Unix socket: one JSON value after the other, without any separator, as
//! go-ethereum does it.

use super::{
    budget::Budget,
    dispatch::{Dispatch, Subscriptions, answer},
    ids::HexIds,
    load::{Load, LoadLayer},
    observe::Observed,
    stream::Impatient,
};
use crate::Limits;
use jsonrpsee::{
    ConnectionId, Methods,
    server::{BoundedSubscriptions, IdProvider, MethodResponse, MethodSink, StopHandle},
    types::{
        ErrorObjectOwned, Id,
        error::{ErrorCode, reject_too_big_request},
    },
};
use serde_json::value::RawValue;
use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc},
};
use tower::Layer;

/// Requests of one connection that are answered at a time; the next is read when one is done.
const MAX_CONCURRENT: usize = 64;

/// A client that takes none of what it is sent for so long is disconnected.
const UNREAD: Duration = Duration::from_secs(30);

/// Connection ids of IPC begin here, so that they differ from those of WebSocket.
const FIRST_CONNECTION: usize = 1 << 32;

/// The socket's file, which is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
}

impl Socket {
    /// Creates the socket, for the user that runs the node alone. A socket that a dead process
    /// left behind is replaced; one that is listened on is not.
    pub(super) fn bind(path: PathBuf) -> io::Result<(Self, UnixListener)> {
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            let reason = "another process listens on it";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, reason));
        }
        if is_socket(&path) {
            std::fs::remove_file(&path)?;
        }
        let listener = UnixListener::bind(&path)?;
        let socket = Self { path };
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&socket.path, owner_only)?;
        Ok((socket, listener))
    }
}

fn is_socket(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It may be gone already; there is nobody to tell.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Serves all IPC connections.
#[derive(Clone, Debug)]
pub(super) struct Server {
    methods: Methods,
    observed: Observed,
    limits: Limits,
    ids: Arc<dyn IdProvider>,
    next_connection: Arc<AtomicUsize>,
    connections: Arc<Semaphore>,
    waiting: Arc<Budget>,
}

impl Server {
    pub(super) fn new(methods: Methods, limits: &Limits) -> Self {
        let response_bytes = limits.response_bytes as usize;
        let timeout = limits.request_timeout;
        let observed = Observed::new(methods.method_names(), "ipc", timeout, response_bytes);
        Self {
            methods,
            observed,
            ids: Arc::new(HexIds::default()),
            next_connection: Arc::new(AtomicUsize::new(FIRST_CONNECTION)),
            connections: Arc::new(Semaphore::new(limits.connections)),
            waiting: Arc::new(Budget::new(limits.waiting_bytes, limits.connections)),
            limits: limits.clone(),
        }
    }

    /// Accepts connections until the server is stopped.
    pub(super) async fn accept(self, listener: UnixListener, stop: StopHandle) {
        let stopped = stop.clone().shutdown();
        tokio::pin!(stopped);
        loop {
            let accepted = tokio::select! {
                () = &mut stopped => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.admit(stream, stop.clone()),
                Err(error) => {
                    tracing::warn!(target: "lockstep_rpc", %error, "an IPC connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn admit(&self, stream: UnixStream, stop: StopHandle) {
        let Ok(permit) = self.connections.clone().try_acquire_owned() else { return };
        let server = self.clone();
        tokio::spawn(async move {
            if let Err(error) = server.serve(stream, stop).await {
                tracing::debug!(target: "lockstep_rpc", %error, "an IPC connection ended early");
            }
            drop(permit);
        });
    }

    /// Serves a connection until its client ends it or the server is stopped.
    async fn serve(&self, stream: UnixStream, stop: StopHandle) -> io::Result<()> {
        // As long as this is held, whoever waits for the server to stop waits for this connection.
        let _running = stop.clone();
        let stopped = stop.shutdown();
        tokio::pin!(stopped);
        let (mut reader, writer) = stream.into_split();
        let (sender, receiver) = mpsc::channel(self.limits.client_buffer.max(1) as usize);
        let load = Arc::new(Load::new(self.waiting.clone()));
        let writer = Impatient::new(writer, UNREAD).with_load(load.clone());
        let writing = tokio::spawn(write_all(writer, receiver));
        let id = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let subscriptions = Subscriptions {
            connection: ConnectionId(id),
            sink: MethodSink::new(sender.clone()),
            limit: BoundedSubscriptions::new(self.limits.subscriptions_per_connection),
            ids: self.ids.clone(),
        };
        let response_bytes = self.limits.response_bytes as usize;
        let dispatch =
            Dispatch::with_subscriptions(self.methods.clone(), response_bytes, subscriptions);
        let service = LoadLayer(load.clone()).layer(self.observed.layer(dispatch));
        let concurrent = Arc::new(Semaphore::new(MAX_CONCURRENT));
        let mut frames = Frames::new(self.limits.request_bytes as usize);
        let max_batch = self.limits.batch_requests as usize;
        let ended = loop {
            if let Some(next) = frames.next() {
                let message = match next {
                    Ok(message) => message,
                    Err(error) => {
                        let response = MethodResponse::error(Id::Null, error);
                        // The client may be gone.
                        let _ = sender.send(response.into_json()).await;
                        break Ok(());
                    }
                };
                let permit = tokio::select! {
                    permit = free_place(&load, &concurrent) => permit,
                    () = sender.closed() => break Ok(()),
                    () = &mut stopped => break Ok(()),
                };
                let Ok(permit) = permit else { break Ok(()) };
                let (service, sender) = (service.clone(), sender.clone());
                tokio::spawn(async move {
                    // Nobody takes the answer of a client that does not read.
                    let response = tokio::select! {
                        response = answer(&message, max_batch, &service) => response,
                        () = sender.closed() => return,
                    };
                    // A subscription has answered for itself.
                    if !response.is_subscription() && !response.is_notification() {
                        let _ = sender.send(response.into_json()).await;
                    }
                    drop(permit);
                });
                continue;
            }
            let read = tokio::select! {
                read = reader.read_buf(&mut frames.buffer) => read,
                () = sender.closed() => break Ok(()),
                () = &mut stopped => break Ok(()),
            };
            match read {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        // Answers on their way are still sent; subscriptions end with the connection.
        let all = u32::try_from(MAX_CONCURRENT).unwrap_or(u32::MAX);
        let _ = concurrent.acquire_many(all).await;
        let _ = sender.send(end_of_stream()).await;
        let _ = writing.await;
        ended
    }
}

/// Waits until one more request may be under way.
async fn free_place(
    load: &Load,
    concurrent: &Arc<Semaphore>,
) -> Result<OwnedSemaphorePermit, AcquireError> {
    let permit = concurrent.clone().acquire_owned().await?;
    load.room().await;
    Ok(permit)
}

/// Tells the writing task that nothing follows: subscriptions hold senders, too, and notice only
/// when it has ended. No message is `null`.
fn end_of_stream() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

async fn write_all(
    mut writer: Impatient<tokio::net::unix::OwnedWriteHalf>,
    mut messages: mpsc::Receiver<Box<RawValue>>,
) {
    while let Some(message) = messages.recv().await {
        if message.get() == RawValue::NULL.get() {
            break;
        }
        let written = async {
            writer.write_all(message.get().as_bytes()).await?;
            writer.write_all(b"\n").await
        };
        if written.await.is_err() {
            break;
        }
    }
}

/// Cuts a stream of bytes into JSON values.
#[derive(Debug)]
struct Frames {
    buffer: Vec<u8>,
    limit: usize,
    /// Here begins what was not cut off yet.
    start: usize,
    /// Up to here the buffer has been looked at.
    seen: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Frames {
    const fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            limit,
            start: 0,
            seen: 0,
            depth: 0,
            in_string: false,
            escaped: false,
        }
    }

    /// The next complete value; `None` if more bytes are needed. After an error the stream
    /// cannot be cut any more.
    fn next(&mut self) -> Option<Result<Vec<u8>, ErrorObjectOwned>> {
        while let Some(byte) = self.buffer.get(self.seen).copied() {
            self.seen += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let value = self.buffer.get(self.start..self.seen)?.to_vec();
                        self.start = self.seen;
                        return Some(Ok(value));
                    }
                }
                b'"' if self.depth > 0 => self.in_string = true,
                _ if self.depth > 0 => {}
                _ if byte.is_ascii_whitespace() => {
                    // Nothing has begun: what is between values is not kept.
                    self.start = self.seen;
                }
                _ => return Some(Err(ErrorCode::ParseError.into())),
            }
        }
        // All has been looked at, so this happens once each time that something is read.
        self.buffer.drain(..self.start);
        self.seen -= self.start;
        self.start = 0;
        let too_large = self.buffer.len() > self.limit;
        let limit = u32::try_from(self.limit).unwrap_or(u32::MAX);
        too_large.then(|| Err(reject_too_big_request(limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(parts: &[&str]) -> Vec<Result<String, i32>> {
        let mut frames = Frames::new(64);
        let mut cut = Vec::new();
        for part in parts {
            frames.buffer.extend_from_slice(part.as_bytes());
            while let Some(next) = frames.next() {
                let is_error = next.is_err();
                cut.push(next.map(|json| String::from_utf8(json).unwrap()).map_err(|e| e.code()));
                if is_error {
                    return cut;
                }
            }
        }
        cut
    }

    #[test]
    fn values_are_cut_wherever_the_stream_is() {
        let whole = r#"{"a":"}\"]"} [1,[2]]{}"#;
        let expected =
            vec![Ok(r#"{"a":"}\"]"}"#.to_owned()), Ok("[1,[2]]".to_owned()), Ok("{}".to_owned())];
        assert_eq!(cut(&[whole]), expected);
        for at in 0..whole.len() {
            let (left, right) = whole.split_at(at);
            assert_eq!(cut(&[left, right]), expected, "cut at {at}");
        }
    }

    #[test]
    fn garbage_and_oversized_values_end_the_stream() {
        assert_eq!(cut(&["x"]), vec![Err(-32700)]);
        assert_eq!(cut(&["{} }"]), vec![Ok("{}".into()), Err(-32700)]);
        assert_eq!(cut(&["[\"", &"a".repeat(80)]), vec![Err(-32007)]);
    }
}
