//! The methods of the `engine` namespace.

use super::{
    EngineApiError,
    checks::{Quantity, Values, attributes, check_fork, delivered},
};
use alloy_consensus::BlockHeader;
use alloy_eips::{
    eip2718::Encodable2718,
    eip4844::{BlobAndProofV1, BlobAndProofV2},
};
use alloy_primitives::B256;
use alloy_rpc_types_engine::{
    ExecutionPayloadBodyV1, ForkchoiceState, ForkchoiceUpdated, PayloadId, PayloadStatus,
};
use jsonrpsee::{Methods, RpcModule, core::RegisterMethodError};
use lockstep_chain::{Block, EthereumHardfork};
use lockstep_engine::{Engine, Payloads};
use lockstep_pool::{Pool, Pooled, PooledBlob};
use serde::{Deserialize, Serialize};

/// The most blobs in one answer (execution-apis: `engine_getBlobsV1` asks for at least 128).
const MAX_BLOBS: usize = 128;

/// The most bodies in one answer (execution-apis asks for at least 32).
const MAX_BODIES: u64 = 1024;

type Answer<T> = Result<T, EngineApiError>;

/// What the node calls itself (execution-apis: `identification.md`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientVersion {
    /// Two letters.
    pub code: String,
    /// The program's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The first four bytes of its source's commit, in hexadecimal.
    pub commit: String,
}

/// What the methods work on.
#[derive(Debug)]
struct Api<C: Payloads + Pooled> {
    engine: Engine<C>,
    pool: Pool<C>,
    client: ClientVersion,
    capabilities: Vec<&'static str>,
}

type Handler<C, T> = fn(&Api<C>, u8, &Values<'_>) -> Answer<T>;

/// The methods of the `engine` namespace.
///
/// # Errors
/// When two methods have the same name.
pub fn engine_methods<C: Payloads + Pooled>(
    engine: Engine<C>,
    pool: Pool<C>,
    client: ClientVersion,
) -> Result<Methods, RegisterMethodError> {
    let versions = engine.chain().newest_versions();
    let new_payload = [
        "engine_newPayloadV1",
        "engine_newPayloadV2",
        "engine_newPayloadV3",
        "engine_newPayloadV4",
    ];
    let get_payload = [
        "engine_getPayloadV1",
        "engine_getPayloadV2",
        "engine_getPayloadV3",
        "engine_getPayloadV4",
        "engine_getPayloadV5",
    ];
    let fork_choice =
        ["engine_forkchoiceUpdatedV1", "engine_forkchoiceUpdatedV2", "engine_forkchoiceUpdatedV3"];
    let get_blobs = ["engine_getBlobsV1", "engine_getBlobsV2", "engine_getBlobsV3"];
    let bodies_by_hash = ["engine_getPayloadBodiesByHashV1"];
    let bodies_by_range = ["engine_getPayloadBodiesByRangeV1"];
    let client_version = ["engine_getClientVersionV1"];
    let capabilities = [
        new_payload.get(..versions.new_payload.into()).unwrap_or(&new_payload),
        get_payload.get(..versions.get_payload.into()).unwrap_or(&get_payload),
        &fork_choice,
        &get_blobs,
        &bodies_by_hash,
        &bodies_by_range,
        &client_version,
    ];
    let listed = capabilities.concat();
    let [new_payload, get_payload, ..] = capabilities;
    let mut module = RpcModule::new(Api { engine, pool, client, capabilities: listed });
    register(&mut module, new_payload, deliver)?;
    register(&mut module, get_payload, get)?;
    register(&mut module, &fork_choice, choose)?;
    register(&mut module, &get_blobs[..1], blobs_v1)?;
    module.register_blocking_method("engine_getBlobsV2", |params, api, _| {
        blobs_v2(&api, &Values::new(&params)?)
    })?;
    module.register_blocking_method("engine_getBlobsV3", |params, api, _| {
        blobs_v3(&api, &Values::new(&params)?)
    })?;
    register(&mut module, &bodies_by_hash, bodies_of)?;
    register(&mut module, &bodies_by_range, bodies_in)?;
    register(&mut module, &client_version, identify)?;
    register(&mut module, &["engine_exchangeCapabilities"], exchange)?;
    Ok(module.into())
}

/// Registers the versions of a method, the first one first.
fn register<C: Payloads + Pooled, T: Serialize + Clone + Send + 'static>(
    module: &mut RpcModule<Api<C>>,
    names: &[&'static str],
    handler: Handler<C, T>,
) -> Result<(), RegisterMethodError> {
    for (version, name) in (1..).zip(names) {
        module.register_blocking_method(name, move |params, api, _| {
            handler(&api, version, &Values::new(&params)?)
        })?;
    }
    Ok(())
}

/// `engine_newPayload`.
fn deliver<C: Payloads + Pooled>(
    api: &Api<C>,
    version: u8,
    values: &Values<'_>,
) -> Answer<PayloadStatus> {
    let chain = api.engine.chain();
    let delivered = delivered(chain, version, values)?;
    match chain.block_from_payload(delivered) {
        Ok(block) => Ok(api.engine.insert(block)?),
        Err(fault) => Ok(api.engine.refuse(&fault.to_string())),
    }
}

/// `engine_forkchoiceUpdated`.
fn choose<C: Payloads + Pooled>(
    api: &Api<C>,
    version: u8,
    values: &Values<'_>,
) -> Answer<ForkchoiceUpdated> {
    if values.len() != 1 {
        values.expect(2)?;
    }
    let state: ForkchoiceState = values.read(0)?;
    let engine = &api.engine;
    let wanted = match values.raw(1) {
        Ok(value) => {
            let head = engine.view().snapshot().header_by_hash(&state.head_block_hash)?;
            let next = head.map_or(0, |head| head.number().saturating_add(1));
            attributes(engine.chain(), version, next, value)
        }
        Err(_) => Ok(None),
    };
    match wanted {
        Ok(attributes) => Ok(engine.fork_choice_and_build(state, attributes)?),
        // Attributes that cannot be met do not take the fork choice back.
        Err(error) => {
            let status = engine.fork_choice(state)?;
            if status.is_valid() { Err(error) } else { Ok(ForkchoiceUpdated::new(status)) }
        }
    }
}

/// `engine_getPayload`.
fn get<C: Payloads + Pooled>(
    api: &Api<C>,
    version: u8,
    values: &Values<'_>,
) -> Answer<C::Envelope> {
    values.expect(1)?;
    let id: PayloadId = values.read(0)?;
    let chain = api.engine.chain();
    let built = api.engine.payload(id)?;
    let header = &built.block.block.block.header;
    let fork = chain.engine_fork(header.number(), header.timestamp());
    let newest = chain.newest_versions().get_payload;
    check_fork("engine_getPayload", version, fork, newest)?;
    built.envelope(chain, version).ok_or_else(|| {
        EngineApiError::UnsupportedFork(format!("engine_getPayloadV{version} is not for {fork}"))
    })
}

fn blob_hashes(values: &Values<'_>) -> Answer<Vec<B256>> {
    values.expect(1)?;
    let hashes: Vec<B256> = values.read(0)?;
    if hashes.len() > MAX_BLOBS {
        let (asked, limit) = (hashes.len() as u64, MAX_BLOBS as u64);
        return Err(EngineApiError::TooLarge { asked, limit });
    }
    Ok(hashes)
}

/// `engine_getBlobsV1`: blobs with one proof, until Osaka.
fn blobs_v1<C: Payloads + Pooled>(
    api: &Api<C>,
    _: u8,
    values: &Values<'_>,
) -> Answer<Vec<Option<BlobAndProofV1>>> {
    let hashes = blob_hashes(values)?;
    let head = api.engine.view().head();
    if api.engine.chain().engine_fork(head.number(), head.timestamp()) >= EthereumHardfork::Osaka {
        return Err(EngineApiError::UnsupportedFork("engine_getBlobsV1 is not for Osaka".into()));
    }
    let found = api.pool.blobs(&hashes);
    Ok(found.iter().map(|blob| with_proof(blob.as_ref()?)).collect())
}

fn with_proof<C: Pooled>(blob: &PooledBlob<C>) -> Option<BlobAndProofV1> {
    Some(BlobAndProofV1 { blob: Box::new(*blob.blob()?), proof: *blob.proof()? })
}

fn with_cell_proofs<C: Pooled>(blob: &PooledBlob<C>) -> Option<BlobAndProofV2> {
    let proofs = blob.cell_proofs()?.to_vec();
    Some(BlobAndProofV2 { blob: Box::new(*blob.blob()?), proofs })
}

/// `engine_getBlobsV2`: all blobs with cell proofs, or nothing.
fn blobs_v2<C: Payloads + Pooled>(
    api: &Api<C>,
    values: &Values<'_>,
) -> Answer<Option<Vec<BlobAndProofV2>>> {
    let hashes = blob_hashes(values)?;
    let found = api.pool.blobs(&hashes);
    Ok(found.iter().map(|blob| with_cell_proofs(blob.as_ref()?)).collect())
}

/// `engine_getBlobsV3`: those blobs with cell proofs that there are.
fn blobs_v3<C: Payloads + Pooled>(
    api: &Api<C>,
    values: &Values<'_>,
) -> Answer<Vec<Option<BlobAndProofV2>>> {
    let hashes = blob_hashes(values)?;
    let found = api.pool.blobs(&hashes);
    Ok(found.iter().map(|blob| with_cell_proofs(blob.as_ref()?)).collect())
}

fn body<C: Payloads>(block: &Block<C>) -> ExecutionPayloadBodyV1 {
    ExecutionPayloadBodyV1 {
        transactions: block.body.transactions.iter().map(|tx| tx.encoded_2718().into()).collect(),
        withdrawals: block.body.withdrawals.as_ref().map(|list| list.to_vec()),
    }
}

fn check_count(asked: u64) -> Answer<()> {
    if asked <= MAX_BODIES {
        return Ok(());
    }
    Err(EngineApiError::TooLarge { asked, limit: MAX_BODIES })
}

/// `engine_getPayloadBodiesByHash`.
fn bodies_of<C: Payloads + Pooled>(
    api: &Api<C>,
    _: u8,
    values: &Values<'_>,
) -> Answer<Vec<Option<ExecutionPayloadBodyV1>>> {
    values.expect(1)?;
    let hashes: Vec<B256> = values.read(0)?;
    check_count(hashes.len() as u64)?;
    let snapshot = api.engine.view().snapshot();
    hashes
        .iter()
        .map(|hash| Ok(snapshot.block_by_hash(hash)?.map(|block| body::<C>(&block.block))))
        .collect()
}

/// `engine_getPayloadBodiesByRange`.
fn bodies_in<C: Payloads + Pooled>(
    api: &Api<C>,
    _: u8,
    values: &Values<'_>,
) -> Answer<Vec<Option<ExecutionPayloadBodyV1>>> {
    values.expect(2)?;
    let (Quantity(first), Quantity(count)) = (values.read(0)?, values.read(1)?);
    if first == 0 || count == 0 {
        return Err(EngineApiError::InvalidParams("start and count must be above zero".into()));
    }
    check_count(count)?;
    let snapshot = api.engine.view().snapshot();
    let newest = snapshot.head().number();
    (first..first.saturating_add(count))
        .take_while(|number| *number <= newest)
        .map(|number| Ok(snapshot.block(number)?.map(|block| body::<C>(&block.block))))
        .collect()
}

/// `engine_getClientVersion`.
fn identify<C: Payloads + Pooled>(
    api: &Api<C>,
    _: u8,
    values: &Values<'_>,
) -> Answer<Vec<ClientVersion>> {
    values.expect(1)?;
    let client: ClientVersion = values.read(0)?;
    tracing::debug!(
        target: "lockstep_rpc",
        name = %client.name, version = %client.version,
        "a consensus client introduced itself"
    );
    Ok(vec![api.client.clone()])
}

/// `engine_exchangeCapabilities`.
fn exchange<C: Payloads + Pooled>(
    api: &Api<C>,
    _: u8,
    values: &Values<'_>,
) -> Answer<Vec<&'static str>> {
    values.expect(1)?;
    let theirs: Vec<String> = values.read(0)?;
    let missing = theirs.iter().filter(|name| !api.capabilities.contains(&name.as_str())).count();
    tracing::debug!(target: "lockstep_rpc", missing, "a consensus client told its capabilities");
    Ok(api.capabilities.clone())
}
