//! Who may talk to the server from a browser.

use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use std::net::IpAddr;

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_METHODS: &str = "access-control-allow-methods";
const ALLOW_HEADERS: &str = "access-control-allow-headers";
const MAX_AGE: &str = "access-control-max-age";

/// Names and origins that are allowed.
#[derive(Clone, Debug)]
pub(super) struct Access {
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// What is to be done with a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Serve it; its answer gets this `Access-Control-Allow-Origin`.
    Serve(Option<String>),
    /// Answer with this.
    Answer(HttpResponse),
}

impl Access {
    pub(super) fn new(hosts: &[String], origins: &[String]) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect();
        Self { hosts: lower(hosts), origins: lower(origins) }
    }

    /// Judges a request by its host and origin, and answers preflight requests and health checks.
    pub(super) fn judge<B>(&self, request: &HttpRequest<B>, is_websocket: bool) -> Verdict {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let host = header("host").or_else(|| request.uri().host());
        if !host.is_none_or(|host| is_allowed_host(&self.hosts, host)) {
            return Verdict::Answer(plain(
                403,
                "the Host header names a host that is not allowed\n",
            ));
        }
        let Some(origin) = header("origin") else {
            return self.without_origin(request, is_websocket);
        };
        let allowed = self.allowed_origin(origin);
        // A browser does not keep pages from opening a WebSocket anywhere; the server must.
        if is_websocket && allowed.is_none() && !self.is_same_host(origin, host) {
            return Verdict::Answer(plain(403, "the origin is not allowed\n"));
        }
        if request.method().as_str() == "OPTIONS" {
            return Verdict::Answer(preflight(allowed.as_deref()));
        }
        Verdict::Serve(allowed)
    }

    fn without_origin<B>(&self, request: &HttpRequest<B>, is_websocket: bool) -> Verdict {
        match request.method().as_str() {
            "OPTIONS" => Verdict::Answer(preflight(None)),
            // Load balancers ask whether the server is there.
            "GET" | "HEAD" if !is_websocket => Verdict::Answer(plain(200, "")),
            _ => Verdict::Serve(None),
        }
    }

    fn allowed_origin(&self, origin: &str) -> Option<String> {
        if self.origins.iter().any(|allowed| allowed == "*") {
            return Some("*".into());
        }
        let lower = origin.to_lowercase();
        self.origins.contains(&lower).then(|| origin.to_owned())
    }

    /// Whether a page comes from the server's own host: local tools do.
    fn is_same_host(&self, origin: &str, host: Option<&str>) -> bool {
        let origin_host = origin.split_once("://").map(|(_, host)| without_port(host));
        origin_host.is_some() && origin_host == host.map(without_port)
    }
}

/// Whether the server may be reached under this name: an IP address always, a name if it is
/// listed. Anything else could be a name that an attacker lets resolve to us (DNS rebinding).
pub(crate) fn is_allowed_host(hosts: &[String], host: &str) -> bool {
    let name = without_port(host);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let is_listed = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(name);
    bare.parse::<IpAddr>().is_ok() || hosts.iter().any(is_listed)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|digit| digit.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

/// A short answer in plain text.
pub(super) fn plain(status: u16, text: &'static str) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(text));
    if let Ok(status) = status.try_into() {
        *response.status_mut() = status;
    }
    if let Ok(value) = "text/plain".parse() {
        response.headers_mut().insert("content-type", value);
    }
    response
}

/// The answer to a browser that asks before it sends.
fn preflight(allowed: Option<&str>) -> HttpResponse {
    let mut response = plain(200, "");
    if let Some(origin) = allowed {
        allow(&mut response, origin);
        for (name, value) in
            [(ALLOW_METHODS, "POST"), (ALLOW_HEADERS, "*, content-type"), (MAX_AGE, "600")]
        {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response
}

/// Lets pages of this origin read an answer.
pub(super) fn allow(response: &mut HttpResponse, origin: &str) {
    if let Ok(value) = origin.parse() {
        response.headers_mut().insert(ALLOW_ORIGIN, value);
    }
    if let Ok(value) = "origin".parse() {
        response.headers_mut().insert("vary", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_listed_names_are_allowed() {
        let hosts = ["localhost".to_owned()];
        for allowed in
            ["127.0.0.1:8545", "[::1]:8545", "::1", "localhost", "LOCALHOST:1", "10.0.0.1"]
        {
            assert!(is_allowed_host(&hosts, allowed), "{allowed}");
        }
        for refused in ["evil.example", "localhost.evil.example:8545", "", "127.0.0.1.evil.example"]
        {
            assert!(!is_allowed_host(&hosts, refused), "{refused}");
        }
        assert!(is_allowed_host(&["*".to_owned()], "evil.example"));
    }

    fn request(method: &str, headers: &[(&'static str, &str)]) -> HttpRequest<()> {
        let mut request = HttpRequest::new(());
        *request.method_mut() = method.parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    #[test]
    fn origins_are_told_what_they_may() {
        let access = Access::new(&["localhost".into()], &["https://app.example".into()]);
        let from = |origin: &str, websocket| {
            let headers = [("host", "localhost"), ("origin", origin)];
            access.judge(&request("POST", &headers), websocket)
        };
        assert!(matches!(from("https://app.example", false), Verdict::Serve(Some(_))));
        // The browser keeps the page from reading this answer.
        assert!(matches!(from("https://evil.example", false), Verdict::Serve(None)));
        assert!(matches!(from("https://evil.example", true), Verdict::Answer(_)));
        assert!(matches!(from("http://localhost:3000", true), Verdict::Serve(None)));
        let preflight = request("OPTIONS", &[("origin", "https://app.example")]);
        let Verdict::Answer(answer) = access.judge(&preflight, false) else { panic!() };
        assert_eq!(answer.headers()[ALLOW_ORIGIN], "https://app.example");
        let health = access.judge(&request("GET", &[]), false);
        assert!(matches!(health, Verdict::Answer(answer) if answer.status() == 200));
    }
}
