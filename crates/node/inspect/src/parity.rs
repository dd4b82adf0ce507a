//! `trace_*`: how OpenEthereum tells what code did.

use crate::{
    Inspect, InspectError, Limits, Overrides,
    call::Prepared,
    execute::{OutcomeOf, state_failure},
    limits::{Recorded, Watch},
    replay::{BlockReplay, PreState, ReplayBlock},
};
use alloy_consensus::{Header, Transaction};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, U256, map::HashSet};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::parity::{
    LocalizedTransactionTrace, RewardAction, RewardType, TraceResults,
    TraceResultsWithTransactionHash, TraceType,
};
use lockstep_execution::{BlockState, StateReader};
use revm::Inspector;
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig};

pub use alloy_rpc_types_trace::filter::{TraceFilter, TraceFilterMatcher};

/// `trace_block`: what all transactions of a block did, and the rewards that it paid.
///
/// # Errors
/// [`InspectError::Genesis`], [`InspectError::Replay`], [`InspectError::State`],
/// [`InspectError::Stopped`], [`InspectError::Limit`].
pub fn block_traces<C: Inspect, S: StateReader>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    limits: &Limits<'_>,
) -> Result<Vec<LocalizedTransactionTrace>, InspectError> {
    let mut replay = Replay::new(chain, block, parent_state, &only_traces(), limits)?;
    let mut traces = Vec::new();
    while let Some(mut of_transaction) = replay.localized()? {
        traces.append(&mut of_transaction);
    }
    traces.extend(rewards(chain, block));
    Ok(traces)
}

/// `trace_transaction`: what the transaction at `index` of a block did. `trace_get` is one of them,
/// found by its trace address.
///
/// # Errors
/// As [`block_traces`], and [`InspectError::NoTransaction`].
pub fn transaction_traces<C: Inspect, S: StateReader>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    index: usize,
    limits: &Limits<'_>,
) -> Result<Vec<LocalizedTransactionTrace>, InspectError> {
    block.check_index(index)?;
    let mut replay = Replay::new(chain, block, parent_state, &only_traces(), limits)?;
    replay.inner.skip_to(index, limits)?;
    replay.localized()?.ok_or(InspectError::NoTransaction { index, transactions: index })
}

/// `trace_replayTransaction`.
///
/// # Errors
/// As [`transaction_traces`].
pub fn replay_transaction<C: Inspect, S: StateReader>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    index: usize,
    types: &HashSet<TraceType>,
    limits: &Limits<'_>,
) -> Result<TraceResults, InspectError> {
    block.check_index(index)?;
    let mut replay = Replay::new(chain, block, parent_state, types, limits)?;
    replay.inner.skip_to(index, limits)?;
    replay.results(types)?.ok_or(InspectError::NoTransaction { index, transactions: index })
}

/// `trace_replayBlockTransactions`.
///
/// # Errors
/// As [`block_traces`].
pub fn replay_block_transactions<C: Inspect, S: StateReader>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    types: &HashSet<TraceType>,
    limits: &Limits<'_>,
) -> Result<Vec<TraceResultsWithTransactionHash>, InspectError> {
    let mut replay = Replay::new(chain, block, parent_state, types, limits)?;
    let mut results = Vec::new();
    while let Some(full_trace) = replay.results(types)? {
        let transaction_hash = block.transaction_info(results.len()).hash.unwrap_or_default();
        results.push(TraceResultsWithTransactionHash { full_trace, transaction_hash });
    }
    Ok(results)
}

/// `trace_call`, in the block with this header, on the state after that block.
///
/// # Errors
/// As [`crate::call`].
pub fn trace_call_parity<C: Inspect, S: StateReader>(
    chain: &C,
    header: &Header,
    state: S,
    request: &TransactionRequest,
    types: &HashSet<TraceType>,
    overrides: &Overrides,
    limits: &Limits<'_>,
) -> Result<TraceResults, InspectError> {
    let mut prepared = Prepared::new(chain, header, state, overrides, limits)?;
    traced_call(chain, &mut prepared, request, types, limits, &mut 0)
}

/// `trace_callMany`: calls that see what the ones before them did.
///
/// # Errors
/// As [`crate::call`]; the first call that cannot run ends it.
pub fn trace_call_many<C: Inspect, S: StateReader>(
    chain: &C,
    header: &Header,
    state: S,
    calls: &[(TransactionRequest, HashSet<TraceType>)],
    limits: &Limits<'_>,
) -> Result<Vec<TraceResults>, InspectError> {
    let mut prepared = Prepared::new(chain, header, state, &Overrides::default(), limits)?;
    let mut taken = 0;
    let traced = calls.iter();
    traced
        .map(|(request, types)| {
            traced_call(chain, &mut prepared, request, types, limits, &mut taken)
        })
        .collect()
}

/// `trace_rawTransaction`: a transaction that is not in any block, in the block with this header on
/// the state after that block. Its fees and its nonce are not checked.
///
/// # Errors
/// As [`crate::call`].
pub fn trace_raw_transaction<C: Inspect, S: StateReader>(
    chain: &C,
    header: &Header,
    state: S,
    transaction: &C::Transaction,
    sender: Address,
    types: &HashSet<TraceType>,
    limits: &Limits<'_>,
) -> Result<TraceResults, InspectError> {
    let request = TransactionRequest::from_transaction(transaction.clone()).from(sender);
    trace_call_parity(chain, header, state, &request, types, &Overrides::default(), limits)
}

fn only_traces() -> HashSet<TraceType> {
    HashSet::from_iter([TraceType::Trace])
}

/// What is kept of every step for these types.
fn recorded(types: &HashSet<TraceType>) -> Recorded {
    let steps = types.contains(&TraceType::VmTrace);
    Recorded { steps, stack: steps, memory: steps, ..Recorded::default() }
}

fn tracer(types: &HashSet<TraceType>) -> TracingInspector {
    TracingInspector::new(TracingInspectorConfig::from_parity_config(types))
}

/// A block under replay, whose transactions are traced.
struct Replay<'a, C: Inspect, S: StateReader> {
    block: ReplayBlock<'a, C>,
    inner: BlockReplay<'a, C, S, (Watch<'a>, TracingInspector)>,
}

impl<'a, C: Inspect, S: StateReader> Replay<'a, C, S> {
    fn new(
        chain: &'a C,
        block: ReplayBlock<'a, C>,
        parent_state: S,
        types: &HashSet<TraceType>,
        limits: &Limits<'a>,
    ) -> Result<Self, InspectError> {
        let inspectors = (Watch::new(*limits, recorded(types)), tracer(types));
        let inner = BlockReplay::new(chain, block, parent_state, inspectors)?;
        Ok(Self { block, inner })
    }

    /// Runs the next transaction and hands it to `tell`.
    fn next<T>(
        &mut self,
        tell: impl FnOnce(
            TracingInspector,
            &OutcomeOf<C>,
            &mut BlockState<S>,
            usize,
        ) -> Result<T, InspectError>,
    ) -> Result<Option<T>, InspectError> {
        let (watch, tracer) = self.inner.parts().1;
        watch.next_transaction()?;
        tracer.fuse();
        let result = self.inner.inspect_next();
        let (state, (watch, tracer)) = self.inner.parts();
        if let Some(verdict) = watch.verdict() {
            return Err(verdict);
        }
        let Some(replayed) = result? else { return Ok(None) };
        let index = replayed.index;
        let mut tracer = tracer.clone();
        if let Some(transaction) = self.block.block.body.transactions.get(index) {
            tracer.set_transaction_gas_limit(transaction.gas_limit());
        }
        if let Some(sender) = self.block.senders.get(index) {
            tracer.set_transaction_caller(*sender);
        }
        let told = tell(tracer, &replayed.outcome, state, index)?;
        self.inner.commit(replayed);
        Ok(Some(told))
    }

    fn localized(&mut self) -> Result<Option<Vec<LocalizedTransactionTrace>>, InspectError> {
        let block = self.block;
        self.next(|tracer, _, _, index| {
            let builder = tracer.into_parity_builder();
            Ok(builder.into_localized_transaction_traces(block.transaction_info(index)))
        })
    }

    fn results(
        &mut self,
        types: &HashSet<TraceType>,
    ) -> Result<Option<TraceResults>, InspectError> {
        self.next(|tracer, outcome, state, _| trace_results::<C, S>(tracer, outcome, state, types))
    }
}

fn trace_results<C: Inspect, S: StateReader>(
    tracer: TracingInspector,
    outcome: &OutcomeOf<C>,
    state: &mut BlockState<S>,
    types: &HashSet<TraceType>,
) -> Result<TraceResults, InspectError> {
    let before = PreState::new(state);
    let builder = tracer.into_parity_builder();
    builder
        .into_trace_results_with_state(outcome, types, &before)
        .map_err(|error| state_failure(state, error))
}

/// Runs a call under a tracer and makes its changes part of the prepared state. `taken` counts the
/// bytes of the traces of one request.
fn traced_call<C: Inspect, S: StateReader>(
    chain: &C,
    prepared: &mut Prepared<C, S>,
    request: &TransactionRequest,
    types: &HashSet<TraceType>,
    limits: &Limits<'_>,
    taken: &mut usize,
) -> Result<TraceResults, InspectError> {
    let call = prepared.call(chain, request, limits)?;
    let (gas_limit, sender) = (call.gas_limit, call.caller);
    let mut watch = Watch::resumed(*limits, recorded(types), *taken);
    watch.next_transaction()?;
    let mut inspectors = (watch, tracer(types));
    let state = prepared.fresh_state(chain);
    let result = prepared.inspect(chain, &call, &mut inspectors, state, limits);
    let (watch, mut tracer) = inspectors;
    if let Some(verdict) = watch.verdict() {
        return Err(verdict);
    }
    *taken = watch.bytes();
    let (outcome, mut state) = result?;
    tracer.set_transaction_gas_limit(gas_limit);
    tracer.set_transaction_caller(sender);
    let results = trace_results::<C, _>(tracer, &outcome, &mut state, types)?;
    revm::DatabaseCommit::commit(&mut state, outcome.state);
    let changes = state.into_changes();
    prepared.overlay.apply(&changes);
    Ok(results)
}

/// The rewards of a proof-of-work block as traces: that of the block, then those of its ommers
/// (Yellow Paper § 11.3).
fn rewards<C: Inspect>(chain: &C, block: ReplayBlock<'_, C>) -> Vec<LocalizedTransactionTrace> {
    let header = &block.block.header;
    let Some(reward) = chain.block_reward(header) else { return Vec::new() };
    let ommers = &block.block.body.ommers;
    let place = BlockNumHash::new(header.number, block.hash);
    let total = reward + reward / 32 * ommers.len() as u128;
    let of_block = (header.beneficiary, RewardType::Block, total);
    let of_ommers = ommers.iter().map(|ommer| {
        let age = header.number.saturating_sub(ommer.number).min(8);
        (ommer.beneficiary, RewardType::Uncle, reward * u128::from(8 - age) / 8)
    });
    core::iter::once(of_block)
        .chain(of_ommers)
        .map(|(author, reward_type, value)| {
            let action = RewardAction { author, reward_type, value: U256::from(value) };
            action.into_localized_trace(place)
        })
        .collect()
}

/// Runs the transaction at `index` of a block under `inspector`; returns what it did with the
/// inspector.
pub(crate) fn inspect_transaction<C, S, I>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    index: usize,
    inspector: I,
    limits: &Limits<'_>,
) -> Result<(OutcomeOf<C>, I), InspectError>
where
    C: Inspect,
    S: StateReader,
    I: Inspector<crate::ContextOf<C, S>> + Default,
{
    block.check_index(index)?;
    let watch = Watch::new(*limits, Recorded::default());
    let mut replay = BlockReplay::new(chain, block, parent_state, (watch, inspector))?;
    replay.skip_to(index, limits)?;
    let result = replay.inspect_next();
    let (_, (watch, inspector)) = replay.parts();
    if let Some(verdict) = watch.verdict() {
        return Err(verdict);
    }
    let inspector = core::mem::take(inspector);
    let missing = InspectError::NoTransaction { index, transactions: index };
    Ok((result?.ok_or(missing)?.outcome, inspector))
}
