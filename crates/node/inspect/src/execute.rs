//! One transaction or call in an EVM.

use crate::{
    CallSite, Inspect, InspectError, Refusal, chain::HaltReasonOf, error::halt_message,
    limits::Limits, overlay::Overlay,
};
use alloy_consensus::Header;
use alloy_evm::{Evm, EvmError, EvmFactory, InvalidTxError};
use alloy_primitives::{Bytes, Log, U256};
use alloy_rpc_types_eth::{BlockOverrides, state::StateOverride};
use lockstep_execution::{BlockState, EvmEnvOf, Execute, StateReader};
use revm::{
    Inspector,
    context::{BlockEnv, TxEnv},
    context_interface::{
        block::BlobExcessGasAndPrice,
        result::{ExecutionResult, HaltReason, InvalidTransaction, Output, ResultAndState},
    },
};

/// The context in which inspectors see chain `C` over state `S`.
pub type ContextOf<C, S> = <<C as Execute>::EvmFactory as EvmFactory>::Context<BlockState<S>>;

/// The EVM of chain `C` over state `S` with inspector `I`.
pub type EvmOf<C, S, I> = <<C as Execute>::EvmFactory as EvmFactory>::Evm<BlockState<S>, I>;

/// What a transaction did, and the state it leaves.
pub type OutcomeOf<C> = ResultAndState<HaltReasonOf<C>>;

/// What a user wants to be different while code runs.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Accounts.
    pub state: Option<StateOverride>,
    /// The block's header.
    pub block: Option<BlockOverrides>,
}

/// How a call or transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It succeeded, with this output (for a creation: the code).
    Success(Bytes),
    /// It reverted, with this output.
    Reverted(Bytes),
    /// The EVM stopped it.
    Halted {
        /// go-ethereum's sentence.
        message: String,
        /// Whether more gas might help.
        out_of_gas: bool,
    },
}

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// How it ended.
    pub ending: Ending,
    /// Gas used, after refunds.
    pub gas_used: u64,
    /// The most gas that was in use at once: before refunds.
    pub max_gas_used: u64,
    /// The logs it left.
    pub logs: Vec<Log>,
}

impl CallOutcome {
    /// What it did, from what the EVM says.
    pub fn new<C: Inspect>(result: ExecutionResult<HaltReasonOf<C>>) -> Self {
        let gas = *result.gas();
        let gas_used = gas.tx_gas_used();
        let max_gas_used = gas.total_gas_spent().max(gas.floor_gas());
        let (ending, logs) = match result {
            ExecutionResult::Success { output: Output::Call(output), logs, .. } => {
                (Ending::Success(output), logs)
            }
            ExecutionResult::Success { output: Output::Create(code, _), logs, .. } => {
                (Ending::Success(code), logs)
            }
            ExecutionResult::Revert { output, .. } => (Ending::Reverted(output), Vec::new()),
            ExecutionResult::Halt { reason, .. } => {
                let message =
                    C::halt_reason(&reason).map_or_else(|| format!("{reason:?}"), halt_message);
                let out_of_gas = matches!(C::halt_reason(&reason), Some(HaltReason::OutOfGas(_)));
                (Ending::Halted { message, out_of_gas }, Vec::new())
            }
        };
        Self { ending, gas_used, max_gas_used, logs }
    }

    /// Whether it succeeded.
    pub const fn is_success(&self) -> bool {
        matches!(self.ending, Ending::Success(_))
    }

    /// The output of a success; anything else is an error, as for `eth_call`.
    ///
    /// # Errors
    /// [`InspectError::Reverted`] or [`InspectError::Halted`].
    pub fn into_output(self) -> Result<Bytes, InspectError> {
        match self.ending {
            Ending::Success(output) => Ok(output),
            Ending::Reverted(output) => Err(InspectError::Reverted(output)),
            Ending::Halted { message, .. } => Err(InspectError::Halted(message)),
        }
    }
}

/// The header and state that overrides make of a block's.
///
/// # Errors
/// [`InspectError::Override`] for what cannot be overridden, [`InspectError::Limit`].
pub(crate) fn overridden<S: StateReader>(
    header: &Header,
    state: S,
    overrides: &Overrides,
    limits: &Limits<'_>,
) -> Result<(Header, Overlay<S>), InspectError> {
    let mut overlay = Overlay::new(state);
    let mut header = header.clone();
    if let Some(block) = &overrides.block {
        if block.beacon_root.is_some() {
            let text = "block override \"beaconRoot\" is not supported for this RPC method";
            return Err(InspectError::Override(text.into()));
        }
        override_header(&mut header, block)?;
        for (number, hash) in block.block_hash.iter().flatten() {
            overlay.set_block_hash(*number, *hash);
        }
    }
    if let Some(accounts) = &overrides.state {
        limits.check_overrides(accounts)?;
        overlay.override_accounts(accounts, None)?;
    }
    Ok((header, overlay))
}

/// Sets the fields of a header that a user wants to be different.
pub(crate) fn override_header(
    header: &mut Header,
    overrides: &BlockOverrides,
) -> Result<(), InspectError> {
    let narrow = |field: &str, value: U256| {
        u64::try_from(value)
            .map_err(|_| InspectError::Override(format!("{field} {value} exceeds 64 bits")))
    };
    if let Some(number) = overrides.number {
        header.number = narrow("number", number)?;
    }
    header.difficulty = overrides.difficulty.unwrap_or(header.difficulty);
    header.timestamp = overrides.time.unwrap_or(header.timestamp);
    header.gas_limit = overrides.gas_limit.unwrap_or(header.gas_limit);
    header.beneficiary = overrides.coinbase.unwrap_or(header.beneficiary);
    header.mix_hash = overrides.random.unwrap_or(header.mix_hash);
    if let Some(base_fee) = overrides.base_fee {
        header.base_fee_per_gas = Some(narrow("baseFeePerGas", base_fee)?);
    }
    Ok(())
}

/// The environment of the block with this header, with the blob base fee overridden.
pub(crate) fn environment<C: Inspect>(
    chain: &C,
    header: &Header,
    blob_base_fee: Option<U256>,
) -> EvmEnvOf<C> {
    let mut env = chain.evm_env(header);
    if let Some(fee) = blob_base_fee {
        set_blob_price(&mut env.block_env, u128::try_from(fee).unwrap_or(u128::MAX));
    }
    env
}

fn set_blob_price(block: &mut BlockEnv, blob_gasprice: u128) {
    if let Some(blobs) = &mut block.blob_excess_gas_and_price {
        *blobs = BlobExcessGasAndPrice { blob_gasprice, ..*blobs };
    }
}

/// Switches off what a call need not obey: who the sender is, which nonce it has, and how much gas
/// a block or a transaction may have.
pub(crate) fn relax<C: Inspect>(env: &mut EvmEnvOf<C>) {
    env.cfg_env.disable_eip3607 = true;
    env.cfg_env.disable_nonce_check = true;
    env.cfg_env.disable_block_gas_limit = true;
    env.cfg_env.tx_gas_limit_cap = Some(u64::MAX);
}

/// A call that offers nothing for its gas gets it for nothing, and sees a base fee of zero, as
/// nobody may see a price below the base fee.
pub(crate) fn waive_fees<C: Inspect>(env: &mut EvmEnvOf<C>, call: &TxEnv) {
    let gas_is_free = is_free(call);
    if gas_is_free {
        env.block_env.basefee = 0;
        env.cfg_env.disable_base_fee = true;
    }
    if call.max_fee_per_blob_gas == 0 {
        set_blob_price(&mut env.block_env, 0);
        env.cfg_env.disable_fee_charge = gas_is_free;
    }
}

/// Whether a call offers nothing for its gas.
pub(crate) fn is_free(call: &TxEnv) -> bool {
    call.gas_price == 0 && call.gas_priority_fee.unwrap_or_default() == 0
}

/// Runs a call, without making its changes permanent.
pub(crate) fn transact<C: Inspect, S: StateReader, I: Inspector<ContextOf<C, S>>>(
    chain: &C,
    evm: &mut EvmOf<C, S, I>,
    call: &TxEnv,
    site: &CallSite<'_>,
) -> Result<OutcomeOf<C>, InspectError> {
    // Where fees are not charged revm does not look at the balance, either.
    if evm.cfg_env().disable_fee_charge && !call.value.is_zero() {
        let have = balance(evm.db_mut(), call)?;
        if have < call.value {
            let reason = Refusal::Funds { address: call.caller, have, want: call.value };
            return Err(InspectError::Refused { reason, gas: call.gas_limit });
        }
    }
    chain.transact_call(evm, call, site)
}

fn balance<S: StateReader>(state: &mut BlockState<S>, call: &TxEnv) -> Result<U256, InspectError> {
    match state.account(&call.caller) {
        Ok(account) => Ok(account.map_or(U256::ZERO, |info| info.balance)),
        Err(error) => Err(state_failure(state, error)),
    }
}

/// An error of the EVM: a refusal, the state's own error, or neither.
pub(crate) fn failure<S: StateReader, E: EvmError>(
    state: &mut BlockState<S>,
    error: E,
    call: &TxEnv,
    base_fee: u64,
) -> InspectError {
    match error.as_invalid_tx_err() {
        Some(reason) => {
            let reason = match reason.as_invalid_tx_err() {
                Some(known) => refusal(known, call, base_fee),
                None => Refusal::Other(reason.to_string()),
            };
            InspectError::Refused { reason, gas: call.gas_limit }
        }
        None => state_failure(state, error),
    }
}

/// An error that is not the transaction's fault: the state's own if it made one.
pub(crate) fn state_failure<S: StateReader>(
    state: &mut BlockState<S>,
    error: impl core::error::Error,
) -> InspectError {
    match state.take_error() {
        Some(error) => InspectError::state(error),
        None => InspectError::Evm(error.to_string()),
    }
}

fn refusal(reason: &InvalidTransaction, call: &TxEnv, base_fee: u64) -> Refusal {
    use InvalidTransaction as I;
    let address = call.caller;
    let max_fee = call.gas_price;
    match reason {
        I::NonceTooLow { tx, state } => Refusal::NonceTooLow { address, tx: *tx, state: *state },
        I::NonceTooHigh { tx, state } => Refusal::NonceTooHigh { address, tx: *tx, state: *state },
        I::NonceOverflowInTransaction => Refusal::NonceMax { address, nonce: call.nonce },
        I::RejectCallerWithCode => Refusal::SenderNoEoa { address },
        I::LackOfFundForMaxFee { fee, balance } => {
            Refusal::Funds { address, have: **balance, want: **fee }
        }
        I::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            Refusal::IntrinsicGas { have: *gas_limit, want: *initial_gas }
        }
        I::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            Refusal::FloorGas { have: *gas_limit, want: *gas_floor }
        }
        I::GasPriceLessThanBasefee => Refusal::FeeTooLow { address, max_fee, base_fee },
        I::PriorityFeeGreaterThanMaxFee => {
            let tip = call.gas_priority_fee.unwrap_or_default();
            Refusal::TipAboveFee { address, tip, max_fee }
        }
        I::BlobGasPriceGreaterThanMax { block_blob_gas_price, tx_max_fee_per_blob_gas } => {
            Refusal::BlobFeeTooLow {
                address,
                max_fee: *tx_max_fee_per_blob_gas,
                base_fee: *block_blob_gas_price,
            }
        }
        I::CreateInitCodeSizeLimit => {
            Refusal::InitCodeSize { size: call.data.len(), limit: 49_152 }
        }
        I::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            Refusal::GasCap { gas: *gas_limit, cap: *cap }
        }
        I::CallerGasLimitMoreThanBlock => Refusal::BlockGasLimit,
        other => Refusal::Other(other.to_string()),
    }
}
