//! Nodes that answer as a test tells them, in memory and over HTTP.

use lockstep_providers::{Endpoint, Request, Response, RpcClient, Transport, TransportError};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{fmt, sync::Arc};

/// What a method answers: a result, or a JSON-RPC error.
pub(crate) type Outcome = Result<Value, (i64, &'static str)>;

type Answer = dyn Fn(&str, &Value) -> Outcome + Send + Sync;

/// A JSON-RPC node in memory that counts what it is asked.
#[derive(Clone)]
pub(crate) struct FakeNode {
    endpoint: Endpoint,
    answer: Arc<Answer>,
    /// The methods asked for, in order; a batch is one entry of `method*count`.
    asked: Arc<Mutex<Vec<String>>>,
}

impl fmt::Debug for FakeNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeNode")
    }
}

pub(crate) const UNKNOWN_METHOD: Outcome = Err((-32_601, "the method does not exist"));

impl FakeNode {
    pub(crate) fn new(answer: impl Fn(&str, &Value) -> Outcome + Send + Sync + 'static) -> Self {
        let endpoint = Endpoint::new("http://fake.example/SECRET").unwrap();
        Self { endpoint, answer: Arc::new(answer), asked: Arc::default() }
    }

    pub(crate) fn rpc(&self) -> RpcClient {
        RpcClient::new(Arc::new(self.clone()))
    }

    /// What was asked since the last time.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }

    fn one(&self, call: &Value) -> Value {
        let method = call["method"].as_str().unwrap();
        let id = &call["id"];
        match (self.answer)(method, &call["params"]) {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err((code, message)) => {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
            }
        }
    }
}

impl Transport for FakeNode {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let body: Value = serde_json::from_slice(request.body.unwrap()).unwrap();
        let method = |call: &Value| call["method"].as_str().unwrap().to_owned();
        let (asked, answer) = match &body {
            Value::Array(calls) => {
                let asked = format!("{}*{}", method(&calls[0]), calls.len());
                // In reverse: the order of answers in a batch means nothing.
                (asked, calls.iter().rev().map(|call| self.one(call)).collect())
            }
            call => (method(call), self.one(call)),
        };
        self.asked.lock().push(asked);
        Ok(Response { status: 200, body: serde_json::to_vec(&answer).unwrap() })
    }
}

/// A transport that does what a test says with each request.
pub(crate) struct FakeTransport {
    endpoint: Endpoint,
    exchange: Box<Exchange>,
}

type Exchange = dyn Fn(&Request<'_>) -> Result<Response, TransportError> + Send + Sync;

impl fmt::Debug for FakeTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeTransport")
    }
}

impl FakeTransport {
    pub(crate) fn serving(
        exchange: impl Fn(&Request<'_>) -> Result<Response, TransportError> + Send + Sync + 'static,
    ) -> Arc<dyn Transport> {
        let endpoint = Endpoint::new("http://fake.example/SECRET").unwrap();
        Arc::new(Self { endpoint, exchange: Box::new(exchange) })
    }
}

impl Transport for FakeTransport {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        (self.exchange)(request)
    }
}

/// A successful answer with this JSON.
pub(crate) fn ok(json: &Value) -> Result<Response, TransportError> {
    Ok(Response { status: 200, body: serde_json::to_vec(json).unwrap() })
}
