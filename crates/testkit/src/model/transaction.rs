//! Transactions as sets of fields, of state tests and of JSON-RPC answers.

use crate::fields::{HexBytes, Number, Quantity, Recipient, Wide, Word};
use alloy_consensus::{
    EthereumTypedTransaction, SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702,
    TxLegacy,
};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, ChainId, Signature, TxKind, U256};
use lockstep_chain::EthereumTransaction;
use serde::Deserialize;

/// The transaction of a state test: some fields are lists of alternatives.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names of the transaction's fields")]
pub struct StateTransaction {
    pub nonce: Wide,
    pub gas_price: Option<Wide>,
    pub max_fee_per_gas: Option<Wide>,
    pub max_priority_fee_per_gas: Option<Wide>,
    pub max_fee_per_blob_gas: Option<Wide>,
    #[serde(default)]
    pub to: Recipient,
    pub sender: Option<Address>,
    pub secret_key: Option<Word>,
    pub data: Vec<HexBytes>,
    pub gas_limit: Vec<Wide>,
    pub value: Vec<Wide>,
    pub access_lists: Option<Vec<Option<Vec<AccessListFields>>>>,
    pub blob_versioned_hashes: Option<Vec<B256>>,
    pub authorization_list: Option<Vec<AuthorizationFields>>,
}

/// One address of an access list.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names of the list's fields")]
pub struct AccessListFields {
    pub address: Address,
    pub storage_keys: Vec<Word>,
}

/// One authorization of a set-code transaction (EIP-7702).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names of the authorization's fields")]
pub struct AuthorizationFields {
    pub chain_id: Wide,
    pub address: Address,
    pub nonce: Wide,
    pub y_parity: Option<Wide>,
    pub v: Option<Wide>,
    pub r: Wide,
    pub s: Wide,
}

/// A transaction object of JSON-RPC.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names of the transaction's fields")]
pub struct RpcTransaction {
    pub hash: B256,
    pub from: Address,
    pub to: Option<Address>,
    #[serde(default, rename = "type")]
    pub ty: Number,
    pub chain_id: Option<Number>,
    pub nonce: Number,
    pub gas: Number,
    pub gas_price: Option<Quantity>,
    pub max_fee_per_gas: Option<Quantity>,
    pub max_priority_fee_per_gas: Option<Quantity>,
    pub max_fee_per_blob_gas: Option<Quantity>,
    pub value: Quantity,
    pub input: HexBytes,
    pub access_list: Option<Vec<AccessListFields>>,
    pub blob_versioned_hashes: Option<Vec<B256>>,
    pub authorization_list: Option<Vec<AuthorizationFields>>,
    pub v: Option<Quantity>,
    pub y_parity: Option<Quantity>,
    pub r: Quantity,
    pub s: Quantity,
}

/// A value that no transaction can carry, so that the transaction does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no transaction can have this `{field}`")]
pub struct Unrepresentable {
    /// The field.
    pub field: &'static str,
}

/// The fields that all transaction types share, and the optional ones that decide the type.
#[derive(Debug, Default)]
struct Parts {
    chain_id: Option<ChainId>,
    nonce: u64,
    gas_limit: u64,
    gas_price: Option<u128>,
    max_fee_per_gas: Option<u128>,
    max_priority_fee_per_gas: Option<u128>,
    max_fee_per_blob_gas: Option<u128>,
    to: TxKind,
    value: U256,
    input: Bytes,
    access_list: Option<AccessList>,
    blob_versioned_hashes: Option<Vec<B256>>,
    authorization_list: Option<Vec<SignedAuthorization>>,
}

impl Parts {
    /// The transaction of the newest type that any of the fields demands.
    fn into_typed(self) -> Result<EthereumTypedTransaction<TxEip4844>, Unrepresentable> {
        if self.authorization_list.is_some() {
            return self.into_eip7702().map(Into::into);
        }
        if self.blob_versioned_hashes.is_some() || self.max_fee_per_blob_gas.is_some() {
            return self.into_eip4844().map(Into::into);
        }
        if self.max_fee_per_gas.is_some() {
            return self.into_eip1559().map(Into::into);
        }
        if self.access_list.is_some() {
            return self.into_eip2930().map(Into::into);
        }
        self.into_legacy().map(Into::into)
    }

    fn into_legacy(self) -> Result<TxLegacy, Unrepresentable> {
        Ok(TxLegacy {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_price: required(self.gas_price, "gasPrice")?,
            gas_limit: self.gas_limit,
            to: self.to,
            value: self.value,
            input: self.input,
        })
    }

    fn into_eip2930(self) -> Result<TxEip2930, Unrepresentable> {
        Ok(TxEip2930 {
            chain_id: required(self.chain_id, "chainId")?,
            nonce: self.nonce,
            gas_price: required(self.gas_price, "gasPrice")?,
            gas_limit: self.gas_limit,
            to: self.to,
            value: self.value,
            access_list: self.access_list.unwrap_or_default(),
            input: self.input,
        })
    }

    fn into_eip1559(self) -> Result<TxEip1559, Unrepresentable> {
        Ok(TxEip1559 {
            chain_id: required(self.chain_id, "chainId")?,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: required(self.max_fee_per_gas, "maxFeePerGas")?,
            max_priority_fee_per_gas: required(
                self.max_priority_fee_per_gas,
                "maxPriorityFeePerGas",
            )?,
            to: self.to,
            value: self.value,
            access_list: self.access_list.unwrap_or_default(),
            input: self.input,
        })
    }

    fn into_eip4844(mut self) -> Result<TxEip4844, Unrepresentable> {
        let blob_versioned_hashes = self.blob_versioned_hashes.take().unwrap_or_default();
        let max_fee_per_blob_gas = required(self.max_fee_per_blob_gas, "maxFeePerBlobGas")?;
        let base = self.into_eip1559()?;
        Ok(TxEip4844 {
            chain_id: base.chain_id,
            nonce: base.nonce,
            gas_limit: base.gas_limit,
            max_fee_per_gas: base.max_fee_per_gas,
            max_priority_fee_per_gas: base.max_priority_fee_per_gas,
            to: required(base.to.into_to(), "to")?,
            value: base.value,
            access_list: base.access_list,
            blob_versioned_hashes,
            max_fee_per_blob_gas,
            input: base.input,
        })
    }

    fn into_eip7702(mut self) -> Result<TxEip7702, Unrepresentable> {
        let authorization_list = self.authorization_list.take().unwrap_or_default();
        let base = self.into_eip1559()?;
        Ok(TxEip7702 {
            chain_id: base.chain_id,
            nonce: base.nonce,
            gas_limit: base.gas_limit,
            max_fee_per_gas: base.max_fee_per_gas,
            max_priority_fee_per_gas: base.max_priority_fee_per_gas,
            to: required(base.to.into_to(), "to")?,
            value: base.value,
            access_list: base.access_list,
            authorization_list,
            input: base.input,
        })
    }
}

fn required<T>(value: Option<T>, field: &'static str) -> Result<T, Unrepresentable> {
    value.ok_or(Unrepresentable { field })
}

fn narrow<T: TryFrom<U256>>(wide: Wide, field: &'static str) -> Result<T, Unrepresentable> {
    wide.0.and_then(|value| T::try_from(value).ok()).ok_or(Unrepresentable { field })
}

fn narrow_option<T: TryFrom<U256>>(
    wide: Option<Wide>,
    field: &'static str,
) -> Result<Option<T>, Unrepresentable> {
    wide.map(|wide| narrow(wide, field)).transpose()
}

fn access_list(items: &[AccessListFields]) -> AccessList {
    let item = |item: &AccessListFields| AccessListItem {
        address: item.address,
        storage_keys: item.storage_keys.iter().map(|key| key.0).collect(),
    };
    AccessList(items.iter().map(item).collect())
}

fn authorization(fields: &AuthorizationFields) -> Result<SignedAuthorization, Unrepresentable> {
    let y_parity = fields.y_parity.or(fields.v).ok_or(Unrepresentable { field: "yParity" })?;
    let authorization = Authorization {
        chain_id: narrow(fields.chain_id, "authorizationList.chainId")?,
        address: fields.address,
        nonce: narrow(fields.nonce, "authorizationList.nonce")?,
    };
    Ok(SignedAuthorization::new_unchecked(
        authorization,
        narrow(y_parity, "authorizationList.yParity")?,
        narrow(fields.r, "authorizationList.r")?,
        narrow(fields.s, "authorizationList.s")?,
    ))
}

fn authorizations(
    list: Option<&Vec<AuthorizationFields>>,
) -> Result<Option<Vec<SignedAuthorization>>, Unrepresentable> {
    list.map(|list| list.iter().map(authorization).collect()).transpose()
}

impl StateTransaction {
    /// The unsigned transaction with the alternatives at the given positions.
    ///
    /// # Errors
    /// [`Unrepresentable`] if a value does not fit its field, or a list has no such position.
    pub fn at(
        &self,
        data: usize,
        gas: usize,
        value: usize,
        chain_id: ChainId,
    ) -> Result<EthereumTypedTransaction<TxEip4844>, Unrepresentable> {
        let pick = |list: &[Wide], index: usize, field| {
            list.get(index).copied().ok_or(Unrepresentable { field })
        };
        let access_lists = self.access_lists.as_ref().and_then(|lists| lists.get(data));
        Parts {
            chain_id: Some(chain_id),
            nonce: narrow(self.nonce, "nonce")?,
            gas_limit: narrow(pick(&self.gas_limit, gas, "gasLimit")?, "gasLimit")?,
            gas_price: narrow_option(self.gas_price, "gasPrice")?,
            max_fee_per_gas: narrow_option(self.max_fee_per_gas, "maxFeePerGas")?,
            max_priority_fee_per_gas: narrow_option(
                self.max_priority_fee_per_gas,
                "maxPriorityFeePerGas",
            )?,
            max_fee_per_blob_gas: narrow_option(self.max_fee_per_blob_gas, "maxFeePerBlobGas")?,
            to: self.to.0,
            value: narrow(pick(&self.value, value, "value")?, "value")?,
            input: self.data.get(data).ok_or(Unrepresentable { field: "data" })?.0.clone(),
            access_list: access_lists.and_then(Option::as_deref).map(access_list),
            blob_versioned_hashes: self.blob_versioned_hashes.clone(),
            authorization_list: authorizations(self.authorization_list.as_ref())?,
        }
        .into_typed()
    }
}

impl RpcTransaction {
    /// The signed transaction.
    ///
    /// # Errors
    /// [`Unrepresentable`] if a value does not fit its field.
    pub fn transaction(&self) -> Result<EthereumTransaction, Unrepresentable> {
        let fee = |value: Option<Quantity>, field| {
            narrow_option(value.map(|value| Wide(Some(value.0))), field)
        };
        // Legacy signatures hold the chain id in `v` (EIP-155); typed ones only the parity.
        let v = if self.ty.0 == 0 { self.v } else { self.y_parity.or(self.v) };
        let v: u64 = narrow(Wide(v.map(|v| v.0)), "v")?;
        let (odd_y_parity, signed_chain_id) = match (self.ty.0, v) {
            (0, 27 | 28) => (v == 28, None),
            (0, 35..) => (v.is_multiple_of(2), Some((v - 35) / 2)),
            (1.., 0 | 1) => (v == 1, self.chain_id.map(|id| id.0)),
            _ => return Err(Unrepresentable { field: "v" }),
        };
        let typed = self.ty.0 > 0;
        let dynamic = self.ty.0 > 1;
        let list = self.access_list.as_deref().unwrap_or_default();
        let transaction = Parts {
            chain_id: signed_chain_id,
            nonce: self.nonce.0,
            gas_limit: self.gas.0,
            gas_price: fee(self.gas_price, "gasPrice")?,
            // Answers state the effective `gasPrice` beside the fees.
            max_fee_per_gas: fee(self.max_fee_per_gas.filter(|_| dynamic), "maxFeePerGas")?,
            max_priority_fee_per_gas: fee(self.max_priority_fee_per_gas, "maxPriorityFeePerGas")?,
            max_fee_per_blob_gas: fee(self.max_fee_per_blob_gas, "maxFeePerBlobGas")?,
            to: self.to.into(),
            value: self.value.0,
            input: self.input.0.clone(),
            access_list: typed.then(|| access_list(list)),
            blob_versioned_hashes: self.blob_versioned_hashes.clone(),
            authorization_list: authorizations(self.authorization_list.as_ref())?,
        }
        .into_typed()?;
        let signature = Signature::new(self.r.0, self.s.0, odd_y_parity);
        Ok(transaction.into_signed(signature).into())
    }
}
