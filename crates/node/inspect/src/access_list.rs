//! `eth_createAccessList`.

use crate::{
    CallOutcome, Ending, Inspect, InspectError, Limits, Overrides,
    call::Prepared,
    limits::{Recorded, Watch},
};
use alloy_consensus::Header;
use alloy_rpc_types_eth::{AccessList, AccessListResult, TransactionRequest};
use lockstep_execution::StateReader;
use revm_inspectors::access_list::AccessListInspector;

/// A list changes the gas that is left, and code may look at that; few rounds settle it.
const MAX_ROUNDS: usize = 16;

/// The accounts and slots that a transaction would touch, without its sender, its recipient and
/// precompiles, and the gas it uses with that list.
///
/// A transaction that fails has a list, too; the failure is told in the result.
///
/// # Errors
/// [`InspectError::Refused`] if it cannot run at all.
pub fn create_access_list<C: Inspect, S: StateReader>(
    chain: &C,
    header: &Header,
    state: S,
    request: &TransactionRequest,
    overrides: &Overrides,
    limits: &Limits<'_>,
) -> Result<AccessListResult, InspectError> {
    let prepared = Prepared::new(chain, header, state, overrides, limits)?;
    let mut call = prepared.call(chain, request, limits)?;
    // A legacy call has no place for a list.
    call.tx_type = call.tx_type.max(1);
    let mut outcome = None;
    for _ in 0..MAX_ROUNDS {
        if limits.is_stopped() {
            return Err(InspectError::Stopped);
        }
        let tracer = AccessListInspector::new(call.access_list.clone());
        let mut inspectors = (Watch::new(*limits, Recorded::default()), tracer);
        let state = prepared.fresh_state(chain);
        let result = prepared.inspect(chain, &call, &mut inspectors, state, limits);
        let (watch, tracer) = inspectors;
        if let Some(verdict) = watch.verdict() {
            return Err(verdict);
        }
        outcome = Some(CallOutcome::new::<C>(result?.0.result));
        let mut list = tracer.into_access_list();
        list.0.sort_unstable_by_key(|item| item.address);
        let is_settled = same(&list, &call.access_list);
        call.access_list = list;
        if is_settled {
            break;
        }
    }
    let outcome = outcome.ok_or(InspectError::Stopped)?;
    let error = match &outcome.ending {
        Ending::Success(_) => None,
        Ending::Reverted(_) => Some("execution reverted".to_owned()),
        Ending::Halted { message, .. } => Some(message.clone()),
    };
    Ok(AccessListResult {
        access_list: call.access_list,
        gas_used: alloy_primitives::U256::from(outcome.gas_used),
        error,
    })
}

fn same(left: &AccessList, right: &AccessList) -> bool {
    let count = |list: &AccessList| {
        let slots: usize = list.0.iter().map(|item| item.storage_keys.len()).sum();
        (list.0.len(), slots)
    };
    // A list only ever grows from round to round.
    count(left) == count(right)
}
