//! Controls of a dev chain, which no real beacon node has.

use super::{
    Api,
    answer::{Answer, ApiError, data},
};
use crate::{
    beacon::{Control, ControlError, Replacement},
    ssz::ApiJson,
};
use axum::{
    body::Bytes,
    extract::{FromRequestParts, State},
    http::{header::ORIGIN, request::Parts},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

/// A request that no web page can have sent behind its reader's back: browsers announce the origin
/// of a page with every POST, and tools do not.
pub(super) struct FromTool;

impl<S: Sync> FromRequestParts<S> for FromTool {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.headers.contains_key(ORIGIN) {
            return Err(ApiError::bad_request("web pages may not control the chain"));
        }
        Ok(Self)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Slots {
    slots: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reorg {
    depth: u64,
    #[serde(default)]
    replacement: ReplacementName,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReplacementName {
    #[default]
    SameSlots,
    OneBlock,
}

pub(super) async fn skip(State(api): State<Api>, _: FromTool, body: Bytes) -> Answer {
    let Slots { slots } = parse(&body)?;
    send(&api, Control::Skip(slots)).await
}

pub(super) async fn mine(State(api): State<Api>, _: FromTool, body: Bytes) -> Answer {
    let Slots { slots } = parse(&body)?;
    send(&api, Control::Mine(slots)).await
}

pub(super) async fn reorg(State(api): State<Api>, _: FromTool, body: Bytes) -> Answer {
    let Reorg { depth, replacement } = parse(&body)?;
    let replacement = match replacement {
        ReplacementName::SameSlots => Replacement::SameSlots,
        ReplacementName::OneBlock => Replacement::OneBlock,
    };
    send(&api, Control::Reorg(depth, replacement)).await
}

pub(super) async fn stall_finality(State(api): State<Api>, _: FromTool) -> Answer {
    send(&api, Control::StallFinality).await
}

pub(super) async fn resume_finality(State(api): State<Api>, _: FromTool) -> Answer {
    send(&api, Control::ResumeFinality).await
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::bad_request(error.to_string()))
}

async fn send(api: &Api, control: Control) -> Answer {
    let controls = api.controls.as_ref();
    let controls = controls.ok_or_else(|| ApiError::unavailable("this chain has no controls"))?;
    match controls.send(control).await {
        Ok(now) => Ok(data(json!({
            "slot": now.slot.to_json(),
            "head_slot": now.head_slot.to_json(),
            "head": now.head,
        }))),
        Err(error @ (ControlError::Busy | ControlError::Stopped)) => {
            Err(ApiError::unavailable(error.to_string()))
        }
        Err(error) => Err(ApiError::bad_request(error.to_string())),
    }
}
