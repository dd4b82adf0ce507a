//! Calls that the protocol itself makes to system contracts around the transactions of a block.

use crate::{BlockState, ExecutionError, StateReader, executor::evm_failure};
use alloc::{format, string::ToString};
use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_evm::Evm;
use alloy_primitives::{Address, B256, Bytes};
use revm::{
    DatabaseCommit,
    context_interface::result::{ExecutionResult, ResultAndState},
    handler::SYSTEM_ADDRESS,
};

/// Writes the parent's beacon root to its ring buffer (EIP-4788).
pub(crate) fn store_beacon_root<S: StateReader>(
    evm: &mut impl Evm<DB = BlockState<S>>,
    root: B256,
) -> Result<(), ExecutionError<S::Error>> {
    call_if_deployed(evm, BEACON_ROOTS_ADDRESS, root.into())
}

/// Writes the parent's hash to its ring buffer (EIP-2935).
pub(crate) fn store_parent_hash<S: StateReader>(
    evm: &mut impl Evm<DB = BlockState<S>>,
    parent_hash: B256,
) -> Result<(), ExecutionError<S::Error>> {
    call_if_deployed(evm, HISTORY_STORAGE_ADDRESS, parent_hash.into())
}

/// Takes the queued withdrawal requests (EIP-7002).
pub(crate) fn take_withdrawal_requests<S: StateReader>(
    evm: &mut impl Evm<DB = BlockState<S>>,
) -> Result<Bytes, ExecutionError<S::Error>> {
    take_requests(evm, WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS)
}

/// Takes the queued consolidation requests (EIP-7251).
pub(crate) fn take_consolidation_requests<S: StateReader>(
    evm: &mut impl Evm<DB = BlockState<S>>,
) -> Result<Bytes, ExecutionError<S::Error>> {
    take_requests(evm, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS)
}

/// A call whose failure does not matter: EIP-4788 and EIP-2935 make none if there is no code, and
/// ignore a revert.
fn call_if_deployed<S: StateReader>(
    evm: &mut impl Evm<DB = BlockState<S>>,
    contract: Address,
    input: Bytes,
) -> Result<(), ExecutionError<S::Error>> {
    if !has_code(evm, contract)? {
        return Ok(());
    }
    call(evm, contract, input).map(|_| ())
}

/// A call that must succeed: without it the block is invalid.
fn take_requests<S: StateReader>(
    evm: &mut impl Evm<DB = BlockState<S>>,
    contract: Address,
) -> Result<Bytes, ExecutionError<S::Error>> {
    if !has_code(evm, contract)? {
        let reason = "there is no code at this address".to_string();
        return Err(ExecutionError::SystemCall { contract, reason });
    }
    let failed = |reason| Err(ExecutionError::SystemCall { contract, reason });
    match call(evm, contract, Bytes::new())? {
        Outcome::Success(output) => Ok(output),
        Outcome::Revert(output) => failed(format!("reverted with {output}")),
        Outcome::Halt(reason) => failed(format!("halted: {reason}")),
    }
}

enum Outcome {
    Success(Bytes),
    Revert(Bytes),
    Halt(alloc::string::String),
}

fn call<S: StateReader>(
    evm: &mut impl Evm<DB = BlockState<S>>,
    contract: Address,
    input: Bytes,
) -> Result<Outcome, ExecutionError<S::Error>> {
    let ResultAndState { result, mut state } =
        match evm.transact_system_call(SYSTEM_ADDRESS, contract, input) {
            Ok(outcome) => outcome,
            Err(error) => return Err(evm_failure(evm.db_mut(), error)),
        };
    // The caller pays nothing and is no account that the call may bring into being.
    state.remove(&SYSTEM_ADDRESS);
    evm.db_mut().commit(state);
    Ok(match result {
        ExecutionResult::Success { output, .. } => Outcome::Success(output.into_data()),
        ExecutionResult::Revert { output, .. } => Outcome::Revert(output),
        ExecutionResult::Halt { reason, .. } => Outcome::Halt(format!("{reason:?}")),
    })
}

fn has_code<S: StateReader>(
    evm: &mut impl Evm<DB = BlockState<S>>,
    address: Address,
) -> Result<bool, ExecutionError<S::Error>> {
    let state = evm.db_mut();
    match state.account(&address) {
        Ok(account) => Ok(account.is_some_and(|info| !info.is_empty_code_hash())),
        Err(error) => Err(evm_failure(state, error)),
    }
}
