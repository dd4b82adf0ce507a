//! One exchange of bytes with a server, and how often it is tried.

use crate::Endpoint;
use std::{fmt, sync::Arc, time::Duration};

/// What is sent to a server.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What comes behind the endpoint's URL: empty, or a path that begins with `/`.
    pub path: &'a str,
    /// The JSON to post; without one, the request is a GET.
    pub body: Option<&'a [u8]>,
    /// The form that a GET asks for.
    pub accept: Accept,
    /// The largest answer that is read, in bytes.
    pub max_response_bytes: u64,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// JSON.
    Json,
    /// Simple Serialize, as beacon nodes answer with if they are asked to.
    Ssz,
}

impl Accept {
    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ssz => "application/octet-stream",
        }
    }
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Why an exchange gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The connection failed, or took too long.
    #[error("{0}")]
    Failed(String),
    /// The answer is larger than the request allows.
    #[error("the answer is too large")]
    TooLarge,
}

/// Something that carries a request to a server and its answer back.
///
/// [`HttpTransport`](crate::HttpTransport) is the one for servers elsewhere; a node in the same
/// process, or a test, brings its own.
pub trait Transport: fmt::Debug + Send + Sync {
    /// The server.
    fn endpoint(&self) -> &Endpoint;

    /// Sends the request and waits for the answer, for a time that is bounded. Any status is an
    /// answer.
    ///
    /// # Errors
    /// A [`TransportError`] if there is none.
    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError>;
}

/// Waits for a while; `false` says that the caller shall give up instead.
pub type Pause = Arc<dyn Fn(Duration) -> bool + Send + Sync>;

/// How often an exchange is tried before its error is the caller's.
///
/// Only failures that concern the way to the server are tried again: no connection, a time-out,
/// HTTP 408, 429 and 5xx. There is no clock in this crate, so the pause between tries comes in as a
/// function; without one the second try follows at once, which is what a connection needs that the
/// server closed while it was idle.
#[derive(Clone)]
pub struct Retry {
    attempts: u32,
    first_pause: Duration,
    pause: Option<Pause>,
}

impl Retry {
    /// The longest pause between two tries.
    pub const MAX_PAUSE: Duration = Duration::from_secs(30);

    /// Tries `attempts` times (at least once) without a pause.
    pub const fn at_once(attempts: u32) -> Self {
        Self { attempts, first_pause: Duration::ZERO, pause: None }
    }

    /// Tries `attempts` times (at least once), and calls `pause` in between: with `first_pause`,
    /// then twice that, up to [`Self::MAX_PAUSE`].
    pub fn with_pauses(attempts: u32, first_pause: Duration, pause: Pause) -> Self {
        Self { attempts, first_pause, pause: Some(pause) }
    }

    /// Calls `exchange` until it gives what `is_final` accepts or the tries are used up.
    pub(crate) fn run<T>(&self, is_final: impl Fn(&T) -> bool, exchange: impl Fn() -> T) -> T {
        let mut pause = self.first_pause.min(Self::MAX_PAUSE);
        for _ in 1..self.attempts {
            let outcome = exchange();
            if is_final(&outcome) {
                return outcome;
            }
            if self.pause.as_ref().is_some_and(|wait| !wait(pause)) {
                return outcome;
            }
            pause = pause.saturating_mul(2).min(Self::MAX_PAUSE);
        }
        exchange()
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::at_once(2)
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("attempts", &self.attempts)
            .field("first_pause", &self.first_pause)
            .finish_non_exhaustive()
    }
}

/// Whether another try of the same exchange may end otherwise.
pub(crate) fn is_final(outcome: &Result<Response, TransportError>) -> bool {
    match outcome {
        Ok(response) => !matches!(response.status, 408 | 425 | 429 | 500..),
        Err(TransportError::TooLarge) => true,
        Err(TransportError::Failed(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::cell::Cell;

    fn count(retry: &Retry, succeed_at: u32) -> u32 {
        let tries = Cell::new(0);
        retry.run(
            |tried| *tried >= succeed_at,
            || {
                tries.set(tries.get() + 1);
                tries.get()
            },
        )
    }

    #[test]
    fn a_failure_is_tried_again_until_it_succeeds_or_tries_are_used_up() {
        assert_eq!(count(&Retry::at_once(3), 1), 1);
        assert_eq!(count(&Retry::at_once(3), 2), 2);
        assert_eq!(count(&Retry::at_once(3), 9), 3);
        assert_eq!(count(&Retry::at_once(0), 9), 1);
    }

    #[test]
    fn pauses_double_up_to_the_limit_and_end_when_told() {
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&pauses);
        let pause: Pause = Arc::new(move |pause| {
            seen.lock().push(pause.as_secs());
            seen.lock().len() < 5
        });
        let retry = Retry::with_pauses(100, Duration::from_secs(4), pause);
        assert_eq!(count(&retry, 1000), 5);
        assert_eq!(*pauses.lock(), [4, 8, 16, 30, 30]);
    }

    #[test]
    fn only_failures_on_the_way_are_tried_again() {
        let answer = |status| Ok(Response { status, body: Vec::new() });
        assert!(is_final(&answer(200)) && is_final(&answer(404)) && is_final(&answer(401)));
        assert!(!is_final(&answer(429)) && !is_final(&answer(503)));
        assert!(is_final(&Err(TransportError::TooLarge)));
        assert!(!is_final(&Err(TransportError::Failed("no route".into()))));
    }
}
