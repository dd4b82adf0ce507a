//! Duties.

use super::{
    Api,
    answer::{Answer, ApiError, number},
};
use crate::{
    beacon::{BlockId, transition::MIN_SEED_LOOKAHEAD},
    ssz::ApiJson,
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

/// The duties with the dependent root of earlier forks: the last block before the epoch.
pub(super) async fn proposers_v1(State(api): State<Api>, Path(epoch): Path<String>) -> Answer {
    proposers(&api, &epoch, 0)
}

/// The duties with the dependent root of Fulu: the last block before the epoch whose randomness decides.
pub(super) async fn proposers_v2(State(api): State<Api>, Path(epoch): Path<String>) -> Answer {
    proposers(&api, &epoch, MIN_SEED_LOOKAHEAD)
}

fn proposers(api: &Api, epoch: &str, lookahead: u64) -> Answer {
    let epoch = number("the epoch", epoch)?;
    let preset = api.view.spec().preset;
    let (slot, head) = (api.view.slot(), api.view.head());
    let current = preset.epoch(slot);
    if epoch != current && epoch != current + 1 {
        return Err(ApiError::bad_request(format!(
            "duties are known for epochs {current} and {}",
            current + 1
        )));
    }
    let state = api.view.state(BlockId::Slot(slot)).map(|found| found.state);
    let state =
        state.ok_or_else(|| ApiError::unavailable("the head is too far behind the clock"))?;
    let first = preset.start_slot(current);
    let duties = (first..).zip(state.proposer_lookahead.iter());
    let duties = duties.filter(|(slot, _)| preset.epoch(*slot) == epoch).map(|(slot, proposer)| {
        let validator = state.validators.get(proposer as usize);
        json!({
            "pubkey": validator.map(|validator| validator.pubkey).unwrap_or_default(),
            "validator_index": proposer.to_json(),
            "slot": slot.to_json(),
        })
    });
    let decided = epoch.saturating_sub(lookahead);
    let dependent_root = api.view.dependent_root(&state, head.root, decided);
    Ok(Json(json!({
        "dependent_root": dependent_root,
        "execution_optimistic": false,
        "data": duties.collect::<Vec<Value>>(),
    })))
}
