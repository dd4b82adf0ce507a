//! Answers and errors in the Beacon API's shapes.

use super::Api;
use crate::{
    beacon::{BeaconSpec, BlockId, FoundState, StoreError},
    ssz::ApiJson,
};
use axum::{
    Json,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// Items in a list of a query.
const MAX_ITEMS: usize = 128;
/// Names the fork of an answer in SSZ.
const CONSENSUS_VERSION: HeaderName = HeaderName::from_static("eth-consensus-version");

/// An error, in the shape `{"code": …, "message": …}`.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.into() }
    }

    pub(super) fn not_acceptable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_ACCEPTABLE, message: message.into() }
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: message.into() }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "could not read the beacon chain");
        Self::internal("the chain could not be read from disk")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "code": self.status.as_u16(), "message": self.message });
        (self.status, Json(body)).into_response()
    }
}

pub(super) type Answer = Result<Json<Value>, ApiError>;

pub(super) async fn no_such_route() -> ApiError {
    ApiError::not_found("no such endpoint")
}

pub(super) async fn wrong_method() -> ApiError {
    ApiError { status: StatusCode::METHOD_NOT_ALLOWED, message: "wrong method".to_owned() }
}

/// `{"data": …}`.
pub(super) fn data(data: impl Into<Value>) -> Json<Value> {
    Json(json!({ "data": data.into() }))
}

/// `{"execution_optimistic": false, "finalized": …, "data": …}`.
pub(super) fn with_finality(finalized: bool, data: impl Into<Value>) -> Json<Value> {
    let data = data.into();
    Json(json!({ "execution_optimistic": false, "finalized": finalized, "data": data }))
}

/// An answer in SSZ, with its fork.
pub(super) fn ssz(bytes: Vec<u8>, version: &'static str) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/octet-stream"), (CONSENSUS_VERSION, version)];
    (headers, bytes).into_response()
}

/// An answer in JSON, with its fork.
pub(super) fn versioned(mut json: Json<Value>, version: &'static str) -> Response {
    if let Some(object) = json.0.as_object_mut() {
        object.insert("version".to_owned(), version.into());
    }
    ([(CONSENSUS_VERSION, version)], json).into_response()
}

/// The name of the fork at a slot.
pub(super) fn version(spec: &BeaconSpec, slot: u64) -> &'static str {
    spec.fork(spec.preset.epoch(slot)).name()
}

/// Whether the client would rather have SSZ than JSON.
pub(super) fn wants_ssz(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    // The media type with the greatest weight; the first of equals.
    let mut best = (0.0, false);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or("");
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        let ssz = kind == "application/octet-stream";
        if (ssz || matches!(kind, "application/json" | "*/*" | "application/*")) && weight > best.0
        {
            best = (weight, ssz);
        }
    }
    best.1
}

pub(super) fn block_id(text: &str) -> Result<BlockId, ApiError> {
    text.parse().map_err(|()| ApiError::bad_request("the block or state id is not valid"))
}

pub(super) fn number(name: &str, text: &str) -> Result<u64, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| ApiError::bad_request(format!("{name} is not a number of 64 bits")))
}

pub(super) fn find_state(api: &Api, id: &str) -> Result<FoundState, ApiError> {
    let state = api.view.state(block_id(id)?);
    state.ok_or_else(|| ApiError::not_found("the state is unknown or no longer in memory"))
}

/// The items of a list in a query, given as `name=a,b` or `name=a&name=b`.
pub(super) fn query_list(query: Option<&str>, name: &str) -> Result<Vec<String>, ApiError> {
    let mut items = Vec::new();
    for pair in query.unwrap_or("").split('&') {
        let Some((key, value)) = pair.split_once('=') else { continue };
        if key == name {
            let value = value.replace("%2C", ",").replace("%2c", ",");
            items.extend(value.split(',').filter(|item| !item.is_empty()).map(str::to_owned));
        }
        if items.len() > MAX_ITEMS {
            return Err(ApiError::bad_request(format!("{name} has more than {MAX_ITEMS} items")));
        }
    }
    Ok(items)
}

/// The one value of a name in a query, if it is there.
pub(super) fn query_value(query: Option<&str>, name: &str) -> Result<Option<String>, ApiError> {
    let mut items = query_list(query, name)?;
    if items.len() > 1 {
        return Err(ApiError::bad_request(format!("{name} is given more than once")));
    }
    Ok(items.pop())
}

pub(super) fn strings<T: ApiJson>(values: impl IntoIterator<Item = T>) -> Value {
    values.into_iter().map(|value| value.to_json()).collect()
}
