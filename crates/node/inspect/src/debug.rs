//! `debug_trace*`: how go-ethereum tells what code did.

use crate::{
    Inspect, InspectError, Limits, Overrides,
    call::Prepared,
    limits::Watch,
    replay::{BlockReplay, ReplayBlock},
    tracer::{Traced, Tracer},
};
use alloy_consensus::{Header, Transaction};
use alloy_rpc_types_eth::{TransactionInfo, TransactionRequest};
use alloy_rpc_types_trace::geth::{GethDebugTracingOptions, GethTrace, TraceResult};
use core::time::Duration;
use lockstep_execution::StateReader;

/// Traces the transaction at `index` of a block, on the parent's state.
///
/// # Errors
/// [`InspectError::NoTransaction`], [`InspectError::Genesis`], [`InspectError::UnknownTracer`],
/// [`InspectError::Stopped`], [`InspectError::Limit`] if the trace gets too large.
pub fn trace_transaction<C: Inspect, S: StateReader>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    index: usize,
    options: &GethDebugTracingOptions,
    limits: &Limits<'_>,
) -> Result<GethTrace, InspectError> {
    block.check_index(index)?;
    let mut replay = tracing_replay(chain, block, parent_state, options, limits)?;
    replay.skip_to(index, limits)?;
    match trace_next(&mut replay, block)? {
        Some(trace) => Ok(trace),
        None => Err(InspectError::NoTransaction { index, transactions: index }),
    }
}

/// Traces all transactions of a block, on the parent's state.
///
/// # Errors
/// As [`trace_transaction`]; the first failure ends it.
pub fn trace_block<C: Inspect, S: StateReader>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    options: &GethDebugTracingOptions,
    limits: &Limits<'_>,
) -> Result<Vec<TraceResult>, InspectError> {
    let mut replay = tracing_replay(chain, block, parent_state, options, limits)?;
    let mut results = Vec::new();
    while let Some(trace) = trace_next(&mut replay, block)? {
        let tx_hash = block.transaction_info(results.len()).hash;
        results.push(TraceResult::new_success(trace, tx_hash));
    }
    Ok(results)
}

type TracingReplay<'a, C, S, A> = BlockReplay<'a, C, S, (Watch<'a>, A)>;

fn tracing_replay<'a, C: Inspect, S: StateReader>(
    chain: &'a C,
    block: ReplayBlock<'a, C>,
    parent_state: S,
    options: &GethDebugTracingOptions,
    limits: &Limits<'a>,
) -> Result<TracingReplay<'a, C, S, Tracer>, InspectError> {
    let tracer = Tracer::new(options)?;
    let watch = Watch::new(*limits, tracer.recorded());
    BlockReplay::new(chain, block, parent_state, (watch, tracer))
}

fn trace_next<C: Inspect, S: StateReader>(
    replay: &mut TracingReplay<'_, C, S, Tracer>,
    block: ReplayBlock<'_, C>,
) -> Result<Option<GethTrace>, InspectError> {
    let (watch, tracer) = replay.parts().1;
    watch.next_transaction()?;
    tracer.reset()?;
    let result = replay.inspect_next();
    let (state, (watch, tracer)) = replay.parts();
    if let Some(verdict) = watch.verdict() {
        return Err(verdict);
    }
    let Some(replayed) = result? else { return Ok(None) };
    let index = replayed.index;
    let transaction = block.block.body.transactions.get(index);
    let traced = Traced {
        gas_limit: transaction.map_or(0, Transaction::gas_limit),
        sender: block.senders.get(index).copied().unwrap_or_default(),
        info: block.transaction_info(index),
    };
    let trace = tracer.trace(traced, &replayed.outcome, state)?;
    replay.commit(replayed);
    Ok(Some(trace))
}

/// Traces a call in the block with this header, on the state after that block.
///
/// # Errors
/// As [`crate::call`], and those of [`trace_transaction`].
pub fn trace_call<C: Inspect, S: StateReader>(
    chain: &C,
    header: &Header,
    state: S,
    request: &TransactionRequest,
    overrides: &Overrides,
    options: &GethDebugTracingOptions,
    limits: &Limits<'_>,
) -> Result<GethTrace, InspectError> {
    let prepared = Prepared::new(chain, header, state, overrides, limits)?;
    let call = prepared.call(chain, request, limits)?;
    let traced = Traced {
        gas_limit: call.gas_limit,
        sender: call.caller,
        info: TransactionInfo {
            block_number: Some(prepared.header.number),
            base_fee: prepared.header.base_fee_per_gas,
            ..TransactionInfo::default()
        },
    };
    let tracer = Tracer::new(options)?;
    let mut inspectors = (Watch::new(*limits, tracer.recorded()), tracer);
    let state = prepared.fresh_state(chain);
    let result = prepared.inspect(chain, &call, &mut inspectors, state, limits);
    let (watch, mut tracer) = inspectors;
    if let Some(verdict) = watch.verdict() {
        return Err(verdict);
    }
    let (outcome, mut state) = result?;
    tracer.trace(traced, &outcome, &mut state)
}

/// The time that tracing options grant, which come as Go writes durations (`1m30s`, `500ms`).
///
/// # Errors
/// [`InspectError::Argument`] if it is no such duration.
pub fn trace_timeout(options: &GethDebugTracingOptions) -> Result<Option<Duration>, InspectError> {
    let Some(text) = &options.timeout else { return Ok(None) };
    match parse_duration(text) {
        Some(duration) => Ok(Some(duration)),
        None => Err(InspectError::Argument(format!("timeout: `{text}` is not a duration"))),
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()?;
        total = total.checked_add(part)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(parse_duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("2500ms"), Some(Duration::from_millis(2500)));
        assert_eq!(parse_duration("1.5h"), Some(Duration::from_secs(5400)));
        for text in ["", "5", "s", "5 s", "-1s", "1e9s", "1..2s", "99999999999999999999h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
