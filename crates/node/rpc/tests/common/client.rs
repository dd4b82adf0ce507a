//! Clients for tests: raw HTTP, JSON-RPC over it, WebSocket.

#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "test code")]

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

/// Nothing in a test takes this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends bytes as the body of a POST, and returns status and body.
pub(crate) async fn post(address: SocketAddr, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer[split + 4..].to_vec())
}

/// Sends a JSON body and returns the JSON of the answer.
pub(crate) async fn post_json(address: SocketAddr, body: &str) -> Value {
    let (_, answer) = post(address, "content-type: application/json\r\n", body.as_bytes()).await;
    serde_json::from_slice(&answer)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&answer)))
}

/// Calls a method and returns the whole answer.
pub(crate) async fn request(address: SocketAddr, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    post_json(address, &body.to_string()).await
}

/// Calls a method and returns its result.
pub(crate) async fn result(address: SocketAddr, method: &str, params: Value) -> Value {
    let answer = request(address, method, params).await;
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}

/// Calls a method and returns its error's code.
pub(crate) async fn error_code(address: SocketAddr, method: &str, params: Value) -> i64 {
    let answer = request(address, method, params).await;
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{method}: {answer}"))
}

/// A WebSocket connection.
pub(crate) struct Socket {
    inner: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Notifications that came while an answer was awaited.
    pub(crate) early: Vec<Value>,
}

impl Socket {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let (inner, _) =
            tokio_tungstenite::connect_async(format!("ws://{address}/")).await.unwrap();
        Self { inner, early: Vec::new() }
    }

    pub(crate) async fn send(&mut self, method: &str, params: Value) {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.inner.send(Message::text(body.to_string())).await.unwrap();
    }

    pub(crate) async fn send_text(&mut self, text: String) {
        self.inner.send(Message::text(text)).await.unwrap();
    }

    /// The next message; `None` if the connection was closed.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.inner.next()).await.unwrap();
            match message?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Calls a method and returns the whole answer.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> Value {
        self.send(method, params).await;
        loop {
            let message = self.next().await.unwrap();
            if message.get("id").is_some() {
                return message;
            }
            self.early.push(message);
        }
    }

    /// Subscribes and returns the subscription's id.
    pub(crate) async fn subscribe(&mut self, params: Value) -> String {
        let answer = self.request("eth_subscribe", params).await;
        answer["result"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The next notification's parameters.
    pub(crate) async fn notification(&mut self) -> Value {
        if !self.early.is_empty() {
            return self.early.remove(0)["params"].clone();
        }
        let message = self.next().await.unwrap();
        assert_eq!(message["method"], "eth_subscription", "{message}");
        message["params"].clone()
    }
}
