//! Calls that leave nothing behind.

use crate::{
    Args, Context, RpcChain, RpcError, RpcResult,
    context::{Current, header_of, locate},
    deadline::Deadline,
    error::REVERTED,
    eth::Place,
    peers::PeersThen,
    register::Registrar,
};
use alloy_consensus::Header;
use alloy_eips::BlockId;
use alloy_primitives::{Bytes, U64};
use alloy_rpc_types_eth::{
    AccessListResult, BlockOverrides, TransactionRequest, state::StateOverride,
};
use lockstep_inspect::{InspectError, Limits as InspectLimits, Overrides, Peers, SimulateRequest};
use lockstep_storage::{State, StorageError};
use serde_json::Value;
use std::sync::Arc;

pub(super) fn register<C: RpcChain>(registrar: &mut Registrar<C>) {
    registrar
        .task("eth_call", |context, params| async move {
            let call = {
                let mut args = Args::new(&params)?;
                let call = parse_call(&mut args)?;
                args.end()?;
                call
            };
            let place = short_place(&context, &call);
            let is_short = place.is_some_and(|place| context.call_costs.is_short(place));
            if is_short && let Some(_permit) = context.call_costs.at_once() {
                return run_call(&context, call, place, None);
            }
            let (deadline, _waiter) = Deadline::after(context.settings.limits.request_timeout);
            let workers = context.workers.clone();
            let run = move || {
                // Watching slows a call down.
                let watched = (!is_short).then_some(&deadline);
                deadline.judge(run_call(&context, call, place, watched))
            };
            workers.run(run).await
        })
        .work("eth_estimateGas", estimate_gas)
        .work("eth_createAccessList", create_access_list)
        .work("eth_simulateV1", simulate);
}

/// A call that may use more gas than this is never taken for a short one: it could not be stopped.
const MAX_SHORT_GAS: u64 = InspectLimits::DEFAULT.gas_cap;

/// The limits of calls.
pub(crate) fn call_limits<C: RpcChain>(context: &Context<C>) -> InspectLimits<'_> {
    InspectLimits {
        gas_cap: context.settings.limits.call_gas,
        peers: context.peers.as_deref(),
        ..InspectLimits::DEFAULT
    }
}

/// Block and state that a call runs on.
pub(crate) struct Target {
    pub(crate) header: Header,
    pub(crate) hash: alloy_primitives::B256,
    pub(crate) state: Arc<dyn State>,
    /// The other rollups as they were when the block was shown, if it is under construction.
    peers: Option<PeersThen>,
}

impl Target {
    /// The limits of a call on it.
    pub(crate) fn limits<'a, C: RpcChain>(&'a self, context: &'a Context<C>) -> InspectLimits<'a> {
        let limits = call_limits(context);
        let then = self.peers.as_ref().map(|peers| peers as &dyn Peers);
        InspectLimits { peers: then.or(limits.peers), ..limits }
    }
}

/// Finds the block that a call names.
pub(crate) fn target<C: RpcChain>(
    context: &Context<C>,
    now: &Current<C>,
    id: BlockId,
) -> RpcResult<Target> {
    if id.is_pending()
        && let Some(pending) = context.pending_block()
    {
        let header = pending.block.block.header.clone();
        let others = context.peers.clone();
        let peers = others.map(|others| PeersThen::new(pending.peers, others));
        return Ok(Target { header, hash: pending.block.hash(), state: pending.state, peers });
    }
    if id.is_latest() || id.is_pending() {
        let head = now.snapshot.head();
        let state = now.state()?;
        return Ok(Target { header: head.inner().clone(), hash: head.seal(), state, peers: None });
    }
    let located = locate(&now.snapshot, id)?.ok_or(RpcError::UnknownBlock)?;
    let header = header_of(&now.snapshot, located)?.ok_or(RpcError::UnknownBlock)?;
    let state = context.state_of(now, id)?;
    let hash = header.seal();
    Ok(Target { header: header.into_inner(), hash, state, peers: None })
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

/// The place of a call that may be short: on the newest state as it is, with bounded gas.
fn short_place<C: RpcChain>(context: &Context<C>, call: &Call) -> Option<Place> {
    let is_plain = call.overrides.state.is_none() && call.overrides.block.is_none();
    let gas = call.request.gas.unwrap_or(u64::MAX).min(context.settings.limits.call_gas);
    let is_newest = call.block.is_latest() || call.block.is_pending();
    (is_plain && is_newest && gas <= MAX_SHORT_GAS).then(|| context.call_costs.place(&call.request))
}

fn run_call<C: RpcChain>(
    context: &Context<C>,
    call: Call,
    place: Option<Place>,
    deadline: Option<&Deadline>,
) -> RpcResult<Bytes> {
    let Call { request, block, overrides } = call;
    let target = target(context, &context.now(), block)?;
    let chain = context.view.chain();
    let stop = || deadline.is_some_and(Deadline::has_passed);
    let mut limits: InspectLimits<'_> = target.limits(context);
    if deadline.is_some() {
        limits.stop = Some(&stop);
    }
    let (header, state) = (&target.header, target.state.clone());
    let outcome = lockstep_inspect::call(chain, header, state, &request, &overrides, &limits)
        .map_err(call_error)?;
    if let Some(place) = place {
        context.call_costs.note(place, outcome.gas_used);
    }
    outcome.into_output().map_err(call_error)
}

fn estimate_gas<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<U64> {
    let Call { request, block, overrides } = parse_call(args)?;
    let target = target(context, &context.now(), block)?;
    let chain = context.view.chain();
    let stop = args.stop();
    let limits = InspectLimits { stop: Some(&stop), ..target.limits(context) };
    let (header, state) = (&target.header, target.state.clone());
    lockstep_inspect::estimate_gas(chain, header, state, &request, &overrides, &limits)
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
    let target = target(context, &context.now(), block)?;
    let chain = context.view.chain();
    let stop = args.stop();
    let limits = InspectLimits { stop: Some(&stop), ..target.limits(context) };
    let (header, state) = (&target.header, target.state.clone());
    lockstep_inspect::create_access_list(chain, header, state, &request, &overrides, &limits)
        .map_err(call_error)
}

fn simulate<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Vec<Value>> {
    let request: SimulateRequest = args.required()?;
    let block = args.block()?;
    // The roots of what is simulated follow from the trie that it begins with.
    context.refuse_pending(block, "state root, so nothing that follows can be simulated,")?;
    let Target { header, hash, state, .. } = target(context, &context.now(), block)?;
    let base = alloy_primitives::Sealed::new_unchecked(header, hash);
    let stop = args.stop();
    let limits = InspectLimits { stop: Some(&stop), ..call_limits(context) };
    lockstep_inspect::simulate_v1(context.view.chain(), &base, &*state, &request, &limits)
        .map_err(|error| with_code(error, InspectError::simulation_code))
}
