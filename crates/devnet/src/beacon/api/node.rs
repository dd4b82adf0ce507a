//! About the node.

use super::{Api, answer::data};
use crate::ssz::ApiJson;
use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

pub(super) async fn version() -> Json<Value> {
    data(json!({ "version": concat!("Lockstep/v", env!("CARGO_PKG_VERSION")) }))
}

pub(super) async fn health() -> StatusCode {
    StatusCode::OK
}

pub(super) async fn syncing(State(api): State<Api>) -> Json<Value> {
    let head = api.view.head().slot();
    data(json!({
        "head_slot": head.to_json(),
        "sync_distance": api.view.slot().saturating_sub(head).to_json(),
        // All blocks are our own: there is nothing to wait for.
        "is_syncing": false,
        "is_optimistic": false,
        "el_offline": false,
    }))
}

pub(super) async fn identity() -> Json<Value> {
    // A dev beacon has no peers.
    data(json!({
        "peer_id": "",
        "enr": "",
        "p2p_addresses": [],
        "discovery_addresses": [],
        "metadata": { "seq_number": "0", "attnets": "0x0000000000000000", "syncnets": "0x00" },
    }))
}
