//! Servers that answer well, badly, too much, or not at all.

use crate::server::{Reply, Server};
use lockstep_derive::Severity;
use lockstep_providers::{ClientError, Retry, RpcClient, RpcLimits, Timeouts};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Long enough for a busy machine, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

fn client(server: &Server, total: Duration) -> RpcClient {
    let timeouts = Timeouts { connect: Duration::from_secs(5), total };
    let limits = RpcLimits { max_response_bytes: 1_000_000, ..RpcLimits::default() };
    let rpc = RpcClient::http(&server.url, timeouts).unwrap();
    rpc.with_limits(limits).with_retry(Retry::at_once(1))
}

fn call(server: &Server) -> Result<u64, ClientError> {
    client(server, Duration::from_secs(30)).call("x", &[(); 0])
}

fn good() -> Reply {
    Reply::Status(200, json!({ "jsonrpc": "2.0", "id": 0, "result": 7 }).to_string().into_bytes())
}

#[test]
fn a_truthful_server_is_asked_over_one_connection() {
    let server = Server::start(|received| {
        assert!(received.line.starts_with("POST / HTTP/1.1"), "{}", received.line);
        let call: Value = serde_json::from_slice(&received.body).unwrap();
        assert_eq!(call, json!({ "jsonrpc": "2.0", "id": 0, "method": "x", "params": [1, true] }));
        good()
    });
    let rpc = client(&server, Duration::from_secs(30));
    for _ in 0..3 {
        assert_eq!(rpc.call::<u64>("x", &(1, true)).unwrap(), 7);
    }
    assert_eq!(server.count(), 3);
}

#[test]
fn a_server_that_stalls_or_drips_costs_no_more_than_the_time_allowed() {
    for reply in [Reply::Stall, Reply::Drip] {
        let server = Server::start(move |_| reply.clone());
        let error = client(&server, SHORT).call::<u64>("x", &[(); 0]).unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
        assert_eq!(error.severity(), Severity::Temporary);
    }
}

#[test]
fn an_answer_is_read_up_to_the_limit() {
    let server = Server::start(|_| Reply::Flood);
    let error = call(&server).unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { limit: 1_000_000, .. }), "{error}");
    let announced = Server::start(|_| Reply::Status(200, vec![b' '; 1_000_001]));
    let error = call(&announced).unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }), "{error}");
}

/// Whether an error is the one expected.
type Expected = fn(&ClientError) -> bool;

#[test]
fn garbage_is_told_as_such() {
    let cases: [(Vec<u8>, Expected); 6] = [
        (b"\x00\xff\x13".to_vec(), |error| matches!(error, ClientError::Unreachable { .. })),
        (b"HTTP/1.1 2x0 OK\r\n\r\n".to_vec(), |error| {
            matches!(error, ClientError::Unreachable { .. })
        }),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}".to_vec(), |error| {
            matches!(error, ClientError::Unreachable { .. })
        }),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>".to_vec(), |error| {
            matches!(error, ClientError::Malformed { .. })
        }),
        (b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe".to_vec(), |error| {
            matches!(error, ClientError::Malformed { .. })
        }),
        (format!("HTTP/1.1 200 OK\r\n\r\n{}", "[".repeat(100_000)).into_bytes(), |error| {
            matches!(error, ClientError::Malformed { .. })
        }),
    ];
    for (bytes, is_expected) in cases {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(50)]).into_owned();
        let server = Server::start(move |_| Reply::Raw(bytes.clone()));
        let error = call(&server).unwrap_err();
        assert!(is_expected(&error), "{shown:?}: {error}");
        assert_eq!(error.severity(), Severity::Temporary, "{shown:?}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(|_| good());
    let to = elsewhere.url.clone();
    let server = Server::start(move |_| Reply::Redirect(to.clone()));
    let error = call(&server).unwrap_err();
    assert!(matches!(error, ClientError::Status { status: 307, .. }), "{error}");
    assert_eq!(elsewhere.count(), 0);
}

#[test]
fn no_status_of_http_is_forever() {
    for status in [400, 401, 403, 404, 405, 410, 413, 414, 429, 500, 503] {
        let server = Server::start(move |_| Reply::Status(status, b"no".to_vec()));
        let error = call(&server).unwrap_err();
        assert_eq!(error.severity(), Severity::Temporary, "{error}");
    }
}

#[test]
fn a_connection_that_the_server_closed_is_opened_again() {
    let served = AtomicUsize::new(0);
    let server = Server::start(move |_| match served.fetch_add(1, Ordering::SeqCst) {
        1 => Reply::Close,
        _ => good(),
    });
    let rpc = client(&server, Duration::from_secs(30)).with_retry(Retry::default());
    for _ in 0..3 {
        assert_eq!(rpc.call::<u64>("x", &[(); 0]).unwrap(), 7);
    }
    assert_eq!(server.count(), 4);
}

#[test]
fn where_nobody_listens_is_told_without_the_path() {
    let url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/SECRET", listener.local_addr().unwrap())
    };
    let rpc = RpcClient::http(&url, Timeouts::default()).unwrap();
    let error = rpc.call::<u64>("x", &[(); 0]).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(!format!("{error} {error:?} {rpc:?}").contains("SECRET"), "{error:?}");
}
