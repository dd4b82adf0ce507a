//! An HTTP server on the loopback interface that does what a test says.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) accept: String,
    pub(crate) body: Vec<u8>,
}

/// What the server does.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers with this status and body.
    Status(u16, Vec<u8>),
    /// Sends these bytes as they are, and closes.
    Raw(Vec<u8>),
    /// Says nothing until the client goes away.
    Stall,
    /// Sends a header that announces nothing, and then bytes until the client goes away.
    Flood,
    /// Sends a byte of an announced body, then nothing until the client goes away.
    Drip,
    /// Sends the client to another place.
    Redirect(String),
    /// Closes at once.
    Close,
}

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) requests: Arc<AtomicUsize>,
}

impl Server {
    /// Serves each connection on a thread of its own until the test ends.
    pub(crate) fn start(reply: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (reply, count) = (Arc::new(reply), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (reply, count) = (Arc::clone(&reply), Arc::clone(&count));
                thread::spawn(move || serve(stream, reply.as_ref(), &count));
            }
        });
        Self { url, requests }
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(
    mut stream: TcpStream,
    reply: &(dyn Fn(&Received) -> Reply + Send + Sync),
    count: &AtomicUsize,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(received) = receive(&mut reader) {
        count.fetch_add(1, Ordering::SeqCst);
        let keep = match reply(&received) {
            Reply::Status(status, body) => {
                let head =
                    format!("HTTP/1.1 {status} Some\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_ok()
            }
            Reply::Redirect(to) => {
                let head =
                    format!("HTTP/1.1 307 Some\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(head.as_bytes()).is_ok()
            }
            Reply::Raw(bytes) => {
                let _ = stream.write_all(&bytes);
                false
            }
            Reply::Stall => wait_for_end(&mut reader),
            Reply::Drip => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{");
                wait_for_end(&mut reader)
            }
            Reply::Flood => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                let spaces = vec![b' '; 65_536];
                while stream.write_all(&spaces).is_ok() {}
                false
            }
            Reply::Close => false,
        };
        if !keep {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

fn wait_for_end(reader: &mut impl Read) -> bool {
    let mut byte = [0];
    while matches!(reader.read(&mut byte), Ok(1)) {}
    false
}

fn receive(reader: &mut impl BufRead) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let (mut length, mut accept) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|read| *read > 0)?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if let Some(value) = header.strip_prefix("accept:") {
            value.trim().clone_into(&mut accept);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { line: line.trim().to_owned(), accept, body })
}
