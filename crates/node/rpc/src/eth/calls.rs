//! Calls that leave nothing behind.

use crate::{
    Args, Context, RpcChain, RpcError, RpcResult,
    context::{Current, header_of, locate},
    error::REVERTED,
    register::{Registrar, run_handler},
};
use alloy_consensus::Header;
use alloy_eips::BlockId;
use alloy_primitives::{Bytes, U64};
use alloy_rpc_types_eth::{
    AccessListResult, BlockOverrides, TransactionRequest, state::StateOverride,
};
use lockstep_inspect::{InspectError, Limits as InspectLimits, Overrides, SimulateRequest};
use lockstep_storage::{State, StorageError};
use serde_json::Value;
use std::sync::Arc;

pub(super) fn register<C: RpcChain>(registrar: &mut Registrar<C>) {
    registrar
        .task("eth_call", |context, params| async move {
            let workers = context.workers.clone();
            workers.run(move || run_handler(&context, &params, call)).await
        })
        .work("eth_estimateGas", estimate_gas)
        .work("eth_createAccessList", create_access_list)
        .work("eth_simulateV1", simulate);
}

/// The limits of calls.
pub(crate) fn call_limits<C: RpcChain>(context: &Context<C>) -> InspectLimits<'static> {
    InspectLimits { gas_cap: context.settings.limits.call_gas, ..InspectLimits::DEFAULT }
}

/// Block and state that a call runs on.
pub(crate) struct Target {
    pub(crate) header: Header,
    pub(crate) hash: alloy_primitives::B256,
    pub(crate) state: Arc<dyn State>,
}

/// Finds the block that a call names.
pub(crate) fn target<C: RpcChain>(
    context: &Context<C>,
    now: &Current<C>,
    id: BlockId,
) -> RpcResult<Target> {
    if id.is_pending()
        && let Some(pending) = context.pending.as_ref().and_then(|pending| pending.pending())
    {
        let header = pending.block.block.header.clone();
        return Ok(Target { header, hash: pending.block.hash(), state: pending.state });
    }
    if id.is_latest() || id.is_pending() {
        let head = now.snapshot.head();
        let state = now.state()?;
        return Ok(Target { header: head.inner().clone(), hash: head.seal(), state });
    }
    let located = locate(&now.snapshot, id)?.ok_or(RpcError::UnknownBlock)?;
    let header = header_of(&now.snapshot, located)?.ok_or(RpcError::UnknownBlock)?;
    let state = context.state_of(now, id)?;
    let hash = header.seal();
    Ok(Target { header: header.into_inner(), hash, state })
}

/// An error of a call in the form that tools expect.
pub(crate) fn call_error(error: InspectError) -> RpcError {
    with_code(error, InspectError::code)
}

fn with_code(error: InspectError, code: fn(&InspectError) -> i32) -> RpcError {
    let error_code = code(&error);
    let message = error.to_string();
    match error {
        InspectError::Reverted(output) if error_code == REVERTED => {
            RpcError::Reverted { message, output }
        }
        InspectError::State(cause) => match cause.downcast::<StorageError>() {
            Ok(cause) => RpcError::Storage(*cause),
            Err(cause) => RpcError::Internal(cause.to_string()),
        },
        _ => RpcError::Refused { code: error_code, message },
    }
}

struct Call {
    request: TransactionRequest,
    block: BlockId,
    overrides: Overrides,
}

fn parse_call(args: &mut Args<'_>) -> RpcResult<Call> {
    let request: TransactionRequest = args.required()?;
    let block = args.block()?;
    let state: Option<StateOverride> = args.optional()?;
    let header: Option<BlockOverrides> = args.optional()?;
    Ok(Call { request, block, overrides: Overrides { state, block: header } })
}

fn call<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Bytes> {
    let Call { request, block, overrides } = parse_call(args)?;
    let Target { header, state, .. } = target(context, &context.now(), block)?;
    let chain = context.view.chain();
    let limits = call_limits(context);
    lockstep_inspect::call(chain, &header, state, &request, &overrides, &limits)
        .and_then(lockstep_inspect::CallOutcome::into_output)
        .map_err(call_error)
}

fn estimate_gas<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<U64> {
    let Call { request, block, overrides } = parse_call(args)?;
    let Target { header, state, .. } = target(context, &context.now(), block)?;
    let chain = context.view.chain();
    let limits = call_limits(context);
    lockstep_inspect::estimate_gas(chain, &header, state, &request, &overrides, &limits)
        .map(U64::from)
        .map_err(call_error)
}

fn create_access_list<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<AccessListResult> {
    let request: TransactionRequest = args.required()?;
    let block = args.block()?;
    let state: Option<StateOverride> = args.optional()?;
    let overrides = Overrides { state, block: None };
    let Target { header, state, .. } = target(context, &context.now(), block)?;
    let chain = context.view.chain();
    let limits = call_limits(context);
    lockstep_inspect::create_access_list(chain, &header, state, &request, &overrides, &limits)
        .map_err(call_error)
}

fn simulate<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Vec<Value>> {
    let request: SimulateRequest = args.required()?;
    let block = args.block()?;
    let Target { header, hash, state } = target(context, &context.now(), block)?;
    let base = alloy_primitives::Sealed::new_unchecked(header, hash);
    let limits = call_limits(context);
    lockstep_inspect::simulate_v1(context.view.chain(), &base, &*state, &request, &limits)
        .map_err(|error| with_code(error, InspectError::simulation_code))
}
