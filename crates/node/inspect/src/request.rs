//! From what a user asks for to what the EVM takes.

use crate::{Inspect, InspectError, UnsignedTransaction};
use alloy_consensus::{TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_primitives::{Address, TxKind};
use alloy_rpc_types_eth::{TransactionInput, TransactionRequest};
use revm::{context::TxEnv, context_interface::either::Either};

/// Where a call runs, as far as its defaults depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    /// The block's base fee; before London there is none.
    pub(crate) base_fee: Option<u64>,
    /// The gas limit of a call that states none, and the most that one may state.
    pub(crate) gas_cap: u64,
    /// The nonce of a call that states none.
    pub(crate) nonce: u64,
}

/// The sender of a call that names none is the zero address.
pub(crate) fn sender(request: &TransactionRequest) -> Address {
    request.from.unwrap_or_default()
}

/// The call with every field filled in, as go-ethereum's defaults have it: what does not pay for
/// gas gets it for nothing.
pub(crate) fn call_env<C: Inspect>(
    chain: &C,
    request: &TransactionRequest,
    defaults: Defaults,
) -> Result<TxEnv, InspectError> {
    if request.gas_price.is_some()
        && (request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some())
    {
        let text = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
        return Err(InspectError::Argument(text.into()));
    }
    let want = chain.chain_id();
    if let Some(have) = request.chain_id
        && have != want
    {
        let text = format!("chainId does not match node's (have={have}, want={want})");
        return Err(InspectError::Argument(text));
    }
    let is_dynamic = request.gas_price.is_none()
        && (defaults.base_fee.is_some() || request.max_fee_per_gas.is_some());
    let authorizations = request.authorization_list.as_deref();
    let blobs = request.blob_versioned_hashes.as_ref();
    let tx_type = match (authorizations, blobs) {
        (Some(_), _) => 4,
        (None, Some(_)) => 3,
        _ if is_dynamic => 2,
        _ => u8::from(request.access_list.is_some()),
    };
    let tip = request.max_priority_fee_per_gas.unwrap_or_default();
    Ok(TxEnv {
        tx_type,
        caller: sender(request),
        gas_limit: request.gas.unwrap_or(defaults.gas_cap).min(defaults.gas_cap),
        gas_price: request.gas_price.or(request.max_fee_per_gas).unwrap_or_default(),
        gas_priority_fee: (tx_type >= 2).then(|| request.gas_price.unwrap_or(tip)),
        kind: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        data: input(&request.input)?,
        nonce: request.nonce.unwrap_or(defaults.nonce),
        chain_id: Some(want),
        access_list: request.access_list.clone().unwrap_or_default(),
        blob_hashes: blobs.cloned().unwrap_or_default(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
        authorization_list: authorizations
            .unwrap_or_default()
            .iter()
            .map(|authorization| Either::Left(authorization.clone()))
            .collect(),
    })
}

fn input(input: &TransactionInput) -> Result<alloy_primitives::Bytes, InspectError> {
    match input.unique_input() {
        Ok(input) => Ok(input.cloned().unwrap_or_default()),
        Err(_) => Err(InspectError::Argument(
            "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass transaction call data"
                .into(),
        )),
    }
}

/// The transaction that the call would be, had somebody signed it.
pub(crate) fn unsigned(call: &TxEnv) -> UnsignedTransaction {
    let chain_id = call.chain_id.unwrap_or_default();
    let (to, value, input) = (call.kind, call.value, call.data.clone());
    let (nonce, gas_limit, access_list) = (call.nonce, call.gas_limit, call.access_list.clone());
    let max_fee_per_gas = call.gas_price;
    let max_priority_fee_per_gas = call.gas_priority_fee.unwrap_or_default();
    let recipient = call.kind.to().copied().unwrap_or_default();
    match call.tx_type {
        0 => UnsignedTransaction::Legacy(TxLegacy {
            chain_id: None,
            nonce,
            gas_price: call.gas_price,
            gas_limit,
            to,
            value,
            input,
        }),
        1 => UnsignedTransaction::Eip2930(TxEip2930 {
            chain_id,
            nonce,
            gas_price: call.gas_price,
            gas_limit,
            to,
            value,
            access_list,
            input,
        }),
        3 => UnsignedTransaction::Eip4844(TxEip4844 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: recipient,
            value,
            access_list,
            blob_versioned_hashes: call.blob_hashes.clone(),
            max_fee_per_blob_gas: call.max_fee_per_blob_gas,
            input,
        }),
        4 => UnsignedTransaction::Eip7702(TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: recipient,
            value,
            access_list,
            authorization_list: call
                .authorization_list
                .iter()
                .filter_map(|authorization| authorization.clone().left())
                .collect(),
            input,
        }),
        _ => UnsignedTransaction::Eip1559(TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            input,
        }),
    }
}
