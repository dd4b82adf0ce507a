//! Where a node is asked, and how that is told without its secrets.

use crate::ClientError;
use std::{fmt, sync::Arc};

/// The longest URL, in bytes.
const MAX_URL_BYTES: usize = 4096;

/// An HTTP URL. It is shown without its path, query and user: those often hold the key of whoever
/// pays for the node, and errors end up in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Arc<str>,
    shown: Arc<str>,
}

impl Endpoint {
    /// The endpoint at `url`, which begins with `http://` or `https://`.
    ///
    /// # Errors
    /// [`ClientError::Url`] if it is no such URL.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let refuse = |reason| Err(ClientError::Url { reason });
        if url.len() > MAX_URL_BYTES {
            return refuse("is longer than 4096 bytes");
        }
        if url.chars().any(|char| char.is_whitespace() || char.is_control()) {
            return refuse("contains white space");
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return refuse("has no scheme");
        };
        if !matches!(scheme, "http" | "https") {
            return refuse("is neither http nor https");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        if host.is_empty() || host.starts_with(':') {
            return refuse("names no host");
        }
        Ok(Self {
            url: url.trim_end_matches('/').into(),
            shown: format!("{scheme}://{host}").into(),
        })
    }

    /// The whole URL, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL with `path` (empty, or beginning with `/`, perhaps with a query) behind its own.
    pub fn join(&self, path: &str) -> String {
        let Some((base, query)) = self.url.split_once('?') else {
            return format!("{}{path}", self.url);
        };
        let base = base.trim_end_matches('/');
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("{base}{path}{separator}{query}")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_a_url_are_not_shown() {
        let endpoint =
            Endpoint::new("https://user:pass@node.example:8545/v3/SECRET?key=K/").unwrap();
        assert_eq!(endpoint.to_string(), "https://node.example:8545");
        assert_eq!(format!("{endpoint:?}"), "Endpoint(https://node.example:8545)");
        assert_eq!(endpoint.url(), "https://user:pass@node.example:8545/v3/SECRET?key=K");
    }

    #[test]
    fn a_query_stays_behind_the_path() {
        let join = |url, path| Endpoint::new(url).unwrap().join(path);
        assert_eq!(join("http://node/v3/", ""), "http://node/v3");
        assert_eq!(join("http://node/", "/eth/v1"), "http://node/eth/v1");
        assert_eq!(join("http://node/?key=K", "/eth/v1"), "http://node/eth/v1?key=K");
        assert_eq!(join("http://node?key=K", "/a?b=c"), "http://node/a?b=c&key=K");
    }

    #[test]
    fn what_is_no_http_url_is_refused() {
        for url in ["", "node", "ftp://node", "http://", "http://:80", "http://a b", "http://@"] {
            assert!(matches!(Endpoint::new(url), Err(ClientError::Url { .. })), "{url:?}");
        }
        assert!(Endpoint::new(&format!("http://{}", "a".repeat(4096))).is_err());
    }
}
