//! The transactions of a span batch, split into columns.
//!
//! Fields are moved in their encoded form and never become numbers: what is canonical RLP goes in
//! and out unchanged, however large, and whether it is a sensible transaction is for the engine to
//! say.

use super::{
    Bits, MAX_SPAN_BATCH_ELEMENTS,
    raw::{Reader, put_uvarint},
};
use crate::{
    BatchError,
    rlp::{Item, Items, put_header, put_string, put_u64, put_uint},
};
use alloc::vec::Vec;
use alloy_primitives::{Address, Bytes};
use alloy_rlp::{Error as RlpError, Header};

const LEGACY: u8 = 0;
const ACCESS_LIST: u8 = 1;
const DYNAMIC_FEE: u8 = 2;
const SET_CODE: u8 = 4;

/// The bytes of an integer of any size.
const ANY: usize = usize::MAX;

/// The transactions of a span batch: a column for each of their parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanBatchTransactions {
    /// For each transaction whether it creates a contract.
    pub contract_creation_bits: Bits,
    /// For each transaction the parity of its signature.
    pub y_parity_bits: Bits,
    /// For each transaction `r` and `s` of its signature.
    pub signatures: Vec<[u8; 64]>,
    /// For each transaction that does not create a contract its recipient.
    pub tos: Vec<Address>,
    /// For each transaction its type (none for legacy ones) and the RLP list of its other fields.
    pub datas: Vec<Bytes>,
    /// For each transaction its nonce.
    pub nonces: Vec<u64>,
    /// For each transaction its gas limit.
    pub gas_limits: Vec<u64>,
    /// For each legacy transaction whether it was signed for one chain (EIP-155).
    pub protected_bits: Bits,
}

impl SpanBatchTransactions {
    pub(super) fn decode(reader: &mut Reader<'_>, total: usize) -> Result<Self, BatchError> {
        let contract_creation_bits = reader.bits(total, "contract_creation_bits")?;
        let y_parity_bits = reader.bits(total, "y_parity_bits")?;
        let signatures = reader.take(64 * total, "tx_sigs")?;
        let signatures = signatures.chunks_exact(64).filter_map(|s| s.try_into().ok()).collect();
        let calls = total - contract_creation_bits.count_ones();
        let tos = reader.take(20 * calls, "tx_tos")?;
        let tos = tos.chunks_exact(20).map(Address::from_slice).collect();
        let mut datas = Vec::with_capacity(total);
        let mut legacy = 0;
        for index in 0..total {
            let (data, ty) = take_data(reader, index)?;
            legacy += usize::from(ty == LEGACY);
            datas.push(data);
        }
        let mut column = |field| -> Result<Vec<u64>, BatchError> {
            let mut values = Vec::with_capacity(total);
            for _ in 0..total {
                values.push(reader.uvarint(field)?);
            }
            Ok(values)
        };
        let nonces = column("tx_nonces")?;
        let gas_limits = column("tx_gases")?;
        let protected_bits = reader.bits(legacy, "protected_bits")?;
        Ok(Self {
            contract_creation_bits,
            y_parity_bits,
            signatures,
            tos,
            datas,
            nonces,
            gas_limits,
            protected_bits,
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.contract_creation_bits.encoded());
        out.extend_from_slice(self.y_parity_bits.encoded());
        self.signatures.iter().for_each(|signature| out.extend_from_slice(signature));
        self.tos.iter().for_each(|to| out.extend_from_slice(to.as_slice()));
        self.datas.iter().for_each(|data| out.extend_from_slice(data));
        self.nonces.iter().for_each(|nonce| put_uvarint(*nonce, out));
        self.gas_limits.iter().for_each(|gas| put_uvarint(*gas, out));
        out.extend_from_slice(self.protected_bits.encoded());
    }

    /// Splits EIP-2718 transactions.
    pub(super) fn new<'a>(
        transactions: impl Iterator<Item = &'a Bytes>,
        chain_id: u64,
    ) -> Result<Self, BatchError> {
        let mut this = Self::default();
        let (mut creations, mut parities, mut protected) = (Vec::new(), Vec::new(), Vec::new());
        for (index, transaction) in transactions.enumerate() {
            let split = Split::new(index, transaction, chain_id)?;
            creations.push(split.to.is_none());
            parities.push(split.y_parity);
            protected.extend(split.is_protected);
            this.signatures.push(split.signature);
            this.tos.extend(split.to);
            this.datas.push(split.data.into());
            this.nonces.push(split.nonce);
            this.gas_limits.push(split.gas_limit);
        }
        this.contract_creation_bits = creations.into_iter().collect();
        this.y_parity_bits = parities.into_iter().collect();
        this.protected_bits = protected.into_iter().collect();
        Ok(this)
    }

    /// The transactions as EIP-2718 encodes them. They share one allocation.
    pub(super) fn assemble(&self, chain_id: u64) -> Result<Vec<Bytes>, BatchError> {
        let data_bytes: usize = self.datas.iter().map(|data| data.len()).sum();
        // Nonce, gas limit, recipient, signature and headers take at most 130 bytes.
        let mut out = Vec::with_capacity(data_bytes + 130 * self.datas.len());
        let mut ends = Vec::with_capacity(self.datas.len());
        let mut tos = self.tos.iter();
        let mut protected = self.protected_bits.iter();
        let mut payload = Vec::new();
        let flags = self.contract_creation_bits.iter().zip(self.y_parity_bits.iter());
        let numbers = self.nonces.iter().zip(&self.gas_limits);
        let columns = self.datas.iter().zip(&self.signatures).zip(flags).zip(numbers);
        for (index, (((data, signature), flags), numbers)) in columns.enumerate() {
            let ((creates, y_parity), (nonce, gas_limit)) = (flags, numbers);
            let to = if creates { None } else { tos.next() };
            let rest = Rest { nonce: *nonce, gas_limit: *gas_limit, to, y_parity, signature };
            payload.clear();
            let malformed = |error| BatchError::Transaction { index, error };
            let ty = match data.first() {
                Some(ty @ ..0x80) => *ty,
                _ => LEGACY,
            };
            if ty == LEGACY {
                let is_protected = protected.next().unwrap_or_default();
                assemble_legacy(data, &rest, chain_id, is_protected, &mut payload)
                    .map_err(malformed)?;
            } else if ty == SET_CODE && to.is_none() {
                return Err(BatchError::NoRecipient(index));
            } else if matches!(ty, ACCESS_LIST | DYNAMIC_FEE | SET_CODE) {
                assemble_typed(ty, data, &rest, chain_id, &mut payload).map_err(malformed)?;
                out.push(ty);
            } else {
                return Err(BatchError::TransactionType { index, ty });
            }
            put_header(true, payload.len(), &mut out);
            out.extend_from_slice(&payload);
            ends.push(out.len());
        }
        let all = Bytes::from(out);
        let mut begin = 0;
        Ok(ends
            .into_iter()
            .map(|end| all.slice(core::mem::replace(&mut begin, end)..end))
            .collect())
    }
}

/// Takes type and list of a transaction off the column of data.
fn take_data(reader: &mut Reader<'_>, index: usize) -> Result<(Bytes, u8), BatchError> {
    let rest = reader.rest();
    let (ty, prefix) = match rest.first() {
        None => return Err(BatchError::Truncated("tx_datas")),
        Some(ty @ ..0x80) => (*ty, 1),
        Some(_) => (LEGACY, 0),
    };
    let malformed = |error| BatchError::Transaction { index, error };
    let mut after = rest.get(prefix..).unwrap_or_default();
    let header = Header::decode(&mut after).map_err(malformed)?;
    if !header.list {
        return Err(malformed(RlpError::UnexpectedString));
    }
    let length = rest.len() - after.len() + header.payload_length;
    let (got, limit) = ((length - prefix) as u64, MAX_SPAN_BATCH_ELEMENTS);
    if got > limit {
        return Err(BatchError::TooMany { field: "tx_datas", got, limit });
    }
    reader.take(length, "tx_datas")?;
    Ok((reader.data.slice(reader.at - length..reader.at), ty))
}

/// What does not stand in the data column.
struct Rest<'a> {
    nonce: u64,
    gas_limit: u64,
    to: Option<&'a Address>,
    y_parity: bool,
    signature: &'a [u8; 64],
}

impl Rest<'_> {
    fn put_to(&self, out: &mut Vec<u8>) {
        put_string(self.to.map(|to| to.as_slice()).unwrap_or_default(), out);
    }

    fn put_signature(&self, v: u64, out: &mut Vec<u8>) {
        let (r, s) = self.signature.split_at(32);
        put_u64(v, out);
        put_uint(r, out);
        put_uint(s, out);
    }
}

fn assemble_legacy(
    data: &[u8],
    rest: &Rest<'_>,
    chain_id: u64,
    is_protected: bool,
    out: &mut Vec<u8>,
) -> Result<(), RlpError> {
    let mut fields = Items::of_list(data)?;
    let value = fields.uint(ANY)?;
    let gas_price = fields.uint(ANY)?;
    let input = fields.string()?;
    fields.end()?;
    put_u64(rest.nonce, out);
    out.extend_from_slice(gas_price.raw);
    put_u64(rest.gas_limit, out);
    rest.put_to(out);
    out.extend_from_slice(value.raw);
    out.extend_from_slice(input.raw);
    let base = if is_protected { chain_id.wrapping_mul(2).wrapping_add(35) } else { 27 };
    rest.put_signature(base.wrapping_add(rest.y_parity.into()), out);
    Ok(())
}

fn assemble_typed(
    ty: u8,
    data: &[u8],
    rest: &Rest<'_>,
    chain_id: u64,
    out: &mut Vec<u8>,
) -> Result<(), RlpError> {
    let mut fields = Items::of_list(data.get(1..).unwrap_or_default())?;
    // Transactions that set code have numbers of 256 bits, the others of any size.
    let limit = if ty == SET_CODE { 32 } else { ANY };
    let value = fields.uint(limit)?;
    let fee = fields.uint(limit)?;
    let second_fee = (ty != ACCESS_LIST).then(|| fields.uint(limit)).transpose()?;
    let input = fields.string()?;
    let access_list = fields.item()?;
    check_access_list(access_list)?;
    let authorizations = (ty == SET_CODE).then(|| fields.item()).transpose()?;
    authorizations.map(check_authorizations).transpose()?;
    fields.end()?;
    put_u64(chain_id, out);
    put_u64(rest.nonce, out);
    out.extend_from_slice(fee.raw);
    out.extend_from_slice(second_fee.map(|fee| fee.raw).unwrap_or_default());
    put_u64(rest.gas_limit, out);
    rest.put_to(out);
    out.extend_from_slice(value.raw);
    out.extend_from_slice(input.raw);
    out.extend_from_slice(access_list.raw);
    out.extend_from_slice(authorizations.map(|list| list.raw).unwrap_or_default());
    rest.put_signature(rest.y_parity.into(), out);
    Ok(())
}

/// `[[address, [slot, …]], …]` (EIP-2930).
fn check_access_list(list: Item<'_>) -> Result<(), RlpError> {
    let mut entries = as_list(list)?;
    while !entries.is_empty() {
        let mut entry = entries.list()?;
        entry.array::<20>()?;
        let mut slots = entry.list()?;
        while !slots.is_empty() {
            slots.array::<32>()?;
        }
        entry.end()?;
    }
    Ok(())
}

/// `[[chain_id, address, nonce, y_parity, r, s], …]` (EIP-7702).
fn check_authorizations(list: Item<'_>) -> Result<(), RlpError> {
    let mut entries = as_list(list)?;
    while !entries.is_empty() {
        let mut entry = entries.list()?;
        entry.uint(32)?;
        entry.array::<20>()?;
        entry.uint(8)?;
        entry.uint(1)?;
        entry.uint(32)?;
        entry.uint(32)?;
        entry.end()?;
    }
    Ok(())
}

const fn as_list(item: Item<'_>) -> Result<Items<'_>, RlpError> {
    if item.list { Ok(Items::new(item.payload)) } else { Err(RlpError::UnexpectedString) }
}

/// A transaction, split.
struct Split {
    data: Vec<u8>,
    nonce: u64,
    gas_limit: u64,
    to: Option<Address>,
    y_parity: bool,
    /// For legacy transactions.
    is_protected: Option<bool>,
    signature: [u8; 64],
}

impl Split {
    fn new(index: usize, transaction: &[u8], chain_id: u64) -> Result<Self, BatchError> {
        match transaction.split_first() {
            Some((0xc0.., _)) => Self::legacy(index, transaction, chain_id),
            Some((ty @ (&ACCESS_LIST | &DYNAMIC_FEE | &SET_CODE), list)) => {
                Self::typed(index, *ty, list, chain_id)
            }
            Some((ty, _)) => Err(BatchError::TransactionType { index, ty: *ty }),
            None => Err(BatchError::Transaction { index, error: RlpError::InputTooShort }),
        }
    }

    fn legacy(index: usize, transaction: &[u8], chain_id: u64) -> Result<Self, BatchError> {
        let malformed = |error| BatchError::Transaction { index, error };
        let read = || -> Result<_, RlpError> {
            let mut fields = Items::of_list(transaction)?;
            let nonce = fields.u64()?;
            let gas_price = fields.uint(ANY)?;
            let gas_limit = fields.u64()?;
            let to = fields.string()?;
            let value = fields.uint(ANY)?;
            let input = fields.string()?;
            let v = fields.u64()?;
            let signature = signature(&mut fields)?;
            fields.end()?;
            let data = list_of(&[value.raw, gas_price.raw, input.raw]);
            let to = recipient(to)?;
            let (y_parity, is_protected) = (false, None);
            Ok((Self { data, nonce, gas_limit, to, y_parity, is_protected, signature }, v))
        };
        let (mut this, v) = read().map_err(malformed)?;
        (this.y_parity, this.is_protected) = match v {
            27 | 28 => (v == 28, Some(false)),
            35.. => {
                let got = (v - 35) / 2;
                if got != chain_id {
                    return Err(BatchError::ChainId { index, expected: chain_id, got });
                }
                ((v - 35) % 2 == 1, Some(true))
            }
            _ => return Err(BatchError::Parity { index, v }),
        };
        Ok(this)
    }

    fn typed(index: usize, ty: u8, list: &[u8], chain_id: u64) -> Result<Self, BatchError> {
        let malformed = |error| BatchError::Transaction { index, error };
        let read = || -> Result<_, RlpError> {
            let mut fields = Items::of_list(list)?;
            let got = fields.u64()?;
            let nonce = fields.u64()?;
            let fee = fields.uint(ANY)?;
            let second_fee = (ty != ACCESS_LIST).then(|| fields.uint(ANY)).transpose()?;
            let gas_limit = fields.u64()?;
            let to = fields.string()?;
            let value = fields.uint(ANY)?;
            let input = fields.string()?;
            let access_list = fields.item()?;
            let authorizations = (ty == SET_CODE).then(|| fields.item()).transpose()?;
            let v = fields.u64()?;
            let signature = signature(&mut fields)?;
            fields.end()?;
            let second_fee = second_fee.map(|fee| fee.raw).unwrap_or_default();
            let authorizations = authorizations.map(|list| list.raw).unwrap_or_default();
            let parts =
                [value.raw, fee.raw, second_fee, input.raw, access_list.raw, authorizations];
            let mut data = Vec::from([ty]);
            data.extend_from_slice(&list_of(&parts));
            let to = recipient(to)?;
            let (y_parity, is_protected) = (v == 1, None);
            Ok((Self { data, nonce, gas_limit, to, y_parity, is_protected, signature }, v, got))
        };
        let (this, v, got) = read().map_err(malformed)?;
        if got != chain_id {
            return Err(BatchError::ChainId { index, expected: chain_id, got });
        }
        if v > 1 {
            return Err(BatchError::Parity { index, v });
        }
        Ok(this)
    }
}

fn recipient(to: Item<'_>) -> Result<Option<Address>, RlpError> {
    match to.payload {
        [] => Ok(None),
        to => Address::try_from(to).map(Some).map_err(|_| RlpError::UnexpectedLength),
    }
}

fn signature(fields: &mut Items<'_>) -> Result<[u8; 64], RlpError> {
    let mut signature = [0; 64];
    for half in signature.chunks_exact_mut(32) {
        let number = fields.uint(32)?.payload;
        let (_, end) = half.split_at_mut(32 - number.len());
        end.copy_from_slice(number);
    }
    Ok(signature)
}

fn list_of(parts: &[&[u8]]) -> Vec<u8> {
    let payload_length = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(payload_length + 9);
    put_header(true, payload_length, &mut out);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}
