//! `eth_estimateGas`.

use crate::{
    CallOutcome, Ending, Inspect, InspectError, Limits, Overrides, Refusal, call::Prepared,
};
use alloy_consensus::Header;
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_primitives::U256;
use alloy_rpc_types_eth::TransactionRequest;
use lockstep_execution::StateReader;
use revm::context::TxEnv;

/// What a plain transfer costs, and the least that a gas limit makes sense with.
const TRANSFER_GAS: u64 = 21_000;

/// What a callee gets on top where value is sent along (Yellow Paper, appendix G).
const CALL_STIPEND: u64 = 2_300;

/// The search ends when the bounds are this near each other, as a part of a thousand: wallets add
/// more than that anyway.
const TOLERANCE_PER_MILLE: u64 = 15;

/// A call that goes on to dearer rollups needs more gas when their base fees rise before it is
/// executed, and so its estimate suffices at this many percent of them: base fees of the OP Stack rise
/// by 2 % in a full block.
const PEER_FEE_PERCENT: u64 = 112;

/// The smallest gas limit (within 1.5 %, never too small) with which a transaction in the block
/// with this header, on the state after that block, succeeds. It suffices, too, if the base fees of other
/// rollups that it reaches rise by 12 % against its own before.
///
/// # Errors
/// [`InspectError::Reverted`] or [`InspectError::Halted`] if it fails with all the gas it may have,
/// [`InspectError::Allowance`] if it fails for lack of gas, [`InspectError::Refused`] if it cannot
/// run at all.
pub fn estimate_gas<C: Inspect, S: StateReader>(
    chain: &C,
    header: &Header,
    state: S,
    request: &TransactionRequest,
    overrides: &Overrides,
    limits: &Limits<'_>,
) -> Result<u64, InspectError> {
    let mut prepared = Prepared::new(chain, header, state, overrides, limits)?;
    let call = prepared.call(chain, request, limits)?;
    let trial = Trial { chain, prepared: &prepared, call: &call, limits };
    let highest = trial.highest_limit(request)?;
    if call.data.is_empty() && trial.is_plain_transfer()? {
        let outcome = trial.run(TRANSFER_GAS)?;
        if outcome.is_some_and(|outcome| outcome.is_success()) {
            return Ok(TRANSFER_GAS);
        }
    }
    let Some(outcome) = trial.run(highest)? else { return Err(InspectError::Allowance(highest)) };
    match outcome.ending {
        Ending::Success(_) => {}
        Ending::Reverted(output) => return Err(InspectError::Reverted(output)),
        Ending::Halted { out_of_gas: true, .. } => return Err(InspectError::Allowance(highest)),
        Ending::Halted { message, .. } => return Err(InspectError::Halted(message)),
    }
    let found = trial.search_from(&outcome, highest)?;
    if limits.peers.is_none() {
        return Ok(found);
    }
    prepared.peer_fee_percent = PEER_FEE_PERCENT;
    let trial = Trial { chain, prepared: &prepared, call: &call, limits };
    trial.raise(found, highest)
}

struct Trial<'a, C: Inspect, S> {
    chain: &'a C,
    prepared: &'a Prepared<C, S>,
    call: &'a TxEnv,
    limits: &'a Limits<'a>,
}

impl<C: Inspect, S: StateReader> Trial<'_, C, S> {
    /// What the call does with this gas limit; `None` if the limit does not even pay for the
    /// transaction itself.
    fn run(&self, gas_limit: u64) -> Result<Option<CallOutcome>, InspectError> {
        if self.limits.is_stopped() {
            return Err(InspectError::Stopped);
        }
        let call = TxEnv { gas_limit, ..self.call.clone() };
        match self.prepared.run(self.chain, &call, self.limits) {
            Ok(outcome) => Ok(Some(CallOutcome::new::<C>(outcome.result))),
            Err(InspectError::Refused {
                reason: Refusal::IntrinsicGas { .. } | Refusal::FloorGas { .. },
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The most gas that the call may have: what it states or else the block has, what its sender
    /// can pay for, and what the node allows.
    fn highest_limit(&self, request: &TransactionRequest) -> Result<u64, InspectError> {
        let header = &self.prepared.header;
        let stated = request.gas.filter(|gas| *gas >= TRANSFER_GAS);
        let mut highest = stated.unwrap_or(header.gas_limit);
        if let Some(cap) = self.chain.transaction_gas_cap(header) {
            highest = highest.min(cap);
        }
        if self.call.gas_price > 0 {
            highest = highest.min(self.affordable()?);
        }
        Ok(highest.min(self.limits.gas_cap))
    }

    /// The gas that the sender can pay for after value and blobs.
    fn affordable(&self) -> Result<u64, InspectError> {
        let sender = &self.call.caller;
        let account = self.prepared.overlay.account(sender).map_err(InspectError::state)?;
        let balance = account.map_or(U256::ZERO, |info| info.balance);
        let blobs = U256::from(self.call.blob_hashes.len() as u64 * DATA_GAS_PER_BLOB)
            .saturating_mul(U256::from(self.call.max_fee_per_blob_gas));
        let rest = balance
            .checked_sub(self.call.value)
            .filter(|rest| !rest.is_zero())
            .ok_or(InspectError::Funds)?;
        let rest = rest.checked_sub(blobs).ok_or(InspectError::Funds)?;
        let gas = rest / U256::from(self.call.gas_price);
        Ok(u64::try_from(gas).unwrap_or(u64::MAX))
    }

    fn is_plain_transfer(&self) -> Result<bool, InspectError> {
        let Some(recipient) = self.call.kind.to() else { return Ok(false) };
        let account = self.prepared.overlay.account(recipient).map_err(InspectError::state)?;
        Ok(account.is_none_or(|info| info.is_empty_code_hash()))
    }

    /// The binary search between what the successful run used and what it was given.
    fn search_from(&self, outcome: &CallOutcome, highest: u64) -> Result<u64, InspectError> {
        let low = outcome.gas_used.saturating_sub(1);
        // Most calls need what they used at most, plus what a callee must be left with (EIP-150).
        let guess = (outcome.max_gas_used + CALL_STIPEND).saturating_mul(64) / 63;
        self.search(low, highest, (guess < highest).then_some(guess))
    }

    /// A limit that is not lower than `found`, and suffices in this trial if any up to `highest` does.
    fn raise(&self, found: u64, highest: u64) -> Result<u64, InspectError> {
        if self.succeeds(found)? || !self.succeeds(highest)? {
            return Ok(found);
        }
        self.search(found, highest, None)
    }

    /// The binary search between a limit that does not suffice and one that does.
    fn search(
        &self,
        mut low: u64,
        mut high: u64,
        mut next: Option<u64>,
    ) -> Result<u64, InspectError> {
        while low + 1 < high {
            let middle = match next.take() {
                Some(guess) => guess,
                None if (high - low) * 1000 < high * TOLERANCE_PER_MILLE => break,
                // Few need much more than they used: look there first.
                None => ((high + low) / 2).min(low.saturating_mul(2)),
            };
            if self.succeeds(middle)? {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(high)
    }

    fn succeeds(&self, gas_limit: u64) -> Result<bool, InspectError> {
        Ok(self.run(gas_limit)?.is_some_and(|outcome| outcome.is_success()))
    }
}
