//! Blocks, headers and blobs.

use super::{
    Api,
    answer::{
        Answer, ApiError, block_id, number, query_list, query_value, ssz, version, versioned,
        wants_ssz, with_finality,
    },
};
use crate::{
    beacon::{BlobsBundle, BlockId, FoundBlock, types::KzgCommitment},
    ssz::{ApiJson, Ssz},
};
use alloy_eips::eip4844::{Blob, c_kzg, env_settings::EnvKzgSettings, kzg_to_versioned_hash};
use alloy_primitives::{B256, FixedBytes};
use axum::{
    extract::{Path, RawQuery, State},
    http::HeaderMap,
    response::Response,
};
use serde_json::{Value, json};
use std::sync::Arc;

fn find_block(api: &Api, id: BlockId) -> Result<FoundBlock, ApiError> {
    let block = api.view.block(id)?;
    block.ok_or_else(|| ApiError::not_found("the block is unknown or no longer kept"))
}

fn header_json(api: &Api, found: &FoundBlock) -> Value {
    let header = found.block.header(api.view.spec().preset);
    json!({ "root": found.root, "canonical": found.canonical, "header": header.to_json() })
}

pub(super) async fn header(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let found = find_block(&api, block_id(&id)?)?;
    Ok(with_finality(found.finalized, header_json(&api, &found)))
}

/// The head, or the canonical block at a slot, or the canonical child of a block.
pub(super) async fn headers(State(api): State<Api>, RawQuery(query): RawQuery) -> Answer {
    let slot = query_value(query.as_deref(), "slot")?;
    let slot = slot.map(|slot| number("slot", &slot)).transpose()?;
    let parent = query_value(query.as_deref(), "parent_root")?;
    let parent: Option<B256> = parent
        .map(|root| root.parse())
        .transpose()
        .map_err(|_| ApiError::bad_request("parent_root is not a root"))?;
    let id = match (slot, parent) {
        (Some(slot), _) => BlockId::Slot(slot),
        (None, Some(parent)) => match api.view.child(&parent) {
            Some(child) => BlockId::Root(child),
            None => return Ok(with_finality(false, Vec::<Value>::new())),
        },
        (None, None) => BlockId::Head,
    };
    let found = api.view.block(id)?;
    let found =
        found.filter(|found| parent.is_none_or(|root| found.block.message.parent_root == root));
    let finalized = found.as_ref().is_some_and(|found| found.finalized);
    let headers: Vec<Value> = found.iter().map(|found| header_json(&api, found)).collect();
    Ok(with_finality(finalized, headers))
}

pub(super) async fn block(
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let found = find_block(&api, block_id(&id)?)?;
    let spec = api.view.spec();
    let version = version(spec, found.block.message.slot);
    if wants_ssz(&headers) {
        return Ok(ssz(found.block.encode(spec.preset), version));
    }
    Ok(versioned(with_finality(found.finalized, found.block.to_json()), version))
}

pub(super) async fn root(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let found = find_block(&api, block_id(&id)?)?;
    Ok(with_finality(found.finalized, json!({ "root": found.root })))
}

/// The blobs of a block, all that it commits to.
fn find_blobs(api: &Api, found: &FoundBlock) -> Result<Arc<BlobsBundle>, ApiError> {
    let message = &found.block.message;
    if message.body.blob_kzg_commitments.is_empty() {
        return Ok(Arc::default());
    }
    let bundle = api.view.blobs(message.slot, &found.root)?;
    let whole = bundle.filter(|bundle| *bundle.commitments == *message.body.blob_kzg_commitments);
    whole.ok_or_else(|| ApiError::not_found("the blobs of the block are no longer kept"))
}

pub(super) async fn blobs(
    State(api): State<Api>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let found = find_block(&api, block_id(&id)?)?;
    let hashes = query_list(query.as_deref(), "versioned_hashes")?;
    let hashes: Result<Vec<B256>, _> = hashes.iter().map(|hash| hash.parse()).collect();
    let hashes = hashes.map_err(|_| ApiError::bad_request("a versioned hash is not a hash"))?;
    let bundle = find_blobs(&api, &found)?;
    let wanted = |commitment: &KzgCommitment| {
        hashes.is_empty() || hashes.contains(&kzg_to_versioned_hash(commitment.as_slice()))
    };
    let blobs = bundle.commitments.iter().zip(&bundle.blobs);
    let blobs = blobs.filter(|(commitment, _)| wanted(commitment));
    let blobs: Vec<Value> = blobs.map(|(_, blob)| blob.to_json()).collect();
    Ok(with_finality(found.finalized, blobs))
}

pub(super) async fn blob_sidecars(
    State(api): State<Api>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let found = find_block(&api, block_id(&id)?)?;
    let indices = query_list(query.as_deref(), "indices")?;
    let indices: Result<Vec<u64>, _> = indices.iter().map(|index| number("index", index)).collect();
    let (indices, bundle) = (indices?, find_blobs(&api, &found)?);
    let version = version(api.view.spec(), found.block.message.slot);
    let finalized = found.finalized;
    // Proofs of blobs cost milliseconds each: not on a thread that serves others.
    let work = move || sidecars(&api, &found, &bundle, &indices);
    let sidecars = tokio::task::spawn_blocking(work).await;
    let sidecars =
        sidecars.map_err(|_| ApiError::internal("the proofs could not be computed"))??;
    Ok(versioned(with_finality(finalized, sidecars), version))
}

fn sidecars(
    api: &Api,
    found: &FoundBlock,
    bundle: &BlobsBundle,
    indices: &[u64],
) -> Result<Vec<Value>, ApiError> {
    let preset = api.view.spec().preset;
    let header = found.block.header(preset).to_json();
    let mut sidecars = Vec::new();
    for (index, (blob, commitment)) in bundle.blobs.iter().zip(&bundle.commitments).enumerate() {
        if !indices.is_empty() && !indices.contains(&(index as u64)) {
            continue;
        }
        let branch = found.block.message.body.commitment_branch(index, preset);
        sidecars.push(json!({
            "index": (index as u64).to_json(),
            "blob": blob.to_json(),
            "kzg_commitment": commitment,
            "kzg_proof": blob_proof(bundle, index, blob, commitment)?,
            "signed_block_header": header,
            "kzg_commitment_inclusion_proof": branch,
        }));
    }
    Ok(sidecars)
}

/// The proof of a whole blob: given before Fulu, computed where there are proofs of cells.
fn blob_proof(
    bundle: &BlobsBundle,
    index: usize,
    blob: &Blob,
    commitment: &KzgCommitment,
) -> Result<FixedBytes<48>, ApiError> {
    if let Some(proof) =
        bundle.proofs.get(index).filter(|_| bundle.proofs.len() == bundle.blobs.len())
    {
        return Ok(*proof);
    }
    let proof = || {
        let blob = c_kzg::Blob::from_bytes(blob.as_slice())?;
        let commitment = c_kzg::Bytes48::from_bytes(commitment.as_slice())?;
        EnvKzgSettings::Default.get().compute_blob_kzg_proof(&blob, &commitment)
    };
    let proof = proof().map_err(|error| ApiError::internal(format!("blob {index}: {error:?}")))?;
    Ok(FixedBytes::new(proof.to_bytes().into_inner()))
}
