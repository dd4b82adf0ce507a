//! Engine tests: blocks delivered as payloads, as far as no server is needed.

use super::{
    BlockTree,
    blockchain::{expect_head, genesis},
    chain,
};
use crate::{
    executors::{BlockError, Executors},
    model::engine::{EngineTest, Payload},
    report::Outcome,
};
use alloy_consensus::{Header, Transaction};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_engine::{
    CancunPayloadFields, ExecutionPayload, ExecutionPayloadSidecar, PraguePayloadFields,
};
use lockstep_chain::{Block, Chain, Ethereum, EthereumHardfork, EthereumTransaction};
use serde_json::Value;

/// JSON-RPC: the parameters are not those of the method.
pub const INVALID_PARAMS: i64 = -32602;

/// Engine API: the method's version is not for this payload's fork.
pub const UNSUPPORTED_FORK: i64 = -38005;

/// Runs one test.
pub fn run(test: &EngineTest, executors: &Executors) -> Outcome {
    match chain(&test.network, test.config.as_ref()) {
        Ok(chain) => run_on(chain, test, executors).into(),
        Err(outcome) => outcome,
    }
}

fn run_on(chain: Ethereum, test: &EngineTest, executors: &Executors) -> Result<(), String> {
    let genesis = genesis(&test.genesis)?;
    let mut tree = BlockTree::new(chain, genesis, &test.pre, None, executors)?;
    for (index, payload) in test.payloads.iter().enumerate() {
        deliver(&mut tree, payload)
            .map_err(|error| format!("payload {} of the test: {error}", index + 1))?;
    }
    expect_head(&tree, test.last_block_hash, test.post_state.as_ref(), test.post_state_hash)
}

/// Delivers a payload and makes it the head, or sees it refused if it must be.
fn deliver(tree: &mut BlockTree<'_>, payload: &Payload) -> Result<(), String> {
    let version = payload.new_payload_version.0;
    let checked = check_params(tree.chain(), version, &payload.params);
    let (params, code) = match (checked, payload.error_code) {
        (Err(error), Some(code)) if error.code == code => return Ok(()),
        (Err(error), expected) => {
            let expected = expected.map_or("none".into(), |code| code.to_string());
            return Err(format!("error code: expected {expected}, got {}: {error}", error.code));
        }
        (Ok(params), code) => (params, code),
    };
    if let Some(code) = code {
        return Err(format!("the parameters were accepted, expected error {code}"));
    }
    let imported = params.into_block().map_err(BlockError::Refused);
    let imported = imported.and_then(|block| tree.import(block, false));
    match (&payload.validation_error, imported) {
        (_, Err(error @ BlockError::Disputed(_))) => Err(error.to_string()),
        (Some(_), Err(BlockError::Refused(_))) => Ok(()),
        (Some(expected), Ok(hash)) => {
            Err(format!("block {hash} was accepted, expected {expected}"))
        }
        (None, Err(error)) => Err(format!("refused: {error}")),
        (None, Ok(hash)) => tree.set_head(hash),
    }
}

/// Why a call is answered with an error instead of a status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ParamsError {
    /// The JSON-RPC error code.
    pub code: i64,
    /// What is wrong with the parameters.
    pub reason: String,
}

/// The parameters of `engine_newPayloadV…` in their types.
#[derive(Debug)]
struct Params {
    payload: ExecutionPayload,
    cancun: Option<CancunPayloadFields>,
    requests: Option<Requests>,
}

fn invalid(reason: impl Into<String>) -> ParamsError {
    ParamsError { code: INVALID_PARAMS, reason: reason.into() }
}

fn read<T: serde::de::DeserializeOwned>(params: &[Value], index: usize) -> Result<T, ParamsError> {
    let value =
        params.get(index).ok_or_else(|| invalid(format!("parameter {index} is missing")))?;
    T::deserialize(value).map_err(|error| invalid(format!("parameter {index}: {error}")))
}

/// Whether the parameters are those that this version of the method takes, for a payload of this
/// time (execution-apis: `engine_newPayloadV1` to `V4`).
fn check_params(chain: &Ethereum, version: u64, params: &[Value]) -> Result<Params, ParamsError> {
    let (count, newest_payload) = match version {
        1 => (1, 1),
        2 => (1, 2),
        3 => (3, 3),
        4 => (4, 3),
        _ => return Err(invalid(format!("there is no version {version}"))),
    };
    if params.len() != count {
        return Err(invalid(format!("expected {count} parameters, got {}", params.len())));
    }
    let payload: ExecutionPayload = read(params, 0)?;
    let form = match &payload {
        ExecutionPayload::V1(_) => 1,
        ExecutionPayload::V2(_) => 2,
        ExecutionPayload::V3(_) => 3,
        ExecutionPayload::V4(_) => 4,
    };
    // Versions 3 and 4 know one form of payload only; 2 knows two, of which the fork takes one.
    let fork = fork_of(chain, &payload);
    let wanted = match newest_payload {
        2 if fork < EthereumHardfork::Shanghai => 1,
        newest => newest,
    };
    if form != wanted {
        return Err(invalid(format!("payload of form {form}, expected {wanted}")));
    }
    check_fork(version, fork)?;
    let cancun = (version >= 3)
        .then(|| {
            Ok(CancunPayloadFields {
                versioned_hashes: read(params, 1)?,
                parent_beacon_block_root: read(params, 2)?,
            })
        })
        .transpose()?;
    let requests = (version >= 4).then(|| check_requests(read(params, 3)?)).transpose()?;
    Ok(Params { payload, cancun, requests })
}

fn fork_of(chain: &Ethereum, payload: &ExecutionPayload) -> EthereumHardfork {
    chain.fork(&Header {
        number: payload.block_number(),
        timestamp: payload.timestamp(),
        ..Default::default()
    })
}

fn check_fork(version: u64, fork: EthereumHardfork) -> Result<(), ParamsError> {
    let fits = match version {
        1 | 2 => fork < EthereumHardfork::Cancun,
        3 => fork == EthereumHardfork::Cancun,
        _ => fork >= EthereumHardfork::Prague,
    };
    if fits {
        return Ok(());
    }
    let reason = format!("version {version} is not for {fork}");
    Err(ParamsError { code: UNSUPPORTED_FORK, reason })
}

/// Requests come in ascending order of their types, each type once and none empty (EIP-7685).
fn check_requests(list: Vec<Bytes>) -> Result<Requests, ParamsError> {
    let mut last = None;
    for request in &list {
        let ty = request.first().filter(|_| request.len() > 1);
        let ty = ty.ok_or_else(|| invalid("an execution request without data"))?;
        if last.is_some_and(|last| last >= *ty) {
            return Err(invalid("execution requests are not in ascending order of their types"));
        }
        last = Some(*ty);
    }
    Ok(Requests::new(list))
}

impl Params {
    /// The block that the parameters describe.
    fn into_block(self) -> Result<Block<Ethereum>, String> {
        let stated_hash: B256 = self.payload.block_hash();
        let sidecar = match (self.cancun.clone(), self.requests) {
            (Some(cancun), Some(requests)) => {
                ExecutionPayloadSidecar::v4(cancun, PraguePayloadFields::new(requests))
            }
            (Some(cancun), None) => ExecutionPayloadSidecar::v3(cancun),
            _ => ExecutionPayloadSidecar::none(),
        };
        let block: Block<Ethereum> = self
            .payload
            .try_into_block_with_sidecar::<EthereumTransaction>(&sidecar)
            .map_err(|error| error.to_string())?;
        let hash = block.header.hash_slow();
        if hash != stated_hash {
            return Err(format!("blockHash: the payload states {stated_hash}, its hash is {hash}"));
        }
        if let Some(cancun) = &self.cancun {
            let carried =
                block.body.transactions.iter().filter_map(|tx| tx.blob_versioned_hashes());
            let carried: Vec<B256> = carried.flatten().copied().collect();
            if carried != cancun.versioned_hashes {
                return Err("the blob hashes are not those of the transactions".into());
            }
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_must_ascend_and_hold_data() {
        let request = |bytes: &'static [u8]| Bytes::from_static(bytes);
        assert!(check_requests(vec![request(&[0, 1]), request(&[2, 1])]).is_ok());
        for list in [
            vec![request(&[])],
            vec![request(&[0])],
            vec![request(&[1, 1]), request(&[0, 1])],
            vec![request(&[1, 1]), request(&[1, 2])],
        ] {
            assert_eq!(check_requests(list).unwrap_err().code, INVALID_PARAMS);
        }
    }

    #[test]
    fn versions_belong_to_forks() {
        assert_eq!(check_fork(3, EthereumHardfork::Cancun), Ok(()));
        assert_eq!(check_fork(4, EthereumHardfork::Osaka), Ok(()));
        for (version, fork) in [
            (2, EthereumHardfork::Cancun),
            (3, EthereumHardfork::Shanghai),
            (3, EthereumHardfork::Prague),
            (4, EthereumHardfork::Cancun),
        ] {
            assert_eq!(check_fork(version, fork).unwrap_err().code, UNSUPPORTED_FORK);
        }
    }

    #[test]
    fn hostile_parameters_are_an_error() {
        let chain = super::chain("Prague", None).unwrap();
        for params in ["[]", "[null]", "[1,2,3,4]", r#"[{}, [], "0x", []]"#] {
            let params: Vec<Value> = serde_json::from_str(params).unwrap();
            let error = check_params(&chain, 4, &params).unwrap_err();
            assert_eq!(error.code, INVALID_PARAMS, "{error}");
        }
        assert!(check_params(&chain, 9, &[]).is_err());
    }
}
