//! The least HTTP client that can post a request: no TLS, no redirects, one request a connection.

use core::time::Duration;
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpStream, ToSocketAddrs},
};

/// An answer larger than this is refused.
const MAX_ANSWER_BYTES: u64 = 256 * 1024 * 1024;
/// The most header lines of an answer.
const MAX_HEADERS: usize = 200;
/// The longest line of an answer's head, in bytes.
const MAX_LINE_BYTES: u64 = 16 * 1024;

/// Why a request could not be sent or answered.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not a URL that this client understands. The user must change it.
    #[error("`{0}` is not of the form http://host:port/path")]
    Url(String),
    /// The connection failed.
    #[error("{authority}: {source}")]
    Io {
        /// Host and port.
        authority: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The answer is no HTTP, or too large.
    #[error("{authority}: malformed answer: {reason}")]
    Malformed {
        /// Host and port.
        authority: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where requests go.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    authority: String,
    path: String,
}

impl Endpoint {
    pub(super) fn parse(url: &str) -> Result<Self, HttpError> {
        let wrong = || HttpError::Url(url.to_owned());
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, "/".to_owned()),
        };
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if authority.is_empty() || !is_plain(authority) || !is_plain(&path) {
            return Err(wrong());
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit())
        });
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Self { authority, path })
    }

    /// Posts JSON and returns the answer's body, whatever its status.
    pub(super) fn post(&self, body: &[u8], timeout: Duration) -> Result<Vec<u8>, HttpError> {
        let io = |source| HttpError::Io { authority: self.authority.clone(), source };
        let malformed = |reason: &str| HttpError::Malformed {
            authority: self.authority.clone(),
            reason: reason.to_owned(),
        };
        let address = self.authority.to_socket_addrs().map_err(io)?.next();
        let address = address.ok_or_else(|| malformed("the host has no address"))?;
        let mut stream = TcpStream::connect_timeout(&address, timeout).map_err(io)?;
        stream.set_read_timeout(Some(timeout)).map_err(io)?;
        stream.set_write_timeout(Some(timeout)).map_err(io)?;
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            self.path,
            self.authority,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).map_err(io)?;
        let mut reader = BufReader::new(stream);
        let head = Head::read(&mut reader).map_err(io)?.ok_or_else(|| malformed("no HTTP head"))?;
        head.body(&mut reader).map_err(io)
    }
}

/// How the body of an answer is delimited.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    length: Option<u64>,
    is_chunked: bool,
}

impl Head {
    /// `None` if the bytes are no head of an answer.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        if !line(reader)?.starts_with("HTTP/1.") {
            return Ok(None);
        }
        let mut head = Self::default();
        for _ in 0..MAX_HEADERS {
            let line = line(reader)?;
            if line.is_empty() {
                return Ok(Some(head));
            }
            let Some((name, value)) = line.split_once(':') else { return Ok(None) };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.trim().parse().ok(),
                "transfer-encoding" => {
                    head.is_chunked = value.trim().eq_ignore_ascii_case("chunked");
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn body(&self, reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if !self.is_chunked {
            let length = self.length.unwrap_or(MAX_ANSWER_BYTES).min(MAX_ANSWER_BYTES);
            reader.take(length).read_to_end(&mut body)?;
            return Ok(body);
        }
        loop {
            let size = line(reader)?;
            let digits = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let total = size.saturating_add(body.len() as u64);
            if total > MAX_ANSWER_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too large"));
            }
            if size == 0 {
                return Ok(body);
            }
            let read = reader.take(size).read_to_end(&mut body)?;
            if (read as u64) < size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            line(reader)?;
        }
    }
}

/// A line of the head, without its end.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> io::Result<Option<Vec<u8>>> {
        let mut reader = answer.as_bytes();
        match Head::read(&mut reader)? {
            Some(head) => head.body(&mut reader).map(Some),
            None => Ok(None),
        }
    }

    #[test]
    fn bodies_are_delimited_in_three_ways() {
        let by_length = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}rest";
        assert_eq!(read(by_length).unwrap().unwrap(), b"{}");
        let by_chunks =
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1;x\r\n}\r\n0\r\n\r\n";
        assert_eq!(read(by_chunks).unwrap().unwrap(), b"{}");
        let by_end = "HTTP/1.1 200 OK\r\n\r\n{}";
        assert_eq!(read(by_end).unwrap().unwrap(), b"{}");
    }

    #[test]
    fn malformed_answers_are_refused() {
        assert!(read("SSH-2.0\r\n").unwrap().is_none());
        assert!(read("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n").unwrap().is_none());
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for body in ["x\r\n", "ffffffffffffffff\r\n", "5\r\nab", ""] {
            assert!(read(&format!("{chunked}{body}")).is_err(), "{body}");
        }
    }

    #[test]
    fn urls_are_plain_http() {
        let endpoint = Endpoint::parse("http://localhost:8545/a/b").unwrap();
        assert_eq!(
            (endpoint.authority.as_str(), endpoint.path.as_str()),
            ("localhost:8545", "/a/b")
        );
        assert_eq!(Endpoint::parse("http://localhost").unwrap().authority, "localhost:80");
        for wrong in ["https://x", "x:1", "http://", "http://a b/", "http://a/\r\nx"] {
            assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
        }
    }
}
