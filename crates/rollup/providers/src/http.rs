//! Requests over HTTP, with limits.

use crate::{ClientError, Endpoint, Request, Response, Transport, TransportError};
use std::time::Duration;

/// The most bytes that are read of an answer that is not a success.
const MAX_ERROR_BYTES: u64 = 64 * 1024;

/// How long an exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// From the first attempt to connect to the last byte of the answer.
    pub total: Duration,
}

impl Default for Timeouts {
    /// 5 s to connect, 30 s in all.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(30) }
    }
}

/// A server behind HTTP or HTTPS (with Mozilla's roots). Connections are kept open between
/// requests; redirects are not followed.
#[derive(Debug)]
pub struct HttpTransport {
    endpoint: Endpoint,
    agent: ureq::Agent,
}

impl HttpTransport {
    /// The server at `url`.
    ///
    /// # Errors
    /// [`ClientError::Url`] if the URL cannot be used.
    pub fn new(url: &str, timeouts: Timeouts) -> Result<Self, ClientError> {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(timeouts.connect))
            .timeout_global(Some(timeouts.total))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("lockstep/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { endpoint: Endpoint::new(url)?, agent: config.into() })
    }

    fn send(&self, request: &Request<'_>) -> Result<Response, ureq::Error> {
        let url = self.endpoint.join(request.path);
        let mut response = match request.body {
            None => self.agent.get(url).header("accept", request.accept.media_type()).call()?,
            Some(body) => {
                self.agent.post(url).header("content-type", "application/json").send(body)?
            }
        };
        let status = response.status();
        let is_success = status.is_success();
        let limit = if is_success { request.max_response_bytes } else { MAX_ERROR_BYTES };
        match response.body_mut().with_config().limit(limit).read_to_vec() {
            Ok(body) => Ok(Response { status: status.as_u16(), body }),
            // The status says enough.
            Err(_) if !is_success => Ok(Response { status: status.as_u16(), body: Vec::new() }),
            Err(error) => Err(error),
        }
    }
}

impl Transport for HttpTransport {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        self.send(request).map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => TransportError::TooLarge,
            // These would show the URL, which may hold a secret.
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                TransportError::Failed("the URL cannot be used".to_owned())
            }
            error => TransportError::Failed(error.to_string()),
        })
    }
}
