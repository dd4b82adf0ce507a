//! JSON-RPC over HTTP.

use lockstep_rpc::engine_api::JwtSecret;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const TIMEOUT: Duration = Duration::from_secs(60);

/// The most requests in a batch.
const BATCH: usize = 500;

/// Speaks to one server.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
    secret: Option<JwtSecret>,
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The server answered with an error.
    Refused(String),
    /// There was no answer. Whatever was asked for may have happened or not.
    Broken,
}

impl Client {
    pub(crate) fn new(url: &Value) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .build();
        Self { agent: config.into(), url: url.as_str().unwrap().to_owned(), secret: None }
    }

    /// For the Engine API.
    pub(crate) fn with_secret(url: &Value, secret: &JwtSecret) -> Self {
        Self { secret: Some(secret.clone()), ..Self::new(url) }
    }

    /// Calls a method.
    pub(crate) fn call(&self, method: &str, params: Value) -> Result<Value, CallError> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        result(self.post(&request)?)
    }

    /// Calls a method that must succeed.
    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        self.call(method, params).unwrap_or_else(|error| panic!("{method}: {error:?}"))
    }

    /// Calls a method with many parameters; what each call gives, in order.
    pub(crate) fn call_each(
        &self,
        method: &str,
        params: impl IntoIterator<Item = Value>,
    ) -> Vec<Result<Value, CallError>> {
        let requests: Vec<Value> = (0..)
            .zip(params)
            .map(|(id, params): (u64, Value)| {
                json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
            })
            .collect();
        let mut answers = Vec::with_capacity(requests.len());
        for batch in requests.chunks(BATCH) {
            let answer = self.post(&json!(batch)).expect("the server answers");
            let Value::Array(mut answer) = answer else { panic!("{method}: {answer}") };
            answer.sort_by_key(|answer| answer["id"].as_u64());
            assert_eq!(answer.len(), batch.len(), "each call has an answer");
            answers.extend(answer.into_iter().map(result));
        }
        answers
    }

    /// Calls a method with many parameters, which must succeed each time.
    pub(crate) fn ask_each(
        &self,
        method: &str,
        params: impl IntoIterator<Item = Value>,
    ) -> Vec<Value> {
        let answers = self.call_each(method, params);
        answers.into_iter().map(|answer| answer.unwrap()).collect()
    }

    fn post(&self, body: &Value) -> Result<Value, CallError> {
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(secret) = &self.secret {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            request = request.header("authorization", format!("Bearer {}", secret.token(now)));
        }
        let mut response = request.send(body.to_string()).map_err(|_| CallError::Broken)?;
        let status = response.status();
        let text = response.body_mut().read_to_string().map_err(|_| CallError::Broken)?;
        assert_eq!(status, 200, "{text}");
        Ok(serde_json::from_str(&text).expect("an answer is JSON"))
    }
}

fn result(mut answer: Value) -> Result<Value, CallError> {
    match answer.get("error") {
        Some(error) => Err(CallError::Refused(error.to_string())),
        None => Ok(answer["result"].take()),
    }
}
