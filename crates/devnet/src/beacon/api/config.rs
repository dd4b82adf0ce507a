//! What defines the chain.

use super::{Api, answer::data};
use crate::{
    beacon::{BeaconFork, BeaconSpec, FAR_FUTURE_EPOCH, spec::fork_version},
    ssz::ApiJson,
};
use alloy_primitives::FixedBytes;
use axum::{Json, extract::State};
use serde_json::{Map, Value, json};

pub(super) async fn genesis(State(api): State<Api>) -> Json<Value> {
    let state = &api.view.genesis().state;
    data(json!({
        "genesis_time": state.genesis_time.to_json(),
        "genesis_validators_root": state.genesis_validators_root,
        "genesis_fork_version": fork_version(1),
    }))
}

pub(super) async fn deposit_contract(State(api): State<Api>) -> Json<Value> {
    let spec = api.view.spec();
    data(json!({
        "chain_id": spec.chain_id.to_json(),
        "address": spec.deposit_contract.to_json(),
    }))
}

/// The forks in order: their names, versions and epochs.
fn forks(spec: &BeaconSpec) -> [(&'static str, FixedBytes<4>, u64); 7] {
    [
        ("GENESIS", fork_version(1), 0),
        ("ALTAIR", fork_version(2), 0),
        ("BELLATRIX", fork_version(3), 0),
        ("CAPELLA", fork_version(4), 0),
        ("DENEB", fork_version(5), 0),
        ("ELECTRA", BeaconSpec::version(BeaconFork::Electra), 0),
        ("FULU", BeaconSpec::version(BeaconFork::Fulu), spec.fulu_epoch),
    ]
}

pub(super) async fn fork_schedule(State(api): State<Api>) -> Json<Value> {
    let spec = api.view.spec();
    let mut previous = fork_version(1);
    let mut schedule = Vec::new();
    for (_, version, epoch) in forks(spec) {
        if epoch != FAR_FUTURE_EPOCH {
            schedule.push(json!({
                "previous_version": previous,
                "current_version": version,
                "epoch": epoch.to_json(),
            }));
            previous = version;
        }
    }
    data(schedule)
}

pub(super) async fn spec(State(api): State<Api>) -> Json<Value> {
    let spec = api.view.spec();
    let validators = api.view.genesis().state.validators.len() as u64;
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    for (name, version, epoch) in forks(spec) {
        put(&format!("{name}_FORK_VERSION"), version.to_json());
        if name != "GENESIS" {
            put(&format!("{name}_FORK_EPOCH"), epoch.to_json());
        }
    }
    put("PRESET_BASE", spec.preset.name.into());
    put("CONFIG_NAME", spec.name.clone().into());
    put("DEPOSIT_CONTRACT_ADDRESS", spec.deposit_contract.to_json());
    put("TERMINAL_BLOCK_HASH", FixedBytes::<32>::ZERO.to_json());
    for (name, value) in numbers(spec, validators) {
        put(name, value.to_json());
    }
    let domains = [
        ("BEACON_PROPOSER", 0),
        ("BEACON_ATTESTER", 1),
        ("RANDAO", 2),
        ("DEPOSIT", 3),
        ("VOLUNTARY_EXIT", 4),
        ("SELECTION_PROOF", 5),
        ("AGGREGATE_AND_PROOF", 6),
        ("SYNC_COMMITTEE", 7),
        ("SYNC_COMMITTEE_SELECTION_PROOF", 8),
        ("CONTRIBUTION_AND_PROOF", 9),
        ("BLS_TO_EXECUTION_CHANGE", 10),
    ];
    for (name, tag) in domains {
        put(&format!("DOMAIN_{name}"), FixedBytes::<4>::new([tag, 0, 0, 0]).to_json());
    }
    let schedule: Vec<Value> = spec
        .blob_schedule
        .iter()
        .map(|limit| {
            json!({
                "EPOCH": limit.epoch.to_json(),
                "MAX_BLOBS_PER_BLOCK": limit.max_blobs_per_block.to_json(),
            })
        })
        .collect();
    put("BLOB_SCHEDULE", schedule.into());
    data(object)
}

/// Settings and preset constants that are numbers.
fn numbers(spec: &BeaconSpec, validators: u64) -> Vec<(&'static str, u64)> {
    let preset = spec.preset;
    vec![
        ("SECONDS_PER_SLOT", spec.seconds_per_slot),
        ("SLOT_DURATION_MS", spec.seconds_per_slot.saturating_mul(1000)),
        ("SECONDS_PER_ETH1_BLOCK", spec.seconds_per_slot),
        ("MIN_GENESIS_TIME", spec.genesis_time),
        ("GENESIS_DELAY", 0),
        ("MIN_GENESIS_ACTIVE_VALIDATOR_COUNT", validators),
        ("TERMINAL_TOTAL_DIFFICULTY", 0),
        ("TERMINAL_BLOCK_HASH_ACTIVATION_EPOCH", FAR_FUTURE_EPOCH),
        ("DEPOSIT_CHAIN_ID", spec.chain_id),
        ("DEPOSIT_NETWORK_ID", spec.chain_id),
        ("ETH1_FOLLOW_DISTANCE", 1),
        ("MIN_SEED_LOOKAHEAD", 1),
        ("MAX_SEED_LOOKAHEAD", 4),
        ("MIN_ATTESTATION_INCLUSION_DELAY", 1),
        ("MIN_ACTIVATION_BALANCE", 32_000_000_000),
        ("MAX_EFFECTIVE_BALANCE", 32_000_000_000),
        ("MAX_EFFECTIVE_BALANCE_ELECTRA", 2_048_000_000_000),
        ("EFFECTIVE_BALANCE_INCREMENT", 1_000_000_000),
        ("MAX_BLOBS_PER_BLOCK", 6),
        ("MAX_BLOBS_PER_BLOCK_ELECTRA", 9),
        ("MAX_BLOB_COMMITMENTS_PER_BLOCK", 4096),
        ("FIELD_ELEMENTS_PER_BLOB", 4096),
        ("FIELD_ELEMENTS_PER_CELL", 64),
        ("NUMBER_OF_COLUMNS", 128),
        ("KZG_COMMITMENT_INCLUSION_PROOF_DEPTH", 17),
        ("MIN_EPOCHS_FOR_BLOB_SIDECARS_REQUESTS", 4096),
        ("MIN_EPOCHS_FOR_BLOCK_REQUESTS", 33_024),
        ("MAX_VALIDATORS_PER_COMMITTEE", 2048),
        ("VALIDATOR_REGISTRY_LIMIT", 1 << 40),
        ("HISTORICAL_ROOTS_LIMIT", 1 << 24),
        ("SLOTS_PER_EPOCH", preset.slots_per_epoch),
        ("SLOTS_PER_HISTORICAL_ROOT", preset.slots_per_historical_root),
        ("EPOCHS_PER_HISTORICAL_VECTOR", preset.epochs_per_historical_vector),
        ("EPOCHS_PER_SLASHINGS_VECTOR", preset.epochs_per_slashings_vector),
        ("EPOCHS_PER_ETH1_VOTING_PERIOD", preset.epochs_per_eth1_voting_period),
        ("MAX_COMMITTEES_PER_SLOT", preset.max_committees_per_slot),
        ("TARGET_COMMITTEE_SIZE", preset.target_committee_size),
        ("SHUFFLE_ROUND_COUNT", preset.shuffle_round_count.into()),
        ("SYNC_COMMITTEE_SIZE", preset.sync_committee_size),
        ("EPOCHS_PER_SYNC_COMMITTEE_PERIOD", preset.epochs_per_sync_committee_period),
        ("MAX_WITHDRAWALS_PER_PAYLOAD", preset.max_withdrawals_per_payload),
        ("MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP", preset.max_validators_per_withdrawals_sweep),
        ("PENDING_PARTIAL_WITHDRAWALS_LIMIT", preset.pending_partial_withdrawals_limit),
        ("PENDING_CONSOLIDATIONS_LIMIT", preset.pending_consolidations_limit),
        ("MAX_DEPOSIT_REQUESTS_PER_PAYLOAD", preset.max_deposit_requests_per_payload),
        ("MAX_WITHDRAWAL_REQUESTS_PER_PAYLOAD", preset.max_withdrawal_requests_per_payload),
        ("MAX_CONSOLIDATION_REQUESTS_PER_PAYLOAD", preset.max_consolidation_requests_per_payload),
    ]
}
