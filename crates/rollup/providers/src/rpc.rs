//! JSON-RPC over a transport: single calls and batches.

use crate::{
    Accept, ClientError, Endpoint, HttpTransport, Request, Retry, Timeouts, Transport,
    TransportError, transport::is_final,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{fmt, sync::Arc};

/// JSON-RPC 2.0: the method does not exist or is not available.
const METHOD_NOT_FOUND: i64 = -32_601;

/// The most bytes of a message that end up in an error.
const MAX_MESSAGE_BYTES: usize = 256;

/// What one request may ask for, and what its answer may weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpcLimits {
    /// The most calls in one HTTP request. Longer batches are split.
    pub max_batch: usize,
    /// The largest answer to one HTTP request, in bytes.
    pub max_response_bytes: u64,
}

impl Default for RpcLimits {
    /// 64 calls, 128 MiB.
    fn default() -> Self {
        Self { max_batch: 64, max_response_bytes: 128 * 1024 * 1024 }
    }
}

/// A JSON-RPC server. Clones share their connections.
#[derive(Clone)]
pub struct RpcClient {
    transport: Arc<dyn Transport>,
    retry: Retry,
    limits: RpcLimits,
}

#[derive(Serialize)]
struct Call<'a, P> {
    jsonrpc: &'static str,
    id: usize,
    method: &'a str,
    params: &'a P,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default)]
    id: Option<usize>,
    /// `null` is a result, too.
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<RpcFailure>,
}

#[derive(Deserialize)]
struct RpcFailure {
    code: i64,
    #[serde(default)]
    message: String,
}

/// Takes the answers to a batch in, each at the place of its call. Of any number of answers, no more are in
/// memory than there are calls.
struct Places<'p, 'a>(&'p mut [Option<Answer<'a>>]);

impl<'de: 'a, 'a> Visitor<'de> for Places<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of answers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(answer) = list.next_element::<Answer<'a>>()? {
            if let Some(place) = answer.id.and_then(|id| self.0.get_mut(id)) {
                *place = Some(answer);
            }
        }
        Ok(())
    }
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl RpcClient {
    /// A server behind any transport.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, retry: Retry::default(), limits: RpcLimits::default() }
    }

    /// A server behind HTTP.
    ///
    /// # Errors
    /// [`ClientError::Url`] if the URL cannot be used.
    pub fn http(url: &str, timeouts: Timeouts) -> Result<Self, ClientError> {
        Ok(Self::new(Arc::new(HttpTransport::new(url, timeouts)?)))
    }

    /// With other tries.
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// With other limits.
    #[must_use]
    pub fn with_limits(self, limits: RpcLimits) -> Self {
        Self { limits, ..self }
    }

    /// The server.
    pub fn endpoint(&self) -> &Endpoint {
        self.transport.endpoint()
    }

    /// Calls `method` with `params`, an array (or tuple) of arguments.
    ///
    /// # Errors
    /// A [`ClientError`] if there is no answer, it is an error, or not of type `T`.
    pub fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &impl Serialize,
    ) -> Result<T, ClientError> {
        let call = Call { jsonrpc: "2.0", id: 0, method, params };
        let body = self.post(method, &call)?;
        let answer: Answer<'_> = self.read(method, &body)?;
        self.result(method, answer)
    }

    /// Calls `method` once for each of `params`; the results come in the same order. A batch that
    /// is longer than the limit goes out in parts, and one that the server refuses as a whole is
    /// halved until it does not.
    ///
    /// # Errors
    /// The outer one if no answers came, the inner ones as [`Self::call`].
    pub fn batch<T: DeserializeOwned, P: Serialize>(
        &self,
        method: &'static str,
        params: &[P],
    ) -> Result<Vec<Result<T, ClientError>>, ClientError> {
        let mut results = Vec::with_capacity(params.len());
        let mut size = self.limits.max_batch.max(1);
        let mut rest = params;
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(size.min(rest.len()));
            if let [one] = part {
                results.push(match self.call(method, one) {
                    Err(error) if !is_of_one_call(&error) => return Err(error),
                    result => result,
                });
            } else if !self.part(method, part, &mut results)? {
                size = part.len() / 2;
                continue;
            }
            rest = behind;
        }
        Ok(results)
    }

    /// As [`Self::batch`], where one failure fails all.
    ///
    /// # Errors
    /// The first failure.
    pub fn batch_all<T: DeserializeOwned, P: Serialize>(
        &self,
        method: &'static str,
        params: &[P],
    ) -> Result<Vec<T>, ClientError> {
        self.batch(method, params)?.into_iter().collect()
    }

    /// Sends one batch; `false` if the server refuses to answer it as a whole.
    fn part<T: DeserializeOwned, P: Serialize>(
        &self,
        method: &'static str,
        params: &[P],
        results: &mut Vec<Result<T, ClientError>>,
    ) -> Result<bool, ClientError> {
        let calls: Vec<Call<'_, P>> = params
            .iter()
            .enumerate()
            .map(|(id, params)| Call { jsonrpc: "2.0", id, method, params })
            .collect();
        let body = match self.post(method, &calls) {
            // Too much for one answer, or for one request.
            Err(ClientError::TooLarge { .. } | ClientError::Status { status: 400 | 413, .. }) => {
                return Ok(false);
            }
            body => body?,
        };
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
            let refusal: Answer<'_> = self.read(method, &body)?;
            tracing::debug!(
                endpoint = %self.endpoint(), method, calls = params.len(),
                reason = refusal.error.map(|error| error.message), "a batch was refused"
            );
            return Ok(false);
        }
        let mut answers: Vec<Option<Answer<'_>>> = Vec::new();
        answers.resize_with(params.len(), || None);
        let mut read = serde_json::Deserializer::from_slice(&body);
        read.deserialize_seq(Places(&mut answers))
            .and_then(|()| read.end())
            .map_err(|error| self.malformed(method, error.to_string()))?;
        for (id, answer) in answers.into_iter().enumerate() {
            results.push(match answer {
                Some(answer) => self.result(method, answer),
                None => Err(self.malformed(method, format!("call {id} of the batch is missing"))),
            });
        }
        Ok(true)
    }

    fn post(&self, method: &'static str, body: &impl Serialize) -> Result<Vec<u8>, ClientError> {
        let body =
            serde_json::to_vec(body).map_err(|error| self.malformed(method, error.to_string()))?;
        let max_response_bytes = self.limits.max_response_bytes;
        let request =
            Request { path: "", body: Some(&body), accept: Accept::Json, max_response_bytes };
        exchange(self.transport.as_ref(), &self.retry, method, &request)
    }

    fn read<'a, T: Deserialize<'a>>(
        &self,
        method: &'static str,
        body: &'a [u8],
    ) -> Result<T, ClientError> {
        serde_json::from_slice(body).map_err(|error| self.malformed(method, error.to_string()))
    }

    fn result<T: DeserializeOwned>(
        &self,
        method: &'static str,
        answer: Answer<'_>,
    ) -> Result<T, ClientError> {
        if let Some(error) = answer.error {
            return Err(self.failure(method, error));
        }
        let Some(result) = answer.result else {
            return Err(self.malformed(method, "neither a result nor an error".to_owned()));
        };
        serde_json::from_str(result.get())
            .map_err(|error| self.malformed(method, error.to_string()))
    }

    fn failure(&self, method: &'static str, error: RpcFailure) -> ClientError {
        let endpoint = self.endpoint().clone();
        let lower = error.message.to_ascii_lowercase();
        let is_unknown = error.code == METHOD_NOT_FOUND
            || ["method not found", "does not exist/is not available", "method not supported"]
                .iter()
                .any(|phrase| lower.contains(phrase));
        if is_unknown {
            return ClientError::Unsupported { endpoint, method };
        }
        let message = shortened(error.message);
        ClientError::Rpc { endpoint, method, code: error.code, message }
    }

    fn malformed(&self, method: &'static str, reason: String) -> ClientError {
        let endpoint = self.endpoint().clone();
        ClientError::Malformed { endpoint, method, reason: shortened(reason) }
    }
}

impl fmt::Debug for RpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcClient")
            .field("endpoint", self.endpoint())
            .field("retry", &self.retry)
            .field("limits", &self.limits)
            .finish()
    }
}

/// Whether a failure concerns one call of a batch rather than the way to the server.
const fn is_of_one_call(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Rpc { .. } | ClientError::Malformed { .. } | ClientError::Unsupported { .. }
    )
}

/// Exchanges, with retries, and takes only a success for an answer.
pub(crate) fn exchange(
    transport: &dyn Transport,
    retry: &Retry,
    method: &'static str,
    request: &Request<'_>,
) -> Result<Vec<u8>, ClientError> {
    let endpoint = || transport.endpoint().clone();
    let limit = request.max_response_bytes;
    match retry.run(is_final, || transport.exchange(request)) {
        // A transport that does not keep to the limit must not make us parse what it read.
        Ok(response) if response.body.len() as u64 > limit => {
            Err(ClientError::TooLarge { endpoint: endpoint(), method, limit })
        }
        Ok(response) if (200..300).contains(&response.status) => Ok(response.body),
        Ok(response) => {
            Err(ClientError::Status { endpoint: endpoint(), method, status: response.status })
        }
        Err(TransportError::TooLarge) => {
            Err(ClientError::TooLarge { endpoint: endpoint(), method, limit })
        }
        Err(TransportError::Failed(reason)) => {
            Err(ClientError::Unreachable { endpoint: endpoint(), reason })
        }
    }
}

/// The beginning of a text that a stranger wrote, without control characters.
pub(crate) fn shortened(text: String) -> String {
    let is_fine = text.len() <= MAX_MESSAGE_BYTES && !text.contains(char::is_control);
    if is_fine {
        return text;
    }
    let mut short = String::new();
    for char in text.chars() {
        if short.len() >= MAX_MESSAGE_BYTES {
            short.push('…');
            break;
        }
        short.push(if char.is_control() { ' ' } else { char });
    }
    short
}
