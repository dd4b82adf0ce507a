//! States.

use super::{
    Api,
    answer::{
        Answer, ApiError, find_state, number, query_list, query_value, ssz, strings, version,
        versioned, wants_ssz, with_finality,
    },
};
use crate::{
    beacon::{
        FAR_FUTURE_EPOCH, FoundState,
        transition::randao_mix,
        types::{BlsPublicKey, Checkpoint, Validator},
    },
    ssz::{ApiJson, Ssz},
};
use axum::{
    extract::{Path, RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use serde_json::{Value, json};

pub(super) async fn root(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let found = find_state(&api, &id)?;
    Ok(with_finality(found.finalized, json!({ "root": found.root })))
}

pub(super) async fn fork(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let found = find_state(&api, &id)?;
    Ok(with_finality(found.finalized, found.state.fork.to_json()))
}

pub(super) async fn finality_checkpoints(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let found = find_state(&api, &id)?;
    let state = &found.state;
    let checkpoint = |checkpoint: &Checkpoint| checkpoint.to_json();
    let checkpoints = json!({
        "previous_justified": checkpoint(&state.previous_justified_checkpoint),
        "current_justified": checkpoint(&state.current_justified_checkpoint),
        "finalized": checkpoint(&state.finalized_checkpoint),
    });
    Ok(with_finality(found.finalized, checkpoints))
}

pub(super) async fn lookahead(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let found = find_state(&api, &id)?;
    let version = version(api.view.spec(), found.state.slot);
    let lookahead = strings(found.state.proposer_lookahead.iter());
    Ok(versioned(with_finality(found.finalized, lookahead), version))
}

pub(super) async fn randao(
    State(api): State<Api>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let found = find_state(&api, &id)?;
    let preset = api.view.spec().preset;
    let current = preset.epoch(found.state.slot);
    let epoch = match query_value(query.as_deref(), "epoch")? {
        Some(epoch) => number("epoch", &epoch)?,
        None => current,
    };
    if epoch > current || epoch.saturating_add(preset.epochs_per_historical_vector) <= current {
        return Err(ApiError::bad_request("the state does not know the randomness of that epoch"));
    }
    let mix = randao_mix(&found.state, epoch, preset);
    Ok(with_finality(found.finalized, json!({ "randao": mix })))
}

/// The whole state, in SSZ alone: its JSON would be many times as long.
pub(super) async fn state(
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !wants_ssz(&headers) {
        let message = "states are served as application/octet-stream only";
        return Err(ApiError::not_acceptable(message));
    }
    let found = find_state(&api, &id)?;
    let spec = api.view.spec();
    Ok(ssz(found.state.encode(spec.preset), version(spec, found.state.slot)))
}

pub(super) async fn validators(
    State(api): State<Api>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let found = find_state(&api, &id)?;
    let epoch = api.view.spec().preset.epoch(found.state.slot);
    let ids = query_list(query.as_deref(), "id")?;
    let statuses = query_list(query.as_deref(), "status")?;
    let indices: Vec<usize> = if ids.is_empty() {
        (0..found.state.validators.len()).collect()
    } else {
        // Unknown validators are left out, as the specification asks.
        let indices: Result<Vec<_>, _> = ids.iter().map(|id| validator_index(&found, id)).collect();
        indices?.into_iter().flatten().collect()
    };
    let shown = indices.into_iter().filter_map(|index| {
        let validator = found.state.validators.get(index)?;
        let balance = found.state.balances.get(index).unwrap_or_default();
        let status = status(&validator, balance, epoch);
        let matches =
            |wanted: &String| status == wanted || status.split('_').next() == Some(wanted);
        let wanted = statuses.is_empty() || statuses.iter().any(matches);
        wanted.then(|| validator_json(index, &validator, balance, status))
    });
    Ok(with_finality(found.finalized, shown.collect::<Vec<Value>>()))
}

pub(super) async fn validator(
    State(api): State<Api>,
    Path((id, validator)): Path<(String, String)>,
) -> Answer {
    let found = find_state(&api, &id)?;
    let epoch = api.view.spec().preset.epoch(found.state.slot);
    let unknown = || ApiError::not_found("there is no such validator");
    let index = validator_index(&found, &validator)?.ok_or_else(unknown)?;
    let validator = found.state.validators.get(index).ok_or_else(unknown)?;
    let balance = found.state.balances.get(index).unwrap_or_default();
    let status = status(&validator, balance, epoch);
    Ok(with_finality(found.finalized, validator_json(index, &validator, balance, status)))
}

/// The index of a validator, named by index or key.
fn validator_index(found: &FoundState, id: &str) -> Result<Option<usize>, ApiError> {
    let validators = &found.state.validators;
    if id.starts_with("0x") {
        let wrong = |_| ApiError::bad_request("a validator's key is not 48 bytes of hex");
        let key: BlsPublicKey = id.parse().map_err(wrong)?;
        return Ok(validators.iter().position(|validator| validator.pubkey == key));
    }
    let index = number("a validator's index", id)? as usize;
    Ok((index < validators.len()).then_some(index))
}

fn validator_json(index: usize, validator: &Validator, balance: u64, status: &str) -> Value {
    json!({
        "index": (index as u64).to_json(),
        "balance": balance.to_json(),
        "status": status,
        "validator": validator.to_json(),
    })
}

/// The status, as the Beacon API names it.
const fn status(validator: &Validator, balance: u64, epoch: u64) -> &'static str {
    if epoch < validator.activation_epoch {
        return if validator.activation_eligibility_epoch == FAR_FUTURE_EPOCH {
            "pending_initialized"
        } else {
            "pending_queued"
        };
    }
    if epoch < validator.exit_epoch {
        return match (validator.exit_epoch, validator.slashed) {
            (FAR_FUTURE_EPOCH, _) => "active_ongoing",
            (_, true) => "active_slashed",
            (_, false) => "active_exiting",
        };
    }
    if epoch < validator.withdrawable_epoch {
        return if validator.slashed { "exited_slashed" } else { "exited_unslashed" };
    }
    if balance == 0 { "withdrawal_done" } else { "withdrawal_possible" }
}
